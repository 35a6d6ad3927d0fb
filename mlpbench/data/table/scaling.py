"""The scales of inputs, each from the training rows alone, and the inputs that do not vary there.

Shapes: `N` rows, `I` inputs. Equations are those of scikit-learn's classes, which a test compares with.

| scale      | of a number x, over the training rows                              | scikit-learn |
|------------|--------------------------------------------------------------------|--------------|
| `standard` | (x - mean) / sd, sd over N                                         | `StandardScaler` |
| `robust`   | (x - median) / (upper quartile - lower quartile)                   | `RobustScaler` |
| `minmax`   | (x - least) / (greatest - least)                                   | `MinMaxScaler` |
| `quantile` | the normal deviate of the share of rows below x, by 1,000 quantiles | `QuantileTransformer`, normal, of all rows |
| `none`     | x                                                                  | |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.data.table.columns import Column, named

Scale = Literal["standard", "robust", "minmax", "quantile", "none"]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_QUANTILES = 1000
# The share of rows that the least and the greatest value are taken for, so that their deviates are finite: 5.2 in size.
_LEAST_SHARE = 1e-7


def constant_inputs(x: Floats) -> Mask:
    """Return which inputs vary by no more than rounding, (I,), over training rows x, (N, I).

    The mean of N equal numbers is off by up to N eps max |x|, and so may the standard deviation be: what is no larger says
    nothing (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for Computing the Sample Variance", 1983).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        sd = x.std(0)
    bound: Mask = sd <= len(x) * np.finfo(np.float64).eps * np.abs(x).max(0)
    return bound


def scaled(x: Floats, train: Mask, numeric: Mask, scale: Scale, owners: Sequence[Column]) -> tuple[Floats, list[str]]:
    """Return inputs with their numbers scaled, and notes; x is changed in place.

    Args:
        x: the inputs, (N, I), all finite.
        train: the training rows, (N,).
        numeric: the inputs that are numbers, (I,); all others stay as they are.
        scale: how numbers are scaled.
        owners: the column of each input.

    """
    if scale == "none" or not numeric.any():
        return x, []
    notes: list[str] = []
    if scale == "quantile":
        for i in np.flatnonzero(numeric):
            x[:, i] = _deviates(x[:, i], x[train, i])
        return x, notes
    rows = x[train]
    centre, spread = _centre_and_spread(rows, scale)
    if scale == "robust" and (alike := numeric & (spread == 0)).any():
        which = named(list(dict.fromkeys(owners[i].name for i in np.flatnonzero(alike).tolist())))
        notes.append(f"{which}: the middle half of the training rows has one value: centred by it, not scaled")
    x[:, numeric] = (x[:, numeric] - centre[numeric]) / np.where(spread[numeric] > 0, spread[numeric], 1.0)
    return x, notes


def _centre_and_spread(rows: Floats, scale: Scale) -> tuple[Floats, Floats]:
    if scale == "standard":
        with np.errstate(over="ignore", invalid="ignore"):
            return rows.mean(0), rows.std(0)
    if scale == "minmax":
        return rows.min(0), np.ptp(rows, 0)
    lower, median, upper = np.percentile(rows, (25, 50, 75), axis=0)
    return median, upper - lower


def _deviates(values: Floats, rows: Floats) -> Floats:
    """Return the normal deviates of values among rows: where values are tied, of the middle of their shares."""
    from scipy.special import ndtri

    shares = np.linspace(0, 1, min(MOST_QUANTILES, len(rows)))
    quantiles = np.maximum.accumulate(np.percentile(rows, 100 * shares))
    below = np.interp(values, quantiles, shares)
    above = np.interp(-values, -quantiles[::-1], -shares[::-1])
    share = (below - above) / 2
    share[values <= quantiles[0]] = 0
    share[values >= quantiles[-1]] = 1
    limit = ndtri(_LEAST_SHARE - np.spacing(1))
    deviates: Floats = np.clip(ndtri(share), limit, -limit)
    return deviates
