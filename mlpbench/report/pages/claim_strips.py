"""The small pictures of an index: a strip for each claim, with its estimate, its interval and where the claim would hold.

A strip has a scale of its own: it reaches over the interval, the bound of the claim and, of a difference, 0. The shaded part is where
the claim holds, a line across is 0. Its parts are classes of the page's style; a file of its own brings its colours, which stand
out on white and on black.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.summary import Answer, DrawnNumbers

# In CSS pixels.
WIDTH, HEIGHT = 128, 16
# Kept free at either end, so that a dot at the end is whole.
EDGE = 6
# From seaborn's "colorblind" palette, as in figures.
COLOURS: dict[Decision, str] = {
    "supported": "#029e73",
    "refuted": "#d55e00",
    "at the margin": "#0173b2",
    "undecided": "#949494",
}
STYLE = (
    ".holds{fill:#949494;opacity:.22}.zero{stroke:#949494}.span{stroke-width:2}.span,.dot,.open{stroke:currentColor}"
    ".dot,.open{fill:currentColor}"
)


def strip(numbers: DrawnNumbers) -> str:
    """Return what is drawn of a claim, as parts of an SVG of `WIDTH` and `HEIGHT`."""
    low, high = _reach(numbers)

    def at(value: float) -> str:
        return f"{EDGE + (value - low) / (high - low) * (WIDTH - 2 * EDGE):.1f}".removesuffix(".0")

    middle = HEIGHT // 2
    parts = []
    if numbers.holds is not None:
        start, end = numbers.holds
        left, right = ("0" if start is None else at(start)), (str(WIDTH) if end is None else at(end))
        parts.append(f'<path class="holds" d="M{left} 0H{right}V{HEIGHT}H{left}z"/>')
    if numbers.zero:
        parts.append(f'<path class="zero" d="M{at(0)} 0V{HEIGHT}"/>')
    if numbers.interval:
        left = "0" if numbers.low is None else at(numbers.low)
        right = str(WIDTH) if numbers.high is None else at(numbers.high)
        parts.append(f'<path class="span" d="M{left} {middle}H{right}"/>')
        if numbers.low is None:
            parts.append(f'<path class="open" d="M0 {middle}l5-3v6z"/>')
        if numbers.high is None:
            parts.append(f'<path class="open" d="M{WIDTH} {middle}l-5-3v6z"/>')
    parts.append(f'<circle class="dot" cx="{at(numbers.estimate)}" cy="{middle}" r="3"/>')
    return "".join(parts)


def _reach(numbers: DrawnNumbers) -> tuple[float, float]:
    """Return from where to where a strip reaches."""
    marks = [numbers.estimate, *(v for v in (numbers.low, numbers.high, *(numbers.holds or ())) if v is not None)]
    marks += [0.0] if numbers.zero else []
    low, high = min(marks), max(marks)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = abs(high) / 2 or 1.0
        return low - half, high + half
    # Room beyond a bound, so that where the claim holds has a width.
    return low - (high - low) / 12, high + (high - low) / 12


def picture(answers: Sequence[Answer]) -> bytes | None:
    """Return the strips of an experiment, one under the other, as an SVG file; None where there is nothing to draw."""
    if all(answer.numbers is None for answer in answers):
        return None
    height = (HEIGHT + 2) * len(answers)
    rows = []
    for i, answer in enumerate(answers):
        drawn = "" if answer.numbers is None else strip(answer.numbers)
        rows.append(
            f'<g color="{COLOURS[answer.verdict]}" transform="translate(0 {i * (HEIGHT + 2) + 1})">{drawn}</g>\n'
        )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    return f"{head}\n<style>{STYLE}</style>\n{''.join(rows)}</svg>\n".encode()
