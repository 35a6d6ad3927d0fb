"""The colours and the names of conditions, the same in every figure of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment
from mlpbench.report.figures import theme


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
    ordered = bool(names) and title == names[0] and all(theme.is_number(c.levels.get(names[0])) for c in conditions)
    if ordered:
        values = {t: float(c.levels[names[0]]) for t, c in zip(texts, conditions, strict=True)}  # type: ignore[arg-type]
        distinct = sorted(values, key=lambda t: values[t])
    else:
        distinct = list(dict.fromkeys(texts))
    entries = dict(zip(distinct, theme.palette(len(distinct), ordered=ordered), strict=True))
    return ConditionColours(
        colours={k: entries[t] for k, t in zip(keys, texts, strict=True)},
        entries=list(entries.items()),
        title=title,
        labels=labels,
        row_title=names[0] if single else "",
    )
