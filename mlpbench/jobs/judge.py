"""The verdicts over a results folder, judged once, and what is made of them: an outcome, a report, interim analyses on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError
from mlpbench.base.models import unknown
from mlpbench.data.dataset import Say
from mlpbench.experiment import grid
from mlpbench.experiment.claims.claim_identity import claim_identities
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.results import examples
from mlpbench.results.folder_check import open_folder, open_folders
from mlpbench.results.folders import (
    Declaration,
    InterimRecord,
    current_verifications,
    first_about,
    read_interim_analyses,
    write_interim_analyses,
)
from mlpbench.results.plugin_figures import read_figures
from mlpbench.results.register import DIGEST
from mlpbench.results.registration import registration_of
from mlpbench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from mlpbench.evidence.judging.interim_analysis import Judgement
    from mlpbench.evidence.judging.verdict import Verdict
    from mlpbench.report.context import Context
    from mlpbench.report.notebook.outcome_plots import OutcomePlots
    from mlpbench.report.notebook.outcome_tables import TidyTable


@dataclass(frozen=True, kw_only=True, repr=False)
class Outcome:
    """What a run of an experiment came to: verdicts, and the tables as DataFrames, read when they are first asked for.

    A notebook shows the verdicts as cards. `verdicts` and `tidy()` are tables for people, `claims`, `runs`, `curves` and `layers` those of the
    results folder with all columns; `plot` draws.

    `statuses` counts the runs of the grid that the folder has by how they ended; `report_failures` says why parts of
    the report could not be made, by what they are; `notes` are about files of the folder that were missing or damaged;
    `warnings` are what a supervisor would point at in the runs, where they were just trained or a report was asked for;
    `context` is what a report rests on, with each verdict as it was judged.
    """

    experiment: Experiment
    folder: Path
    trained: int
    statuses: Mapping[str, int]
    context: Context = field(compare=False)
    report: Path | None = None
    report_failures: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()

    @property
    def failed(self) -> int:
        """The number of runs of the grid that failed."""
        return self.statuses.get("failed", 0)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """One row a claim: what it says, its verdict, and the estimate with its interval in the unit that reports print."""
        from mlpbench.report.notebook.outcome_tables import verdict_table

        return verdict_table(self.context.verdicts)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """One row a claim, with every column that `mlpbench claims --json` has; numbers are in the unit of the metric."""
        from mlpbench.evidence.judging.verdict import claims_table

        return claims_table(self.context.verdicts)

    def tidy(self, table: TidyTable = "runs") -> pd.DataFrame:
        """Return one row a run, or of `curves` one row a point of a curve, with the factors as columns, in the order of the grid.

        Raises InputError for another table.

        >>> import mlpbench
        >>> mlpbench.load("results/reference/width").tidy().columns[:6].tolist()
        ['condition', 'width', 'replicate', 'status', 'test_accuracy', 'test_loss']
        """
        from mlpbench.report.notebook import outcome_tables

        if table not in outcome_tables.TIDY_TABLES:
            raise InputError(unknown("table", table, outcome_tables.TIDY_TABLES))
        if table == "runs":
            return outcome_tables.tidy_runs(self.experiment, self.runs)
        return outcome_tables.tidy_curves(self.experiment, self.runs, self.curves)

    @property
    def plot(self) -> OutcomePlots:
        """Draws curves, pairs and claims: `outcome.plot.curves()` returns matplotlib's axes."""
        from mlpbench.report.notebook.outcome_plots import OutcomePlots

        return OutcomePlots(self.context)

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

    def __repr__(self) -> str:
        counts = Counter(verdict.decision for verdict in self.context.verdicts)
        claims = ", ".join(f"{n} {decision}" for decision, n in counts.items()) or "no claims"
        n = sum(self.statuses.values())
        return f"Outcome({self.experiment.name}: {n} run{'s' * (n != 1)}, {claims}, in {self.folder})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a card for each claim, how runs ended, and what is to be known of them."""
        from mlpbench.evidence.frames import is_among
        from mlpbench.report.notebook.outcome_cards import ShownOutcome, outcome_html

        said = (*self.experiment.data_notes, *self.notes, *(f"warning: {text}" for text in self.warnings))
        return outcome_html(
            ShownOutcome(
                context=self.context,
                runs=self.runs[is_among(self.runs["run_id"], self.context.runs["run_id"])],
                folder=self.folder,
                trained=self.trained,
                report=self.report,
                said=said,
            )
        )

    def _table(self, name: str) -> pd.DataFrame:
        return Store(self.folder).read(name, grid.all_run_ids(self.experiment))


