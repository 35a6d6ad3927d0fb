"""The colours and the names of conditions, the same in every figure of a report, and how conditions become lines of a figure.

Few conditions have a colour each. Many take the colour of their first factor and, as lines, stand in panels by another one;
those that differ only in the other factors are lines of one colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlpbench.base.models import Value
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment
from mlpbench.report.figures import theme

# More panels in a row can't be read.
MOST_PANELS = 4
SHAPES = ("depth", "width", "hidden_sizes")


@dataclass(frozen=True, kw_only=True)
class ConditionColours:
    """Which colour stands for which condition, and the names of conditions.

    `colours` and `labels` are by `condition_id`; `entries` and `title` are a legend's texts with their colours, and its title;
    `row_title` is the title of an axis with a row for each condition.
    """

    colours: dict[str, str]
    entries: list[tuple[str, str]]
    title: str
    labels: dict[str, str]
    row_title: str

    @property
    def is_detailed(self) -> bool:
        """Whether every condition has a colour of its own, few enough for bands and points."""
        return len(self.entries) == len(self.colours)


def condition_colours(experiment: Experiment, conditions: Sequence[Condition]) -> ConditionColours:
    """Return colours that mean the same in every figure of a report.

    Conditions of one factor, or few of several, have a colour each; many are told apart by their first factor alone.
    Levels that are numbers run along a sequential map, words take the colour-blind palette.
    """
    names = experiment.factor_names
    single = len(names) == 1 and names[0] != "label"
    labels = {c.condition_id: format_level(c.levels[names[0]]) if single else c.label for c in conditions}
    title = names[0] if single else "condition" if names else ""
    keys = [c.condition_id for c in conditions]
    texts = [labels[k] for k in keys]
    if len(names) > 1 and len(conditions) > theme.MOST_COLOURS:
        texts = [format_level(c.levels.get(names[0])) for c in conditions]
        title = names[0]
    by_level = bool(names) and title == names[0]
    entries = _coloured(texts, [c.levels.get(names[0]) if by_level else None for c in conditions])
    return ConditionColours(
        colours={k: entries[t] for k, t in zip(keys, texts, strict=True)},
        entries=list(entries.items()),
        title=title,
        labels=labels,
        row_title=names[0] if single else "",
    )


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
        entries = list(_coloured(texts, [c.levels.get(first) for c in conditions]).items())
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


def _coloured(texts: Sequence[str], levels: Sequence[Value]) -> dict[str, str]:
    """Return a colour for each text: along a map, in the order of their levels, where all are numbers; else of the palette."""
    ordered = all(theme.is_number(level) for level in levels)
    distinct = dict(zip(texts[::-1], levels[::-1], strict=True))
    order = sorted(dict.fromkeys(texts), key=lambda text: float(distinct[text]) if ordered else 0.0)  # type: ignore[arg-type]
    return dict(zip(order, theme.palette(len(order), ordered=ordered), strict=True))
