"""Train one stack and return its rows. No input or output: what is stored, and where, is the caller's concern.

Shapes: `R` runs, `B` batch, `C` classes.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlpbench.experiment.components.activations import activation
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics import metric as metrics
from mlpbench.experiment.metrics.metric import TrainedRun, finite
from mlpbench.experiment.metrics.metric_names import LATE_RIGHT
from mlpbench.experiment.metrics.scores import CURVE_SCORES, SCORES
from mlpbench.experiment.metrics.set_scores import TestOutputs, constant_loss, keeps_outputs, of_constant
from mlpbench.experiment.plan import (
    CURVE_EXAMPLES,
    brick,
    curve_steps,
    evaluation_chunk,
    neighbourhood,
    training_flops,
)
from mlpbench.experiment.settings import GPU_PRECISIONS
from mlpbench.experiment.shift_spec import Shifts
from mlpbench.training import gpu
from mlpbench.training.batches.device_data import DeviceData, DrawnData, Indices
from mlpbench.training.batches.minibatches import Examples, noisy_labels
from mlpbench.training.batches.shifted_tests import shifted
from mlpbench.training.batches.stacked_inputs import batches_of
from mlpbench.training.measures.evaluation import Evaluated, Evaluator
from mlpbench.training.measures.memory import buffer_bytes
from mlpbench.training.measures.probes import Prober
from mlpbench.training.measures.run_rows import LateCounts, Model, prediction
from mlpbench.training.measures.solutions import Solutions
from mlpbench.training.network.mlp_stack import Network
from mlpbench.training.network.parameters import initialise
from mlpbench.training.saved_model import encoded
from mlpbench.training.steps import Steps
from mlpbench.training.worker_setup import Row, StackRows

# A stack of one may take another kernel (matrix-vector) than a stack of more: see buffers.py.
SMALLEST_STACK = 2


def train_stack(
    runs: Sequence[Run],
    data: DeviceData | DrawnData,
    progress: Callable[[float], None] | None = None,
    probes: Sequence[float] | None = None,
    shifts: Shifts | None = None,
    *,
    save_weights: bool = False,
) -> StackRows:
    """Train runs of one signature together and return their rows.

    `progress` is called with the share of the steps that is done; `probes` are epochs at which layers are measured, by
    default the start and the end; under each of `shifts` the test set is evaluated at the end; `save_weights` asks for the
    weights of finished runs too. Divergence raises nothing: it is a result.
    """
    # What `use_deterministic_algorithms` does but for loading the compiler, which takes a worker a second.
    torch.set_deterministic_debug_mode("error")
    torch.set_flush_denormal(True)
    precision = runs[0].settings.precision
    if precision in GPU_PRECISIONS and data.device.type == "cpu":
        raise ValueError(f"precision {precision} needs a GPU")
    if precision == "tf32x3" and torch.version.cuda is not None and gpu.kernels_for(data.device) is None:
        raise ValueError("precision tf32x3 needs Triton, which is not installed")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    report = progress or (lambda share: None)
    if data.device.type != "cuda":
        with torch.no_grad():
            return _Stack(runs, data, probes, shifts, save_weights=save_weights).train(report)
    gpu.prepare(data.device)
    size = brick(runs[0].settings, data.facts)
    ordered = sorted(runs, key=neighbourhood)
    bricks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    parts = []
    for i, members in enumerate(bricks):
        with torch.no_grad():
            stack = _Stack(members, data, probes, shifts, save_weights=save_weights, size=size)
            parts.append(stack.train(functools.partial(_report_part, report, i, len(bricks))))
    return StackRows.joined(parts).in_order(runs)


def _report_part(report: Callable[[float], None], part: int, parts: int, share: float) -> None:
    report((part + share) / parts)


class _CurvePoint(NamedTuple):
    """A part's scores after a step, on the device, and when each run had diverged by then."""

    step: int
    split: str
    evaluated: Evaluated
    examples: int
    diverged_at: torch.Tensor


