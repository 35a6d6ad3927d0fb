"""Scales and imputation against scikit-learn, on the same training rows; inputs that do not vary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, QuantileTransformer, RobustScaler, StandardScaler

from mlpbench.data.dataset import Dataset
from mlpbench.data.table.scaling import constant_inputs
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment

SCALERS: dict[str, Any] = {
    "standard": lambda n: StandardScaler(),
    "robust": lambda n: RobustScaler(),
    "minmax": lambda n: MinMaxScaler(),
    "quantile": lambda n: QuantileTransformer(n_quantiles=n, output_distribution="normal", subsample=None),
}
WORDS = np.array(["red", "Blue", "green", "ärgerlich"])
PROPERTY = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def spec(folder: Path, train: pd.DataFrame, test: pd.DataFrame, **options: Any) -> Experiment:
    """Return an experiment on a pair of parquet files, so that the training rows are known."""
    train.to_parquet(folder / "train.parquet", index=False)
    test.to_parquet(folder / "test.parquet", index=False)
    dataset = {"file": folder / "train.parquet", "test_file": folder / "test.parquet", "target": "kind", **options}
    return yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})


def arrays(folder: Path, train: pd.DataFrame, test: pd.DataFrame, **options: Any) -> Dataset:
    return spec(folder, train, test, **options).sources[0].load()


def numbers(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return numbers of several kinds: normal, skewed, tied, tiny, mostly zero, far from zero."""
    return pd.DataFrame(
        {
            "normal": rng.normal(3, 2, n),
            "skewed": rng.lognormal(0, 2, n),
            "tied": rng.integers(0, 4, n).astype(float),
            "small": rng.normal(0, 1e-3, n),
            "sparse": np.where(rng.random(n) < 0.8, 0, rng.normal(5, 1, n)),
            "far": 1e6 + rng.normal(0, 1, n),
            "kind": np.array(["yes", "no"])[np.arange(n) % 2],
        }
    )


@pytest.mark.parametrize("scale", SCALERS)
@given(seed=st.integers(0, 2**32), rows=st.integers(12, 90))
@PROPERTY
def test_a_scale_is_that_of_scikit_learn_on_the_training_rows(tmp_path: Path, scale: str, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    train, test = numbers(rng, rows), numbers(rng, 20)
    made = arrays(tmp_path, train, test, scale=scale)
    columns = [c for c in train if c != "kind"]
    scaler = SCALERS[scale](rows).fit(train[columns].to_numpy())
    for part, frame in ((made.x_train, train), (made.x_test, test)):
        expected = scaler.transform(frame[columns].to_numpy())
        expected[:, np.ptp(train[columns], axis=0) == 0] = 0
        np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-6)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw training and test rows with gaps in all columns or in some, in either part, and words that only one part has."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = []
    for rows in (draw(st.integers(12, 60)), draw(st.integers(4, 20))):
        share = {c: draw(st.sampled_from([0.0, 0.0, 0.3])) for c in ("a", "b", "flag", "colour")}
        known = draw(st.integers(2, 4))
        frame = pd.DataFrame(
            {
                "a": rng.normal(1e3, 2, rows),
                "colour": WORDS[rng.integers(0, known, rows)].astype(object),
                "b": rng.integers(0, 9, rows).astype(float),
                "flag": (rng.random(rows) < 0.4).astype(object),
            }
        )
        for c, s in share.items():
            frame.loc[rng.random(rows) < s, c] = None
        # So that each column varies in training, and no column is a gap from end to end.
        frame.loc[0], frame.loc[1] = [1e3, WORDS[0], 0.0, True], [2e3, WORDS[1], 1.0, False]
        frame["flag"] = frame["flag"].astype("boolean")
        parts.append(frame.assign(kind=np.array(["yes", "no"])[np.arange(rows) % 2]))
    return parts[0], parts[1]


