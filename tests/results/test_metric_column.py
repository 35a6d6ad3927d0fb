"""The column with metrics of plugins: numbers come back as they were stored, and which runs lack one is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from arithmetic_tables import make, spec

from mlpbench.evidence.agreement import agreement
from mlpbench.evidence.estimates.observe import observe
from mlpbench.evidence.estimates.tuning_choice import tuned_grid
from mlpbench.experiment import grid
from mlpbench.experiment.metrics.own_metrics import COLUMN, MOST
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.results.metric_column import are_measured, own_columns, unmeasured_line, unmeasured_runs
from mlpbench.results.schemas import SCHEMAS, mismatch, refusal
from mlpbench.results.store import Store

OLD, NEW = "hits@000000000000", "hits@111111111111"
PLUGIN = Plugin(name="pieces.py", pieces=(Piece(kind="metric", called="hits", digest="1" * 12),))
Stored = list[tuple[str, float | None]] | None


def rows(*stored: Stored, status: str = "ok") -> list[dict[str, Any]]:
    return [{"run_id": f"{i:016x}", "status": status, COLUMN: s} for i, s in enumerate(stored)]


def frame(*stored: Stored, status: str = "ok") -> pd.DataFrame:
    return pa.Table.from_pylist(rows(*stored, status=status), schema=SCHEMAS["runs"]).to_pandas()


def test_numbers_come_back_from_a_folder_as_they_were(tmp_path: Path) -> None:
    store = Store(tmp_path)
    exact = 0.1 + 0.2
    parts = [rows([(f"test_{NEW}", exact), (f"val_{NEW}", None)]), rows(None, [(f"test_{NEW}", -1e300)])]
    with store.writing():
        for i, part in enumerate(parts):
            moved = [row | {"run_id": f"{i}{row['run_id'][1:]}"} for row in part]
            store.add(f"stack{i}", {"runs": moved, "curves": [], "layers": [], "predictions": []})
        store.compact()
    read = Store(tmp_path).read("runs").sort_values("run_id")
    columns = own_columns(read)
    np.testing.assert_array_equal(columns[f"test_{NEW}"], [exact, np.nan, -1e300])
    np.testing.assert_array_equal(columns[f"val_{NEW}"], [np.nan] * 3)
    assert not Store(tmp_path).damaged()


def test_a_file_without_the_column_is_one_of_an_older_folder() -> None:
    names = [name for name in SCHEMAS["runs"].names if name != COLUMN]
    assert mismatch(pa.schema([SCHEMAS["runs"].field(name) for name in names]), "runs") == ""
    assert own_columns(pd.DataFrame({"run_id": ["a"]})) == {}
    other = SCHEMAS["runs"].set(
        SCHEMAS["runs"].get_field_index(COLUMN), pa.field(COLUMN, pa.map_(pa.string(), pa.int64()))
    )
    assert f"{COLUMN} must be map<string, double" in mismatch(other, "runs")


@pytest.mark.parametrize(
    "stored",
    [
        [("test_hits", 1.0)],
        [("weights_sha256", 1.0)],
        [("<script>@000000000000", 1.0)],
        [(f"test_{NEW}", 1.0), (f"test_{NEW}", 2.0)],
        [(f"test_m{i}@{i:012x}", 1.0) for i in range(MOST + 1)],
    ],
)
def test_what_no_run_can_have_is_refused(stored: Stored) -> None:
    assert refusal(frame(None, stored), "runs").startswith(f"{COLUMN} can't be ")
    assert refusal(frame(None, [(f"test_{NEW}", float("inf")), (f"val_{NEW}", None)]), "runs") == ""


def test_runs_that_lack_a_number_are_known_by_why() -> None:
    table = frame(None, [(f"test_{OLD}", 0.5)], [(f"test_{NEW}", None)], [(f"val_{NEW}", 0.5)])
    assert are_measured(table, [PLUGIN]).tolist() == [False, False, True, True]
    assert are_measured(table, []).all()
    assert are_measured(frame(None, None, status="diverged"), [PLUGIN]).all()
    counts = unmeasured_runs(table, [PLUGIN])
    assert [unmeasured_line(words, n) for words, n in counts.items()] == [
        "1 run is not measured by hits (metric of pieces.py) yet; it is trained again to be measured",
        "1 run is stale: measured with another hits (metric of pieces.py), whose code has changed; it is trained again to be measured",
    ]
    assert unmeasured_runs(table, []) == {}


def test_finished_runs_are_observed_with_their_numbers() -> None:
    tables = make(spec(replicates=3))
    stored = [[(f"test_{NEW}", float(i))] for i in range(len(tables.runs))]
    observed = observe(
        tables.experiment, tables.conditions, tables.runs.assign(**{COLUMN: pd.Series(stored, index=tables.runs.index)})
    )
    by_id = dict(zip(tables.runs["run_id"], range(len(stored)), strict=True))
    assert observed[f"test_{NEW}"].tolist() == [float(by_id[i]) for i in observed["run_id"]]


def test_a_number_of_validation_examples_is_the_mean_over_folds() -> None:
    tables = make(spec(replicates=2, validation={"folds": 2}))
    on_folds = [run for run in grid.runs(tables.experiment, tables.conditions) if run.fold is not None]
    some = tables.runs.iloc[[0] * len(on_folds)].assign(
        run_id=[run.run_id for run in on_folds],
        **{COLUMN: pd.Series([[(f"val_{NEW}", 1.0 + 2 * (run.fold or 0))] for run in on_folds]).to_numpy()},
    )
    observed = tuned_grid(tables.experiment, tables.conditions, pd.concat([tables.runs, some])).observed
    assert observed[f"val_{NEW}"].tolist() == [2.0] * len(observed)


def test_trainings_that_agree_have_the_same_numbers() -> None:
    tables = make(spec(replicates=2))

    def graded(a: list[Stored], b: list[Stored]) -> list[str]:
        sides = [tables.runs.assign(**{COLUMN: pd.Series(side, index=tables.runs.index)}) for side in (a, b)]
        of = {"curves": tables.curves} | {t: SCHEMAS[t].empty_table().to_pandas() for t in ("layers", "predictions")}
        return agreement({"runs": sides[0], **of}, {"runs": sides[1], **of})["differs"].tolist()

    n = len(tables.runs)
    one: list[Stored] = [[(f"test_{NEW}", 0.5)]] * n
    assert graded(one, one) == [""] * n
    assert graded(one, [[(f"test_{OLD}", 0.7)]] * n) == [""] * n  # of other code
    moved: list[Stored] = [[(f"test_{NEW}", 0.5000001)], *one[1:]]
    assert graded(one, moved) == [f"test_{NEW} 0.5 (+1e-07)", *[""] * (n - 1)]
