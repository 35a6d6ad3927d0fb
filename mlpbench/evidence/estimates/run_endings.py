"""How runs end, by condition: the share of dead hidden units, and where training diverges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlpbench.base.models import Value
from mlpbench.evidence.estimates.observe import DIVERGED, OK, intervals, with_labels
from mlpbench.experiment.claims.selectors import are_numbers
from mlpbench.experiment.grid import Condition, format_level


def dead_shares(
    observed: pd.DataFrame, conditions: Sequence[Condition], overlaps: pd.Series[float] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the share of dead hidden units by condition, with interval, and by replicate.

    share = dead_units / number of hidden units, of conditions that have any; a channel of a convolution is one. Intervals
    are t intervals over replicates, cut at 0 and 1. The first frame has position, condition_id, label, n, mean, sd, low, high and planned; the second position and
    value. `overlaps` is for `intervals`.
    """
    units = pd.Series([float(sum(c.settings.conv_channels) + sum(c.settings.hidden_sizes)) for c in conditions])
    hidden = observed["position"].map(units)
    points = observed.loc[hidden > 0, ["position", "dead_units"]]
    points = points.assign(value=points["dead_units"] / hidden[hidden > 0])[["position", "value"]]
    planned = points.groupby("position", sort=True).size()
    floors = pd.Series(0.0, index=planned.index)
    estimates = intervals(points, ["position"], floors, (0.0, 1.0), overlaps).assign(planned=planned).reset_index()
    return with_labels(estimates, conditions, at=1), points


def divergence(
    observed: pd.DataFrame, conditions: Sequence[Condition], names: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return how many runs diverged in each cell of the two factors that divide them most, and those factors.

    A factor divides runs by how far the shares of its levels are apart. Cells have `across`, `down` (levels as text, numbers
    in order; across is empty where one factor varies), `diverged` and `runs`, those that finished or diverged. The runs of a
    cell are of all levels of the other factors.
    """
    ended = observed.loc[observed["status"].isin([OK, DIVERGED]), ["position", "status"]]
    by = pd.DataFrame({"diverged": (ended["status"] == DIVERGED).groupby(ended["position"]).sum()})
    by["runs"] = ended.groupby("position").size()
    by = by.reindex(range(len(conditions)), fill_value=0)
    varied = {n: [c.levels.get(n) for c in conditions] for n in names}
    varied = {n: levels for n, levels in varied.items() if len(set(levels)) > 1}
    chosen = sorted(varied, key=lambda n: -_spread(by, varied[n]))[:2]
    chosen = [n for n in names if n in chosen]  # in the order of the file: a tie must not move them
    if not chosen:
        return pd.DataFrame(columns=["across", "down", "diverged", "runs"]), []
    # The factor with more levels lies along the page where its numbers have an order.
    chosen.sort(key=lambda n: are_numbers(varied[n]))
    down, across = (chosen[0], chosen[1]) if len(chosen) == 2 else (chosen[0], "")
    order = {n: {text: i for i, text in enumerate(_in_order(varied[n]))} for n in chosen}
    by["down"] = [format_level(v) for v in varied[down]]
    by["across"] = [format_level(v) for v in varied[across]] if across else ""
    cells = by.groupby(["down", "across"], sort=False)[["diverged", "runs"]].sum().reset_index()
    keys = [
        cells[k].map(order[n]) if n else pd.Series(0, index=cells.index)
        for k, n in (("down", down), ("across", across))
    ]
    cells = cells.iloc[np.lexsort((keys[1], keys[0]))].reset_index(drop=True)
    if across:  # levels in order, also where the first row of the map lacks one
        whole = pd.MultiIndex.from_product([order[down], order[across]], names=["down", "across"])
        cells = cells.set_index(["down", "across"]).reindex(whole, fill_value=0).reset_index()
    return cells[["across", "down", "diverged", "runs"]], [n for n in (across, down) if n]


def _spread(by: pd.DataFrame, levels: Sequence[Value]) -> float:
    sums = by.groupby([format_level(v) for v in levels])[["diverged", "runs"]].sum()
    shares = (sums["diverged"] / sums["runs"])[sums["runs"] > 0]
    return float(shares.max() - shares.min()) if len(shares) else 0.0


def _in_order(levels: Sequence[Value]) -> list[str]:
    ordered = list(dict.fromkeys(levels))
    if are_numbers(ordered):
        ordered.sort(key=lambda v: float(v))  # type: ignore[arg-type]
    return [format_level(v) for v in ordered]
