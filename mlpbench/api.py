"""The public functions: plan and run an experiment, load its results, return a trained network."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.environment import Numerics
from mlpbench.base.errors import InputError
from mlpbench.base.files import expanded
from mlpbench.base.models import unknown
from mlpbench.data.dataset import say_nothing
from mlpbench.executors.executor import ExecutorName
from mlpbench.experiment.dataset_levels import DatasetMaker
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.python_experiment import Experiment, plain_mapping, plain_value
from mlpbench.experiment.file.shipped import located
from mlpbench.experiment.file.yaml_reader import Override
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS
from mlpbench.experiment.spec import Experiment as CheckedExperiment
from mlpbench.jobs import export, judge
from mlpbench.jobs import run as runner
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.options import Options, Rerun
from mlpbench.jobs.planning import planned
from mlpbench.jobs.planning.planned import Plan
from mlpbench.results.folders import located_folder

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

# What `run` takes beside settings and keys of the experiment.
OPTION_NAMES = tuple(field.name for field in fields(Options))

__all__ = ["Experiment", "Outcome", "Plan", "load", "model", "plan", "run"]


def run(
    spec: str | Path | Mapping[str, Any] | Experiment,
    *,
    results: str | Path = "results",
    device: str = "auto",
    executor: ExecutorName = "local",
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    numerics: Numerics = "fast",
    data_dir: str | Path | None = None,
    plugin_files: Sequence[str | Path] = (),
    rerun: Rerun | None = None,
    fail_fast: bool = False,
    until_decided: bool | Mapping[str, Any] = False,
    max_replicates: int | None = None,
    budget: int | None = None,
    pilot: bool = False,
    report: bool = True,
    html: bool = False,
    yes: bool = False,
    quiet: bool = True,
    **changes: Any,
) -> Outcome:
    """Train what is missing of an experiment and return its verdicts and tables.

    Args:
        spec: An experiment, an experiment file, the name of one that comes with mlpbench, or a mapping with the keys of a file.
        results: The folder of results folders.
        device: `auto`, `cpu`, `cuda` or `cuda:i`.
        executor: `local` trains in worker processes, `inline` in this process, `ray` on a Ray cluster.
        address: `host:port` of that cluster's head.
        workers: The number of worker processes; by default one for each CPU core.
        threads: Threads of each worker; another number changes results in their last bits.
        numerics: On which processors the bits of results are the same: `fast`, `portable` or `universal`.
        data_dir: A folder that has the data already.
        plugin_files: Files with the code of plugins that a results folder has on record, or names of installed ones.
        rerun: Runs that are trained again: those that `failed`, that are `stale`, or `all`.
        fail_fast: Stop at the first run that fails.
        until_decided: True gives undecided claims more replicates, up to `max_replicates`; a mapping is the key of the experiment.
        max_replicates: The largest number of replicates of a top-up.
        budget: The number of replicates at which to end where the experiment declares `anytime`.
        pilot: Train without registering claims: no verdicts, and no seed is spent.
        report: Write the report.
        html: Write its page too, and keep it up while runs are trained.
        yes: Train more than 100,000 runs too.
        quiet: Print nothing; False prints progress and what is noticed.
        changes: Settings or keys of the experiment that are to be changed, as with `--set`: `replicates=10`, `width=[8, 64]`.

    Returns:
        An outcome, which a notebook shows as cards, with the tables `verdicts`, `tidy()`, `claims`, `runs`, `curves` and `layers`.

    Raises:
        InputError: Something in the experiment or an option is wrong; nothing was written.
        MachineError: A system error; finished stacks are kept.

    >>> import mlpbench, tempfile
    >>> spec = {"name": "lines", "question": "Does noise hurt?", "dataset": "linear", "factors": {"input_noise": [0, 0.1]}}
    >>> with tempfile.TemporaryDirectory() as results:
    ...     outcome = mlpbench.run(spec, results=results, depth=0, epochs=1, replicates=2, executor="inline")
    >>> outcome.statuses
    {'ok': 4}

    """
    if isinstance(until_decided, Mapping):
        changes, until_decided = {"until_decided": until_decided} | changes, False
    options = Options(
        results=results,  # type: ignore[arg-type]  # a text becomes a path there, and what is neither is refused
        device=device,
        executor=executor,
        address=address,
        workers=workers,
        threads=threads,
        numerics=numerics,
        data_dir=data_dir,  # type: ignore[arg-type]
        plugin_files=plugin_files,  # type: ignore[arg-type]
        rerun=rerun,
        fail_fast=fail_fast,
        until_decided=until_decided,
        max_replicates=max_replicates,
        budget=budget,
        pilot=pilot,
        report=report,
        html=html,
        yes=yes,
        quiet=quiet,
    )
    _check_process(options)
    return runner.run(_read(spec, changes, options.results, runner.dataset_maker()), options)


def plan(
    spec: str | Path | Mapping[str, Any] | Experiment,
    *,
    results: str | Path = "results",
    device: str = "auto",
    workers: int | None = None,
    threads: int = 1,
    numerics: Numerics = "fast",
    **changes: Any,
) -> Plan:
    """Return what `run` would train and judge, and how long that takes; nothing is written.

    Args:
        spec: An experiment, an experiment file, the name of one that comes with mlpbench, or a mapping with the keys of a file.
        results: The folder of results folders: what is there already is not trained.
        device: `auto`, `cpu`, `cuda` or `cuda:i`.
        workers: The number of worker processes.
        threads: Threads of each worker.
        numerics: On which processors the bits of results are the same.
        changes: Settings or keys of the experiment that are to be changed, as with `--set`.

    Returns:
        A plan with `summary`, and the tables `conditions` and `claims`, which says what effect the replicates detect.

    Raises:
        InputError: Something in the experiment or an option is wrong.

    >>> import mlpbench
    >>> mlpbench.plan("width", results="nowhere", replicates=3).summary.missing
    24

    """
    chosen: dict[str, Any] = {"results": results, "device": device, "workers": workers, "threads": threads}
    options = Options(**chosen, numerics=numerics, quiet=True)
    return planned.plan(_read(spec, changes, options.results), options)


def _read(
    spec: str | Path | Mapping[str, Any] | Experiment,
    changes: Mapping[str, Any],
    results: Path,
    maker: DatasetMaker | None = None,
) -> CheckedExperiment:
    """Return the checked experiment with changes, data sets of plugins made where there is a maker; raise InputError."""
    names = [*OPTION_NAMES, *SETTINGS, *FILE_KEYS]
    for name in changes:
        if name not in (*SETTINGS, *FILE_KEYS):
            raise InputError(unknown("option, setting or key", name, names))
    overrides = [Override(k, plain_value(v), f"{k}={v!r}") for k, v in changes.items()]
    if isinstance(spec, Experiment):
        return yaml_reader.from_mapping(spec.keys, overrides, maker)
    if isinstance(spec, Mapping):
        return yaml_reader.from_mapping(plain_mapping(spec), overrides, maker)
    return yaml_reader.read(located(expanded(spec), results=results), overrides, maker, results)


def _check_process(options: Options) -> None:
    """Refuse to start workers in a process that is one itself, which ends in an error of Python or in ever more processes."""
    process = multiprocessing.current_process()
    # True while a process that a script started by itself imports that script.
    if getattr(process, "_inheriting", False):
        raise InputError(
            'mlpbench.run must stand under `if __name__ == "__main__":` in a script that starts processes of its own, got a '
            "call without it"
        )
    if options.executor == "local" and process.daemon:
        raise InputError(
            "executor='local' starts worker processes, which a worker of multiprocessing must not: executor='inline' trains in "
            f"this process, got a call in {process.name}"
        )


def load(folder: str | Path) -> Outcome:
    """Return the verdicts and tables of a results folder; raise InputError where it is none.

    The name of a folder below results/ is enough, as on the command line.

    >>> import mlpbench
    >>> width = mlpbench.load("results/reference/width")
    >>> len(width.runs), width.claims.loc[0, "id"]
    (64, 'wider-is-better')

    """
    return judge.load(located_folder(expanded(folder), say_nothing))


def model(
    run: str | Mapping[str, Any] | pd.Series[Any],
    results: str | Path | Sequence[str | Path] = "results",
    **options: Any,
) -> nn.Sequential:
    """Return the network of a finished run as a plain `torch.nn.Sequential`, in evaluation mode.

    Convolutional networks start with Unflatten; then each convolution is a Conv2d, its activation and its pooling; then
    comes Flatten. Each hidden layer is a Linear, its norm if there is one, its activation, and a Dropout where the share
    is above 0. A Linear ends the network. Where weights were not saved, the run is trained again, alone, and its weights
    are checked against its row.

    Args:
        run: A run_id, a unique prefix of one, or a row of a `runs` table.
        results: One or several folders; results folders below them are searched, at any depth.
        options: Options of `mlpbench run`, such as `device` or `data_dir`; `plugin_files` have the code of plugins that the
            run used.

    Returns:
        A network from inputs of shape (B, I) to logits, or numbers, of shape (B, C). Inputs are as in training: pixels in
        [0, 1], row by row; the first `features` of them, times `input_scale`. A network that was trained in precision
        bfloat16 computes in float32.

    Raises:
        InputError: There is no such run, several runs match, or the run has no weights.
        OtherWeights: Training the run again led to other weights.

    """
    from mlpbench.training.saved_model import decoded

    run_id = run if isinstance(run, str) else str(run["run_id"])
    folders = [expanded(folder) for folder in ([results] if isinstance(results, str | Path) else results)]
    weights = export.weights_of(export.find_run(run_id, folders), Options(**({"quiet": True} | options)))
    return decoded(weights.content, weights.stored.folder, options.get("plugin_files", ()))
