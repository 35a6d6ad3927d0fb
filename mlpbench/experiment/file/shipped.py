"""The experiments that come with mlpbench, and which file a name of the command line means.

In an installed package they lie beside its modules (`mlpbench/shipped`, see pyproject.toml), in a source checkout under
`experiments/`. An experiment is run by its name where no file is meant: `mlpbench run width`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.base.models import suggestion
from mlpbench.data.dataset import Say, say_nothing

PACKAGE = Path(__file__).resolve().parents[2]
INSTALLED = PACKAGE / "shipped"
CHECKOUT = PACKAGE.parent / "experiments"
SUFFIXES = (".yaml", ".yml")
# Where a person keeps experiments, as the README does, and where `run` writes results, with the experiment of each.
FOLDER = Path("experiments")
RESULTS = Path("results")
IN_RESULTS = "spec.yaml"


def shipped_folder() -> Path | None:
    """Return the folder of the experiments that come with mlpbench; None of a copy that was stripped of them."""
    is_checkout = (PACKAGE.parent / "pyproject.toml").is_file() and CHECKOUT.is_dir()
    return CHECKOUT if is_checkout else INSTALLED if INSTALLED.is_dir() else None


@functools.cache
def shipped_experiments() -> Mapping[str, Path]:
    """Return the files of the experiments that come with mlpbench, by name."""
    folder = shipped_folder()
    return {} if folder is None else {path.stem: path for path in sorted(folder.rglob("*.yaml"))}


def located(path: Path, say: Say = say_nothing, results: Path = RESULTS) -> Path:
    """Return the file that a name means: as it stands, or the first that there is of its name.

    Those are NAME.yaml here, one under experiments/, one that comes with mlpbench, and the one that a results folder of that name
    has. A results folder stands for the experiment in it. A path that means no file comes back as it is.

    Args:
        path: what was written.
        say: gets a line where the file is another one than was written.
        results: the folder of results folders.

    """
    if os.path.isfile(path / IN_RESULTS):
        say(f"{path}: the experiment in {path / IN_RESULTS}")
        return path / IN_RESULTS
    if path.suffix in SUFFIXES or len(path.parts) != 1 or os.path.lexists(path):
        return path
    for folder in (Path(), FOLDER):
        for suffix in SUFFIXES:
            if os.path.isfile(file := folder / f"{path.name}{suffix}"):
                say(f"{path.name}: the experiment in {file}")
                return file
    if (ours := shipped_experiments().get(path.name)) is not None:
        say(f"{path.name}: the experiment that comes with mlpbench")
        return ours
    if os.path.isfile(file := results / path.name / IN_RESULTS):
        say(f"{path.name}: the experiment in {file}")
        return file
    return path


def check_own_folder(file: Path, name: str, results: Path) -> None:
    """Refuse the experiment of a results folder that has another name than it: its runs would be trained anew, into a folder beside.

    Args:
        file: what an experiment was read from.
        name: the name of the experiment.
        results: the folder of results folders.

    """
    folder, whole = file.parent, file.parent.resolve()
    if file.name != IN_RESULTS or not results.is_dir() or not os.path.samefile(whole.parent, results):
        return
    if whole.name != name:
        rename = (
            "" if os.path.lexists(results / name) else f"rename the folder to {results / name} to continue in it, or "
        )
        raise InputError(
            f"{folder} has results of the experiment {name}, which would be trained anew into {results / name}: {rename}"
            f"give --set name={whole.name} to continue under the name that the folder has now"
        )


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
        where = "this folder" if path.parent == Path() else path.parent
        return f"; {where} has {', '.join(beside)}"
    return "; `mlpbench list` has those that come with mlpbench, `mlpbench new NAME` writes one" if is_ours else ""
