"""The small real tables that come with the package: what they hold, how they are named, and what is known without reading them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from repository import ROOT
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.models import SpecProblem
from mlpbench.cli.main import main
from mlpbench.data.data_sets import DATA_SETS, read_dataset
from mlpbench.data.table.table_data import read_options
from mlpbench.data.table_pack import pack_files, pack_table
from mlpbench.data.table_pack.pack_entries import ENTRIES, LICENCES
from mlpbench.data.table_pack.pack_table import FOLDER, TABLE_PACK, PackTable
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import build

# Rows of each class as the makers of the tables count them.
COUNTS = {
    "iris": {"setosa": 50, "versicolor": 50, "virginica": 50},
    "wine": {"cultivar 1": 59, "cultivar 2": 71, "cultivar 3": 48},
    "heart_disease": {"no": 164, "yes": 139},
    "penguins": {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124},
    "ionosphere": {"bad": 126, "good": 225},
    "voting": {"democrat": 267, "republican": 168},
    "breast_cancer": {"benign": 357, "malignant": 212},
    "credit_approval": {"no": 383, "yes": 307},
    "vehicle": {"bus": 218, "opel": 212, "saab": 217, "van": 199},
    "anes96": {"Clinton": 551, "Dole": 393},
    "german_credit": {"bad": 300, "good": 700},
    "seattle_weather": {"drizzle": 54, "fog": 411, "rain": 259, "snow": 23, "sun": 714},
    "segmentation": dict.fromkeys(("brickface", "cement", "foliage", "grass", "path", "sky", "window"), 330),
}
# Numbers of another package's copy, with the target last.
SCIKIT_LEARN = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "diabetes": lambda: load_diabetes(scaled=False),
}
MOST_BYTES = 500_000
LEAST_ROWS, MOST_ROWS = 150, 6000
OPTIONS: dict[str, dict[str, Any]] = {
    "scale and share": {"name": "penguins", "scale": "robust", "test": 0.3},
    "another target": {"name": "penguins", "target": "body_mass_g", "drop": ["year"]},
    "target of numbers": {"name": "auto_mpg", "target_scale": "log"},
    "gaps": {"name": "heart_disease", "missing": "drop_rows"},
    "in time": {"name": "seattle_weather", "time": "date"},
    "in groups": {"name": "penguins", "groups": "island"},
    "words": {"name": "diabetes", "words": ["sex"], "missing_values": [-999]},
}
WRONG: dict[str, tuple[dict[Any, Any], str]] = {
    "unknown": ({"scal": 1}, "unknown key 'scal'; did you mean 'scale'?"),
    "no word": ({3: 1}, "unknown key 3; must be one of name, target, drop"),
    "file": ({"file": "x.csv"}, "a data set is a name or a file, not both: leave out name or file, got 'penguins' and 'x.csv'"),
    "how it is written": ({"separator": ";"}, "separator is said of files of your own"),
    "range": ({"test": 2}, "test must be less than 1, got 2"),
    "no such column": ({"target": "specie"}, "target must be a column of penguins.csv"),
    "not for classes": ({"target_scale": "log"}, "penguins.csv: column 'species': target_scale is for a target of numbers"),
}  # fmt: skip


def frame(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_every_table_has_its_entry_its_file_and_a_licence_that_is_named() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert {entry.file for entry in ENTRIES} == {path.name for path in FOLDER.glob("*.csv")}
    assert list(TABLE_PACK) == names
    assert all(DATA_SETS[name] is table for name, table in TABLE_PACK.items())
    for entry in ENTRIES:
        assert entry.licence in LICENCES
        assert re.search(r"\b(19|20)\d\d\b|National", entry.citation)
        assert entry.url.startswith("https://")


def test_there_are_enough_of_them_with_words_gaps_and_numbers_to_predict() -> None:
    tasks = Counter("classes" if table.facts.n_classes else "numbers" for table in TABLE_PACK.values())
    assert tasks["classes"] >= 8
    assert tasks["numbers"] >= 2
    frames = [frame(name).drop(columns=table.entry.target) for name, table in TABLE_PACK.items()]
    assert sum(f.isna().any(axis=None) for f in frames) >= 4
    assert sum(f.select_dtypes("number").shape[1] < f.shape[1] for f in frames) >= 4
    assert all(LEAST_ROWS <= len(f) <= MOST_ROWS for f in frames)


def test_facts_and_notice_are_what_the_tables_and_entries_give() -> None:
    assert pack_files.facts_json() == pack_table.FACTS.read_text("utf-8")
    assert pack_files.notice() == pack_files.NOTICE.read_text("utf-8")


@pytest.mark.parametrize("name", TABLE_PACK)
def test_the_arrays_are_what_the_facts_say(name: str) -> None:
    table = TABLE_PACK[name]
    data, facts = table.load(), table.facts
    assert data.facts == facts
    assert data.x_train.shape == (facts.n_train, facts.n_features)
    assert data.x_test.shape == (facts.n_test, facts.n_features)
    assert np.isfinite(data.x_train).all()
    assert not data.x_train.flags.writeable
    if facts.n_classes:
        assert set(data.y_train.tolist()) == set(data.y_test.tolist()) == set(range(facts.n_classes))


@pytest.mark.parametrize("name", COUNTS)
def test_classes_have_the_rows_that_their_makers_count(name: str) -> None:
    assert frame(name)[TABLE_PACK[name].entry.target].value_counts().to_dict() == COUNTS[name]
    facts = TABLE_PACK[name].facts
    assert facts.profile is not None
    assert dict(zip(facts.class_names, map(sum, facts.profile.class_rows), strict=True)) == COUNTS[name]


@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_numbers_are_those_of_scikit_learn(name: str) -> None:
    bunch, table = SCIKIT_LEARN[name](), frame(name)
    np.testing.assert_allclose(table.iloc[:, :-1].to_numpy(np.float64), bunch.data, rtol=1e-7)
    target = table.iloc[:, -1]
    if name == "diabetes":
        assert target.to_numpy().tolist() == bunch.target.tolist()
    else:
        words = bunch.target_names if name != "wine" else [f"cultivar {i + 1}" for i in range(3)]
        assert target.tolist() == [words[t] for t in bunch.target]


def test_a_table_of_the_package_is_the_same_data_as_its_file() -> None:
    """Whoever copies the file into a folder of their own has the same runs."""
    own = read_options({"file": str(FOLDER / "wine.csv"), "target": "cultivar"}, Path())
    assert own.facts.fingerprint == TABLE_PACK["wine"].facts.fingerprint
    assert np.array_equal(own.load().x_test, TABLE_PACK["wine"].load().x_test)


def test_default_options_that_are_said_are_no_other_data_set() -> None:
    said = {"name": "penguins", "scale": "standard", "test": 0.2, "target": "species"}
    assert read_dataset(said, Path()) == TABLE_PACK["penguins"]
    assert read_dataset({"name": "diabetes", "target_scale": "standard"}, Path()) == TABLE_PACK["diabetes"]


@pytest.mark.parametrize("written", OPTIONS.values(), ids=OPTIONS)
def test_options_are_those_of_tables_of_ones_own(written: dict[str, Any], tmp_path: Path) -> None:
    table = read_dataset(written, tmp_path)
    assert isinstance(table, PackTable)
    entry = TABLE_PACK[written["name"]].entry
    own = {
        "file": str(FOLDER / entry.file),
        "target": entry.target,
        **{k: v for k, v in written.items() if k != "name"},
    }
    as_own = read_options(own, tmp_path)
    assert table.facts == replace(as_own.facts, name=table.facts.name, title=table.facts.title)
    assert table.facts.fingerprint != TABLE_PACK[entry.name].facts.fingerprint
    for folder in (None, tmp_path):
        again = table.as_written(folder)
        assert again == written
        assert read_dataset(again, tmp_path) == table
    assert np.array_equal(table.load().x_train, as_own.load().x_train)


def test_tables_are_levels_of_a_factor_that_share_options(tmp_path: Path) -> None:
    """Options that all share are those of the package's tables too, and a level may have its own."""
    levels = ["iris", {"name": "wine", "test": 0.5}, {"name": "wine", "scale": "none", "label": "raw wine"}]
    tree = {"name": "t", "question": "q", "dataset": {"scale": "robust"}, "factors": {"dataset": levels}}
    (tmp_path / "spec.yaml").write_text(yaml_reader.dump(build(tree, tmp_path), tmp_path))
    conditions = grid.conditions(yaml_reader.read(tmp_path / "spec.yaml"))
    assert [c.levels["dataset"] for c in conditions] == ["iris", "wine", "raw wine"]
    expected = [
        {"name": "iris", "scale": "robust"},
        {"name": "wine", "scale": "robust", "test": 0.5},
        {"name": "wine", "scale": "none"},
    ]
    for condition, alone in zip(conditions, expected, strict=True):
        assert condition.data.fingerprint == read_dataset(alone, tmp_path).facts.fingerprint


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_refused_and_no_path_of_the_machine_is_in_the_message(
    options: dict[Any, Any], message: str
) -> None:
    with pytest.raises((SpecProblem, InputError)) as refused:
        read_dataset({"name": "penguins"} | options, Path())
    assert message in str(refused.value)
    assert str(FOLDER) not in str(refused.value)


