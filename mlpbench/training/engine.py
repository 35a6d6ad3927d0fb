"""Train one stack and return its rows. No input or output: what is stored, and where, is the caller's concern.

Shapes: `R` runs, `B` batch, `C` classes.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import CURVE_EXAMPLES, training_flops
from mlpbench.training import init
from mlpbench.training.batches import Batches, DeviceData, DropoutNoise, Examples, Split, groups, split
from mlpbench.training.buffers import column
from mlpbench.training.evaluation import Evaluated, Evaluator
from mlpbench.training.losses import LOSSES
from mlpbench.training.network import Network, Workspace
from mlpbench.training.streams import generator

# A stack of one may take another kernel (matrix-vector) than a stack of more: see buffers.py.
SMALLEST_STACK = 2

Row = dict[str, Any]


@dataclass
class StackRows:
    """The rows of a stack's runs, in the order in which the runs were given."""

    runs: list[Row] = field(default_factory=list)
    curves: list[Row] = field(default_factory=list)
    predictions: list[Row] = field(default_factory=list)


def train_stack(runs: Sequence[Run], data: DeviceData, progress: Callable[[float], None] | None = None) -> StackRows:
    """Train runs of one signature together and return their rows.

    `progress` is called with the share of the steps that is done. Raises nothing on divergence: that is data.
    """
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("highest")
    with torch.no_grad():
        return _Stack(runs, data).train(progress or (lambda share: None))


