"""Stacks on the nodes of a Ray cluster: the tables are those of this machine's workers, whatever node or driver is lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from killable_run import end_of_group, started
from ray_nodes import STORE, cpu_seconds_of_trainers, end_of_trainers, nodes
from repository import ROOT
from ruamel.yaml import YAML
from table_equality import same_tables

import mlpbench
from mlpbench.executors.retries import ATTEMPTS

ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'mlpbench[ray]')")
pytestmark = pytest.mark.slow

WIDTH = YAML(typ="safe").load(ROOT / "experiments" / "width.yaml")
# `experiments/width.yaml`, cut: its eight widths, twelve networks of each in place of 64.
CUT: dict[str, Any] = {key: value for key, value in WIDTH.items() if key not in ("claims", "until_decided")} | {
    "fixed": WIDTH["fixed"] | {"train_size": 3000, "epochs": 2},
    "replicates": 2,
    "save_weights": True,
}
N_RUNS = 16
# Where the command `ray` is, beside Python or beside the package.
PATH = os.pathsep.join(
    [str(Path(sys.executable).parent), str(Path(ray.__file__).parents[1] / "bin"), os.environ["PATH"]]
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "width.yaml"
    YAML(typ="safe").dump(CUT, path)
    return path


@pytest.fixture(scope="module")
def local(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlpbench.run(spec, results=tmp_path_factory.mktemp("local"), executor="inline", report=False).folder


# What must reach no run.
OF_A_NODE = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes, the head, which has set variables that choose kernels in its environment, and another, which has none."""
    with nodes(OF_A_NODE, {}) as both:
        yield both


def finished(results: Path) -> int:
    return len(list((results / "width" / "runs").glob("[!.]*.parquet")))


def wait_for_stacks(process: subprocess.Popen[str], results: Path, number: int) -> None:
    until = time.monotonic() + 600
    while finished(results) < number:
        assert process.poll() is None, f"ended before {number} stacks were finished: {process.communicate()}"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _no_trainers() -> None:
    """Each test starts when the slots of the one before it have ended: it would take theirs for its own."""
    end_of_trainers()


def on(cluster: Any) -> list[str]:
    return ["--executor", "ray", "--address", cluster.address]


# These come first: they find no cluster on this machine. That of the others starts with the first that asks for it.


def test_on_one_machine_one_command_starts_and_ends_it(spec: Path, tmp_path: Path) -> None:
    """In a mode that libraries read from the environment when they are loaded."""
    for executor in ("local", "ray"):
        options = ["--executor", executor, "--numerics", "portable", "--workers", "2" if executor == "ray" else "1"]
        process = started(spec, tmp_path / executor, *options)
        out, errors = process.communicate(timeout=600)
        assert (process.returncode, errors) == (0, ""), out
        end_of_group(process.pid)
    assert "1 node, 2 workers" in out
    same_tables(tmp_path / "ray" / "width", tmp_path / "local" / "width")


