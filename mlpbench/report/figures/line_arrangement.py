"""How conditions become lines of a figure: which share a panel, and which share a colour.

Few conditions have a colour each. Many take the colour of their first factor, as everywhere in a report, and stand in
panels by another one; those that differ only in the other factors are lines of one colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import ConditionColours

# More panels in a row can't be read.
MOST_PANELS = 4
SHAPES = ("depth", "width", "hidden_sizes")


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The panel, the line and the text of the colour of each condition, in the order of the conditions.

    `entries` has each text with its colour, `title` the factor that it is a level of; `panel_of` is the factor of the panels,
    empty where there is one panel, and `unmarked` are the factors in which lines of one colour differ.
    """

    panels: Sequence[str]
    lines: Sequence[str]
    texts: Sequence[str]
    entries: Sequence[tuple[str, str]]
    title: str
    panel_of: str = ""
    unmarked: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """Says what lines of one colour differ in; empty where each has its own colour."""
        return f"Lines of one colour differ in {' and '.join(self.unmarked)}." if self.unmarked else ""


def arrange(
    conditions: Sequence[Condition], names: Sequence[str], colours: ConditionColours, along: str = ""
) -> Arrangement:
    """Return how conditions that differ in `names` are drawn against the factor `along`, or each against something else."""
    varied = [n for n in names if n != along and len({_level(c, n) for c in conditions}) > 1]
    one_panel = [""] * len(conditions)
    if not along and colours.is_detailed:
        texts = [colours.labels[c.condition_id] for c in conditions]
        entries = [(colours.labels[c.condition_id], colours.colours[c.condition_id]) for c in conditions]
        return Arrangement(panels=one_panel, lines=texts, texts=texts, entries=entries, title=colours.title)
    if not varied:
        colour = colours.entries[0][1] if len(colours.entries) == 1 else theme.palette(1, ordered=False)[0]
        return Arrangement(panels=one_panel, lines=one_panel, texts=one_panel, entries=[("", colour)], title="")
    first, others = varied[0], varied[1:]
    texts = [_level(c, first) for c in conditions]
    if colours.title == first:
        entries = [(text, colour) for text, colour in colours.entries if text in texts]
    else:
        entries = _coloured(conditions, first)
    few = [n for n in others if len({_level(c, n) for c in conditions}) <= MOST_PANELS]
    panel = next((n for n in few if n not in SHAPES), next(iter(few), ""))
    return Arrangement(
        panels=[f"{panel}={_level(c, panel)}" if panel else "" for c in conditions],
        lines=[", ".join(_level(c, n) for n in varied) for c in conditions],
        texts=texts,
        entries=entries,
        title=first,
        panel_of=panel,
        unmarked=[n for n in others if n != panel],
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
