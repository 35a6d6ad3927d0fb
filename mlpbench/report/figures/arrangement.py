"""How conditions become lines of a figure: which share a panel, which a colour, and what is left untold.

Few conditions have a colour each. Many take the colour of their first factor, as everywhere in a report, and stand in
panels by another one; those that differ in what is left are lines of one colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.figures import theme
from mlpbench.report.figures.theme import Look

# More panels in a row can't be read.
MOST_PANELS = 4
SHAPES = ("depth", "width", "hidden_sizes")


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The panel, the line and the text of the colour of each condition, by its place among those that were given.

    `entries` has each text with its colour, `title` what it is a level of; `untold` are the factors in which lines of one
    colour differ, and `panel_of` the factor of the panels, empty where there is one.
    """

    panels: Sequence[str]
    lines: Sequence[str]
    texts: Sequence[str]
    entries: Sequence[tuple[str, str]]
    title: str
    panel_of: str
    untold: Sequence[str]

    @property
    def told(self) -> str:
        """A sentence on what lines of one colour differ in, empty where each has its own."""
        return f"Lines of one colour differ in {' and '.join(self.untold)}." if self.untold else ""


def arrange(conditions: Sequence[Condition], names: Sequence[str], look: Look, along: str = "") -> Arrangement:
    """Return how conditions that differ in `names` are drawn against the factor `along`, or each against something else."""
    varied = [n for n in names if n != along and len({_level(c, n) for c in conditions}) > 1]
    if not along and look.is_detailed:
        texts = [look.labels[c.condition_id] for c in conditions]
        entries = [(look.labels[c.condition_id], look.colours[c.condition_id]) for c in conditions]
        return _made(texts, texts, entries, look.title)
    if not varied:
        colour = look.entries[0][1] if len(look.entries) == 1 else theme.palette(1, ordered=False)[0]
        return _made([""] * len(conditions), [""] * len(conditions), [("", colour)], "")
    first, others = varied[0], varied[1:]
    texts = [_level(c, first) for c in conditions]
    if look.title == first:
        known = dict(look.entries)
        entries = [(text, known[text]) for text in known if text in texts]
    else:
        entries = _coloured(conditions, first)
    lines = [", ".join(_level(c, n) for n in varied) for c in conditions]
    few = [n for n in others if len({_level(c, n) for c in conditions}) <= MOST_PANELS]
    panel = next((n for n in few if n not in SHAPES), next(iter(few), ""))
    panels = [f"{panel}={_level(c, panel)}" if panel else "" for c in conditions]
    untold = [n for n in others if n != panel]
    return _made(texts, lines, entries, first, panels, panel, untold)


def _made(
    texts: Sequence[str],
    lines: Sequence[str],
    entries: Sequence[tuple[str, str]],
    title: str,
    panels: Sequence[str] | None = None,
    panel_of: str = "",
    untold: Sequence[str] = (),
) -> Arrangement:
    return Arrangement(
        panels=[""] * len(texts) if panels is None else panels,
        lines=lines,
        texts=texts,
        entries=entries,
        title=title,
        panel_of=panel_of,
        untold=untold,
    )


def _level(condition: Condition, name: str) -> str:
    return format_level(condition.levels.get(name))


def _coloured(conditions: Sequence[Condition], name: str) -> list[tuple[str, str]]:
    levels = [c.levels.get(name) for c in conditions]
    ordered = all(theme.is_number(level) for level in levels)
    if ordered:
        levels.sort(key=lambda level: float(level))  # type: ignore[arg-type]
    texts = list(dict.fromkeys(format_level(level) for level in levels))
    return list(zip(texts, theme.palette(len(texts), ordered=ordered), strict=True))
