"""First layers side by side: every row is that of batched products, bit by bit, and where bits would differ nothing is fused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from small_data import made, made_numbers, runs

from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import FUSED_UNITS
from mlpbench.training.batches.stacked_inputs import Group, Inputs, heights
from mlpbench.training.buffers import Stacked
from mlpbench.training.engine import train_stack
from mlpbench.training.network import fused
from mlpbench.training.network.fused import Fused, agrees
from mlpbench.training.network.mlp_stack import Network
from mlpbench.training.worker_setup import StackRows

MADE = made(n_train=700, n_test=1_234, features=37, classes=5)
# One of them diverges, and takes nobody with it.
MEMBERS: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.3, "weight_decay": 0.1, "decay_bias": True},
    {"lr": 1e30},
    {"lr": 0.2, "activation": "sigmoid", "schedule": "cosine", "init": {"normal": 1.0}},
    {"lr": 0.05, "activation": "prelu", "label_noise": 0.5},
]
SHAPE: dict[str, Any] = {"hidden_sizes": [13, 6], "batch_size": 64, "epochs": 3}
TIMES = ("train_seconds", "stack_size")


@pytest.fixture
def tried_afresh() -> Iterator[None]:
    """What was found out about products counts for those alone."""
    agrees.cache_clear()
    yield
    agrees.cache_clear()


@pytest.fixture
def fuses() -> None:
    """Nothing is promised of a library: where wide products have bits of their own, nothing is fused."""
    if not agrees(64, 2, 37, 16, torch.get_num_threads()):
        pytest.skip("wide products have bits of their own on this machine: first layers stay batched")


class Counted:
    """How often first layers went side by side, forward and in descent; trials of whether they may are left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forward = self.subtract = 0
        forward, subtract = Fused.forward, Fused.subtract_gradient

        def counting_forward(this: Fused, *given: Any) -> None:
            self.forward += 1
            forward(this, *given)

        def counting_subtract(this: Fused, *given: Any) -> None:
            self.subtract += 1
            subtract(this, *given)

        agree = fused._agree

        def uncounted_agree(*given: Any) -> bool:
            before = self.forward, self.subtract
            result = agree(*given)
            self.forward, self.subtract = before
            return result

        monkeypatch.setattr(fused, "_agree", uncounted_agree)
        monkeypatch.setattr(Fused, "forward", counting_forward)
        monkeypatch.setattr(Fused, "subtract_gradient", counting_subtract)


def rows(found: StackRows) -> str:
    """Return every number that came out, exactly."""
    tables = (found.runs, found.curves, found.layers, found.predictions)
    return repr([[{k: v for k, v in row.items() if k not in TIMES} for row in table] for table in tables])


def stack(members: Sequence[dict[str, Any]] = MEMBERS, replicates: int = 2, **fixed: Any) -> list[Run]:
    return runs(MADE, SHAPE | fixed, members, replicates=replicates)


@pytest.mark.parametrize(
    ("fixed", "learns"),
    [
        ({}, True),
        ({"hidden_sizes": []}, True),
        ({"hidden_sizes": [FUSED_UNITS]}, True),
        ({"hidden_sizes": [1]}, True),
        ({"dropout": 0.5}, True),
        ({"norm": "batch"}, True),
        ({"norm": "layer", "batch_size": 100}, True),
        ({"batch_size": 700}, True),
        ({"train_size": 129, "validation": 0.3}, True),
        ({"loss": "mse", "features": 20}, True),
        # What changes weights or inputs between the products keeps training batched; evaluation is fused.
        ({"optimizer": "adam"}, False),
        pytest.param({"l1": 0.001}, False, marks=pytest.mark.slow),
        pytest.param({"clip_norm": 0.5}, False, marks=pytest.mark.slow),
        ({"input_noise": 0.1}, False),
    ],
    ids=str,
)
def test_rows_are_those_of_batched_products(
    fixed: dict[str, Any], learns: bool, monkeypatch: pytest.MonkeyPatch, fuses: None
) -> None:
    validation = {"validation": fixed["validation"]} if "validation" in fixed else {}
    given = {k: v for k, v in fixed.items() if k not in validation}
    members = MEMBERS if given.get("hidden_sizes") != [] else MEMBERS[:3]
    company = runs(MADE, SHAPE | given, members, replicates=2, **validation)
    probes = [0.0, 0.5, 1.0, 3.0]
    counted = Counted(monkeypatch)
    side_by_side = train_stack(company, MADE.data, probes=probes)
    assert counted.forward > 0
    assert (counted.subtract > 0) == learns
    monkeypatch.setattr(fused, "FUSED_UNITS", 0)
    counted.forward = counted.subtract = 0
    batched = train_stack(company, MADE.data, probes=probes)
    assert counted.forward == counted.subtract == 0
    assert rows(side_by_side) == rows(batched)
    # Without a hidden layer no weight overflows in so few steps.
    assert {r["status"] for r in batched.runs} == {"ok", *(["diverged"] if company[0].settings.hidden_sizes else [])}


def test_runs_whose_batch_is_theirs_alone_stand_beside_those_that_share(
    monkeypatch: pytest.MonkeyPatch, fuses: None
) -> None:
    company = stack(replicates=3)
    chosen = [r for r in company if r.replicate != 1 or r.settings.weight_decay > 0]
    counted = Counted(monkeypatch)
    side_by_side = train_stack(chosen, MADE.data)
    assert counted.subtract > 0
    monkeypatch.setattr(fused, "FUSED_UNITS", 0)
    assert rows(side_by_side) == rows(train_stack(chosen, MADE.data))