@pytest.mark.prove
def test_symmetric_run_starts_a_cluster_for_a_command_and_ends_it(spec: Path, local: Path, tmp_path: Path) -> None:
    """As the README has it for Slurm, on one node."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        address = f"127.0.0.1:{place.getsockname()[1]}"
    command = [
        "ray",
        "symmetric-run",
        "--address",
        address,
        "--min-nodes",
        "1",
        "--num-cpus",
        "2",
        "--",
        sys.executable,
    ]
    trained = ["-m", "mlpbench", "run", str(spec), "--executor", "ray", "--results", str(tmp_path), "--no-report"]
    done = subprocess.run(
        [*command, *trained], env=os.environ | {"PATH": PATH}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert f":{address.partition(':')[2]}: 1 node, 2 workers" in done.stdout
    same_tables(tmp_path / "width", local)


def test_a_node_that_is_killed_loses_nothing_and_the_tables_are_the_local_ones(
    spec: Path, local: Path, cluster: Any, tmp_path: Path
) -> None:
    """Most of it is trained on the head, then: what that has set in its environment reaches no run."""
    process = started(spec, tmp_path, *on(cluster))
    wait_for_stacks(process, tmp_path, 1)
    (other,) = cluster.worker_nodes
    cluster.remove_node(other, allow_graceful=False)
    before = len(pd.read_parquet(tmp_path / "width" / "runs"))
    cluster.add_node(num_cpus=1, object_store_memory=STORE)  # for the tests after this one; this one may use it too
    out, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, ""), out
    assert f"Ray at {cluster.address}: 2 nodes, 2 workers" in out
    assert f"{N_RUNS} runs, {N_RUNS} trained now" in out
    assert before < N_RUNS, "the node was killed in the middle"
    same_tables(tmp_path / "width", local)


def test_a_driver_that_is_killed_leaves_no_workers_and_the_run_resumes(
    spec: Path, local: Path, cluster: Any, tmp_path: Path
) -> None:
    process = started(spec, tmp_path, *on(cluster))
    wait_for_stacks(process, tmp_path, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = len(pd.read_parquet(tmp_path / "width" / "runs"))
    assert 0 < kept < N_RUNS
    end_of_trainers()
    again = started(spec, tmp_path, *on(cluster))
    out, errors = again.communicate(timeout=600)
    assert (again.returncode, errors) == (0, "")
    assert f"{N_RUNS} runs, {N_RUNS - kept} trained now" in out
    same_tables(tmp_path / "width", local)
    end_of_trainers()  # or their time would be taken for that of the next
    interrupted = started(spec, tmp_path, *on(cluster), "--rerun", "all")
    while not any(used > 1 for used in cpu_seconds_of_trainers().values()):
        assert interrupted.poll() is None, interrupted.communicate()
        time.sleep(0.05)
    os.killpg(interrupted.pid, signal.SIGINT)
    _, errors = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130
    assert errors == "mlpbench: interrupted; finished stacks are kept, run the same command again to continue\n"
    end_of_trainers()


@pytest.mark.parametrize(
    "options",
    [
        {"file": "t.csv", "target": "y", "task": "classes", "resplit": True},
        pytest.param({"name": "linear"}, marks=pytest.mark.prove),
    ],
)
def test_data_that_each_replicate_draws_are_the_local_ones(
    options: dict[str, Any], cluster: Any, tmp_path: Path
) -> None:
    rows = pd.DataFrame({"a": range(60), "b": [i * i % 7 for i in range(60)], "y": [i % 3 for i in range(60)]})
    rows.to_csv(tmp_path / "t.csv", index=False)
    tree: dict[str, Any] = {
        "name": "width",
        "question": "Which data?",
        "dataset": options,
        "fixed": {"epochs": 2, "train_size": 40},
        "factors": {"width": [4, 8]},
        "replicates": 2,
    }
    path = tmp_path / "width.yaml"
    YAML(typ="safe").dump(tree, path)
    process = started(path, tmp_path / "ray", *on(cluster))
    out, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, ""), out
    again = mlpbench.run(path, results=tmp_path / "local", executor="inline", report=False)
    same_tables(tmp_path / "ray" / "width", again.folder)


def test_a_stack_whose_worker_is_killed_again_and_again_is_given_up_alone(cluster: Any, tmp_path: Path) -> None:
    path = tmp_path / "width.yaml"
    path.write_text(
        "name: width\nquestion: Who is killed?\ndataset: fashion_mnist\nreplicates: 1\n"
        "fixed: {train_size: 5000}\nfactors: {zip: {width: [8, 1024], epochs: [1, 5000]}}\n"
    )
    process = started(path, tmp_path, *on(cluster))
    killed: set[int] = set()
    until = time.monotonic() + 600
    while process.poll() is None:
        assert time.monotonic() < until
        for pid, used in cpu_seconds_of_trainers().items():
            # Later than a worker needs to start, much earlier than the long stack takes.
            if pid not in killed and used > 4:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.02)
    out, errors = process.communicate()
    assert process.returncode == 1, (out, errors)
    runs = pd.read_parquet(tmp_path / "width" / "runs")
    assert (runs[runs["width"] == 8]["status"] == "ok").all()
    lost = runs[runs["width"] == 1024]
    assert len(runs) == 2
    assert (lost["status"] == "failed").all()
    assert lost["error"].str.contains("the worker was killed").all()
    # In company, alone, and as often as one run is tried again; one that is killed while it starts has no stack to lose.
    assert 1 + ATTEMPTS <= len(killed) <= 3 * ATTEMPTS


def test_a_node_with_another_source_is_refused_before_anything_is_written(
    spec: Path, cluster: Any, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "mlpbench", tmp_path / "other" / "mlpbench", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "mlpbench" / "training" / "engine.py").open("a") as file:
        file.write("# changed\n")
    path = os.pathsep.join([str(tmp_path / "other"), os.environ.get("PYTHONPATH", "")])
    with mock.patch.dict(os.environ, {"PYTHONPATH": path}):
        changed = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    command = [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(tmp_path / "r"), *on(cluster)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    cluster.remove_node(changed)
    assert done.returncode == 2
    assert "source of mlpbench must be the same on all nodes" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "r").exists()


def test_where_no_cluster_answers_it_says_so_within_seconds(spec: Path, tmp_path: Path) -> None:
    with socket.socket() as deaf, socket.create_server(("127.0.0.1", 0)) as other:
        deaf.bind(("127.0.0.1", 0))
        for place, words in ((deaf, "Connection refused"), (other, "timed out")):
            address = f"127.0.0.1:{place.getsockname()[1]}"
            command = [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(tmp_path / "r")]
            began = time.monotonic()
            done = subprocess.run(
                [*command, "--executor", "ray", "--address", address], capture_output=True, text=True, timeout=600
            )
            assert time.monotonic() - began < 20
            assert done.returncode == 3, done.stderr
            assert words in done.stderr
            assert address in done.stderr
            assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "r").exists()


def test_a_gpu_that_is_none_is_named_before_anything_is_written(spec: Path, cluster: Any, tmp_path: Path) -> None:
    """A node may say that it has a GPU, and a cluster may have none."""
    command = [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(tmp_path / "r"), *on(cluster)]
    none = subprocess.run([*command, "--device", "cuda"], capture_output=True, text=True, timeout=600)
    assert none.returncode == 2
    assert none.stderr == (
        f"mlpbench: --device must be auto or cpu on the Ray cluster at {cluster.address}, got 'cuda'\n"
    )
    pretended = cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    try:
        done = subprocess.run([*command, "--device", "cuda"], capture_output=True, text=True, timeout=600)
    finally:
        cluster.remove_node(pretended)
    assert done.returncode == 3
    assert done.stderr == "mlpbench: the GPU of the Ray cluster can't be used: torch finds none that it can use\n"
    assert not (tmp_path / "r").exists()