class _Stack:
    """The state of a stack in training; its runs are sorted so that neighbours share an activation and batches."""

    def __init__(
        self,
        requested: Sequence[Run],
        data: DeviceData | DrawnData,
        probes: Sequence[float] | None = None,
        shifts: Shifts | None = None,
        *,
        save_weights: bool = False,
        size: int = SMALLEST_STACK,
    ) -> None:
        self.requested = requested
        self.shifts = shifts or {}
        self.saves_weights = save_weights
        company = sorted(requested, key=neighbourhood)
        self.runs = company + company[:1] * (size - len(company))
        self.settings = self.runs[0].settings
        self.data = data = data.of(self.runs)
        sizes = self.settings.sizes(data.facts)
        dtype = torch.float64 if self.settings.precision == "float64" else torch.float32
        members, convolutions = [r.settings for r in self.runs], self.settings.convolutions(data.facts)
        self.network = Network(members, sizes, dtype=dtype, device=data.device, convolutions=convolutions)
        initialise(self.network.parameters, self.network.fans, sizes, self.runs)
        parts = [data.split(r) for r in self.runs]
        self.labels = noisy_labels(self.runs, data)
        self.fit = [p.fit for p in parts]
        self.train_part = self._examples(self.fit)
        self.validation_part = self._examples([p.validation for p in parts]) if self.settings.n_validation else None
        # Runs on folds are for choosing between settings: the test set is read by the refits alone.
        self.test_part = self._test_examples() if self.settings.folds is None else None
        self.keeps = keeps_outputs(data.facts.n_test, data.n_classes)
        chunk = evaluation_chunk(self.settings)
        self.evaluator = Evaluator(
            self.network,
            LOSSES[self.settings.loss],
            data.n_features,
            chunk=chunk,
            squared_unit=data.facts.squared_unit,
        )
        self.prober = Prober(self.runs, self.network, self.train_part, probes)
        self.diverged_at = torch.full((len(self.runs),), -1, dtype=torch.int64, device=data.device)
        self.points: list[_CurvePoint] = []
        self.late = LateCounts()

    def train(self, progress: Callable[[float], None]) -> StackRows:
        s = self.settings
        steps = Steps(self.runs, self.network, self.fit, self.labels, self.data)
        seconds = 0.0
        points = set(curve_steps(s))
        self._record(0)
        self.prober.probe(0)
        for start in range(0, s.steps, s.steps_per_epoch):
            stop = min(start + s.steps_per_epoch, s.steps)
            taken, all_diverged = self._train_epoch(steps, start, stop)
            seconds += taken
            progress(stop / s.steps)
            if all_diverged:
                break
            if stop in points and stop < s.steps:
                self._record(stop)
        ended = (
            self.evaluator(self.train_part, scores=SCORES, active_in=CURVE_EXAMPLES),
            self.evaluator(self.validation_part, scores=SCORES) if self.validation_part is not None else None,
            self.evaluator(self.test_part, scores=SCORES, predict=True, mark=True, keep=self.keeps)
            if self.test_part is not None
            else None,
        )
        # Finite weights may still give losses that overflow: such a run has no result either.
        for evaluated in filter(None, ended):
            self._note_divergence(s.steps, torch.isfinite(evaluated.sums_RK["loss"].sum(1)))
        if s.steps and not self._all_diverged():
            self._record(s.steps, ended)
        curves = [*self._curves(), *self._shift_rows()]
        return self._rows(*ended, curves=curves, seconds=seconds)

    def _train_epoch(self, steps: Steps, start: int, stop: int) -> tuple[float, bool]:
        """Take the steps from start to stop; return the seconds that took, probes left out, and whether all have diverged."""
        began, probing = time.perf_counter(), 0.0
        for step in range(start, stop):
            wanted = self.prober.wants(step + 1)
            if wanted:
                steps.settle()
                self.prober.remember()
            self._note_divergence(step + 1, steps.take(step))
            if wanted:
                paused = self._clock()
                steps.settle()
                self.prober.probe(step + 1)
                probing += self._clock() - paused
        steps.settle()
        if stop < self.settings.steps:
            steps.look_ahead(stop // self.settings.steps_per_epoch)
        all_diverged = (
            self._all_diverged()
        )  # a GPU has taken all steps by then: the one time in an epoch that it is waited for
        return time.perf_counter() - began - probing, all_diverged

    def _note_divergence(self, step: int, finite_R: torch.Tensor) -> None:
        newly = (self.diverged_at < 0) & ~finite_R
        self.diverged_at = torch.where(newly, step, self.diverged_at)

    def _all_diverged(self) -> bool:
        return bool((self.diverged_at >= 0).all())

    def _record(self, step: int, ended: Sequence[Evaluated | None] | None = None) -> None:
        """Add a point to the curves for each part; its numbers are read at the end."""
        parts = (self.train_part.first(CURVE_EXAMPLES), self.validation_part, self.test_part)
        for i, (name, examples) in enumerate(zip(("train", "validation", "test"), parts)):
            if examples is None:
                continue
            is_late = name == "test" and 2 * step > self.settings.steps
            evaluated = self.evaluator(examples, mark=is_late) if ended is None else ended[i]
            assert evaluated is not None
            if is_late:
                self.late.add(evaluated)
            evaluated = replace(evaluated, predicted=None, right=None, outputs=None)
            self.points.append(_CurvePoint(step, name, evaluated, len(examples), self.diverged_at))

    def _curves(self) -> Iterator[Row]:
        """Yield a row of the curves for each point and each run that had not diverged by then."""
        for p in self.points:
            diverged, means = p.diverged_at.tolist(), p.evaluated.means(p.examples)
            for j, run in enumerate(self.runs[: len(self.requested)]):
                if diverged[j] < 0:
                    where = {"epoch": p.step / self.settings.steps_per_epoch, "step": p.step, "split": p.split}
                    yield {"run_id": run.run_id} | where | {score: means[score][j] for score in CURVE_SCORES}

    def _shift_rows(self) -> Iterator[Row]:
        """Yield a row of the curves for each shift and each run that has not diverged, at the final weights."""
        if self.test_part is None or self._all_diverged():
            return
        s, diverged = self.settings, self.diverged_at.tolist()
        for name, x, y in shifted(self.data, self.shifts):
            means = self.evaluator(replace(self.test_part, x=x, labels=y[None])).means()
            for j, run in enumerate(self.runs[: len(self.requested)]):
                if diverged[j] < 0:
                    row = {"run_id": run.run_id, "epoch": s.steps / s.steps_per_epoch, "step": s.steps, "split": name}
                    # A loss may overflow under a shift alone: then there is none.
                    yield row | {score: finite(means[score][j]) for score in CURVE_SCORES}

    def _examples(self, lists: Sequence[Indices]) -> Examples:
        equal = all(np.array_equal(lists[0], other) for other in lists[1:])
        shared, first = batches_of(
            self.runs,
            lambda r: 0 if equal else (r.seed, r.streams["split"], r.fold, r.settings.train_shift),
            self.data.device,
        )
        by_id = {run.run_id: indices for run, indices in zip(self.runs, lists)}
        index = torch.from_numpy(np.stack([by_id[r.run_id] for r in first])).to(self.data.device)
        labels = self.labels
        return Examples(x=self.data.x_train, labels=labels.y_KN, labelling=labels.of_run, index_GN=index, groups=shared)

    def _test_examples(self) -> Examples:
        shared, first = batches_of(self.runs, self.data.draw_of, self.data.device)
        clean = self.data.y_test
        return Examples(
            x=self.data.x_test,
            labels=clean[None],
            labelling=torch.zeros(len(self.runs), dtype=torch.int64, device=clean.device),
            index_GN=self.data.test_index([self.data.draw_of(r) for r in first]),
            groups=shared,
        )

    def _rows(
        self,
        train: Evaluated,
        validation: Evaluated | None,
        test: Evaluated | None,
        *,
        curves: list[Row],
        seconds: float,
    ) -> StackRows:
        position = {run.run_id: i for i, run in enumerate(self.runs[: len(self.requested)])}
        diverged = self.diverged_at.tolist()
        rows = StackRows(curves=curves, layers=self.prober.rows(self.requested, diverged))
        solutions = Solutions(self.data)
        parts = {"train": train, "val": validation, "test": test}
        means = {part: evaluated.means() for part, evaluated in parts.items() if evaluated is not None}
        for run in self.requested:
            i = position[run.run_id]
            model, ended_well = self._model(i), diverged[i] < 0
            trained = TrainedRun(
                diverged=not ended_well,
                seconds=seconds / len(self.requested),
                flops=training_flops(run.settings, self.data.facts),
                buffer_bytes=buffer_bytes(run.settings, self.data.facts, self.data.x_train.element_size()),
                means={part: {score: of_runs[i] for score, of_runs in m.items()} for part, m in means.items()},
                active=[active_RU[i] for active_RU in train.active_RU],
                weights=model.weights,
                biases=model.biases,
                distances=solutions.distances(run, model, self.fit[i]) if ended_well else {},
                test=self._test_outputs(run, i, test) if ended_well and test is not None else None,
                constants=self._constants(run, i) if ended_well and test is not None else {},
            )
            row: Row = {"run_id": run.run_id, "status": "ok" if ended_well else "diverged"}
            row |= metrics.values(torch, trained) | {"stack_size": len(self.requested)}
            row["n_parameters"] = sum(p.numel() for p in model.learnt)
            if not ended_well:
                # How long a diverged run is dragged along depends on its stack-mates: its weights are not a result.
                row["diverged_at_step"] = diverged[i]
            else:
                row["weights_sha256"] = model.digest
                if self.saves_weights:
                    content = encoded(model, run, self.data.facts)
                    rows.weights.append({"run_id": run.run_id, "content": content})
                if test is not None:
                    late = {LATE_RIGHT: self.late.of_run(i)}
                    rows.predictions.append(
                        {"run_id": run.run_id, "predicted": prediction(i, test, self.data.facts)} | late
                    )
            rows.runs.append(row)
        return rows

    def _test_targets(self, run: Run) -> NDArray[Any]:
        at = self.data.test_index([self.data.draw_of(run)])[0]
        targets: NDArray[Any] = self.data.y_test[at].cpu().numpy()
        return targets

    def _own_units(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return classes as they are, and numbers in the target's own units."""
        scale = self.data.facts.target_scale
        return numbers if scale is None else scale.own_units(numbers)

    def _test_outputs(self, run: Run, i: int, test: Evaluated) -> TestOutputs:
        assert test.predicted is not None
        return TestOutputs(
            targets=self._own_units(self._test_targets(run)),
            predicted=self._own_units(test.predicted[i].cpu().numpy()),
            n_classes=self.data.n_classes,
            outputs=None if test.outputs is None else test.outputs[i].cpu().numpy(),
            are_logits=LOSSES[self.settings.loss].of_softmax,
        )

    def _constants(self, run: Run, i: int) -> dict[str, float]:
        chosen = torch.from_numpy(self.fit[i]).to(self.data.device)
        fitted, targets = self.labels.y_KN[self.labels.of_run[i], chosen].cpu().numpy(), self._test_targets(run)
        found = of_constant(self._own_units(fitted), self._own_units(targets), self.data.n_classes)
        half_squares = LOSSES[self.settings.loss].half_squares
        scale = self.data.facts.target_scale
        # The mean of the logarithms is another prediction than the mean, of which RMSE speaks.
        is_log = scale is not None and scale.log
        if self.data.n_classes is None and half_squares is not None and len(targets) and not is_log:
            found["constant_loss"] = self.data.facts.squared_unit * constant_loss(fitted, targets, half_squares)
        return found

    def _model(self, i: int) -> Model:
        return Model.of(self.network, i, sloped=activation(self.runs[i].settings.activation)[0].learnt is not None)

    def _clock(self) -> float:
        if self.data.device.type == "cuda":
            torch.cuda.synchronize(self.data.device)
        return time.perf_counter()
