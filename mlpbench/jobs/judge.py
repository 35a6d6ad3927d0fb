"""The verdicts over a results folder, judged once, and what is made of them: an outcome, a report, a look on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.look_notes import record_interim_analyses
from mlpbench.results import test_examples
from mlpbench.results.folders import read_folder
from mlpbench.results.records import current_verifications, declared_late
from mlpbench.results.store import Store

if TYPE_CHECKING:
    from mlpbench.evidence.judging.interim_analysis import Judgement
    from mlpbench.evidence.judging.verdict import Verdict
    from mlpbench.report.report import Report


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run of an experiment came to: verdicts, and the tables as DataFrames, read when they are first asked for.

    `statuses` counts the runs of the grid that the folder has by how they ended.
    """

    experiment: Experiment
    folder: Path
    trained: int
    statuses: Mapping[str, int]
    verdicts: Sequence[Verdict] = field(repr=False)
    report: Path | None = None

    @property
    def failed(self) -> int:
        """How many runs of the grid failed."""
        return self.statuses.get("failed", 0)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """One row a claim: its verdict, estimate, interval, p and what would decide it."""
        from mlpbench.evidence.judging.verdict import claims_table

        return claims_table(self.verdicts)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run."""
        return self._table("runs")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row for each evaluation of a run."""
        return self._table("curves")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row for each layer of a run at each probe."""
        return self._table("layers")

    def _table(self, name: str) -> pd.DataFrame:
        return Store(self.folder).read(name, grid.all_run_ids(self.experiment))


def finish(
    experiment: Experiment,
    store: Store,
    made: Sequence[Condition] | None = None,
    *,
    report: bool,
    trained: int = 0,
    filed: Experiment | None = None,
) -> Outcome:
    """Judge the claims over what the folder has, and render the report if that is wanted.

    `made` are the conditions, where they are at hand; `filed` is the experiment as its file has it, where this is a look that
    goes on record.
    """
    from mlpbench.report import report as pages

    made = grid.conditions(experiment) if made is None else made
    if report:
        test_examples.keep(experiment, store)
    runs, judged, page = _judge(experiment, made, store, report=report, keeping=report)
    path = None if page is None else pages.write(page, store.folder)
    if filed is not None:
        record_interim_analyses(store.folder, experiment, made, judged, filed)
    asked = runs if judged.gathered.is_whole_grid else runs[runs["run_id"].isin(judged.gathered.run_ids)]
    return Outcome(
        experiment=experiment,
        folder=store.folder,
        trained=trained,
        statuses={str(status): n for status, n in asked["status"].value_counts().items()},
        verdicts=judged.verdicts,
        report=path,
    )


def load(folder: Path) -> Outcome:
    """Return what a results folder has; raise InputError where it is none."""
    return finish(read_folder(folder), Store(folder), report=False)


def render(experiment: Experiment, store: Store, *, keeping: bool = False) -> Report:
    """Return the report over what the folder has; nothing is written but, with `keeping`, the test images it shows."""
    _, _, page = _judge(experiment, grid.conditions(experiment), store, report=True, keeping=keeping)
    assert page is not None
    return page


def _judge(
    experiment: Experiment, made: Sequence[Condition], store: Store, *, report: bool, keeping: bool
) -> tuple[pd.DataFrame, Judgement, Report | None]:
    """Return the runs, the verdicts over them, and the report if that is wanted."""
    from mlpbench.evidence.judging import claim_verdicts, interim_analysis
    from mlpbench.report import report as pages

    runs, curves = read_tables(experiment, made, store, pages.RUN_COLUMNS if report else claim_verdicts.RUN_COLUMNS)
    late = declared_late(store.folder, experiment, made)
    tested = test_examples.test_set(experiment, store, keeping=keeping)
    if not report:
        return runs, interim_analysis.judge(experiment, made, runs, curves, late, tested, store.read_layers), None
    page = pages.render(experiment, made, runs, curves, current_verifications(store), late, tested, store.read_layers)
    assert page.judgement is not None
    return runs, page.judgement, page


def read_tables(
    experiment: Experiment, made: Sequence[Condition], store: Store, columns: Sequence[str]
) -> tuple[pd.DataFrame, Callable[[Sequence[str] | None], pd.DataFrame]]:
    """Return the runs of the grid, and what reads the curves of some of them, or of all."""
    ids = grid.all_run_ids(experiment, made)
    return store.read("runs", ids, columns=columns), lambda of: store.read("curves", ids if of is None else of)
