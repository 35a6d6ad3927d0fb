"""Early stopping: each run ends with its best epoch, spends what it took, and has the bits it has alone; stacks shrink."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_output import of_run
from small_data import Made, made, made_images, made_numbers, runs
from torch_reference import MODULES

from mlpbench.experiment.components.stopping_rules import StoppingRule
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import signature, training_flops
from mlpbench.training.early_stopping import EarlyStopping
from mlpbench.training.engine import train_stack
from mlpbench.training.steps import Steps
from mlpbench.training.worker_setup import StackRows

OPTIMISERS: list[Any] = ["sgd", "momentum", "rmsprop", "adam", "adamw", {"adam": {"betas": [0.8, 0.9]}}]
# Validation of these moves up and down, so that runs stop at different epochs; the last diverges.
RATES = [0.01, 0.3, 1.0, 3.0, 1e30]
DATA = {
    "classes": made(n_train=150, n_test=31, features=9, classes=4),
    "numbers": made_numbers(n_train=150, n_test=31, features=9),
    "images": made_images(n_train=150, n_test=31, image=(9, 6), classes=4),
}


def member(draw: st.DrawFn, optimizer: Any, kind: str, i: int) -> dict[str, Any]:
    metrics = ["val_loss"] if kind == "numbers" else ["val_loss", "val_accuracy"]
    rate = draw(st.sampled_from(RATES))
    return {
        "early_stopping": {
            "patience": draw(st.integers(1, 4)),
            "min_delta": draw(st.sampled_from([0, 0, 0.01])),
            "metric": draw(st.sampled_from(metrics)),
        },
        # A rate of its own keeps a condition apart.
        "lr": (1 + i / 64) * (rate if optimizer in ("sgd", "momentum") or rate > 3 else rate / 20),
        "activation": draw(st.sampled_from([*MODULES, "prelu", "relu"])),
        "dropout": draw(st.sampled_from([0, 0, 0.3])),
        "weight_decay": draw(st.sampled_from([0, 0.01])),
        "schedule": draw(st.sampled_from(["constant", "cosine", {"warmup": 7}])),
        "input_noise": draw(st.sampled_from([0, 0, 0.1])),
        "init": draw(st.sampled_from(["he_normal", "default", {"normal": 0.1}])),
        "bias_init": {"normal": draw(st.floats(0.1, 1))},
    }


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Made, list[Run], list[float] | None]:
    kind = draw(st.sampled_from(["classes", "classes", "numbers", "images"]))
    optimizer = draw(st.sampled_from(OPTIMISERS))
    members = [member(draw, optimizer, kind, i) for i in range(draw(st.integers(1, 4)))]
    fixed: dict[str, Any] = {
        "hidden_sizes": draw(st.sampled_from([[], [7], [40], [60, 5]])),
        "batch_size": draw(st.sampled_from([17, 40, "full"])),
        "optimizer": optimizer,
        "precision": draw(st.sampled_from(["float32", "float32", "float64", "bfloat16"])),
    }
    fixed["bias"] = draw(st.sampled_from([True, True, False]))
    if kind == "images":
        fixed["conv_channels"] = [3]
    else:
        fixed |= draw(
            st.sampled_from([{}, {}, {"residual": True, "hidden_sizes": [9, 9]}, {"parametrization": {"mup": 4}}])
        )
        fixed["norm"] = draw(st.sampled_from(["none", "layer", "batch"]))
    fixed |= draw(st.sampled_from([{"epochs": 9}, {"epochs": 14}, {"steps": 23}, {"steps": 0}]))
    keys = draw(st.sampled_from([{}, {}, {"vary": ["init", "noise"]}]))
    probes = draw(st.sampled_from([None, [0.0, 2.0, 3.0], [1.0, 4.0, math.inf]]))
    grid = runs(DATA[kind], fixed, members, replicates=draw(st.integers(1, 3)), validation=0.3, **keys)
    chosen = draw(st.permutations(range(len(grid))))[: draw(st.integers(1, 7))]
    return DATA[kind], [grid[i] for i in chosen], probes


def assert_alone_equals_in_company(case: tuple[Made, list[Run], list[float] | None]) -> None:
    data, stack, probes = case
    company = train_stack(stack, data.data, probes=probes)
    for run in stack:
        alone = of_run(train_stack([run], data.data, probes=probes), run)
        assert repr(alone) == repr(of_run(company, run))


@settings(derandomize=True, deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_alone_equals_in_company_as_stacks_shrink(case: tuple[Made, list[Run], list[float] | None]) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_alone_equals_in_company_as_more_stacks_shrink(case: tuple[Made, list[Run], list[float] | None]) -> None:
    assert_alone_equals_in_company(case)


@pytest.mark.prove
@settings(derandomize=True, deadline=None, max_examples=500, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_alone_equals_in_company_as_stacks_shrink_at_length(case: tuple[Made, list[Run], list[float] | None]) -> None:
    assert_alone_equals_in_company(case)


def shrinking() -> list[Run]:
    """Runs of which one after the other stops, and the last is left alone."""
    members: list[dict[str, Any]] = [{"lr": lr} for lr in (0.3, 0.05, 1.0, 2.0)]
    members.append({"lr": 0.3, "activation": "prelu", "dropout": 0.5})
    fixed = {"width": 30, "batch_size": 20, "epochs": 25, "early_stopping": 2, "init": "default", "optimizer": "sgd"}
    return runs(DATA["classes"], fixed, members, replicates=2, validation=0.3)


def test_stacks_shrink_to_those_that_go_on_and_never_below_two(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = shrinking()
    sizes: list[tuple[int, int]] = []
    take = Steps.take

    def counted(self: Steps, step: int) -> torch.Tensor:
        sizes.append((step, self._network.runs))
        return take(self, step)

    monkeypatch.setattr(Steps, "take", counted)
    rows = train_stack(stack, DATA["classes"].data).runs
    per_epoch = stack[0].settings.steps_per_epoch
    epochs = [r["epochs_taken"] for r in rows]
    assert len(set(epochs)) > 4, "they stop one after the other"
    for step, size in sizes:
        assert size == max(2, sum(e > step // per_epoch for e in epochs))
    assert sizes[-1][1] == 2
    assert sizes[-1][0] + 1 == max(epochs) * per_epoch


def trained(name: str, fixed: dict[str, Any], **keys: Any) -> tuple[Run, StackRows]:
    (run,) = runs(DATA[name], fixed, replicates=1, **keys)
    return run, train_stack([run], DATA[name].data, probes=keys.get("probes"))


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
@pytest.mark.parametrize("patience", [1, 3, 5])
@pytest.mark.parametrize("min_delta", [0, 0.02])
def test_a_run_keeps_its_best_epoch_and_stops_patience_epochs_after_it(
    metric: str, patience: int, min_delta: float
) -> None:
    """By the rule applied to the curve of the run that is trained to the end: epoch by epoch they are the same."""
    fixed = {"width": 20, "lr": 1.0, "batch_size": 20, "init": "he_normal", "epochs": 30}
    rule = {"patience": patience, "min_delta": min_delta, "metric": metric}
    _, full = trained("classes", fixed, validation=0.3)
    run, stopped = trained("classes", fixed | {"early_stopping": rule}, validation=0.3)
    column = metric.removeprefix("val_")
    sign = 1 if metric == "val_loss" else -1
    whole = [c for c in full.curves if c["split"] == "validation"]
    best, best_epoch, end = math.inf, 0, 30
    for epoch, point in enumerate(whole[1:], start=1):
        if sign * point[column] < best - min_delta:
            best, best_epoch = sign * point[column], epoch
        if epoch - best_epoch >= patience:
            end = epoch
            break
    (row,) = stopped.runs
    assert (row["best_epoch"], row["epochs_taken"]) == (best_epoch, end)
    assert sign * row[metric] == best
    without = [{k: v for k, v in c.items() if k != "run_id"} for c in full.curves if c["epoch"] <= end]
    assert [{k: v for k, v in c.items() if k != "run_id"} for c in stopped.curves] == without
    per_epoch = run.settings.steps_per_epoch
    assert row["flops"] == training_flops(run.settings, DATA["classes"].facts) * end / 30
    # The parameters are those of a run of so many epochs: rates are constant.
    _, short = trained("classes", fixed | {"epochs": best_epoch}, validation=0.3)
    assert row["weights_sha256"] == short.runs[0]["weights_sha256"]
    assert stopped.predictions[0]["predicted"] == short.predictions[0]["predicted"]
    last = [r for r in stopped.layers if r["step"] == end * per_epoch]
    expected = [r for r in short.layers if r["step"] == best_epoch * per_epoch]
    assert [r["act_var"] for r in last] == [r["act_var"] for r in expected]
    assert all(r["update_ratio"] is None for r in last), "no step led there"


def test_some_of_those_stopped_and_some_did_not() -> None:
    fixed = {"width": 20, "lr": 1.0, "batch_size": 20, "init": "he_normal", "epochs": 30}
    ends = {
        trained("classes", fixed | {"early_stopping": p}, validation=0.3)[1].runs[0]["epochs_taken"] for p in (1, 3, 30)
    }
    assert len(ends) == 3
    assert max(ends) == 30


def test_a_diverged_run_leaves_its_stack_after_that_epoch() -> None:
    run, rows = trained("classes", {"width": 5, "lr": 1e30, "epochs": 50, "early_stopping": 20}, validation=0.3)
    (row,) = rows.runs
    assert row["status"] == "diverged"
    assert row["diverged_at_step"] <= run.settings.steps_per_epoch
    assert row["flops"] == training_flops(run.settings, DATA["classes"].facts) / 50
    assert "best_epoch" not in row


@pytest.mark.parametrize(
    ("canonical", "value", "best", "improves"),
    [
        ("patience(3)", 1.0, None, True),
        ("patience(3)", math.inf, None, False),
        ("patience(3)", math.nan, 5.0, False),
        ("patience(3)", 1.0, 1.0, False),
        ("patience(3)", 0.999, 1.0, True),
        ("patience(3,0.01)", 0.995, 1.0, False),
        ("patience(3,0.01)", 0.985, 1.0, True),
        ("patience(3,0.0,val_accuracy)", 0.6, 0.5, True),
        ("patience(3,0.0,val_accuracy)", 0.5, 0.5, False),
        ("patience(3,0.1,val_accuracy)", 0.55, 0.5, False),
    ],
)
def test_what_counts_as_better(canonical: str, value: float, best: float | None, improves: bool) -> None:
    rule = StoppingRule.of(canonical)
    assert rule is not None
    assert rule.improves(value, best) is improves


def test_a_copy_that_fills_a_stack_up_counts_once() -> None:
    (run,) = runs(DATA["classes"], {"early_stopping": 2, "epochs": 9}, replicates=1, validation=0.3)
    stopping = EarlyStopping([run])
    for step, (loss, expected) in enumerate([(1.0, [0, 1]), (2.0, []), (3.0, [])], start=1):
        improved, going_on = stopping.note(
            step, [run, run], {"loss": [loss, loss], "accuracy": [0, 0]}, has_diverged=[False, False]
        )
        assert improved == expected
        assert going_on == ([0, 1] if step < 3 else [])
    assert (stopping.best_step(run), stopping.steps_taken(run)) == (1, 3)


def test_runs_that_may_stop_stand_in_stacks_of_their_own() -> None:
    plain, stopping = (
        runs(DATA["classes"], {"early_stopping": rule}, replicates=1, validation=0.3)[0] for rule in ("none", 5)
    )
    assert signature(plain.settings) != signature(stopping.settings)
