"""The report of an experiment: verdicts first, then what they rest on. Pure: tables in, text and pictures out."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mlpbench.base.atomic_files import write_whole
from mlpbench.evidence.estimates import series, shift_estimates, stream_variances
from mlpbench.evidence.estimates.excerpt import MOST_DOTS, MOST_ROWS, choose
from mlpbench.evidence.estimates.layer_columns import Layers
from mlpbench.evidence.estimates.observe import OK, estimate, estimate_curves
from mlpbench.evidence.frames import places
from mlpbench.evidence.judging import interim_analysis
from mlpbench.evidence.judging.claim_caveats import shared_streams
from mlpbench.evidence.judging.claim_verdicts import RUN_COLUMNS as JUDGED_COLUMNS
from mlpbench.evidence.judging.claim_verdicts import Curves, read_curves
from mlpbench.evidence.judging.interim_analysis import Judgement
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.report.language import figure_sentences, reproducibility
from mlpbench.report.sections import (
    confusion_matrix,
    cost,
    fit_regions,
    full_product,
    generalisation_gap,
    tables,
    tuning,
    variance,
)
from mlpbench.report.sections.section import Drawing, Given, Section
from mlpbench.results.records import VerifiedRun
from mlpbench.results.test_examples import TestSet

if TYPE_CHECKING:
    from mlpbench.report.pages.interactive import Interactive

MARKDOWN, HTML = "report.md", "report.html"
# What a report needs of the table `runs`.
RUN_COLUMNS = [*JUDGED_COLUMNS, "error", "diverged_at_step", "env_dirty", *tables.PROVENANCE.values()]
GAPS = {"accuracy": "train minus test accuracy", "loss": "test minus train loss"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: its Markdown, what draws its figures by the name they are linked under, verdicts and all they rest on."""

    markdown: str
    drawings: Mapping[str, Drawing]
    verdicts: Sequence[Verdict] = ()
    judgement: Judgement | None = None
    interactive: Interactive | None = None

    @functools.cached_property
    def files(self) -> Mapping[str, bytes]:
        """The pictures, drawn when they are first asked for: most of the time that a report takes."""
        from mlpbench.report.figures.theme import png

        return {path: png(draw()) for path, draw in self.drawings.items()}


def render(
    experiment: Experiment,
    conditions: Sequence[Condition],
    runs: pd.DataFrame,
    curves: Curves,
    verified: Sequence[VerifiedRun] = (),
    declared_late: str = "",
    test_set: TestSet | None = None,
    layers: Layers | None = None,
) -> Report:
    """Return the report of the runs there are; the same tables give the same bytes.

    `runs` needs `RUN_COLUMNS`. Curves may be a function: of many runs, only those of a few are drawn, and read.
    `layers` reads the layers of some runs: of those that are drawn, and those a claim asks of.
    `verified` is what training runs again came to; `declared_late`, `test_set` and `layers` are for `looks.judge`.
    """
    page = _Page(experiment, conditions, runs, curves, verified, declared_late, test_set, layers)
    return Report(
        markdown=page.markdown(),
        drawings=page.drawings,
        verdicts=page.judgement.verdicts,
        judgement=page.judgement,
        interactive=page.interactive(),
    )


def contents(report: Report, *, html: bool) -> dict[str, bytes]:
    """Return every file of a report by its name, the text last: whoever sees it finds what it links to."""
    from mlpbench.report.pages.page import report_page

    page = {HTML: report_page(report).encode()} if html else {}
    return {**report.files, **page, MARKDOWN: report.markdown.encode()}


def write(report: Report, folder: Path, *, html: bool = False) -> Path:
    """Write `report.md` with its figures, and `report.html` if wanted or there; return the text's path; raise MachineError."""
    for name, content in contents(report, html=html or (folder / HTML).exists()).items():
        write_whole(folder / name, content)
    return folder / MARKDOWN


