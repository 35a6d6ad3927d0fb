"""How the values of a column are read: numbers with marks, dates, times, categories in order; what is refused, and what noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.base.errors import InputError
from mlpbench.data.formats.columns import Column, ColumnOptions, ColumnPlace
from mlpbench.data.formats.written_columns import written_columns
from mlpbench.data.table.table_data import TableData
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment

PROPERTY = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
PLAIN = ColumnOptions()


def read(*columns: list[str], options: ColumnOptions = PLAIN) -> list[Column]:
    """Return columns a, b, ... of a text file."""
    names = [chr(ord("a") + i) for i in range(len(columns))]
    places = [ColumnPlace(file="t.csv", column=n, line=lambda row: row + 2) for n in names]
    return written_columns(places, [pa.array(c, pa.string()) for c in columns], options)


def spec(folder: Path, table: pd.DataFrame, **options: Any) -> Experiment:
    table.to_parquet(folder / "t.parquet", index=False)
    dataset = {"file": folder / "t.parquet", "target": "kind", "scale": "none", **options}
    return yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})


SPELLINGS: dict[str, tuple[Callable[[float], str], str]] = {
    "decimal comma": (lambda v: f"{v:.2f}".replace(".", ","), "numbers with a decimal comma"),
    "thousands": (lambda v: f"{v:,.2f}", "numbers with ',' between thousands"),
    "both": (
        lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")),
        "numbers with a decimal comma and '.' between thousands",
    ),
    "spaces": (lambda v: f"{v:,.2f}".replace(",", " "), "numbers with ' ' between thousands"),
    "narrow spaces": (
        lambda v: f"{v:,.2f}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
        "numbers with '\\u202f' between thousands",
    ),
    "apostrophes": (lambda v: f"{v:,.2f}".replace(",", "'"), """numbers with "'" between thousands"""),
    "dollars": (lambda v: f"{'-' * (v < 0)}${abs(v):.2f}", "numbers with '$'"),
    "dollars and thousands": (lambda v: f"${v:,.2f}", "numbers with ',' between thousands and '$'"),
    "euros behind": (lambda v: f"{v:.2f} €".replace(".", ","), "numbers with a decimal comma and '€'"),
    "per cent": (lambda v: f"{v:.2f}%", "numbers with '%' (12% is 12)"),
    "minus sign": (lambda v: f"{v:.2f}".replace("-", "\N{MINUS SIGN}"), "numbers"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(cents=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=30))
@PROPERTY
def test_a_number_with_marks_is_the_number_and_noted(spelling: str, cents: list[int]) -> None:
    """A value with two decimals shows its mark; -1234567.89 and 0.5 show every form, and so stand first."""
    spell, note = SPELLINGS[spelling]
    values = [-1234567.89, 0.5, *(c / 100 for c in cents)]
    (column,) = read([spell(v) for v in values])
    assert column.type == "number"
    assert column.values.tolist() == values
    assert not column.whole
    assert column.notes == (note,)


def test_a_column_that_shows_no_mark_follows_the_others() -> None:
    """`1,234` is 1.234 beside a column of decimal commas, and 1234 beside decimal points; alone, it is what is said."""
    unclear, comma, point = ["1,234", "5,678"], ["0,5", "1,25"], ["0.5", "1.25"]
    assert read(unclear, comma)[0].values.tolist() == [1.234, 5.678]
    assert read(unclear, point)[0].values.tolist() == [1234, 5678]
    for columns in ([unclear], [unclear, point, comma]):
        with pytest.raises(InputError, match=r"column 'a': it must be certain .* got '1,234'; say `decimal: ','` or"):
            read(*columns)
    assert read(unclear, options=ColumnOptions(decimal="."))[0].values.tolist() == [1234, 5678]
    said = read(unclear, point, comma, options=ColumnOptions(decimal=","))
    assert said[0].values.tolist() == [1.234, 5.678]
    other = "numbers have the decimal mark '.', not ',' as `decimal` says"
    assert [other in column.notes for column in said] == [False, True, False]
    assert read(["1.234", "5.678"])[0].values.tolist() == [1.234, 5.678]
    assert read(["1.234", "5.678"], comma)[0].values.tolist() == [1234, 5678]
    assert read(["1.234", "5.678"], point)[0].values.tolist() == [1.234, 5.678]
    assert read(["1", "23"], comma)[0].whole
    assert read(["001", "002"])[0].values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1,5", "2.5", "3"], "column 'a': numbers of a column must have one decimal mark, here '.', got '1,5'"),
        (["$5", "6", "€7"], "numbers of a column must have one unit, here that of '$5', got '6'; write all of them with '$', or none"),
        (["$5", "€7"], "numbers of a column must have one unit, here that of '$5', got '€7'; write all of them in one"),
        (["12%", "0.5", "3%"], "numbers of a column must have one unit, here that of '12%', got '0.5'; write all of them with '%', or none"),
        (["2004-02-28", "0000-00-00"], "got '0000-00-00'; `missing_values: ['0000-00-00']` takes it for a gap, `words: [a]`"),
        (["1", "2", "many", "3"], ":4: column 'a': a column must hold one kind of value, got 'many' among numbers; `missing_values: ['many']` takes it for a gap, `words: [a]` takes all values for words"),
        (["low", "high", "5%", "mid"], "got '5%' among text; `words: [a]`"),
        (["true", "false", "unknown", "true"], "got 'unknown' among true and false; `missing_values: ['unknown']`"),
        (["1.5", "inf", "$", "2"], "got 'inf' among numbers; `missing_values: ['inf']`"),
        (["1.5", "inf", "2"], "a number must be finite, got 'inf' among numbers; `missing_values: [inf]`"),
        (["03/04/2004", "05/06/2004"], "say `day_first: true`"),
        (["03/04/2004", "13/14/2004"], "a date must be one of the calendar"),
        (["2004-02-30", "2004-02-28"], ":2: column 'a': a date must be one of the calendar"),
        (["2004-02-28", "later", "2004-02-29"], "got 'later' among dates and times"),
        (["03/04/04", "13/04/04"], ":2: column 'a': a date must have a year of four digits, got '03/04/04'; write years with four digits, or name the column in `words`"),
        (["3-Mar-04", "14-Apr-05"], "a date must have a year of four digits, got '3-Mar-04'"),
        (["10:00", "25:00"], "a time one of the clock, got '25:00'"),
        (["2004-02-28", "28.02.2004"], "dates and times of a column must have one form"),
    ],
)  # fmt: skip
def test_what_is_no_number_and_no_word_is_refused_with_a_way_forward(values: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(values)
    assert message in str(caught.value)
    (column,) = read(values, options=ColumnOptions(words=("a",)))
    assert (column.type, column.words) == ("word", tuple(sorted(set(values))))


FORMATS: dict[str, tuple[str, str]] = {
    "ISO": ("%Y-%m-%d", "dates, as days since 1970-01-01"),
    "slashes": ("%Y/%m/%d", "dates, as days since 1970-01-01"),
    "German": ("%d.%m.%Y", "dates with the day first, as days since 1970-01-01"),
    "English": ("%d/%m/%Y", "dates with the day first, as days since 1970-01-01"),
    "American": ("%m/%d/%Y", "dates with the month first, as days since 1970-01-01"),
    "month's name": ("%d-%b-%Y", "dates, as days since 1970-01-01"),
    "in words": ("%B %d, %Y", "dates, as days since 1970-01-01"),
    "ISO with time": ("%Y-%m-%dT%H:%M:%S", "dates and times, as seconds since 1970-01-01 (UTC)"),
    "with time": ("%d/%m/%Y %H:%M:%S", "dates and times with the day first, as seconds since 1970-01-01 (UTC)"),
    "half days": ("%Y-%m-%d %I:%M:%S %p", "dates and times, as seconds since 1970-01-01 (UTC)"),
    "zone": ("%Y-%m-%d %H:%M:%S+00:00", "dates and times, as seconds since 1970-01-01 (UTC)"),
}


@pytest.mark.parametrize("form", FORMATS)
@given(moments=st.lists(st.datetimes(pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1)), min_size=1, max_size=20))
@PROPERTY
def test_a_date_is_its_days_or_seconds_since_1970(form: str, moments: list[Any]) -> None:
    """Against the arithmetic of numpy; 31 January 2001, at noon, shows what is the day, and that there are times."""
    written, note = FORMATS[form]
    unit = "s" if "seconds" in note else "D"
    values = [pd.Timestamp(2001, 1, 31, 12).to_pydatetime(), *moments]
    (column,) = read([f"{v:{written}}" for v in values])
    expected = np.array(values, "datetime64[us]").astype(f"datetime64[{unit}]").astype(np.int64)
    assert column.values.tolist() == expected.tolist()
    assert column.notes == (note,)
    assert not column.whole


def test_other_forms_of_dates_and_times() -> None:
    assert read(["1949-01", "1949-02"])[0].values.tolist() == [-7670, -7639]
    assert read(["18:00", "0:30"])[0].values.tolist() == [64800, 1800]
    assert read(["18.00.00", "03.00.01"])[0].values.tolist() == [64800, 10801]
    assert read(["12:00 AM", "12:30 pm"])[0].values.tolist() == [0, 45000]
    assert read(["2000-01-01 00:00+02:00"])[0].values.tolist() == [946684800 - 7200]
    day = ColumnOptions(day_first=True)
    assert read(["03/04/2004"], options=day)[0].values.tolist() == [12511]
    assert read(["2004-03-10", "", "NA"])[0].values[0] == 12487
    assert read(["2004", "2005"])[0].notes == ()


def test_dates_of_a_parquet_file_are_numbers(tmp_path: Path) -> None:
    when = pd.date_range("2020-01-01", periods=20)
    table = pa.table(
        {
            "day": pa.array(when.date),
            "stamp": pa.array(when + pd.Timedelta("1h")),
            "there": pa.array(when.tz_localize("Europe/Berlin")),
            "clock": pa.array((when + pd.Timedelta("90s")).time),
            "lasts": pa.array(pd.to_timedelta(np.arange(20), "m")),
            "text": [f"{t:%Y-%m-%d}" for t in when],
            "price": [f"${i},000.50" for i in range(1, 21)],
            "kind": ["yes", "no"] * 10,
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    dataset = {"file": tmp_path / "t.parquet", "target": "kind", "scale": "minmax"}
    experiment = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})
    said = "\n".join(experiment.facts[0].notes)
    for note in (
        "columns 'day', 'text': dates, as days since 1970-01-01",
        "columns 'stamp', 'there': dates and times, as seconds since 1970-01-01 (UTC)",
        "column 'clock': times, as seconds since midnight",
        "column 'lasts': durations, as seconds",
        "column 'price': numbers with ',' between thousands and '$'",
        "column 'clock': one value in the training rows: its inputs are 0",
    ):
        assert note in said
    x = np.concatenate([experiment.sources[0].load().x_train, experiment.sources[0].load().x_test])
    order = np.argsort(x[:, 0])
    for i in (1, 2, 4, 5, 6):
        assert (np.diff(x[order, i]) > 0).all()


def test_dates_meet_dates_with_times_and_nothing_else(tmp_path: Path) -> None:
    """Midnight in one file and noon in the other: both in seconds."""
    days = [f"2020-01-{d:02}" for d in range(1, 21)]
    rows = pd.DataFrame({"when": days, "kind": ["yes", "no"] * 10})
    rows.to_csv(tmp_path / "train.csv", index=False)

    def tested(when: list[str]) -> Experiment:
        rows.assign(when=when).to_csv(tmp_path / "test.csv", index=False)
        files = {"file": tmp_path / "train.csv", "test_file": tmp_path / "test.csv"}
        return yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": {**files, "target": "kind"}})

    made = tested([f"{d} 12:00" for d in days]).sources[0].load()
    gap = np.diff(made.x_train[:, 0])[0]
    assert made.x_test[:, 0] - made.x_train[:, 0] == pytest.approx(gap / 2, rel=1e-3)
    with pytest.raises(InputError, match=r"test\.csv: column 'when': a column must hold numbers in days since 1970"):
        tested([str(i) for i in range(20)])


def test_ordered_categories_are_numbers_in_their_order_and_classes_in_it(tmp_path: Path) -> None:
    sizes = pd.Categorical(["small", "large", "mid", "mid"] * 5, ["small", "mid", "large", "huge"], ordered=True)
    table = pd.DataFrame({"size": sizes, "kind": ["yes", "no", "no", "yes"] * 5})
    experiment = spec(tmp_path, table)
    assert experiment.facts[0].notes == (
        "t.parquet: column 'size': ordered categories, 'small' < 'mid' < 'large' < 'huge'",
    )
    made = experiment.sources[0].load()
    assert made.x_train.shape == (16, 1)
    assert set(made.x_train[:, 0].tolist()) == {0, 1, 2}
    aim = spec(tmp_path, table.assign(a=np.arange(20) % 7), target="size")
    assert aim.facts[0].class_names == ("small", "mid", "large")
    assert spec(tmp_path, table, words=["size"]).facts[0].n_features == 3
    plain = table.assign(size=sizes.as_unordered())
    assert spec(tmp_path, plain).facts[0].n_features == 3


def test_a_test_file_has_the_categories_of_the_file_in_their_order(tmp_path: Path) -> None:
    """Test rows may be of text, which has no order of its own, and of any of the categories; but of no others."""
    order = ["small", "mid", "large"]
    table = pd.DataFrame({"size": ["small", "large", "mid", "mid"] * 5, "kind": ["yes", "no", "no", "yes"] * 5})
    table.assign(size=pd.Categorical(table["size"], order, ordered=True)).to_parquet(tmp_path / "train.parquet")
    files = {"file": tmp_path / "train.parquet", "test_file": tmp_path / "test.parquet", "target": "kind"}

    def tested(sizes: Any, **options: Any) -> Any:
        table.assign(size=sizes).to_parquet(tmp_path / "test.parquet")
        dataset = {**files, "scale": "none", **options}
        return yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset}).sources[0].load()

    assert tested(["large"] * 20).x_test[:, 0].tolist() == [2] * 20
    assert tested(pd.Categorical(["mid"] * 20, order, ordered=True)).x_test[:, 0].tolist() == [1] * 20
    for sizes in (["huge"] * 20, pd.Categorical(["mid"] * 20, order[::-1], ordered=True)):
        with pytest.raises(
            InputError, match=r"test\.parquet: column 'size': ordered categories must be those of .*words: "
        ):
            tested(sizes)
        assert tested(sizes, words=["size"]).x_train.shape == (20, 3)


def test_numbers_are_words_where_that_is_said(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"zip": [10115, 20095, 80331, 10115] * 5, "flag": [True, False] * 10, "kind": ["yes", "no"] * 10}
    )
    made = spec(tmp_path, table, words=["zip", "flag"]).sources[0].load()
    assert made.x_train.shape == (16, 5)
    assert (made.x_train.sum(1) == 2).all()
    table.to_csv(tmp_path / "t.csv", index=False)
    dataset = {"file": tmp_path / "t.csv", "target": "kind", "words": ["zip"]}
    csv = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})
    assert csv.facts[0].n_features == 4
    np.savez(tmp_path / "t.npz", x=table[["zip", "flag"]].to_numpy(float), y=np.arange(20) % 2)
    npz = {"file": tmp_path / "t.npz", "words": ["x[:, 0]"]}
    assert yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": npz}).facts[0].n_features == 4


@pytest.mark.parametrize(
    "values",
    [
        ["10115", "20095"], ["01", "2"], ["1.5", "-2e3"], ["True", "False"], ["true", ""], ["1,5", "2,25"], ["(5.50)", "3"], ["1k", "2k"],
        ["2004-03-10", "2004-03-11"], ["inf", "red"], ["7", "NA"], ["a ", "a"],
    ],
)  # fmt: skip
def test_text_gives_the_same_data_in_every_format(tmp_path: Path, values: list[str]) -> None:
    """A csv file, a parquet file, an array of text and a table of pandas: what all values look like decides."""
    table = pd.DataFrame(
        {"a": (values * 10)[:20], "b": np.arange(20) * 0.7 % 3, "kind": (["yes"] * 3 + ["no"] * 2) * 4}
    )
    typed = spec(tmp_path, table)
    table.to_csv(tmp_path / "t.csv", index=False)
    plain = yaml_reader.from_mapping(
        {"name": "own", "question": "?", "dataset": {"file": tmp_path / "t.csv", "target": "kind", "scale": "none"}}
    )
    assert typed.facts[0].fingerprint == plain.facts[0].fingerprint
    said = [{note.partition(": ")[2] for note in e.facts[0].notes} for e in (typed, plain)]
    is_number = values in (["10115", "20095"], ["01", "2"], ["1.5", "-2e3"], ["7", "NA"])
    note = "column 'a': numbers whose type is text; where they are words, name the column in `words`"
    assert said[0] - said[1] == ({note} if is_number else set())
    assert said[1] <= said[0]
    assert isinstance(plain.sources[0], TableData)
    encoder = plain.sources[0].encoder()
    np.testing.assert_array_equal(encoder.of_frame(table).x, encoder.read(tmp_path / "t.csv", "t").x)
    assert spec(tmp_path, table, words=["a"]).facts[0].n_features > 1


def test_text_of_several_kinds_is_words_where_its_type_is_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["12", "136A", "red"] * 10, "kind": ["yes", "no"] * 15})
    assert spec(tmp_path, table).facts[0].n_features == 3


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("(5.50) 3 (1,000)", [-5.5, 3, -1000]),
        ("1_000 12 2_500", [1000, 12, 2500]),
        ("$1 2 $3.5", [1, 2, 3.5]),
        ("($2) $4 ($3)", [-2, 4, -3]),
    ],
)
def test_numbers_of_accountants_and_programs(written: str, numbers: list[float]) -> None:
    values = written.split()
    (column,) = read(values)
    assert column.values.tolist() == numbers
    assert column.notes


@pytest.mark.parametrize(
    "values", [["1k", "2k", "2.5k"], ["0x1f", "0x2f"], ["1/5", "2/5"], ["10-20", "20-30"], ["5 kg", "7 kg"]]
)
def test_words_that_begin_with_a_number_are_noted(values: list[str]) -> None:
    (column,) = read(values * 3)
    some = ", ".join(map(repr, sorted(values)))
    assert column.words == tuple(sorted(values))
    assert column.notes == (
        f"{some} are words, though they begin with a number; write numbers alone where they are some",
    )


def test_spaces_around_words_do_not_count_and_are_noted() -> None:
    (column,) = read(["x", "x ", "y", " x"])
    assert column.words == ("x", "y")
    assert column.values.tolist() == [0, 0, 1, 0]
    assert column.notes == ("'x' and 'x ' and ' x' are one word: spaces around words do not count",)


@pytest.mark.parametrize(("distinct", "fits"), [(50, True), (51, False)])
def test_text_of_many_words_asks_what_it_is(tmp_path: Path, distinct: int, fits: bool) -> None:
    table = pd.DataFrame({"name": [f"n{i % distinct}" for i in range(300)], "kind": ["yes", "no"] * 150})
    if fits:
        assert spec(tmp_path, table).facts[0].n_features == distinct
        return
    hint = r"`drop: \[name\]` leaves it out, `words: \[name\]` makes 51 inputs of it"
    with pytest.raises(InputError, match=hint):
        spec(tmp_path, table)
    assert spec(tmp_path, table, words=["name"]).facts[0].n_features == distinct


@pytest.mark.parametrize(
    ("name", "values", "is_id"),
    [
        ("a", list(range(7, 37)), True),
        ("a", list(range(36, 6, -1)), True),
        ("a", [i * i for i in range(30)], False),
        ("patient_id", [i * i for i in range(30)], True),
        ("PassengerId", [i * i for i in range(30)], True),
        ("ID number", [i * i for i in range(30)], True),
        ("humid", [i * i for i in range(30)], False),
        ("a", [2**60 + i % 7 for i in range(30)], True),
        ("id", [i % 5 for i in range(30)], False),
        ("id", [i + 0.5 for i in range(30)], False),
        ("a", list(range(9)), False),
    ],
)
def test_numbers_that_look_like_an_id_are_noted(tmp_path: Path, name: str, values: list[float], is_id: bool) -> None:
    table = pd.DataFrame({name: values, "kind": (["yes", "no"] * 15)[: len(values)]})
    experiment = spec(tmp_path, table)
    what = (
        "whole numbers beyond 2^53, of which two may be read as one"
        if values[0] > 2**53
        else "whole numbers, all different"
    )
    note = f"t.parquet: column {name!r}: {what}: an id? `drop` leaves out what is no input"
    note += ", `words` takes them as they are written" * (values[0] > 2**53)
    assert experiment.facts[0].notes == ((note,) if is_id else ())
    assert experiment.facts[0].n_features == 1
