"""Find results folders on the disk, and read the experiment of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.results.store import ASIDE

MOST_NAMED = 3


def folders_below(root: Path, mark: str = "spec.yaml", *, deep: bool = True) -> Iterator[Path]:
    """Yield the folders below a folder that have a file called `mark`, by default results folders.

    `deep` searches at any depth, the folder itself included; else only the folders directly in it. Hidden folders and
    damaged files that were moved away are left out.
    """
    for file in root.rglob(mark) if deep else root.glob(f"*/{mark}"):
        parts = file.relative_to(root).parts
        if ASIDE not in parts and not any(p.startswith(".") for p in parts):
            yield file.parent


def read_folder(folder: Path) -> Experiment:
    """Return the experiment of a results folder; raise InputError where it is none."""
    if not (folder / "spec.yaml").is_file():
        raise InputError(f"{folder} is not a results folder (no spec.yaml); {_hint(folder)}")
    return yaml_reader.read(folder / "spec.yaml")


def _hint(folder: Path) -> str:
    """Say which results folder may have been meant."""
    if folder.name == "spec.yaml":
        return f"did you mean {folder.parent}?"
    nearby = folders_below(folder.parent if folder.is_file() else folder, deep=False)
    beside = sorted(f for f in nearby if (f / "spec.yaml").is_file())
    if not beside:
        return "`mlpbench run SPEC` writes one"
    if folder.is_file():
        return f"it is a file: `{folder.parent}/*/` matches the folders beside it"
    more = f" and {len(beside) - MOST_NAMED} more" if len(beside) > MOST_NAMED else ""
    return f"did you mean {', '.join(map(str, beside[:MOST_NAMED]))}{more}?"
