"""The colours, dashes and names of conditions, the same in every figure of a report, and how conditions become lines and rows.

The first of what conditions differ in is a colour, the second a dash, or panels; a third is panels. Levels that are numbers run
along a map from light to dark, words take the colour-blind palette.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.lines import Line2D

from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_groups import LABEL, Group, groups

# More panels in a row can't be read.
MOST_PANELS = 4
SHAPES = ("depth", "width", "hidden_sizes")
# Of lines and of dots: as many as can be told apart.
DASHES: Sequence[Any] = ("solid", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D")
# Conditions that each have bands and points; entries of a map from light to dark; rows that need no blocks.
MOST_DETAILED, MOST_SHADES, FEW_ROWS = 10, 8, 4
# Of fewer of all combinations blocks would be torn, as of an excerpt, which stands in the order of rank.
LEAST_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class ConditionColours:
    """Which colour stands for which condition, and the names of conditions.

    `colours`, `labels`, `styles` and the rest are by `condition_id`; `entries` and `title` are a legend's texts with their
    colours, and its title; `row_title` is the title of an axis with a row for each condition. `styles` has the place of a
    condition's dash and marker among `DASHES` and `MARKERS`, `style_entries` and `style_title` those of a legend. `blocks` is
    what rows of one block have in common, `row_names` what is left of their names. `thirds` and `third_entries` are as styles, of what
    dashes stand for where styles are panels. `unmarked` are the settings that neither colours nor dashes stand for.
    """

    colours: dict[str, str]
    entries: list[tuple[str, str]]
    title: str
    labels: dict[str, str]
    row_title: str
    styles: dict[str, int] = field(default_factory=dict)
    style_entries: list[tuple[str, int]] = field(default_factory=list)
    style_title: str = ""
    blocks: dict[str, str] = field(default_factory=dict)
    row_names: dict[str, str] = field(default_factory=dict)
    thirds: dict[str, int] = field(default_factory=dict)
    third_entries: list[tuple[str, int]] = field(default_factory=list)
    unmarked: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Says what lines of one look differ in; empty where each has its own."""
        return f"Lines of one look differ in {' and '.join(self.unmarked)}." if self.unmarked else ""

    @property
    def is_detailed(self) -> bool:
        """Whether every condition has a look of its own, few enough for bands and points."""
        looks = {(colour, self.styles.get(c, 0)) for c, colour in self.colours.items()}
        return len(looks) == len(self.colours) <= MOST_DETAILED

    @property
    def all_differ(self) -> bool:
        """Whether no two conditions have one colour, one style and one third."""
        looks = {(of, self.styles.get(c, 0), self.thirds.get(c, 0)) for c, of in self.colours.items()}
        return len(looks) == len(self.colours)

    def dash(self, condition: str, *, third: bool = False) -> Any:
        """Return the dash of the lines of a condition: that of its style, or of its third where styles are panels."""
        return DASHES[(self.thirds if third else self.styles).get(condition, 0)]

    def third_handles(self) -> list[Line2D]:
        """Return the entries of a legend of dashes where styles are panels."""
        return [
            Line2D([], [], color=theme.INK, linewidth=1.4, linestyle=DASHES[place], label=text)
            for text, place in self.third_entries
        ]

    def marker(self, condition: str) -> str:
        """Return the marker of the dots of a condition."""
        return MARKERS[self.styles.get(condition, 0)]

    def handles(self, *, dots: bool = False) -> list[Line2D]:
        """Return the entries of a legend of lines, or of dots: a colour each, then a dash or a marker each."""
        if len(self.colours) < 2:
            return []
        look: dict[str, Any] = {"linestyle": "none", "markersize": 5} if dots else {"linewidth": 2.4}
        cycled = dict(self.style_entries) if self.style_title == CYCLED else {}
        handles = []
        for text, colour in few(self.entries) if not cycled else self.entries:
            place = cycled.get(text, 0)
            shape = {"marker": MARKERS[place]} if dots else {"linestyle": DASHES[place]}
            handles.append(Line2D([], [], color=colour, label=text, **look, **shape))
        for text, place in self.style_entries if not cycled else ():
            shape = {"marker": MARKERS[place]} if dots else {"linestyle": DASHES[place], "linewidth": 1.4}
            said = f"{self.style_title}={text}" if self.style_title else text
            handles.append(Line2D([], [], color=theme.INK, label=said, **look | shape))
        return handles


