"""Optimisers, clipping and the soft threshold: against torch over many steps, and what each of them promises.

Shapes: `R` runs, `S` elements of a run's buffer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch_reference import OPTIMISERS as TORCH

from mlpbench.experiment.components import optimisers
from mlpbench.experiment.components.optimisers import OPTIMISERS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Word
from mlpbench.training.buffers import Room, Stacked
from mlpbench.training.parameter_updates import OptimiserState, Parameter, clip, soft_threshold

CPU = torch.device("cpu")
SHAPES = [(7, 5), (1, 5), (5, 16)]
RATES = [0.1, 0.003, 0.03]
RUNS = len(RATES)
FLOATS = st.floats(-1e3, 1e3, allow_subnormal=False)


def column(values: Sequence[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)[:, None]


def parameters(decays: Sequence[float] | None, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Parameter]:
    """Arrays of random numbers; the first one decays."""
    rng = torch.Generator().manual_seed(seed)
    made = []
    for i, (rows, columns) in enumerate(SHAPES):
        value, gradient = (Stacked.zeros(RUNS, rows, columns, dtype=dtype, device=CPU) for _ in range(2))
        value.x_RNM.copy_(torch.randn(RUNS, rows, columns, generator=rng, dtype=dtype))
        gradient.x_RNM.copy_(torch.randn(RUNS, rows, columns, generator=rng, dtype=dtype))
        by = column(decays, dtype) if i == 0 and decays is not None else None
        made.append(Parameter(value=value, gradient=gradient, decay_R1=by))
    return made


@dataclass
class Plain:
    """The same arrays of one run with torch's optimiser."""

    values: list[Tensor]
    optimiser: torch.optim.Optimizer

    @classmethod
    def of(
        cls, name: str, made: Sequence[Parameter], run: int, decays: Sequence[float] | None, numbers: tuple[float, ...]
    ) -> Plain:
        values = [p.value.x_RNM[run].clone().requires_grad_() for p in made]
        groups = [{"params": [v], "weight_decay": 0.0} for v in values]
        groups[0]["weight_decay"] = decays[run] if decays else 0.0
        return cls(values, TORCH[name].make(groups, RATES[run], numbers))


def test_every_optimiser_is_known_to_torch() -> None:
    kind = SETTINGS["optimizer"].value_type
    assert isinstance(kind, Word)
    assert set(OPTIMISERS) == set(TORCH) == set(kind.table)
    assert {n: o.normalises for n, o in OPTIMISERS.items()} == {n: o.normalises for n, o in TORCH.items()}


MOMENTA = [0.9, 0.5, 0.99]
# Of each run, all numbers of a rule that takes more of them than usual.
NUMBERS: dict[str, list[tuple[float, ...]]] = {
    "momentum": [(0.9, 0.1), (0.5, 0.5), (0.99, 1.0)],
    "rmsprop": [(0.9, 1e-6, 0.0), (0.5, 1e-8, 0.9), (0.99, 1e-2, 0.5)],
    "adam": [(0.9, 0.98, 1e-8), (0.5, 0.9, 1e-3), (0.0, 0.999, 1e-12)],
    "adamw": [(0.95, 0.8, 1e-6), (0.3, 0.9, 10.0), (0.9, 0.999, 1e-6)],
}


def test_every_rule_with_further_numbers_has_some() -> None:
    assert NUMBERS.keys() == {name for name, optimiser in OPTIMISERS.items() if optimiser.tuned}