class _Stack:
    """The state of a stack in training; its runs are sorted so that neighbours share an activation and batches."""

    def __init__(self, given: Sequence[Run], data: DeviceData) -> None:
        self.given = given
        company = sorted(given, key=lambda r: (r.settings.activation, sorted(r.streams.items()), r.run_id))
        self.runs = company + company[:1] * (SMALLEST_STACK - len(company))
        self.settings = self.runs[0].settings
        self.data = data
        self.dtype = getattr(torch, self.settings.precision)
        self.device = data.device
        sizes = [data.n_features, *self.settings.hidden_sizes, data.n_classes]
        make: dict[str, Any] = {"dtype": self.dtype, "device": self.device}
        self.network = Network([r.settings for r in self.runs], sizes, **make)
        _initialise(self.network, self.runs)
        self.loss = LOSSES[self.settings.loss]
        self.splits: list[Split] = [split(r, data.labels) for r in self.runs]
        self.diverged_at = torch.full((len(self.runs),), -1, dtype=torch.int64, device=self.device)
        self.evaluator = Evaluator(self.network, self.loss, data.n_features)
        self.rate = column([r.settings.lr for r in self.runs], **make)
        self.curves: list[Row] = []

    def train(self, progress: Callable[[float], None]) -> StackRows:
        s = self.settings
        batches = Batches(self.runs, [p.fit for p in self.splits], self.data, dtype=self.dtype)
        noise = DropoutNoise(self.runs, dtype=self.dtype, device=self.device)
        work = Workspace(self.network, s.batch_size, backward=True)
        train, validation, test = self._fit_examples(), self._validation_examples(), self._test_examples()
        seconds = 0.0
        self._record(0, 0, {"train": (train, None), "validation": (validation, None), "test": (test, None)})
        for start in range(0, s.steps, s.steps_per_epoch):
            stop = min(start + s.steps_per_epoch, s.steps)
            began = self._clock()
            for step in range(start, stop):
                self._step(step, batches, noise, work)
            seconds += self._clock() - began
            progress(stop / s.steps)
            if bool((self.diverged_at >= 0).all()):
                break
            if stop < s.steps:
                epoch = stop / s.steps_per_epoch
                self._record(
                    epoch, stop, {"train": (train, None), "validation": (validation, None), "test": (test, None)}
                )
        ended = {
            "train": self.evaluator(train, active_in=CURVE_EXAMPLES),
            "validation": self.evaluator(validation) if validation is not None else None,
            "test": self.evaluator(test, predict=True),
        }
        # Finite weights may still give losses that overflow: such a run has no result either.
        for evaluated in filter(None, ended.values()):
            self._note_divergence(s.steps, torch.isfinite(evaluated.loss_RK.sum(1)))
        if s.steps and not bool((self.diverged_at >= 0).all()):
            epoch = s.steps / s.steps_per_epoch
            self._record(epoch, s.steps, {k: (None, e) for k, e in ended.items()})
        return self._rows(ended, seconds)

    def _step(self, step: int, batches: Batches, noise: DropoutNoise, work: Workspace) -> None:
        inputs, y_RB1 = batches.at(step)
        n = y_RB1.shape[1]
        for layer, drops in enumerate(self.network.drops):
            if drops:
                units = self.network.sizes[layer + 1]
                self.network.set_mask(layer, noise.at(step, layer, n, units), work)
        z = self.network.forward(inputs, work, train=True)
        losses = work.losses.columns(n)
        self.loss.forward(z, y_RB1, losses)
        finite = torch.isfinite(losses.x_RNM.sum((1, 2)))
        self.loss.backward(z, y_RB1, self.rate / n, work.d_outputs.rows(n))
        self.network.descend(inputs, work, work.d_outputs)
        finite &= self.network.finite()
        self._note_divergence(step + 1, finite)

    def _note_divergence(self, step: int, finite_R: Tensor) -> None:
        newly = (self.diverged_at < 0) & ~finite_R
        self.diverged_at = torch.where(newly, step, self.diverged_at)

    def _record(self, epoch: float, step: int, what: dict[str, tuple[Examples | None, Evaluated | None]]) -> None:
        """Add a row to the curves for each split and each run that has not diverged."""
        diverged = self.diverged_at.tolist()
        for name, (examples, evaluated) in what.items():
            if evaluated is None:
                if examples is None:
                    continue
                evaluated = self.evaluator(examples.first(CURVE_EXAMPLES) if name == "train" else examples)
            loss, accuracy = evaluated.mean(CURVE_EXAMPLES if name == "train" else None)
            for i, run in enumerate(self.runs[: len(self.given)]):
                if diverged[i] < 0:
                    row = {"run_id": run.run_id, "epoch": epoch, "step": step, "split": name}
                    self.curves.append(row | {"loss": loss[i], "accuracy": accuracy[i]})

    def _examples(self, lists: Sequence[np.ndarray[Any, Any]], *, test: bool = False) -> Examples:
        data = self.data
        x, y = (data.x_test, data.y_test) if test else (data.x_train, data.y_train)
        if all(np.array_equal(lists[0], other) for other in lists[1:]):
            made, first = groups(self.runs, lambda r: 0)
        else:
            made, first = groups(self.runs, lambda r: (r.seed, r.streams["split"]))
        of = {run.run_id: indices for run, indices in zip(self.runs, lists)}
        index = torch.from_numpy(np.stack([of[r.run_id] for r in first])).to(self.device)
        return Examples(x=x, y=y, index_GN=index, groups=made)

    def _fit_examples(self) -> Examples:
        return self._examples([p.fit for p in self.splits])

    def _validation_examples(self) -> Examples | None:
        return self._examples([p.validation for p in self.splits]) if self.settings.n_validation else None

    def _test_examples(self) -> Examples:
        return self._examples([np.arange(len(self.data.y_test))] * len(self.runs), test=True)

    def _rows(self, ended: dict[str, Evaluated | None], seconds: float) -> StackRows:
        train, test, validation = ended["train"], ended["test"], ended["validation"]
        assert train is not None
        assert test is not None
        assert test.predicted_RN is not None
        measured = {"train": train.mean(), "test": test.mean()}
        if validation is not None:
            measured["val"] = validation.mean()
        predicted = test.predicted_RN.cpu().numpy()
        diverged = self.diverged_at.tolist()
        by_id: dict[str, Row] = {}
        for i, run in enumerate(self.runs[: len(self.given)]):
            row: Row = {"run_id": run.run_id, "diverged_at_step": None, "error": None, "status": "ok"}
            row |= {"diverged": float(diverged[i] >= 0), "stack_size": len(self.given)}
            row |= {
                "train_seconds": seconds / len(self.given),
                "flops": float(training_flops(run.settings, self.data.facts)),
            }
            parameters = self._parameters(i)
            row["n_parameters"] = sum(p.numel() for p in parameters)
            if diverged[i] >= 0:
                # How long a diverged run is dragged along depends on its stack-mates: its weights are not a result.
                row |= {"status": "diverged", "diverged_at_step": diverged[i]}
            else:
                row["weights_sha256"] = _digest(parameters)
                row |= {f"{k}_loss": loss[i] for k, (loss, _) in measured.items()}
                row |= {f"{k}_accuracy": accuracy[i] for k, (_, accuracy) in measured.items()}
                row["gap_loss"] = row["test_loss"] - row["train_loss"]
                row["gap_accuracy"] = row["train_accuracy"] - row["test_accuracy"]
                row |= _of_weights(parameters)
                row["dead_units"] = float(sum(int((~seen[i]).sum()) for seen in train.active_RU))
            by_id[run.run_id] = row
        positions = {run.run_id: i for i, run in enumerate(self.runs[: len(self.given)])}
        return StackRows(
            runs=[by_id[r.run_id] for r in self.given],
            curves=self.curves,
            predictions=[
                {"run_id": r.run_id, "predicted": predicted[positions[r.run_id]].tobytes()}
                for r in self.given
                if by_id[r.run_id]["status"] == "ok"
            ],
        )

    def _parameters(self, i: int) -> list[Tensor]:
        """Return weights (I, O) and biases (O,) of a run, layer by layer."""
        found: list[Tensor] = []
        for weight, bias, size in zip(self.network.weights, self.network.biases, self.network.sizes):
            found += [weight.x_RNM[i, :size].contiguous().cpu(), bias.x_RNM[i, 0].contiguous().cpu()]
        return found

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _initialise(network: Network, runs: Sequence[Run]) -> None:
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases)):
        inputs, outputs = network.sizes[layer], network.sizes[layer + 1]
        for i, run in enumerate(runs):
            of = run.seed, run.streams["init"]
            w_IO = init.weights(run.settings.init, generator(*of, "init", layer, 0), inputs, outputs)
            b_O = init.biases(run.settings.bias_init, generator(*of, "init", layer, 1), inputs, outputs)
            weight.x_RNM[i, :inputs] = torch.from_numpy(w_IO)
            bias.x_RNM[i, 0] = torch.from_numpy(b_O)


def _digest(parameters: Sequence[Tensor]) -> str:
    hashed = hashlib.sha256()
    for p in parameters:
        hashed.update(p.numpy().astype(p.numpy().dtype.newbyteorder("<"), copy=False).tobytes())
    return hashed.hexdigest()


def _of_weights(parameters: Sequence[Tensor]) -> Row:
    weights = [p.double() for p in parameters[::2]]
    squares = sum(float(w.square().sum()) for w in weights)
    zeros = sum(int((w == 0).sum()) for w in weights)
    row: Row = {"weight_norm": math.sqrt(squares), "sparsity": zeros / sum(w.numel() for w in weights)}
    if len(weights) > 1:
        incoming = torch.cat([parameters[0], parameters[1][None]]).T.contiguous().numpy()
        row["distinct_units"] = float(len({unit.tobytes() for unit in incoming}))
    return row
