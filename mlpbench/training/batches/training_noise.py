"""The noise of training, drawn from addressed streams: dropout's, and that on the inputs.

Shapes: `R` runs, `G` distinct draws, `B` batch, `I` inputs, `U` units. Runs of one stream share a draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mlpbench.base.streams import generator
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.stacked_inputs import Inputs, groups
from mlpbench.training.buffers import Stacked, column


class DropoutNoise:
    """Uniform noise in [0, 1) for dropout: one draw for each distinct stream, whatever the runs' probabilities."""

    def __init__(self, runs: Sequence[Run], *, dtype: torch.dtype, device: torch.device) -> None:
        self._groups, self._first = groups(runs, lambda r: (r.seed, r.streams["dropout"]))
        self._dtype, self._device = dtype, device

    def at(self, step: int, layer: int, batch: int, units: int) -> Inputs:
        """Return noise of shape (G, B, U) for a layer at a step."""
        draws = [
            generator(r.seed, r.streams["dropout"], "dropout", layer, step).random((batch, units), dtype=np.float32)
            for r in self._first
        ]
        noise = torch.from_numpy(np.stack(draws)).to(device=self._device, dtype=self._dtype)
        return Inputs(x_GBI=noise, groups=self._groups)


class InputNoise:
    """Gaussian noise on the inputs of training: one draw for each distinct stream, scaled by each run's deviation."""

    def __init__(self, runs: Sequence[Run], features: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self._groups, self._first = groups(runs, lambda r: (r.seed, r.streams["noise"]))
        deviations = [r.settings.input_noise for r in runs]
        self.acts = any(deviations)
        self._deviation = column(deviations, dtype=dtype, device=device)
        batch = runs[0].settings.batch_size if self.acts else 0
        self._x = Stacked.zeros(len(runs), batch, features, dtype=dtype, device=device)

    def added(self, step: int, inputs: Inputs) -> Inputs:
        """Return the inputs of a step with noise, a batch for each run; as they are where no run has any."""
        if not self.acts:
            return inputs
        _, n, features = inputs.x_GBI.shape
        x_RBI = self._x.rows(n).x_RNM
        draws = [
            generator(r.seed, r.streams["noise"], "noise", 2, step).standard_normal((n, features), dtype=np.float32)
            for r in self._first
        ]
        noise = torch.from_numpy(np.stack(draws)).to(device=x_RBI.device, dtype=x_RBI.dtype)
        for own, clean in inputs.parts():
            x_RBI[own] = clean
        for own, noise_RBI in Inputs(x_GBI=noise, groups=self._groups).parts():
            x_RBI[own] += noise_RBI * self._deviation[own]
        return Inputs(x_GBI=x_RBI)