def follow(
    name: str,
    decays: Sequence[float] | None,
    steps: int,
    dtype: torch.dtype,
    tolerance: float,
    numbers: Sequence[tuple[float, ...]] = (),
) -> None:
    """Take steps down a bowl with noise, whose slope differs by element, and compare all the way."""
    made = parameters(decays, dtype)
    said = numbers or [(mu,) if OPTIMISERS[name].usual else () for mu in MOMENTA]
    plain = [Plain.of(name, made, r, decays, said[r]) for r in range(RUNS)]
    own = OptimiserState(name, made, column(MOMENTA, dtype), numbers=numbers)
    rng = torch.Generator().manual_seed(1)
    for t in range(1, steps + 1):
        noise = [torch.randn(p.value.x_RNM.shape, generator=rng, dtype=dtype) * 0.3 for p in made]
        for i, p in enumerate(made):
            for run in range(RUNS):
                w = plain[run].values[i]
                w.grad = 0.5 * w.detach() + noise[i][run]
            p.gradient.x_RNM.copy_(0.5 * p.value.x_RNM + noise[i])
        own.step(column(RATES, dtype), t)
        for one in plain:
            one.optimiser.step()
        if t in (1, 2, 10, steps):
            for (i, p), run in itertools.product(enumerate(made), range(RUNS)):
                right = plain[run].values[i].detach()
                torch.testing.assert_close(p.value.x_RNM[run], right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("decays", [None, [0.1, 0.0, 1.0]])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_are_torchs(name: str, decays: list[float] | None) -> None:
    follow(name, decays, 60, torch.float64, 1e-11)
    # Adam and RMSprop divide by a root of squares: rounding of small gradients is enlarged.
    follow(name, decays, 60, torch.float32, 1e-4)


@pytest.mark.parametrize("decays", [None, [0.1, 0.0, 1.0]])
@pytest.mark.parametrize("name", NUMBERS)
def test_steps_with_numbers_of_ones_own_are_torchs(name: str, decays: list[float] | None) -> None:
    follow(name, decays, 60, torch.float64, 1e-11, NUMBERS[name])
    follow(name, decays, 60, torch.float32, 2e-4, NUMBERS[name])


@pytest.mark.parametrize("name", NUMBERS)
def test_at_the_usual_numbers_both_rules_take_the_same_steps(name: str) -> None:
    """They stand in stacks of their own, and a name with its defaults is the plain name."""
    usual = {"momentum": (0.9, 0.0), "rmsprop": (0.99, 1e-8, 0.0)}.get(name, (0.9, 0.999, 1e-8))
    plain, tuned = parameters(None), parameters(None)
    states = (
        OptimiserState(name, plain, column([0.9] * RUNS)),
        OptimiserState(name, tuned, column([0.9] * RUNS), numbers=[usual] * RUNS),
    )
    for t in range(1, 20):
        for state, some in zip(states, (plain, tuned), strict=True):
            for p in some:  # a rule may overwrite gradients
                p.gradient.x_RNM.copy_(p.value.x_RNM + t)
            state.step(column(RATES), t)
    for p, q in zip(plain, tuned, strict=True):
        torch.testing.assert_close(p.value.x_RNM, q.value.x_RNM, rtol=1e-12, atol=1e-12)


def test_the_first_step_of_a_dampened_momentum_is_whole() -> None:
    made = parameters(None)
    before = [p.value.x_RNM.clone() for p in made]
    OptimiserState("momentum", made, column([0.9] * RUNS), numbers=[(0.9, 1.0)] * RUNS).step(column(RATES), 1)
    for p, was in zip(made, before):
        torch.testing.assert_close(p.value.x_RNM, was - p.gradient.x_RNM * column(RATES)[:, :, None])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "nesterov"])
def test_a_thousand_steps_are_torchs(name: str) -> None:
    follow(name, [0.1, 0.0, 1.0], 1000, torch.float64, 1e-10)


@pytest.mark.parametrize(("name", "numbers"), [*((name, []) for name in OPTIMISERS), *NUMBERS.items()])
def test_runs_follow_their_own_rate_and_spare_elements_stay_zero(name: str, numbers: list[tuple[float, ...]]) -> None:
    made = parameters([0.1, 0.2, 0.3])
    before = [p.value.x_RNM.clone() for p in made]
    own = OptimiserState(name, made, column([0.9] * RUNS), numbers=numbers)
    own.step(column([0.1, 0.0, 0.1]), 1)
    for p, was in zip(made, before):
        assert not torch.equal(p.value.x_RNM[0], was[0])
        assert torch.equal(p.value.x_RNM[1], was[1]), "at a rate of 0 nothing moves"
        spare = p.value.flat_RS.clone()
        spare.as_strided(p.value.x_RNM.shape, p.value.x_RNM.stride()).zero_()
        assert not spare.any()


def test_adamws_decay_is_decoupled_and_adams_is_not() -> None:
    """Without a gradient adamw multiplies by 1 - lr lambda; adam takes a whole step of lr, whatever lambda is."""
    for name, expected in (("adamw", [1 - 0.1 * 0.5, 1 - 0.1 * 0.01, 1.0]), ("adam", [0.9, 0.9, 1.0])):
        made = parameters([0.5, 0.01, 0.0])
        made[0].value.x_RNM.fill_(1.0)
        made[0].gradient.x_RNM.zero_()
        OptimiserState(name, made, column([0.0] * RUNS)).step(column([0.1] * RUNS), 1)
        for run in range(RUNS):
            number = torch.full_like(made[0].value.x_RNM[run], expected[run])
            torch.testing.assert_close(made[0].value.x_RNM[run], number, rtol=1e-5, atol=0)


