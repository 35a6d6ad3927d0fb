"""The weights of a run of any results folder: as they were saved, or from training the run again, alone, with a check."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mlpbench.base.environment import KIND, differences
from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.base.files import MOST_WEIGHTS, ordered_header, read_regular, write_whole
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.data.table.table_data import TableData
from mlpbench.evidence.refit_epochs import with_refit_epochs
from mlpbench.experiment import grid
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.plan import make_stack
from mlpbench.experiment.plugins.plugin import recorded, used_by, with_code
from mlpbench.jobs.options import Options, check_possible, environment
from mlpbench.jobs.run import get_data, train
from mlpbench.jobs.verify import TRAINED_ON, as_trained
from mlpbench.results.folder_check import open_folder
from mlpbench.results.folders import folders_below
from mlpbench.results.store import Store

_PREFIX = re.compile("[0-9a-f]{1,16}")
MOST_NAMED = 5
_OF_TORCH = "torch.save(mlpbench.model({run!r}).state_dict(), {file!r})"
# Suffixes of files of weights in other formats, and how Python writes one from the network of a run.
OTHER_FORMATS = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"), _OF_TORCH),
    ".onnx": "torch.onnx.export(mlpbench.model({run!r}), (x,), {file!r}), with inputs x of shape (B, I)",
    **dict.fromkeys(
        (".h5", ".hdf5", ".keras", ".npz"), "mlpbench.model({run!r}).state_dict() for the library that writes {file}"
    ),
}
COLUMNS = list(
    dict.fromkeys(
        ["run_id", "status", "error", "weights_sha256", "seed", "replicate", *KIND, *TRAINED_ON, "env_dataset"]
    )
)


class OtherWeights(MlpbenchError):
    """A run that was trained again has other weights than its row: status 1, a check found a difference."""

    status = 1


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run of a results folder with its row."""

    store: Store
    row: pd.Series[Any]

    @property
    def folder(self) -> Path:
        """The results folder."""
        return self.store.folder

    @property
    def run_id(self) -> str:
        """The whole run_id."""
        return str(self.row["run_id"])

    @cached_property
    def weights_file(self) -> Path | None:
        """The file of its weights, if there is one."""
        return self.store.weights().get(self.run_id, {}).get(self.row["weights_sha256"])


@dataclass(frozen=True, kw_only=True)
class ExportedWeights:
    """The bytes of a file of weights, and whether the run was trained again for it."""

    stored: StoredRun
    content: bytes
    trained: bool


def find_run(prefix: str, results: Sequence[Path], say: Say = say_nothing) -> StoredRun:
    """Return the run whose run_id begins so, in any results folder under `results`.

    Of folders with the same weights, one that saved them is preferred. Raises InputError where no run matches, where several
    do, where the run has no weights since it failed or diverged, or where two folders have different weights of it. `say`
    gets a line about each folder in which damaged files are passed over.
    """
    if not _PREFIX.fullmatch(prefix):
        raise InputError(f"a run is named by its run_id, 16 hex digits, or a unique prefix, got {prefix!r}")
    for root in results:
        if not root.is_dir():
            raise InputError(f"--results: folder not found: {root}")
    stores = {str(f): Store(f) for root in results for f in sorted(folders_below(root))}
    unread: list[str] = []
    tables = [_matching_rows(store, prefix, unread.append) for store in stores.values()]
    for line in unread:
        say(line)
    rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["run_id"])
    ids = sorted(set(rows["run_id"]))
    if not ids:
        raise InputError(
            f"run not found: no run_id under {' and '.join(map(str, results))} begins with {prefix!r}"
            + "".join(f"\n{line}" for line in unread)
        )
    if len(ids) > 1:
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        names = ", ".join(ids[:MOST_NAMED]) + more
        raise InputError(
            f"a run needs a unique prefix of its run_id, got {prefix!r}, with which {len(ids)} begin: {names}"
        )
    finished = rows[rows["weights_sha256"].notna()]
    if finished.empty:
        row = rows.iloc[0]
        raise InputError(f"a run without weights can't be exported: {ids[0]} in {row['folder']} {_ending(row)}")
    if finished["weights_sha256"].nunique() > 1:
        folders = " and ".join(finished["folder"])
        raise InputError(
            f"a run must have the same weights in all folders, got different ones of {ids[0]} in {folders}: choose a folder "
            "with --results"
        )
    choices = [StoredRun(store=stores[row["folder"]], row=row) for _, row in finished.iterrows()]
    return next((c for c in choices if c.weights_file is not None), choices[0])


