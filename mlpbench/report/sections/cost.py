"""The sections on cost: the outcome against training time and arithmetic, and what training took."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from mlpbench.evidence.estimates.observe import as_geometric, geometric_intervals
from mlpbench.evidence.estimates.overlap import by_position
from mlpbench.evidence.frames import floats, places, records
from mlpbench.report.context import Context
from mlpbench.report.figures import scales, theme
from mlpbench.report.figures.condition_colours import ConditionColours
from mlpbench.report.number_text import brief, rounded_factor, short_exponent
from mlpbench.report.section import Section, figure_section, paragraph, table
from mlpbench.report.words import listing

COSTS = {"train_seconds": "training time per run, s", "flops": "FLOPs per run"}
LEAST_RATIO = 2.0
UNTIMED = "No run has a training time."
MOST_LISTED = 4
# Up to so many dots have their name beside them, where none is longer than a panel has room for.
MOST_NAMED, LONGEST_NAME = 10, 24
# Behind names: the frontier runs below them.
PAPER = theme.PAPER | {"pad": 0.4}


def tradeoff(context: Context) -> Section | None:
    """Return the outcome against costs, where the arithmetic of conditions differs by a factor of two or more.

    None where conditions are of several data sets: an easy one is no bargain.
    """
    if len(context.experiment.datasets) > 1:
        return None
    costs = outcome_and_costs(context)
    if costs.empty or costs["flops"].max() < LEAST_RATIO * costs["flops"].min():
        return None
    drawn = costs[costs["position"].isin(list(context.excerpt.drawn))]
    how = (
        "Lines are Pareto frontiers of the means: no other condition is as good or better at the same or a lower cost. Bars are 95% "
        "intervals over replicates; a run's time is its share of the time of its stack on one worker."
    )
    return figure_section(
        "Result and cost",
        sentence(costs, context.measure),
        how,
        context.excerpt.drawn_by,
        figure="cost",
        alt=f"Test {context.measure} against training time and FLOPs.",
        draw=partial(draw, drawn, costs, f"test {context.measure}", context.colours),
    )


def outcome_and_costs(context: Context) -> pd.DataFrame:
    """Return a row for each condition with an outcome and costs: mean outcome, its interval, and mean costs.

    `optimal_COST` says whether the condition is Pareto-optimal: no other one costs as little or less and does as well or
    better, one of the two strictly.
    """
    outcome = context.estimates[context.estimates["metric"] == context.outcome].set_index("position")
    means = context.estimated(list(COSTS))
    costs = outcome[["condition_id", "label", "mean", "low", "high"]].copy()
    for name in COSTS:
        costs[name] = means[means["metric"] == name].set_index("position")["mean"]
    if context.measure == "loss":
        seen = context.observed[["position", context.outcome]].rename(columns={context.outcome: "value"}).dropna()
        costs = costs.join(geometric_intervals(seen, ["position"], by_position("test", context.conditions)))
    costs = costs.dropna(subset=["mean", *COSTS])
    costs = costs[(costs[list(COSTS)] > 0).all(axis=1)].reset_index()
    for name in COSTS:
        costs[f"optimal_{name}"] = _is_optimal(costs, name, higher=context.measure == "accuracy")
    return costs


def _is_optimal(costs: pd.DataFrame, name: str, *, higher: bool) -> pd.Series[bool]:
    good = costs["mean"] if higher else -costs["mean"]
    ordered = costs.assign(good=good).sort_values([name, "good", "position"], ascending=[True, False, True])
    before = ordered["good"].cummax().shift(fill_value=float("-inf"))
    return (ordered["good"] > before).reindex(costs.index)


def sentence(costs: pd.DataFrame, measure: str) -> str:
    """Say which conditions are Pareto-optimal by arithmetic, and what the best one costs compared with the cheapest."""
    optimal = records(costs[costs["optimal_flops"]].sort_values("flops"))
    cheapest, top = optimal[0], optimal[-1]
    names = [_condition(r) for r in optimal]
    if len(optimal) == 1:
        best = f"{top['mean']:.2%}" if measure == "accuracy" else brief(top["mean"], 4)
        return f"By FLOPs, {names[0]} is the only Pareto-optimal condition: it is the cheapest and the best, with test {measure} {best}."
    if len(optimal) == len(costs):
        who = "both conditions" if len(costs) == 2 else f"all {len(costs)} conditions"
    elif len(names) > MOST_LISTED:
        who = f"{len(names)} of {len(costs)} conditions, from {names[0]} to {names[-1]},"
    else:
        who = listing(names)
    more = top["mean"] - cheapest["mean"]
    gain = f"{100 * more:+.2f} pp" if measure == "accuracy" else f"{'+' * (more > 0)}{brief(more)}"
    return (
        f"By FLOPs, {who} are Pareto-optimal; the best, {_condition(top)}, takes {brief(top['flops'] / cheapest['flops'])} times the arithmetic and "
        f"{rounded_factor(top['train_seconds'] / cheapest['train_seconds'])} times the time of the cheapest, {_condition(cheapest)}, for {gain} of "
        f"test {measure}."
    )


def _condition(row: Mapping[str, Any]) -> str:
    return f"({row['label']})" if ", " in row["label"] else str(row["label"])


def training_cost(context: Context) -> Section:
    """Return training time and arithmetic of the conditions: what a run takes on one worker of the machine used."""
    stored = context.runs[["run_id", "train_seconds", "flops"]].drop_duplicates("run_id")
    at = places(context.observed["run_id"], stored["run_id"])
    timed = stored.iloc[at[at >= 0]].assign(position=context.observed["position"].to_numpy()[at >= 0]).dropna()
    # Sums depend on the order in their last bits: one that no order of files or rows moves.
    timed = timed.iloc[np.lexsort((timed["run_id"].to_numpy().astype("S16"), timed["position"]))]
    seconds, flops = timed["train_seconds"].sum(), timed["flops"].sum()
    if not seconds > 0:
        return Section(title="Cost", sentences=UNTIMED, fold=UNTIMED)
    total = (
        f"Training took {brief(seconds)} worker-seconds for {brief(flops)} floating-point operations of matrix products, "
        f"{_rate(flops, seconds)} GFLOP/s per worker."
    )
    listed = context.excerpt.listed
    groups = dict(list(timed[timed["position"].isin(list(listed))].groupby("position")))
    rows = []
    for position in (p for p in listed if p in groups):
        time, work = groups[position]["train_seconds"].mean(), groups[position]["flops"].mean()
        rows.append([context.short_label(position), brief(time), brief(work), _rate(work, time)])
    head = [context.label_heading, "seconds per run", "FLOPs per run", "GFLOP/s"]
    sentences = paragraph(total, context.excerpt.listed_by)
    return Section(title="Cost", sentences=sentences, table=table(head, rows, "lrrr"), fold=total)


def _rate(flops: float, seconds: float) -> str:
    return brief(flops / seconds / 1e9) if seconds > 0 else "-"


def draw(drawn: pd.DataFrame, every: pd.DataFrame, what: str, colours: ConditionColours) -> Figure:
    """Return a panel for each cost on a log axis; the frontier is that of `every` condition, the dots are of those `drawn`.

    Both have condition_id, mean, low, high, train_seconds, flops, optimal_train_seconds and optimal_flops; where they have geometric
    means, outcomes of over two decades are on a log axis. Of conditions far worse than most an arrow tells the outcome.
    """
    log = "geo_mean" in drawn and bool(drawn["geo_mean"].notna().all()) and scales.is_wide(floats(drawn["mean"]))
    drawn, every = (as_geometric(f) if log else f for f in (drawn, every))
    means = floats(drawn["mean"])
    inside = scales.limits(means, [*floats(drawn["low"]), *floats(drawn["high"])], log=log)
    with theme.style():
        figure, axes = theme.new(3.4, 1, 2, sharey=True)
        for ax, (cost, title) in zip(axes, COSTS.items(), strict=True):
            frontier = every[every[f"optimal_{cost}"]].sort_values(cost)
            ax.plot(
                frontier[cost], frontier["mean"], drawstyle="steps-post", color=theme.FAINT, linewidth=1.2, zorder=1
            )
            ends = scales.limits(floats(every[cost]), log=True, clip=False)
            scales.put_limits(ax, "x", _wider(ends), lambda v: short_exponent(f"{v:.3g}"), 4)
            ax.set_xlabel(title)
            scales.put_limits(ax, "y", inside)
            for row in records(drawn):
                _dot(ax, row, cost, inside, colours)
        axes[0].set_ylabel(what)
        axes[1].tick_params(labelleft=False)
        short = all(len(colours.labels[c]) <= LONGEST_NAME for c in drawn["condition_id"])
        named = short and len(drawn) <= MOST_NAMED and _write_names(figure, axes, drawn, colours, inside)
        handles = [
            Line2D(
                [], [], color=theme.INK, marker="o", markersize=5, linestyle="none", markerfacecolor=face, label=name
            )
            for name, face in (("Pareto-optimal", theme.INK), ("dominated", "white"))
        ]
        if any(inside is not None and inside.side(m) for m in means):
            handles.append(scales.arrow_handle(valued=named))
        if not named:
            handles += colours.handles(dots=True)
        title = f"labels: {colours.row_title}" if named and colours.row_title else "" if named else colours.title
        theme.legend_below(figure, handles, title)
    return figure


def _wider(ends: scales.Limits | None) -> scales.Limits | None:
    """Return the ends of an axis with room for dots and names at its edges."""
    if ends is None:
        return None
    room = max((ends.high / ends.low) ** 0.09, 1.12)
    return scales.Limits(low=ends.low / room, high=ends.high * room, log=True, clipped=False)


def _dot(ax: Axes, row: Mapping[str, Any], cost: str, inside: scales.Limits | None, colours: ConditionColours) -> None:
    colour, marker = colours.colours[row["condition_id"]], colours.marker(row["condition_id"])
    side = 0 if inside is None else inside.side(row["mean"])
    if side and inside is not None:
        scales.arrow(ax, "y", row[cost], "", inside, side, colour)
        return
    ax.vlines(row[cost], row["low"], row["high"], color=colour, linewidth=1.4)
    ax.plot([row[cost]], [row["mean"]], marker, color=colour, markersize=5,
            markerfacecolor=colour if row[f"optimal_{cost}"] else "white")  # fmt: skip


def _write_names(
    figure: Figure, axes: list[Axes], drawn: pd.DataFrame, colours: ConditionColours, inside: scales.Limits | None
) -> bool:
    """Write the names of conditions beside their dots and return True, unless some find no place.

    A name stands above the interval of its dot, else to the right or the left of it, else below the interval.
    """
    figure.draw_without_rendering()
    written: list[Annotation] = []
    for ax, cost in zip(axes, COSTS, strict=True):
        frame = ax.get_window_extent()
        dots = [ax.transData.transform((row[cost], row["mean"])) for row in records(drawn)]
        taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in dots]
        for row in records(drawn):
            texts = _places_of_name(ax, row, cost, colours.labels[row["condition_id"]], inside)
            found = None
            for text in texts:
                box = text.get_window_extent()
                free = not any(box.overlaps(other) for other in taken) and frame.x0 <= box.x0 and box.x1 <= frame.x1 + 8
                if found is None and free and box.y0 >= frame.y0 - 2:
                    found = text
                    taken.append(box)
                else:
                    text.remove()
            if found is None:
                for text in written:
                    text.remove()
                return False
            written.append(found)
    return True


def _places_of_name(
    ax: Axes, row: Mapping[str, Any], cost: str, name: str, inside: scales.Limits | None
) -> list[Annotation]:
    """Write a name at each place that it may stand, the best first."""
    side = 0 if inside is None else inside.side(row["mean"])
    if side and inside is not None:
        edge = (row[cost], inside.low if side < 0 else inside.high)
        off = f"{name}: {row['mean']:.3g}"
        places: list[tuple[str, tuple[float, float], tuple[float, float], str, str]] = [
            (off, edge, (0, -9.0 * side), "center", "bottom" if side < 0 else "top"),
            (off, edge, (6, -4.0 * side), "left", "bottom" if side < 0 else "top"),
            (off, edge, (-6, -4.0 * side), "right", "bottom" if side < 0 else "top"),
        ]
    else:
        top, bottom = (row["mean"] if pd.isna(row[end]) else row[end] for end in ("high", "low"))
        dot = (row[cost], row["mean"])
        places = [
            (name, (row[cost], top), (0, 3), "center", "bottom"),
            (name, dot, (6, 0), "left", "center"),
            (name, dot, (-6, 0), "right", "center"),
            (name, (row[cost], bottom), (0, -4), "center", "top"),
        ]
    return [
        ax.annotate(text, at, xytext=by, textcoords="offset points", ha=ha, va=va, fontsize=7, bbox=PAPER)
        for text, at, by, ha, va in places
    ]
