"""Loss and accuracy of every run of a stack on a list of examples, dropout off.

Shapes: `R` runs, `K` chunks of `EVALUATION_CHUNK` examples. The chunk is the same for every stack: its size is part of the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.plan import EVALUATION_CHUNK as CHUNK
from mlpbench.training.batches import Examples, Gather
from mlpbench.training.losses import Loss
from mlpbench.training.network import Network, Workspace


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Sums over each chunk, of shape (R, K), and what was asked for beside them."""

    n: int
    loss_RK: Tensor
    correct_RK: Tensor
    predicted_RN: Tensor | None
    active_RU: Sequence[Tensor]

    def mean(self, first: int | None = None) -> tuple[list[float], list[float]]:
        """Return each run's mean loss and accuracy over the first examples (a whole number of chunks), or over all."""
        n = self.n if first is None else min(first, self.n)
        chunks = -(-n // CHUNK)
        return [(sums[:, :chunks].sum(1) / n).tolist() for sums in (self.loss_RK, self.correct_RK)]  # type: ignore[return-value]


class Evaluator:
    """The buffers of an evaluation, made once for a stack."""

    def __init__(self, network: Network, loss: Loss, features: int) -> None:
        self._network, self._loss, self._features = network, loss, features
        self._work = Workspace(network, CHUNK, backward=False)
        self._gathers: dict[int, Gather] = {}

    def __call__(self, examples: Examples, *, predict: bool = False, active_in: int = 0) -> Evaluated:
        """Evaluate all runs; with `active_in`, note which hidden units are non-zero on some of the first examples."""
        network, work = self._network, self._work
        distinct = examples.index_GN.shape[0]
        make: dict[str, Any] = {"dtype": network.dtype, "device": network.device}
        if distinct not in self._gathers:
            self._gathers[distinct] = Gather(distinct, CHUNK, self._features, **make)
        losses, hits, predictions = [], [], []
        active = [torch.zeros(network.runs, u, dtype=torch.bool, device=network.device) for u in network.sizes[1:-1]]
        for start in range(0, len(examples), CHUNK):
            stop = min(start + CHUNK, len(examples))
            inputs, y_RB1 = self._gathers[distinct](examples, start, stop)
            z = network.forward(inputs, work, train=False)
            predicted_RB = z.x_RNM.argmax(2)
            if start < active_in:
                for seen, a in zip(active, work.a):
                    seen |= (a.x_RNM[:, : stop - start] != 0).any(1)
            loss = work.losses.columns(stop - start)
            self._loss.forward(z, y_RB1, loss)
            losses.append(loss.x_RNM[:, 0].sum(1, dtype=torch.float64))
            hits.append((predicted_RB == y_RB1.squeeze(2)).sum(1, dtype=torch.float64))
            if predict:
                predictions.append(predicted_RB.to(torch.uint8))
        return Evaluated(
            n=len(examples),
            loss_RK=torch.stack(losses, 1),
            correct_RK=torch.stack(hits, 1),
            predicted_RN=torch.cat(predictions, 1) if predict else None,
            active_RU=active,
        )
