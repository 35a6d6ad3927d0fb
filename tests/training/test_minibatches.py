"""Splits, batches and dropout noise: who sees what, exactly.

The examples of `CODED` carry their own number in their pixels, so that a batch tells which examples it is made of.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from small_data import Made, made, runs
from torch import Tensor

from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_data import DeviceData, Split, split
from mlpbench.training.batches.minibatches import Batches, Examples, Gather, noisy_labels
from mlpbench.training.batches.stacked_inputs import Group, Inputs, groups
from mlpbench.training.batches.training_noise import DropoutNoise
from mlpbench.training.network.mlp_stack import Network, Workspace

CPU = torch.device("cpu")
N, CLASSES = 600, 7


def coded() -> Made:
    plain = made(n_train=N, n_test=20, features=3, classes=CLASSES)
    numbers = np.arange(N)
    x = np.stack([numbers % 256, numbers // 256, np.full(N, 255)], 1).astype(np.uint8)
    dataset = replace(plain.dataset, x_train=x)
    return replace(plain, dataset=dataset, data=DeviceData(dataset, CPU))


CODED = coded()
LABELS = CODED.dataset.y_train


def numbers_in(x_BI: Tensor) -> NDArray[np.int64]:
    digits = (x_BI * 255).round().long().numpy()
    assert (digits[:, 2] == 255).all()
    return np.asarray(digits[:, 0] + 256 * digits[:, 1])


def some_runs(conditions: Sequence[dict[str, Any]] = (), *, replicates: int = 1, **more: Any) -> list[Run]:
    keys = {k: more.pop(k) for k in ("validation", "vary") if k in more}
    return runs(CODED, {"batch_size": 64, **more}, conditions, replicates=replicates, **keys)


def batches_of(members: Sequence[Run]) -> Batches:
    fit = [split(r, LABELS).fit for r in members]
    return Batches(members, fit, noisy_labels(members, CODED.data), CODED.data, dtype=torch.float32)


def epoch_of(members: Sequence[Run], epoch: int) -> list[list[NDArray[np.int64]]]:
    """The batches of an epoch by run, as numbers of examples; labels and shapes are checked on the way."""
    batches = batches_of(members)
    s = members[0].settings
    seen: list[list[NDArray[np.int64]]] = [[] for _ in members]
    for step in range(epoch * s.steps_per_epoch, (epoch + 1) * s.steps_per_epoch):
        inputs, y_RB1 = batches.at(step)
        for own, x_RBI in inputs.parts():
            assert x_RBI.shape == (own.stop - own.start, y_RB1.shape[1], 3)
            for i, run in enumerate(range(own.start, own.stop)):
                numbers = numbers_in(x_RBI[i])
                assert y_RB1[run, :, 0].tolist() == LABELS[numbers].tolist()
                seen[run].append(numbers)
    return seen


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    size=st.integers(2, N),
    batch=st.integers(1, N + 5),
    epoch=st.integers(0, 3),
    validation=st.sampled_from([None, 0.1, 0.5]),
)
def test_an_epoch_has_every_example_once_and_keeps_the_last_batch(
    size: int, batch: int, epoch: int, validation: float | None
) -> None:
    assume(validation is None or 0 < round(size * validation) < size)
    members = some_runs(replicates=2, train_size=size, batch_size=batch, validation=validation)
    for run, seen in zip(members, epoch_of(members, epoch)):
        fit = split(run, LABELS).fit
        assert sorted(np.concatenate(seen).tolist()) == sorted(fit.tolist())
        lengths = [len(b) for b in seen]
        full = min(batch, len(fit))
        assert lengths[:-1] == [full] * (len(lengths) - 1)
        assert lengths[-1] == len(fit) - full * (len(lengths) - 1)
        assert 1 <= lengths[-1] <= full


def test_the_order_is_a_new_one_each_epoch_and_each_replicate() -> None:
    members = some_runs(replicates=2)
    orders = [np.concatenate(seen).tolist() for epoch in (0, 1, 2) for seen in epoch_of(members, epoch)]
    assert len({tuple(o) for o in orders}) == 6


def test_going_back_to_an_earlier_step_gives_its_batch_again() -> None:
    """A batch is a function of the step, not of the steps before."""
    (run,) = some_runs()
    batches = batches_of([run])
    seen = [numbers_in(batches.at(step)[0].x_GBI[0]).tolist() for step in (3, 25, 3)]
    assert seen[0] == seen[2] != seen[1]


def test_every_example_is_equally_likely_to_come_first() -> None:
    (run,) = some_runs(train_size=10, batch_size=1)
    first = Counter(int(epoch_of([run], epoch)[0][0][0]) for epoch in range(400))
    assert len(first) == 10
    assert stats.chisquare(list(first.values())).pvalue > 0.01


def test_inputs_are_the_pixels_divided_by_255() -> None:
    data = made(n_train=300, n_test=20, features=19, classes=5)
    (run,) = runs(data, {"batch_size": 128})
    fit = split(run, data.dataset.y_train).fit
    for dtype in (torch.float32, torch.float64):
        inputs, _ = Batches([run], [fit], noisy_labels([run], data.data), data.data, dtype=dtype).at(0)
        x = inputs.x_GBI[0]
        assert x.dtype == dtype
        rows = {tuple(row) for row in (np.asarray(data.dataset.x_train) / np.array(255, x.numpy().dtype)).tolist()}
        assert {tuple(row) for row in x.tolist()} <= rows
        assert 0 <= float(x.min()) < 0.1
        assert 0.9 < float(x.max()) <= 1


def test_conditions_of_a_replicate_share_their_batches_and_replicates_do_not() -> None:
    conditions: list[dict[str, Any]] = [{"lr": 0.1}, {"lr": 0.5, "dropout": 0.5}, {"lr": 1.0, "init": "he_normal"}]
    members = sorted(some_runs(conditions, replicates=2), key=lambda r: r.replicate)
    inputs, _ = batches_of(members).at(0)
    assert inputs.x_GBI.shape[0] == 2, "gathered once for each replicate"
    seen = [np.concatenate(b).tolist() for b in epoch_of(members, 0)]
    assert seen[0] == seen[1] == seen[2]
    assert seen[3] == seen[4] == seen[5]
    assert seen[0] != seen[3]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 2, 1, 3], [3, 0, 2, 1]])
def test_a_run_sees_its_own_batches_wherever_it_stands(order: list[int]) -> None:
    members = some_runs([{"lr": 0.1}, {"lr": 0.2}], replicates=2, train_size=300, validation=0.2)
    alone = {r.run_id: epoch_of([r], 1)[0] for r in members}
    stack = [members[i] for i in order]
    for run, seen in zip(stack, epoch_of(stack, 1)):
        assert [b.tolist() for b in seen] == [b.tolist() for b in alone[run.run_id]]


@pytest.mark.parametrize("vary", [["init"], ["order"], ["split"], ["init", "order", "dropout", "split", "noise"]])
def test_only_the_streams_that_vary_differ_between_replicates(vary: list[str]) -> None:
    members = some_runs(replicates=2, train_size=200, vary=vary)
    first, second = (split(r, LABELS).fit.tolist() for r in members)
    assert (first != second) == ("split" in vary)
    seen = [np.concatenate(b).tolist() for b in epoch_of(members, 0)]
    assert (seen[0] != seen[1]) == (vary != ["init"])


def test_a_smaller_training_set_is_a_subset_of_a_larger_one() -> None:
    chosen: dict[int, list[set[int]]] = {0: [], 1: []}
    for size in (1, 10, 100, 599, 600):
        for run in some_runs(replicates=2, train_size=size):
            fit = split(run, LABELS).fit
            assert len(set(fit.tolist())) == len(fit) == size
            chosen[run.replicate].append(set(fit.tolist()))
    for nested in chosen.values():
        assert all(small < large for small, large in itertools.pairwise(nested))
    assert chosen[0][2] != chosen[1][2]
    assert chosen[0][4] == set(range(N))


@settings(derandomize=True, deadline=None, max_examples=80)
@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    share=st.floats(0.02, 0.9),
    replicate=st.integers(0, 5),
)
def test_validation_is_a_stratified_part_of_the_training_set(counts: list[int], share: float, replicate: int) -> None:
    labels = np.random.default_rng(len(counts)).permutation(np.repeat(np.arange(len(counts), dtype=np.uint8), counts))
    total = len(labels)
    (run,) = some_runs()
    changed = replace(run.settings, train_size=total, validation=share)
    run = replace(
        run, condition=replace(run.condition, settings=changed), streams=dict.fromkeys(run.streams, replicate)
    )
    made_of = split(run, labels)
    assert len(made_of.validation) == round(total * share)
    assert sorted([*made_of.fit.tolist(), *made_of.validation.tolist()]) == list(range(total))
    for label, count in enumerate(counts):
        held = int((labels[made_of.validation] == label).sum())
        assert abs(held - count * len(made_of.validation) / total) < 1


def test_which_examples_validate_is_a_draw_of_the_replicate_alone() -> None:
    members = some_runs([{"lr": 0.1}, {"lr": 0.2, "dropout": 0.5}], replicates=2, validation=0.2)
    held = [tuple(split(r, LABELS).validation.tolist()) for r in members]
    assert held[0] == held[2]
    assert held[1] == held[3]
    assert held[0] != held[1]
    assert sum(np.diff(held[0]) == 1) < 60, "not one stretch of the data"


def test_validation_is_taken_from_the_chosen_examples() -> None:
    (whole,) = some_runs(train_size=100)
    (parted,) = some_runs(train_size=100, validation=0.25)
    made_of = split(parted, LABELS)
    assert (len(made_of.fit), len(made_of.validation)) == (75, 25)
    assert {*made_of.fit.tolist(), *made_of.validation.tolist()} == set(split(whole, LABELS).fit.tolist())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
@settings(derandomize=True, deadline=None)
def test_groups_cover_the_stack_and_point_at_one_list_for_each_key(keys: list[int]) -> None:
    (run,) = some_runs()
    stack = [replace(run, replicate=k) for k in keys]
    made_of, first = groups(stack, lambda r: r.replicate)
    assert [r.replicate for r in first] == list(dict.fromkeys(keys))
    covered = [i for g in made_of for i in range(g.start, g.stop)]
    assert covered == list(range(len(keys)))
    for g in made_of:
        assert {keys[i] for i in range(g.start, g.stop)} == {first[g.batch].replicate}


@pytest.mark.parametrize("features", [1, 15, 16, 17])
def test_a_gather_reads_the_rows_it_is_told_however_many_it_read_before(features: int) -> None:
    rng = np.random.default_rng(features)
    x = torch.from_numpy(rng.integers(0, 256, (30, features), dtype=np.uint8))
    labels_KN = torch.from_numpy(rng.integers(0, 9, (2, 30)))
    labelling = torch.tensor([1, 0, 1])
    index = torch.from_numpy(rng.integers(0, 30, (2, 11)))
    made_of = [Group(start=0, stop=1, batch=1), Group(start=1, stop=3, batch=0)]
    examples = Examples(x=x, labels=labels_KN, labelling=labelling, index_GN=index, groups=made_of)
    gather = Gather(2, 5, features, dtype=torch.float64, device=CPU)
    for start in (0, 5, 10, 0):
        stop = min(start + 5, 11)
        inputs, labels = gather(examples, start, stop)
        assert torch.equal(inputs.x_GBI, x[index[:, start:stop]].double() / 255)
        for run, (batch, labelled) in enumerate(((1, 1), (0, 0), (0, 1))):
            assert torch.equal(labels[run, :, 0], labels_KN[labelled, index[batch, start:stop]])
    assert len(examples) == 11
    assert torch.equal(examples.first(4).index_GN, index[:, :4])
    assert len(examples.first(100)) == 11


# Dropout. 256 x 400 units: the standard error of a keep rate is 0.0016 at most, so 0.79 is told from 0.80.
BATCH, UNITS = 256, 400
PROBABILITIES = [0.1, 0.2, 0.4, 0.5, 0.8]


def masks_of(
    members: Sequence[Run],
    *,
    step: int = 0,
    layer: int = 0,
    noise: Inputs | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The masks (R, B, U) that the stack multiplies its activations with."""
    network = Network([r.settings for r in members], [3, UNITS, UNITS, CLASSES], dtype=dtype, device=CPU)
    work = Workspace(network, BATCH, backward=True)
    drawn = noise or DropoutNoise(members, dtype=dtype, device=CPU).at(step, layer, BATCH, UNITS)
    network.set_mask(layer, drawn, work)
    mask = work.mask[layer]
    assert mask is not None
    return mask.x_RNM


