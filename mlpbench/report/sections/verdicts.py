"""The section "How this was judged": what verdicts rest on, how to read them, and the numbers of each; strips of many claims."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mlpbench.base.escapes import Markdown, bullets, code, printable
from mlpbench.evidence.estimates.excerpt import MOST_ROWS
from mlpbench.evidence.estimates.overlap import METHOD
from mlpbench.evidence.judging import anytime, interim_analysis
from mlpbench.evidence.judging.claim_caveats import shared_streams
from mlpbench.evidence.judging.verdict import AT_THE_MARGIN, Verdict
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.section import Section, SectionFigure, paragraph, with_code
from mlpbench.report.verdict_tables import verdict_cell, verdicts_table
from mlpbench.report.words import estimate_cell, verdict_sentence

MARKERS = {"": "D", "at least": ">", "at most": "<"}
# Letters of a claim that stand above its strip.
LONGEST = 96


def method(context: Context) -> Section | None:
    """Return how verdicts were reached, each with all its numbers; None where there are none."""
    if not context.verdicts:
        return None
    return Section(
        title="How this was judged",
        sentences=how_to_read(context),
        table=verdicts_table(context.verdicts),
        notes=explanations(context.verdicts),
        fold="Tests, corrections, and every number of each verdict.",
    )


def further(verdicts: Sequence[Verdict]) -> Section:
    """Return claims that have no picture of their own: their rows, and a figure with a strip for each that has an estimate."""
    shown = estimated(verdicts)
    if not shown:
        return Section(title="Further claims", table=verdicts_table(verdicts))
    some = f"The figure shows the first {MOST_ROWS} of {len(shown)} claims with an estimate."
    alt = "Estimate, interval and margin of each further claim."
    drawn = SectionFigure(name="verdicts", draw=partial(draw, shown[:MOST_ROWS]), alt=alt)
    sentences = some * (len(shown) > MOST_ROWS)
    return Section(title="Further claims", sentences=sentences, table=verdicts_table(verdicts), figures=[drawn])


def estimated(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """Return the verdicts that have a strip: those with an estimate and a bound."""
    return [v for v in verdicts if v.estimate is not None and not math.isnan(v.hypothesis.bound)]


def how_to_read(context: Context) -> str:
    """Say at which settings conditions are compared, which random streams replicates share, and what p and intervals mean."""
    groups: dict[str, list[str]] = {}
    for v in context.verdicts:
        groups.setdefault(v.held_fixed, []).append(v.claim.id)
    at = Markdown("; ").join(
        Markdown("{} ({})").format(code(fixed), ", ".join(ids)) if len(groups) > 1 else code(fixed)
        for fixed, ids in groups.items()
    )
    fixed = Markdown("Compared at fixed settings, not tuned for each condition: {}.").format(at)
    if context.experiment.nuisance:
        tuned = ", ".join(context.experiment.nuisance)
        fixed = Markdown("Tuned for each condition on validation: {}. Held fixed: {}.").format(tuned, at)
    shared = shared_streams(context.experiment, context.conditions)
    one_draw = f"All replicates share {', '.join(shared)}: verdicts are about that one draw." if shared else ""
    analyses = interim_analysis.describe(context.judgement.interim_analyses)
    analyses = anytime.RULE if context.experiment.is_anytime else analyses
    corrected = "for interim analyses and claims" if analyses else "over the claims of this experiment by Holm's method"
    concern = "these data sets and their test examples" if len(context.experiment.datasets) > 1 else "this test set"
    if context.experiment.draws_anew:
        concern = "data drawn in this way, test examples too"
    of_splits = ""
    if context.experiment.is_resplit:
        one = len(context.experiment.datasets) == 1
        concern = f"tables like {'this one, not to one split of it' if one else 'these, not to one split of each'}"
        of_splits = (
            "Each replicate draws its own test rows, so that the sampling of these is in every interval; intervals and p are "
            f"{METHOD}."
        )
        of_splits += (
            " The levels of interim analyses are those of independent replicates; of splits of one table, which are more alike, "
            "they spend less."
        ) * bool(analyses)
    if any(v.datasets for v in context.verdicts):
        concern += "; those over data sets to data sets like these, of which replicates are no further ones"
    method = (
        "Conditions are compared replicate by replicate. p is two-sided against the margin (for equivalence, the larger of two "
        f"one-sided ones, whose interval is of 90%), corrected {corrected}; intervals are not corrected, so that one may exclude its "
        f"bound where the verdict is undecided. Verdicts apply to {concern}"
    )
    method += (
        f". {analyses}" if analyses else "; replicates added after an analysis of the first ones are not corrected for."
    )
    near = ""
    if any(v.decision == AT_THE_MARGIN for v in context.verdicts):
        near = (
            "At the margin lies what is not decided, but found within half of the margin of it by two one-sided tests, corrected "
            "over all claims that have a margin: in at most 5% of experiments any is wrongly found so."
        )
    about_seeds = levels_of_seeds(context.verdicts)
    return paragraph(
        fixed,
        context.experiment.tuning_rule,
        one_draw,
        method,
        of_splits,
        near,
        about_seeds,
        exploratory_claims(context.verdicts),
    )


def levels_of_seeds(verdicts: Sequence[Verdict]) -> str:
    """Say at which level claims are decided, where a results folder says which of the seeds it is."""
    tested = [v for v in verdicts if v.seed_number is not None and not v.observed]
    by_level = {(v.level, v.seed_number, v.seeds): None for v in tested}
    if not by_level:
        return ""
    level_each = "; ".join(f"level {level:.2g} (seed {j} of {n} looked at)" for level, j, n in by_level)
    near = f" and at most {ALPHA:.0%} for at the margin" if any(v.hypothesis.margin is not None for v in tested) else ""
    return (
        f"A claim is decided where its corrected p is at most its level: {level_each}. Seed j at which the same conditions "
        f"are compared has 6 / (pi^2 j^2) of {ALPHA:g}: over all "
        f"seeds the chance that any of these claims has a false verdict is at most {ALPHA:.0%} for supported and refuted{near}."
    )


def exploratory_claims(verdicts: Sequence[Verdict]) -> str:
    """Name the claims whose verdicts are exploratory."""
    exploratory = [v.claim.id for v in verdicts if v.exploratory]
    if not exploratory:
        return ""
    which = "All verdicts" if len(exploratory) == len(verdicts) else f"The verdicts on {', '.join(exploratory)}"
    return f"{which} are exploratory: what is judged was not stated before its runs were looked at."


def explanations(verdicts: Sequence[Verdict]) -> str:
    """Return a list entry for each claim: what was tested, what came out, what to keep in mind, who claims it."""
    items = []
    for v in verdicts:
        source = f"Source: {v.claim.source.rstrip('.')}." if v.claim.source else ""
        tuned = f"Tuned: {v.tuned}." if v.tuned else ""
        words = paragraph(verdict_sentence(v), tuned, *(with_code(caveat.sentence) for caveat in v.caveats), source)
        item = Markdown("**{}**, {}: {}. {}").format(
            v.claim.id, verdict_cell(v), code(v.hypothesis.wording.formula), words
        )
        items.append(Markdown(" ".join(item.split())))
    return bullets(items)


def draw(verdicts: Sequence[Verdict]) -> Figure:
    """Return a strip for each verdict with an estimate, on an axis of its own unit; the claimed side of the bound is shaded.

    An interval with an open end goes on to the edge. An estimate that is a bound points where the number lies.
    """
    with theme.style():
        figure, axes = theme.new(0.45 + 0.9 * len(verdicts), len(verdicts))
        for ax, verdict in zip(axes, verdicts, strict=True):
            _strip(ax, verdict)
        present = [d for d in theme.VERDICT_COLOURS if any(v.decision == d for v in verdicts)]
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=theme.VERDICT_COLOURS[d], marker="D", linewidth=2, markersize=5, label=d)
            for d in present
        ]
        handles.append(Line2D([], [], color=theme.INK, linestyle="dashed", linewidth=1, label="bound or margin"))
        handles.append(Patch(color=theme.VERDICT_COLOURS["supported"], alpha=0.15, label="as claimed"))
        if any(v.estimate_is for v in verdicts):
            handles.append(Line2D([], [], color=theme.FAINT, marker="<", linestyle="none", markersize=5,
                                  label="at most (or at least)"))  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _strip(ax: Axes, verdict: Verdict) -> None:
    colour, tested = theme.VERDICT_COLOURS[verdict.decision], verdict.hypothesis
    ends = (math.nan, math.nan) if verdict.interval is None else (verdict.interval.low, verdict.interval.high)
    numbers = (math.nan if verdict.estimate is None else verdict.estimate, *ends, tested.bound, tested.centre)
    at, low, high, margin, centre = (tested.quantity.factor * v for v in numbers)
    bounds = [centre - margin, centre + margin] if tested.sense == "equivalent" else [margin]
    shown = [v for v in (at, low, high, *bounds) if math.isfinite(v)]
    pad = 0.08 * (max(shown) - min(shown)) or max(abs(at), 1e-9) * 0.1
    # Where an end is open there is room to see that the line goes on.
    left, right = min(shown) - (4 if low == -math.inf else 1) * pad, max(shown) + (4 if high == math.inf else 1) * pad
    ax.set_xlim(left, right)
    start = {"greater": margin, "less": left, "equivalent": centre - margin}[tested.sense]
    ax.axvspan(start, right if tested.sense == "greater" else bounds[-1], color=theme.VERDICT_COLOURS["supported"],
               alpha=0.10, linewidth=0)  # fmt: skip
    for bound in bounds:
        ax.axvline(bound, color=theme.INK, linestyle="dashed", linewidth=1)
    if not math.isnan(low):
        ax.hlines(0, max(low, left), min(high, right), color=colour, linewidth=2.5)
    ax.plot([at], [0], MARKERS[verdict.estimate_is], color=colour, markersize=6)
    ax.set_ylim(-1, 1)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(7))
    ax.set_title(
        textwrap.shorten(printable(verdict.claim.says), LONGEST, placeholder=" …"), loc="left", fontsize=8, pad=13
    )
    for x, side, text, shade in (
        (0, "left", f"{verdict.decision}: {estimate_cell(verdict)}", theme.INK),
        (1, "right", tested.quantity.axis, theme.FAINT),
    ):
        ax.annotate(text, (x, 1), (0, 3), "axes fraction", "offset points", ha=side, color=shade, fontsize=7.5)
    ax.grid(axis="y", visible=False)
