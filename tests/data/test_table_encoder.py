"""What was learned from a table makes the same inputs of the same rows later: bit for bit, from a file, a frame, or without target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mlpbench.base.errors import InputError
from mlpbench.data.table.table_data import TableData, read_options
from mlpbench.data.table.table_encoder import TableEncoder

SCALES = ("standard", "robust", "minmax", "quantile", "none")


def drawn(seed: int, rows: int = 80) -> pd.DataFrame:
    """Return a table of all types of columns, with gaps, words that come seldom, dates, and columns that hold still."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(3, 2, rows),
            "count": rng.integers(-5, 50, rows),
            "price": [f"${v:,.2f}" for v in rng.uniform(500, 5000, rows)],
            "colour": rng.choice(["red", "green", "NA", "blue", ""], rows),
            "rare": np.where(np.arange(rows) % 20 == seed % 20, [f"w{i}" for i in range(rows)], "usual"),
            "flag": rng.choice(["true", "false"], rows),
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "still": 7,
            "gone": np.nan,
            "digits": rng.choice(["1", "2", "x"], rows),
        }
    )
    frame.loc[rng.random(rows) < 0.2, "size"] = np.nan
    frame["target"] = rng.choice(["yes", "no"], rows)
    return frame


def graded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a column of ordered categories too."""
    order = ["low", "mid", "high"]
    words = [order[i % 3] for i in range(len(frame))]
    return frame.assign(grade=pd.Categorical(words, categories=order, ordered=True))


def table_of(folder: Path, frame: pd.DataFrame, test: pd.DataFrame, suffix: str = ".csv", **options: Any) -> TableData:
    for name, part in (("train", frame), ("test", test)):
        path = folder / f"{name}{suffix}"
        part.to_csv(path, index=False) if suffix == ".csv" else part.to_parquet(path, index=False)
    written = {
        "file": f"train{suffix}",
        "test_file": f"test{suffix}",
        "target": "target",
        "words": ["digits"],
    } | options
    return read_options(written, folder)


def again(encoder: TableEncoder) -> TableEncoder:
    """Return an encoder as a file of weights has it."""
    return TableEncoder.model_validate_json(encoder.model_dump_json(exclude_defaults=True))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(3))
def test_rows_become_the_inputs_that_they_were_in_training(seed: int, scale: str, suffix: str, tmp_path: Path) -> None:
    train, test = drawn(seed), drawn(100 + seed, 40)
    if suffix == ".parquet":
        train, test = graded(train), graded(test)
    data = table_of(tmp_path, train, test, suffix, scale=scale)
    encoder, arrays = again(data.encoder()), data.load()
    for name, x, frame in (("train", arrays.x_train, train), ("test", arrays.x_test, test)):
        found = encoder.read(tmp_path / f"{name}{suffix}", name)
        assert found.x.dtype == np.float32
        np.testing.assert_array_equal(found.x, x)
        assert found.known.all()
        without = frame.drop(columns="target").iloc[:, ::-1].assign(more="new")
        path = tmp_path / f"new{suffix}"
        without.to_csv(path, index=False) if suffix == ".csv" else without.to_parquet(path, index=False)
        np.testing.assert_array_equal(encoder.read(path, name).x, x)
        if suffix == ".parquet":
            np.testing.assert_array_equal(encoder.of_frame(without).x, x)
    assert encoder.width == arrays.x_train.shape[1]


def test_a_word_column_that_looks_like_numbers_now_is_still_words(tmp_path: Path) -> None:
    train = drawn(1)
    encoder = table_of(tmp_path, train, drawn(2, 40)).encoder()
    only = train.assign(digits="1", colour="7").drop(columns="target")
    only.to_csv(tmp_path / "new.csv", index=False)
    start = [sum(c.width for c in encoder.columns[:i]) for i in range(len(encoder.columns))]
    at = {c.name: slice(s, s + c.width) for c, s in zip(encoder.columns, start)}
    found, was = encoder.read(tmp_path / "new.csv", "n"), encoder.read(tmp_path / "train.csv", "t").x
    is_one = train["digits"] == "1"
    np.testing.assert_array_equal(found.x[is_one, at["digits"]], was[is_one, at["digits"]])
    assert (found.x[:, at["colour"]] == 0).all()
    assert "column 'colour': 80 rows have words that no training row has ('7'): 0 in every input" in found.notes


def test_what_was_never_seen_is_said(tmp_path: Path) -> None:
    encoder = table_of(tmp_path, drawn(1), drawn(2, 40)).encoder()
    new = drawn(1, 3).drop(columns="target").assign(colour="violet", more=1)
    found = encoder.of_frame(new)
    assert "column 'colour': 3 rows have words that no training row has ('violet'): 0 in every input" in found.notes
    assert "column 'more': nothing was learned of it, passed over" in found.notes


@pytest.mark.parametrize("missing", ["drop_rows", "refuse"])
def test_rows_with_gaps_have_no_prediction_where_none_was_trained_on(missing: str, tmp_path: Path) -> None:
    train = drawn(1).drop(columns=["size", "colour", "gone"])
    encoder = table_of(tmp_path, train, train.iloc[:30], missing=missing).encoder()
    new = train.drop(columns="target").iloc[:5].astype({"count": float})
    new.iloc[2, 0] = np.nan
    found = encoder.of_frame(new)
    assert found.known.tolist() == [True, True, False, True, True]
    assert "column 'count' (1): rows with gaps have no prediction, as none was trained on" in found.notes


@pytest.mark.parametrize("target", [1, -1, 3])
def test_columns_without_names_are_known_by_their_order(target: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 5))
    np.savetxt(tmp_path / "t.csv", values, delimiter=",", fmt="%.17g")
    data = read_options({"file": "t.csv", "target": target, "target_scale": "none"}, tmp_path)
    encoder, arrays = again(data.encoder()), data.load()
    at = target - 1 if target > 0 else 4
    without = np.delete(values, at, axis=1)
    np.savetxt(tmp_path / "new.csv", without, delimiter=",", fmt="%.17g")
    whole = encoder.read(tmp_path / "t.csv", "t").x
    np.testing.assert_array_equal(encoder.read(tmp_path / "new.csv", "n").x, whole)
    np.testing.assert_array_equal(encoder.of_array(without).x, whole)
    of_target = values[:, at].astype(np.float32)
    order = [int(np.flatnonzero(of_target == y)[0]) for y in np.concatenate([arrays.y_train, arrays.y_test])]
    np.testing.assert_array_equal(whole[order], np.concatenate([arrays.x_train, arrays.x_test]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["size", "flag"]), "got no columns 'size', 'flag'"),
        (lambda f: f.rename(columns={"size": "sise"}), "got no column 'size'; did you mean 'sise'?"),
        (
            lambda f: f.assign(flag="a"),
            "column 'flag': a column must hold true and false, as those learned from, got text",
        ),
        (
            lambda f: f.assign(day=3),
            "column 'day': a column must hold numbers in days since 1970-01-01, as those learned from, got plain numbers",
        ),
        (lambda f: f.assign(size="big"), "column 'size': a column must hold numbers, as those learned from, got text"),
        (lambda f: f.iloc[:0], "rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    encoder = table_of(tmp_path, drawn(1), drawn(2, 40)).encoder()
    change(drawn(1).drop(columns="target")).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(InputError) as refused:
        encoder.read(tmp_path / "new.csv", "new.csv")
    assert message in str(refused.value)


def test_categories_have_the_order_that_was_learned(tmp_path: Path) -> None:
    train = graded(drawn(1, 60))
    encoder = table_of(tmp_path, train, train.iloc[:30], ".parquet").encoder()
    new = train.drop(columns="target").iloc[:6]
    expected = encoder.of_frame(new).x
    np.testing.assert_array_equal(encoder.of_frame(new.assign(grade=list(new["grade"]))).x, expected)
    with pytest.raises(InputError, match="ordered categories must be those learned from"):
        encoder.of_frame(new.assign(grade="hihg"))


def rows_of(text: str, tmp_path: Path, **options: Any) -> tuple[TableEncoder, Path]:
    """Write a table of text and return its encoder, and the place of new rows."""
    (tmp_path / "t.csv").write_text(text)
    data = read_options({"file": "t.csv", "target": "y", "scale": "none", **options}, tmp_path)
    return again(data.encoder()), tmp_path / "new.csv"


def test_the_decimal_mark_that_was_learned_is_that_of_new_rows(tmp_path: Path) -> None:
    """`1.250` is 1250 beside `0,5`, and 1.25 beside `0.5`, whatever else the new rows have."""
    comma, new = rows_of("a;b;y\n" + "".join(f"1.{100 + i};0,{i}5;{'pq'[i % 2]}\n" for i in range(40)), tmp_path)
    new.write_text("a;b\n1.250;7\n")
    assert comma.read(new, "n").x.tolist() == [[1250, 7]]
    assert comma.of_frame(pd.DataFrame({"a": ["1.250"], "b": ["7"]})).x.tolist() == [[1250, 7]]
    point, new = rows_of("a,b,y\n" + "".join(f"{i}.5,1,{'pq'[i % 2]}\n" for i in range(40)), tmp_path)
    new.write_text('a,b,extra\n1.250,7,"1,5"\n')
    assert point.read(new, "n").x.tolist() == [[1.25, 7]]
    new.write_text('a,b\n"1,25",7\n')
    with pytest.raises(InputError, match="column 'a'"):
        point.read(new, "n")


@pytest.mark.parametrize(("learned", "other"), [(".", ","), (",", ".")])
def test_rows_with_the_other_decimal_mark_are_told_how_to_say_so(learned: str, other: str, tmp_path: Path) -> None:
    """To take the first for a gap, or all for words, would make other numbers of them, or none."""
    text = "a;b;y\n" + "".join(f"{i}{learned}25;1;{'pq'[i % 2]}\n" for i in range(40))
    encoder, new = rows_of(text, tmp_path)
    new.write_text(f"a;b\n3{other}75;1\n51{other}26;1\n")
    with pytest.raises(InputError) as raised:
        encoder.read(new, "n")
    assert f"here '{learned}', got '3{other}75'; all of them are numbers with '{other}'" in str(raised.value)
    assert str(raised.value).endswith(f"say `--set decimal={other}`")
    assert encoder.read(new, "n", {"decimal": other}).x.tolist() == [[3.75, 1], [np.float32(51.26), 1]]
    new.write_text(f"a;b\n3{learned}75;1\n51{other}26;1\n")
    with pytest.raises(InputError, match="missing_values"):
        encoder.read(new, "n")


@pytest.mark.parametrize(
    ("name", "way"), [("new.xlsx", "save the sheet as csv"), ("new.json", "read_json('new.json')")]
)
def test_new_rows_of_another_format_are_told_how_to_become_one(name: str, way: str, tmp_path: Path) -> None:
    encoder, _ = rows_of("a;y\n" + "".join(f"{i}.25;{'pq'[i % 2]}\n" for i in range(40)), tmp_path)
    with pytest.raises(InputError) as raised:
        encoder.read(tmp_path / name, name)
    assert way in str(raised.value)


@pytest.mark.parametrize(("day", "first"), [("{}/03/2004", True), ("03/{}/2004", False)])
def test_the_order_of_day_and_month_that_was_learned_is_that_of_new_rows(day: str, first: bool, tmp_path: Path) -> None:
    text = "d,y\n" + "".join(f"{day.format(i + 1)},{'pq'[i % 2]}\n" for i in range(28))
    encoder, new = rows_of(text, tmp_path)
    new.write_text("d\n03/04/2004\n")
    expected = pd.Timestamp(2004, 4 if first else 3, 3 if first else 4)
    assert encoder.read(new, "n").x.tolist() == [[(expected - pd.Timestamp(0)).days]]


def test_a_test_file_is_read_by_the_marks_of_the_training_file(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("a;b;y\n1.250;7;p\n1.300;7;q\n")
    text = "a;b;y\n" + "".join(f"1.{100 + i};0,{i}5;{'pq'[i % 2]}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(text)
    data = read_options({"file": "t.csv", "test_file": "test.csv", "target": "y", "scale": "none"}, tmp_path)
    assert data.load().x_test[:, 0].tolist() == [1250, 1300]


def test_classes_of_a_test_file_may_have_a_point(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    (tmp_path / "test.csv").write_text("a,y\n1.5,0.0\n2.5,1.0\n")
    data = read_options({"file": "t.csv", "test_file": "test.csv", "target": "y"}, tmp_path)
    assert data.facts.class_names == ("0", "1")


def test_a_target_too_small_to_be_scaled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a target must have a standard deviation that float64 holds"):
        rows_of("a,y\n" + "".join(f"{i},{i + 0.5}e-200\n" for i in range(40)), tmp_path)


def test_a_header_of_numbers_that_were_names_is_a_header(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(40, 3)).round(3), columns=["2019", "2020", "2021"])
    frame.assign(y=["p", "q"] * 20).to_parquet(tmp_path / "t.parquet", index=False)
    encoder = read_options({"file": "t.parquet", "target": "y"}, tmp_path).encoder()
    frame[["2021", "2019", "2020"]].to_csv(tmp_path / "new.csv", index=False)
    found = encoder.read(tmp_path / "new.csv", "n")
    np.testing.assert_array_equal(found.x, encoder.of_frame(frame).x)
    assert found.notes == ()


@pytest.mark.parametrize("drop", [None, [2]])
@pytest.mark.parametrize("name", ["x", "x_train", "data"])
def test_rows_of_an_npz_file_are_predicted_by_what_was_learned_of_one(
    name: str, drop: list[int] | None, tmp_path: Path
) -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(40, 2, 2)), np.arange(40) % 2
    arrays: dict[str, Any] = {name: x, name.replace("x", "y").replace("data", "y"): y}
    arrays |= {"x_test": x[:8], "y_test": y[:8]} if name == "x_train" else {}
    np.savez(tmp_path / "t.npz", **arrays)
    options = {} if drop is None else {"drop": drop}
    data = read_options({"file": "t.npz", **options}, tmp_path)
    encoder = again(data.encoder())
    learned = [0, 1, 2, 3] if drop is None else [0, 2, 3]
    expected = encoder.of_array(x.reshape(40, 4)[:, learned]).x
    new: dict[str, Any]
    for new in ({name: x}, {"alone": x}, {name: x, "more": y}, {name: x.reshape(40, 4)[:, learned]}):
        np.savez(tmp_path / "new.npz", **new)
        np.testing.assert_array_equal(encoder.read(tmp_path / "new.npz", "n").x, expected)
    for new, message in (
        ({"a": x, "b": y}, f"must be the array {name}, or one that is alone, got a, b"),
        ({name: x[:, 0]}, "must be the"),
    ):
        np.savez(tmp_path / "new.npz", **new)
        with pytest.raises(InputError, match=message):
            encoder.read(tmp_path / "new.npz", "n")


def test_what_differs_from_training_can_be_said(tmp_path: Path) -> None:
    encoder, new = rows_of(
        "a,d,y\n" + "".join(f"{i}.5,{i % 12 + 1}/{i % 28 + 1}/2004,{'pq'[i % 2]}\n" for i in range(40)), tmp_path
    )
    new.write_text("a,d\n1.25,3/4/2004\n,3/4/2004\n")
    expected = encoder.read(new, "n").x
    new.write_text("% of a page\nd;a\n4/3/2004;1,25\n4/3/2004;none given\n", encoding="utf-16-le")
    other = {
        "separator": ";",
        "decimal": ",",
        "day_first": True,
        "encoding": "utf-16-le",
        "comment": "%",
        "missing_values": ("none given",),
    }
    np.testing.assert_array_equal(encoder.read(new, "n", other).x, expected)
    with pytest.raises(InputError):
        encoder.read(new, "n")
    pd.DataFrame({"a": [1.25], "d": ["3/4/2004"]}).to_parquet(tmp_path / "new.parquet")
    with pytest.raises(InputError, match="separator must be left out where the file is no text"):
        encoder.read(tmp_path / "new.parquet", "n", {"separator": ";"})


@pytest.mark.parametrize("options", [{"target": 1, "drop": [4]}, {"target": -1}])
def test_rows_without_names_are_never_used_a_column_off(options: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(40, 5))
    np.savetxt(tmp_path / "t.csv", values, delimiter=",", fmt="%.17g")
    encoder = read_options({"file": "t.csv", **options}, tmp_path).encoder()
    learned = [int(c.name) - 1 for c in encoder.columns]
    whole = encoder.of_array(values).x
    np.testing.assert_array_equal(encoder.of_array(values[:, learned]).x, whole)
    frame = pd.DataFrame(values[:, learned])
    for other in (values[:, 1:4][:, :2], np.hstack([values, values])):
        with pytest.raises(InputError, match="columns without names must be the"):
            encoder.of_array(other)
    np.testing.assert_array_equal(encoder.of_frame(frame).x, whole)


@pytest.mark.parametrize(
    "change",
    [
        {"scaled": [0, 99]}, {"scaled": [-1]}, {"constant": [1000]}, {"centre": [1.0]}, {"spread": [0.0, 0.0]},
        {"scale": "quantile"}, {"quantiles": [[]]},
    ],
)  # fmt: skip
def test_scales_that_fit_no_columns_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(f"{i},{i * i},{'pq'[i % 2]}\n" for i in range(40)))
    tree = read_options({"file": "t.csv", "target": "y"}, tmp_path).encoder().model_dump(mode="json")
    with pytest.raises(ValidationError):
        TableEncoder.model_validate_json(json.dumps(tree | {"scale": tree["scale"] | change}))
