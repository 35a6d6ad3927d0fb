"""Train one stack and return its rows. No input or output: what is stored, and where, is the caller's concern.

Shapes: `R` runs, `B` batch, `C` classes.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from mlpbench.experiment.components.activations import activation
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics import metric as metrics
from mlpbench.experiment.metrics.metric import TrainedRun, finite
from mlpbench.experiment.metrics.metric_names import LATE_RIGHT
from mlpbench.experiment.metrics.scores import CURVE_SCORES, SCORES
from mlpbench.experiment.metrics.set_curves import set_curves
from mlpbench.experiment.metrics.set_scores import keeps_outputs
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
from mlpbench.training import gpu, torch_settings
from mlpbench.training.batches.device_data import DeviceData, DrawnData, Indices
from mlpbench.training.batches.minibatches import Examples, noisy_labels
from mlpbench.training.batches.shifted_tests import shifted
from mlpbench.training.batches.stacked_inputs import batches_of
from mlpbench.training.early_stopping import EarlyStopping, copy_runs
from mlpbench.training.measures.evaluation import Evaluated, Evaluator
from mlpbench.training.measures.memory import buffer_bytes
from mlpbench.training.measures.plugin_metrics import NO_METRICS, PluginMetrics
from mlpbench.training.measures.probes import Prober
from mlpbench.training.measures.run_rows import CurvePoint, LateCounts, Model, curve_rows, distinct, prediction
from mlpbench.training.measures.solutions import Solutions
from mlpbench.training.measures.test_set import TestSet
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
    metrics_of_plugins: Sequence[str] = (),
) -> StackRows:
    """Train runs of one signature together and return their rows.

    `progress` is called with the share of the steps that is done; `probes` are epochs at which layers are measured, by
    default the start and the end; under each of `shifts` the test set is evaluated at the end; `save_weights` asks for the
    weights of finished runs too, and `metrics_of_plugins` names metrics that are loaded. Divergence raises nothing: it is a result.
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
    own = PluginMetrics(pieces=metrics_of_plugins)
    if data.device.type != "cuda":
        with torch.no_grad():
            return _Stack(runs, data, probes, shifts, save_weights=save_weights, own=own).train(report)
    gpu.prepare(data.device)
    size = brick(runs[0].settings, data.facts)
    ordered = sorted(runs, key=neighbourhood)
    bricks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    parts = []
    for i, members in enumerate(bricks):
        with torch.no_grad():
            stack = _Stack(members, data, probes, shifts, save_weights=save_weights, size=size, own=own)
            parts.append(stack.train(functools.partial(_report_part, report, i, len(bricks))))
    return StackRows.joined(parts).in_order(runs)


def _report_part(report: Callable[[float], None], part: int, parts: int, share: float) -> None:
    report((part + share) / parts)


