"""Whether a piece of a plugin keeps its contract: tried on a few numbers, and in training itself, alone and in company.

Numbers are drawn from fixed seeds. Derivatives are compared with central differences, (f(x + h) - f(x - h)) / 2h, in double
precision.

Shapes: `B` examples, `C` outputs, `O` units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.data.made_data import keep_arrays, read_made
from mlpbench.experiment import grid
from mlpbench.experiment.components.initialisers import INITIALISERS, Layer
from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.experiment.components.schedules import SCHEDULES
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics.own_metrics import COLUMN, KIND
from mlpbench.experiment.plugins.piece_kinds import KINDS
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.experiment.spec import build
from mlpbench.training.batches.device_data import on_device
from mlpbench.training.engine import train_stack
from mlpbench.training.pieces.load_pieces import load_pieces, run_code
from mlpbench.training.pieces.own_arrays import are_equal, made_arrays, npz_of
from mlpbench.training.pieces.own_figures import DrawnPiece, FigureContext, drawn, prepare_drawing
from mlpbench.training.pieces.own_functions import OwnActivation, OwnLoss, own_number, own_step
from mlpbench.training.pieces.piece_calls import PieceCall
from mlpbench.training.worker import torch_settings_restored
from mlpbench.training.worker_setup import Row

H = 1e-6
# How far a derivative may be from the difference: what its rounding comes to, and a little of the next order.
TOLERANCE = 1e-5
# A number by itself, and among others: vectorised functions round differently.
ROUNDING = 1e-12
# A metric of the same examples in another order: a sum rounds differently.
ORDER = 1e-9
# What training that is tried is like: batches of two sizes, several arrays of parameters, few steps.
TRIED: Mapping[str, Any] = {
    "depth": 2, "width": 20, "init": "he_normal", "train_size": 200, "batch_size": 32, "epochs": 2, "lr": 0.001,
}  # fmt: skip
COMPARED = ("status", "error", "weights_sha256", "train_loss", "test_loss", "diverged_at_step", COLUMN)
Floats64 = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class PieceCheck:
    """What was tried of a piece, one after the other, and the rule that it broke; None where it kept all."""

    piece: Piece
    passed: Sequence[str]
    broken: str | None = None


def check_pieces(plugin: Plugin) -> list[PieceCheck]:
    """Run the code of a plugin and try each of its pieces; raise PieceError where its code can't be run."""
    with torch_settings_restored():
        torch.set_num_threads(1)
        names = run_code(plugin)
        load_pieces([plugin])
        return [_check(piece, plugin, names) for piece in plugin.pieces]


def _check(piece: Piece, plugin: Plugin, names: Mapping[str, Any]) -> PieceCheck:
    passed: list[str] = []
    try:
        call = PieceCall.of(piece, names)
        if call.kind == "dataset":
            return PieceCheck(piece=piece, passed=_of_dataset(piece, call))
        if call.kind == "figure":
            return PieceCheck(piece=piece, passed=_of_figure(piece, plugin, call))
        for what, try_it in _trials(call):
            try_it()
            passed.append(what)
        _try_training(piece, plugin)
        passed.append("alone as in company")
    except PieceError as error:
        return PieceCheck(piece=piece, passed=passed, broken=str(error))
    return PieceCheck(piece=piece, passed=passed)