class _Page:
    """The sections of one report; what draws their figures gathers in `drawings`."""

    def __init__(
        self,
        experiment: Experiment,
        conditions: Sequence[Condition],
        runs: pd.DataFrame,
        curves: Curves,
        verified: Sequence[VerifiedRun],
        declared_late: str,
        test_set: TestSet | None,
        layers: Layers | None,
    ) -> None:
        from mlpbench.report.figures import theme  # seaborn takes a second to import; judging claims needs none of it

        self.judgement = interim_analysis.judge(experiment, conditions, runs, curves, declared_late, test_set, layers)
        gathered = self.judgement.gathered
        self.observed, conditions = gathered.observed, gathered.conditions
        self.experiment, self.conditions, self.names = experiment, conditions, experiment.factor_names
        self.runs = runs[places(runs["run_id"], gathered.run_ids) >= 0]
        # What a run is good for: losses alone where the target is numbers.
        self.good = "loss" if experiment.data.n_classes is None else "accuracy"
        main = dict.fromkeys(["train_loss", "test_loss", *(f"{p}_{self.good}" for p in ("train", "test", "gap"))])
        self.estimates = estimate(
            experiment,
            conditions,
            self.observed,
            pd.DataFrame(),
            [*main, *[f"val_{self.good}"] * experiment.validates],
        )
        self.excerpt = choose(len(conditions), self.estimates)
        self.drawn = [conditions[i] for i in self.excerpt.drawn]
        drawn = self._of_drawn(self.observed)
        points = read_curves(curves, list(drawn["run_id"]))
        self.curves = estimate_curves(experiment, conditions, drawn, points)
        self.shifted = shift_estimates.by_severity(experiment, conditions, drawn, points, self.good)
        self.lacking = figure_sentences.of_lacking(drawn, points)
        self.look = theme.look(experiment, self.drawn)
        self.verified, self.layers = verified, layers
        self.given = Given(
            experiment=experiment,
            conditions=conditions,
            observed=self.observed,
            estimates=self.estimates,
            excerpt=self.excerpt,
            look=self.look,
            good=self.good,
            test_set=test_set,
        )
        self.errors = series.errors(experiment, conditions, self.observed, self.estimates, self.excerpt)
        self.drawings: dict[str, Drawing] = {}

    def _of_drawn(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame by position that are about conditions that are drawn."""
        return frame if self.excerpt.is_whole else frame[frame["position"].isin(list(self.excerpt.drawn))]

    def _in_rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Do as `_of_drawn` does, with positions counted among the conditions that are drawn, in their order."""
        place = {position: i for i, position in enumerate(self.excerpt.drawn)}
        shown = self._of_drawn(frame)
        return shown.assign(position=shown["position"].map(place)).sort_values("position", kind="stable")

    def markdown(self) -> str:
        """Return the whole text."""
        blocks = [
            f"# {self.experiment.name}",
            self.experiment.question,
            *self._verdicts(),
            *self._tuning(),
            "## Conditions",
            f"Mean ± standard deviation over replicates. The gap is {GAPS[self.good]}. {self.excerpt.listed_by}".rstrip(),
            tables.conditions(self.conditions, self.estimates, self.names, self.excerpt.listed),
            *self._learning_curves(),
            *self._errors(),
            *self._under_shift(),
            *self._sections(generalisation_gap.section(self.given, self.errors), full_product.section(self.given)),
            *self._sections(cost.section(self.given)),
            *self._replicates(),
            *self._sections(*confusion_matrix.sections(self.given)),
            *self._spread(),
            *self._stability(),
            "## What did not finish",
            tables.unfinished(self.observed, self.runs),
            "## Cost",
            tables.cost(self.observed, self.runs, self.conditions, self.names, self.excerpt.listed),
            "" if self.excerpt.is_whole else self.excerpt.listed_by,
            "## Provenance",
            tables.provenance(self.runs, self.experiment),
            reproducibility.reproducibility(self.runs, self.verified),
            "Made again, from the spec in this folder, by:",
            f"```sh\n{tables.command(self.runs)}\n```",
        ]
        return "\n\n".join(b for b in blocks if b) + "\n"

    def interactive(self) -> Interactive:
        """Return what the page in HTML shows beyond the text."""
        from mlpbench.report.pages.interactive import Interactive

        names = [m for m in tables.HEADINGS if m in set(self.estimates["metric"])]
        return Interactive(
            experiment=self.experiment,
            conditions=self.conditions,
            observed=self.observed,
            ended=self.runs.loc[self.runs["status"] != OK, ["run_id", "status", "diverged_at_step", "error"]],
            metrics=[*names, "train_seconds"],
            listed=self.excerpt.listed,
            n_stored=len(self.runs),
            curves=self.curves,
            look=self.look,
        )

    def _verdicts(self) -> list[str]:
        verdicts = self.judgement.verdicts
        if not verdicts:
            return ["## Verdicts", "This experiment makes no claims."]
        from mlpbench.report.figures.forest import forest

        told = figure_sentences.of_verdicts(verdicts)
        blocks = ["## Verdicts", told, tables.mixed(self.runs), tables.verdicts(verdicts)]
        shared = shared_streams(self.experiment, self.conditions)
        looks, anew = interim_analysis.describe(self.judgement.interim_analyses), self.experiment.draws_anew
        blocks.append(tables.held(verdicts, shared, list(self.experiment.nuisance), looks, anew=anew))
        shown = [v for v in verdicts if v.estimate is not None and not math.isnan(v.hypothesis.bound)]
        if shown:
            if len(shown) > MOST_ROWS:
                blocks.append(f"Drawn are the first {MOST_ROWS} of {len(shown)} claims with an estimate.")
            alt = "Estimate, 95% interval and margin of each claim. " + told
            blocks.append(self._picture("verdicts", partial(forest, shown[:MOST_ROWS]), alt))
        return [*blocks, tables.explanations(verdicts)]

    def _tuning(self) -> list[str]:
        found = self.judgement.gathered.tuning
        if found.empty:
            return []
        return [
            "## Tuning",
            tuning.section(self.experiment, found, list(self.excerpt.listed)),
            self.excerpt.listed_by,
            tuning.sentence(self.experiment, self.observed),
        ]

    def _learning_curves(self) -> list[str]:
        if self.curves.empty:
            return []
        from mlpbench.report.figures.learning_curves import learning_curves

        told = figure_sentences.of_curves(self.curves)
        alt = f"Loss{' and accuracy' * (self.good == 'accuracy')} on train and test examples against epochs. " + told
        drawn = self._picture("learning_curves", partial(learning_curves, self.curves, self.look), alt)
        bands = "Bands are 95% intervals over replicates; train curves use the first 10,000 training examples, or all where there are fewer."
        text = " ".join(part for part in (told, bands, self.lacking, self.excerpt.drawn_by) if part)
        return ["## Learning curves", text, drawn]

    def _errors(self) -> list[str]:
        found = self.errors
        if len(self.conditions) < 2 or found.estimates.empty:
            return []
        from mlpbench.report.figures.error_curves import error_against_factor, error_by_condition

        told = figure_sentences.of_errors(found.every)
        if found.factor:
            marked = fit_regions.regions(self.given, found)
            told = f"{told} {fit_regions.sentence(marked, found.factor)}".rstrip()
            draw = partial(error_against_factor, found.estimates, found.points, found.factor, marked)
        else:
            labels = [self.look.labels[c.condition_id] for c in self.drawn]
            draw = partial(error_by_condition, found.estimates, found.points, labels, self.look.rows)
        what = "loss" if self.good == "loss" else "error"
        alt = f"Train and test {what} against {found.factor or 'condition'}. {told}"
        drawn = self._picture("error", draw, alt)
        text = f"{told} Bars are 95% intervals over replicates. {found.drawn_by}".rstrip()
        return [f"## Train and test {what}", text, drawn]

    def _under_shift(self) -> list[str]:
        told = shift_estimates.sentence(self.shifted, self.good)
        if not told:
            return []
        from mlpbench.report.figures.shift_lines import under_shift

        alt = f"Test {self.good} against the severity of each kind of shift. {told}"
        drawn = self._picture("shift", partial(under_shift, self.shifted, self.look, self.good), alt)
        bands = "Severity 0 is the plain test set; bands are 95% intervals over replicates."
        text = " ".join(part for part in (told, bands, self.lacking, self.excerpt.drawn_by) if part)
        return ["## Under shift", text, drawn]

    def _replicates(self) -> list[str]:
        name = f"test_{self.good}"
        estimates = self.estimates[self.estimates["metric"] == name]
        if estimates["mean"].isna().all():
            return []
        from mlpbench.report.figures.replicates import replicates

        dots = self.observed["replicate"] < MOST_DOTS
        points = self._in_rows(self.observed.loc[dots, ["position", name]].rename(columns={name: "value"}))
        told = figure_sentences.of_replicates(estimates)
        draw = partial(replicates, self._in_rows(estimates), points, self.look, f"test {self.good}")
        alt = f"Test {self.good} of every replicate by condition. {told}"
        first = f"Dots are the first {MOST_DOTS} replicates." if self.experiment.replicates > MOST_DOTS else ""
        text = " ".join(part for part in (told, first, self.excerpt.drawn_by) if part)
        return ["## Replicates", text, self._picture("replicates", draw, alt)]

    def _spread(self) -> list[str]:
        if not self.experiment.one_at_a_time:
            return []
        names = list(dict.fromkeys([f"test_{self.good}", "test_loss"]))
        table = stream_variances.by_stream(self.experiment, self.conditions, self.observed, names)
        blocks, rows = variance.section(table), variance.drawn(table)
        if not blocks or rows.empty:
            return blocks
        from mlpbench.report.figures.variance_shares import shares

        name = str(rows["metric"].iloc[0]).replace("_", " ")
        alt = f"Share of each random stream in the variance of {name}. {variance.sentence(table)}"
        return [*blocks[:-1], self._picture("spread", partial(shares, rows, name), alt), blocks[-1]]

    def _sections(self, *found: Section | None) -> list[str]:
        blocks = []
        for shown in filter(None, found):
            blocks += [f"## {shown.title}", shown.text, self._picture(shown.name, shown.draw, shown.alt)]
        return blocks

    def _stability(self) -> list[str]:
        from mlpbench.report.sections import stability

        shown = stability.Shown(
            experiment=self.experiment,
            conditions=self.conditions,
            observed=self.observed,
            drawn=list(self.excerpt.drawn),
            drawn_by=self.excerpt.drawn_by,
            look=self.look,
            layers=self.layers,
        )
        return self._sections(*stability.pictures(shown))

    def _picture(self, name: str, draw: Drawing, alt: str) -> str:
        path = f"figures/{name}.png"
        self.drawings[path] = draw
        words = tables.escape(alt).replace("[", "(").replace("]", ")")
        return f"![{words}]({path})"
