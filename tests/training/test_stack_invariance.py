"""Alone equals in company: a run has the same bits whatever stands beside it, wherever it stands. The difference is 0.

Neighbours may have another activation, init, dropout, learning rate, decay, schedule, noise, momentum, limit of the gradient
or replicate, and may diverge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch_reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_output import of_run
from small_data import Made, made, made_numbers, runs
from torch_reference import MODULES

from mlpbench.experiment.components.losses import losses_of
from mlpbench.experiment.grid import Run
from mlpbench.training.engine import _Stack, train_stack

ACTIVATIONS = list(MODULES)
INITS = [{"normal": 0.01}, {"normal": 1.0}, "default", "he_uniform", "xavier_normal", "orthogonal", {"constant": 0.1}]
BIAS_INITS = ["zeros", {"normal": 1.0}, "default"]
SCHEDULES: list[Any] = [
    *("constant", "constant", "cosine", {"step": {"every": 2, "factor": 0.5}}, {"step": {"every": 1, "factor": 1.5}}),
    *(
        {"warmup": 1},
        {"warmup": 5},
        {"warmup": 2, "then": "cosine"},
        {"warmup": "50%", "then": {"step": {"every": 1, "factor": 0.5}}},
    ),
]
OPTIMISERS = ["sgd", *torch_reference.OPTIMISERS]
# Optimisers with further numbers: these may differ within a stack.
TUNED: dict[str, list[Any]] = {
    "momentum": [{"sgd": {"momentum": m, "dampening": d}} for m, d in ((0.9, 0.5), (0.5, 1), (1, 0.1))],
    "rmsprop": [
        {"rmsprop": {"momentum": 0.9}},
        {"rmsprop": {"alpha": 0.5}},
        {"rmsprop": {"eps": 1e-3, "momentum": 0.5}},
    ],
    **{
        name: [{name: {"betas": b, "eps": e}} for b, e in (([0.9, 0.98], 1e-8), ([0.5, 0.9], 1e-3), ([0, 0.999], 1e-8))]
        for name in ("adam", "adamw")
    },
}
# In place of classes: data whose target is a number.
NUMBERS = 0
LOSSES = ["cross_entropy", *torch_reference.LOSSES]
DIVERGES = 1e30


@dataclass(frozen=True)
class Case:
    """A data set (`classes` may be NUMBERS), the settings that a stack shares, its members, and which of their runs stand in it, in which order."""

    features: int
    classes: int
    n_train: int
    fixed: dict[str, Any]
    members: list[dict[str, Any]]
    replicates: int
    keys: dict[str, Any]
    chosen: Sequence[int]
    probes: Sequence[float] | None = None

    @property
    def data(self) -> Made:
        if self.classes == NUMBERS:
            return made_numbers(n_train=max(self.n_train, 2), n_test=61, features=self.features)
        return made(n_train=self.n_train, n_test=61, features=self.features, classes=self.classes)

    def stack(self) -> list[Run]:
        grid = runs(self.data, self.fixed, self.members, replicates=self.replicates, **self.keys)
        return [grid[i] for i in self.chosen]


@dataclass(frozen=True)
class Shared:
    """What all of a stack have or none of them: members may differ in how much of it they have."""

    depth: int
    optimizer: str
    clips: bool
    has_l1: bool
    weighs: bool = False
    smooths: bool = False
    tuned: bool = False
    mup: bool = False


def member(shared: Shared, *, numbers: bool) -> st.SearchStrategy[dict[str, Any]]:
    p = st.sampled_from([0, 0, 0.1, 0.5, 1])
    depth = shared.depth
    optimisers: st.SearchStrategy[Any] = st.just(shared.optimizer)
    if shared.tuned:
        optimisers = st.sampled_from(TUNED[shared.optimizer])
    elif shared.optimizer in ("momentum", "nesterov"):
        optimisers = st.sampled_from([{shared.optimizer: m} for m in (0, 0.5, 0.9, 1)])
    return st.fixed_dictionaries(
        {
            "optimizer": optimisers,
            "schedule": st.sampled_from(SCHEDULES),
            "clip_norm": st.sampled_from([0.01, 0.5, 1e6]) if shared.clips else st.none(),
            "l1": st.sampled_from([1e-4, 0.01, 3.0]) if shared.has_l1 else st.just(0),
            "input_noise": st.sampled_from([0, 0, 0.1, 3.0]),
            "label_noise": st.just(0) if numbers else st.sampled_from([0, 0, 0.3, 1]),
            "class_weights": st.sampled_from(["balanced", {"0": 5}, {"1": 0.2}]) if shared.weighs else st.just("none"),
            "label_smoothing": st.sampled_from([0.1, 0.5, 1]) if shared.smooths else st.just(0),
            "lr": st.sampled_from([0.03, 0.1, 0.5, 3.0, DIVERGES]),
            "activation": st.sampled_from(ACTIVATIONS),
            "init": st.sampled_from(INITS[:5] if shared.mup else INITS),
            "bias_init": st.sampled_from(BIAS_INITS),
            "dropout": st.one_of(st.just(0), st.lists(p, min_size=depth, max_size=depth)),
            "weight_decay": st.sampled_from([0, 0, 0.01, 1.0]),
            "decay_bias": st.booleans(),
            "parametrization": st.sampled_from([{"mup": b} for b in (1, 7, 64)]) if shared.mup else st.just("standard"),
        }
    )


def different(given: dict[str, Any]) -> str:
    """What keeps two conditions apart, whatever their depth."""
    return repr((given["lr"], given["init"], given["bias_init"]))


@st.composite
def cases(draw: st.DrawFn, *, numbers: bool = False) -> Case:
    depth = draw(st.integers(0, 3))
    width = st.one_of(st.integers(1, 20), st.integers(1, 300))
    batch = draw(st.one_of(st.integers(1, 17), st.integers(1, 257)))
    # Whole batches, and one that is not: the buffers then hold rows of the step before.
    n_train = batch * draw(st.integers(1, 2)) + draw(st.integers(0, batch - 1))
    validation = draw(st.sampled_from([{}, {}, {"validation": 0.3}])) if n_train > 5 else {}
    flags = draw(st.tuples(st.booleans(), st.booleans()))
    weighs = not numbers and draw(st.sampled_from([False, False, True]))
    loss = draw(st.sampled_from(losses_of("numbers") if numbers else LOSSES))
    smooths = loss == "cross_entropy" and draw(st.sampled_from([False, False, True]))
    residual = depth > 1 and draw(st.booleans())
    optimizer = draw(st.sampled_from(OPTIMISERS))
    tuned = optimizer in TUNED and draw(st.booleans())
    mup = depth > 0 and not flags[1] and draw(st.booleans())
    shared = Shared(depth, optimizer, *flags, weighs, smooths, tuned, mup)
    classes = NUMBERS if numbers else draw(st.integers(2, 13))
    members = draw(st.lists(member(shared, numbers=numbers), min_size=1, max_size=4, unique_by=different))
    replicates = draw(st.integers(1, 3))
    everyone = range(len(members) * replicates)
    chosen = draw(st.permutations(everyone))[: draw(st.integers(1, 7))]
    return Case(
        features=draw(st.one_of(st.integers(1, 40), st.integers(1, 300))),
        classes=classes,
        n_train=n_train,
        fixed={
            "hidden_sizes": [draw(width)] * depth
            if residual
            else draw(st.lists(width, min_size=depth, max_size=depth)),
            "residual": residual,
            "bias": draw(st.sampled_from([True, True, False])),
            "batch_size": batch,
            "steps": draw(st.integers(1, 7)),
            "loss": loss,
            "norm": draw(st.sampled_from(["none", "none", "layer", *["batch"] * (batch > 1)])),
            "precision": draw(st.sampled_from(["float32", "float32", "float64", "bfloat16"])),
        },
        members=members,
        replicates=replicates,
        keys=validation | draw(st.sampled_from([{}, {}, {"vary": ["init", "noise"]}, {"vary": ["order", "dropout"]}])),
        chosen=chosen,
        probes=draw(st.sampled_from([None, None, [0.0, 0.5, 1.0, 2.0]])),
    )


def assert_alone_equals_in_company(case: Case) -> None:
    stack = case.stack()
    company = train_stack(stack, case.data.data, probes=case.probes)
    assert [r["run_id"] for r in company.runs] == [r.run_id for r in stack]
    for run in stack:
        alone = train_stack([run], case.data.data, probes=case.probes)
        # repr tells NaN from a number and -0.0 from 0.0, and is exact for floats.
        assert repr(of_run(alone, run)) == repr(of_run(company, run))
        row = of_run(alone, run)["row"]
        assert row["status"] == "diverged" or of_run(alone, run)["layers"], "the layers were measured"
        assert (row["status"] == "diverged") == ("weights_sha256" not in row or row["weights_sha256"] is None)


def book_sized(**fixed: Any) -> Case:
    """The shapes of the shipped experiments: 784 inputs, batches of 256, and neighbours of every kind."""
    members: list[dict[str, Any]] = [
        {"lr": 0.1},
        {"lr": 0.05, "activation": "sigmoid", "dropout": 0.5, "schedule": "cosine", "input_noise": 0.1},
        {"lr": DIVERGES, "activation": "gelu", "schedule": {"step": {"every": 2, "factor": 0.1}}},
        {"lr": 0.1, "activation": "prelu", "init": "he_normal", "weight_decay": 0.1, "label_noise": 0.5},
    ]
    shared = {"width": 256, "depth": 1, "batch_size": 256, "steps": 4} | fixed
    return Case(784, 10, 700, shared, members, 2, {}, [7, 0, 4, 1, 2, 6, 3])


def of_numbers(case: Case) -> Case:
    """The same stack with a number to tell; labels are not noisy."""
    members = [{k: v for k, v in m.items() if k != "label_noise"} for m in case.members]
    return replace(case, classes=NUMBERS, members=members)


@settings(derandomize=True, deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(cases())
def test_alone_equals_in_company(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(cases())
def test_alone_equals_in_company_in_more_cases(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(cases(numbers=True))
def test_alone_equals_in_company_where_the_target_is_a_number(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.prove
@settings(derandomize=True, deadline=None, max_examples=1_500, suppress_health_check=list(HealthCheck))
@given(cases(numbers=True))
def test_alone_equals_in_company_where_the_target_is_a_number_at_length(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.prove
@settings(derandomize=True, deadline=None, max_examples=4_600, suppress_health_check=list(HealthCheck))
@given(cases())
def test_alone_equals_in_company_at_length(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        book_sized(width=1024),
        book_sized(width=8),
        book_sized(width=777, precision="float64"),
        book_sized(width=301, depth=3),
        of_numbers(book_sized(width=301, depth=3)),
        of_numbers(book_sized(width=1)),
    ],
)
def test_alone_equals_in_company_at_other_widths_of_the_book(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.parametrize(
    "case",
    [
        book_sized(),
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in (
                book_sized(width=255, depth=2, norm="batch"),
                of_numbers(book_sized(depth=0, loss="mse", l1=0.001)),
                book_sized(depth=0, l1=0.001),
                book_sized(width=100, depth=2, norm="layer", optimizer="adam"),
                book_sized(width=100, depth=3, residual=True, bias=False),
                book_sized(width=256, depth=2, parametrization={"mup": 100}),
                book_sized(width=300, depth=2, parametrization="mup", optimizer="adam", residual=True),
                book_sized(optimizer="nesterov", clip_norm=0.5, loss="mse"),
                of_numbers(book_sized()),
                of_numbers(book_sized(width=101, depth=2, norm="batch", optimizer="adam")),
            )
        ),
    ],
)
def test_alone_equals_in_company_at_the_size_of_the_book(case: Case) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.slow)])
@pytest.mark.parametrize("depth", [0, 1, pytest.param(7, marks=pytest.mark.slow)])
def test_a_crowd_changes_no_bits(norm: str, optimizer: str, depth: int) -> None:
    """Sums that run over the stack's axis beside others take another order from a whole vector of runs on."""
    members: list[dict[str, Any]] = [{"clip_norm": c, "activation": a} for c in (0.1, 1.0) for a in ("prelu", "silu")]
    shared = {"width": 5, "depth": depth, "batch_size": 16, "steps": 3, "norm": norm, "optimizer": optimizer}
    case = Case(9, 3, 40, shared, members[:: 1 if depth else 2], 150 if depth == 0 else 75, {}, ())
    stack = runs(case.data, case.fixed, case.members, replicates=case.replicates)
    crowd = train_stack(stack, case.data.data)
    for start in (0, len(stack) - 2):
        few = stack[start : start + 2]
        pair = train_stack(few, case.data.data)
        for run in few:
            assert repr(of_run(pair, run)) == repr(of_run(crowd, run))


