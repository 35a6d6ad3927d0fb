"""The plan: every run once, within memory, shared among workers; counts of work that agree with counting it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from drawn_specs import floats, made, spec, trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from mlpbench.data.dataset import Dataset
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.experiment.grid import Run, RunSettings, runs
from mlpbench.experiment.plan import (
    BEST_STACK_BYTES,
    CURVE_POINTS,
    SECONDS_UNCUT,
    Stack,
    curve_steps,
    evaluation_examples,
    examples_seen,
    make_stack,
    outline,
    plan,
    run_bytes,
    seconds,
    signature,
    training_flops,
)
from mlpbench.experiment.settings import SETTINGS
from mlpbench.training import engine
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.batches.minibatches import Examples
from mlpbench.training.measures.evaluation import Evaluator

DATA = CATALOGUE["fashion_mnist"].facts
quick = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WORKERS = st.integers(1, 16)
# From less than one run takes to more than all of them do.
MEMORY = floats(0, 40).map(lambda e: int(2**e))


def of(**keys: Any) -> list[Run]:
    return runs(spec(**keys))


def planned(some: list[Run], workers: int, memory: int = 2**40) -> list[Stack]:
    return plan(some, workers=workers, memory=memory)


@pytest.mark.slow
@given(tree=trees(claims=False), workers=WORKERS, memory=MEMORY, data=st.data())
@quick
def test_stacks_cover_the_runs_once(tree: dict[str, Any], workers: int, memory: int, data: st.DataObject) -> None:
    some = runs(made(tree))
    some = data.draw(st.lists(st.sampled_from(some), unique_by=lambda r: r.run_id))
    stacks = planned(some, workers, memory)
    assert sorted(r.run_id for s in stacks for r in s.runs) == sorted(r.run_id for r in some)
    for stack in stacks:
        assert len({(r.data.fingerprint, signature(r.settings)) for r in stack.runs}) == 1
        assert stack.bytes == len(stack.runs) * run_bytes(stack.runs[0].settings, stack.runs[0].data)
        assert stack.bytes <= memory or len(stack.runs) == 1
        assert stack.flops == sum(training_flops(r.settings, r.data) for r in stack.runs)
        assert stack.seconds == seconds(stack.runs) > 0
    assert [s.seconds for s in stacks] == sorted((s.seconds for s in stacks), reverse=True)
    assert len({s.stack_id for s in stacks}) == len(stacks)


@given(tree=trees(claims=False), workers=WORKERS, memory=MEMORY)
@quick
def test_an_outline_is_what_the_stacks_come_to(tree: dict[str, Any], workers: int, memory: int) -> None:
    some = runs(made(tree))
    stacks = planned(some, workers, memory)
    told = outline([(r.settings, r.data, 1) for r in some], workers=workers, memory=memory)
    assert told.flops == sum(s.flops for s in stacks)
    assert told.stacks == len(stacks)
    assert told.bytes == max(s.bytes for s in stacks)
    assert math.isclose(told.seconds, sum(s.seconds for s in stacks))
    groups: dict[Any, set[float]] = {}
    for run in some:
        groups.setdefault((run.data.fingerprint, signature(run.settings)), set()).add(seconds([run]))
    if all(len(costs) == 1 for costs in groups.values()):
        assert math.isclose(told.longest, max(s.seconds for s in stacks))


def test_an_outline_counts_each_run_at_its_own_cost() -> None:
    """Dropout costs time but is no part of a signature: half the runs of these stacks have it."""
    some = of(replicates=8, factors={"dropout": [0.0, 0.5]}, fixed={"width": 1024, "train_size": 10_000})
    told = outline([(r.settings, r.data, 1) for r in some], workers=1, memory=2**40)
    steps = seconds(some[:1]) - (seconds(some[:2]) - seconds(some[:1]))
    each = sum(seconds([r]) - steps for r in some)
    assert math.isclose(told.seconds, each + told.stacks * steps)
    assert outline([], workers=1, memory=1).stacks == 0


@given(tree=trees(claims=False), workers=WORKERS, replicates=st.integers(1, 40))
@quick
def test_stacks_are_short_enough_to_share_the_work(tree: dict[str, Any], workers: int, replicates: int) -> None:
    some = runs(made(tree | {"replicates": replicates}))
    groups: dict[Any, list[Run]] = {}
    for run in some:
        groups.setdefault((run.data.fingerprint, signature(run.settings)), []).append(run)
    each = sum(seconds(g) for g in groups.values()) / workers
    share = each / (1 if len(groups) == 1 and each < SECONDS_UNCUT else 2)
    for stack in planned(some, workers):
        n = len(stack.runs)
        # Half a worker's share, or all of it where that is short, a run more or less; pairs and triples stay together,
        # since a lone run costs two.
        if n > 3:
            assert (n - 1) * (stack.seconds - seconds(stack.runs[1:])) <= share * (1 + 1e-9)


@given(n=st.integers(1, 60), workers=WORKERS)
@quick
def test_runs_of_one_signature_keep_every_worker_busy_where_pairs_suffice(n: int, workers: int) -> None:
    stacks = planned(of(replicates=n), workers)
    assert len(stacks) >= min(workers, n // 2)
    assert len(stacks) % workers == 0 or len(stacks) + workers > n // 2, "each worker has as many"
    sizes = [len(s.runs) for s in stacks]
    assert max(sizes) - min(sizes) <= 1
    assert n == 1 or min(sizes) >= 2, "a stack of one is trained as two"


def test_wide_runs_stand_in_smaller_stacks_than_narrow_ones() -> None:
    sizes = {w: max(len(s.runs) for s in planned(of(replicates=64, fixed={"width": w}), 1)) for w in (8, 4096)}
    assert sizes[8] >= 4 * sizes[4096]


def test_long_work_is_cut_finer_so_that_less_is_lost_by_an_interruption() -> None:
    factors = {"lr": [0.1 * (i + 1) for i in range(8)]}
    counts = [len(planned(of(replicates=4, factors=factors, fixed={"epochs": e, "width": 32}), 2)) for e in (1, 100)]
    assert counts == [2, 4]


@pytest.mark.parametrize("workers", range(1, 17))
def test_short_work_of_one_signature_makes_a_stack_for_each_worker(workers: int) -> None:
    """However a share of its time is rounded: one of so many workers has 1.0000000000000002 of it at times."""
    for width in range(8, 48):
        assert len(planned(of(replicates=4 * workers, fixed={"width": width, "steps": 9}), workers)) == workers


@pytest.mark.slow
@given(
    conditions=st.integers(1, 100),
    replicates=st.integers(1, 20),
    width=st.integers(1, 400),
    batch_size=st.sampled_from([16, 256, 1024, 4096]),
    own_batches=st.sampled_from([{}, {"input_noise": 0.1}]),
    workers=WORKERS,
)
@quick
def test_what_a_stack_works_on_fits_the_cache(
    conditions: int, replicates: int, width: int, batch_size: int, own_batches: dict[str, Any], workers: int
) -> None:
    """Weights and activations of its runs, and each batch that some of them share, once."""
    factors = {"lr": [0.01 * (i + 1) for i in range(conditions)]}
    fixed = {"width": width, "batch_size": batch_size} | own_batches
    batch = 4 * batch_size * 784
    for stack in planned(of(replicates=replicates, factors=factors, fixed=fixed), workers):
        n, s = len(stack.runs), stack.runs[0].settings
        own = 4 * (sum(i * o for i, o in s.layer_shapes(DATA)) + batch_size * width)
        read = n if own_batches else len({r.replicate for r in stack.runs})
        # The first batch and the last are shared with runs of other stacks.
        partly = 0 if own_batches else 1 if n < conditions else 2
        assert n <= 4 or n * own + read * batch <= BEST_STACK_BYTES + partly * batch


def test_runs_of_other_shifts_share_no_batch() -> None:
    shifts = [{"label": 0.1 * (i + 1)} for i in range(8)]
    narrow: dict[str, Any] = {"fixed": {"width": 8, "train_size": 1000}, "replicates": 10}
    sizes = {
        name: max(len(s.runs) for s in planned(of(factors={name: values}, **narrow), 1))
        for name, values in {"train_shift": shifts, "lr": [0.1 * (i + 1) for i in range(8)]}.items()
    }
    assert sizes["train_shift"] <= BEST_STACK_BYTES / (4 * 256 * 784)
    assert sizes["lr"] > 2 * sizes["train_shift"]


def test_runs_that_share_batches_stand_in_larger_stacks() -> None:
    """A batch is in memory once: 64 narrow runs of 8 replicates read 8 batches, those of 64 replicates as many as they are."""
    narrow: dict[str, Any] = {"fixed": {"width": 32, "epochs": 1}}
    sharing = planned(of(replicates=8, factors={"lr": [0.1 * (i + 1) for i in range(8)]}, **narrow), 1)
    apart = planned(of(replicates=64, **narrow), 1)
    assert max(len(s.runs) for s in sharing) >= 3 * max(len(s.runs) for s in apart)


def test_no_runs_make_no_stacks() -> None:
    assert planned([], 2) == []


def test_a_stack_is_named_by_its_runs_in_any_order() -> None:
    one, other, third = of(replicates=3)
    assert make_stack([one, other]).stack_id == make_stack([other, one]).stack_id
    assert make_stack([one, other]).stack_id != make_stack([one, third]).stack_id


def test_one_signature_is_what_a_stacked_product_needs() -> None:
    """Numbers may differ in a stack; shapes, data, steps, loss and arithmetic may not."""
    base = of(replicates=1)[0].settings
    free = {
        "lr": 1,
        "weight_decay": 1,
        "decay_bias": True,
        "dropout": 0.5,
        "init": "zeros",
        "bias_init": "default",
        "activation": "prelu",
        "input_noise": 0.1,
        "label_noise": 0.1,
        "schedule": "cosine",
    }
    bound = {
        "width": 8,
        "depth": 2,
        "batch_size": 8,
        "epochs": 1,
        "train_size": 100,
        "loss": "squared_error",
        "precision": "float64",
        "optimizer": "adam",
        "norm": "layer",
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
        "l1": 0.1,
        "conv_channels": [4],
        "features": 100,
        "input_scale": 2.0,
        "class_weights": "balanced",
        "bias": False,
        "parametrization": {"mup": 64},
    }
    # Residual connections need a second hidden layer: see below. Poolings differ where there are convolutions: see test_convolution_shapes.py. Shifts and weights are below.
    assert {*free, *bound} | {
        "hidden_sizes",
        "steps",
        "residual",
        "pooling",
        "train_shift",
        "weighting",
        "early_stopping",
    } == set(SETTINGS)
    for name, value in free.items():
        assert signature(of(replicates=1, fixed={name: value})[0].settings) == signature(base), name
    for name, value in bound.items():
        assert signature(of(replicates=1, fixed={name: value})[0].settings) != signature(base), name


def test_shifts_may_differ_in_a_stack_and_weighted_runs_stand_apart() -> None:
    few = {"train_size": 1000}
    base, shifted, exact, estimated = (
        signature(of(replicates=1, fixed=few | more)[0].settings)
        for more in (
            {},
            {"train_shift": {"label": 1}},
            {"train_shift": {"label": 1}, "weighting": "exact"},
            {"train_shift": {"covariate": 1}, "weighting": "classifier"},
        )
    )
    assert base == shifted != exact == estimated


def test_classes_weigh_differently_in_one_stack() -> None:
    weighed = [
        signature(of(replicates=1, fixed={"class_weights": w})[0].settings)
        for w in ("balanced", {"Bag": 2}, {"Bag": 3})
    ]
    assert len(set(weighed)) == 1
    assert weighed[0] != signature(of(replicates=1)[0].settings)


def test_numbers_of_what_all_have_may_differ_in_a_stack() -> None:
    for name, one, other in (
        ("optimizer", {"momentum": 0.5}, {"momentum": 0.9}),
        ("optimizer", {"adam": {"eps": 1e-6}}, {"adam": {"betas": [0.5, 0.9]}}),
        ("optimizer", {"rmsprop": {"momentum": 0.5}}, {"rmsprop": {"alpha": 0.9}}),
        ("clip_norm", 0.5, 2),
        ("l1", 0.1, 0.2),
        ("schedule", {"step": {"every": 3, "factor": 0.5}}, {"warmup": 4}),
    ):
        a, b = (of(replicates=1, fixed={name: value})[0].settings for value in (one, other))
        assert signature(a) == signature(b), name


def test_another_rule_of_an_optimiser_stands_in_another_stack() -> None:
    optimisers = [
        "sgd",
        "momentum",
        "adam",
        "adamw",
        {"adam": {"eps": 1e-6}},
        {"sgd": {"momentum": 0.9, "dampening": 0.1}},
    ]
    assert len({signature(resolved(optimizer=o)) for o in optimisers}) == len(optimisers)


def test_what_has_another_structure_stands_in_another_stack() -> None:
    several: list[dict[str, Any]] = [{}, {"bias": False}, {"residual": True}, {"parametrization": "mup"}]
    shapes = [signature(resolved(depth=2, **more)) for more in several]
    assert len(set(shapes)) == len(several)
    mup = [signature(resolved(depth=2, parametrization={"mup": base})) for base in (32, 64)]
    assert mup[0] == mup[1] == shapes[-1], "factors differ by run, not by stack"


def test_curves_have_a_point_after_each_epoch_until_there_are_too_many() -> None:
    fixed = {"train_size": 100, "batch_size": 10}
    for epochs in (0, 1, 7, CURVE_POINTS):
        steps = curve_steps(resolved(**fixed, epochs=epochs))
        assert steps == [10 * e for e in range(epochs + 1)]
    for epochs in (CURVE_POINTS + 1, 1234):
        steps = curve_steps(resolved(**fixed, epochs=epochs))
        assert CURVE_POINTS / 2 <= len(steps) <= CURVE_POINTS + 1
        assert (steps[0], steps[-1]) == (0, 10 * epochs)
        assert all(step % 10 == 0 for step in steps)
    assert curve_steps(resolved(**fixed, steps=25)) == [0, 10, 20, 25]
    assert curve_steps(resolved(**fixed, steps=3)) == [0, 3]


def resolved(validation: float | None = None, **fixed: Any) -> RunSettings:
    keys = {} if validation is None else {"validation": validation}
    return of(replicates=1, fixed=fixed, **keys)[0].settings


SMALL: list[dict[str, Any]] = [
    {"depth": 0, "train_size": 50, "batch_size": 16, "epochs": 2},
    {"hidden_sizes": [8, 5, 3], "train_size": 100, "batch_size": 32, "steps": 7},
    {"width": 6, "train_size": 40, "batch_size": "full", "epochs": 3},
    {"width": 6, "train_size": 40, "batch_size": 7, "epochs": 0},
    {"width": 6, "train_size": 40, "batch_size": 7, "epochs": 2, "validation": 0.3},
]


@pytest.mark.parametrize("given", SMALL)
def test_flops_are_those_that_torch_counts(given: dict[str, Any]) -> None:
    s = resolved(**given)
    layers: list[torch.nn.Module] = []
    for i, o in s.layer_shapes(DATA):
        layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    sizes = [min(s.batch_size, s.n_fit - start) for start in range(0, s.n_fit, s.batch_size)]
    seen = [sizes[step % len(sizes)] for step in range(s.steps)]
    with FlopCounterMode(display=False) as counter:
        for n in seen:
            network(torch.zeros(n, 784)).sum().backward()
    assert training_flops(s, DATA) == counter.get_total_flops()
    assert examples_seen(s) == sum(seen)


@pytest.mark.parametrize("given", SMALL)
def test_evaluations_are_as_many_as_the_engine_makes(
    given: dict[str, Any], fashion: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    class Counting(Evaluator):
        def __call__(self, examples: Examples, **options: Any) -> Any:
            counted.append(len(examples))
            return super().__call__(examples, **options)

    monkeypatch.setattr(engine, "Evaluator", Counting)
    validation = given.get("validation")
    (run,) = of(
        replicates=1,
        fixed={k: v for k, v in given.items() if k != "validation"},
        **({"validation": validation} if validation else {}),
    )
    try:
        engine.train_stack([run], DeviceData(fashion, torch.device("cpu")))
    finally:
        torch.set_flush_denormal(False)  # a worker may leave it on; this process goes on to other tests
    assert sum(counted) == evaluation_examples(run.settings, DATA)


def test_more_of_anything_takes_longer() -> None:
    base = {"width": 64, "train_size": 6400, "epochs": 4}
    before = seconds(of(replicates=2, fixed=base))
    for more in (
        {"width": 128},
        {"depth": 2},
        {"epochs": 5},
        {"train_size": 12_800},
        {"precision": "float64"},
        {"dropout": 0.5},
        {"input_noise": 0.5},
        {"batch_size": 8},
    ):
        assert seconds(of(replicates=2, fixed=base | more)) > before, more
    assert before < seconds(of(replicates=3, fixed=base)) < 1.5 * before, "a stack shares its steps' overhead"


def test_memory_holds_what_a_run_must_hold() -> None:
    """Weights and gradients at the least, and in double precision twice the numbers."""
    wide, double = resolved(width=512), resolved(width=512, precision="float64")
    weights = sum(i * o for i, o in wide.layer_shapes(DATA))
    assert run_bytes(wide, DATA) >= 4 * (2 * weights + wide.batch_size * 784)
    indices = 8 * wide.n_fit
    assert math.isclose(run_bytes(double, DATA) - indices, 2 * (run_bytes(wide, DATA) - indices))
