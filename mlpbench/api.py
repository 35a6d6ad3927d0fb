"""The same jobs from Python: results as DataFrames."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.yaml_reader import Override
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs import run as runner
from mlpbench.jobs.options import Options
from mlpbench.jobs.run import Outcome
from mlpbench.results.store import ASIDE, Store

OPTIONS = {f.name for f in fields(Options)}
MOST_NAMED = 3


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
    return runner.finish(read_folder(Path(folder)), Store(Path(folder)), report=False)


def folders_below(root: Path, mark: str = "spec.yaml", *, deep: bool = True) -> Iterator[Path]:
    """Yield the folders that have a file, by default results folders: at any depth, itself included, or those in it alone.

    Nothing that was set aside or is hidden is looked into.
    """
    for file in root.rglob(mark) if deep else root.glob(f"*/{mark}"):
        parts = file.relative_to(root).parts
        if ASIDE not in parts and not any(p.startswith(".") for p in parts):
            yield file.parent


def read_folder(folder: Path) -> Experiment:
    """Return the experiment of a results folder; raise InputError where it is none."""
    if not (folder / "spec.yaml").is_file():
        raise InputError(f"a results folder has a spec.yaml, and {folder} has none; {_instead(folder)}")
    return yaml_reader.read(folder / "spec.yaml")


def _instead(folder: Path) -> str:
    """Say where the results folder might be that was meant."""
    if folder.name == "spec.yaml":
        return f"did you mean {folder.parent}?"
    found = folders_below(folder.parent if folder.is_file() else folder, deep=False)
    beside = sorted(f for f in found if (f / "spec.yaml").is_file())
    if not beside:
        return "it is made by `mlpbench run SPEC`"
    if folder.is_file():
        return f"it is a file: `{folder.parent}/*/` names the folders beside it"
    more = f" and {len(beside) - MOST_NAMED} more" if len(beside) > MOST_NAMED else ""
    return f"did you mean {', '.join(map(str, beside[:MOST_NAMED]))}{more}?"
