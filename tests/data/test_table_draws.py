"""Tables from which each replicate draws its own test rows: what is drawn, what is learned of it, and what never moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.data.formats.table_files import read_table
from mlpbench.data.table import table_data
from mlpbench.data.table.table_data import TableData, read_options

SCALES = ("standard", "robust", "minmax", "quantile", "none")
ROWS = 90


def frame(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Return a table whose column `row` tells rows apart, with gaps, words of which some stand in one row, and a still column."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "row": rng.permutation(rows) + 0.5,
            "size": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(3, 2, rows)),
            "seldom": np.where(np.arange(rows) == 4, 2.5, np.nan),
            "word": np.where(np.arange(rows) % 30 == 7, [f"w{i}" for i in range(rows)], "usual"),
            "flag": rng.choice(["true", "false"], rows),
            "still": 7.25,
            "kind": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
        }
    )
    table["number"] = 10 + 5 * rng.normal(size=rows)
    return table


def drawn(folder: Path, table: pd.DataFrame, target: str = "kind", **options: Any) -> TableData:
    table.to_csv(folder / "own.csv", index=False)
    other = "number" if target == "kind" else "kind"
    written = {"file": "own.csv", "target": target, "drop": [other], "resplit": True} | options
    return read_options(written, folder)


def rows_of(data: TableData, replicate: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Return which rows a draw trains on and tests on: the first input is the column that tells them apart, unscaled."""
    made = data.draw(seed, replicate)
    return made.x_train[:, 0].tolist(), made.x_test[:, 0].tolist()


def test_each_replicate_divides_all_rows_and_no_two_alike(tmp_path: Path) -> None:
    data = drawn(tmp_path, frame(), scale="none")
    tests = []
    for replicate in range(8):
        train, test = rows_of(data, replicate)
        assert sorted(train + test) == sorted(frame()["row"])
        assert (len(train), len(test)) == (data.facts.n_train, data.facts.n_test) == (72, 18)
        tests.append(frozenset(test))
    assert len(set(tests)) == 8
    assert frozenset(rows_of(data, 0, seed=1)[1]) not in tests
    assert rows_of(data, 3) == rows_of(data, 3)


def test_test_rows_are_drawn_evenly_within_each_class(tmp_path: Path) -> None:
    """Each class has its share in every replicate, and each of its rows is as likely: of 400 draws, within 4.5 errors."""
    table = frame()
    data = drawn(tmp_path, table, scale="none")
    share = data.facts.n_test / ROWS
    times = dict.fromkeys(table["row"], 0)
    for replicate in range(400):
        made = data.draw(0, replicate)
        counts = np.bincount(made.y_test, minlength=3)
        assert np.abs(counts - share * table["kind"].value_counts().sort_index().to_numpy()).max() < 1
        for row in made.x_test[:, 0]:
            times[float(row)] += 1
    for kind in "abc":
        of_kind = np.array([times[row] for row in table["row"][table["kind"] == kind]]) / 400
        assert np.abs(of_kind - of_kind.mean()).max() < 4.5 * np.sqrt(share * (1 - share) / 400)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("replicate", range(3))