def dropping(*probabilities: float, replicates: int = 1) -> list[Run]:
    return some_runs([{"dropout": p} for p in probabilities], replicates=replicates, hidden_sizes=[UNITS, UNITS])


def keep_rate_is_right(mask: Tensor, p: float) -> bool:
    return bool(stats.binomtest(int((mask != 0).sum()), mask.numel(), 1 - p).pvalue > 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_keeps_1_minus_p_and_scales_by_its_inverse(dtype: torch.dtype) -> None:
    members = dropping(*PROBABILITIES)
    for step, layer in ((0, 0), (0, 1), (17, 0)):
        for p, mask in zip(PROBABILITIES, masks_of(members, step=step, layer=layer, dtype=dtype), strict=True):
            assert keep_rate_is_right(mask, p)
            assert set(mask.unique().tolist()) == {0.0, float(torch.tensor(1 / (1 - p), dtype=dtype))}
            error = math.sqrt(p / (1 - p) / mask.numel())
            assert abs(float(mask.double().mean()) - 1) < 4 * error, "unbiased: a mask is 1 in the mean"
            assert keep_rate_is_right(mask[:, :7], p), "every unit"
            assert keep_rate_is_right(mask[-3:], p), "every example"


@pytest.mark.parametrize("p", PROBABILITIES)
def test_a_mask_drawn_from_a_normal_would_be_caught(p: float) -> None:
    """As in one of the notes: `randn < 1 - p` keeps 79% where 80% is meant, and 69% where 50% is meant."""
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal((1, BATCH, UNITS)))
    assert not keep_rate_is_right((normal < 1 - p).double(), p)
    noise = Inputs(x_GBI=normal, groups=[Group(start=0, stop=1, batch=0)])
    assert not keep_rate_is_right(masks_of(dropping(p), noise=noise, dtype=torch.float64), p)