def _trials(call: PieceCall) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what is tried of a piece, in order."""
    if call.kind == "activation":
        yield from _of_activation(call)
    elif call.kind == "loss":
        yield from _of_loss(call)
    elif call.kind == "optimiser":
        yield "shape, finite and deterministic", lambda: _try_optimiser(call)
    elif call.kind == "initialiser":
        yield "shape, finite and deterministic", lambda: _try_initialiser(call)
    elif call.kind == "metric":
        yield from _of_metric(call)
    else:
        assert call.kind == "schedule", "others are not of training"
        yield "finite and deterministic", lambda: _try_schedule(call)


def _normals(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape))


def _is_finite(call: PieceCall, x: Tensor) -> None:
    if not bool(torch.isfinite(x).all()):
        raise call.wrong("finite numbers", f"{x[~torch.isfinite(x)][0].item()}")


def _is_same(call: PieceCall, first: Tensor, second: Tensor) -> None:
    if not torch.equal(first, second):
        raise call.wrong("the same each time, by its arguments alone", "other numbers the second time")


def _differs(a: Tensor, b: Tensor, tolerance: float) -> float | None:
    """Return the largest difference, relative to numbers above 1, where it is above a tolerance."""
    difference = float(((a - b).abs() / b.abs().clamp_min(1)).max())
    return None if difference <= tolerance else difference


def _compare_slopes(call: PieceCall, f: Floats64, slope: Floats64, x: Tensor) -> None:
    """Compare the derivative of the sum of f, as training has it, with central differences, number by number."""
    found, expected = slope(x), torch.empty_like(x)
    for place in np.ndindex(*x.shape):
        step = torch.zeros_like(x)
        step[place] = H
        expected[place] = (f(x + step).sum() - f(x - step).sum()) / (2 * H)
    _is_finite(call, found)
    difference = _differs(found, expected, TOLERANCE)
    if difference is not None:
        whose = "its own derivative" if call.own_derivative is not None else "a function that autograd can derive"
        raise call.wrong(f"what has the slope of {whose}", f"one that is {difference:.2g} off central differences")


def _of_activation(call: PieceCall) -> Iterator[tuple[str, Callable[[], None]]]:
    own, z = OwnActivation(call), _normals(7, 5)

    def finite() -> None:
        for x in (z, z.float(), torch.zeros_like(z)):
            _is_finite(call, own.forward(x))

    def alone() -> None:
        together = own.forward(z)
        for i, j in ((0, 0), (3, 2), (6, 4)):
            one = own.forward(z[i : i + 1, j : j + 1])[0, 0]
            if _differs(together[i, j], one, ROUNDING) is not None:
                got = f"{float(together[i, j]):g} among others and {float(one):g} alone"
                raise call.wrong("f of each number by itself", f"for {float(z[i, j]):.3g} {got}")

    yield "shape and finite", finite
    yield "deterministic", lambda: _is_same(call, own.forward(z.float()), own.forward(z.float()))
    yield "number by number", alone
    yield "gradient", lambda: _compare_slopes(call, own.forward, lambda x: own.backward(torch.ones_like(x), x), z)


def _targets_of(call: PieceCall) -> list[tuple[str, Tensor]]:
    """Return the targets that a loss or a metric takes, classes first; raise PieceError, that of classes, where it takes none."""
    both = {"classes": torch.arange(9) % 4, "numbers": _normals(9, 4, seed=1)}
    taken, first = [], None
    for name, y in both.items():
        try:
            if call.kind == "metric":
                own_number(call)(_normals(9, 4), y)
            else:
                call.numbers(call(_normals(9, 4), y), torch.Size([9]), "the loss of each example")
            taken.append((name, y))
        except PieceError as error:
            first = first or error
    if first is not None and not taken:
        raise first
    return taken


def _of_loss(call: PieceCall) -> Iterator[tuple[str, Callable[[], None]]]:
    z = _normals(9, 4)
    taken = _targets_of(call)

    def each(z_BC: Tensor, y: Tensor) -> Tensor:
        return call.numbers(call(z_BC.clone(), y.clone()), z_BC.shape[:1], "the loss of each example")

    def finite() -> None:
        for _, y in taken:
            _is_finite(call, each(z, y))
            _is_finite(call, each(z.float(), y.float() if y.is_floating_point() else y))

    def same() -> None:
        for _, y in taken:
            _is_same(call, each(z, y), each(z, y))

    def by_example() -> None:
        for _, y in taken:
            alone = torch.cat([each(z[i : i + 1], y[i : i + 1]) for i in range(len(z))])
            if _differs(each(z, y), alone, ROUNDING) is not None:
                raise call.wrong("the loss of each example by itself", "another one among other examples")

    def gradient() -> None:
        for _, y in taken:
            _compare_slopes(call, lambda x, y=y: each(x, y), lambda x, y=y: _loss_slopes(call, x, y), z)  # type: ignore[misc]

    yield f"of {' and '.join(name for name, _ in taken)}, shape and finite", finite
    yield "deterministic", same
    yield "example by example", by_example
    yield "gradient", gradient


def _loss_slopes(call: PieceCall, z_BC: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the sum of the losses, as training takes it."""
    return OwnLoss(call).slopes(z_BC, y, torch.ones(len(z_BC), dtype=z_BC.dtype))