def test_the_first_step_of_adam_is_one_rate_long_whatever_the_gradient() -> None:
    made = parameters(None)
    for p, size in zip(made, (1e-3, 1.0, 1e6)):
        p.gradient.x_RNM.mul_(size)
    signs = [p.gradient.x_RNM.sign() for p in made]
    before = [p.value.x_RNM.clone() for p in made]
    OptimiserState("adam", made, column([0.0] * RUNS)).step(column(RATES), 1)
    for p, was, sign in zip(made, before, signs):
        torch.testing.assert_close(p.value.x_RNM - was, -sign * column(RATES)[:, :, None], rtol=1e-2, atol=0)


def test_the_constants_are_torchs_defaults() -> None:
    w = [torch.zeros(1)]
    adam, rmsprop = torch.optim.Adam(w).defaults, torch.optim.RMSprop(w).defaults
    assert (adam["betas"], adam["eps"]) == ((optimisers.BETA_1, optimisers.BETA_2), optimisers.EPS)
    assert (rmsprop["alpha"], rmsprop["eps"]) == (optimisers.RMSPROP_ALPHA, optimisers.EPS)


def norm_of(made: Sequence[Parameter], run: int) -> float:
    return math.sqrt(sum(float(p.gradient.flat_RS[run].square().sum()) for p in made))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clipping_is_torchs(dtype: torch.dtype) -> None:
    made, limits = parameters(None, dtype), [0.1, 5.0, 1e9]
    plain = [[p.gradient.x_RNM[run].clone() for p in made] for run in range(RUNS)]
    clip(made, column(limits, dtype), Room())
    for run, limit in enumerate(limits):
        leaves = [g.clone().requires_grad_() for g in plain[run]]
        for leaf, g in zip(leaves, plain[run]):
            leaf.grad = g.clone()
        torch.nn.utils.clip_grad_norm_(leaves, limit)
        for p, leaf in zip(made, leaves):
            torch.testing.assert_close(p.gradient.x_RNM[run], leaf.grad)
    assert all(torch.equal(p.gradient.x_RNM[2], g) for p, g in zip(made, plain[2])), "below its limit: left as it is"


@given(
    sizes=st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=RUNS, max_size=RUNS), limit=st.floats(1e-6, 1e6)
)
def test_clipping_never_raises_a_norm_nor_turns_a_gradient(sizes: list[float], limit: float) -> None:
    made = parameters(None)
    for p in made:
        p.gradient.flat_RS.mul_(column(sizes))
    before = [norm_of(made, run) for run in range(RUNS)]
    was = [p.gradient.flat_RS.clone() for p in made]
    clip(made, column([limit] * RUNS), Room())
    for run in range(RUNS):
        after = norm_of(made, run)
        assert after <= min(before[run], limit) * (1 + 1e-12)
        assert after >= min(before[run], limit) * (1 - 1e-6) - 1e-6
        for p, g in zip(made, was):
            across = p.gradient.flat_RS[run] * before[run] - g[run] * after
            assert float(across.abs().max()) <= 1e-9 * max(before[run] * after, 1e-30)


def test_a_gradient_of_zeros_is_clipped_to_zeros() -> None:
    made = parameters(None)
    for p in made:
        p.gradient.flat_RS.zero_()
    clip(made, column([1.0] * RUNS), Room())
    assert not any(p.gradient.flat_RS.any() for p in made)


def test_the_gradient_of_one_run_clips_no_other() -> None:
    made, other = parameters(None), parameters(None)
    for p in other:
        p.gradient.flat_RS[0] *= 1e6
        p.gradient.flat_RS[2] = torch.nan
    clip(made, column([1.0] * RUNS), Room())
    clip(other, column([1.0] * RUNS), Room())
    assert all(torch.equal(p.gradient.flat_RS[1], q.gradient.flat_RS[1]) for p, q in zip(made, other))


def thresholded(values: Sequence[Sequence[float]], by: Sequence[float]) -> Tensor:
    w = Stacked.zeros(len(values), 1, len(values[0]), dtype=torch.float64, device=CPU)
    w.x_RNM[:, 0] = torch.tensor(values, dtype=torch.float64)
    soft_threshold(w, column(by), Room())
    assert not w.wide_RNP[:, :, len(values[0]) :].any()
    return w.x_RNM[:, 0].clone()


def test_the_soft_threshold_in_numbers() -> None:
    row = [-3.0, -1.0, -0.5, -0.0, 0.0, 1e-30, 0.5, 1.0, 3.0]
    got = thresholded([row, row], [1.0, 0.0])
    assert got[0].tolist() == [-2.0, 0, 0, 0, 0, 0, 0, 0, 2.0]
    assert got[1].tolist() == row


