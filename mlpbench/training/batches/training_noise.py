"""The noise of training, drawn from addressed streams: dropout's, and that on the inputs.

Shapes: `R` runs, `G` distinct draws, `B` batch, `I` inputs, `U` units. Runs of one stream share a draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mlpbench.base.streams import address, generator
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_streams import NormalDraws, UniformDraws
from mlpbench.training.batches.stacked_inputs import Inputs, groups
from mlpbench.training.buffers import Stacked, column
from mlpbench.training.gpu import kernels_for


class DropoutNoise:
    """Uniform noise in [0, 1) for dropout: one draw for each distinct stream, whatever the runs' probabilities.

    A GPU draws the same numbers itself, where it can.
    """

    def __init__(self, runs: Sequence[Run], *, dtype: torch.dtype, device: torch.device) -> None:
        self._groups, self._first = groups(runs, lambda r: (r.seed, r.streams["dropout"]))
        self._dtype, self._device = dtype, device
        self._drawn: dict[int, UniformDraws] = {}  # layer -> what a GPU draws
        self._batch = runs[0].settings.batch_size
        self.of_run = torch.tensor([g.batch for g in self._groups for _ in range(len(g))], device=device)

    def drawn(self, step: int, layer: int, units: int) -> Tensor:
        """Return the uniforms of each distinct stream for a layer at a step, (G, at least B x U), as a GPU draws them."""
        if layer not in self._drawn:
            streams = [(r.seed, address("dropout", r.streams["dropout"], layer)) for r in self._first]
            self._drawn[layer] = UniformDraws(streams, self._batch * units, self._device)
        return self._drawn[layer].at(step)

    def at(self, step: int, layer: int, batch: int, units: int) -> Inputs:
        """Return noise of shape (G, B, U) for a layer at a step; on a GPU of shape (R, B, U), each run's own."""
        if kernels_for(self._device) is not None:
            u_GN = self.drawn(step, layer, units)[:, : batch * units]
            u_RN = u_GN if len(u_GN) == len(self.of_run) else u_GN.index_select(0, self.of_run)
            return Inputs(x_GBI=u_RN.view(-1, batch, units).to(self._dtype))
        draws = [
            generator(r.seed, r.streams["dropout"], "dropout", layer, step).random((batch, units), dtype=np.float32)
            for r in self._first
        ]
        noise = torch.from_numpy(np.stack(draws)).to(device=self._device, dtype=self._dtype)
        return Inputs(x_GBI=noise, groups=self._groups)


class InputNoise:
    """Gaussian noise on the inputs of training: one draw for each distinct stream, scaled by each run's deviation.

    A GPU draws the same numbers itself, where it can, but for roundings in the tail.
    """

    def __init__(self, runs: Sequence[Run], features: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self._groups, self._first = groups(runs, lambda r: (r.seed, r.streams["noise"]))
        deviations = [r.settings.input_noise for r in runs]
        self.acts = any(deviations)
        self._deviation = column(deviations, dtype=dtype, device=device)
        batch = runs[0].settings.batch_size if self.acts else 0
        self._features = features
        self._x = Stacked.zeros(len(runs), batch, features, dtype=dtype, device=device)
        self._drawn = Inputs(x_GBI=torch.empty(0))
        self._on_device: NormalDraws | None = None
        if self.acts and kernels_for(device) is not None:
            streams = [(r.seed, address("noise", r.streams["noise"], 2)) for r in self._first]
            self._on_device = NormalDraws(streams, batch * features, device)
            self._of_run = torch.tensor([g.batch for g in self._groups for _ in range(len(g))], device=device)
            # Where it stays, for steps that are recorded.
            self._noise = torch.zeros(len(runs), batch * features, device=device)

    @property
    def from_host(self) -> bool:
        """Whether the host draws: then a step takes something that isn't in place before it begins."""
        return self.acts and self._on_device is None

    def draw(self, step: int, n: int) -> None:
        """Draw the noise of a step for n examples, where any run has noise."""
        if self._on_device is not None:
            torch.index_select(self._on_device.at(step), 0, self._of_run, out=self._noise)
        elif self.acts:
            draws = [
                generator(r.seed, r.streams["noise"], "noise", 2, step).standard_normal(
                    (n, self._features), dtype=np.float32
                )
                for r in self._first
            ]
            noise = torch.from_numpy(np.stack(draws)).to(device=self._x.x_RNM.device, dtype=self._x.x_RNM.dtype)
            self._drawn = Inputs(x_GBI=noise, groups=self._groups)

    def added(self, inputs: Inputs) -> Inputs:
        """Return inputs with the noise that was drawn, a batch for each run; as they are where no run has any."""
        if not self.acts:
            return inputs
        x_RBI = self._x.rows(inputs.x_GBI.shape[1]).x_RNM
        if self._on_device is not None:
            n = x_RBI.shape[1] * self._features
            torch.addcmul(inputs.x_GBI, self._noise[:, :n].view(x_RBI.shape), self._deviation, out=x_RBI)
            return Inputs(x_GBI=x_RBI)
        for own, clean in inputs.parts():
            x_RBI[own] = clean
        for own, noise_RBI in self._drawn.parts():
            x_RBI[own] += noise_RBI * self._deviation[own]
        return Inputs(x_GBI=x_RBI)
