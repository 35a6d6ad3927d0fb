"""Weights undo what selection does: exactly known ones, and those that are estimated from unlabelled examples."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.utils.class_weight import compute_class_weight
from small_data import Made, made, made_images, made_numbers, made_of, runs

from mlpbench.data.dataset import Dataset
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Run
from mlpbench.experiment.spec import build
from mlpbench.training.batches.biased_selection import Floats, Indices, unlabelled
from mlpbench.training.batches.device_data import DeviceData, split
from mlpbench.training.batches.example_weights import (
    LARGEST_WEIGHT,
    density_ratio,
    label_ratios,
    pooled,
    weighted,
    weights,
    weights_of_classes,
)
from mlpbench.training.batches.minibatches import Batches, noisy_labels
from mlpbench.training.engine import train_stack

MADE = made(n_train=9_000, n_test=50, features=19, classes=5)
FIXED = {"hidden_sizes": [3], "train_size": 1_500, "batch_size": 64, "steps": 6}


def fitted(run: Run, data: DeviceData = MADE.data) -> tuple[Indices, Floats]:
    fit = split(run, data.labels, data.z_train).fit
    return fit, weights(run, fit, data)


def one(**fixed: Any) -> Run:
    return runs(MADE, FIXED | fixed)[0]


@pytest.mark.parametrize("shift", [{"covariate": 1.0}, {"covariate": 2.0}, {"label": 2.0}])
def test_exact_weights_take_the_mean_back_to_that_of_all_examples(shift: dict[str, float]) -> None:
    """Of brightness and of the class; the unweighted mean is far off, or the test would show nothing."""
    name = next(iter(shift))
    value = MADE.data.z_train if name == "covariate" else MADE.data.labels.astype(float)
    off, back = [], []
    for run in runs(MADE, FIXED | {"train_shift": shift, "weighting": "exact"}, replicates=20):
        fit, w = fitted(run)
        assert w.mean() == pytest.approx(1)
        off.append(value[fit].mean() - value.mean())
        back.append((w * value[fit]).mean() - value.mean())
    error = np.std(back, ddof=1) / np.sqrt(20)
    assert abs(np.mean(back)) < 3 * error + 0.01
    assert abs(np.mean(off)) > 20 * error


def test_exact_weights_are_inverse_to_how_often_an_example_is_accepted() -> None:
    fit, w = fitted(one(train_shift={"label": 2.0}, weighting="exact"))
    labels = MADE.data.labels[fit].astype(int)
    by_class = np.array([w[labels == c].mean() for c in range(5)])
    assert np.allclose(by_class[1:] / by_class[:-1], np.exp(2 / 4))
    prior, source = (np.bincount(y, minlength=5) / len(y) for y in (MADE.data.labels, labels))
    assert np.allclose(by_class, prior / source, rtol=0.15), "target prior over source prior, but for sampling"


def test_bbse_recovers_known_priors() -> None:
    """Classes as normals one unit of overlap apart: the true ratio of priors is known, and no label of the target is seen."""
    rng = np.random.default_rng(3)
    centres = rng.normal(0, 1.5, (4, 6))
    source_prior, target_prior = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])

    def draw(prior: Floats, n: int) -> tuple[Floats, Indices]:
        y = rng.choice(4, n, p=prior)
        return centres[y] + rng.normal(0, 1, (n, 6)), y

    (x, y), (target, hidden) = draw(source_prior, 20_000), draw(target_prior, 20_000)
    found = label_ratios(x, y, target, 4)
    assert np.allclose(found, target_prior / source_prior, rtol=0.1)
    assert np.abs(found - np.bincount(hidden) / len(hidden) / (np.bincount(y) / len(y))).max() < 0.25
    assert np.allclose(label_ratios(x, y, draw(source_prior, 20_000)[0], 4), 1, atol=0.1)


def test_bbse_does_without_a_class_that_the_source_lacks() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 2], 500)[rng.permutation(1_000)]
    x = rng.normal(0, 0.3, (1_000, 3)) + np.eye(3)[y]
    found = label_ratios(x, y, x, 3)
    assert np.allclose(found[[0, 2]], 1, atol=0.05)
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_the_classifier_finds_the_ratio_of_two_normals() -> None:
    """log q/p of N(m, 1) to N(0, 1) is m x - m^2 / 2, which is linear: the regression is of the right form."""
    rng = np.random.default_rng(5)
    source, target = rng.normal(0, 1, (20_000, 2)), rng.normal([0.8, 0], 1, (20_000, 2))
    found = density_ratio(source, target)
    right = np.exp(0.8 * source[:, 0] - 0.32)
    near = np.abs(source[:, 0]) < 2
    assert np.abs(np.log(found[near]) - np.log(right[near])).max() < 0.15
    assert found.mean() == pytest.approx(1, abs=0.05)


def test_newton_ends_where_another_optimiser_does() -> None:
    rng = np.random.default_rng(1)
    source, target = rng.normal(0, 1, (300, 3)), rng.normal(0.5, 1.2, (200, 3))
    centre, scale = target.mean(axis=0), target.std(axis=0)
    x = np.hstack([(np.concatenate([source, target]) - centre) / scale, np.ones((500, 1))])
    sign = np.repeat([-1.0, 1.0], [300, 200])

    def loss(b: Floats) -> float:
        return float(np.logaddexp(0, -sign * (x @ b)).sum() + 0.5 * (b[:-1] ** 2).sum())

    b = minimize(loss, np.zeros(4), tol=1e-12).x
    right = np.exp(x[:300] @ b) * 300 / 200
    assert np.allclose(density_ratio(source, target), right.clip(1 / LARGEST_WEIGHT, LARGEST_WEIGHT), rtol=1e-4)


def test_sides_that_are_apart_give_weights_within_their_range() -> None:
    found = density_ratio(np.linspace(0, 1, 50)[:, None], np.linspace(5, 6, 50)[:, None])
    assert np.isfinite(found).all()
    assert found.min() >= 1 / LARGEST_WEIGHT
    assert density_ratio(np.zeros((9, 2)), np.zeros((9, 2))).tolist() == pytest.approx([1.0] * 9)


@pytest.mark.slow
def test_estimated_weights_go_the_way_of_the_exact_ones(fashion: Dataset) -> None:
    """On Fashion-MNIST: the classifier under a shift of brightness, BBSE under one of classes."""
    data = DeviceData(fashion, torch.device("cpu"))
    for shift, weighting, least in (("covariate", "classifier", 0.5), ("label", "bbse", 0.9)):
        one, other = grid_of_fashion({"train_shift": {shift: 1.5}}, ["exact", weighting])
        (fit, exact), (same, estimated) = fitted(one, data), fitted(other, data)
        assert fit.tolist() == same.tolist()
        assert estimated.mean() == pytest.approx(1)
        assert np.corrcoef(np.log(exact), np.log(estimated.clip(1e-3)))[0, 1] > least
        value = data.z_train if shift == "covariate" else data.labels.astype(float)
        off, back = (abs((w * value[fit]).mean() - value.mean()) for w in (1.0, estimated))
        assert back < 0.3 * off


def grid_of_fashion(fixed: dict[str, Any], weightings: list[str]) -> list[Run]:
    tree = {"name": "x", "question": "?", "dataset": "fashion_mnist", "replicates": 1}
    more = {"fixed": {"train_size": 3_000} | fixed, "factors": {"weighting": weightings}}
    return grid.runs(build(tree | more))


def test_blocks_are_averaged_in_both_directions(fashion: Dataset) -> None:
    x = fashion.x_test[:50]
    images = x.reshape(50, 7, 4, 7, 4) / 255
    assert np.allclose(pooled(x, fashion.facts, 7), images.mean(axis=(2, 4)).reshape(50, 49))
    assert np.array_equal(pooled(x, fashion.facts, 100), x / 255)
    table = np.arange(12, dtype=np.float32).reshape(2, 6)
    facts = made_numbers(n_train=5, n_test=2, features=6).facts
    assert pooled(table, facts, 2).tolist() == [[0, 1.5, 3, 4.5], [6, 7.5, 9, 10.5]]
    assert pooled(table, facts, 3).tolist() == table.tolist()


def test_what_is_known_of_the_target_is_drawn_evenly_from_all() -> None:
    shifted, other = (one(train_shift={"label": s}) for s in (3.0, 1.0))
    drawn = unlabelled(shifted, 4_000, 9_000)
    assert len(set(drawn.tolist())) == 4_000
    assert drawn.tolist() == unlabelled(other, 4_000, 9_000).tolist()
    assert MADE.data.labels[drawn].mean() == pytest.approx(MADE.data.labels.mean(), abs=0.05)


def test_each_run_of_a_batch_has_the_weights_of_its_own_examples() -> None:
    shifts = [({"label": 1}, "exact"), ({"label": 2}, "bbse"), ({"covariate": 1}, "classifier"), ({"label": 1}, "bbse")]
    members = [{"train_shift": s, "weighting": w} for s, w in shifts]
    stack = runs(MADE, FIXED, members, replicates=2)
    fit = [split(r, MADE.data.labels, MADE.data.z_train).fit for r in stack]
    labels = noisy_labels(stack, MADE.data)
    batches = Batches(stack, fit, labels, MADE.data, dtype=torch.float64)
    found = weighted(stack, fit, MADE.data, labels, torch.float64)
    assert found is not None
    for step in (0, 3, 23, 24, 47):
        inputs, y = batches.at(step)
        index = batches.indices(y.shape[1])
        w_RB1 = found.of(index)
        assert w_RB1.shape == y.shape
        for own, x in inputs.parts():
            for i, batch in zip(range(len(stack))[own], x, strict=True):
                assert torch.equal(batch, MADE.data.x_train[index[i]].double() / 255)
        for i, run in enumerate(stack):
            of_run = dict(zip(fit[i].tolist(), weights(run, fit[i], MADE.data), strict=True))
            assert w_RB1[i, :, 0].tolist() == [of_run[e] for e in index[i].tolist()]


def test_weights_of_one_are_no_weights_at_all() -> None:
    """Under so weak a shift that every weight is 1 a weighted run is the unweighted one, but for rounding."""
    shift = {"train_shift": {"label": 1e-300}, "precision": "float64"}
    plain, exact = (runs(MADE, FIXED | shift | {"weighting": w})[0] for w in ("none", "exact"))
    one, other = (train_stack([r], MADE.data) for r in (plain, exact))
    assert one.runs[0]["test_loss"] == pytest.approx(other.runs[0]["test_loss"], rel=1e-12)
    strong = runs(MADE, FIXED | shift | {"weighting": "exact", "train_shift": {"label": 3}})[0]
    assert train_stack([strong], MADE.data).runs[0]["test_loss"] != pytest.approx(one.runs[0]["test_loss"], rel=1e-3)


@pytest.mark.parametrize("weighting", ["none", "exact", "classifier", "bbse"])
@pytest.mark.parametrize(
    "precision", ["float32", *(pytest.param(p, marks=pytest.mark.slow) for p in ("float64", "bfloat16"))]
)
def test_a_shifted_run_has_the_same_bits_alone_and_in_company(weighting: str, precision: str) -> None:
    fixed = {"hidden_sizes": [31, 5], "train_size": 400, "batch_size": 37, "steps": 13, "precision": precision}
    shifts = [
        {"label": 1},
        {"label": 0.7},
        *([{"covariate": 1}] if weighting in ("none", "exact", "classifier") else []),
    ]
    looks = [
        {"activation": "silu", "dropout": 0.3},
        {"activation": "prelu", "lr": 1e30},
        {"activation": "relu", "lr": 0.5},
    ]
    members = [
        {"train_shift": s, "weighting": weighting} | look for s, look in zip(shifts * 2, looks * 2, strict=False)
    ]
    unique = list({str(m): m for m in members}.values())
    stack = runs(MADE, fixed, unique, replicates=2, validation=0.1)
    company = {r["run_id"]: r for r in train_stack(stack, MADE.data).runs}
    for run in stack[::2]:
        (alone,) = train_stack([run], MADE.data).runs
        for key in alone.keys() - {"train_seconds", "stack_size"}:
            assert repr(alone[key]) == repr(company[run.run_id][key]), key
    assert {r["status"] for r in company.values()} == {"ok", "diverged"}


def test_runs_on_folds_are_weighted_by_what_they_are_fitted_to() -> None:
    stack = runs(MADE, FIXED | {"train_shift": {"label": 2}, "weighting": "exact"}, validation={"folds": 3})
    for run in stack:
        fit, w = fitted(run)
        assert len(fit) == run.settings.n_fit
        assert w.mean() == pytest.approx(1)
    assert all(r["status"] == "ok" for r in train_stack(stack[:2], MADE.data).runs)


@pytest.mark.parametrize(("shift", "weighting"), [("covariate", "classifier"), ("label", "bbse")])
def test_the_first_features_alone_have_the_weights_of_whole_images(shift: str, weighting: str) -> None:
    """What selects examples is the whole image, and so is what undoes it."""
    images = made_images(n_train=200, n_test=20, image=(6, 5), classes=3)
    fixed = FIXED | {"train_shift": {shift: 1}, "weighting": weighting, "train_size": 50}
    whole, part = runs(images, fixed, [{"features": "all"}, {"features": 7}])
    seen = images.data.of([part])
    assert seen.n_features == 7
    fit = seen.split(part).fit
    assert weights(part, fit, seen).tolist() == weights(whole, fit, images.data).tolist()


def torch_loss(z: torch.Tensor, y: torch.Tensor, w: Floats, reduction: str) -> float:
    return float(torch.nn.CrossEntropyLoss(weight=torch.from_numpy(w), reduction=reduction)(z, y).mean())


@pytest.mark.parametrize("canonical", ["balanced", '{"0": 5.0, "3": 0.25}', '{"1": 1e-06}'])
def test_class_weights_are_those_of_torch_and_of_scikit_learn(canonical: str) -> None:
    """Over all examples both reductions of torch are one; of a batch, w_i l_i is added up and divided by its size."""
    rng = np.random.default_rng(0)
    y, z = MADE.data.labels[:900].astype(np.int64), torch.from_numpy(rng.normal(0, 2, (900, 5)))
    by_class = weights_of_classes(canonical, y, MADE.facts.class_names)
    said: Any = canonical if canonical == "balanced" else {c: json.loads(canonical).get(str(c), 1) for c in range(5)}
    assert by_class == pytest.approx(compute_class_weight(said, classes=np.arange(5), y=y))
    each = by_class[y] / by_class[y].mean()
    own = torch.nn.functional.cross_entropy(z, torch.from_numpy(y), reduction="none").numpy()
    assert np.mean(each * own) == pytest.approx(torch_loss(z, torch.from_numpy(y), by_class, "mean"))
    batch = slice(0, 37)
    normed = by_class / by_class[y].mean()
    assert np.mean((each * own)[batch]) == pytest.approx(
        torch_loss(z[batch], torch.from_numpy(y[batch]), normed, "none")
    )


def test_balanced_classes_weigh_the_same_in_all_and_one_that_is_missing_takes_nothing() -> None:
    y = np.array([0] * 10 + [2] * 30)
    by_class = weights_of_classes("balanced", y, ("a", "b", "c"))
    assert by_class[[0, 2]].tolist() == [2, 40 / 60]
    assert by_class[y].mean() == pytest.approx(1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_runs_with_class_weights_have_the_same_bits_alone_and_in_company(precision: str) -> None:
    """Beside neighbours with other weights, label noise, dropout and other draws, and one that diverges."""
    fixed = {"hidden_sizes": [31, 5], "train_size": 400, "batch_size": 37, "steps": 13, "precision": precision}
    members = [
        {"class_weights": "balanced", "lr": 0.3, "label_noise": 0.0},
        {"class_weights": "balanced", "lr": 0.3, "label_noise": 0.5},
        {"class_weights": {"0": 9}, "lr": 0.3, "label_noise": 0.5},
        {"class_weights": {"0": 9, "4": 0.1}, "lr": 1e30, "label_noise": 0.0},
        {"class_weights": {"4": 3}, "lr": 0.3, "label_noise": 0.0, "train_shift": {"label": 1}, "weighting": "exact"},
    ]
    shifted = {"train_shift": "none", "weighting": "none"}
    stack = runs(MADE, fixed, [shifted | member for member in members], replicates=2, validation=0.1)
    company = {r["run_id"]: r for r in train_stack(stack, MADE.data).runs}
    for run in stack:
        (alone,) = train_stack([run], MADE.data).runs
        for key in alone.keys() - {"train_seconds", "stack_size"}:
            assert repr(alone[key]) == repr(company[run.run_id][key]), key
    assert {r["status"] for r in company.values()} == {"ok", "diverged"}
    digests = [r.get("weights_sha256") for r in company.values() if r["status"] == "ok"]
    assert len(set(digests)) == len(digests), "each has weights of its own"


def test_balanced_weights_raise_balanced_accuracy_where_a_class_is_rare() -> None:
    """Two overlapping classes, one of them a twentieth: unweighted, a network hardly ever predicts it."""
    rng = np.random.default_rng(0)
    source = made(n_train=4_000, n_test=4_000, features=1, classes=2).source
    parts: dict[str, Any] = {}
    for part in ("train", "test"):
        y = (rng.random(4_000) < 0.05).astype(np.uint8)
        parts |= {f"x_{part}": (100 + 30 * y + rng.normal(0, 20, 4_000)).clip(0, 255).astype(np.uint8)[:, None]}
        parts |= {f"y_{part}": y}
    rare = made_of(source, **parts)
    fixed = {"depth": 0, "epochs": 30, "lr": 5.0, "batch_size": 100}
    plain, balanced = train_stack_each(rare, fixed, ["none", "balanced"])
    assert plain["test_balanced_accuracy"] < 0.6
    assert balanced["test_balanced_accuracy"] > 0.7
    assert balanced["test_accuracy"] < plain["test_accuracy"]


def train_stack_each(data: Made, fixed: dict[str, Any], class_weights: list[str]) -> list[dict[str, Any]]:
    return [train_stack(runs(data, fixed | {"class_weights": w}), data.data).runs[0] for w in class_weights]


def test_weights_of_equal_meaning_are_one_run() -> None:
    """What counts is how classes weigh beside each other: equal weights are none."""
    spellings = {
        "none": "none",
        '{"0": 7.0, "1": 7.0, "2": 7.0, "3": 7.0, "4": 7.0}': "none",
        '{"0": 5.0}': '{"0": 5.0}',
        '{"0": 10.0, "1": 2.0, "2": 2.0, "3": 2.0, "4": 2.0}': '{"0": 5.0}',
    }
    rows = train_stack_each(MADE, FIXED, list(spellings))
    ids = {
        canonical: {row["run_id"] for row, c in zip(rows, spellings.values()) if c == canonical}
        for canonical in ("none", '{"0": 5.0}')
    }
    assert [len(of) for of in ids.values()] == [1, 1]
    assert ids["none"] != ids['{"0": 5.0}']
