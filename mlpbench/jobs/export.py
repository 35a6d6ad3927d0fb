"""The model in hand: the weights of a run of any results folder, as they were saved, or trained again, alone, and checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlpbench.base import numerics
from mlpbench.base.atomic_files import write_whole
from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.experiment import grid
from mlpbench.experiment.plan import make_stack
from mlpbench.jobs.options import Options, environment
from mlpbench.jobs.run import get_data, train
from mlpbench.jobs.verify import WAY, as_made
from mlpbench.results import weight_files
from mlpbench.results.folders import folders_below, read_folder
from mlpbench.results.store import Store

_PREFIX = re.compile("[0-9a-f]{1,16}")
MOST_NAMED = 5
COLUMNS = ["run_id", "status", "error", "weights_sha256", *numerics.KIND, *WAY]


class OtherWeights(MlpbenchError):
    """A run that was trained again came to other weights than its row has: status 1, a check found a difference."""

    status = 1


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A run that a results folder has, with its row; `saved` is the file of its weights, if there is one."""

    folder: Path
    row: pd.Series[Any]
    saved: Path | None

    @property
    def run_id(self) -> str:
        """The whole identity."""
        return str(self.row["run_id"])


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The bytes of a file of weights, and whether the run was trained again for it."""

    stored: Stored
    content: bytes
    trained: bool


def find(run: str, results: Sequence[Path]) -> Stored:
    """Return the run whose identity begins so, in any folder under `results`; raise InputError.

    That is where there is none, or several, or one that has no weights, as it failed or diverged, or different ones in two
    folders. Of folders with the same weights the one that saved them is preferred.
    """
    if not _PREFIX.fullmatch(run):
        raise InputError(f"a run is named by its run_id, 16 hex digits, or how that begins, got {run!r}")
    for root in results:
        if not root.is_dir():
            raise InputError(f"--results must be a folder, got no folder at {root}")
    found = [_in(folder, run) for root in results for folder in sorted(folders_below(root))]
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["run_id"])
    places = " and ".join(map(str, results))
    ids = sorted(set(rows["run_id"]))
    if not ids:
        raise InputError(f"a run must be in a results folder under {places}, got none whose run_id begins with {run!r}")
    if len(ids) > 1:
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        named = ", ".join(ids[:MOST_NAMED]) + more
        raise InputError(f"a run_id must begin as that of one run only, got {run!r}, as {len(ids)} do: {named}")
    ended = rows[rows["weights_sha256"].notna()]
    if ended.empty:
        rule = "a run must have ended well to have weights"
        raise InputError(f"{rule}, got {ids[0]} in {rows['folder'].iloc[0]}, which {_ending(rows.iloc[0])}")
    if ended["weights_sha256"].nunique() > 1:
        folders = " and ".join(ended["folder"])
        raise InputError(
            f"a run must have the same weights in all folders, got different ones of {ids[0]} in {folders}: say which by "
            "--results"
        )
    choices = [Stored(folder=Path(row["folder"]), row=row, saved=_saved(row)) for _, row in ended.iterrows()]
    return next((c for c in choices if c.saved is not None), choices[0])


def _in(folder: Path, run: str) -> pd.DataFrame:
    held = Store(folder).read("runs", columns=list(dict.fromkeys(COLUMNS)), sound=True)
    return held[held["run_id"].str.startswith(run)].assign(folder=str(folder))


def _ending(row: pd.Series[Any]) -> str:
    return "diverged" if row["status"] == "diverged" else f"failed: {row['error']}"


def _saved(row: pd.Series[Any]) -> Path | None:
    return Store(Path(row["folder"])).weights().get(row["run_id"], {}).get(row["weights_sha256"])


def weights_of(stored: Stored, options: Options) -> Exported:
    """Return the weights of a run, from their file or from training it again, alone, as `verify` does.

    Raises OtherWeights where that gives other weights than the row has, InputError where the run can't be trained again.
    """
    if stored.saved is not None:
        return Exported(stored=stored, content=stored.saved.read_bytes(), trained=False)
    experiment = read_folder(stored.folder)
    run = next((r for r in grid.runs(experiment) if r.run_id == stored.run_id), None)
    if run is None:
        rule = "a run whose weights were not saved must be in the grid of its spec.yaml to be trained again"
        raise InputError(f"{rule}, got {stored.run_id} of {stored.folder}")
    get_data(experiment, options)
    here = as_made(options, stored.row)
    ((_, tables),) = train(experiment, [make_stack([run], experiment.data)], here, save_weights=True)
    (row,) = tables["runs"]
    if row.get("weights_sha256") != stored.row["weights_sha256"]:
        ended = "" if row["status"] == "ok" else f" (it {_ending(pd.Series(row))})"
        elsewhere = numerics.differences(stored.row.to_dict(), environment(here))
        why = f": it was made with another {' and another '.join(elsewhere)}" if elsewhere else ""
        raise OtherWeights(
            f"a run that is trained again must come to the weights of its row, got others for {stored.run_id} of "
            f"{stored.folder}{ended}{why}; with `save_weights: true` an experiment keeps them"
        )
    (kept,) = tables[weight_files.FOLDER]
    return Exported(stored=stored, content=kept["content"], trained=True)


def export(run: str, path: Path, results: Sequence[Path], options: Options, *, force: bool = False) -> Exported:
    """Write the weights of a run to a file; raise InputError where one is there already, unless forced."""
    if path.is_dir() or (path.exists() and not force):
        what = "the folder" if path.is_dir() else "a file that is there"
        raise InputError(f"weights are written to a new file, or to an old one with --force, got {what}, {path}")
    exported = weights_of(find(run, results), options)
    write_whole(path, exported.content)
    return exported
