"""What an executor costs for each stack: the time from one stack's rows to the next, less what this process needs for it.

    python tests/benchmarks/executor_overhead.py local ray

prints milliseconds as JSON: one worker, stacks of one small run, the median over them, the smaller of two in turn.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import time
from typing import Any, get_args

from mlpbench.executors import ray_cluster
from mlpbench.executors.executor import EXECUTORS, ExecutorName, Setup
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import make_stack

STACKS = 150
# The first ones load what all need.
LEFT_OUT = 20
TREE: dict[str, Any] = {
    "name": "overhead",
    "question": "What does a stack cost beside its training?",
    "dataset": "digits",
    "fixed": {"width": 16, "epochs": 1, "batch_size": 512},
    "replicates": STACKS,
}


def milliseconds(name: ExecutorName) -> float:
    """Return the median time from one stack's rows to the next."""
    experiment = yaml_reader.from_mapping(TREE)
    stacks = [make_stack([run]) for run in grid.runs(experiment)]
    setup = Setup(
        datasets=experiment.sources,
        device="cpu",
        threads=1,
        numerics="fast",
        data_dir=None,
        probes=experiment.probes,
        shifts=experiment.shifts,
    )
    if name == "ray":
        os.environ["RAY_ADDRESS"] = "local"  # a cluster of its own, whatever else runs here
        ray_cluster.connect(None, cores=1)
    moments = []
    for _, rows in EXECUTORS[name](setup, 1).map(stacks, lambda shares: None):
        assert [row["status"] for row in rows.runs] == ["ok"]
        moments.append(time.perf_counter())
    assert len(moments) == STACKS
    between = [b - a for a, b in itertools.pairwise(moments)]
    return 1000 * statistics.median(between[LEFT_OUT:])


def main(names: list[str]) -> None:
    """Print the cost of each executor beside that of this process."""
    wanted = [name for name in get_args(ExecutorName) if name in names]
    # In turn, and the smaller: what else a machine does only adds.
    rounds = [{name: milliseconds(name) for name in ("inline", *wanted)} for _ in range(2)]
    least = {name: min(r[name] for r in rounds) for name in rounds[0]}
    alone = least.pop("inline")
    measured = {name: round(of - alone, 2) for name, of in least.items()}
    print(json.dumps({"training": round(alone, 2), "overhead": measured}))


if __name__ == "__main__":
    main(sys.argv[1:])
