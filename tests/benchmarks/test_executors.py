"""What the executors cost: little for each stack, and a whole grid on Ray takes hardly longer than in worker processes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killable_run import started
from ray_nodes import nodes
from repository import ROOT
from table_equality import same_tables

HAS_RAY = importlib.util.find_spec("ray") is not None
NEEDS_RAY = pytest.mark.skipif(not HAS_RAY, reason="ray is not installed (pip install 'mlpbench[ray]')")
# Milliseconds: of the pool as it is promised, of Ray what a message there and back takes, several times over.
MOST = {"local": 5.0, "ray": 20.0}


@pytest.fixture(scope="module")
def overhead() -> dict[str, float]:
    """What executors cost, measured in turn with one training that all are compared with."""
    script = ROOT / "tests" / "benchmarks" / "executor_overhead.py"
    names = ["local", *(["ray"] if HAS_RAY else [])]
    done = subprocess.run([sys.executable, script, *names], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    measured: dict[str, float] = json.loads(done.stdout)["overhead"]
    return measured


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("name", ["local", pytest.param("ray", marks=NEEDS_RAY)])
def test_a_stack_costs_little_beside_its_training(name: str, overhead: dict[str, float]) -> None:
    assert overhead[name] < MOST[name]


@NEEDS_RAY
@pytest.mark.prove
@pytest.mark.alone
def test_the_whole_of_width_takes_at_most_15_percent_longer_on_two_nodes(tmp_path: Path) -> None:
    """With its verdicts and its further replicates, of one worker on each node and of two worker processes."""
    seconds = {}
    with nodes({}, {}) as cluster:
        for name, options in {
            "local": ["--workers", "2"],
            "ray": ["--executor", "ray", "--address", cluster.address],
        }.items():
            began = time.monotonic()
            process = started(ROOT / "experiments" / "width.yaml", tmp_path / name, *options)
            out, errors = process.communicate(timeout=1200)
            seconds[name] = time.monotonic() - began
            assert process.returncode == 0, (out, errors)
    print(f"local {seconds['local']:.0f} s, ray {seconds['ray']:.0f} s")
    same_tables(tmp_path / "ray" / "width", tmp_path / "local" / "width")
    assert seconds["ray"] < 1.15 * seconds["local"]