@given(row=st.lists(FLOATS, min_size=1, max_size=20), by=st.floats(0, 1e3, allow_subnormal=False))
def test_the_soft_threshold_is_torchs_symmetric_and_its_zeros_are_exact(row: list[float], by: float) -> None:
    w = torch.tensor(row, dtype=torch.float64)
    got, mirrored = thresholded([row, (-w).tolist()], [by, by])
    torch.testing.assert_close(got, torch.nn.functional.softshrink(w, by), rtol=1e-12, atol=1e-12)
    assert torch.equal(mirrored, -got)
    assert ((got == 0) == (w.abs() <= by)).all()
    assert (got * w >= 0).all(), "no sign changes"
    assert ((w.abs() - got.abs()) <= by * (1 + 1e-12) + 1e-12).all(), "nothing moves further than the threshold"


def test_a_rule_of_one_run_never_reads_another() -> None:
    """Numbers that are none stay in their run."""
    for name, numbers in [*((name, []) for name in OPTIMISERS), *NUMBERS.items()]:
        made, other = parameters([0.1] * RUNS), parameters([0.1] * RUNS)
        for p in other:
            p.gradient.flat_RS[0] = torch.nan
            p.value.flat_RS[2] = torch.inf
        for some in (made, other):
            own = OptimiserState(name, some, column([0.9] * RUNS), numbers=numbers)
            for t in (1, 2, 3):
                own.step(column(RATES), t)
        for p, q in zip(made, other):
            assert torch.equal(p.value.flat_RS[1], q.value.flat_RS[1])


class Allocated(TorchDispatchMode):
    """Counts the memories of at least so many elements that operations return and that were not there before."""

    def __init__(self, known: Sequence[Tensor], elements: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = {t.untyped_storage().data_ptr() for t in known}
        self._elements, self.found = elements, list[str]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        got = function(*args, **(kwargs or {}))
        of_size = [got] if isinstance(got, Tensor) and got.numel() >= self._elements else []
        self.found += [str(function) for t in of_size if t.untyped_storage().data_ptr() not in self._known]
        return got


@pytest.mark.parametrize("name", [*OPTIMISERS, *(f"{name} with numbers" for name in NUMBERS)])
def test_steps_allocate_nothing_of_the_size_of_parameters_but_the_first_after_memory_was_let_go(name: str) -> None:
    name, _, tuned = name.partition(" ")
    made = parameters([0.1] * RUNS)
    own = OptimiserState(name, made, column([0.9] * RUNS), numbers=NUMBERS[name] if tuned else ())
    known = [a.flat_RS for p in made for a in (p.value, p.gradient)] + [a for of in own.states for a in of]
    least = min(p.value.flat_RS.numel() for p in made)

    def allocated(number: int) -> list[str]:
        rooms = [room.like(made[0].value.flat_RS) for room in own._rooms] if number > 1 else []
        with Allocated([*known, *(r for r in rooms if r is not None)], least) as seen:
            own.step(column(RATES), number)
        return list(seen.found)

    assert allocated(1)
    assert allocated(2) == allocated(3) == []
    own.let_go()
    before = [a.clone() for a in known]
    assert all(room._flat.numel() == 0 for room in own._rooms)
    own.step(column(RATES), 4)
    assert not all(torch.equal(a, b) for a, b in zip(known, before)), "and goes on"


def test_clipping_and_the_soft_threshold_allocate_nothing_of_the_size_of_parameters() -> None:
    made, room = parameters(None), Room()
    known = [a.flat_RS for p in made for a in (p.value, p.gradient)]
    largest = room.like(max(known, key=Tensor.numel))
    assert largest is not None
    scaled = [replace(p, multiplier_R1=column([2.0] * RUNS)) for p in made]
    with Allocated([*known, largest], min(a.numel() for a in known)) as seen:
        clip(made, column([0.5] * RUNS), room)
        clip(scaled, column([0.5] * RUNS), room)
        soft_threshold(made[0].value, column([0.1] * RUNS), room)
    assert seen.found == []


def test_an_optimiser_that_kernels_do_not_know_takes_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMISERS, "other", OPTIMISERS["momentum"])
    kernels: Any = object()
    takes = {name: OptimiserState(name, [], torch.zeros(1, 1), kernels).is_kernel for name in OPTIMISERS}
    assert takes == {name: name != "other" for name in OPTIMISERS}
    for name, numbers in NUMBERS.items():
        assert not OptimiserState(name, [], torch.zeros(1, 1), kernels, numbers=numbers).is_kernel, (
            "they hold the usual ones"
        )
