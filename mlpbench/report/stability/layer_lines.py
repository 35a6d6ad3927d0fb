"""What sections about layers share: how conditions become lines and panels, and parts of their sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.layer_estimates import BACKWARD, END, FORWARD, GRADIENT, START, VARIANCE
from mlpbench.report.context import Context
from mlpbench.report.figures.line_arrangement import Arrangement, arrange
from mlpbench.report.language.words import rounded_factor
from mlpbench.report.section import paragraph

BANDS = "Lines are geometric means over replicates, bands 95% intervals."
# Of rows and columns of panels, from top to bottom and from left to right.
ORDER = (FORWARD, BACKWARD, VARIANCE, GRADIENT, START, END)


def varied(context: Context, settings: Sequence[str]) -> list[str]:
    """Return which of some settings differ between conditions with a hidden layer."""
    hidden = [c.settings for c in context.conditions if c.settings.n_hidden > 0]
    return [name for name in settings if len({getattr(s, name) for s in hidden}) > 1]


def arranged(context: Context, along: str = "") -> Arrangement:
    """Return how the drawn conditions become lines over `along`, a factor, or over something that is none."""
    together = context.experiment.zipped if along in context.experiment.zipped else ()
    names = [n for n in context.experiment.factor_names if n not in together]
    return arrange(context.drawn_conditions, names, context.colours, along)


def drawn_labels(context: Context) -> dict[int, str]:
    """Return the labels of the drawn conditions, by their place among those."""
    return {i: c.label for i, c in enumerate(context.drawn_conditions)}


def text(context: Context, *sentences: str) -> str:
    """Return sentences as a paragraph, with which replicates and conditions are drawn."""
    some = f"Drawn are the first {MOST_DOTS} replicates." if context.experiment.replicates > MOST_DOTS else ""
    return paragraph(*sentences, some, context.excerpt.drawn_by)


def placed(estimates: pd.DataFrame, lines: Arrangement) -> pd.DataFrame:
    """Return estimates with the panel, the line and the colour's text of each condition."""
    columns = {"panel": lines.panels, "line": lines.lines, "text": lines.texts}
    return estimates.assign(**{name: estimates["position"].map(dict(enumerate(of))) for name, of in columns.items()})


def in_grid(frame: pd.DataFrame, lines: Arrangement) -> pd.DataFrame:
    """Return rows by `when` and columns by measure; of conditions in panels, rows by both and columns by panel."""
    keys = frame[["measure", "when"]].map(ORDER.index)
    frame = frame.iloc[np.lexsort((keys["when"], keys["measure"]))]
    several = frame["when"].nunique() > 1
    both = frame["measure"].astype(str) + (", " + frame["when"].astype(str) if several else "")
    if lines.panel_of:
        head = frame["panel"].where(both == both.iloc[0], "")
        return frame.assign(row=both, column=frame["panel"], head=head, measure=both if several else frame["measure"])
    return frame.assign(row=frame["when"], column=frame["measure"], head=frame["when"])


def span(values: Mapping[int, float], labels: Mapping[int, str], what: str) -> str:
    """Return `what 0.2 (one) to 3 (other)`, by position; the value alone where there is one; nothing where there is none."""
    if not values:
        return ""
    low, high = (choose(values, key=lambda p: values[p]) for choose in (min, max))
    if len(values) == 1 or f"{values[low]:.2g}" == f"{values[high]:.2g}":
        return f"{what} {rounded_factor(values[high])}"
    return f"{what} {rounded_factor(values[low])} ({labels[low]}) to {rounded_factor(values[high])} ({labels[high]})"


def zeros(estimates: pd.DataFrame) -> str:
    """Say where lines break off because a number is 0; nothing where none is."""
    n = estimates.loc[estimates["zeros"] > 0, "position"].nunique()
    if not n:
        return ""
    some = "1 condition has" if n == 1 else f"{n} conditions have"
    return f"{some} a replicate in which a number is exactly 0: lines break off there."
