"""Loss, accuracy and other scores of every run of a stack on a list of examples, dropout off.

Shapes: `R` runs, `K` chunks of examples, as many as the plan's `evaluation_chunk` says for these settings: a chunk's size
is part of the bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpbench.experiment.components.losses import Loss
from mlpbench.experiment.metrics.scores import CURVE_SCORES, SCORES
from mlpbench.experiment.plan import EVALUATION_CHUNK as CHUNK
from mlpbench.training.batches.minibatches import Examples, Gather
from mlpbench.training.batches.stacked_inputs import Group, heights
from mlpbench.training.network.fused import Fused
from mlpbench.training.network.mlp_stack import Network, Workspace


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Sums of `scores` over each chunk, of shape (R, K), and on request the predictions and the active units.

    A score that has no meaning for the target, as accuracy for numbers, has no sums. Predictions are classes as bytes, (R, N),
    or numbers as float32, (R, N, C); `outputs` are of classes, (R, N, C). `right` is 1 for each example whose class is predicted right, (R, N), else 0.
    """

    n: int
    scores: Collection[str]
    sums_RK: Mapping[str, Tensor]
    predicted: Tensor | None
    right: Tensor | None = None
    active_RU: Sequence[Tensor]
    outputs: Tensor | None = None
    chunk: int = CHUNK
    squared_unit: float = 1.0

    def means(self, first: int | None = None) -> Mapping[str, Sequence[float | None]]:
        """Return the mean of each score of each run over the first examples (a whole number of chunks), or over all.

        Losses of a scaled target are in the target's own units. None where a score has no meaning for the target.
        """
        n = self.n if first is None else min(first, self.n)
        chunks = -(-n // self.chunk)
        means = {name: (sums[:, :chunks].sum(1) / n) for name, sums in self.sums_RK.items()}
        if self.squared_unit != 1.0:
            means["loss"] = means["loss"] * self.squared_unit
        listed = {name: values.tolist() for name, values in means.items()}
        return {name: listed.get(name, [None] * len(listed["loss"])) for name in self.scores}


class Evaluator:
    """Evaluates a stack; its buffers are allocated once."""

    def __init__(
        self, network: Network, loss: Loss, features: int, *, chunk: int = CHUNK, squared_unit: float = 1.0
    ) -> None:
        self._network, self._loss, self._features, self._chunk = network, loss, features, chunk
        self._squared_unit = squared_unit
        self._work = Workspace(network, chunk, backward=False)
        self._gathers: dict[tuple[int, torch.dtype], Gather] = {}
        self._fused: dict[tuple[Group, ...], Fused] = {}

    def __call__(
        self,
        examples: Examples,
        *,
        scores: Collection[str] = CURVE_SCORES,
        predict: bool = False,
        mark: bool = False,
        keep: bool = False,
        active_in: int = 0,
    ) -> Evaluated:
        """Evaluate all runs, by the loss and other `scores`; `mark` asks which classes are predicted right, `keep` for outputs.

        With `active_in`, note which hidden units are non-zero on some of the first examples.

        A channel of a convolution is a unit: it is non-zero where one of its positions is.
        """
        network, work, chunk = self._network, self._work, self._chunk
        distinct = examples.index_GN.shape[0]
        make: dict[str, Any] = {"dtype": network.dtype, "device": network.device, "scale": network.input_scale}
        numbers = examples.labels.is_floating_point()
        kind = (distinct, examples.x.dtype)
        if kind not in self._gathers:
            self._gathers[kind] = Gather(distinct, chunk, self._features, source=examples.x.dtype, **make)
        work.fused = self._side_by_side(examples)
        target = "numbers" if numbers else "classes"
        kernels = {name: SCORES[name].of_examples for name in scores if target in SCORES[name].targets}
        sums: dict[str, list[Tensor]] = {name: [] for name in kernels}
        predictions, right = [], []
        shape = (network.runs, len(examples), network.sizes[-1])
        outputs = torch.empty(shape, dtype=network.dtype, device=network.device) if keep else None
        units = [u for _, u in network.shapes[:-1]]
        active = [torch.zeros(network.runs, u, dtype=torch.bool, device=network.device) for u in units]
        for start in range(0, len(examples), chunk):
            stop = min(start + chunk, len(examples))
            inputs, y = self._gathers[kind](examples, start, stop)
            z = network.forward(inputs, work, train=False)
            if predict:  # a copy: the loss is computed in place
                predicted = z.x_RNM.to(torch.float32, copy=True) if numbers else z.x_RNM.argmax(2).to(torch.uint8)
                predictions.append(predicted)
            if outputs is not None:  # a copy too
                outputs[:, start:stop] = z.x_RNM
            if start < active_in:
                for seen, a in zip(active, work.activations(stop - start)):
                    seen |= (a != 0).any(tuple(range(1, a.ndim - 1)))
            each = work.losses.columns(stop - start)
            # In the layout of the loss, a sum has the same bits in any company.
            for name, of_examples in kernels.items():
                if of_examples is not None:
                    each.x_RNM[:, 0] = of_examples(torch, z.x_RNM, y)
                    sums[name].append(each.x_RNM[:, 0].sum(1, dtype=torch.float64))
                if mark and name == "accuracy":
                    right.append(each.x_RNM[:, 0].to(torch.uint8))
            self._loss.forward(torch, z, y, each)
            sums["loss"].append(each.x_RNM[:, 0].sum(1, dtype=torch.float64))
        return Evaluated(
            n=len(examples),
            scores=scores,
            sums_RK={name: torch.stack(chunks, 1) for name, chunks in sums.items()},
            predicted=torch.cat(predictions, 1) if predict else None,
            right=torch.cat(right, 1) if right else None,
            active_RU=active,
            outputs=outputs,
            chunk=chunk,
            squared_unit=self._squared_unit,
        )

    def _side_by_side(self, examples: Examples) -> Fused | None:
        """Return first layers side by side, with the weights as they are now, where that is faster."""
        groups = tuple(examples.groups or ())
        if not self._network.worth_fusing(groups, heights(len(examples), self._chunk)):
            return None
        if groups not in self._fused:
            self._fused[groups] = self._network.side_by_side(groups, self._chunk)
        self._fused[groups].take(self._network.parameters.weights[0])
        return self._fused[groups]
