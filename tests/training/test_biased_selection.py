"""Selection of training examples: what is accepted, how often, and which runs share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_data import made, made_numbers, runs

from mlpbench.base.streams import generator
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.biased_selection import acceptance, selected, standardised_mean
from mlpbench.training.batches.device_data import DeviceData, split

MADE = made(n_train=6_000, n_test=10, features=19, classes=5)
DATA = MADE.data
FIXED = {"hidden_sizes": [3], "train_size": 800}


def one(*, of: Any = MADE, replicates: int = 1, **fixed: Any) -> Run:
    return runs(of, FIXED | fixed, replicates=replicates)[-1]


def of(data: DeviceData, run: Run) -> list[int]:
    found: list[int] = selected(run, data.z_train, data.labels).tolist()
    return found


def test_the_mean_input_is_standardised_whatever_its_type() -> None:
    z = standardised_mean(MADE.dataset.x_train)
    assert z.mean() == pytest.approx(0, abs=1e-12)
    assert z.std() == pytest.approx(1)
    assert np.allclose(z, standardised_mean(MADE.dataset.x_train.astype(np.float32)), atol=1e-6)
    assert np.corrcoef(z, MADE.dataset.x_train.mean(axis=1))[0, 1] == pytest.approx(1)
    assert standardised_mean(np.full((4, 3), 7, np.uint8)).tolist() == [0, 0, 0, 0]


def test_acceptance_falls_exponentially_to_the_dark_and_geometrically_over_classes() -> None:
    z = np.array([-1.0, 0.0, 1.0, 2.5])
    y = np.array([0, 1, 2, 3], dtype=np.uint8)
    assert np.allclose(acceptance("covariate(2.0)", z, y), np.exp([-4, -2, 0, 0]))
    by_class = acceptance("label(1.5)", z, y)
    assert np.allclose(by_class[1:] / by_class[:-1], np.exp(-0.5))
    assert by_class[-1] / by_class[0] == pytest.approx(np.exp(-1.5))
    assert by_class[0] == 1


@pytest.mark.parametrize("shift", [{"covariate": 1.0}, {"covariate": 3.0}, {"label": 2.0}])
def test_examples_are_accepted_as_often_as_they_should_be(shift: dict[str, float]) -> None:
    """Over 200 replicates the examples of each fifth of acceptance turn up in proportion to it."""
    picked = np.zeros(6_000)
    run = one(train_shift=shift)
    for r in runs(MADE, FIXED | {"train_shift": shift}, replicates=200):
        picked[of(DATA, r)] += 1
    a = acceptance(run.settings.train_shift, DATA.z_train, DATA.labels)
    group = np.digitize(a, np.unique(np.quantile(a, [0.2, 0.4, 0.6, 0.8])))
    found, expected = (np.array([v[group == g].sum() for g in np.unique(group)]) for v in (picked, a))
    expected *= found.sum() / expected.sum()
    assert len(found) > 2
    assert expected.max() > 2 * expected.min()
    assert (np.abs(found - expected) < 4 * np.sqrt(expected)).all()


def test_a_smaller_train_size_is_a_subset_and_no_example_comes_twice() -> None:
    large, small = (of(DATA, one(train_size=n, train_shift={"label": 1})) for n in (1_500, 400))
    assert large[:400] == small
    assert len(set(large)) == 1_500


def test_runs_share_their_selection_whatever_they_do_with_it_and_replicates_do_not() -> None:
    shift: dict[str, Any] = {"train_shift": {"label": 2}}
    plain, weighted, wider = one(**shift), one(**shift, weighting="bbse"), one(**shift, hidden_sizes=[40])
    assert of(DATA, plain) == of(DATA, weighted) == of(DATA, wider)
    assert of(DATA, plain) != of(DATA, one(replicates=2, **shift))


def test_a_weaker_shift_takes_all_that_a_stronger_one_does_of_the_examples_it_looks_at() -> None:
    """Order and draws are shared: that is what pairs the levels of `train_shift`."""
    order = generator(0, 0, "split", 0).permutation(6_000).tolist()
    place = {example: i for i, example in enumerate(order)}
    weak, strong = (of(DATA, one(train_shift={"covariate": s})) for s in (0.5, 2.0))
    looked_at = max(place[i] for i in weak)
    assert {i for i in strong if place[i] <= looked_at} <= set(weak)
    assert [place[i] for i in weak] == sorted(place[i] for i in weak)


def test_too_few_accepted_are_an_error_that_says_how_many() -> None:
    z = np.full(6_000, -5.0)
    run = one(train_shift={"covariate": 1.0})
    with pytest.raises(
        ValueError, match=r"at most what train_shift covariate\(1\.0\) accepts, 1?\d of 6000 here, got 800"
    ):
        selected(run, z, DATA.labels)


def test_validation_is_taken_from_what_was_selected() -> None:
    (run,) = runs(MADE, FIXED | {"train_shift": {"label": 3}}, validation=0.25)
    parts = split(run, DATA.labels, DATA.z_train)
    assert sorted([*parts.fit, *parts.validation]) == sorted(of(DATA, run))
    assert len(parts.validation) == 200
    (plain,) = runs(MADE, FIXED, validation=0.25)
    assert sorted([*parts.fit]) != sorted(split(plain, DATA.labels).fit)


def test_numbers_are_selected_by_their_inputs() -> None:
    numbers = made_numbers(n_train=3_000, n_test=10, features=6)
    run = one(of=numbers, train_size=500, train_shift={"covariate": 1.0})
    z = numbers.data.z_train
    assert z[of(numbers.data, run)].mean() > 0.4
