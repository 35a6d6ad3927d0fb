"""What `mlpbench data describe` says of a table is what a network gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from mlpbench.base.models import SpecProblem
from mlpbench.cli.main import main
from mlpbench.data.table.table_data import read_options


def described(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", "describe", *map(str, arguments)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 60 rows in which each row stands twice."""
    rng = np.random.default_rng(0)
    half = pd.DataFrame(
        {
            "size": rng.normal(3, 2, 30).round(3),
            "colour": rng.choice(["red", "green"], 30),
            "still": 1,
            "kind": rng.choice(["a", "b"], 30, p=[0.7, 0.3]),
        }
    )
    half["price"] = half["size"] * 10 + 100.5
    half.loc[3, "size"] = np.nan
    pd.concat([half, half]).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_rows_columns_classes_and_repeats_are_counted(table: Path) -> None:
    done = described(table, "--target", "kind", "--json")
    found = json.loads(done.stdout)
    data = read_options({"file": table, "target": "kind"}, table.parent)
    arrays = data.load()
    assert (found["n_train"], found["n_test"]) == (len(arrays.y_train), len(arrays.y_test)) == (48, 12)
    assert found["n_features"] == sum(c["inputs"] for c in found["columns"]) == arrays.x_train.shape[1]
    assert [(c["name"], c["gaps"]) for c in found["columns"]] == [
        ("size", 2),
        ("colour", 0),
        ("still", 0),
        ("price", 0),
    ]
    assert found["class_names"] == ["a", "b"]
    assert found["class_rows"] == [[int((y == i).sum()) for y in (arrays.y_train, arrays.y_test)] for i in (0, 1)]
    repeated = [bool((arrays.x_train == row).all(1).any()) for row in arrays.x_test]
    assert found["repeated"] == sum(repeated) > 0
    assert found["notes"] == list(data.facts.notes)


def test_scales_are_those_of_the_training_rows(table: Path) -> None:
    lines = described(table, "--target", "price").stdout.splitlines()
    data = read_options({"file": table, "target": "price"}, table.parent)
    scale, (size, *_) = data.facts.target_scale, data.encoder().scale.centre
    assert scale is not None
    spread = f"numbers with mean {scale.mean:.4g} and standard deviation {scale.sd:.4g} over the training rows"
    rows = "t.csv: 60 rows, 48 to train on and 12 to test on; 4 columns that became 7 inputs"
    assert lines[0] == f"{rows}; target 'price', {spread}"
    assert lines[1].split() == ["column", "kind", "gaps", "inputs", "becomes"]
    assert lines[2].startswith(f"size    numbers  2     2       (x - {size:.4g}) / ")
    assert lines[2].endswith(", marked by an input")
    assert lines[3] == "colour  words          2       0 or 1 for each of green, red"
    assert lines[4] == "still   numbers        1       0: one value in the training rows"
    assert lines[6].endswith(" test rows have the inputs of a training row")
    assert "t.csv: column 'size' (2): gaps become the median, and an input says where they are" in lines


def test_a_target_in_its_own_units_is_described_whatever_its_scale(table: Path) -> None:
    described = []
    for scale in ("standard", "log", "none"):
        profile = read_options({"file": table, "target": "price", "target_scale": scale}, table.parent).facts.profile
        assert profile is not None
        described.append((profile.target_mean, profile.target_sd))
    prices = pd.read_csv(table)["price"]
    for mean, sd in described:
        assert (mean, sd) == pytest.approx(described[0], rel=1e-5)
        assert prices.min() < mean < prices.max()


def test_rows_that_come_again_are_those_that_are_equal(tmp_path: Path) -> None:
    """Compared with all pairs, over rows of few values, of which -0.0 is 0.0."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.choice([-0.0, 0.0, 1.0, 2.0], (200, 3)), columns=list("abc"))
    rows.assign(y=rng.normal(size=200)).to_csv(tmp_path / "r.csv", index=False)
    data = read_options({"file": tmp_path / "r.csv", "target": "y", "scale": "none"}, tmp_path)
    arrays, profile = data.load(), data.facts.profile
    assert profile is not None
    equal = (arrays.x_test[:, None] == arrays.x_train[None]).all(2).any(1)
    assert profile.repeated == equal.sum()
    assert 0 < profile.repeated < len(equal)


def test_a_results_folder_has_the_first_columns_and_counts_the_others(tmp_path: Path) -> None:
    wide = pd.DataFrame(np.random.default_rng(2).normal(size=(10, 1300)).round(3)).add_prefix("x")
    wide.assign(y=range(10)).to_csv(tmp_path / "w.csv", index=False)
    data = read_options({"file": tmp_path / "w.csv", "target": "y", "drop": ["x0"], "task": "number"}, tmp_path)
    written = data.as_written(None)
    assert isinstance(written, dict)
    again = read_options(written, tmp_path)
    for facts, kept in ((data.facts, 1000), (again.facts, 50)):
        assert facts.profile is not None
        assert (len(facts.profile.columns), facts.profile.further_columns) == (kept, 1299 - kept)
        assert facts.profile.further_inputs == 1299 - kept
        assert facts.profile.left_out == ("x0",)
        assert facts.profile.cut() == again.facts.profile
    assert "\n300 more " in described(tmp_path / "w.csv", "--target", "y", "--set", "task=number").stdout


def test_options_are_those_of_an_experiment_file(table: Path) -> None:
    lines = described(table, "--target", -1, "--set", "missing=drop_rows", "--set", "drop=[colour]").stdout.splitlines()
    assert lines[0].startswith("t.csv: 58 rows, ")
    assert not any(line.startswith("colour") for line in lines)


def test_marks_are_said_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("% a\na|b|y\n" + "".join(f"{i},5|{i % 3}|{'pq'[i % 2]}\n" for i in range(20)))
    said = ("separator=|", "decimal=,", "comment=%", "drop=[b]")
    done = described(tmp_path / "m.csv", "--target", "y", *(part for s in said for part in ("--set", s)))
    assert done.stdout.startswith(
        "m.csv: 20 rows, 16 to train on and 4 to test on; 1 column that became 1 input; target 'y', 2 classes"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "knid"), "got 'knid'; did you mean 'kind'?"),
        (("--target", "kind", "--set", "mising=refuse"), "unknown key 'mising'; did you mean 'missing'?"),
        (("--target", "kind", "--set", "missing"), "an override must be KEY=VALUE, got 'missing'"),
        ((), "got no target for"),
    ],
)
def test_what_can_t_be_read_is_one_message(arguments: tuple[str, ...], message: str, table: Path) -> None:
    done = described(table, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("place", "key", "near"),
    [((), "colums", "columns"), (("columns", 0), "kin", "kind")],
)
def test_a_misspelt_key_of_a_profile_is_named(place: tuple[Any, ...], key: str, near: str, table: Path) -> None:
    written: Any = read_options({"file": table, "target": "kind"}, table.parent).as_written(None)
    inner = written["facts"]["profile"]
    for step in place:
        inner = inner[step]
    inner[key] = inner.pop(near)
    with pytest.raises(SpecProblem, match=f"unknown key '{key}'; did you mean '{near}'"):
        read_options(written, table.parent)
