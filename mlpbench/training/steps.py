"""The gradient steps of a stack: batch, noise, masks, forward, loss, backward, update.

What a step needs from the host is put in place first: indices of its batch, draws of noise, learning rates. All that follows
is the same for every step of as many examples, in buffers that stay where they are: on a GPU it is recorded and replayed.

Shapes: `R` runs, `B` batch, `C` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.components.losses import LOSSES, smooth_labels
from mlpbench.experiment.components.own_pieces import is_own
from mlpbench.experiment.grid import Run, RunSettings
from mlpbench.training.batches.device_data import DeviceData, Indices
from mlpbench.training.batches.example_weights import weighted
from mlpbench.training.batches.minibatches import Batches, Labels
from mlpbench.training.batches.stacked_inputs import heights
from mlpbench.training.batches.training_noise import DropoutNoise, InputNoise
from mlpbench.training.buffers import Stacked
from mlpbench.training.gpu import recorded
from mlpbench.training.network.dense_kernels import fits_loss
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.parameter_updates import Updates


class Steps:
    """The gradient steps of a stack; buffers and streams are set up once."""

    def __init__(
        self,
        runs: Sequence[Run],
        network: Network,
        fit: Sequence[Indices],
        labels: Labels,
        data: DeviceData,
        *,
        before: tuple[Steps, Sequence[int]] | None = None,
    ) -> None:
        """Set up a stack's steps; `before` are those of a stack that it goes on from, and the places of its runs there."""
        make: dict[str, Any] = {"dtype": network.dtype, "device": network.device}
        settings = [r.settings for r in runs]
        self._network = network
        self._loss = LOSSES[settings[0].loss]
        if before is None:
            self._weights = weighted(runs, fit, data, labels, network.dtype)
        else:
            self._weights = before[0]._weights and before[0]._weights.of_runs(before[1])
        self._batches = Batches(runs, fit, labels, data, dtype=network.dtype)
        self._input_noise = InputNoise(runs, data.n_features, **make)
        self._dropout_noise = DropoutNoise(runs, **make)
        self._updates = Updates(network, settings)
        if before is not None:
            self._updates.take_over(before[0]._updates, before[1])
        self._work = Workspace(network, settings[0].batch_size, backward=True)
        first, shared = settings[0], self._batches.groups
        # Whatever reads or changes weights between the products of a step would have to do so side by side.
        fits = first.plain_sgd and first.l1 == 0 and not self._input_noise.acts
        fuses = fits and network.worth_fusing(shared or (), heights(first.n_fit, first.batch_size))
        self._fused = network.side_by_side(shared, first.batch_size) if fuses and shared else None
        is_cross_entropy = self._loss is LOSSES["cross_entropy"] and fits_loss(network.sizes[-1])
        self._smoothing_R11 = None
        if first.label_smoothing > 0:
            self._smoothing_R11 = torch.tensor([s.label_smoothing for s in settings], **make)[:, None, None]
        self._kernel_takes_loss = is_cross_entropy and self._weights is None and self._smoothing_R11 is None
        # What a plugin does can't be recorded.
        by_host = self._input_noise.from_host or network.has_own or self._updates.is_own or is_own(first.loss)
        self._work_of = recorded(self._descend, network.device, unless=by_host)
        if network.device.type == "cuda" and before is None and not self._updates.is_own:
            self._warm_up(first)

    def _warm_up(self, s: RunSettings) -> None:
        """Take a step of each number of examples, and undo it: kernels are compiled by the first, in seconds that are no training."""
        network = self._network
        averages = [average for norm in network.norms for average in (norm.mean, norm.variance)]
        kept = [*(p.flat_RS for p in network.parameters.all), *averages]
        were = [array.clone() for array in kept]
        for step in sorted({0, s.steps_per_epoch - 1} & set(range(s.steps))):
            self.take(step)
            for array, was in zip(kept, were, strict=True):
                array.copy_(was)
            self._updates.restart()

    def settle(self) -> None:
        """Copy the weights of fused first layers back into the network, where they are stale between steps; let room go."""
        self._updates.let_go()
        if self._work.fused is not None:
            self._work.fused.put(self._network.parameters.weights[0])
            self._work.fused = None

    def look_ahead(self, epoch: int) -> None:
        """Draw what the host draws for an epoch while a GPU still has steps to take; a CPU has nothing to gain."""
        if self._network.device.type == "cuda":
            self._batches.look_ahead(epoch)

    def take(self, step: int) -> Tensor:
        """Take a step, counted from 0; return whether each run's losses and parameters are finite, shape (R,).

        Call `settle` before reading the weights of the network.
        """
        network, work = self._network, self._work
        if work.fused is None and self._fused is not None:
            self._fused.take(network.parameters.weights[0])
            work.fused = self._fused
        n = self._batches.advance(step)
        self._input_noise.draw(step, n)
        for layer, drops in enumerate(network.drops):
            if drops:
                self._draw_mask(step, layer, n)
        self._updates.advance(step)
        return self._work_of(n)

    def _draw_mask(self, step: int, layer: int, n: int) -> None:
        """Put the dropout mask of a layer in place."""
        network, units, noise = self._network, self._network.sizes[layer + 1], self._dropout_noise
        mask = self._work.mask[layer]
        if network.kernels is None or mask is None:
            network.set_mask(layer, noise.at(step, layer, n, units), self._work)
            return
        chances = network.keep_from[layer], network.keep_scale[layer]
        network.kernels.dropout_masks(noise.drawn(step, layer, units), noise.of_run, *chances, mask.x_RNM[:, :n])

    def _descend(self, n: int) -> Tensor:
        """Take the step that was prepared, of n examples."""
        network, work = self._network, self._work
        inputs, y_RB1 = self._batches.batch(n)
        inputs = self._input_noise.added(inputs)
        z = network.forward(inputs, work, train=True)
        if network.kernels is not None and self._kernel_takes_loss:
            loss_R = network.kernels.cross_entropy(z, y_RB1, self._updates.output_rate_R1, work.d_outputs.rows(n))
        else:
            loss_R = self._losses(z, y_RB1, n)
        sums_R = self._updates.apply(inputs, work)
        return network.finite(loss_R, sums_R, work.fused, noted=self._updates.notes)

    def _losses(self, z: Stacked, y_RB1: Tensor, n: int) -> Tensor:
        """Return the sums of the losses, (R,), and put the gradients at the outputs in place."""
        work = self._work
        losses = work.losses.columns(n)
        self._loss.forward(torch, z, y_RB1, losses)
        loss_R = losses.x_RNM.sum((1, 2))
        factor = self._updates.output_factor() / n
        if self._weights is not None:
            factor = factor * self._weights.of(self._batches.indices(n))
        gradient = work.d_outputs.rows(n)
        self._loss.gradient(torch, z, y_RB1, factor, gradient)
        if self._smoothing_R11 is not None:
            smooth_labels(torch, y_RB1, factor * self._smoothing_R11, gradient.x_RNM)
        return loss_R
