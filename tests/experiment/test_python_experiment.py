"""An experiment in Python takes what a file takes, and refuses what a file is refused for, in the same words."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from bad_specs import FILES, HERE, Bad
from keyword_types import MODULE, module
from repository import EXPERIMENTS

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.json_schema import schema
from mlpbench.experiment.file.key_meanings import FILE
from mlpbench.experiment.file.keyword_types import Claim, Levels, Selector, Settings
from mlpbench.experiment.file.python_experiment import Experiment, plain_value
from mlpbench.experiment.file.yaml_source import Source
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS

SMALL: dict[str, Any] = {"name": "small", "question": "Which?", "dataset": "digits", "factors": {"width": [8, 16]}}
PARAMETERS = inspect.signature(Experiment.__init__).parameters
SHIPPED = sorted(EXPERIMENTS.glob("*.yaml"))


def tree(text: str) -> Any:
    """Return what the package reads of a file before it is checked; nothing where that is not YAML, or not its part of it."""
    try:
        source = Source("bad.yaml", text)
        read = source.value()
    except InputError:
        return None
    return None if source.twice else read  # keywords can't stand twice


def keywords(bad: Bad) -> dict[str, Any]:
    """Return a wrong file as keywords; nothing where it has none, or lacks what Python asks for by itself."""
    # In Python the length of a text is no matter; one of brackets a thousand deep is no mapping, and takes long to read.
    if len(bad.text) > 10_000:
        return {}
    read = tree(bad.text.replace(HERE, ""))
    is_mapping = isinstance(read, dict) and all(isinstance(key, str) for key in read)
    # In Python nothing is what is left out.
    is_whole = is_mapping and {"name", "question"} <= read.keys() and read.get("claims", ()) is not None
    return read if is_whole else {}


def test_keywords_are_the_keys_of_the_schema() -> None:
    named = [name for name, p in PARAMETERS.items() if p.kind is p.KEYWORD_ONLY]
    assert sorted(named) == sorted(schema()["properties"]) == sorted(FILE_KEYS) == sorted(FILE)
    needed = {name for name, p in PARAMETERS.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    assert needed == set(schema()["required"])


def test_types_inside_keywords_are_those_of_the_schema() -> None:
    """`python tests/helpers/keyword_types.py` writes them anew."""
    assert MODULE.read_text() == module()
    assert Settings.__annotations__.keys() == SETTINGS.keys()
    assert Settings.__annotations__.keys() | {"zip", "conditions", "dataset"} == Levels.__annotations__.keys()


def test_editors_and_mypy_know_what_stands_inside_keywords() -> None:
    """What is ignored here has to be an error: `make types` says which comment is of no use."""
    fixed: Settings = {"width": 8, "optimizer": {"momentum": 0.9}, "activation": "mish", "conv_channels": (8, 16)}
    levels: Levels = {"lr": [0.1, 1], "dropout": (0, 0.5), "zip": {"width": [8, 16], "depth": [1, 2]}}
    side: Selector = {"width": 8, "label": "a"}
    claim: Claim = {"id": "c", "says": "So.", "compare": {"metric": "m", "a": side, "b": {}, "expect": "less"}}
    assert (fixed["width"], levels["lr"], claim["id"]) == (8, [0.1, 1], "c")
    misspelt: Settings = {"learning_rate": 0.1}  # type: ignore[typeddict-unknown-key]
    of_text: Settings = {"width": "8"}  # type: ignore[typeddict-item]
    one_level: Levels = {"width": 8}  # type: ignore[typeddict-item]
    neither: Claim = {"id": "c", "says": "So.", "trend": {"metric": "m", "factor": "lr", "expect": "up"}}  # type: ignore[typeddict-item]
    for keys in ({"fixed": misspelt}, {"fixed": of_text}, {"factors": one_level}, {"claims": [neither]}):
        with pytest.raises(InputError):
            Experiment(**SMALL | keys)


def test_every_keyword_is_explained() -> None:
    described = re.findall(r"^    +(\w+): ", str(Experiment.__doc__), flags=re.MULTILINE)
    assert set(FILE_KEYS) <= set(described)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_keywords_of_a_file_are_the_experiment_of_that_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert Experiment(**tree(path.read_text())).checked == yaml_reader.read(path)


WRONG = [(bad, found) for bad in FILES if (found := keywords(bad))]


@pytest.mark.parametrize(("bad", "wrong"), WRONG, ids=[bad.name for bad, _ in WRONG])
def test_what_is_wrong_is_said_as_of_a_file(bad: Bad, wrong: dict[str, Any]) -> None:
    """Rule, value and suggestion are those of the file; the place is the way to the key."""
    with pytest.raises(InputError) as of_file:
        yaml_reader.from_text("bad.yaml", bad.text.replace(HERE, ""))
    with pytest.raises(InputError) as of_keywords:
        Experiment(**wrong)
    message = str(of_keywords.value)
    assert all(part in message for part in bad.says)
    rules = re.findall(r"^bad\.yaml(?::\d+:\d+)?: (.*)$", str(of_file.value), flags=re.MULTILINE)
    assert rules
    assert all(rule in message for rule in rules)


def test_most_wrong_files_are_tried() -> None:
    assert len(WRONG) > 0.7 * len(FILES)


def test_an_unknown_keyword_is_answered_with_the_nearest_one() -> None:
    for word, near in (
        ("replicate", "did you mean 'replicates'?"),
        ("learning_rate", "did you mean the setting 'lr'?"),
    ):
        with pytest.raises(InputError, match=re.escape(f"unknown key '{word}'; {near}")):
            Experiment(**SMALL | {word: 3})


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.array([8, 16]), [8, 16]),
        (np.int64(8), 8),
        (np.float32(0.5), 0.5),
        (pd.Series([0.1, 0.2]), [0.1, 0.2]),
        (range(8, 10), [8, 9]),
        ((8, (1, 2)), [8, [1, 2]]),
        ({"file": Path("a") / "b.csv"}, {"file": "a/b.csv"}),
        ("relu", "relu"),
        (None, None),
    ],
)
def test_values_of_python_are_those_of_a_file(given: Any, plain: Any) -> None:
    found = plain_value(given)
    assert found == plain
    assert type(found) is type(plain)


def test_levels_of_numpy_are_the_same_runs(tmp_path: Path) -> None:
    factors = {"width": np.array([8, 16]), "lr": np.float64(0.1) * np.arange(1, 3), "hidden_sizes": None}
    factors.pop("hidden_sizes")
    by_numpy = Experiment(**SMALL | {"factors": factors})
    assert by_numpy == Experiment(**SMALL | {"factors": {"width": [8, 16], "lr": [0.1, 0.2]}})
    assert by_numpy != Experiment(**SMALL)
    assert mlpbench.plan(SMALL, results=tmp_path, lr=np.array([0.1, 0.2])).summary.conditions == 4


@pytest.mark.parametrize("where", [lambda t: t, lambda t: {"file": t, "target": "y"}], ids=["dataset", "file"])
@pytest.mark.parametrize(
    ("make", "how"),
    [
        (pd.DataFrame, 'DataFrame of shape (2, 1): write it, df.to_parquet("table.parquet"), and give'),
        (pa.table, 'Table of shape (2, 1): write it, pyarrow.parquet.write_table(df, "table.parquet"), and give'),
    ],
)
def test_a_table_in_memory_is_told_how_to_become_a_file(where: Any, make: Any, how: str, tmp_path: Path) -> None:
    dataset = where(make({"y": [1, 2]}))
    given = f'a table of your own must be a file, got a {how} dataset={{"file": "table.parquet", "target": COLUMN}}'
    for refused in (
        lambda: Experiment(**SMALL | {"dataset": dataset}),
        lambda: mlpbench.run(SMALL | {"dataset": dataset}, results=tmp_path),
        lambda: mlpbench.plan(SMALL, results=tmp_path, dataset=dataset),
    ):
        with pytest.raises(InputError) as raised:
            refused()
        assert str(raised.value) == given
    assert not list(tmp_path.iterdir())


def test_a_mapping_that_holds_itself_is_refused_as_others_are() -> None:
    endless: dict[str, Any] = {}
    endless["init"] = endless
    with pytest.raises(InputError, match="init must be one of"):
        Experiment(**SMALL | {"fixed": endless})


def test_the_text_of_an_experiment_is_a_file_with_the_same_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(Experiment(**SMALL).to_yaml(tmp_path))
    found, asked = (mlpbench.plan(s, results=tmp_path) for s in (tmp_path / "mine.yaml", SMALL))
    assert found.conditions.equals(asked.conditions)
    assert found.summary == asked.summary
