"""What training does on a GPU, seen on a pretend one: placement, company, the shapes of its operations, and its waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pretend_gpu
import pytest
import torch
from oracle_rows import ROWS
from run_output import by_run
from small_data import Made, made, made_images, made_numbers, runs
from torch.utils._python_dispatch import TorchDispatchMode

import mlpbench
from mlpbench.base.environment import gpu_libraries
from mlpbench.base.errors import InputError
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import BRICK, brick
from mlpbench.experiment.settings import GPU_PRECISIONS
from mlpbench.jobs.export import find_run, weights_of
from mlpbench.jobs.options import Options
from mlpbench.jobs.verify import verify
from mlpbench.results.folders import read_folder
from mlpbench.results.store import Store
from mlpbench.training import engine
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import train_stack
from mlpbench.training.steps import Steps
from mlpbench.training.worker_setup import StackRows

CLASSES = made(n_train=50, n_test=21, features=19, classes=5)
NUMBERS = made_numbers(n_train=50, n_test=21, features=5)
IMAGES = made_images(n_train=40, n_test=21, image=(8, 8), classes=3)
BASE: dict[str, Any] = {"hidden_sizes": [7, 5], "batch_size": 16, "epochs": 2}
GPU = torch.device("cuda:0")
# What a GPU computes in another order, or by another kernel, with another number of runs.
BY_NUMBER = ("mm", "sum", "mean", "amax", "max", "min", "norm", "sort", "prod", "softmax", "var", "std", "any", "all")


def trained(members: Sequence[Run], data: Made, **options: Any) -> StackRows:
    return train_stack(members, DeviceData(data.dataset, GPU), **options)


def texts(rows: StackRows) -> dict[str, str]:
    """All rows of each run as text: NaN equals itself."""
    return {run_id: repr(of_run) for run_id, of_run in by_run(rows).items()}


def company(name: str) -> tuple[list[Run], Made]:
    """The run of a row of the oracle and others that may stand in its stack."""
    row = ROWS[name]
    data = NUMBERS if row.numbers else IMAGES if row.images else CLASSES
    fixed = {k: v for k, v in {**BASE, **row.fixed}.items() if v is not None}
    others = [fixed | {"lr": 0.03}, fixed | {"lr": 1e30}]
    keys = {"replicates": 2, **row.keys}
    return runs(data, fixed, [fixed, *others] if "lr" not in row.fixed else [fixed], **keys), data


@pytest.mark.prove
@pytest.mark.parametrize("name", ROWS)
def test_a_run_has_the_same_rows_alone_in_company_and_in_any_place(name: str) -> None:
    """On the pretend device a tensor out of place is an error; its kernels are those of the CPU, which are exact here."""
    members, data = company(name)
    with pretend_gpu.gpu():
        together = texts(trained(members, data))
        assert texts(trained(members[::-1], data)) == together
        assert texts(trained(members[:1], data)) == {members[0].run_id: together[members[0].run_id]}


class Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations whose kernel follows from the number of runs, each with the shapes and strides of its operands."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        operands = [a for a in args if isinstance(a, torch.Tensor)]
        by_number = any(word in name for word in BY_NUMBER) and torch.Tag.pointwise not in func.tags
        if by_number and any(isinstance(a, pretend_gpu.OnDevice) for a in operands):
            self.seen[f"{name} {[(tuple(a.shape), a.stride()) for a in operands]}"] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def shapes() -> Iterator[Counter[str]]:
    with pretend_gpu.gpu(), Shapes() as mode:
        yield mode.seen


MIXED = [
    {"activation": "relu", "dropout": 0.3, "lr": 0.1, "schedule": "cosine"},
    {"activation": "prelu", "dropout": 0.1, "lr": 0.01, "weight_decay": 0.01},
    {"activation": "gelu", "dropout": 0.5, "lr": 0.2, "label_noise": 0.2},
]


@pytest.mark.parametrize(
    "optimizer", ["sgd", "adam", {"adam": {"betas": [0.8, 0.98]}}, {"rmsprop": {"momentum": 0.5}}], ids=str
)
def test_every_product_and_sum_has_the_shape_of_the_brick_whatever_the_company(optimizer: object) -> None:
    assert_same_shapes({"optimizer": optimizer})


@pytest.mark.parametrize(
    "structure",
    [{"bias": False}, {"hidden_sizes": [7, 7], "residual": True}, {"parametrization": {"mup": 3}, "optimizer": "adam"}],
    ids=str,
)
def test_other_structures_have_the_shapes_of_the_brick_too(structure: dict[str, Any]) -> None:
    assert_same_shapes(structure)


def assert_same_shapes(shared: dict[str, Any]) -> None:
    members = runs(CLASSES, BASE | shared, MIXED, replicates=4)
    with shapes() as of_few:
        trained([members[4]], CLASSES)  # PReLU: what it learns is summed up for itself
    with shapes() as of_many:
        trained(members, CLASSES)
    assert len(of_few) > 20
    assert set(of_many) - set(of_few) == set()


def test_an_epoch_waits_twice_and_a_step_starts_as_many_kernels_for_any_number_of_runs() -> None:
    kernels: dict[int, int] = {}
    for replicates in (1, 9):
        members = runs(CLASSES, BASE | {"epochs": 6}, replicates=replicates)
        seen_by: list[tuple[int, int, int]] = []
        with pretend_gpu.gpu() as seen:

            def note(share: float, seen: pretend_gpu.Seen = seen, by: Any = seen_by) -> None:
                by.append(tuple(sum(c.values()) for c in (seen.waits, seen.kernels, seen.to_host)))

            train_stack(members, DeviceData(CLASSES.dataset, GPU), note)
        (waits, counted, bytes_to_host), (waits_then, counted_then, bytes_then) = seen_by[2], seen_by[3]
        assert waits_then - waits <= 2
        assert bytes_then - bytes_to_host <= 8, "a flag an epoch"
        kernels[replicates] = counted_then - counted
    assert kernels[1] == kernels[9]


@pytest.mark.parametrize(
    "shared",
    [
        {"norm": "batch", "dropout": 0.3},
        {"optimizer": "adam", "schedule": "cosine", "clip_norm": 1.0},
        {"activation": "prelu", "weight_decay": 0.1, "input_noise": 0.1, "l1": 1e-4},
        {"steps": 1, "epochs": None},
    ],
    ids=str,
)
def test_a_warm_up_leaves_nothing_behind(shared: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = {k: v for k, v in (BASE | shared).items() if v is not None}
    members = runs(CLASSES, fixed, [{"lr": 0.05}, {"lr": 1e30}], replicates=2)
    with pretend_gpu.gpu():
        warm = texts(trained(members, CLASSES))
        monkeypatch.setattr(Steps, "_warm_up", lambda self, s: None)
        assert texts(trained(members, CLASSES)) == warm


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_kernels_are_compiled_before_the_clock_starts(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step of each number of examples takes 100 s here, as if it compiled; a CPU has nothing to compile."""
    late, seen, descend = [0.0], list[int](), Steps._descend

    def compiled(self: Steps, n: int) -> torch.Tensor:
        late[0] += 0.0 if n in seen else 100.0
        seen.append(n)
        return descend(self, n)

    monkeypatch.setattr(Steps, "_descend", compiled)
    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: time.perf_counter() + late[0]))
    members = runs(CLASSES, BASE | {"epochs": 2}, replicates=2)
    with pretend_gpu.gpu():
        rows = train_stack(members, DeviceData(CLASSES.dataset, torch.device(device)))
    steps = members[0].settings.steps
    assert set(seen) == {16, 2}
    assert len(seen) == steps + (2 if device != "cpu" else 0)
    seconds = sum(float(row["train_seconds"]) for row in rows.runs)
    assert (seconds > 200) == (device == "cpu")


