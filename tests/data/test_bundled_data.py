"""Data that come with the package: digits are scikit-learn's, MNIST-1D is made as its authors make it."""

from __future__ import annotations

import hashlib
import importlib.resources

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mlpbench.base.errors import MachineError
from mlpbench.data.bundled import bundled_data, mnist1d
from mlpbench.data.bundled.bundled_data import BUNDLED
from mlpbench.data.data_sets import DATA_SETS, lookup
from mlpbench.data.dataset import Dataset
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.data.synthetic import SYNTHETIC
from mlpbench.data.table_pack.pack_table import TABLE_PACK
from mlpbench.experiment import grid
from mlpbench.experiment.spec import build
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import train_stack

# Every stored result rests on them.
CONTENTS = {
    "digits": "457312f9b1271be7f027f214199f4c7548f1d7a2d5a766039a1bcc29a200128b",
    "mnist1d": "bbb33dcb8299018c6c825c5a54898fe0dc6fba51b5b0ab368da16f99d31edf5e",
}


@pytest.fixture(scope="module")
def small() -> Dataset:
    return lookup("mnist1d").load()


@pytest.mark.parametrize("name", BUNDLED)
def test_the_arrays_are_what_the_facts_say_and_never_others(name: str) -> None:
    made, facts = lookup(name).load(), BUNDLED[name].facts
    assert made.x_train.shape == (facts.n_train, facts.n_features)
    assert made.x_test.shape == (facts.n_test, facts.n_features)
    assert set(made.y_train.tolist()) == set(made.y_test.tolist()) == set(range(facts.n_outputs))
    assert made.x_train.dtype == np.float32
    assert made.x_train.flags.c_contiguous
    assert not made.x_train.flags.writeable
    parts = (made.x_train, made.y_train, made.x_test, made.y_test)
    assert hashlib.sha256(b"".join(a.tobytes() for a in parts)).hexdigest() == CONTENTS[name]


def test_every_name_means_one_data_set() -> None:
    assert len(DATA_SETS) == len(CATALOGUE) + len(BUNDLED) + len(TABLE_PACK) + len(SYNTHETIC)
    assert all(data.facts.name == name for name, data in DATA_SETS.items())


def test_digits_are_scikit_learns_in_a_stratified_split() -> None:
    made, bunch = lookup("digits").load(), load_digits()
    rows = {(x.tobytes(), int(y)) for x, y in zip((bunch.data / 16).astype(np.float32), bunch.target)}
    got = [(x.tobytes(), int(y)) for xs, ys in ((made.x_train, made.y_train), (made.x_test, made.y_test)) for x, y in zip(xs, ys)]  # fmt: skip
    assert len(got) == 1797
    assert set(got) == rows
    assert (made.x_train.min(), made.x_train.max()) == (0, 1)
    share = np.bincount(made.y_test) / np.bincount(bunch.target)
    assert np.abs(share - 360 / 1797).max() < 0.005


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_data, "DIGITS_SHA256", "0" * 64)
    with pytest.raises(MachineError, match=r"digits\.npz of the package must have SHA-256 000000000000, got f10b"):
        lookup("digits").load()


def test_the_licence_of_the_digits_comes_with_them() -> None:
    told = importlib.resources.files("mlpbench.data.bundled").joinpath("digits.txt").read_text()
    assert "Creative Commons Attribution 4.0" in told
    assert "10.24432/C50P49" in told


def test_mnist1d_is_standard_and_balanced(small: Dataset) -> None:
    x = np.concatenate([small.x_train, small.x_test]).astype(float)
    y = np.concatenate([small.y_train, small.y_test])
    assert abs(x.mean()) < 1e-6
    assert x.std() == pytest.approx(1, abs=1e-4)
    assert np.bincount(y).tolist() == [500] * 10
    assert np.array_equal(np.round(x * mnist1d.GRID), x * mnist1d.GRID)


@pytest.mark.slow
def test_mnist1d_is_as_hard_as_its_authors_found_it(small: Dataset) -> None:
    """They report 32% for logistic regression, 68% for an MLP and 94% for a convolutional network."""
    fixed = {"optimizer": "adam", "lr": 0.01, "init": "default", "batch_size": 100, "epochs": 25}
    conditions = [{"label": "linear", "hidden_sizes": []}, {"label": "deep", "hidden_sizes": [100, 100]}]
    tree = {"name": "x", "question": "?", "dataset": "mnist1d", "fixed": fixed, "factors": {"conditions": conditions}}
    linear, deep = grid.runs(build(tree | {"replicates": 1}))
    data = DeviceData(small, torch.device("cpu"))
    accuracies = [train_stack([run], data).runs[0]["test_accuracy"] for run in (linear, deep)]
    assert 0.25 < accuracies[0] < 0.39
    assert 0.55 < accuracies[1] < 0.8


def test_mnist1d_has_its_templates_in_it(small: Dataset) -> None:
    """Moved round and sloped as they are, examples of a class are more alike than others, best shifts taken."""
    templates = mnist1d._templates()
    assert np.abs(templates[:, [0, -1]]).max() < 1e-12
    points = np.linspace(0, 1, 12)
    sampled = np.stack([np.interp(np.linspace(0, 1, 8), points, t) for t in templates])
    x = small.x_train[:2000].astype(float)
    windows = np.stack([np.roll(x, -s, axis=1)[:, :8] for s in range(40)], 1)

    def standard(a: np.ndarray) -> np.ndarray:
        line = np.stack([np.ones(8), np.arange(8)], 1)
        rest = a - (a @ line) @ np.linalg.inv(line.T @ line) @ line.T
        return np.asarray(rest / np.linalg.norm(rest, axis=-1, keepdims=True))

    alike = (standard(windows) @ standard(sampled).T).max(1).argmax(1)
    assert (alike == small.y_train[:2000]).mean() > 0.25


def test_fetch_says_where_they_come_from_and_needs_no_network() -> None:
    assert [lookup(n).fetch() for n in ("digits", "mnist1d")] == ["in the package", "generated in the package"]
    assert [lookup(n).fetch() for n in SYNTHETIC] == ["drawn anew for each replicate"] * 2
    assert all(lookup(n).is_cached() for n in BUNDLED)
