"""From a trained stack to the rows of its runs: what each run has learnt, its digest, its predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.grid import Run, RunSettings
from mlpbench.experiment.metrics.scores import CURVE_SCORES
from mlpbench.experiment.plan import curve_steps
from mlpbench.training.measures.evaluation import Evaluated
from mlpbench.training.network.mlp_stack import Network
from mlpbench.training.worker_setup import Row


@dataclass(frozen=True, kw_only=True)
class Model:
    """What one run has learnt, on the CPU: weights (I, O) and biases (O,) layer by layer, then what else it has.

    `others` are slopes, scales and shifts; `averages` the running statistics of batch normalisation. Without `has_biases`
    biases are zeros, and nothing that is learnt.
    """

    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    others: Sequence[Tensor]
    averages: Sequence[Tensor]
    has_biases: bool = True

    @classmethod
    def of(cls, network: Network, i: int, *, sloped: bool) -> Model:
        """Copy run i out of the stack; its slopes are its own only where its activation has them."""
        p = network.parameters
        others = [*(p.slopes if sloped else []), *p.gammas, *p.betas]
        averages = [t for n in network.norms if n.kind == "batch" for t in (n.mean, n.variance)]
        return cls(
            weights=[
                w.x_RNM[i, :size].contiguous().cpu()
                for w, size in zip(p.weights, (inputs for inputs, _ in network.shapes))
            ],
            biases=[b.x_RNM[i, 0].contiguous().cpu() for b in p.biases],
            others=[o.x_RNM[i, 0].contiguous().cpu() for o in others],
            averages=[t[i, 0].contiguous().cpu() for t in averages],
            has_biases=p.has_biases,
        )

    @property
    def learnt(self) -> list[Tensor]:
        """Weight and bias of each layer in turn, where it has one, then the rest."""
        pairs = zip(self.weights, self.biases)
        return [t for w, b in pairs for t in ((w, b) if self.has_biases else (w,))] + list(self.others)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all numbers, little-endian."""
        hashed = hashlib.sha256()
        for tensor in (*self.learnt, *self.averages):
            array = tensor.numpy()
            hashed.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return hashed.hexdigest()


class CurvePoint(NamedTuple):
    """A part's scores after a step, on the device, of the runs in training, and when each had diverged by then."""

    runs: Sequence[Run]
    step: int
    split: str
    evaluated: Evaluated
    examples: int
    diverged_at: Tensor


def distinct(runs: Sequence[Run]) -> list[Run]:
    """Return the runs of a stack, which stand before the copies that fill it up."""
    return list({run.run_id: run for run in runs}.values())


def curve_rows(points: Sequence[CurvePoint], settings: RunSettings, steps_taken: Callable[[Run], int]) -> Iterator[Row]:
    """Yield a row of the curves for each point and each run that had not diverged by then.

    Args:
        points: what was evaluated.
        settings: those that runs of a stack share.
        steps_taken: how many steps a run took, fewer where it stopped early.

    """
    planned = set(curve_steps(settings))
    for p in points:
        diverged, means = p.diverged_at.tolist(), p.evaluated.means(p.examples)
        for j, run in enumerate(distinct(p.runs)):
            taken = steps_taken(run)
            if diverged[j] < 0 and p.step <= taken and (p.step in planned or p.step == taken):
                where = {"epoch": p.step / settings.steps_per_epoch, "step": p.step, "split": p.split}
                yield {"run_id": run.run_id} | where | {score: means[score][j] for score in CURVE_SCORES}


class LateCounts:
    """At how many points of the later half of training each test example was predicted right, of each run."""

    def __init__(self) -> None:
        self._points = 0
        self._right_RN: Tensor | None = None

    def add(self, evaluated: Evaluated) -> None:
        """Count a point at which the test examples were evaluated."""
        if evaluated.right is not None:
            self._points += 1
            self._right_RN = evaluated.right if self._right_RN is None else self._right_RN + evaluated.right

    def of_run(self, i: int) -> bytes | None:
        """Return a byte with the number of points, and one for each example; None without a point of classes."""
        if self._right_RN is None:
            return None
        return bytes([self._points]) + self._right_RN[i].cpu().numpy().tobytes()


def prediction(i: int, test: Evaluated, facts: DataFacts) -> bytes:
    """Return run i's predictions of the test examples as the table has them: classes, or numbers in the target's own units."""
    assert test.predicted is not None
    predicted = test.predicted[i].cpu().numpy()
    if facts.target_scale is not None:
        with np.errstate(over="ignore"):
            predicted = facts.target_scale.own_units(predicted).astype(predicted.dtype)
    return predicted.astype(predicted.dtype.newbyteorder("<"), copy=False).tobytes()
