"""The test set under a shift: images changed, or labels moved on, the same for every run of every experiment.

Shapes: `N` images, `H` rows, `W` columns. Inputs are in [0, 1], computed in float64 and handed on as float32. With severity
s, and what is drawn (e, d) at a fixed address, so that a larger severity changes the same images further:

    noise         x + s e, e ~ N(0, 1); of images clipped to [0, 1]
    blur          sum_k g_k x_{i+k}, g_k ~ exp(-k^2 / 2 s^2) for |k| <= 4 s, along rows, then columns; beyond an edge the
                  image is mirrored there, so that the sum over an image stays as it is
    translation   the image moved by s pixels in one of eight directions d, zeros where nothing was
    brightness    min(x + s, 1)
    contrast      m + (1 - s)(x - m), m the mean of the image: stays in [0, 1]
    labels        y -> (y + s) mod C: the concept changes, inputs do not

Reference: D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.base.streams import generator
from mlpbench.experiment import shift_spec
from mlpbench.experiment.shift_spec import Shifts
from mlpbench.training.batches.device_data import PIXEL_MAX, DeviceData

Floats = NDArray[np.float64]
# Images are changed so many at a time: a temporary in float64 is eight times the size of the bytes.
CHUNK = 1000
NOISE, DIRECTION = 10, 11
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def shifted(data: DeviceData, shifts: Shifts) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield (split, inputs, targets) of each shift on the device: one at a time, since each is as large as the test set."""
    for kind, severity in shift_spec.pairs(shifts):
        split = shift_spec.split_of(kind, severity)
        if kind == "labels":
            classes = data.n_classes
            assert classes is not None, "shifts.check refuses numbers"
            yield split, data.x_test, (data.y_test + int(severity)) % classes
        else:
            x = torch.from_numpy(_inputs(data, kind, severity)).to(data.device)
            yield split, x[:, : data.n_features], data.y_test


def _inputs(data: DeviceData, kind: str, severity: float) -> NDArray[np.float32]:
    x = data.whole_test.cpu().numpy()
    axes = shift_spec.image_axes(data.facts)
    if kind == "noise":
        # The noise of a draw doesn't depend on which others stand above it.
        draws = np.split(x, data.n_draws)
        return np.concatenate([_noisy(draw, severity, image=axes is not None) for draw in draws])
    assert axes is not None, "shifts.check refuses what is no image"
    images = np.moveaxis(x.reshape(len(x), *data.facts.input_shape), [a + 1 for a in axes], [-2, -1])
    directions = generator(0, 0, "noise", DIRECTION).integers(len(DIRECTIONS), size=len(x))
    result = np.empty(images.shape, dtype=np.float32)
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        result[part] = TRANSFORMS[kind](_unit(images[part]), severity, directions[part])
    return np.ascontiguousarray(np.moveaxis(result, [-2, -1], [a + 1 for a in axes])).reshape(x.shape)


def _unit(x: NDArray[np.uint8] | NDArray[np.float32]) -> Floats:
    """Return pixels as numbers in [0, 1], numbers as they are."""
    numbers: Floats = x.astype(np.float64)
    return numbers / PIXEL_MAX if x.dtype == np.uint8 else numbers


def _noisy(x: NDArray[np.uint8] | NDArray[np.float32], severity: float, *, image: bool) -> NDArray[np.float32]:
    draw = generator(0, 0, "noise", NOISE)
    result = np.empty(x.shape, dtype=np.float32)
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        noisy = _unit(x[part]) + severity * draw.standard_normal(x[part].shape)
        result[part] = noisy.clip(0, 1) if image else noisy
    return result


def blurred(x_NHW: Floats, sigma: float, _directions: NDArray[np.int64]) -> Floats:
    """Return images blurred along both axes by a Gaussian that is cut at four standard deviations."""
    radius = math.ceil(4 * sigma)
    weights = np.array([math.exp(-(k**2) / (2 * sigma**2)) for k in range(-radius, radius + 1)])
    weights /= weights.sum()
    for axis in (-2, -1):
        size = x_NHW.shape[axis]
        room = [(0, 0)] * x_NHW.ndim
        room[axis] = (radius, radius)
        wide = np.pad(x_NHW, room, mode="symmetric")
        x_NHW = sum((w * wide.take(range(k, k + size), axis=axis) for k, w in enumerate(weights)), np.zeros_like(x_NHW))
    return x_NHW


def translated(x_NHW: Floats, pixels: float, directions: NDArray[np.int64]) -> Floats:
    """Return images moved by whole pixels, each in the direction of its number, zeros where nothing was."""
    by = int(pixels)
    result = np.zeros_like(x_NHW)
    for number, (down, right) in enumerate(DIRECTIONS):
        some = directions == number
        to, of = zip(*(_ends(step * by) for step in (down, right)))
        result[(some, ..., *to)] = x_NHW[(some, ..., *of)]
    return result


def _ends(by: int) -> tuple[slice, slice]:
    """Return where pixels of one axis go, and where they come from."""
    if by == 0:
        return slice(None), slice(None)
    return (slice(by, None), slice(None, -by)) if by > 0 else (slice(None, by), slice(-by, None))


def brightened(x_NHW: Floats, by: float, _directions: NDArray[np.int64]) -> Floats:
    """Return images with a constant added, no pixel above 1."""
    return np.minimum(x_NHW + by, 1.0)


def flattened(x_NHW: Floats, share: float, _directions: NDArray[np.int64]) -> Floats:
    """Return images whose pixels are drawn to the mean of their image by a share of the way."""
    mean: Floats = x_NHW.mean(axis=(-2, -1), keepdims=True)
    return mean + (1 - share) * (x_NHW - mean)


TRANSFORMS: Mapping[str, Callable[[Floats, float, NDArray[np.int64]], Floats]] = {
    "blur": blurred,
    "translation": translated,
    "brightness": brightened,
    "contrast": flattened,
}