@pytest.mark.parametrize("size", range(1, 8))
def test_every_stack_size_and_position_gives_the_same_bits(size: int) -> None:
    """One run in stacks of 1 to 7, first, last and between: `run_id` decides the position, so all of them turn up."""
    case = Case(33, 7, 90, {"hidden_sizes": [31, 5], "batch_size": 37, "steps": 6}, [{"activation": "silu"}], 7, {}, ())
    grid = runs(case.data, case.fixed, case.members, replicates=7)
    whole = train_stack(grid, case.data.data)
    for first in range(7):
        stack = [grid[(first + i) % 7] for i in range(size)]
        part = train_stack(stack, case.data.data)
        for run in stack:
            assert repr(of_run(part, run)) == repr(of_run(whole, run))


def test_a_run_that_is_alone_is_trained_as_two() -> None:
    """Products of a stack of one may take another kernel, whether or not they do on this machine."""
    case = Case(33, 7, 90, {"hidden_sizes": [5], "batch_size": 37, "steps": 1}, [], 1, {}, [0])
    (run,) = case.stack()
    assert [r.run_id for r in _Stack([run], case.data.data).runs] == [run.run_id, run.run_id]
    (row,) = train_stack([run], case.data.data).runs
    assert row["stack_size"] == 1


def test_a_neighbour_that_diverges_leaves_no_trace() -> None:
    members: list[dict[str, Any]] = [
        {"lr": 0.1},
        {"lr": DIVERGES},
        {"lr": 0.1, "activation": "sigmoid", "dropout": 0.5},
        {"lr": 1e20},
    ]
    case = Case(33, 7, 90, {"hidden_sizes": [31], "batch_size": 37, "steps": 9}, members, 2, {}, range(8))
    stack = case.stack()
    together = train_stack(stack, case.data.data)
    diverged = [r["status"] == "diverged" for r in together.runs]
    assert diverged == [False, False, True, True, False, False, True, True]
    healthy = [run for run, gone in zip(stack, diverged, strict=True) if not gone]
    without = train_stack(healthy, case.data.data)
    for run in healthy:
        assert repr(of_run(without, run)) == repr(of_run(together, run))
