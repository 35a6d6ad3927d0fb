"""What a linear model should come to: the truth behind synthetic data, and the least-squares solution of a run's examples.

Computed in float64 with torch's own linear algebra, which obeys the numerics mode.

Shapes: `N` examples, `I` inputs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import torch
from torch import Tensor

from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.components.optimisers import OPTIMISERS
from mlpbench.experiment.grid import Run, RunSettings
from mlpbench.experiment.value_types import entry_of
from mlpbench.training.batches.device_data import PIXEL_MAX, DeviceData, Indices, draw_key
from mlpbench.training.measures.run_rows import Model

MOST_INPUTS = 1000
CHUNK = 4096


class Solutions:
    """The distances of a stack's linear models from truth and closed form; what runs have in common is computed once."""

    def __init__(self, data: DeviceData) -> None:
        self._data = data
        self._reduced: dict[Hashable, _Reduced] = {}

    def distances(self, run: Run, model: Model, fit: Indices) -> dict[str, float]:
        """Return `param_error` and `closed_form_gap` of a run, each where it is defined."""
        if run.settings.depth > 0 or run.settings.conv_channels or self._data.n_classes is not None:
            return {}
        w_I, b = model.weights[0][:, 0].double(), float(model.biases[0][0])
        distances = {"param_error": self._error(run.settings, w_I, b), "closed_form_gap": self._gap(run, w_I, b, fit)}
        return {name: value for name, value in distances.items() if value is not None}

    def _error(self, s: RunSettings, w_I: Tensor, b: float) -> float | None:
        """Return the largest difference from a true weight or bias, both of inputs as they were before `input_scale`."""
        of_data = self._data.facts.truth
        truth = None if of_data is None else of_data.of_first(len(w_I))
        if truth is None:
            return None
        return _largest(s.input_scale * w_I - torch.tensor(truth.weights, dtype=torch.float64), b - truth.bias)

    def _gap(self, run: Run, w_I: Tensor, b: float, fit: Indices) -> float | None:
        """Return the largest difference from the closed form's weights or bias.

        None where training minimises another thing, or where one minimum is as good as others.
        """
        s = run.settings
        decoupled = not entry_of(OPTIMISERS, s.optimizer)[0].coupled and s.weight_decay > 0
        half_squares = LOSSES[s.loss].half_squares
        other = s.l1 > 0 or s.decay_bias or decoupled or s.weighs_examples or not s.bias
        if half_squares is None or other or len(w_I) > MOST_INPUTS:
            return None
        key = (*draw_key(run), run.fold, s.train_shift)
        if key not in self._reduced:
            self._reduced[key] = _Reduced(self._data, fit, s.input_scale)
        # mse is twice half the squared error, so that half the decay balances it.
        solved = self._reduced[key].solved(s.weight_decay / half_squares)
        return None if solved is None else _largest(w_I - solved[0], b - solved[1])


class _Reduced:
    """Least squares of centred examples, reduced to a triangle: ||X w - y||^2 is ||R w - r||^2 plus a constant.

    By QR, chunk by chunk: X'X would square the condition number, which for powers of one input is beyond float64.
    """

    def __init__(self, data: DeviceData, fit: Indices, scale: float) -> None:
        index = torch.from_numpy(fit).to(data.device)
        xy = torch.cat([data.x_train[index].double(), data.y_train[index].double()], 1).cpu()
        xy[:, :-1] *= scale / (PIXEL_MAX if data.x_train.dtype == torch.uint8 else 1)
        self._n = len(fit)
        self._mean = xy.mean(0)
        triangle = torch.empty(0, xy.shape[1], dtype=torch.float64)
        for start in range(0, self._n, CHUNK):
            rows = xy[start : start + CHUNK] - self._mean
            triangle = torch.linalg.qr(torch.cat([triangle, rows]))[1]
        self._triangle = triangle

    def solved(self, decay: float) -> tuple[Tensor, float] | None:
        """Return the weights (I,) and the bias that minimise mean half squared error + decay / 2 ||w||^2.

        w = (X'X + n decay I)^-1 X'y of centred X and y; b = mean y - mean x . w. None where that is singular.

        Reference: A. Hoerl, R. Kennard, "Ridge Regression", 1970.
        """
        inputs = self._triangle.shape[1] - 1
        ridge = torch.zeros(inputs if decay else 0, inputs + 1, dtype=torch.float64)
        ridge.fill_diagonal_(math.sqrt(self._n * decay))
        both = torch.cat([self._triangle, ridge])
        norms_I = both[:, :-1].norm(dim=0)
        rounding = max(self._n, inputs) * torch.finfo(torch.float64).eps
        # What centring leaves of a constant input is rounding of its mean.
        constant = norms_I <= rounding * math.sqrt(self._n) * self._mean[:-1].abs()
        if (decay == 0 and self._n <= inputs) or bool(constant.any()):
            return None
        q, r_II = torch.linalg.qr(both[:, :-1] / norms_I)
        diagonal = r_II.diagonal().abs()
        if float(diagonal.min()) <= rounding * float(diagonal.max()):
            return None
        w_I = torch.linalg.solve_triangular(r_II, (q.T @ both[:, -1])[:, None], upper=True)[:, 0] / norms_I
        return w_I, float(self._mean[-1] - (self._mean[:-1] * w_I).sum())


def _largest(weights: Tensor, bias: float) -> float:
    return max(float(weights.abs().max()), abs(bias))