def test_p_of_0_and_1_are_exact() -> None:
    none, some, every = masks_of(dropping(0, 0.5, 1))
    assert torch.equal(none, torch.ones(BATCH, UNITS))
    assert torch.equal(every, torch.zeros(BATCH, UNITS))
    assert 0 < float(some.mean()) < 2


def test_the_smallest_and_the_largest_draw_fall_on_the_right_side() -> None:
    """Noise is in [0, 1): a draw of exactly 0 is kept at p = 0; the largest float below 1 is dropped at p = 1."""
    ends = torch.tensor([0.0, 1 - 2**-24]).repeat(BATCH * UNITS // 2).view(1, BATCH, UNITS)
    noise = Inputs(x_GBI=ends, groups=[Group(start=0, stop=3, batch=0)])
    none, some, every = masks_of(dropping(0, 0.5, 1), noise=noise)
    assert none.all()
    assert not every.any()
    assert torch.equal(some, torch.tensor([0.0, 2.0]).repeat(BATCH * UNITS // 2).view(BATCH, UNITS))


def test_conditions_of_a_replicate_share_the_noise_and_replicates_steps_and_layers_do_not() -> None:
    members = sorted(dropping(0.2, 0.5, replicates=2), key=lambda r: r.replicate)
    a_fifth, a_half, other_fifth, other_half = masks_of(members) != 0
    assert torch.equal(a_fifth & a_half, a_half), "what a larger p keeps, a smaller p keeps too"
    assert torch.equal(other_fifth & other_half, other_half)
    for other in (other_half, masks_of(members, step=1)[1] != 0, masks_of(members, layer=1)[1] != 0):
        agree = int((a_half == other).sum())
        assert stats.binomtest(agree, a_half.numel(), 0.5).pvalue > 1e-3, "independent draws agree half the time"


def test_dropout_does_nothing_in_evaluation() -> None:
    members = dropping(0, 0.5, 1)
    network = Network([r.settings for r in members], [3, UNITS, UNITS, CLASSES], dtype=torch.float32, device=CPU)
    rng = torch.Generator().manual_seed(0)
    for weight, rows in zip(network.parameters.weights, network.sizes):
        weight.x_RNM[:, :rows] = torch.randn(weight.x_RNM[0, :rows].shape, generator=rng) * 0.1
    x = torch.rand(1, BATCH, 3, generator=rng)
    inputs = Inputs(x_GBI=x, groups=[Group(start=0, stop=3, batch=0)])
    work = Workspace(network, BATCH, backward=True)
    for layer in (0, 1):
        network.set_mask(layer, DropoutNoise(members, dtype=torch.float32, device=CPU).at(0, layer, BATCH, UNITS), work)
    none, half, every = network.forward(inputs, work, train=False).x_RNM.clone()
    assert torch.equal(none, half)
    assert torch.equal(none, every)
    none, half, every = network.forward(inputs, work, train=True).x_RNM
    assert none.any()
    assert not torch.equal(none, half)
    assert not every.any(), "all units dropped, no bias: nothing arrives"


def test_a_split_is_not_what_the_batches_shuffle() -> None:
    """Indices of a split are left alone by training, which uses them again to measure."""
    (run,) = some_runs(train_size=100)
    fit = split(run, LABELS)
    kept = Split(fit=fit.fit.copy(), validation=fit.validation.copy())
    batches = Batches([run], [fit.fit], noisy_labels([run], CODED.data), CODED.data, dtype=torch.float32)
    for step in range(5):
        batches.at(step)
    assert np.array_equal(fit.fit, kept.fit)