def judge(
    experiment: Experiment,
    store: Store,
    conditions: Sequence[Condition] | None = None,
    *,
    for_report: bool = False,
    keep_examples: bool = False,
) -> Context:
    """Judge the claims of an experiment over what its results folder has.

    Args:
        experiment: what is asked.
        store: the tables of the results folder.
        conditions: those of the experiment, where they are at hand.
        for_report: read what a report needs beyond the verdicts: provenance, and what verifying runs came to.
        keep_examples: put labels and images of the test set into the folder where it lacks them and they are asked for;
            nothing else is written.

    """
    from mlpbench.evidence.judging import claim_verdicts, interim_analysis
    from mlpbench.report.context import RUN_COLUMNS, Context

    conditions = grid.conditions(experiment) if conditions is None else conditions
    ids = grid.all_run_ids(experiment, conditions)
    if keep_examples:
        examples.keep_labels(experiment, store)
    runs = store.read("runs", ids, columns=RUN_COLUMNS if for_report else claim_verdicts.RUN_COLUMNS)
    test_set = examples.read_test_set(experiment, store, keep_images=keep_examples)

    def curves(some: Sequence[str] | None = None) -> pd.DataFrame:
        return store.read("curves", ids if some is None else some)

    registration = registration_of(store.folder, experiment, conditions)
    earlier = registration.earlier_run_ids(experiment, conditions)
    judgement = interim_analysis.judge(
        experiment,
        conditions,
        store.read("runs", [*ids, *earlier], columns=claim_verdicts.RUN_COLUMNS) if earlier else runs,
        curves,
        registration,
        test_set,
        store.read_layers,
    )
    return Context(
        experiment=experiment,
        judgement=judgement,
        stored=runs,
        curves=curves,
        layers=store.read_layers,
        test_set=test_set,
        verifications=current_verifications(store) if for_report else (),
        own_figures=read_figures(store.folder) if for_report else (),
    )


def finish(
    experiment: Experiment,
    store: Store,
    conditions: Sequence[Condition] | None = None,
    *,
    report: bool,
    html: bool = False,
    trained: int = 0,
    filed: Experiment | None = None,
) -> Outcome:
    """Judge the claims over what the folder has, and write the report if that is wanted and it does not stand there already.

    With `html` there is its page too. `filed` is the experiment as its file has it, where this is a look that goes on record.
    """
    conditions = grid.conditions(experiment) if conditions is None else conditions
    context = judge(experiment, store, conditions, for_report=report, keep_examples=report)
    if filed is not None:
        record_interim_analyses(store.folder, experiment, conditions, context.judgement, filed)
    path, failures = _report(context, store.folder, html=html) if report else (None, {})
    return Outcome(
        experiment=experiment,
        folder=store.folder,
        trained=trained,
        statuses=context.statuses,
        context=context,
        report=path,
        report_failures=failures,
        warnings=tuple(warning.text for warning in context.warnings) if report or trained else (),
    )


def _report(context: Context, folder: Path, *, html: bool) -> tuple[Path, Mapping[str, str]]:
    """Write the report where it does not stand there already; return its path, and why parts of it could not be made.

    The path is that of the page where it is wanted, else of the text.
    """
    from mlpbench.report.pages import report_digest

    shown = folder / (report_digest.HTML if html else report_digest.MARKDOWN)
    if report_digest.is_standing(folder) and shown.exists():
        return shown, {}
    from mlpbench.report.pages import page
    from mlpbench.report.papers import paper_files
    from mlpbench.report.report import render

    written = render(context)
    page.write(written, folder, html=html)
    paper_files.write(written, folder)
    if not written.failures:
        report_digest.note(folder)
    return shown, written.failures


