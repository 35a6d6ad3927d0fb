"""The tables of a paper, `report.tex`: the claims of an experiment and its conditions, with n, interval and p.

The file is made to be taken in by `\\input{report.tex}`; of packages it needs array and booktabs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlpbench.evidence.frames import records
from mlpbench.evidence.judging.caveats import BoundKept
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.report.context import Context
from mlpbench.report.number_text import fixed, short_exponent
from mlpbench.report.papers.latex_text import DEFINITION, latex, latex_number, tabular
from mlpbench.report.sections.conditions import HEADINGS, HUGE
from mlpbench.report.verdict_tables import verdict_cell
from mlpbench.report.words import Digits, probability, units_counted

# Rows of several lines stand apart.
SPACE = r"\addlinespace[2pt]"
HEAD = r"""% Tables of the experiment {name}, of its report: `mlpbench report DIR --latex` writes this file again.
% Take it in with \input{{report.tex}}, and in the preamble have \usepackage{{array,booktabs}}.
{definition}
"""


def tables(context: Context) -> str:
    """Return `report.tex`: a table of claims, if there are any, and one of conditions."""
    head = HEAD.format(name=context.experiment.name, definition=DEFINITION)
    return "\n".join([head, *([claims(context)] if context.verdicts else []), conditions(context)])


def claims(context: Context) -> str:
    """Return a row for each claim: what it says, its verdict, estimate, interval, n and p."""
    rows = [_claim(verdict) for verdict in context.verdicts]
    judged = any(v.interim_analysis is not None or v.e_value is not None for v in context.verdicts)
    corrected = "for the other claims and for interim analyses" if judged else "for the other claims by Holm's method"
    note = f"Intervals are of 95\\% unless they say otherwise, and uncorrected; $p$ is corrected {corrected}."
    head = ["claim", "verdict", "estimate", "interval", "$n$", "$p$"]
    columns = r"@{}>{\raggedright\arraybackslash}p{0.3\linewidth}>{\raggedright\arraybackslash}p{0.13\linewidth}rlrr@{}"
    return _float(
        context, "claims", f"Claims: {latex(context.experiment.question)}", tabular(head, rows, columns, SPACE), note
    )


def conditions(context: Context) -> str:
    """Return a row for each condition that the report lists: mean and 95% interval of its main test metrics, and n."""
    estimates = context.estimates.dropna(subset=["mean"])
    names = [m for m in dict.fromkeys([context.outcome, "test_loss"]) if m in set(estimates["metric"])]
    cells = {(row["position"], row["metric"]): row for row in records(context.estimates)}
    rows = []
    for position in context.excerpt.listed:
        numbers = [cell for name in names for cell in _mean(cells[position, name])]
        n = cells[position, names[0]]["n"] if names else 0
        rows.append([latex(context.short_label(position)), *numbers, str(n)])
    head = [latex(context.label_heading), *(part for m in names for part in (HEADINGS[m], r"95\% interval")), "$n$"]
    columns = r"@{}>{\raggedright\arraybackslash}p{0.3\linewidth}" + "rl" * len(names) + "r@{}"
    note = f"Means over $n$ replicates that finished, with $t$ intervals. {latex(context.excerpt.listed_by)}".rstrip()
    caption = f"Conditions of the experiment \\texttt{{{latex(context.experiment.name)}}}"
    return _float(context, "conditions", caption, tabular(head, rows, columns), note)


def _claim(verdict: Verdict) -> list[str]:
    digits = Digits(verdict)
    estimate, interval = "-", "-"
    if verdict.estimate is not None:
        estimate = f"{verdict.estimate_is} {digits.full(verdict.estimate)}{digits.per}".strip()
    if verdict.interval is not None:
        interval = digits.interval(verdict.interval)
    numbers = [latex_number(text) for text in (estimate, interval, units_counted(verdict), _p(verdict))]
    return [latex(verdict.claim.says), latex(verdict_cell(verdict)), *numbers]


def _p(verdict: Verdict) -> str:
    """Return the corrected p, or how a claim without one is judged."""
    kept = next((c.count for c in verdict.caveats if isinstance(c, BoundKept)), None)
    if verdict.observed:
        return "exact" if verdict.hypothesis.is_exact else kept or "observed"
    return "-" if verdict.p_corrected is None else probability(verdict.p_corrected)


def _mean(row: dict[str, float]) -> list[str]:
    """Return a mean and its interval, with digits by its width; scientific where a number is very large."""
    mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
    if math.isnan(mean):
        return ["-", "-"]
    half = (high - low) / 2

    def text(value: float) -> str:
        return short_exponent(f"{value:.2e}") if abs(mean) >= HUGE or half >= HUGE else fixed(value, half)

    return [latex_number(text(mean)), "-" if math.isnan(half) else latex_number(f"{text(low)} to {text(high)}")]


def _float(context: Context, what: str, caption: str, table: str, note: str) -> str:
    label = f"tab:{context.experiment.name}-{what}"
    lines: Sequence[str] = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        f"\\caption{{{caption}}}",
        f"\\label{{{label}}}",
        r"\par\smallskip",
        table,
        f"\\par\\smallskip\\raggedright {note}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
