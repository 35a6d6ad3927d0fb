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
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlpbench.base.models import Model
from mlpbench.data.formats.columns import Column, named

Scale = Literal["standard", "robust", "minmax", "quantile", "none"]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SPREADS: dict[Scale, str] = {
    "standard": "standard deviation", "robust": "range between quartiles", "minmax": "range", "quantile": "range",
}  # fmt: skip
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


class InputScale(Model):
    """How inputs are scaled, by the training rows: enough to scale those of other rows.

    Attributes:
        scale: how numbers are scaled.
        scaled: the places of the inputs that are; all others stay as they are, but for the constant ones.
        centre, spread: what is taken from each of them, and what that is divided by; none of `quantile`.
        quantiles: of each of them its quantiles at equal steps; of `quantile` alone.
        constant: the places of inputs that did not vary, and are 0.

    """

    scale: Scale
    scaled: tuple[int, ...] = Field(default=(), strict=False)
    centre: tuple[float, ...] = Field(default=(), strict=False)
    spread: tuple[float, ...] = Field(default=(), strict=False)
    quantiles: tuple[Annotated[tuple[float, ...], Field(strict=False)], ...] = Field(default=(), strict=False)
    constant: tuple[int, ...] = Field(default=(), strict=False)

    def check(self, width: int) -> None:
        """Raise ValueError where it is none of so many inputs."""
        n = len(self.scaled)
        of_quantile = self.scale == "quantile"
        sizes = (0, 0, n) if of_quantile else (n, n, 0)
        if (len(self.centre), len(self.spread), len(self.quantiles)) != sizes:
            raise ValueError("each scaled input must have a centre and a spread, or quantiles")
        places = (*self.scaled, *self.constant)
        if len(set(places)) < len(places) or not all(0 <= i < width for i in places):
            raise ValueError(f"scaled and constant inputs must be different ones of {width}")
        if not all(spread > 0 for spread in self.spread):
            raise ValueError("a spread must be above 0")
        if not all(q and list(q) == sorted(q) for q in self.quantiles):
            raise ValueError("quantiles must be in order")

    def apply(self, x: Floats) -> Floats:
        """Return inputs, (N, I), scaled; they are changed in place."""
        at = list(self.scaled)
        if self.scale == "quantile":
            for i, quantiles in zip(at, self.quantiles, strict=True):
                x[:, i] = _deviates(x[:, i], np.array(quantiles))
        elif at:
            x[:, at] = (x[:, at] - np.array(self.centre)) / np.array(self.spread)
        x[:, list(self.constant)] = 0.0
        return x


def fitted_scale(rows: Floats, numeric: Mask, scale: Scale, owners: Sequence[Column]) -> tuple[InputScale, list[str]]:
    """Return how inputs are scaled, and notes.

    Args:
        rows: the inputs of the training rows, (N, I), all finite.
        numeric: the inputs that are numbers, (I,); all others stay as they are.
        scale: how numbers are scaled.
        owners: the column of each input.

    """
    constant = constant_inputs(rows) if scale != "none" else np.zeros(rows.shape[1], bool)
    still = tuple(np.flatnonzero(constant).tolist())
    numeric = numeric & ~constant
    if scale == "none" or not numeric.any():
        return InputScale(scale=scale, constant=still), []
    places = tuple(np.flatnonzero(numeric).tolist())
    if scale == "quantile":
        quantiles = tuple(tuple(_finite(_quantiles(rows[:, i]), scale, rows, owners, i)) for i in places)
        return InputScale(scale=scale, scaled=places, quantiles=quantiles, constant=still), []
    centre, spread = _centre_and_spread(rows, scale)
    notes = []
    if scale == "robust" and (alike := numeric & (spread == 0)).any():
        which = named(list(dict.fromkeys(owners[i].name for i in np.flatnonzero(alike).tolist())))
        notes.append(f"{which}: the middle half of the training rows has one value: centred by it, not scaled")
    for i in places:
        _finite(spread[i : i + 1], scale, rows, owners, i)
    divisor = np.where(spread > 0, spread, 1.0)[numeric]
    by = {"centre": tuple(centre[numeric].tolist()), "spread": tuple(divisor.tolist())}
    return InputScale(scale=scale, scaled=places, constant=still, **by), notes


def _finite(found: Floats, scale: Scale, rows: Floats, owners: Sequence[Column], i: int) -> list[float]:
    """Return what was found of an input; raise InputError where it is infinite: numbers that are too large to be scaled."""
    if not np.isfinite(found).all():
        message = f"the {SPREADS[scale]} of a column must be finite, got numbers up to {np.abs(rows[:, i]).max():g}"
        raise owners[i].place.error(message)
    return [float(value) for value in found]


def _centre_and_spread(rows: Floats, scale: Scale) -> tuple[Floats, Floats]:
    if scale == "standard":
        with np.errstate(over="ignore", invalid="ignore"):
            return rows.mean(0), rows.std(0)
    with np.errstate(over="ignore", invalid="ignore"):
        if scale == "minmax":
            return rows.min(0), np.ptp(rows, 0)
        lower, median, upper = np.percentile(rows, (25, 50, 75), axis=0)
        return median, upper - lower


def _quantiles(rows: Floats) -> Floats:
    """Return the quantiles of values at equal steps, from the least to the greatest."""
    shares = np.linspace(0, 1, min(MOST_QUANTILES, len(rows)))
    with np.errstate(over="ignore", invalid="ignore"):
        quantiles: Floats = np.maximum.accumulate(np.percentile(rows, 100 * shares))
    return quantiles


def _deviates(values: Floats, quantiles: Floats) -> Floats:
    """Return the normal deviates of values among others with these quantiles: tied ones have the middle of their shares."""
    from scipy.special import ndtri

    shares = np.linspace(0, 1, len(quantiles))
    below = np.interp(values, quantiles, shares)
    above = np.interp(-values, -quantiles[::-1], -shares[::-1])
    share = (below - above) / 2
    share[values <= quantiles[0]] = 0
    share[values >= quantiles[-1]] = 1
    limit = ndtri(_LEAST_SHARE - np.spacing(1))
    deviates: Floats = np.clip(ndtri(share), limit, -limit)
    return deviates
