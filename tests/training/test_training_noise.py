"""Noise: labels replaced at random, and Gaussian noise on the inputs of training, each from its own stream."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from small_data import Made, made, runs
from torch import Tensor

from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_data import split
from mlpbench.training.batches.minibatches import noisy_labels
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.batches.training_noise import InputNoise

CPU = torch.device("cpu")
LARGE = made(n_train=20_000, n_test=10, features=3, classes=10)


def labels_of(members: Sequence[Run], data: Made = LARGE) -> list[NDArray[np.int64]]:
    noisy = noisy_labels(members, data.data)
    return [noisy.y_KN[i].numpy() for i in noisy.of_run.tolist()]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_of_labels_is_replaced_by_any_class_alike(share: float) -> None:
    """A random class is the right one in one case of ten: 9 of 10 replaced labels differ from what they were."""
    (y,) = labels_of(runs(LARGE, {"label_noise": share}))
    clean = LARGE.dataset.y_train
    assert stats.binomtest(int((y != clean).sum()), len(y), 0.9 * share).pvalue > 1e-3
    wrong = y[y != clean]
    expected = np.array([(clean != c).sum() for c in range(10)], float)
    counts = np.bincount(wrong, minlength=10)
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3


def test_all_or_none_of_the_labels_are_replaced_at_the_ends() -> None:
    none, every = labels_of(runs(LARGE, {}, [{"label_noise": 0}, {"label_noise": 1}]))
    assert np.array_equal(none, LARGE.dataset.y_train)
    counts = np.bincount(every, minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-3, "whatever the classes were"
    for c in range(10):
        assert abs((every[LARGE.dataset.y_train == c] == c).mean() - 0.1) < 0.05


def test_a_smaller_share_replaces_a_part_of_a_larger_one() -> None:
    conditions = [{"label_noise": p} for p in (0, 0.2, 0.6, 1)]
    members = runs(LARGE, {}, conditions, replicates=2)
    by_share = np.stack(labels_of(members)).reshape(4, 2, -1)
    for replicate in (0, 1):
        clean, little, much, every = by_share[:, replicate]
        for fewer, more in ((little, much), (much, every), (little, every)):
            replaced = fewer != clean
            assert np.array_equal(fewer[replaced], more[replaced])
    assert (by_share[1, 0] != by_share[1, 1]).any()


@pytest.mark.parametrize("vary", [["noise"], ["init", "order", "dropout", "split"]])
def test_labels_change_with_the_noise_stream_only(vary: list[str]) -> None:
    first, second = labels_of(runs(LARGE, {"label_noise": 0.5}, replicates=2, vary=vary))
    assert np.array_equal(first, second) == (vary != ["noise"])


def test_runs_that_learn_the_same_labels_share_them() -> None:
    conditions = [{"label_noise": p, "lr": lr} for p in (0, 0.5) for lr in (0.1, 0.2)]
    noisy = noisy_labels(runs(LARGE, {}, conditions, replicates=3), LARGE.data)
    assert noisy.y_KN.shape == (1 + 3, 20_000), "one without noise, and one for each replicate"
    assert noisy.of_run.tolist() == [0] * 6 + [1, 2, 3] * 2
    assert torch.equal(noisy.y_KN[0], LARGE.data.y_train)


def test_validation_is_stratified_by_the_labels_as_they_were() -> None:
    clean, noisy = runs(LARGE, {}, [{"label_noise": 0}, {"label_noise": 0.9}], validation=0.2)
    of = LARGE.dataset.y_train
    assert np.array_equal(split(clean, of).validation, split(noisy, of).validation)


def noised(members: Sequence[Run], step: int, *, n: int = 4000, features: int = 5) -> Tensor:
    """What is added to inputs of zeros, (R, B, I); the runs share one batch."""
    noise = InputNoise(members, features, dtype=torch.float64, device=CPU)
    zeros = Inputs(x_GBI=torch.zeros(1, n, features).double(), groups=[Group(start=0, stop=len(members), batch=0)])
    return torch.cat([x for _, x in _added(noise, step, zeros).parts()])


def _added(noise: InputNoise, step: int, inputs: Inputs) -> Inputs:
    noise.draw(step, inputs.x_GBI.shape[1])
    return noise.added(inputs)


def noisy_runs(*deviations: float, **keys: Any) -> list[Run]:
    return runs(LARGE, {"batch_size": 4000}, [{"input_noise": d} for d in deviations], **keys)


def test_input_noise_is_normal_with_the_deviation_that_was_asked_for() -> None:
    none, some, much = noised(noisy_runs(0, 0.1, 2.5), 3)
    assert not none.any()
    for x, deviation in ((some, 0.1), (much, 2.5)):
        assert stats.kstest(x.numpy().ravel() / deviation, "norm").pvalue > 0.01
        assert abs(np.corrcoef(x[:, 0].numpy(), x[:, 1].numpy())[0, 1]) < 4 / math.sqrt(len(x)), (
            "each input has its own"
        )
        assert abs(np.corrcoef(x[:-1].ravel().numpy(), x[1:].ravel().numpy())[0, 1]) < 4 / math.sqrt(x.numel())
    # One draw for all conditions of a replicate.
    torch.testing.assert_close(much, 25 * some, rtol=1e-12, atol=0)


def test_input_noise_is_a_new_one_at_each_step_and_for_each_replicate() -> None:
    members = noisy_runs(1, replicates=2)
    drawn = [noised(members, step) for step in (0, 1)]
    for a, b in itertools.combinations([drawn[0][0], drawn[0][1], drawn[1][0], drawn[1][1]], 2):
        assert abs(np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1]) < 4 / math.sqrt(a.numel())
    assert torch.equal(noised(members, 0), drawn[0]), "a function of the step"
    fixed = noised(noisy_runs(1, replicates=2, vary=["init"]), 0)
    assert torch.equal(fixed[0], fixed[1])


def test_input_noise_is_added_to_the_batch_of_each_run_and_leaves_the_batch_as_it_was() -> None:
    members = noisy_runs(0, 0.5)
    noise = InputNoise(members, 5, dtype=torch.float64, device=CPU)
    x = torch.rand(2, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = x.clone()
    inputs = Inputs(x_GBI=x, groups=[Group(start=0, stop=1, batch=1), Group(start=1, stop=2, batch=0)])
    ((_, own),) = _added(noise, 2, inputs).parts()
    assert torch.equal(x, kept)
    assert torch.equal(own[0], x[1])
    torch.testing.assert_close(own[1] - x[0], noised(members, 2, n=7)[1])


def test_without_noise_the_inputs_are_handed_on() -> None:
    inputs = Inputs(x_GBI=torch.zeros(1, 3, 5), groups=[Group(start=0, stop=1, batch=0)])
    assert InputNoise(noisy_runs(0), 5, dtype=torch.float32, device=CPU).added(inputs) is inputs