# The title of dashes that only tell conditions of one colour apart.
CYCLED = "\0"


def few(entries: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Return the entries of a legend: of a long map from light to dark those at equal steps, first and last among them."""
    if len(entries) <= MOST_SHADES + 4 or len({colour for _, colour in entries}) < len(entries):
        return entries
    return [entries[round(i * (len(entries) - 1) / (MOST_SHADES - 1))] for i in range(MOST_SHADES)]


def condition_colours(experiment: Experiment, conditions: Sequence[Condition]) -> ConditionColours:
    """Return colours that mean the same in every figure of a report.

    The first group of levels has a colour each. The second has a dash each, if it is of few levels; of two groups of which only
    the first is, they change places.
    """
    names = experiment.factor_names
    single = len(names) == 1 and names[0] != LABEL
    keys = [c.condition_id for c in conditions]
    labels = {c.condition_id: format_level(c.levels.get(names[0])) if single else c.label for c in conditions}
    found = groups(experiment, conditions)
    hue, style = _hue_and_style(found)
    if len(found) > 1 and len(keys) <= MOST_DETAILED and not _tell_apart(hue, style):
        # Of few conditions, as of an excerpt of many, each has a colour of its own.
        hue, style = Group(names=(), texts=tuple(labels[k] for k in keys)), None
    texts = list(hue.texts) if hue else [labels[k] for k in keys]
    entries = _coloured(hue) if hue else dict.fromkeys(texts, theme.palette(1, ordered=False)[0])
    title = "" if hue is None else "condition" if hue.names in ((), (LABEL,)) else hue.title
    places: dict[str, int] = {}
    style_title = ""
    if style is not None:
        places = {text: i for i, text in enumerate(style.levels)}
        style_title = style.title
    elif hue is not None and not hue.numbers and len(entries) > theme.MOST_COLOURS:
        style, places = hue, {text: i // theme.MOST_COLOURS % len(DASHES) for i, text in enumerate(entries)}
        style_title = CYCLED
    third = next(
        (
            group
            for group in found
            if style is not None and group not in (hue, style) and len(group.levels) <= len(DASHES)
        ),
        None,
    )
    thirds = {} if third is None else {text: i for i, text in enumerate(third.levels)}
    blocks, row_names, row_title = _rows(found, keys, labels, names[0] if single else "")
    return ConditionColours(
        colours={k: entries[t] for k, t in zip(keys, texts, strict=True)},
        entries=list(entries.items()),
        title=title,
        labels=labels,
        row_title=row_title,
        styles={k: places[t] for k, t in zip(keys, style.texts, strict=True)} if style else {},
        style_entries=list(places.items()),
        style_title=style_title,
        blocks=blocks,
        row_names=row_names,
        thirds={k: thirds[t] for k, t in zip(keys, third.texts, strict=True)} if third else {},
        third_entries=[(f"{third.title}={t}" if third.title else t, i) for t, i in thirds.items()] if third else [],
        unmarked=() if _tell_apart(hue, style) else _unmarked(found, hue, style),
    )


def _unmarked(found: Sequence[Group], *shown: Group | None) -> tuple[str, ...]:
    return tuple(name for group in found if group not in shown for name in group.names)


def _tell_apart(*some: Group | None) -> bool:
    """Return whether no two conditions have the same levels of some groups."""
    levels = list(zip(*(group.texts for group in some if group is not None), strict=True))
    return len(set(levels)) == len(levels)


def _hue_and_style(found: Sequence[Group]) -> tuple[Group | None, Group | None]:
    """Return the groups of the colours and of the dashes."""
    if len(found) < 2:
        return (found[0] if found else None), None
    first, second = found[0], found[1]
    if len(found) == 2 and len(second.levels) > len(DASHES) >= len(first.levels):
        first, second = second, first
    return first, second if len(second.levels) <= len(DASHES) else None


def _rows(
    found: Sequence[Group], keys: Sequence[str], labels: dict[str, str], title: str
) -> tuple[dict[str, str], dict[str, str], str]:
    """Return the block and the name of the row of each condition, and the title of the axis of rows.

    The group with the most levels, the last of several, names rows; the others name blocks.
    """
    whole = math.prod(len(group.levels) for group in found)
    if len(found) < 2 or len(keys) <= FEW_ROWS or len(keys) < LEAST_SHARE * whole:
        return {}, labels, title
    most = max(len(group.levels) for group in found)
    along = next(group for group in reversed(found) if len(group.levels) == most)
    others = [group.full for group in found if group is not along]
    blocks = {k: ", ".join(of) for k, of in zip(keys, zip(*others, strict=True), strict=True)}
    title = along.title if along.title != LABEL else ""
    return blocks, dict(zip(keys, along.texts, strict=True)), title


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The panel, the line and the text of the colour of each condition, in the order of the conditions.

    `entries` has each text with its colour, `title` the factor that it is a level of; `panel_of` is the factor of the panels,
    empty where there is one panel, and `unmarked` are the factors in which lines of one look differ. `styles` is the place of
    each condition's dash among `DASHES`, and `style_entries` what they stand for.
    """

    panels: Sequence[str]
    lines: Sequence[str]
    texts: Sequence[str]
    entries: Sequence[tuple[str, str]]
    title: str
    panel_of: str = ""
    unmarked: Sequence[str] = ()
    styles: Sequence[int] = ()
    style_entries: Sequence[tuple[str, int]] = ()

    @property
    def sentence(self) -> str:
        """Says what lines of one look differ in; empty where each has its own."""
        return f"Lines of one colour differ in {' and '.join(self.unmarked)}." if self.unmarked else ""


def arrange(
    experiment: Experiment, conditions: Sequence[Condition], colours: ConditionColours, along: str = ""
) -> Arrangement:
    """Return how conditions are drawn against the factor `along`, or each against something else.

    Colours are of the first group of levels, panels of the first other one of few levels that is no shape, dashes of one more
    of few levels.
    """
    found = [group for group in groups(experiment, conditions) if along not in group.names]
    n = len(conditions)
    if not found:
        colour = colours.entries[0][1] if len(colours.entries) == 1 else theme.palette(1, ordered=False)[0]
        return Arrangement(panels=[""] * n, lines=[""] * n, texts=[""] * n, entries=[("", colour)], title="")
    hue, others = found[0], found[1:]
    first, second = _hue_and_style(found)
    together = not along and n <= MOST_DETAILED and _tell_apart(first, second)
    if together and first is not None and second is not None:
        hue, others = first, [second, *(group for group in found if group not in (first, second))]
    few_levels = [group for group in others if len(group.levels) <= MOST_PANELS]
    if not together and others and not few_levels and len(hue.levels) <= MOST_PANELS:
        # Of two groups the one with few levels has the panels: lines of one colour can't be told apart.
        hue, others, few_levels = others[0], [hue, *others[1:]], [hue]
    panel = next((group for group in few_levels if not set(group.names) & set(SHAPES)), next(iter(few_levels), None))
    if together:
        panel = None
    style = next((group for group in others if group is not panel and len(group.levels) <= len(DASHES)), None)
    known = dict(colours.entries)
    entries = (
        [(text, known[text]) for text in hue.levels]
        if all(t in known for t in hue.levels)
        else list(_coloured(hue).items())
    )
    places = {} if style is None else {text: i for i, text in enumerate(style.levels)}
    return Arrangement(
        panels=panel.full if panel else [""] * n,
        lines=[", ".join(of) for of in zip(*(group.texts for group in found), strict=True)],
        texts=hue.texts,
        entries=entries,
        title=hue.title if hue.title != LABEL else "condition",
        panel_of=" and ".join(panel.names) or "condition" if panel else "",
        unmarked=[] if _tell_apart(hue, panel, style) else _unmarked(others, panel, style),
        styles=[places[t] for t in style.texts] if style else [0] * n,
        style_entries=[(f"{style.title}={t}" if style.title else t, i) for t, i in places.items()] if style else [],
    )


def _coloured(group: Group) -> dict[str, str]:
    """Return a colour for each text: along a map, in the order of their levels, where all are numbers; else of the palette."""
    return dict(zip(group.levels, theme.palette(len(group.levels), ordered=bool(group.numbers)), strict=True))