class _Stack:
    """The state of a stack in training; its runs are sorted so that neighbours share an activation and batches."""

    @torch_settings.left_alone()
    def __init__(
        self,
        requested: Sequence[Run],
        data: DeviceData | DrawnData,
        probes: Sequence[float] | None = None,
        shifts: Shifts | None = None,
        *,
        save_weights: bool = False,
        size: int = SMALLEST_STACK,
        own: PluginMetrics = NO_METRICS,
    ) -> None:
        self.requested = requested
        self.shifts = shifts or {}
        self.saves_weights = save_weights
        self.own = own
        company = sorted(requested, key=neighbourhood)
        self.runs = company + company[:1] * (size - len(company))
        self.settings = self.runs[0].settings
        self.data = data = data.of(self.runs)
        self.epochs_probed = probes
        self.network = self._make_network()
        initialise(self.network.parameters, self.network.fans, self.settings.sizes(data.facts), self.runs)
        parts = [data.split(r) for r in self.runs]
        self.labels = noisy_labels(self.runs, data)
        self.fit, self.validation = [p.fit for p in parts], [p.validation for p in parts]
        self.keeps = keeps_outputs(data.facts.n_test, data.n_classes)
        self.diverged_at = torch.full((len(self.runs),), -1, dtype=torch.int64, device=data.device)
        self.points: list[CurvePoint] = []
        self.late = LateCounts()
        self.stopping = EarlyStopping(self.runs) if self.settings.stops_early else None
        self._arrange()

    def _make_network(self) -> Network:
        """Return a network for the runs as they are now."""
        dtype = torch.float64 if self.settings.precision == "float64" else torch.float32
        members, facts = [r.settings for r in self.runs], self.data.facts
        sizes, convolutions = self.settings.sizes(facts), self.settings.convolutions(facts)
        return Network(members, sizes, dtype=dtype, device=self.data.device, convolutions=convolutions)

    def _arrange(self) -> None:
        """Set up what follows from the runs and their network."""
        self.train_part = self._examples(self.fit)
        self.validation_part = self._examples(self.validation) if self.settings.n_validation else None
        # Runs on folds are for choosing between settings: the test set is read by the refits alone.
        self.test_part = self._test_examples() if self.settings.in_fold is None else None
        self.evaluator = Evaluator(
            self.network,
            LOSSES[self.settings.loss],
            self.data.n_features,
            chunk=evaluation_chunk(self.settings),
            squared_unit=self.data.facts.squared_unit,
        )
        self.prober = Prober(self.runs, self.network, self.train_part, self.epochs_probed)

    def _of(self, places: Sequence[int]) -> _Stack:
        """Return the stack of the runs in these places, with their parameters in a network of its own."""
        part = copy.copy(self)
        part.runs = [self.runs[i] for i in places]
        part.network = part._make_network()
        copy_runs(part.network, range(len(places)), self.network, places)
        part.fit, part.validation = ([lists[i] for i in places] for lists in (self.fit, self.validation))
        at = torch.tensor(places, device=self.data.device)
        part.labels = replace(self.labels, of_run=self.labels.of_run[at])
        part.diverged_at = self.diverged_at[at]
        part._arrange()
        return part

    @torch_settings.left_alone()
    def train(self, progress: Callable[[float], None]) -> StackRows:
        s, layers = self.settings, list[Row]()
        if self.stopping is None:
            seconds = self._train_all(progress)
        else:
            seconds = self._train_until_stopped(self.stopping, progress, layers)
        ended = (
            self.evaluator(self.train_part, scores=SCORES, active_in=CURVE_EXAMPLES),
            self._evaluate_validation(),
            self.evaluator(self.test_part, scores=SCORES, predict=True, mark=True, keep=self.keeps)
            if self.test_part is not None
            else None,
        )
        # Finite weights may still give losses that overflow: such a run has no result either.
        taken_R = torch.tensor([self._steps_taken(r) for r in self.runs], device=self.data.device)
        for evaluated in filter(None, ended):
            self._note_divergence(taken_R, torch.isfinite(evaluated.sums_RK["loss"].sum(1)))
        if self.stopping is not None:
            layers = self._layers_of_stopped(layers)
        else:
            if s.steps and not self._all_diverged():
                self._record(s.steps, ended)
            layers = self._layers()
        curves = [*curve_rows(self.points, self.settings, self._steps_taken), *self._shift_rows()]
        return self._rows(*ended, curves=curves, layers=layers, seconds=seconds)

    def _evaluate_validation(self) -> Evaluated | None:
        """Return the validation examples' scores, with what metrics of plugins need."""
        if self.validation_part is None:
            return None
        keep = self.own.keeps(len(self.validation_part), self.data.n_classes)
        return self.evaluator(self.validation_part, scores=SCORES, predict=bool(self.own.pieces), keep=keep)

    def _train_all(self, progress: Callable[[float], None]) -> float:
        """Take all steps of all runs; return the seconds that took."""
        s = self.settings
        steps = Steps(self.runs, self.network, self.fit, self.labels, self.data)
        seconds, points = 0.0, set(curve_steps(s))
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
        return seconds

    def _train_until_stopped(
        self, stopping: EarlyStopping, progress: Callable[[float], None], layers: list[Row]
    ) -> float:
        """Train each run until it stops, and leave its best epoch in the network; add rows of layers, return the seconds.

        Those that go on are trained in a stack of their own. On a GPU a brick stays whole until its last run stops.
        """
        s, shrinks, device = self.settings, self.data.device.type != "cuda", self.data.device
        places = list(range(len(self.runs)))  # in this stack, of those in training
        training = self._of(places)
        steps = Steps(training.runs, training.network, training.fit, training.labels, self.data)
        seconds = 0.0
        points = set(curve_steps(s))
        training._record(0)
        training.prober.probe(0)
        for start in range(0, s.steps, s.steps_per_epoch):
            stop = min(start + s.steps_per_epoch, s.steps)
            seconds += training._train_epoch(steps, start, stop)[0]
            began = self._clock()
            improved, going_on = training._validate(stop, stopping)
            copy_runs(self.network, [places[i] for i in improved], training.network, improved)
            self.diverged_at[torch.tensor(places, device=device)] = training.diverged_at
            seconds += self._clock() - began
            progress(stop / s.steps)
            if stop in points or any(stopping.steps_taken(r) == stop for r in training.runs):
                training._record(stop)
            if not going_on:
                break
            kept = going_on + going_on[:1] * (SMALLEST_STACK - len(going_on))
            if shrinks and kept != list(range(len(training.runs))):
                layers += training._layers()
                part = training._of(kept)
                steps = Steps(part.runs, part.network, part.fit, part.labels, self.data, before=(steps, kept))
                training, places = part, [places[i] for i in kept]
        layers += training._layers()
        return seconds

    def _validate(self, step: int, stopping: EarlyStopping) -> tuple[list[int], list[int]]:
        """Note an epoch's validation; return the positions of the runs that are at their best, and of those that go on."""
        means: Mapping[str, Sequence[float | None]] = {}
        if self.validation_part is not None:
            evaluated = self.evaluator(self.validation_part)
            self._note_divergence(step, torch.isfinite(evaluated.sums_RK["loss"].sum(1)))
            means = evaluated.means()
        return stopping.note(step, self.runs, means, has_diverged=(self.diverged_at >= 0).tolist())

    def _steps_taken(self, run: Run) -> int:
        return run.settings.steps if self.stopping is None else self.stopping.steps_taken(run)

    def _layers(self) -> list[Row]:
        """Return the rows of layers of the runs in training."""
        return self.prober.rows(len(distinct(self.runs)), self.diverged_at.tolist())

    def _layers_of_stopped(self, before: Sequence[Row]) -> list[Row]:
        """Return the rows of layers of runs that may have stopped: those until then, and at the end those of the best epoch."""
        s = self.settings
        taken = {r.run_id: self._steps_taken(r) for r in self.requested}
        if self.prober.ends and s.steps:
            self.prober.probe(s.steps, updated=False)
        rows = [r for r in before if r["step"] < taken[r["run_id"]] + (not self.prober.ends or not s.steps)]
        for row in self._layers():
            step = taken[row["run_id"]]
            rows.append(row | {"step": step, "epoch": step / s.steps_per_epoch})
        return rows

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
        # A GPU has taken all steps by then: the one time in an epoch that it is waited for.
        all_diverged = self._all_diverged()
        return time.perf_counter() - began - probing, all_diverged

    def _note_divergence(self, step: int | torch.Tensor, finite_R: torch.Tensor) -> None:
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
            is_late = name == "test" and 2 * step > self.settings.steps and self.stopping is None
            evaluated = self.evaluator(examples, mark=is_late) if ended is None else ended[i]
            assert evaluated is not None
            if is_late:
                self.late.add(evaluated)
            evaluated = replace(evaluated, predicted=None, right=None, outputs=None)
            self.points.append(CurvePoint(self.runs, step, name, evaluated, len(examples), self.diverged_at))

    def _shift_rows(self) -> Iterator[Row]:
        """Yield a row of the curves for each shift and each run that has not diverged, at the final weights."""
        if self.test_part is None or self._all_diverged():
            return
        s, diverged = self.settings, self.diverged_at.tolist()
        for name, x, y in shifted(self.data, self.shifts):
            means = self.evaluator(replace(self.test_part, x=x, labels=y[None])).means()
            for j, run in enumerate(self.runs[: len(self.requested)]):
                if diverged[j] < 0:
                    steps = self._steps_taken(run)
                    row = {"run_id": run.run_id, "epoch": steps / s.steps_per_epoch, "step": steps, "split": name}
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
        layers: list[Row],
        seconds: float,
    ) -> StackRows:
        position = {run.run_id: i for i, run in enumerate(self.runs[: len(self.requested)])}
        diverged = self.diverged_at.tolist()
        rows = StackRows(curves=curves, layers=layers)
        solutions, on_test = Solutions(self.data), TestSet(self.data, LOSSES[self.settings.loss])
        parts = {"train": train, "val": validation, "test": test}
        means = {part: evaluated.means() for part, evaluated in parts.items() if evaluated is not None}
        for run in self.requested:
            i = position[run.run_id]
            model, ended_well = self._model(i), diverged[i] < 0
            taken, per_epoch = self._steps_taken(run), run.settings.steps_per_epoch
            trained = TrainedRun(
                diverged=not ended_well,
                seconds=seconds / len(self.requested),
                flops=training_flops(run.settings, self.data.facts, taken),
                epochs=taken / per_epoch,
                best_epoch=None if self.stopping is None else self.stopping.best_step(run) / per_epoch,
                buffer_bytes=buffer_bytes(run.settings, self.data.facts, self.data.x_train.element_size()),
                means={part: {score: of_runs[i] for score, of_runs in m.items()} for part, m in means.items()},
                active=[active_RU[i] for active_RU in train.active_RU],
                weights=model.weights,
                biases=model.biases,
                distances=solutions.distances(run, model, self.fit[i]) if ended_well else {},
                test=on_test.outputs(run, i, test) if ended_well and test is not None else None,
                constants=on_test.constants(run, self.fit[i], self.labels.y_KN[self.labels.of_run[i]])
                if ended_well and test is not None
                else {},
            )
            row: Row = {"run_id": run.run_id, "status": "ok" if ended_well else "diverged"}
            row |= metrics.values(torch, trained) | {"stack_size": len(self.requested)}
            if ended_well:
                labels = self.labels.y_KN[self.labels.of_run[i]]
                on_validation = on_test.on_validation(labels, self.validation[i], i, validation)
                row |= self.own.columns({"test": trained.test, "val": on_validation})
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
                    late, curves_of_set = {LATE_RIGHT: self.late.of_run(i)}, set_curves(trained.test)
                    rows.predictions.append(
                        {"run_id": run.run_id, "predicted": prediction(i, test, self.data.facts)} | late | curves_of_set
                    )
            rows.runs.append(row)
        return rows

    def _model(self, i: int) -> Model:
        return Model.of(self.network, i, sloped=activation(self.runs[i].settings.activation)[0].learnt is not None)

    def _clock(self) -> float:
        if self.data.device.type == "cuda":
            torch.cuda.synchronize(self.data.device)
        return time.perf_counter()
