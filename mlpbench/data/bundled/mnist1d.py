"""MNIST-1D by its authors' procedure, with random draws of our own: other examples than theirs, of the same distribution.

Each class has a template of 12 points. An example is the template padded with zeros, stretched to 72 points, scaled and
shifted cyclically. Smooth noise fills the zeros, white noise and a slope are added, and 40 points are sampled.

Reference: S. Greydanus, D. Kobak, "Scaling Down Deep Learning with MNIST-1D", 2024.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.streams import generator

Floats = NDArray[np.float64]

EXAMPLES = 5000
PADDINGS = (36, 60)
POINTS = 12 + PADDINGS[1]
INPUTS = 40
SCALES = 0.4
SHIFTS = 48
SMOOTH_NOISE, SMOOTH_OVER = 0.25, 2
WHITE_NOISE = 2e-2
SLOPES = 0.75
# Distinguishes a template's own zeros from those of the padding.
EPSILON = 1e-8
# Values are rounded to multiples of 1/4096, far below the noise: a library that differs in the last bit gives the same data.
GRID = 4096
TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)


def generate() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return all examples, in random order: inputs (5000, 40) of mean 0 and deviation 1, and classes (5000,), 500 of each."""
    from scipy.ndimage import gaussian_filter1d  # takes long to import; workers on other data do without

    labels = np.repeat(np.arange(len(TEMPLATES)), EXAMPLES // len(TEMPLATES))
    stretched = np.stack([_stretched(t, p) for t, p in zip(_templates()[labels], _paddings())])
    scaled = stretched * (1 + SCALES * (_uniform(1) - 0.5))[:, None]
    shift = _draws(2).integers(SHIFTS, size=EXAMPLES)
    shifted = np.take_along_axis(scaled, (np.arange(POINTS) - shift[:, None]) % POINTS, axis=1)
    smooth = gaussian_filter1d(SMOOTH_NOISE * _normal(3), SMOOTH_OVER, axis=1)
    noisy = np.where(shifted != 0, shifted, smooth) + WHITE_NOISE * _normal(4)
    sloped = noisy - (SLOPES * (_uniform(5) - 0.5))[:, None] * np.linspace(-0.5, 0.5, POINTS)
    x = np.stack([_resampled(signal, INPUTS) for signal in sloped])
    order = _draws(6).permutation(EXAMPLES)
    standard = (x - x.mean()) / x.std()
    rounded = np.round(standard * GRID) / GRID
    return rounded[order].astype(np.float32), labels[order].astype(np.uint8)


def _templates() -> Floats:
    """Return templates that start and end at 0."""
    x = TEMPLATES - TEMPLATES.mean(1, keepdims=True)
    x /= x.std(1, keepdims=True)
    scaled: Floats = (x - x[:, :1]) / 6
    return scaled


def _paddings() -> NDArray[np.int64]:
    low, high = PADDINGS
    return _draws(0).integers(low, high + 1, size=EXAMPLES)


def _stretched(template: Floats, padding: int) -> Floats:
    return _resampled(np.concatenate([template + EPSILON, np.zeros(padding)]), POINTS)


def _resampled(signal: Floats, points: int) -> Floats:
    """Sample a signal at equal distances, by linear interpolation."""
    return np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(signal)), signal)


def _draws(what: int) -> np.random.Generator:
    return generator(0, 0, "data", 2, what)


def _uniform(what: int) -> Floats:
    return _draws(what).random(EXAMPLES)


def _normal(what: int) -> Floats:
    return _draws(what).standard_normal((EXAMPLES, POINTS))
