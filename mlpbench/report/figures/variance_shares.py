"""Where the spread comes from: the share of each random stream, beside what the finite test set would add."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.frames import records
from mlpbench.report.figures import theme

TEST_SET = "test set"


def shares(rows: pd.DataFrame, metric: str) -> Figure:
    """Return bars of the share of the summed variance by stream, one a condition, with intervals; the test set's is hatched.

    `rows` has label (the condition), stream, share, share_low and share_high.
    """
    streams, labels = list(dict.fromkeys(rows["stream"])), list(dict.fromkeys(rows["label"]))
    streams.sort(key=lambda s: s == TEST_SET)
    height = 0.72 / len(labels)
    with theme.style():
        figure, (ax,) = theme.new(1.1 + (0.34 + 0.1 * len(labels)) * len(streams))
        colours = dict(zip(labels, theme.palette(len(labels), ordered=False), strict=True))
        for row in records(rows):
            at = streams.index(row["stream"]) + (labels.index(row["label"]) - (len(labels) - 1) / 2) * height
            colour = colours[row["label"]]
            hatched = row["stream"] == TEST_SET
            ax.barh(at, row["share"], 0.9 * height, color="white" if hatched else colour, alpha=1 if hatched else 0.75,
                    edgecolor=colour, hatch="////" if hatched else None, linewidth=0.8)  # fmt: skip
            ax.hlines(at, row["share_low"], row["share_high"], color=theme.INK, linewidth=1.2)
        ax.set_yticks(
            range(len(streams)), [s if s != TEST_SET else "finite test set,\nbeside the sum" for s in streams]
        )
        ax.set_ylim(len(streams) - 0.45, -0.55)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_formatter(theme.percent)
        ax.set_xlabel(f"share of the summed variance of {metric}")
        ax.grid(axis="y", visible=False)
        handles = [Line2D([], [], color=c, linewidth=5, alpha=0.75, label=label) for label, c in colours.items()]
        theme.legend_below(figure, handles if len(labels) > 1 else [])
    return figure