def test_a_damaged_file_of_the_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = TABLE_PACK["iris"]
    other = (FOLDER / "iris.csv").read_text().replace("5.1,3.5,1.4,0.2", "5.2,3.5,1.4,0.2", 1)
    (tmp_path / "iris.csv").write_text(other)
    damaged = replace(table, options=table.options.model_copy(update={"file": str(tmp_path / "iris.csv")}))
    with pytest.raises(
        MachineError, match=r"iris\.csv of the package is damaged, install mlpbench again: .*must be those"
    ):
        damaged.load()


def test_names_are_listed_with_their_licences_and_described_with_their_sources() -> None:
    listed = CliRunner().invoke(main, ["data", "list"]).output
    described = CliRunner().invoke(main, ["data", "describe", "penguins", "--set", "scale=none"])
    assert described.exit_code == 0
    for entry in ENTRIES:
        assert re.search(
            rf"^{entry.name:<16}\d+ train, .*  here, in the package, {re.escape(entry.licence)}, ", listed, re.M
        )
    assert (
        "penguins: 344 rows, 275 to train on and 69 to test on; 7 columns that became 15 inputs; target 'species', 3 classes"
        in described.output
    )
    assert "licence: CC0 1.0. Changed: NA is an empty value." in described.output
    as_json = json.loads(CliRunner().invoke(main, ["data", "describe", "auto_mpg", "--json"]).output)
    assert as_json["credits"] == list(TABLE_PACK["auto_mpg"].credits())
    assert as_json["target"] == "mpg"


