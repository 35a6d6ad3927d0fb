"""A small training of which the weights are known: whether this machine computes what others do, and how fast.

In mode `universal` the weights of some runs are compared with those on record, which hold on any processor with AVX2 for one
version of torch. In mode `fast` a run is trained in company and alone: its bits must not depend on that, with any version.
Beside them a larger run says how fast training is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mlpbench.base.environment import Numerics
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import Stack, make_stack, plan
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.options import Options
from mlpbench.jobs.run import train

RECORD = "known_bits.json"
# Few steps of what training is made of: products, dropout, normalisation, momentum, Adam, a softmax.
BITS: Mapping[str, Any] = {
    "name": "self_test",
    "question": "Does this machine compute what others do?",
    "dataset": "digits",
    "fixed": {"init": "he_normal", "lr": 0.01, "batch_size": 64, "steps": 30, "width": 24},
    "factors": {
        "conditions": [
            {"label": "sgd", "depth": 1},
            {"label": "momentum", "depth": 2, "optimizer": {"momentum": 0.9}, "dropout": 0.2},
            {"label": "adam", "depth": 2, "optimizer": "adam", "norm": "layer", "activation": "gelu"},
        ]
    },
    "replicates": 2,
}
SPEED: Mapping[str, Any] = {
    "name": "self_test_speed",
    "question": "How fast is training?",
    "dataset": "digits",
    "fixed": {"init": "he_normal", "batch_size": 256, "steps": 200, "width": 1024, "depth": 1},
    "factors": {"lr": [0.1]},
    "replicates": 1,
}


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """What came of it.

    Attributes:
        torch: the version of torch that the weights on record are of.
        unlike: labels of runs whose weights are others than on record; None where torch is another version.
        dependent: labels of runs whose weights are others alone than in company.
        failed: what runs that could not be trained said.
        flops_per_second: of training one large network, all that training does included.

    """

    torch: str
    unlike: Sequence[str] | None
    dependent: Sequence[str]
    failed: Sequence[str]
    flops_per_second: float


def self_test(torch_version: str) -> SelfTest:
    """Train the runs in worker processes, on this machine's processor, and compare their weights."""
    known = json.loads(resources.files(__package__).joinpath(RECORD).read_text())
    experiment = yaml_reader.from_mapping(dict(BITS))
    runs = list(grid.runs(experiment))
    speed = yaml_reader.from_mapping(dict(SPEED))
    alone = [make_stack([run]) for run in runs[::2]]
    together, failed = _digests(experiment, [*_stacks(runs), *alone], "fast")
    dependent = [_label(run) for run in runs if len(together.get(run.run_id, ())) > 1]
    unlike: list[str] | None = None
    if torch_version.partition("+")[0] == known["torch"]:
        found, more = _digests(experiment, _stacks(runs), "universal")
        failed += more
        unlike = [_label(run) for run in runs if found.get(run.run_id) != {known["weights"].get(run.run_id)}]
    rate = 0.0
    for _, rows in train(speed, _stacks(list(grid.runs(speed))), _options("fast")):
        rate = max(r["flops"] / r["train_seconds"] if r["status"] == "ok" else 0.0 for r in rows.runs)
    return SelfTest(torch=known["torch"], unlike=unlike, dependent=dependent, failed=failed, flops_per_second=rate)


def _options(numerics: Numerics) -> Options:
    return Options(device="cpu", workers=1, quiet=True, numerics=numerics, results=Path("results"))


def _stacks(runs: Sequence[Run]) -> list[Stack]:
    """Put runs into as few stacks as there are shapes."""
    return plan(runs, workers=1, memory=2**30)


def _digests(
    experiment: Experiment, stacks: Sequence[Stack], numerics: Numerics
) -> tuple[dict[str, set[str]], list[str]]:
    """Return the digests of the weights of each run, over all stacks that it is in, and what failed runs said."""
    found: dict[str, set[str]] = {}
    failed = []
    for _, rows in train(experiment, stacks, _options(numerics)):
        for row in rows.runs:
            if row["status"] != "ok":
                failed.append(str(row.get("error", row["status"])))
            else:
                found.setdefault(row["run_id"], set()).add(row["weights_sha256"][:16])
    return found, failed


def _label(run: Run) -> str:
    return f"{run.label}, replicate {run.replicate}"


def record(torch_version: str) -> str:
    """Return the file of known weights as this machine trains them, for a new version of torch."""
    experiment = yaml_reader.from_mapping(dict(BITS))
    found, failed = _digests(experiment, _stacks(list(grid.runs(experiment))), "universal")
    assert not failed, failed
    weights = {run_id: digest for run_id, (digest,) in sorted(found.items())}
    return json.dumps({"torch": torch_version.partition("+")[0], "weights": weights}, indent=1) + "\n"
