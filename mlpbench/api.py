"""The same jobs from Python: results as DataFrames."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.yaml_reader import Override
from mlpbench.jobs import run as runner
from mlpbench.jobs.judge import Outcome, finish
from mlpbench.jobs.options import Options
from mlpbench.results.folders import read_folder
from mlpbench.results.store import Store

OPTIONS = {f.name for f in fields(Options)}


def run(spec: str | Path | Mapping[str, Any], **given: Any) -> Outcome:
    """Train what is missing of an experiment and return its `runs`, `curves`, `layers` and `claims` as DataFrames.

    `spec` is a file or a mapping with the same keys. A keyword is an option (`results`, `workers`, `device`, ..., as of
    `mlpbench run`) or changes a setting or a key of the experiment: `run("width.yaml", replicates=10, lr=[0.1, 0.3])`.
    Raises InputError for what is wrong, MachineError where the machine could not.

    Workers are started by spawning: in a script, call this under `if __name__ == "__main__":`.
    """
    # True while a worker imports the script that started it: without the guard, every worker would start workers.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            'mlpbench.run must stand under `if __name__ == "__main__":` in a script, got a call without it'
        )
    options = Options(**({"quiet": True} | {k: v for k, v in given.items() if k in OPTIONS}))
    overrides = [Override(k, v, f"{k}={v!r}") for k, v in given.items() if k not in OPTIONS]
    if isinstance(spec, Mapping):
        return runner.run(yaml_reader.from_mapping(spec, overrides), options)
    return runner.run(yaml_reader.read(Path(spec), overrides), options)


def load(folder: str | Path) -> Outcome:
    """Return the `runs`, `curves`, `layers` and `claims` of a results folder; raise InputError where it is none."""
    return finish(read_folder(Path(folder)), Store(Path(folder)), report=False)
