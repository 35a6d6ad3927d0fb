"""What `mlpbench data describe` says of a table is what a network gets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

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
    assert found["inputs"] == arrays.x_train.shape[1]
    assert list(found["columns"]) == ["size", "colour", "still", "price"]
    for i, name in enumerate(["a", "b"]):
        assert found["classes"][name] == [int((y == i).sum()) for y in (arrays.y_train, arrays.y_test)]
    repeated = [bool((arrays.x_train == row).all(1).any()) for row in arrays.x_test]
    assert found["repeated"] == sum(repeated) > 0
    assert found["notes"] == list(data.facts.notes)


def test_scales_are_those_of_the_training_rows(table: Path) -> None:
    lines = described(table, "--target", "price").stdout.splitlines()
    frame = pd.read_csv(table)
    assert lines[0] == "t.csv: 60 rows, 48 to train on and 12 to test on; 7 inputs; target 'price', numbers"
    assert lines[1].split() == ["column", "becomes"]
    assert lines[2].startswith("size    2 inputs: number, (x - ")
    assert ", gaps " in lines[2]
    assert lines[3] == "colour  2 inputs: words (green, red)"
    assert lines[4] == "still   1 input: number, 0: one value in the training rows"
    assert lines[6].startswith("target: mean ")
    mean, sd = (
        float(part) for part in lines[6].removeprefix("target: mean ").split(" over")[0].split(", standard deviation ")
    )
    data = read_options({"file": table, "target": "price"}, table.parent)
    scale = data.facts.target_scale
    assert scale is not None
    assert mean == pytest.approx(scale.mean, rel=1e-4)
    assert sd == pytest.approx(scale.sd, rel=1e-4)
    assert frame["price"].min() < mean < frame["price"].max()
    assert "t.csv: column 'size' (2): gaps become the median, and an input says where they are" in lines


def test_options_are_those_of_an_experiment_file(table: Path) -> None:
    lines = described(table, "--target", -1, "--set", "missing=drop_rows", "--set", "drop=[colour]").stdout.splitlines()
    assert lines[0].startswith("t.csv: 58 rows, ")
    assert not any(line.startswith("colour") for line in lines)


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