def load(folder: Path) -> Outcome:
    """Return what a results folder has; raise InputError where it is none, or has damaged files."""
    notes: list[str] = []
    experiment, store = open_folder(folder, notes.append)
    return replace(finish(experiment, store, report=False), notes=tuple(notes))


def load_all(folders: Sequence[Path], say: Say) -> list[Outcome]:
    """Return what several results folders have; raise InputError, which names the damaged files of all.

    `say` gets a line about each file that is missing and can be restored.
    """
    return [finish(experiment, store, report=False) for experiment, store in open_folders(folders, say)]


def changed_verdicts(outcome: Outcome) -> list[str]:
    """Return a line about each claim whose verdict is not the one that the summary of the report has, and about a lack of it."""
    from mlpbench.report.summary import read_summary

    name, summary = outcome.experiment.name, read_summary(outcome.folder)
    if summary is None:
        return [f"{name}: no verdicts are stored: `mlpbench report {outcome.folder}` writes them"]
    stored = {answer.id: answer.verdict for answer in summary.answers}
    now = {verdict.claim.id: verdict.decision for verdict in outcome.context.verdicts}
    lines = []
    for claim in dict.fromkeys([*stored, *now]):
        if claim not in now:
            lines.append(f"{name}: {claim} was {stored[claim]}, is no claim of it any more")
        elif claim not in stored:
            lines.append(f"{name}: {claim} is {now[claim]}, was no claim of it")
        elif stored[claim] != now[claim]:
            lines.append(f"{name}: {claim} was {stored[claim]}, is {now[claim]}")
    return lines


def record_interim_analyses(
    folder: Path, experiment: Experiment, conditions: Sequence[Condition], judgement: Judgement, filed: Experiment
) -> None:
    """Add the complete interim analyses that are not on record yet.

    `filed` is the experiment as its file has it, without a top-up asked for by options: the first one was of that.
    """
    if not experiment.claims:
        return
    before = read_interim_analyses(folder)
    records = list(before)
    declared = [Declaration.of(e) for e in (experiment, filed)]
    digests = {i.claim_id: i.digest for i in claim_identities(experiment.claims, experiment, conditions)}
    for replicates, claims in _complete(experiment, judgement):
        record = InterimRecord(
            replicates=replicates,
            declared=declared[first_about(records, experiment, conditions) is None],
            seed=experiment.seed,
            conditions=sorted(c.condition_id for c in conditions),
            claims={claim_id: {**summed, DIGEST: digests[claim_id]} for claim_id, summed in claims.items()},
        )
        same = [replace(record, claims={}, declared=d) for d in declared]
        if not any(replace(r, claims={}) in same for r in records):
            records.append(record)
    if records != before:
        write_interim_analyses(folder, records)


def _complete(experiment: Experiment, judgement: Judgement) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the replicates of each complete interim analysis and the claims that were last judged at it."""
    if experiment.is_anytime:
        first = judgement.grid.observed[judgement.grid.observed["replicate"] < experiment.replicates]
        if not (first["status"] == "missing").any():
            yield experiment.replicates, _summary(judgement.verdicts)
    elif experiment.until_decided is not None:
        yield from ((a.replicates, _summary(a.verdicts)) for a in judgement.interim_analyses if a.complete)
    elif not (judgement.grid.observed["status"] == "missing").any():
        yield experiment.replicates, _summary(judgement.verdicts)


def _summary(verdicts: Sequence[Verdict]) -> Mapping[str, Any]:
    return {v.claim.id: {"n": v.n, "verdict": v.decision, "p": v.p, "p_holm": v.p_corrected} for v in verdicts}