@pytest.mark.parametrize(
    "fixed", [{"precision": "float64"}, {"precision": "bfloat16"}, {"hidden_sizes": [FUSED_UNITS + 1]}], ids=str
)
def test_what_would_gain_nothing_or_be_rounded_is_not_fused(
    fixed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    train_stack(stack(**fixed), MADE.data)
    assert counted.forward == counted.subtract == 0


def test_numbers_to_tell_are_fused_too(monkeypatch: pytest.MonkeyPatch, fuses: None) -> None:
    of = made_numbers(n_train=256, n_test=61, features=19)
    company = runs(of, {"width": 7, "batch_size": 64, "epochs": 2}, [{"lr": 0.01}, {"lr": 0.02}], replicates=2)
    counted = Counted(monkeypatch)
    side_by_side = train_stack(company, of.data)
    assert counted.subtract > 0
    monkeypatch.setattr(fused, "FUSED_UNITS", 0)
    assert rows(side_by_side) == rows(train_stack(company, of.data))


@pytest.mark.parametrize("way", ["forward", "subtract_gradient"])
def test_where_a_single_bit_differs_products_stay_batched(
    way: str, monkeypatch: pytest.MonkeyPatch, tried_afresh: None
) -> None:
    """A library that adds in another order when a product is wide, in few numbers of many."""
    company = stack()
    monkeypatch.setattr(fused, "FUSED_UNITS", 0)
    batched = rows(train_stack(company, MADE.data))
    monkeypatch.setattr(fused, "FUSED_UNITS", FUSED_UNITS)
    original = getattr(Fused, way)

    def other(this: Fused, inputs: Inputs, second: Stacked, third: Any, *rest: Any) -> None:
        original(this, inputs, second, third, *rest)
        result = third.x_RNM[0, -1] if way == "forward" else this._together[0].w_IW[-1, :13]
        result.copy_(torch.nextafter(result, torch.full_like(result, torch.inf)))

    monkeypatch.setattr(Fused, way, other)
    assert not agrees(64, 2, 37, 16, 1)
    assert rows(train_stack(company, MADE.data)) == batched


def test_finite_weights_whose_sum_overflows_are_finite_also_side_by_side() -> None:
    settings = [r.settings for r in stack()[:3]]
    network = Network(settings, [37, 13, 6, 5], dtype=torch.float32, device=torch.device("cpu"))
    groups = [Group(start=0, stop=2, batch=0), Group(start=2, stop=3, batch=1)]
    made_of = Fused(groups, inputs=37, units=13, batch=4, dtype=torch.float32, device=torch.device("cpu"))
    first = network.parameters.weights[0]
    batch = Inputs(x_GBI=torch.zeros(2, 4, 37), groups=groups)
    still = Stacked.zeros(3, 4, 13, dtype=torch.float32, device=torch.device("cpu"))
    for value, fine in ((3e38, True), (float("nan"), False)):
        for run in range(3):
            first.x_RNM.fill_(0.1)
            first.x_RNM[run, :3] = value
            made_of.take(first)
            first.x_RNM[:2].zero_()  # what is side by side is looked at there
            sums_R = torch.zeros(3)
            made_of.subtract_gradient(batch, still, None, sums_R)
            sums_R[2] += first.flat_RS[2].sum()
            assert network.finite(torch.zeros(3), sums_R, made_of).tolist() == [fine or r != run for r in range(3)]


def test_zeros_keep_their_signs_whatever_stands_beside() -> None:
    """Products of one row and one input sum nothing: their zeros have signs that follow from the way they are computed."""
    of = made(n_train=40, n_test=20, features=1, classes=3)
    # The rate times the decay is 1: what is left of a weight at each step is a zero with its sign.
    members = [{"lr": lr, "weight_decay": 1 / lr} for lr in (1.0, 0.5, 2.0)]
    fixed = {"width": 20, "activation": "tanh", "batch_size": 1, "steps": 9}
    company = runs(of, fixed, members, replicates=2)
    together = train_stack(company, of.data, probes=[0.0])
    digests = {r["run_id"]: r["weights_sha256"] for r in together.runs}
    for part in ([company[0]], [company[3], company[0], company[5]], company[::2]):
        found = train_stack(part, of.data, probes=[0.0])
        assert {r["run_id"]: r["weights_sha256"] for r in found.runs}.items() <= digests.items()


@pytest.mark.parametrize("way", ["forward", "subtract_gradient"])
def test_a_zero_of_the_other_sign_is_another_bit(way: str, monkeypatch: pytest.MonkeyPatch, tried_afresh: None) -> None:
    original = getattr(Fused, way)

    def other(this: Fused, inputs: Inputs, second: Stacked, third: Any, *rest: Any) -> None:
        original(this, inputs, second, third, *rest)
        result = third.wide_RNP if way == "forward" else this._together[-1].w_IW
        result.copy_(torch.where(result == 0, -result, result))

    monkeypatch.setattr(Fused, way, other)
    assert not agrees(64, 2, 37, 16, 1)


@pytest.mark.parametrize("batch", [1, 7, 60, 61])
@pytest.mark.parametrize("examples", [1, 60, 61, 120])
def test_all_heights_of_batches_are_tried(examples: int, batch: int) -> None:
    assert heights(examples, batch) == {len(part) for part in torch.split(torch.arange(examples), batch)}


@pytest.mark.parametrize(("rows", "inputs"), [(1, 1), (1, 30), (30, 1), (5, 5)])
def test_products_of_a_few_numbers_are_never_fused(rows: int, inputs: int) -> None:
    assert not agrees(rows, 2, inputs, 16, 1)
