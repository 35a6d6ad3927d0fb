"""Distributions of weights, from the quantiles that the table `layers` keeps.

They are of one run of a condition: means over replicates would blur what is exactly zero, and where that is. Between two
quantiles the density is constant.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.layer_estimates import START, at_start_and_end
from mlpbench.experiment.metrics.metric import WEIGHT_QUANTILES

Floats = npt.NDArray[np.float64]
# Where the widest distribution at the start is this many times the narrowest, a linear axis would show one as a line.
WIDE = 10.0


def distributions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of the weights of runs, one for each position, at start and end, as arrays.

    Columns are position, when, layer, which and quantiles. Of a run's layers the first, the one in the middle and the last
    are kept; `which` has them in words.
    """
    rows = at_start_and_end(rows[rows[WEIGHT_QUANTILES].notna()])
    which = [_which(int(layer), int(depth) + 1) for layer, depth in zip(rows["layer"], rows["depth"], strict=True)]
    arrays = pd.Series([np.asarray(q, dtype=float) for q in rows[WEIGHT_QUANTILES]], index=rows.index, dtype=object)
    found = rows.assign(which=which, quantiles=arrays)[["position", "when", "layer", "which", "quantiles"]]
    return found[found["which"] != ""].reset_index(drop=True)


def _which(layer: int, last: int) -> str:
    if layer == 1:
        return "first layer"
    if layer == last:
        return "last layer"
    return "middle layer" if layer == (last + 1) // 2 else ""


def scale_of(found: pd.DataFrame) -> float:
    """Return the width within which an axis for all distributions is linear, 0 where it is so throughout.

    Beyond it the axis is asinh(w / width): the width is that of the narrowest central 90%, halved.
    """
    start = found[found["when"] == START] if (found["when"] == START).any() else found
    widths = np.array([float(q[-2] - q[1]) for q in start["quantiles"]])
    widths = widths[widths > 0]
    return float(widths.min()) / 2 if len(widths) and widths.max() > WIDE * widths.min() else 0.0


def density(quantiles: Floats) -> tuple[Floats, list[tuple[float, float]]]:
    """Return the density between each two quantiles, and atoms as (place, share of the weights).

    An atom is where quantiles are equal, as of zeros or of a constant; the density is 0 there.
    """
    mass = 1 / (len(quantiles) - 1)
    widths = np.diff(quantiles)
    is_atom = widths <= 1e-9 * max(float(np.abs(quantiles).max()), 1e-300)
    heights = np.divide(mass, widths, out=np.zeros_like(widths), where=~is_atom)
    atoms: list[tuple[float, float]] = []
    for i in np.flatnonzero(is_atom):
        before = atoms.pop() if i and is_atom[i - 1] else (float(quantiles[i]), 0.0)
        atoms.append((before[0], before[1] + mass))
    return heights, atoms