def test_a_name_that_is_nearly_one_or_of_no_table_is_refused_by_describe() -> None:
    for name, ending in (
        ("penguin", "got 'penguin'; did you mean 'penguins'?"),
        ("digits", "got 'digits', which is no table"),
    ):
        result = CliRunner().invoke(main, ["data", "describe", name])
        assert result.exit_code == 2
        assert "a table must be a file or one of iris, wine" in result.stderr
        assert result.stderr.rstrip().endswith(ending)


def test_a_name_is_looked_up_without_reading_tables() -> None:
    code = (
        "import sys; from mlpbench.data.data_sets import DATA_SETS; "
        "assert DATA_SETS['segmentation'].facts.n_train == 1848; "
        "assert not {'pyarrow', 'pandas', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tables_are_small_in_a_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "wheel.zip", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in FOLDER.iterdir():
            if path.is_file():
                wheel.write(path, path.name)
    assert (tmp_path / "wheel.zip").stat().st_size < MOST_BYTES


def test_a_table_can_be_added_by_its_file_and_its_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is written for it is read back as its facts."""
    shutil.copy(FOLDER / "iris.csv", tmp_path / "sepals.csv")
    entry = replace(TABLE_PACK["iris"].entry, name="sepals", target="sepal_length")
    monkeypatch.setattr(pack_files, "ENTRIES", (entry,))
    monkeypatch.setattr(pack_files, "FOLDER", tmp_path)
    facts = json.loads(pack_files.facts_json())
    assert (facts["sepals"]["n_train"], facts["sepals"]["n_features"]) == (120, 6)
    assert "## sepals.csv" in pack_files.notice()
