"""The experiments that come with mlpbench, and which file a name of the command line means.

In an installed package they lie beside its modules (`mlpbench/shipped`, see pyproject.toml), in a source checkout under
`experiments/`. An experiment is run by its name where no file is meant: `mlpbench run width`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from mlpbench.base.models import suggestion
from mlpbench.data.dataset import Say, say_nothing

PACKAGE = Path(__file__).resolve().parents[2]
INSTALLED = PACKAGE / "shipped"
CHECKOUT = PACKAGE.parent / "experiments"
SUFFIXES = (".yaml", ".yml")
# Where a person keeps experiments, as the README does.
FOLDER = Path("experiments")


def shipped_folder() -> Path | None:
    """Return the folder of the experiments that come with mlpbench; None of a copy that was stripped of them."""
    is_checkout = (PACKAGE.parent / "pyproject.toml").is_file() and CHECKOUT.is_dir()
    return CHECKOUT if is_checkout else INSTALLED if INSTALLED.is_dir() else None


@functools.cache
def shipped_experiments() -> Mapping[str, Path]:
    """Return the files of the experiments that come with mlpbench, by name."""
    folder = shipped_folder()
    return {} if folder is None else {path.stem: path for path in sorted(folder.rglob("*.yaml"))}


def located(path: Path, say: Say = say_nothing) -> Path:
    """Return the file that a name means: as it stands, NAME.yaml here or under experiments/, or one that comes with mlpbench.

    `say` gets a line where it is another one than was written. A path that means no file comes back as it is.
    """
    if path.suffix in SUFFIXES or len(path.parts) != 1 or os.path.lexists(path):
        return path
    for folder in (Path(), FOLDER):
        for suffix in SUFFIXES:
            if os.path.isfile(file := folder / f"{path.name}{suffix}"):
                say(f"{path.name}: the experiment in {file}")
                return file
    file_or_none = shipped_experiments().get(path.name)
    if file_or_none is None:
        return path
    say(f"{path.name}: the experiment that comes with mlpbench")
    return file_or_none


def hint(path: Path) -> str:
    """Return how the message goes on about a file that isn't there: what is beside it, or comes with mlpbench."""
    beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    name, ours = path.stem if path.suffix in SUFFIXES else path.name, shipped_experiments()
    if near := suggestion(path.name, beside):
        return near
    if name in ours:
        return f"; {name} comes with mlpbench: give its name alone, as in `mlpbench run {name}`"
    if (is_ours := path.parent in (Path(), FOLDER)) and (near := suggestion(name, ours)):
        return f"{near.removesuffix('?')}, which comes with mlpbench?"
    if beside:
        return f"; {path.parent} has {', '.join(beside)}"
    return "; `mlpbench list` has those that come with mlpbench, `mlpbench new NAME` writes one" if is_ours else ""
