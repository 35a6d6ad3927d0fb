"""What a better result costs: outcome against training time and arithmetic, and what nothing else beats at its price."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.observe import estimate
from mlpbench.evidence.frames import records
from mlpbench.report.language.words import listing
from mlpbench.report.sections.section import Given, Section

COSTS = ("train_seconds", "flops")
LEAST_RATIO = 2.0
MOST_NAMED = 4


def priced(given: Given) -> pd.DataFrame:
    """Return a row for each condition with an outcome and costs: mean outcome, its interval, mean costs, and fronts.

    `front_COST` tells whether no other condition costs as little or less and does as well or better, one of the two
    strictly: the Pareto front of the means.
    """
    of = given.estimates[given.estimates["metric"] == given.outcome].set_index("position")
    costs = estimate(given.experiment, given.conditions, given.observed, pd.DataFrame(), COSTS)
    table = of[["condition_id", "label", "mean", "low", "high"]].copy()
    for name in COSTS:
        table[name] = costs[costs["metric"] == name].set_index("position")["mean"]
    table = table.dropna(subset=["mean", *COSTS])
    table = table[(table[list(COSTS)] > 0).all(axis=1)].reset_index()
    for name in COSTS:
        table[f"front_{name}"] = _front(table, name, higher=given.good == "accuracy")
    return table


def _front(table: pd.DataFrame, cost: str, *, higher: bool) -> pd.Series[bool]:
    good = table["mean"] if higher else -table["mean"]
    ordered = table.assign(good=good).sort_values([cost, "good", "position"], ascending=[True, False, True])
    before = ordered["good"].cummax().shift(fill_value=float("-inf"))
    return (ordered["good"] > before).reindex(table.index)


def section(given: Given) -> Section | None:
    """Return outcome against costs, where the arithmetic of conditions differs by a factor of two or more."""
    table = priced(given)
    if table.empty or table["flops"].max() < LEAST_RATIO * table["flops"].min():
        return None
    from mlpbench.report.figures.pareto import tradeoff

    told = sentence(table, given.good)
    drawn = table[table["position"].isin(list(given.excerpt.drawn))]
    text = (
        f"{told} Lines are the fronts of the means: what no other condition beats at its cost. Bars are 95% intervals over "
        "replicates; seconds are a run's share of its stack's time on one worker."
    )
    return Section(
        title="Result and cost",
        text=f"{text} {given.excerpt.drawn_by}".rstrip(),
        name="cost",
        draw=partial(tradeoff, drawn, table, f"test {given.good}", given.look),
        alt=f"Test {given.good} against training time and FLOPs. {told}",
    )


def sentence(table: pd.DataFrame, good: str) -> str:
    """Say which conditions no other beats at their arithmetic, and what the best one costs beside the cheapest."""
    front = records(table[table["front_flops"]].sort_values("flops"))
    cheapest, top = front[0], front[-1]
    names = [_named(r) for r in front]
    if len(front) == len(table) > 1:
        said = f"all {len(table)} conditions"
    elif len(names) > MOST_NAMED:
        said = f"{len(names)} of {len(table)} conditions from {names[0]} to {names[-1]}"
    else:
        said = listing(names)
    plural = "s" if len(front) == 1 else ""
    first = f"By FLOPs {said} lie{plural} on the front"
    if len(front) == 1:
        return f"{first}: it is the cheapest and the best, test {good} {_value(top['mean'], good)}."
    more = top["mean"] - cheapest["mean"]
    gain = f"{100 * more:+.2f} pp" if good == "accuracy" else f"{more:+.3g}"
    times = top["flops"] / cheapest["flops"]
    return (
        f"{first}; the best, {_named(top)}, takes {times:.3g} times the arithmetic and "
        f"{top['train_seconds'] / cheapest['train_seconds']:.2g} times the time of the cheapest, {_named(cheapest)}, for {gain} of "
        f"test {good}."
    )


def _named(row: Mapping[str, Any]) -> str:
    return f"({row['label']})" if ", " in row["label"] else str(row["label"])


def _value(mean: float, good: str) -> str:
    return f"{mean:.2%}" if good == "accuracy" else f"{mean:.4g}"
