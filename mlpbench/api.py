"""The same jobs from Python: results as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlpbench import runner
from mlpbench.errors import InputError
from mlpbench.runner import Options, Outcome
from mlpbench.store import Store


def run(spec: str | Path | Mapping[str, Any], *, overrides: Sequence[str] = (), **options: Any) -> Outcome:
    """Train what is missing of an experiment and return its `runs`, `curves` and `claims` as DataFrames.

    `spec` is a file or a mapping with the same keys; `overrides` are `KEY=VALUE` strings; `options` are the fields of
    `runner.Options`. Raises InputError for a wrong spec, MachineError where the machine could not.

    Workers are started by spawning: call this under `if __name__ == "__main__":` in a script.
    """
    chosen = Options(**({"quiet": True} | options | {"results": Path(options.get("results", "results"))}))
    return runner.run(spec if isinstance(spec, Mapping) else Path(spec), chosen, overrides)


def load(folder: str | Path) -> Outcome:
    """Return the `runs`, `curves` and `claims` of a results folder; raise InputError where it is none."""
    experiment = read_folder(Path(folder))
    return runner.finish(experiment, Store(Path(folder)), Options(report=False))


def read_folder(folder: Path) -> Any:
    """Return the experiment of a results folder; raise InputError where it is none."""
    if not (folder / "spec.yaml").is_file():
        raise InputError(f"a results folder has a spec.yaml, and {folder} has none; it is made by `mlpbench run SPEC`")
    return runner.read(folder / "spec.yaml")
