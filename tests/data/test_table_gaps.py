"""Gaps: how they are spelled, what they become, which rows are left out, and what is said of it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from bad_tables import CSV, KINDS, X, Y, arrays, edited, frame, labels, numbered, stored

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.data.dataset import Dataset
from mlpbench.data.table import table_inputs
from mlpbench.data.table.table_data import TableData, read_options
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment


def spec(file: Path, **options: Any) -> Experiment:
    dataset = {"file": file, "target": "kind", **options}
    return yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})


def written(folder: Path, content: str | bytes, **options: Any) -> Experiment:
    """Return an experiment on a file of some content: npz, parquet or csv, by its first bytes."""
    data = content.encode() if isinstance(content, str) else content
    suffix = {b"PK\3\4": "npz", b"PAR1": "parquet"}.get(data[:4], "csv")
    (folder / f"t.{suffix}").write_bytes(data)
    return spec(folder / f"t.{suffix}", **({"target": "y"} if suffix == "npz" else {}), **options)


IMPUTED = "gaps become the median, and an input says where they are"
# Tables that were refused once: a gap of each spelling in each type of column, and what else a table of people has.
BECOMES: dict[str, tuple[str | bytes, int, int, str]] = {
    "gap": (edited(4, ",4,", ",,"), 20, 5, f"column 'count' (1): {IMPUTED}"),
    "gap in text": (edited(5, "blue", " "), 20, 5, "column 'colour' (1): gaps are a word of their own"),
    "na": (edited(4, ",4,", ",NA,"), 20, 5, f"column 'count' (1): {IMPUTED}"),
    "nan": (edited(4, ",4,", ",nan,"), 20, 5, f"column 'count' (1): {IMPUTED}"),
    "question mark": (edited(4, ",4,", ",?,"), 20, 5, f"column 'count' (1): {IMPUTED}"),
    "gap in target": (edited(4, "no", ""), 19, 4, "1 row without a target is left out"),
    "na in text": (edited(4, "red", "NA"), 20, 5, "column 'colour' (1): gaps are a word of their own"),
    "null in target": (edited(5, "yes", " null"), 19, 4, "1 row without a target is left out"),
    "none in flags": (numbered(["true", "false", "None"] * 5), 10, 1, "5 rows without a target are left out"),
    "nothing but nan": (CSV.replace("red", "nan").replace("blue", "nan"), 20, 3, "column 'colour' (20): no value in the training rows: 0"),
    "nothing at all": (CSV.replace("red", "").replace("blue", ""), 20, 3, "column 'colour' (20): no value in the training rows: 0"),
    "large numbers": (numbered([0, 1] * 10).replace("1.5,", "9007199254740993,").replace(".5,", ","), 20, 1, "column 'a': whole numbers beyond 2^53, of which two may be read as one: an id?"),
    "constant": (edited(1, "count", "count,same").replace("red,", "7,red,").replace("blue,", "7,blue,"), 20, 5, "column 'same': one value in the training rows: its inputs are 0"),
    "constant text": (CSV.replace("blue", "red"), 20, 3, "column 'colour': one value in the training rows: its inputs are 0"),
    "null in parquet": (frame(count=[1, None] * 10), 20, 5, f"column 'count' (10): {IMPUTED}"),
    "null alone in parquet": (frame(count=[None] * 20), 20, 4, "column 'count' (20): no value in the training rows: 0"),
    "flags with nulls": (frame(count=pd.array([True, None, False, True] * 5, "boolean")), 20, 5, f"column 'count' (5): {IMPUTED}"),
    "date": (frame(when=pd.date_range("2020-01-01", periods=20)), 20, 5, "column 'when': dates, as days since 1970-01-01"),
    "empty label in parquet": (frame(kind=labels("", "yes")), 19, 4, "1 row without a target is left out"),
    "blank label in parquet": (frame(kind=labels(" \t", "yes")), 19, 4, "1 row without a target is left out"),
    "na label in parquet": (frame(kind=labels("NA")), 19, 4, "1 row without a target is left out"),
    "na category": (frame(colour=pd.Categorical(labels("nan"))), 20, 5, "column 'colour' (1): gaps are a word of their own"),
    "large unsigned": (frame(count=np.array([0, 2**64 - 1] * 10, np.uint64)), 20, 4, "column 'count': whole numbers beyond 2^53, of which two may be read as one: an id?"),
    "large decimals": (stored(pa.table({"a": pa.array([1, 2**60] * 10, pa.decimal128(30, 0)), "kind": KINDS})), 20, 1, "column 'a': whole numbers beyond 2^53, of which two may be read as one: an id?"),
    "empty label": (arrays(x=X, y=labels("")), 19, 3, "1 row without a target is left out"),
    "na label": (arrays(x=X, y=labels("n/a")), 19, 3, "1 row without a target is left out"),
    "large inputs in npz": (arrays(x=X.astype(np.int64) * -(2**60), y=Y), 20, 3, "an id?"),
    "nan in npz": (arrays(x=np.where(X == 6, np.nan, X), y=Y), 20, 6, f"columns 'x[:, 0]' (3), 'x[:, 1]' (3), 'x[:, 2]' (2): {IMPUTED}"),
}  # fmt: skip


@pytest.mark.parametrize("name", BECOMES)
def test_a_table_with_gaps_is_learned_from_and_says_so(tmp_path: Path, name: str) -> None:
    content, rows, inputs, note = BECOMES[name]
    # Every tenth row or so is for testing: rows with a gap may be there, and then have no input of their own.
    experiment = written(tmp_path, content, test=0.1)
    made = experiment.sources[0].load()
    assert len(made.y_train) + len(made.y_test) == rows
    assert np.isfinite(made.x_train).all()
    assert np.isfinite(made.x_test).all()
    assert any(note in line for line in experiment.facts[0].notes), experiment.facts[0].notes
    assert made.x_train.shape[1] == experiment.facts[0].n_features == inputs


PAIR = pd.DataFrame(
    {
        "a": [1.0, 5.0, 2.0, None, 9.0, 3.0],
        "b": [1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
        "colour": ["red", "blue", None, "red", "blue", "red"],
        "kind": ["yes", "no", "yes", "no", "yes", "no"],
    }
)


def pair(folder: Path, train: pd.DataFrame, test: pd.DataFrame, **options: Any) -> Experiment:
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    return spec(folder / "train.csv", test_file=folder / "test.csv", scale="none", **options)


def rows_of(made: Dataset) -> tuple[list[list[float]], list[list[float]]]:
    return made.x_train.tolist(), made.x_test.tolist()


def test_gaps_become_the_median_of_the_training_rows_and_a_level_of_words(tmp_path: Path) -> None:
    """By hand: the median of 1, 5, 2, 9, 3 is 3, whatever the test rows have."""
    test = PAIR.assign(a=[np.nan, 100, 100, 100, 100, 100])
    train_x, test_x = rows_of(pair(tmp_path, PAIR, test).sources[0].load())
    # a, gap in a, b, blue, red, gap
    assert train_x == [
        [1, 0, 1, 0, 1, 0],
        [5, 0, 2, 1, 0, 0],
        [2, 0, 3, 0, 0, 1],
        [3, 1, 4, 0, 1, 0],
        [9, 0, 5, 1, 0, 0],
        [3, 0, 7, 0, 1, 0],
    ]
    assert test_x[0] == [3, 1, 1, 0, 1, 0]
    assert test_x[1][0] == 100


def test_gaps_in_test_rows_alone_have_no_input_of_their_own(tmp_path: Path) -> None:
    train = PAIR.dropna()
    experiment = pair(tmp_path, train, PAIR)
    made = experiment.sources[0].load()
    assert made.x_train.shape == (4, 4)
    assert made.x_test[3].tolist() == [4, 4, 0, 1]  # the median of 1, 5, 9, 3
    assert made.x_test[2].tolist() == [2, 3, 0, 0]
    assert experiment.facts[0].notes == (
        "train.csv: column 'a' (1): gaps in test rows alone become the median",
        "train.csv: column 'colour' (1): gaps in test rows alone: 0 in every input of the column",
    )


def test_rows_with_gaps_are_dropped_where_that_is_said(tmp_path: Path) -> None:
    experiment = pair(tmp_path, PAIR, PAIR, missing="drop_rows")
    made = experiment.sources[0].load()
    complete = PAIR.dropna()
    assert made.x_train[:, 0].tolist() == made.x_test[:, 0].tolist() == complete["a"].tolist()
    assert made.y_train.tolist() == [1, 0, 1, 0]
    assert experiment.facts[0].notes == ("train.csv: 4 rows with a gap in columns 'a', 'colour' are left out",)
    complete.to_csv(tmp_path / "complete.csv", index=False)
    again = pair(tmp_path, complete, complete)
    assert again.facts[0].fingerprint == experiment.facts[0].fingerprint


def test_rows_without_a_target_are_no_rows(tmp_path: Path) -> None:
    train = PAIR.assign(kind=["yes", "", "yes", "no", "?", "no"])
    experiment = pair(tmp_path, train, PAIR)
    assert (experiment.facts[0].n_train, experiment.facts[0].n_test) == (4, 6)
    assert "train.csv: 2 rows without a target are left out" in experiment.facts[0].notes
    with pytest.raises(InputError, match=r"/train\.csv:3: column 'kind': a table must have no missing values"):
        pair(tmp_path, train.assign(a=1, colour="red"), PAIR, missing="refuse")


def test_a_test_file_with_gaps_alone_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="both files must have rows without gaps, got no test rows"):
        pair(tmp_path, PAIR, PAIR.assign(kind=None))
    with pytest.raises(InputError, match=r"/test\.csv:5: column 'a': a table must have no missing values"):
        pair(tmp_path, PAIR.dropna(), PAIR.assign(colour="red"), missing="refuse")


def test_missing_values_are_further_spellings_of_a_gap(tmp_path: Path) -> None:
    """A number is a gap however it is written, and in a parquet file and an npz file too."""
    gaps = PAIR.assign(a=["1", "5.0", "2", "-999.0", "9", "3"], colour=["red", "blue", "unknown", "red", "blue", "red"])
    options: dict[str, Any] = {"missing_values": [-999, "unknown"]}
    expected = pair(tmp_path, PAIR, PAIR).facts[0]
    assert pair(tmp_path, gaps, gaps, **options).facts[0].fingerprint == expected.fingerprint
    typed = PAIR.assign(a=PAIR["a"].fillna(-999), colour=PAIR["colour"].fillna("unknown"))
    typed.to_parquet(tmp_path / "t.parquet")
    found = spec(tmp_path / "t.parquet", test_file=tmp_path / "test.csv", scale="none", **options)
    assert found.facts[0].fingerprint == expected.fingerprint
    np.savez(tmp_path / "t.npz", x=typed[["a", "b"]].to_numpy(), y=np.arange(6) % 2)
    assert (
        spec(tmp_path / "t.npz", target="y", missing_values=["-999"], test=0.4)
        .facts[0]
        .notes[0]
        .startswith("t.npz: column 'x[:, 0]' (1): gaps")
    )


def test_a_spelling_of_a_gap_is_a_word_where_its_column_is_one_of_words(tmp_path: Path) -> None:
    """Masonry of houses: "None" is a level; an empty cell is still a gap. So is a class."""
    frame = PAIR.assign(colour=["None", "Brick", "", "None", "Stone", "None"])
    plain = pair(tmp_path, frame, frame)
    assert any(
        "'None' is read as a gap; where it is a word, name the column in `words`" in n for n in plain.facts[0].notes
    )
    told = pair(tmp_path, frame, frame, words=["colour"])
    assert not any("'None'" in n for n in told.facts[0].notes)
    # a, gap in a, b; Brick, None, Stone, gap
    assert told.sources[0].load().x_train[:, 3:].tolist()[:3] == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    # A class that is spelt like a gap never goes without a word.
    classes = frame.assign(kind=["None", "other"] * 3)
    certain = (
        r"it must be certain whether 'None' is a class or a gap of the target; `words: \['kind'\]` takes it for a class"
    )
    for train, test in (
        (classes, classes),
        (PAIR, classes),
        (classes.assign(kind=PAIR["kind"].where(classes["a"] != 5, "-")), PAIR),
    ):
        with pytest.raises(InputError, match=certain.replace("None", "(None|-)")):
            pair(tmp_path, train, test)
    both = classes.assign(kind=["None", "other", "more"] * 2)
    assert pair(tmp_path, both, both, missing_values=["None"]).facts[0].class_names == ("more", "other")
    assert pair(tmp_path, classes, classes, words=["kind"]).facts[0].class_names == ("None", "other")


def test_options_of_gaps_go_round_by_the_spec_and_are_left_out_at_their_defaults(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "missing": "drop_rows",
        "missing_values": [-999, "unknown", 0.5],
        "words": ["colour"],
        "day_first": False,
    }
    told = pair(tmp_path, PAIR, PAIR, **options)
    text = yaml_reader.dump(told, tmp_path)
    (tmp_path / "spec.yaml").write_text(text)
    again = yaml_reader.read(tmp_path / "spec.yaml")
    assert isinstance(again.sources[0], TableData)
    assert again.sources[0] == told.sources[0]
    assert again.sources[0].load().facts == told.sources[0].load().facts
    plain = yaml_reader.dump(pair(tmp_path, PAIR, PAIR, missing="impute"), tmp_path)
    assert not re.search("(?m)^  (missing|words|day_first)", plain)


def test_a_part_without_a_value_is_of_the_type_of_the_other(tmp_path: Path) -> None:
    """Test rows, or training rows, in which a column of text is empty from end to end."""
    for train, test in ((PAIR, PAIR.assign(colour=None)), (PAIR.assign(colour=None), PAIR)):
        made = pair(tmp_path, train, test).sources[0].load()
        assert np.isfinite(made.x_train).all()
        assert np.isfinite(made.x_test).all()


def test_notes_on_very_many_columns_are_few(tmp_path: Path) -> None:
    """200 columns with a gap each, and with a word each that only test rows have: a screen of notes, not 400."""
    train = pd.DataFrame(
        {f"c{i}": ["red", "blue", None, "red", "blue", "red"] for i in range(200)} | {"kind": PAIR["kind"]}
    )
    test = train.assign(**{f"c{i}": f"new {i}" for i in range(200)})
    notes = pair(tmp_path, train, test).facts[0].notes
    assert len(notes) == 10
    assert notes[0].startswith("train.csv: columns 'c0' (1), 'c1' (1), ")
    assert "'c4' (1) and 195 more: gaps are a word of their own" in notes[0]
    assert (
        notes[1]
        == "train.csv: column 'c0': 6 test rows have words that no training row has ('new 0'): 0 in every input"
    )
    assert notes[-1] == "train.csv: 192 more columns: the same, with other words"


def test_a_value_of_the_target_is_named_by_its_line_whatever_was_dropped_before(tmp_path: Path) -> None:
    table = PAIR.assign(kind=["1.5", "", "2.5", "-3.5", "4.5", "5.5"])
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        InputError, match=r"/t\.csv:5: column 'kind': target_scale log needs a target above 0, got -3\.5"
    ):
        spec(tmp_path / "t.csv", target_scale="log")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_spelling_that_no_column_has_is_said(tmp_path: Path, suffix: str) -> None:
    """A slip of the pen would leave `unknown` a word, and -999 a number."""
    table = PAIR.assign(a=[1.0, 5.0, 2.0, -999.0, 9.0, 3.0], when=["2020-01-01"] * 5 + ["never"])
    table = table.assign(price=["$1", "$2", "free", "$3", "$1", "$2"], colour=["red", "blue", "unknown"] * 2)
    file = tmp_path / f"t.{suffix}"
    table.to_csv(file, index=False) if suffix == "csv" else table.to_parquet(file, index=False)
    told = ["unknown", -999, "never", "free"]
    lost = "missing_values: no column has "
    assert not any(lost in note for note in spec(file, missing_values=told).facts[0].notes)
    notes = spec(file, missing_values=[*told, "unkown", -99]).facts[0].notes
    assert f"t.{suffix}: {lost}'unkown', -99" in notes


def test_words_beyond_memory_are_refused_before_there_are_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"name": [f"n{i}" for i in range(300)], "kind": ["yes", "no"] * 150})
    table.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr(table_inputs, "MAX_BYTES", 200_000)
    with pytest.raises(InputError, match="at most 50000 inputs over all rows, got 300 rows of 240 inputs"):
        spec(tmp_path / "t.csv", words=["name"])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([True], "an entry of missing_values must be text or a finite number, got true; text is written in quotes"),
        ([None], "an entry of missing_values must be text or a finite number, got null"),
        (["x", math.nan], "an entry of missing_values must be text or a finite number, got nan"),
        ([math.inf], "an entry of missing_values must be text or a finite number, got inf"),
    ],
)
def test_spellings_of_gaps_are_text_or_numbers(written: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i},{'pq'[i % 2]}\n" for i in range(20)))
    with pytest.raises(SpecProblem) as refused:
        read_options({"file": "t.csv", "target": "y", "missing_values": written}, tmp_path)
    assert message in str(refused.value)
