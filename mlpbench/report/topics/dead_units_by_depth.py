"""The section "Dead units against depth": the share of hidden units that are dead, as lines over depth, in place of many rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlpbench.evidence.estimates import run_endings
from mlpbench.evidence.frames import records
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.figures.condition_colours import DASHES, Arrangement, arrange
from mlpbench.report.figures.layouts import MOST_BANDS
from mlpbench.report.section import Section, figure_section
from mlpbench.report.words import listing

# Depths that make a line.
FEWEST = 3
DEAD = "A unit is dead if it is zero on every one of 10,000 training examples."
BANDS = "Bands are 95% intervals over replicates."
HEIGHT = 2.3
# Lines of which each is drawn narrower than the one before.
MOST_WIDE = 3


def applies(context: Context) -> bool:
    """Return whether units are dead in some run and `depth` is a factor with three levels or more that have hidden layers."""
    depths = {c.settings.n_hidden for c in context.drawn_conditions} - {0}
    is_factor = "depth" in context.experiment.factor_names and len(depths) >= FEWEST
    return is_factor and bool((context.drawn_rows(context.observed)["dead_units"] > 0).any())


def section(context: Context) -> Section | None:
    """Return the share of dead units against depth, where there are any and depth is varied."""
    if not applies(context):
        return None
    every, _ = run_endings.dead_shares(context.observed, context.conditions, context.overlaps_of_training())
    estimates = context.ranked_rows(every)
    lines = arrange(context.experiment, context.drawn_conditions, context.colours, "depth")
    depths = {i: c.settings.n_hidden for i, c in enumerate(context.drawn_conditions)}
    frame = placed(estimates, lines, depths)
    without = [panel for panel, rows in frame.groupby("panel", sort=False) if not (rows["mean"] > 0).any()]
    return figure_section(
        "Dead units against depth",
        depth_sentence(frame),
        f"No unit is dead with {listing([str(panel) for panel in without])}: not drawn." if without else "",
        DEAD,
        BANDS,
        lines.sentence,
        context.drawn_by,
        figure="dead_units_by_depth",
        alt="Share of hidden units that are dead against depth.",
        draw=partial(draw_lines, frame[~frame["panel"].isin(without)], lines),
    )


def placed(estimates: pd.DataFrame, lines: Arrangement, depths: Mapping[int, int]) -> pd.DataFrame:
    """Return estimates with the depth, the panel, the line and the text of the colour of each condition, in order of depth."""
    at = {
        "panel": lines.panels,
        "line": lines.lines,
        "text": lines.texts,
        "style": lines.styles or [0] * len(lines.lines),
    }
    columns = {name: estimates["position"].map(dict(enumerate(of))) for name, of in at.items()}
    return estimates.assign(depth=estimates["position"].map(depths), **columns).sort_values("depth", kind="stable")


def depth_sentence(frame: pd.DataFrame) -> str:
    """Say where the share is highest, and how it goes from the shallowest network to the deepest on that line."""
    known = records(frame.dropna(subset=["mean"]))
    most = max(known, key=lambda row: float(row["mean"]))
    line = [row for row in known if row["line"] == most["line"]]
    first, last = line[0], line[-1]
    where = f" with {most['line']}" if most["line"] else ""
    low, high = most["low"], most["high"]
    interval = "" if pd.isna(low) else f", 95% interval {low:.1%} to {high:.1%}"
    course = f"; there it goes from {first['mean']:.1%} at depth {first['depth']} to {last['mean']:.1%} at depth {last['depth']}"
    return (
        f"The share of hidden units that are dead is highest{where} at depth {most['depth']}, {most['mean']:.1%}{interval}"
        f"{course if len(line) > 1 else ''}."
    )


def draw_lines(frame: pd.DataFrame, lines: Arrangement) -> Figure:
    """Return a line over depth for each condition but for its depth, in panels by another factor."""
    panels = list(dict.fromkeys(frame.sort_values("position", kind="stable")["panel"]))
    colours, few = dict(lines.entries), frame["line"].nunique() <= MOST_BANDS * len(panels)
    drawn = [entry for entry in lines.entries if entry[0] in set(frame["text"])]
    # Colours that come again are told apart by dashes.
    repeats = not lines.style_entries and len(set(colours.values())) < len(colours)
    turns = {text: i // theme.MOST_COLOURS % len(DASHES) for i, text in enumerate(colours)}
    with theme.style():
        figure, axes = theme.new(HEIGHT + 0.75 + 0.17 * (len(drawn) // 4), 1, len(panels), sharex=True, sharey=True)
        for ax, panel in zip(axes, panels, strict=True):
            of_panel = list(frame[frame["panel"] == panel].groupby(["line", "text"], sort=False))
            for at, ((_, text), line) in enumerate(of_panel):
                # The first ones are wider, so that they are seen below others that coincide with them.
                width = 1.3 + (1.4 * (len(of_panel) - 1 - at) if len(of_panel) <= MOST_WIDE else 0.0)
                place = turns.get(str(text), 0) if repeats else int(line["style"].iloc[0])
                look: dict[str, Any] = {"marker": "o", "markersize": 3, "linestyle": DASHES[place]}
                theme.line_with_band(ax, line, "depth", colours[str(text)], width, band=few, **look)
            ax.set_title(str(panel), loc="left")
            theme.level_axis(ax, [float(depth) for depth in frame["depth"]], "depth")
            ax.yaxis.set_major_formatter(theme.percent)
        axes[0].set_ylabel("dead hidden units")
        top = float(frame[["mean", "high"] if few else ["mean"]].max().max())
        axes[0].set_ylim(-0.03 * top, 1.08 * top)
        dashes = [
            Line2D([], [], color=theme.INK, linewidth=1.3, linestyle=DASHES[place], label=text)
            for text, place in lines.style_entries
        ]
        handles = [*theme.colour_handles(drawn), *dashes]
        for handle in handles if repeats else ():
            handle.set(linestyle=DASHES[turns[str(handle.get_label())]], linewidth=1.5)
        theme.legend_below(figure, handles, lines.title if len(drawn) > 1 else "")
    return figure