def _of_metric(call: PieceCall) -> Iterator[tuple[str, Callable[[], None]]]:
    z, taken, number = _normals(9, 4), _targets_of(call), own_number(call)

    def finite() -> None:
        for name, y in taken:
            if number(z, y) is None:
                raise call.wrong("a finite number", f"one that is not, of {name}")

    def same() -> None:
        for _, y in taken:
            first, second = number(z, y), number(z, y)
            if first != second:
                raise call.wrong("the same each time, by its arguments alone", f"{first} and then {second}")

    def untouched() -> None:
        for name, y in taken:
            outputs, targets = z.clone(), y.clone()
            call(outputs, targets)
            if not (torch.equal(outputs, z) and torch.equal(targets, y)):
                raise call.wrong("a number and leave its arguments as they are", f"others after the call, of {name}")

    def in_any_order() -> bool:
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(z)))
        pairs = ((number(z, y), number(z[order], y[order])) for _, y in taken)
        return all(b is not None and abs(a - b) <= ORDER * max(1.0, abs(a)) for a, b in pairs if a is not None)

    yield f"of {' and '.join(name for name, _ in taken)}, one finite number", finite
    yield "deterministic", same
    yield "leaves its arguments as they are", untouched
    ordered = "whatever the order of examples" if in_any_order() else "another number in another order of examples"
    yield ordered, lambda: None


def made_dataset(plugin: Plugin, piece: Piece) -> None:
    """Run the code of a data set, and keep its arrays in the cache; raise PieceError where that goes wrong."""
    with torch_settings_restored():
        torch.set_num_threads(1)
        keep_arrays(piece.called, piece.digest, npz_of(made_arrays(PieceCall.of(piece, run_code(plugin)))))


def _of_dataset(piece: Piece, call: PieceCall) -> list[str]:
    """Make a data set twice and keep its arrays; return what was tried of it, and what was understood."""
    first, second = made_arrays(call), made_arrays(call)
    if not are_equal(first, second):
        raise call.wrong("the same arrays each time", "others the second time: draw from a generator with a seed")
    keep_arrays(piece.called, piece.digest, npz_of(first))
    try:
        facts = read_made(piece.called, piece.digest, {}).facts
    except (InputError, SpecProblem) as error:
        raise call.wrong("arrays that can be learned from", str(error)) from None
    target = f"{facts.n_classes} classes" if facts.n_classes else "numbers"
    examples = f"{facts.n_train} examples to train on and {facts.n_test} to test on"
    return ["deterministic", f"{examples}, {facts.n_features} inputs, target {target}"]


def drawn_figures(plugin: Plugin, context: FigureContext) -> list[DrawnPiece]:
    """Return what each figure of a plugin comes to; one that goes wrong, or code that can't be run, is said of it."""
    pieces = [piece for piece in plugin.pieces if piece.kind == "figure"]
    if not pieces:
        return []
    prepare_drawing()
    with torch_settings_restored():
        torch.set_num_threads(1)
        try:
            names = run_code(plugin)
        except PieceError as error:
            return [DrawnPiece(called=piece.called, digest=piece.digest, error=str(error)) for piece in pieces]
        return [_drawn(piece, names, context) for piece in pieces]


def _drawn(piece: Piece, names: Mapping[str, Any], context: FigureContext) -> DrawnPiece:
    try:
        text, png = drawn(PieceCall.of(piece, names), context)
    except PieceError as error:
        return DrawnPiece(called=piece.called, digest=piece.digest, error=str(error))
    return DrawnPiece(called=piece.called, digest=piece.digest, text=text, png=png)


def _of_figure(piece: Piece, plugin: Plugin, call: PieceCall) -> list[str]:
    """Draw a figure of a few runs twice; return what was tried of it."""
    prepare_drawing()
    ((runs, data),) = _tried_runs(piece, plugin)
    rows = train_stack(runs, data)
    names = {run.run_id: {"label": run.label, "replicate": run.replicate, **vars(run.settings)} for run in runs}
    table = pd.DataFrame([names[row["run_id"]] | row for row in rows.runs])
    context = FigureContext(name="check", question="Is it drawn?", runs=table, curves=pd.DataFrame(rows.curves))
    first, second = drawn(call, context), drawn(call, context)
    if first != second:
        raise call.wrong("the same each time, by its tables alone", "something else the second time")
    return [f"{'a picture' if first[1] else 'a sentence'} of {len(table)} runs", "deterministic"]


