"""Over training: activation variance and gradient norm of the first and the last hidden layer against steps."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mlpbench.report.figures.arrangement import Arrangement
from mlpbench.report.figures.panels import panels
from mlpbench.report.figures.signals import placed


def layers_over_steps(estimates: pd.DataFrame, arranged: Arrangement) -> Figure:
    """Return a row for each measure, a column for each layer; of conditions in panels, a row for each of both.

    `estimates` has position, measure, which (the layer, in words), step, mean, low and high.
    """
    frame = placed(estimates, arranged).assign(x=estimates["step"])
    if arranged.panel_of:
        told = frame["measure"].astype(str) + ",\n" + frame["which"].astype(str)
        frame = frame.assign(
            row=told, column=frame["panel"], head=frame["panel"].where(told == told.iloc[0], ""), measure=told
        )
    else:
        frame = frame.assign(row=frame["measure"], column=frame["which"])
        frame = frame.assign(head=frame["which"].where(frame["measure"] == frame["measure"].iloc[0], ""))
    return panels(frame, arranged.entries, arranged.title, "gradient step")
