"""Runs agree or differ by themselves: in the company of others as alone, also where a column came later."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_folders import make_folder

from mlpbench.evidence.agreement import agreement
from mlpbench.experiment.metrics.own_metrics import COLUMN as OWN_METRICS
from mlpbench.results.folders import DIFFERENT, IDENTICAL, WITHIN
from mlpbench.results.schemas import CAME_LATER, ENVIRONMENT, SCHEMAS
from mlpbench.results.store import Store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The tables of six runs; `weight_quantiles` are lists of different lengths, with a missing one."""
    tree = {
        "name": "six",
        "question": "Which?",
        "dataset": "digits",
        "fixed": {"epochs": 1, "depth": 2},
        "replicates": 2,
    }
    folder = make_folder(tree | {"factors": {"lr": [0.1, 0.2, 0.3]}}, tmp_path_factory.mktemp("six"))
    tables = {t: Store(folder).read(t) for t in SCHEMAS}
    lists = [None if i % 5 == 0 else np.linspace(0, 1, 1 + i % 4) for i in range(len(tables["layers"]))]
    return tables | {"layers": tables["layers"].assign(weight_quantiles=pd.Series(lists, dtype=object))}


def altered(table: pd.DataFrame, rng: random.Random) -> pd.DataFrame:
    """Return a table without a row, in another order, or with another value in some rows of a column."""
    i = rng.randrange(len(table))
    if rng.random() < 0.2:
        return table.drop(index=i)
    if rng.random() < 0.2:
        return table.sample(frac=1, random_state=rng.randrange(100)).reset_index(drop=True)
    column = rng.choice([c for c in table.columns if c not in ("run_id", "replicate")])
    values = list(table[column])
    for j in [i] if rng.random() < 0.5 else range(i % 3, len(table), 3):
        match values[j]:
            case str(word):
                values[j] = rng.choice([f"{word}x", None])
            case bytes(predicted):
                values[j] = rng.choice([predicted[1:], bytes([predicted[0] ^ 1]) + predicted[1:]])
            case np.ndarray() as numbers:
                values[j] = rng.choice([numbers * 1.01, numbers * 2, numbers[1:], np.append(numbers, np.nan), None])
            case float(number) if number == number:
                values[j] = rng.choice([number * 1.001, number + 1, np.nan, np.inf])
            case missing if missing is None or missing != missing:
                values[j] = None if table[column].dtype == object else missing
            case other:
                values[j] = other + 1
    as_before = table[column].dtype
    return table.assign(**{column: pd.Series(values, dtype=object if as_before == "int64" else as_before)})


@pytest.mark.parametrize("seed", range(20))
def test_a_run_agrees_in_company_as_it_does_alone(seed: int, whole: dict[str, pd.DataFrame]) -> None:
    rng = random.Random(seed)
    a, b = dict(whole), dict(whole)
    for _ in range(rng.choice([0, 1, 1, 3])):
        side, table = rng.choice([a, b]), rng.choice([t for t in SCHEMAS for _ in range(2 if t == "runs" else 1)])
        side[table] = altered(side[table], rng)
    company = agreement(a, b)
    assert set(company["run_id"]) == set(a["runs"]["run_id"]) & set(b["runs"]["run_id"])
    for row in company.itertuples():
        alone = ({t: f[f["run_id"] == row.run_id].reset_index(drop=True) for t, f in side.items()} for side in (a, b))
        (other,) = agreement(*alone).itertuples()
        assert (other.grade, other.differs) == (row.grade, row.differs)


def test_lists_differ_by_any_number_and_by_their_length(whole: dict[str, pd.DataFrame]) -> None:
    runs = whole["runs"].iloc[:4]
    lists = [np.array([0.0, 0.5]), np.array([]), np.array([np.nan]), np.array([0.1])]
    others = [np.array([0.0, 0.25]), np.array([]), np.array([np.nan]), np.array([0.1, 0.1])]
    a, b = (runs.assign(dropout=pd.Series(of, dtype=object)) for of in (lists, others))
    found = agreement(whole | {"runs": a}, whole | {"runs": b})
    # A missing number in a list equals nothing, as NaN does.
    assert list(found["grade"]) == [DIFFERENT, IDENTICAL, DIFFERENT, DIFFERENT]
    assert found["differs"].iloc[0] == "dropout [0.  0.5] ([0.   0.25])"


@pytest.mark.parametrize("column", [name for name in CAME_LATER if name not in ENVIRONMENT])
def test_an_older_row_agrees_with_a_newer_one(column: str) -> None:
    frames = {t: s.empty_table().to_pandas() for t, s in SCHEMAS.items()}
    row: dict[str, Any] = dict.fromkeys(SCHEMAS["runs"].names)
    row |= {"run_id": "0" * 16, "status": "ok", "test_loss": 0.5}

    def tables(number: float | None) -> dict[str, Any]:
        value: Any = number
        if column == OWN_METRICS and number is not None:
            value = [("test_hits@000000000000", number)]
        runs = pd.DataFrame([row | {column: value}], dtype=object)
        return frames | {"runs": runs}

    assert list(agreement(tables(None), tables(2.0))["grade"]) == [IDENTICAL]
    assert list(agreement(tables(1.0), tables(2.0))["grade"]) == [DIFFERENT]


@pytest.mark.parametrize(("wrong_at", "expected"), [(0, IDENTICAL), (4, WITHIN)])
def test_counts_of_right_predictions_are_compared_where_both_have_them(
    wrong_at: int, expected: str, whole: dict[str, pd.DataFrame]
) -> None:
    """Other weights may be right at other points; a folder that is older than the counts is no other one."""
    n = len(whole["predictions"])
    counts = np.full(360, 3, dtype=np.uint8)
    moved = counts.copy()
    moved[:wrong_at] += 1

    def with_counts(of: np.ndarray[Any, Any]) -> dict[str, pd.DataFrame]:
        column = [bytes([5]) + of.tobytes()] * n
        drifted = whole["runs"].assign(weights_sha256="f" * 64) if of is moved and wrong_at else whole["runs"]
        return whole | {"predictions": whole["predictions"].assign(late_right=column), "runs": drifted}

    pairs = agreement(with_counts(counts), with_counts(moved))
    predicted = pairs["run_id"].isin(whole["predictions"]["run_id"])
    assert set(pairs.loc[predicted, "grade"]) == {expected}
    assert set(agreement(whole, with_counts(counts))["grade"]) == {IDENTICAL}
