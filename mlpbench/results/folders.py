"""Results folders on the disk: which there are, and the experiment of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.results.store import ASIDE

MOST_NAMED = 3


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