def test_a_whole_run_on_a_gpu_says_what_trains_and_leaves_it_in_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec: dict[str, Any] = {
        "name": "pretend",
        "question": "?",
        "dataset": "mnist1d",
        "fixed": {"train_size": 40, "epochs": 1, "width": 5},
        "replicates": 2,
    }
    with pretend_gpu.gpu():
        ended = mlpbench.run(spec, results=tmp_path, executor="inline", device="cuda", report=False, quiet=False)
    assert ended.statuses == {"ok": 2}
    assert set(ended.runs["env_device"]) == {pretend_gpu.NAME}
    assert set(ended.runs["env_gpu_libraries"]) == {gpu_libraries()}
    assert f"pretend: training on cuda:0, {pretend_gpu.NAME}" in capsys.readouterr().out


@pytest.mark.parametrize("precision", GPU_PRECISIONS)
def test_runs_on_tensor_cores_are_not_verified_or_exported_without_a_gpu(precision: str, tmp_path: Path) -> None:
    fixed = {"train_size": 40, "epochs": 1, "width": 5, "precision": precision}
    spec = {"name": "tf32", "question": "?", "dataset": "mnist1d", "fixed": fixed}
    with pretend_gpu.gpu():
        ended = mlpbench.run(spec, results=tmp_path, executor="inline", device="cuda", report=False)
    experiment, store = read_folder(tmp_path / "tf32"), Store(tmp_path / "tf32")
    options = Options(results=tmp_path, executor="inline", quiet=True, device="cpu")
    with pytest.raises(InputError, match=f"precision {precision} needs a GPU, got the device cpu"):
        verify(experiment, store, options, None)
    with pytest.raises(InputError, match=f"precision {precision} needs a GPU, got the device cpu"):
        weights_of(find_run(ended.runs["run_id"].iloc[0], [tmp_path]), options)


def test_a_brick_is_smaller_where_runs_are_large() -> None:
    (small,), (large,) = (runs(CLASSES, BASE | {"hidden_sizes": sizes}) for sizes in ([7], [8192, 8192, 1024]))
    assert brick(small.settings, CLASSES.facts) == BRICK
    assert brick(large.settings, CLASSES.facts) == 2


def test_more_runs_than_a_brick_are_trained_one_brick_after_another_and_stay_in_order() -> None:
    members = runs(CLASSES, BASE | {"epochs": 1}, replicates=BRICK + 1)
    shares: list[float] = []
    with pretend_gpu.gpu():
        rows = train_stack(members, DeviceData(CLASSES.dataset, GPU), shares.append)
    assert [r["run_id"] for r in rows.runs] == [r.run_id for r in members]
    assert shares == [0.5, 1.0]