@pytest.mark.parametrize("scale", ["standard", "robust", "minmax"])
@given(pair=tables())
@PROPERTY
def test_gaps_words_and_scale_are_those_of_a_scikit_learn_pipeline(
    tmp_path: Path, scale: str, pair: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    train, test = pair
    made = arrays(tmp_path, train, test, scale=scale)
    expected: list[list[Any]] = [[], []]
    for c in train.columns.drop("kind"):
        x, z = ([[v] for v in f[c].astype(object).where(f[c].notna(), None)] for f in (train, test))
        if c == "colour":
            fill = SimpleImputer(missing_values=None, strategy="constant", fill_value="\U0010ffff").fit(
                np.array(x, object)
            )
            hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            filled = [fill.transform(np.array(v, object)) for v in (x, z)]
            hot.fit(filled[0])
            pieces = [hot.transform(f) for f in filled]
        else:
            both = [np.array(v, float) for v in (x, z)]
            imputer = SimpleImputer(strategy="median").fit(both[0])
            scaler = SCALERS[scale](0) if c != "flag" else None
            pieces = [imputer.transform(v) for v in both]
            if scaler is not None:
                scaler.fit(pieces[0])
                pieces = [scaler.transform(p) for p in pieces]
            if np.isnan(both[0]).any():
                where = MissingIndicator().fit(both[0])
                pieces = [np.hstack([p, where.transform(v)]) for p, v in zip(pieces, both)]
        for part, piece in zip(expected, pieces):
            part.append(piece)
    np.testing.assert_allclose(made.x_train, np.hstack(expected[0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.x_test, np.hstack(expected[1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", ["standard", "robust", "minmax", "quantile"])
def test_columns_of_one_value_but_for_rounding_are_zeros_with_a_note(tmp_path: Path, scale: str) -> None:
    """The test rows have another value: divided by the deviation of rounding it would come to 1e13."""
    n = 40
    train = pd.DataFrame(
        {"a": np.arange(n) * 7 % 11 / 4, "same": 5.0, "kind": np.array(["yes", "no"])[np.arange(n) % 2]}
    )
    train["nearly"] = np.where(np.arange(n) % 3, 0.3, 0.1 * 3)
    train["word"], train["flag"] = "red", True
    test = train.assign(same=6.0, nearly=0.31)
    assert train["nearly"].nunique() == 2
    experiment = spec(tmp_path, train, test, scale=scale)
    names = "columns 'same', 'nearly', 'word', 'flag'"
    assert experiment.facts[0].notes == (f"train.parquet: {names}: one value in the training rows: its inputs are 0",)
    made = experiment.sources[0].load()
    assert made.x_train.shape == (n, 5)
    assert float(np.ptp(made.x_train[:, 0])) > 0.9
    assert not made.x_train[:, 1:].any()
    assert not made.x_test[:, 1:].any()
    plain = arrays(tmp_path, train, test, scale="none")
    assert np.array_equal(plain.x_test[0, 1:], np.array([6, 0.31, 1, 1], np.float32))


def test_a_column_that_varies_a_little_is_not_taken_for_constant() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([1e6 + rng.normal(0, 1e-6, 500), rng.normal(0, 1e-100, 500), np.full(500, 0.1), np.zeros(500)])
    assert constant_inputs(x).tolist() == [False, False, True, True]


def test_the_middle_half_of_one_value_is_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.where(np.arange(40) % 8, 0.0, 3.0), "kind": ["yes", "no"] * 20})
    experiment = spec(tmp_path, frame, frame, scale="robust")
    assert (
        experiment.facts[0]
        .notes[0]
        .endswith("the middle half of the training rows has one value: centred by it, not scaled")
    )


def test_each_scale_is_another_data_set(tmp_path: Path) -> None:
    frame = numbers(np.random.default_rng(0), 40)
    prints = {spec(tmp_path, frame, frame, scale=scale).facts[0].fingerprint for scale in (*SCALERS, "none")}
    assert len(prints) == 5