def test_scales_and_medians_are_those_of_the_draws_own_training_rows(
    scale: str, replicate: int, tmp_path: Path
) -> None:
    """Against scikit-learn, of the rows that the same draw without a scale has for training."""
    table = frame()
    train, test = rows_of(drawn(tmp_path, table, scale="none"), replicate)
    made = drawn(tmp_path, table, scale=scale).draw(0, replicate)
    of_row = table.set_index("row")["size"]
    filled = [of_row[rows].fillna(of_row[train].median()).to_numpy()[:, None] for rows in (train, test)]
    known: dict[str, Any] = {
        "standard": preprocessing.StandardScaler(),
        "robust": preprocessing.RobustScaler(),
        "minmax": preprocessing.MinMaxScaler(),
        "quantile": preprocessing.QuantileTransformer(n_quantiles=72, output_distribution="normal"),
        "none": preprocessing.FunctionTransformer(),
    }
    scaler = known[scale].fit(filled[0])
    for rows, x in zip(filled, (made.x_train, made.x_test), strict=True):
        np.testing.assert_allclose(x[:, 1], scaler.transform(rows)[:, 0], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_what_no_training_row_has_is_0_and_inputs_are_the_same_ones_in_every_replicate(
    scale: str, tmp_path: Path
) -> None:
    """Words of one row, a value of one row and its gaps, and a column that holds still."""
    table = frame()
    data, plain = drawn(tmp_path, table, scale=scale), drawn(tmp_path, table, scale="none")
    names = ["row", "size", "size gap", "seldom", "seldom gap", "usual", "w37", "w67", "w7", "flag", "still"]
    assert data.facts.input_shape == (len(names),)
    lost = 0
    for replicate in range(12):
        train, _ = rows_of(plain, replicate)
        made = data.draw(0, replicate)
        x = dict(zip(names, np.concatenate([made.x_train, made.x_test]).T, strict=True))
        in_training = set(table.set_index("row").loc[train, "word"])
        for word in ("w37", "w67", "w7"):
            lost += word not in in_training
            assert x[word].any() == (word in in_training)
        if table["row"][4] not in train:
            assert not x["seldom"].any()
            assert (scale == "none") or not x["seldom gap"].any()
        assert (x["still"] == (7.25 if scale == "none" else 0)).all()
        assert set(np.unique(x["flag"])) == {0, 1}
    assert lost > 3


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("target", ["kind", "number"])
def test_the_encoder_of_a_replicate_makes_its_inputs_of_the_same_rows(scale: str, target: str, tmp_path: Path) -> None:
    table = frame()
    data = drawn(tmp_path, table, target, scale=scale)
    order = drawn(tmp_path, table, target, scale="none")
    for replicate in range(3):
        train, test = rows_of(order, replicate)
        made, encoder = data.draw(5, replicate), data.encoder(5, replicate)
        train, test = rows_of(order, replicate, seed=5)
        for rows, x in ((train, made.x_train), (test, made.x_test)):
            again = encoder.of_frame(table.set_index("row").loc[rows].reset_index().drop(columns=[target]))
            assert np.array_equal(again.x, x)
    assert data.encoder(5, 0).scale != data.encoder(5, 1).scale or scale == "none"


def test_the_targets_unit_is_of_the_whole_table_in_every_replicate(tmp_path: Path) -> None:
    table = frame()
    data = drawn(tmp_path, table, "number")
    scale = data.facts.target_scale
    assert scale is not None
    assert (scale.mean, scale.sd) == pytest.approx((table["number"].mean(), table["number"].std(ddof=0)), rel=1e-12)
    for replicate in range(3):
        made = data.draw(0, replicate)
        own = np.sort(scale.own_units(np.concatenate([made.y_train, made.y_test])))
        np.testing.assert_allclose(own, np.sort(table["number"]), rtol=1e-6)
    assert any("the unit of the target is of all rows" in note for note in data.facts.notes)


def test_facts_are_known_without_the_file_and_the_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = drawn(tmp_path, frame(1))
    written = data.as_written(tmp_path)
    assert isinstance(written, dict)
    assert written["resplit"] is True
    content = (tmp_path / "own.csv").read_bytes()
    (tmp_path / "own.csv").unlink()
    kept = read_options(written, tmp_path)
    assert kept == data
    assert kept.facts == data.facts
    assert kept.facts.is_drawn_anew
    assert kept.facts.is_resplit
    with pytest.raises(InputError, match=r"file not found: .*own.csv.*training needs the data"):
        kept.fetch()
    (tmp_path / "own.csv").write_bytes(content)
    reads = []

    def counting(*args: Any) -> Any:
        reads.append(args)
        return read_table(*args)

    monkeypatch.setattr(table_data, "read_table", counting)
    for replicate in range(3):
        kept.draw(0, replicate)
    assert len(reads) == 1


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    data = drawn(tmp_path, frame(2))
    frame(3).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(InputError, match="the data must be those of the experiment's facts"):
        data.fetch()


def test_without_resplit_a_table_is_what_it_was(tmp_path: Path) -> None:
    """The option at its default is part of no identity and of no file."""
    resplit = drawn(tmp_path, frame())
    default, said = (
        drawn(tmp_path, frame(), **options) for options in ({"resplit": False}, {"resplit": False, "test": 0.2})
    )
    assert default.as_written(None) == said.as_written(None)
    assert "resplit" not in default.as_written(None)
    assert not default.facts.is_drawn_anew
    assert resplit.facts.fingerprint != default.facts.fingerprint
    assert resplit.facts.fingerprint != drawn(tmp_path, frame(), test=0.3).facts.fingerprint
    with pytest.raises(TypeError, match="they are loaded, not drawn"):
        default.draw(0, 0)
    with pytest.raises(TypeError, match="each replicate draws its own examples"):
        resplit.load()


def test_given_test_rows_are_refused(tmp_path: Path) -> None:
    frame(4).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(
        SpecProblem, match="resplit draws test rows from all rows of file: put those of test_file there"
    ):
        drawn(tmp_path, frame(), test_file="test.csv")
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4])
    with pytest.raises(SpecProblem, match="resplit must be left out where the file has test arrays of its own"):
        read_options({"file": "own.npz", "resplit": True}, tmp_path)


def test_a_class_of_one_row_is_refused_at_once_and_not_in_some_replicate(tmp_path: Path) -> None:
    table = frame()
    table.loc[3, "kind"] = "alone"
    with pytest.raises(InputError, match=r"every class must be among the training rows, got no row of 'alone'"):
        drawn(tmp_path, table, test=0.6)


def test_a_table_in_memory_draws_the_same_without_its_file(tmp_path: Path) -> None:
    data = drawn(tmp_path, frame(), scale="robust")
    expected = [data.draw(3, replicate) for replicate in range(3)]
    loaded = data.loaded()
    (tmp_path / "own.csv").unlink()
    table_data._kept_for_draws.cache_clear()
    assert loaded.facts == data.facts
    for replicate, one in enumerate(expected):
        other = loaded.draw(3, replicate)
        for part in ("x_train", "y_train", "x_test", "y_test"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part), strict=True)
