"""The test set under a shift: what each transform keeps and what it changes, and the rows that come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_data import made, made_images, made_numbers, runs
from synthetic_runs import drawn_runs

from mlpbench.data.dataset import Dataset
from mlpbench.experiment.grid import Run
from mlpbench.training.batches import shifted_tests
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.batches.shifted_tests import blurred, brightened, flattened, shifted, translated
from mlpbench.training.engine import train_stack

RNG = np.random.default_rng(0)
IMAGES = RNG.random((40, 12, 9))
EAST = np.zeros(len(IMAGES), dtype=np.int64)
KINDS: dict[str, list[float]] = {
    "noise": [0.1, 0.4],
    "blur": [1, 2],
    "translation": [2, 4],
    "brightness": [0.2],
    "contrast": [0.5],
    "labels": [1],
}
MADE = made(n_train=200, n_test=1_100, features=19, classes=5)
FIXED: dict[str, Any] = {"hidden_sizes": [6], "epochs": 2, "batch_size": 64, "init": "he_normal", "lr": 0.3}


@pytest.fixture(scope="module")
def pictures(fashion: Dataset) -> DeviceData:
    return DeviceData(fashion, torch.device("cpu"))


@pytest.fixture(scope="module")
def under(pictures: DeviceData) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {split: (x, y) for split, x, y in shifted(pictures, KINDS)}


def plain(pictures: DeviceData) -> NDArray[np.float64]:
    return pictures.x_test.numpy() / 255


def test_a_translation_moves_every_pixel_and_leaves_zeros_behind() -> None:
    for number, (down, right) in enumerate(shifted_tests.DIRECTIONS):
        moved = translated(IMAGES, 2, EAST + number)
        rolled = np.roll(IMAGES, (2 * down, 2 * right), axis=(1, 2))
        inside = np.zeros_like(IMAGES, dtype=bool)
        inside[:, max(0, 2 * down) : 12 + min(0, 2 * down), max(0, 2 * right) : 9 + min(0, 2 * right)] = True
        assert np.array_equal(moved[inside], rolled[inside])
        assert (moved[~inside] == 0).all()
        assert (~inside).any()


@pytest.mark.slow
def test_the_eight_directions_are_all_different_and_each_image_has_its_own(
    under: dict[str, Any], pictures: DeviceData
) -> None:
    assert len(set(shifted_tests.DIRECTIONS)) == 8
    assert (0, 0) not in shifted_tests.DIRECTIONS
    x = under["shift:translation:2"][0].reshape(-1, 28, 28).numpy()
    before = plain(pictures).reshape(-1, 28, 28)
    counts = []
    for down, right in shifted_tests.DIRECTIONS:
        rolled = np.roll(before, (2 * down, 2 * right), axis=(1, 2)).astype(np.float32)
        counts.append(int((x[:, 4:24, 4:24] == rolled[:, 4:24, 4:24]).all(axis=(1, 2)).sum()))
    assert min(counts) > 1_100, "each direction has about an eighth of 10,000"
    assert sum(counts) >= 10_000


def test_a_blur_keeps_the_sum_of_an_image_and_spreads_a_point_as_a_gaussian() -> None:
    for sigma in (0.5, 1.0, 3.0, 20.0):
        assert np.allclose(blurred(IMAGES, sigma, EAST).sum(axis=(1, 2)), IMAGES.sum(axis=(1, 2)), rtol=1e-12)
    point = np.zeros((1, 41, 41))
    point[0, 20, 20] = 1.0
    spread = blurred(point, 2.0, EAST[:1])[0]
    offsets = np.arange(41) - 20
    assert (spread * offsets[:, None] ** 2).sum() == pytest.approx(4.0, rel=2e-3)
    assert spread[20, 22] / spread[20, 20] == pytest.approx(np.exp(-0.5), rel=1e-12)
    assert np.allclose(spread, spread.T)


def test_brightness_and_contrast_are_what_they_say() -> None:
    bright = brightened(IMAGES, 0.3, EAST)
    assert np.array_equal(bright, np.clip(IMAGES + 0.3, 0, 1))
    assert (bright == 1).any()
    flat = flattened(IMAGES, 0.75, EAST)
    assert np.allclose(flat.mean(axis=(1, 2)), IMAGES.mean(axis=(1, 2)))
    assert np.allclose(flat.std(axis=(1, 2)), 0.25 * IMAGES.std(axis=(1, 2)))
    assert np.allclose(flattened(IMAGES, 1.0, EAST).std(axis=(1, 2)), 0)


@pytest.mark.slow
def test_shifted_images_stay_in_range_and_labels_are_those_of_the_test_set(
    under: dict[str, Any], pictures: DeviceData
) -> None:
    assert list(under) == [f"shift:{kind}:{s:g}" for kind, severities in KINDS.items() for s in severities]
    for split, (x, y) in under.items():
        if split == "shift:labels:1":
            assert x is pictures.x_test
            assert torch.equal(y, (pictures.y_test + 1) % 10)
            assert set(y.tolist()) == set(range(10))
        else:
            assert x.dtype == torch.float32
            assert float(x.min()) >= 0
            assert float(x.max()) <= 1
            assert torch.equal(y, pictures.y_test)


def test_a_larger_severity_changes_images_further_and_the_same_way(under: dict[str, Any], pictures: DeviceData) -> None:
    x = plain(pictures)
    for kind, (less, more) in {k: v for k, v in KINDS.items() if len(v) == 2}.items():
        small, large = (under[f"shift:{kind}:{s}"][0].numpy() - x for s in (less, more))
        near, far = (np.square(d).sum(axis=1) for d in (small, large))
        assert (far > near).mean() > 0.9, kind
        assert np.square(small).mean() > 1e-3, kind
    # Where nothing is clipped the noise of one severity is that of another, scaled.
    one, other = (under[f"shift:noise:{s}"][0].numpy() - x for s in KINDS["noise"])
    free = (np.abs(x - 0.5) < 0.1) & (np.abs(one) < 0.1)
    assert free.sum() > 10_000
    assert np.allclose(4 * one[free], other[free], atol=1e-6)
    assert one[free].std() == pytest.approx(0.054, rel=0.1), "a normal cut at one standard deviation"


def test_the_bits_are_the_same_for_ever(under: dict[str, Any]) -> None:
    """Of what no processor rounds differently: additions, products, and numpy's own draws."""
    digests = {
        split: hashlib.sha256(under[split][0].numpy().tobytes()).hexdigest()[:12]
        for split in ("shift:noise:0.1", "shift:translation:4", "shift:brightness:0.2")
    }
    assert digests == {
        "shift:noise:0.1": "ae2a2d81643c",
        "shift:translation:4": "cdea10eca29f",
        "shift:brightness:0.2": "7840edb233a6",
    }