def _try_optimiser(call: PieceCall) -> None:
    take = own_step(call)
    for shape in ((6, 4), (4,)):
        first, second = ([], [])  # type: tuple[list[Tensor], list[Tensor]]
        for updates in (first, second):
            state: dict[Any, Any] = {}
            for number in (1, 2, 3):
                gradient = _normals(*shape, seed=number, scale=1.0).float()
                update, state = take(gradient, state, 0.01, number)
                updates.append(update.clone())
        for a, b in zip(first, second):
            _is_finite(call, a)
            _is_same(call, a, b)


def _try_initialiser(call: PieceCall) -> None:
    for shape, fan_in, fan_out in (((30, 20), 30, 20), ((20,), 30, 20)):
        draws = []
        for _ in range(2):
            rng = np.random.default_rng(0)
            layer = Layer(rng=rng, shape=shape, fan_in=fan_in, fan_out=fan_out, parameter=0.0, torch=torch)
            draws.append(torch.from_numpy(np.array(INITIALISERS[call.name].draw(layer))))
        _is_finite(call, draws[0])
        _is_same(call, *draws)


def _try_schedule(call: PieceCall) -> None:
    steps = np.arange(50, dtype=np.float64)
    first, second = (torch.from_numpy(SCHEDULES[call.name].factor(steps, 50, ())) for _ in range(2))
    _is_same(call, first, second)


def _try_training(piece: Piece, plugin: Plugin) -> None:
    """Train a stack with a piece, and each of its runs alone; raise PieceError where a bit differs, or a run doesn't end well."""
    for runs, data in _tried_runs(piece, plugin):
        own = [piece.name] if piece.kind == KIND else []
        alone = [_row(run, [run], data, own) for run in runs]
        for company in (runs, runs[::-1]):
            rows = {row["run_id"]: row for row in train_stack(company, data, metrics_of_plugins=own).runs}
            for run, row in zip(runs, alone):
                _compare_rows(piece, run, row, rows[run.run_id])


def _row(run: Run, stack: Sequence[Run], data: Any, own: Sequence[str]) -> Row:
    return next(row for row in train_stack(stack, data, metrics_of_plugins=own).runs if row["run_id"] == run.run_id)


def _compare_rows(piece: Piece, run: Run, alone: Row, together: Row) -> None:
    what = f"{piece.kind} {piece.called}"
    if piece.kind == KIND and alone.get("error"):
        raise PieceError(str(alone["error"]))
    if alone["status"] != "ok":
        raise PieceError(f"{what} must train a network, got one that diverged ({run.label}, lr {run.settings.lr:g})")
    differing = [name for name in COMPARED if alone.get(name) != together.get(name)]
    if differing:
        raise PieceError(
            f"{what} must give a run the bits it has alone, got another {differing[0]} in a stack of several"
        )


def _tried_runs(piece: Piece, plugin: Plugin) -> Iterator[tuple[list[Run], Any]]:
    """Yield runs with a piece, beside others that may stand in a stack with them, and their data."""
    usual = {"activation": ["relu", "gelu"], "initialiser": ["he_normal"], "schedule": ["cosine"]}.get(piece.kind, [])
    targets = ["classes"]
    if piece.kind in ("loss", KIND):
        targets = [name for name, _ in _targets_of(PieceCall.of(piece, run_code(plugin)))]
    for target in targets:
        varied = {setting: [piece.called, *usual] for setting in KINDS[piece.kind].settings[:1]}
        fixed = {k: v for k, v in TRIED.items() if k not in varied and k != "lr"}
        tree = {
            "name": "check",
            "question": "Does a piece keep its contract?",
            "dataset": "digits" if target == "classes" else "diabetes",
            "fixed": fixed,
            "factors": varied | {"lr": [TRIED["lr"], TRIED["lr"] / 3]},
            "replicates": 2,
            **({"validation": 0.2} if piece.kind == KIND else {}),
            "plugins": [replace(plugin, pieces=(piece,)).as_written()],
        }
        experiment = build(tree)
        yield grid.runs(experiment), on_device(experiment.sources[0], torch.device("cpu"))
