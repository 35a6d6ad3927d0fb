"""What a worker needs beside the data, and that the plan knows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import plan

GIB = 2**30
SPEC = {
    "name": "memory",
    "question": "How much memory do 32 runs take?",
    "dataset": "fashion_mnist",
    "fixed": {"width": 256, "steps": 20},
    "replicates": 32,
}
SCRIPT = """\
import json, resource, sys
import mlpbench
if __name__ == "__main__":
    mlpbench.run(json.loads(sys.argv[1]), results=sys.argv[2], report=False, workers=2)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak(folder: Path, **fixed: object) -> int:
    """Return the largest resident memory of a worker, in bytes."""
    folder.mkdir()
    script = folder / "run.py"
    script.write_text(SCRIPT)
    tree = json.dumps(SPEC | {"fixed": {**SPEC["fixed"], **fixed}})  # type: ignore[dict-item]
    result = subprocess.run([sys.executable, script, tree, folder], capture_output=True, text=True, check=True)
    return int(result.stdout)


@pytest.mark.prove
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_32_runs_take_less_than_a_gibibyte_beyond_data_and_libraries(optimizer: str, tmp_path: Path) -> None:
    least = peak(tmp_path / "least", width=1, train_size=1000)
    used = peak(tmp_path / "used", optimizer=optimizer) - least
    spec = yaml_reader.from_mapping(SPEC | {"fixed": {**SPEC["fixed"], "optimizer": optimizer}})  # type: ignore[dict-item]
    planned = max(s.bytes for s in plan(grid.runs(spec), workers=2, memory=4 * GIB))
    assert used < GIB
    assert used < 1.5 * planned + 64 * 2**20
    print(f"{optimizer}: {used / 2**20:.0f} MiB used, {planned / 2**20:.0f} MiB planned")