@pytest.mark.parametrize("shape", [(3, 5, 6), (5, 6, 3)])
def test_channels_are_changed_alike_wherever_they_stand(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image of three equal channels is its grey image three times, under every shift of images."""
    grey = RNG.integers(0, 256, (30, 5, 6), dtype=np.uint8)
    axis = 1 if shape[0] == 3 else 3
    coloured = np.repeat(np.expand_dims(grey, axis), 3, axis=axis)
    one, three = (made(n_train=20, n_test=30, features=f, classes=5) for f in (30, 90))

    def of(base: Any, shape: tuple[int, ...], x: NDArray[np.uint8]) -> DeviceData:
        data = DeviceData(base.dataset, torch.device("cpu"))
        data.x_test = data.whole_test = torch.from_numpy(x.reshape(len(x), -1).copy())
        monkeypatch.setattr(data, "facts", replace(base.facts, input_shape=shape))
        return data

    asked = {k: v for k, v in KINDS.items() if k not in ("noise", "labels", "translation")} | {"translation": [2]}
    for (split, x, _), (_, wide, _) in zip(
        shifted(of(one, (5, 6), grey), asked), shifted(of(three, shape, coloured), asked), strict=True
    ):
        expected = np.repeat(np.expand_dims(x.reshape(30, 5, 6).numpy(), axis), 3, axis=axis)
        assert np.array_equal(wide.numpy().reshape(30, *shape), expected), split


def test_numbers_are_not_clipped() -> None:
    of = made_numbers(n_train=50, n_test=1_500, features=4)
    ((_, x, y),) = shifted(of.data, {"noise": [3.0]})
    noise = x.numpy() - of.dataset.x_test
    assert noise.std() == pytest.approx(3.0, rel=0.05)
    assert abs(noise.mean()) < 0.15
    assert np.array_equal(y.numpy()[:, 0], of.dataset.y_test)


def test_rows_of_a_shift_stand_at_the_end_of_the_curves_and_others_are_as_without() -> None:
    stack = runs(MADE, FIXED, [{"lr": 0.3}, {"lr": 1e30}])
    asked: dict[str, list[float]] = {"noise": [0.5, 60.0], "labels": [2]}
    without, rows = train_stack(stack, MADE.data), train_stack(stack, MADE.data, shifts=asked)
    of_shift = [r for r in rows.curves if r["split"].startswith("shift:")]
    assert [r for r in rows.curves if r not in of_shift] == without.curves
    assert [r["split"] for r in of_shift] == ["shift:noise:0.5", "shift:noise:60", "shift:labels:2"]
    assert {(r["run_id"], r["step"], r["epoch"]) for r in of_shift} == {(stack[0].run_id, 8, 2.0)}, (
        "not of the diverged one"
    )
    assert [r["weights_sha256"] for r in rows.runs if r["status"] == "ok"] == [
        r["weights_sha256"] for r in without.runs if r["status"] == "ok"
    ]


def test_the_accuracy_under_shifted_labels_is_that_of_the_predictions() -> None:
    (run,) = runs(MADE, FIXED | {"hidden_sizes": [30], "epochs": 20})
    rows = train_stack([run], MADE.data, shifts={"labels": [1, 3]})
    predicted = np.frombuffer(rows.predictions[0]["predicted"], np.uint8)
    found = {r["split"]: r["accuracy"] for r in rows.curves}
    for by in (1, 3):
        right = (MADE.dataset.y_test.astype(int) + by) % 5
        assert found[f"shift:labels:{by}"] == pytest.approx(float((predicted == right).mean()), abs=1e-12)
    assert found["test"] > 0.9 > 0.3 > found["shift:labels:1"], "a concept that changes leaves little"


def test_a_shift_that_changes_nothing_gives_the_plain_test_metrics() -> None:
    (run,) = runs(MADE, FIXED)
    rows = train_stack([run], MADE.data, shifts={"noise": [1e-30]})
    found = {r["split"]: r for r in rows.curves if r["step"] == 8}
    # Numbers of 32 bits are all that is left of byte / 255, which is divided in that precision too.
    assert found["shift:noise:1e-30"]["accuracy"] == found["test"]["accuracy"]
    assert found["shift:noise:1e-30"]["loss"] == pytest.approx(found["test"]["loss"], rel=1e-6)


def test_runs_on_folds_never_see_the_test_set_under_any_shift() -> None:
    on_folds = runs(MADE, FIXED, validation={"folds": 2})
    rows = train_stack([r for r in on_folds if r.fold is not None], MADE.data, shifts={"labels": [1]})
    assert {r["split"] for r in rows.curves} == {"train", "validation"}


def test_a_run_under_shift_is_the_same_alone_and_in_company() -> None:
    stack = runs(MADE, FIXED, [{"lr": r, "activation": a} for r in (0.1, 0.5) for a in ("relu", "silu")], replicates=2)
    asked: dict[str, list[float]] = {"noise": [0.3], "labels": [1]}
    company = train_stack(stack, MADE.data, shifts=asked)
    for run in stack[::3]:
        alone = train_stack([run], MADE.data, shifts=asked)
        assert repr(alone.curves) == repr([r for r in company.curves if r["run_id"] == run.run_id])


def test_the_first_features_alone_are_those_of_the_shifted_image() -> None:
    images = made_images(n_train=20, n_test=30, image=(6, 5), classes=3)
    (part,) = runs(images, FIXED | {"features": 7, "train_size": 20})
    whole = {split: x for split, x, _ in shifted(images.data, KINDS | {"translation": [2]})}
    found = {split: x for split, x, _ in shifted(images.data.of([part]), KINDS | {"translation": [2]})}
    assert found.keys() == whole.keys()
    for split, x in found.items():
        assert torch.equal(x, whole[split][:, :7]), split


def test_noise_on_drawn_data_is_the_same_in_whatever_company() -> None:
    """Draws of a stack stand one below another: where a replicate stands is no part of its noise."""
    dataset = {"name": "linear", "train": 40, "test": 30}
    _, data, given = drawn_runs(dataset, replicates=3)

    def losses(stack: Sequence[Run]) -> dict[str, float]:
        rows = train_stack(stack, data, shifts={"noise": [0.5]}).curves
        return {r["run_id"]: r["loss"] for r in rows if r["split"] == "shift:noise:0.5"}

    together = losses(given)
    assert together == {r.run_id: losses([r])[r.run_id] for r in given}
