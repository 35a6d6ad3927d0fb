"""The section "Ablation": what each piece contributes, what all of them do together, and what interacts."""

from __future__ import annotations

import math
from functools import partial

from mlpbench.evidence.estimates.contributions import Contribution, Contributions, contributions
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.grid import format_level
from mlpbench.experiment.metrics.metric import metric
from mlpbench.report.context import Context
from mlpbench.report.number_text import fixed, signed
from mlpbench.report.section import Section, SectionFigure, paragraph, table
from mlpbench.report.topics.ablation_waterfall import draw_waterfall, waterfall_steps
from mlpbench.report.words import listing, probability

TOGETHER, LEFT_OVER = "all together", "left over"
HOW = (
    "A piece contributes what the outcome loses where it alone is removed, replicate by replicate: positive is better with it. What is "
    "left over is what all pieces do together beyond the sum of their contributions, by interaction. Intervals are 95% t intervals over "
    "replicates; p is two-sided against no contribution, corrected over the pieces by Holm's method. No claim was registered for these "
    "numbers."
)
WATERFALL = (
    "The figure goes down from the base by one contribution after the other, each as it is where the others stay; an interval lies "
    "about the end of its bar."
)


def section(context: Context) -> Section | None:
    """Return a row for each piece, for all together and for what is left over; None where there is no ablation."""
    ablate = context.experiment.ablate
    if ablate is None:
        return None
    found = contributions(context.experiment, context.conditions, context.observed, context.outcome)
    if math.isnan(found.together.mean) and all(math.isnan(c.mean) for c in found.pieces):
        return None
    factor, unit = (100.0, "pp") if metric(context.outcome).is_accuracy else (1.0, "")
    what = f"test {context.measure}"
    head = ["piece", "with it", "without", f"contribution{f' ({unit})' * bool(unit)}", "95% interval", "n", "p (Holm)"]
    rows = [
        [c.name, format_level(ablate.base[c.name]), format_level(ablate.remove[c.name]), *_cells(c, factor), str(c.n),
         probability(c.p_holm)]
        for c in found.pieces
    ]  # fmt: skip
    for name, c in ((TOGETHER, found.together), (LEFT_OVER, found.left_over)):
        rows.append([name, "", "", *_cells(c, factor), str(c.n), ""])
    finding = sentence(found, what, factor, f" {unit}" * bool(unit))
    averaged = [name for name in context.experiment.factor_names if name != "label"]
    over = f"Averaged over {listing(averaged)}." if averaged else ""
    sign = -1.0 if metric(context.outcome).better == "lower" else 1.0
    figure = SectionFigure(
        name="ablation",
        alt=f"Waterfall of {what} from the base with all pieces, by what each contributes and what is left over, to none. {finding}",
        draw=partial(
            draw_waterfall,
            waterfall_steps(found, sign, factor),
            f"{what}{' (%)' if factor != 1 else ''}",
            f" ({unit})" * bool(unit),
        ),
    )
    return Section(
        title="Ablation",
        sentences=paragraph(finding, over, HOW, WATERFALL),
        table=table(head, rows, "lllrrrr"),
        figures=[figure],
    )


def _cells(c: Contribution, factor: float) -> list[str]:
    spread = factor * (c.high - c.low) / 2
    mean, low, high = (signed(factor * value, spread) for value in (c.mean, c.low, c.high))
    return [mean, "-" if math.isnan(c.low) else f"{low} to {high}"]


def sentence(found: Contributions, what: str, factor: float, unit: str) -> str:
    """Say which piece contributes most, which others do or harm significantly, and whether pieces interact."""
    known = [c for c in found.pieces if not math.isnan(c.mean)]
    if not known:
        return "No piece has a replicate in which its runs have a result."
    most = max(known, key=lambda c: c.mean)

    def number(c: Contribution) -> str:
        spread = factor * (c.high - c.low) / 2
        within = "" if math.isnan(c.low) else f" ({' to '.join(fixed(factor * v, spread) for v in (c.low, c.high))})"
        return f"{fixed(factor * c.mean, spread)}{unit}{within}"

    first = f"Of {len(found.pieces)} pieces {most.name} contributes most to {what}: {number(most)}."
    if most.mean <= 0:
        first = f"No piece contributes to {what}; the one that harms least is {most.name}: {number(most)}."
    clear = [c for c in known if c.p_holm <= ALPHA]
    helps, harms = [c.name for c in clear if c.mean > 0], [c.name for c in clear if c.mean < 0]
    verdicts = [f"significantly better with {listing(helps)}"] * bool(helps)
    verdicts += [f"significantly worse with {listing(harms)}"] * bool(harms)
    told = f"It is {' and '.join(verdicts)}." if verdicts else "None differs significantly from no contribution."
    rest, whole = found.left_over, found.together
    if math.isnan(rest.low) or math.isnan(whole.low):
        return f"{first} {told}"
    excludes = rest.low > 0 or rest.high < 0
    interacts = "pieces interact" if excludes else "that pieces interact is not shown"
    return f"{first} {told} All together contribute {number(whole)}, of which {number(rest)} is left over: {interacts}."
