"""Signal by layer: activation variance and gradient norm from the first layer to the last, at the start and at the end."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.evidence.estimates.layer_estimates import BACKWARD, END, FORWARD, GRADIENT, START, VARIANCE
from mlpbench.report.figures.arrangement import Arrangement
from mlpbench.report.figures.panels import panels, whole_numbers


def signal_by_layer(estimates: pd.DataFrame, arranged: Arrangement) -> Figure:
    """Return a row for each of start and end, a column for each measure; with panels of their own, the other way round.

    `estimates` has position (a place in `arranged`), when, measure, layer, mean, low and high.
    """
    frame = placed(estimates, arranged).assign(x=estimates["layer"])
    figure = panels(in_grid(frame, arranged), arranged.entries, arranged.title, "layer")
    whole_numbers(figure.axes)
    return figure


def placed(estimates: pd.DataFrame, arranged: Arrangement) -> pd.DataFrame:
    """Return estimates with the panel, the line and the colour's text of each condition."""
    at = {
        name: dict(enumerate(of))
        for name, of in (("panel", arranged.panels), ("line", arranged.lines), ("text", arranged.texts))
    }
    return estimates.assign(**{name: estimates["position"].map(of) for name, of in at.items()})


# From top to bottom and from left to right.
ORDER = (FORWARD, BACKWARD, VARIANCE, GRADIENT, START, END)


def in_grid(frame: pd.DataFrame, arranged: Arrangement) -> pd.DataFrame:
    """Return rows by `when` and columns by measure; of conditions in panels, rows by both and columns by panel."""
    keys = frame[["measure", "when"]].map(ORDER.index)
    frame = frame.iloc[np.lexsort((keys["when"], keys["measure"]))]
    several = frame["when"].nunique() > 1
    told = frame["measure"].astype(str) + (", " + frame["when"].astype(str) if several else "")
    if arranged.panel_of:
        top = told == told.iloc[0]
        head = frame["panel"].where(top, "")
        return frame.assign(row=told, column=frame["panel"], head=head, measure=told if several else frame["measure"])
    return frame.assign(row=frame["when"], column=frame["measure"], head=frame["when"])
