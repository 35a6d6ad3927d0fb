"""Training in this process gives the bits that worker processes give, and leaves torch as it was."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
from pathlib import Path
from typing import Any

import pretend_gpu
import pytest
import torch
from table_equality import same_tables

import mlpbench
from mlpbench.base.environment import VERSION, variables
from mlpbench.base.errors import InputError
from mlpbench.executors import ray_cluster
from mlpbench.executors.process_pool import _carried, _quiet_start
from mlpbench.executors.ray_slot import node_facts
from mlpbench.jobs.options import Options

SPEC: dict[str, Any] = {
    "name": "inline",
    "question": "Does it matter which process trains?",
    "fixed": {"train_size": 90, "epochs": 2, "batch_size": 32, "dropout": 0.2},
    "factors": {"width": [3, 9]},
    "replicates": 2,
    "save_weights": True,
}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["polynomial", "mnist1d"])
def test_this_process_gives_the_tables_that_worker_processes_give(dataset: str, tmp_path: Path) -> None:
    for executor in ("local", "inline"):
        ended = mlpbench.run(SPEC, dataset=dataset, results=tmp_path / executor, executor=executor, report=False)
        assert ended.statuses == {"ok": 4}
    same_tables(tmp_path / "local" / "inline", tmp_path / "inline" / "inline")


def test_torch_is_set_afterwards_as_it_was(tmp_path: Path) -> None:
    def settings() -> tuple[object, ...]:
        small = torch.tensor(1e-310, dtype=torch.float64)
        precision = torch.get_float32_matmul_precision()
        return torch.get_num_threads(), torch.get_deterministic_debug_mode(), precision, bool(small / 2 > 0)

    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    torch.set_deterministic_debug_mode("default")
    try:
        before = settings()
        mlpbench.run(SPEC, dataset="mnist1d", results=tmp_path, executor="inline", report=False)
        assert settings() == before == (2, 0, "medium", True)
    finally:
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("highest")


def test_a_mode_that_libraries_read_when_they_are_loaded_needs_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = r"--executor inline with --numerics portable needs the process to be started with .*MKL_CBWR=AVX2"
    with pytest.raises(InputError, match=rule):
        mlpbench.run(SPEC, dataset="mnist1d", results=tmp_path, executor="inline", numerics="portable", report=False)
    monkeypatch.setenv("NPY_ENABLE_CPU_FEATURES", "AVX2")
    with pytest.raises(InputError, match=r"with --numerics fast needs .* NPY_ENABLE_CPU_FEATURES unset;"):
        mlpbench.run(SPEC, dataset="mnist1d", results=tmp_path, executor="inline", report=False)
    assert list(tmp_path.iterdir()) == []


def test_on_a_gpu_this_process_may_not_have_what_chooses_other_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    rule = "with --numerics fast needs the process to be started with NVIDIA_TF32_OVERRIDE unset; --executor local"
    with pretend_gpu.gpu():
        with pytest.raises(InputError, match=rule):
            mlpbench.run(SPEC, dataset="mnist1d", results=tmp_path, executor="inline", device="cuda", report=False)
        assert list(tmp_path.iterdir()) == []
        Options(executor="inline", device="cpu")  # where it chooses nothing


def test_workers_start_without_what_would_have_a_gpu_take_other_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("NVIDIA_TF32_OVERRIDE", "PYTORCH_TUNABLEOP_ENABLED", "TORCH_BLAS_PREFER_CUBLASLT", "TRITON_INTERPRET")
    for name in names:
        monkeypatch.setenv(name, "1")
    with _quiet_start(variables("fast", 1)):
        begun = subprocess.check_output(["env"], text=True)
    assert not [name for name in names if name in begun]
    assert "OMP_NUM_THREADS=1\n" in begun
    assert "CUBLAS_WORKSPACE_CONFIG=:4096:8\n" in begun


def test_an_executor_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--executor must be one of local, inline, ray, got 'slurm'"):
        mlpbench.run(SPEC, dataset="mnist1d", results=tmp_path, executor="slurm")  # type: ignore[arg-type]


def test_ray_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"dataset": "mnist1d", "results": tmp_path}
    with pytest.raises(InputError, match="--address needs --executor ray, got --executor local"):
        mlpbench.run(SPEC, address="10.0.0.1:6379", **options)
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: object())
    wrongs: tuple[Any, ...] = ("10.0.0.1", "10.0.0.1:0", "ray://10.0.0.1:10001", ":6379", 6379, "a:99999")
    for wrong in wrongs:
        with pytest.raises(InputError, match=r"--address must be host:port of a Ray cluster's head, such as .*, got "):
            mlpbench.run(SPEC, executor="ray", address=wrong, **options)
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed: pip install 'mlpbench\[ray\]'"):
        mlpbench.run(SPEC, executor="ray", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_node_must_have_what_the_driver_has(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"NodeID": "0123456789abcdef", "NodeManagerAddress": "10.0.0.2"}
    monkeypatch.setattr(ray_cluster, "nodes", lambda: [node])
    here = node_facts()
    assert here["mlpbench"] == VERSION
    ray_cluster.check_facts(node["NodeID"], here)
    for what, there in (("Python", "3.99.0"), ("mlpbench", None), ("torch", "1.0"), ("source of mlpbench", "abc")):
        rule = f"the Ray node at 10.0.0.2 (01234567): {what} must be the same on all nodes, {here[what]} here, got "
        with pytest.raises(InputError, match=re.escape(rule + f"{there or 'none'} there: ")):
            ray_cluster.check_facts(node["NodeID"], here | {what: there})
    with pytest.raises(InputError, match="OPENBLAS_CORETYPE must not be set where Ray is started"):
        ray_cluster.check_facts(node["NodeID"], here, ["OPENBLAS_CORETYPE"])
    mismatch = RuntimeError("Version mismatch: The cluster was started with:\n  Ray: 2.60.0\n  Python: 3.12.1")
    said = ray_cluster._not_connected("10.0.0.1:6379", mismatch)
    assert isinstance(said, InputError)
    assert str(said).startswith("Ray and Python must be the same on all nodes: Version mismatch: ")


class Unreadable(Exception):
    """An exception that pickles, and does not unpickle."""

    def __init__(self, place: str, *, why: str) -> None:
        super().__init__(f"{place}: {why}")


def test_an_error_is_handed_over_whatever_it_is() -> None:
    for error in (ValueError("none"), Unreadable("here", why="none"), RuntimeError("none", lambda: None)):
        try:
            raise error
        except Exception as raised:
            carried = pickle.loads(pickle.dumps(_carried(raised)))
        assert "none" in str(carried)
        assert type(carried) in (ValueError, RuntimeError)


@pytest.mark.slow
def test_what_a_piece_prints_is_no_part_of_what_a_command_prints(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = "import mlpbench\nprint('loaded')\n@mlpbench.activation\ndef loud(z):\n    print('called')\n    return z\n"
    (tmp_path / "pieces.py").write_text(source)
    tree = SPEC | {
        "dataset": "mnist1d",
        "plugins": ["pieces.py"],
        "factors": {},
        "replicates": 1,
        "save_weights": False,
    }
    tree |= {"fixed": {"train_size": 90, "steps": 2, "batch_size": 32, "activation": "loud"}}
    (tmp_path / "loud.yaml").write_text(json.dumps(tree))
    mlpbench.run(tmp_path / "loud.yaml", results=tmp_path, report=False, device="cpu")
    seen = capfd.readouterr()
    assert seen.out == ""
    assert "loaded" in seen.err
    assert "called" in seen.err