def _matching_rows(store: Store, prefix: str, say: Say) -> pd.DataFrame:
    try:
        runs = store.read("runs", columns=COLUMNS)
    except InputError as error:
        say(str(error))
        runs = store.read("runs", columns=COLUMNS, sound=True)
    return runs[runs["run_id"].str.startswith(prefix)].assign(folder=str(store.folder))


def _ending(row: pd.Series[Any]) -> str:
    return "diverged" if row["status"] == "diverged" else f"failed: {row['error']}"


def weights_of(stored: StoredRun, options: Options, say: Say = say_nothing) -> ExportedWeights:
    """Return the weights of a run, from their file or from training the run again, alone, as `verify` does.

    Raises OtherWeights where that leads to other weights, InputError where the run can't be trained again or its folder has
    damaged files; `say` gets a line about each that is missing and can be restored.
    """
    experiment, _ = open_folder(stored.store, say)
    if stored.weights_file is not None:
        return ExportedWeights(stored=stored, content=read_regular(stored.weights_file, MOST_WEIGHTS), trained=False)
    conditions = grid.conditions(experiment)
    run = next((r for r in grid.runs(experiment, conditions) if r.run_id == stored.run_id), None)
    if run is None:
        rule = "a run without saved weights must be in the grid of its spec.yaml, so that it can be trained again"
        raise InputError(f"{rule}, got {stored.run_id} of {stored.folder}")
    if run.settings.is_refit_of_stops:
        known = stored.store.read("runs", columns=["run_id", "status", *METRICS], sound=True)
        (run,) = with_refit_epochs([run], experiment, conditions, known)
    options = as_trained(options, stored.row)
    check_possible([run.settings.precision], options)
    needed = used_by(recorded(experiment.plugins), [run.settings], every=())
    plugins = with_code(needed, options.plugin_files, "training a run again")
    experiment = experiment.model_copy(update={"plugins": plugins})
    get_data(experiment, options)
    ((_, rows),) = train(experiment, [make_stack([run])], options, save_weights=True)
    (row,) = rows.runs
    if row.get("weights_sha256") != stored.row["weights_sha256"]:
        ending = "" if row["status"] == "ok" else f" (it {_ending(pd.Series(row))})"
        elsewhere = differences(stored.row.to_dict(), environment(options))
        why = f": it was trained with another {' and another '.join(elsewhere)}" if elsewhere else ""
        raise OtherWeights(
            f"a run that is trained again must have the weights of its row, got others for {stored.run_id} of "
            f"{stored.folder}{ending}{why}; with `save_weights: true` an experiment keeps them"
        )
    (weights,) = rows.weights
    return ExportedWeights(stored=stored, content=weights["content"], trained=True)


def export(
    prefix: str, path: Path, results: Sequence[Path], options: Options, say: Say = say_nothing, *, force: bool = False
) -> ExportedWeights:
    """Write the weights of a run to a file; raise InputError where the file exists, unless forced."""
    if path.is_dir():
        raise InputError(f"weights are written to a file, got the folder {path}")
    if path.suffix.lower() in OTHER_FORMATS:
        rule = f"weights are written as safetensors, which readers of {path.suffix} files refuse, got {path}"
        way = OTHER_FORMATS[path.suffix.lower()].format(run=prefix, file=path.name)
        raise InputError(f"{rule}: give {path.with_suffix('.safetensors')}, or in Python {way}")
    if path.exists() and not force:
        raise InputError(f"the file exists: {path}; --force overwrites it")
    exported = weights_of(find_run(prefix, results, say), options, say)
    write_whole(path, ordered_header(exported.content, _of_table(exported.stored, say)))
    return exported


def _of_table(stored: StoredRun, say: Say) -> dict[str, str]:
    """Return what a model of a table of the user's own needs to predict new rows, as metadata; nothing of other data.

    `say` gets a line where the file of the table is gone, or is another one by now: the weights are written without.
    """
    sources = open_folder(stored.store, say_nothing)[0].sources
    source = next((s for s in sources if s.facts.fingerprint == stored.row["env_dataset"]), None)
    if not isinstance(source, TableData):
        return {}
    try:
        encoder = source.encoder(int(stored.row["seed"]), int(stored.row["replicate"]))
    except InputError as error:
        say(f"the file of weights has no columns, which `mlpbench predict` needs: {error}")
        return {}
    names = json.dumps(list(source.facts.class_names), ensure_ascii=False)
    return {"table": encoder.model_dump_json(exclude_defaults=True), "class_names": names}
