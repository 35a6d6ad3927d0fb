"""What a supervisor would point at: each warning where its rule says so, and silence just on the other side of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_specs import spec
from repository import ROOT

from mlpbench.evidence.estimates.observe import DIVERGED, OK
from mlpbench.evidence.training_warnings import Trained, training_warnings
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import conditions
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.spec import Experiment

ROW: dict[str, float] = {
    "train_loss": 0.3, "test_loss": 0.5, "gap_loss": 0.2, "train_accuracy": 0.9, "test_accuracy": 0.85, "gap_accuracy": 0.05,
    "dead_units": 0.0, "epochs_taken": 10.0,
}  # fmt: skip
REPLICATES = 5
NUMBERS = {"name": "n", "question": "?", "fixed": {"lr": 0.01}, "dataset": "linear"}
FLAT = [2.3, 1.0, 0.6, 0.52, 0.5]


def trained(
    experiment: Experiment,
    rows: dict[int, dict[str, float]] | None = None,
    *,
    curve: dict[int, Any] | None = None,
    split: str = "test",
    status: str = OK,
    tuning: list[dict[str, Any]] | None = None,
) -> Trained:
    """Return runs that nothing is wrong with, but for the metrics and the curves of some conditions, by position.

    A curve is losses at epochs 0 to 10, evenly spaced, of all replicates or of each.
    """
    grid = conditions(experiment)
    observed, points = [], []
    for p, condition in enumerate(grid):
        for r in range(REPLICATES):
            run_id = f"{p}-{r}"
            metrics = dict.fromkeys(METRICS, np.nan) | ROW | (rows or {}).get(p, {})
            observed.append({"position": p, "replicate": r, "run_id": run_id, "status": status} | metrics)
            losses = np.array((curve or {}).get(p, FLAT), dtype=float)
            losses = losses[r] if losses.ndim == 2 else losses
            steps = np.linspace(0, condition.settings.steps, len(losses)).astype(int)
            for of in ("train", split):
                points += [
                    {"run_id": run_id, "split": of, "step": step, "loss": loss} for step, loss in zip(steps, losses)
                ]
    return Trained(
        experiment=experiment,
        conditions=grid,
        observed=pd.DataFrame(observed),
        curves=pd.DataFrame(points),
        tuning=pd.DataFrame(tuning or []),
    )


def kinds(found: Trained) -> list[str]:
    return [w.kind for w in training_warnings(found)]


def one(found: Trained, kind: str) -> str:
    (warning,) = [w for w in training_warnings(found) if w.kind == kind]
    return warning.text


def test_nothing_is_said_of_runs_that_went_well() -> None:
    assert kinds(trained(spec(factors={"width": [8, 16]}))) == []


# Epochs 0, 2.5, 5, 7.5 and 10.
@pytest.mark.parametrize(
    ("curve", "says"),
    [
        ([2.3, 1.5, 1.0, 0.6, 0.5], "fell by 17%"),
        ([2.3, 1.5, 1.0, 0.6, 0.52], ""),
        ([2.3, 1.5, 1.0, 0.6, 0.9], ""),
        ([2.3, 1.5, 1.0, np.nan, 0.5], "fell by 50%"),
        ([2.3, 0.5], ""),
        ([[2.3, 1.5, 1.0, 0.6, 0.5]] * 4 + [[2.3, 1.5, 1.0, 0.6, 0.62]], ""),
        ([[2.3, 1.5, 1.0, 0.6, 0.45]] * 4 + [[2.3, 1.5, 1.0, 0.6, 0.62]], "fell by 19%"),
        ([[2.3, 1.5, 1.0, 0.6, 0.1]] * 2 + [[2.3, 1.5, 1.0, 0.6, 0.62]] * 3, ""),
    ],
)
@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_loss_that_is_still_falling(curve: Any, says: str, split: str) -> None:
    experiment = spec(factors={"width": [8, 16]})
    found = trained(experiment, curve={1: curve}, split=split)
    if not says:
        assert kinds(found) == []
        return
    assert one(found, "undertrained").startswith(
        f"Still falling at the end: the {split} loss {says} over the last quarter"
    )
    assert "with width=16." in one(found, "undertrained")
    both = one(trained(experiment, curve={0: curve, 1: curve}, split=split), "undertrained")
    assert f" {says} over the last quarter of training in 2 of 2 conditions" in both


def test_a_run_that_stopped_by_itself_is_not_called_undertrained() -> None:
    experiment = spec(validation=0.2, fixed={"early_stopping": 3})
    falling = {0: [2.3, 1.5, 1.0, 0.6, 0.4]}
    assert kinds(trained(experiment, curve=falling)) == ["undertrained"]
    assert kinds(trained(experiment, {0: {"epochs_taken": 7.0}}, curve=falling)) == []


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [([0.5, 0.6, 0.7], True), ([0.7, 0.6, 0.5], True), ([0.6, 0.7, 0.6], False), ([np.nan, 0.7, 0.6], False)],
)
def test_the_best_learning_rate_at_the_edge_of_those_tried(accuracies: list[float], expected: bool) -> None:
    rows = {p: {"test_accuracy": a} for p, a in enumerate(accuracies)}
    found = trained(spec(factors={"lr": [0.01, 0.1, 1.0]}), rows)
    assert kinds(found) == ["edge of range"] * expected
    assert kinds(trained(spec(factors={"lr": [0.01, 0.1]}), rows)) == [], "two are no range"


def test_an_edge_is_counted_over_the_other_factors() -> None:
    rows = {p: {"test_accuracy": a} for p, a in enumerate([0.5, 0.6, 0.7, 0.6, 0.7, 0.6])}
    found = trained(spec(factors={"width": [8, 16], "lr": [0.01, 0.1, 1.0]}), rows)
    assert "in 1 of 2 combinations of the other factors, lr=1 for one." in one(found, "edge of range")


def tuned(**nuisance: list[float]) -> Experiment:
    return spec(factors={"width": [8, 16]}, nuisance=nuisance, validation=0.2)


def test_a_tuned_level_at_the_edge_is_named_where_most_replicates_chose_it() -> None:
    level = {"position": 0, "tuning": "lr=1", "edges": "lr", "chosen": 3, "judged": 4}
    experiment = tuned(lr=[0.01, 0.1, 1.0])
    assert "the chosen lr=1 is the lowest or highest lr tried, with width=8" in one(
        trained(experiment, tuning=[level]), "edge of range"
    )
    assert kinds(trained(tuned(lr=[0.1, 1.0]), tuning=[level])) == [], "of two either is at an edge"
    decay = level | {"tuning": "weight_decay=0", "edges": "weight_decay"}
    assert kinds(trained(tuned(weight_decay=[0, 0.1, 0.2]), tuning=[decay])) == [], "nothing is below 0"
    both = level | {"tuning": "weight_decay=0, lr=1", "edges": "weight_decay, lr"}
    of_two = tuned(weight_decay=[0, 0.1, 0.2], lr=[0.01, 0.1, 1.0])
    assert "the lowest or highest lr tried" in one(trained(of_two, tuning=[both]), "edge of range")
    assert kinds(trained(experiment, tuning=[level | {"chosen": 2}])) == []
    assert kinds(trained(experiment, tuning=[level | {"edges": ""}])) == []


@pytest.mark.parametrize(
    ("fixed", "gap", "expected"),
    [
        ({}, -0.02, True),
        ({}, -0.009, False),
        ({}, 0.02, False),
        ({"label_noise": 0.2}, -0.02, False),
        ({"train_size": 1000, "train_shift": {"label": 1}}, -0.05, False),
        ({"train_size": 100}, -0.02, False),  # what 100 examples leave open
        ({"train_size": 100}, -0.2, True),
    ],
)
def test_a_train_accuracy_below_that_of_the_test_set(fixed: dict[str, Any], gap: float, expected: bool) -> None:
    found = trained(spec(fixed=fixed), {0: {"gap_accuracy": gap}})
    assert kinds(found) == ["train below test"] * expected


def test_few_test_examples_that_are_all_right_prove_nothing() -> None:
    """Of 30 flowers one is 3 points."""
    iris = {"file": str(ROOT / "experiments" / "own_data" / "iris.csv"), "target": "species"}
    for gap, expected in ((-0.03, []), (-0.3, ["train below test"])):
        found = trained(spec(dataset=iris), {0: {"gap_accuracy": gap, "test_accuracy": 1.0}})
        assert kinds(found) == expected


@pytest.mark.parametrize("name", ["dropout", "weight_decay", "l1", "input_noise"])
def test_a_regulariser_of_a_network_that_does_not_overfit(name: str) -> None:
    experiment = spec(factors={name: [0, 0.1, 0.5], "width": [8, 16]})
    level = [c.settings for c in conditions(experiment)]
    fits = {p: {"gap_loss": 0.01} for p, s in enumerate(level) if s.width == 8}
    assert kinds(trained(experiment)) == [], "all of them overfit"
    text = one(trained(experiment, fits), "nothing to regularise")
    assert text.startswith(
        f"Nothing to regularise: without {name} the train loss is within 5% of the test loss, in 2 of 6"
    )
    only_with = {p: {"gap_loss": 0.01} for p in range(2, 6)}
    assert kinds(trained(experiment, only_with)) == [], "which is what a regulariser is for"
    alone = spec(fixed={name: 0.1})
    assert kinds(trained(alone, {0: {"gap_loss": 0.0}})) == [], "there is nothing to compare it with"


@pytest.mark.parametrize(("dead", "says"), [(29.0, "up to 97%"), (27.0, "up to 90%"), (26.0, "")])
def test_units_that_are_nearly_all_dead(dead: float, says: str) -> None:
    found = trained(spec(fixed={"hidden_sizes": [20, 10]}), {0: {"dead_units": dead}})
    assert kinds(found) == ["dead units"] * bool(says)
    assert not says or says in one(found, "dead units")


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([2.3, 2.3, 2.3, 2.3, 2.299], True),
        ([2.3, 2.3, 2.3, 2.3, 2.31], True),
        ([2.3, 2.3, 2.3, 2.3, 2.25], False),
        ([2.3], False),  # nothing was trained
        ([[2.3, 2.3, 2.3]] * 3 + [[2.3, 1.0, 1.0]] * 2, False),
    ],
)
def test_a_loss_that_never_moved(curve: Any, expected: bool) -> None:
    assert kinds(trained(spec(), curve={0: curve})) == ["loss never moved"] * expected


@pytest.mark.parametrize(
    ("scores", "gap", "expected"),
    [
        ([0.1] * 5, 0.0, True),
        ([0.1, 0.1, 0.1, 0.1, 0.16], 0.0, True),
        ([0.12, 0.14, 0.15, 0.13, 0.12], 0.0, True),
        ([0.16] * 5, 0.0, False),  # more than a twentieth of the way from one class for all to none wrong
        ([0.1, 0.1, 0.1, 0.21, 0.21], 0.0, False),
        ([0.1] * 5, 0.3, False),  # it learnt what it was trained on
    ],
)
def test_what_is_hardly_better_than_one_class_for_all(scores: list[float], gap: float, expected: bool) -> None:
    runs = trained(spec(factors={"width": [8, 16]}), {0: {"gap_accuracy": gap}})
    of_first = runs.observed["position"] == 0
    runs.observed.loc[of_first, "test_balanced_accuracy"] = scores
    runs.observed.loc[~of_first, "test_balanced_accuracy"] = 0.8
    found = training_warnings(runs)
    assert kinds(runs) == ["constant"] * expected
    steps = runs.conditions[0].settings.steps
    assert not expected or f"one class for all, after {steps} steps, with width=8." in found[0].says
    dead = {0: {"test_balanced_accuracy": 0.1, "dead_units": 256.0}}
    assert kinds(trained(spec(fixed={"width": 256}), dead)) == ["dead units"], "which is why"
    untrained = {0: {"test_balanced_accuracy": 0.1}}
    assert kinds(trained(spec(fixed={"epochs": 0}), untrained, curve={0: [2.3]})) == [], "meant to be as it is"


@pytest.mark.parametrize(("r2", "expected"), [(0.03, True), (-0.03, True), (0.07, False), (-0.5, False)])
def test_what_is_hardly_better_than_the_mean_for_all(r2: float, expected: bool) -> None:
    """Far worse than the mean is no constant: it is a network that fits other examples."""
    numbers = yaml_reader.from_mapping(NUMBERS)
    rows = {0: {"test_r2": r2, "gap_accuracy": np.nan}}
    assert kinds(trained(numbers, rows)) == ["constant"] * expected
    decayed = trained(yaml_reader.from_mapping({**NUMBERS, "fixed": {"lr": 0.01, "weight_decay": 3, "l1": 0.1}}), rows)
    assert [("less weight_decay, less l1, or" in w.advice) for w in training_warnings(decayed)] == [True] * expected


@pytest.mark.parametrize(
    ("spread", "expected"), [(130.0, True), (0.01, True), (3.0, False), (0.0, False), (np.nan, False)]
)
def test_a_target_that_is_far_from_a_spread_of_one(spread: float, expected: bool) -> None:
    tree = {"name": "n", "question": "?", "fixed": {"lr": 0.01}}
    numbers = yaml_reader.from_mapping(tree | {"dataset": "linear"})
    rows = {0: {"constant_rmse": spread, "gap_accuracy": np.nan}}
    assert kinds(trained(numbers, rows)) == ["scale of the target"] * expected
    assert kinds(trained(spec(), rows)) == [], "classes have no scale"


def test_runs_that_diverged_are_no_part_of_it() -> None:
    rows = {0: {"gap_accuracy": -0.5, "dead_units": 256.0}}
    assert kinds(trained(spec(), rows, curve={0: [2.3] * 5}, status=DIVERGED)) == []


def test_a_loss_that_stands_still_over_dead_units_is_warned_of_as_dead() -> None:
    """A higher rate is no help there, and would be said right beside "try a lower one"."""
    warned = trained(spec(fixed={"width": 20}), {0: {"dead_units": 19.0}}, curve={0: [2.3, 2.301, 2.3, 2.3, 2.3]})
    assert kinds(warned) == ["dead units"]
