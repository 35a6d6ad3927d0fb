"""Tables of verdicts: in Markdown for reports and ledgers, and as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from mlpbench.base.escapes import Markdown, code, markdown
from mlpbench.evidence.judging.caveats import BoundKept, Caveat, SharedStreams, Unfinished
from mlpbench.evidence.judging.registered_verdict import FurtherSeed
from mlpbench.evidence.judging.verdict import UNDECIDED, Verdict, sentences
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.report.section import table
from mlpbench.report.words import (
    NOT_ROBUST,
    Digits,
    estimate_cell,
    expected_cell,
    needed,
    not_robust,
    probability,
    qualifiers,
    units_counted,
)

COLUMNS, FOR_IDS = 110, 24
# What can be said without a claim beside it; others speak of "it", or of what stands before them.
SAID_ONCE, OF_A_LEVEL = (SharedStreams, Unfinished), (FurtherSeed,)
ESTIMATE = "estimate (95% interval)"
_UNMARKED = Markdown("{}")


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """Return a row for each claim of one experiment, as Markdown."""
    head = ["claim", "verdict", ESTIMATE, "claimed", "n", _p_heading(verdicts)]
    return table(head, [_cells(v, Markdown("**{}**")) for v in verdicts], "llllrr")


def ledger(experiments: Iterable[tuple[str, Sequence[Verdict]]]) -> str:
    """Return a row for each claim of each named experiment, in the order given, as Markdown."""
    head = ["experiment", "claim", "verdict", ESTIMATE, "claimed", "n", "p (corrected)"]
    return table(head, [[name, *_cells(v)] for name, verdicts in experiments for v in verdicts], "lllllrr")


def _cells(verdict: Verdict, mark: Markdown = _UNMARKED) -> list[str]:
    return [
        Markdown("{} ({})").format(markdown(verdict.claim.says, in_cell=True), code(verdict.claim.id)),
        mark.format(verdict_cell(verdict)),
        estimate_cell(verdict),
        expected_cell(verdict),
        units_counted(verdict),
        _p_cell(verdict),
    ]


def verdict_cell(verdict: Verdict) -> str:
    """Return the verdict, how many of the runs are there if some are not, and whether it is not robust, and exploratory."""
    lacks = next((c for c in verdict.caveats if isinstance(c, Unfinished)), None)
    there = "" if lacks is None else f" ({lacks.done} of {lacks.planned} runs)"
    return ", ".join([f"{verdict.decision}{there}", *qualifiers(verdict)])


def _p_heading(verdicts: Sequence[Verdict]) -> str:
    """Say how the p of a table are corrected: by Holm's method, or for interim analyses too."""
    return (
        "p (corrected)"
        if any(v.interim_analysis is not None or v.e_value is not None for v in verdicts)
        else "p (Holm)"
    )


def _p_cell(verdict: Verdict) -> str:
    """Return the corrected p, or that the verdict is observed, or exact, rather than tested."""
    if verdict.hypothesis.is_exact:
        return "exact"
    kept = next((c for c in verdict.caveats if isinstance(c, BoundKept)), None)
    if kept is not None:
        return kept.count
    if verdict.observed:
        return "observed"
    return "-" if verdict.p_corrected is None else probability(verdict.p_corrected)


def terminal_cells(verdicts: Sequence[Verdict]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows of the verdicts, as a terminal shows them."""
    head = ["claim", "verdict", ESTIMATE, "claimed", "n", _p_heading(verdicts)]
    cells = [
        [
            v.claim.id, verdict_cell(v), estimate_cell(v, per=False), expected_cell(v), f"{v.n}/{units_counted(v, v.planned)}", _p_cell(v),
        ]
        for v in verdicts
    ]  # fmt: skip
    return head, cells


def terminal_table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as plain text, at most 110 columns wide: notes below their row, those of all claims at the end."""
    if not verdicts:
        return "no claims"
    head, cells = terminal_cells(verdicts)
    widths = [max(len(c[i]) for c in [head, *cells]) for i in range(len(head))]
    widths[0] = min(widths[0], max(FOR_IDS, COLUMNS - sum(widths[1:]) - 2 * (len(head) - 1)))
    lines, shared = [_line(head, widths)], shared_caveats(verdicts)
    for cell, verdict in zip(cells, verdicts, strict=True):
        lines.append(_line(cell, widths))
        notes = verdict_notes(verdict, shared)
        lines += textwrap.wrap(notes, COLUMNS, initial_indent="    ", subsequent_indent="    ")
    if shared:
        lines += ["", *textwrap.wrap(sentences(shared), COLUMNS)]
    return "\n".join(lines)


def runs_line(name: str, statuses: Mapping[str, int], trained: int) -> str:
    """Return how the runs of an experiment ended: `width: 64 runs, 3 diverged, 1 failed, 64 trained now`."""
    n = sum(statuses.values())
    ended = [f"{statuses[status]} {status}" for status in ("diverged", "failed") if statuses.get(status)]
    return f"{name}: {', '.join([f'{n} run' + 's' * (n != 1), *ended])}, {trained} trained now"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0] if len(cells[0]) <= widths[0] else f"{cells[0][: widths[0] - 3]}..."
    parts = [
        c.rjust(w) if i > 3 else c.ljust(w) for i, (c, w) in enumerate(zip([first, *cells[1:]], widths, strict=True))
    ]
    return "  ".join(parts).rstrip()


def shared_caveats(verdicts: Sequence[Verdict]) -> Sequence[Caveat]:
    """Return what is to be kept in mind about each of several verdicts, and can be said once: of a level, about those that are tested."""
    tested = [v for v in verdicts if not v.observed]
    return [
        c
        for about, kinds in ((tested, OF_A_LEVEL), (verdicts, SAID_ONCE))
        for c in (about[0].caveats if len(about) > 1 else ())
        if isinstance(c, kinds) and all(c in v.caveats for v in about)
    ]


def verdict_notes(verdict: Verdict, shared: Sequence[Caveat] = ()) -> str:
    """Return what is to be known of a verdict beside its numbers, but for what is said of all; empty where nothing is."""
    sampled, warning = verdict.test_sampling.interval, ""
    if not_robust(verdict) and sampled is not None:
        warning = f" Including test-set sampling the interval is {Digits(verdict).ends(sampled)}. {NOT_ROBUST}"
    said = [
        needed(verdict),
        _why_small_is_not_enough(verdict),
        sentences(c for c in verdict.caveats if c not in shared),
    ]
    return f"{' '.join(filter(None, said))}{warning}".strip()


def _why_small_is_not_enough(verdict: Verdict) -> str:
    """Return the level of an undecided claim whose p a reader would take for small."""
    p = verdict.p_corrected
    if verdict.decision != UNDECIDED or p is None or not verdict.level < p <= ALPHA:
        return ""
    return f"A p of at most {verdict.level:.3g} decides it: the level of this seed, of {ALPHA:.0%} for all seeds."
