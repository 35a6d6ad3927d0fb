"""The public functions: run an experiment, load its results, return a trained network."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError
from mlpbench.base.models import unknown
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.shipped import located
from mlpbench.experiment.file.yaml_reader import Override
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS
from mlpbench.jobs import export, judge
from mlpbench.jobs import run as runner
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.options import Options

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

OPTIONS = {field.name for field in fields(Options)}


def run(spec: str | Path | Mapping[str, Any], **changes: Any) -> Outcome:
    """Train what is missing of an experiment and return its verdicts and tables.

    Workers are started by spawning: in a script, call this under `if __name__ == "__main__":`.

    Args:
        spec: An experiment file, the name of one that comes with mlpbench, or a mapping with the same keys.
        changes: Options, such as `results`, `workers` or `device` (see `mlpbench.jobs.options.Options`); and settings or keys
            of the experiment that are to be changed, as with `--set`.

    Returns:
        An outcome with the DataFrames `claims`, `runs`, `curves` and `layers`.

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
    # True while a worker imports the script that started it: without the guard, every worker would start workers.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            'mlpbench.run must stand under `if __name__ == "__main__":` in a script, got a call without it'
        )
    names = [*OPTIONS, *SETTINGS, *FILE_KEYS]
    for name in changes:
        if name not in names:
            raise InputError(unknown("option, setting or key", name, names))
    options = Options(**({"quiet": True} | {k: v for k, v in changes.items() if k in OPTIONS}))
    overrides = [Override(k, v, f"{k}={v!r}") for k, v in changes.items() if k not in OPTIONS]
    if isinstance(spec, Mapping):
        return runner.run(yaml_reader.from_mapping(spec, overrides, runner.dataset_maker()), options)
    return runner.run(yaml_reader.read(located(Path(spec)), overrides, runner.dataset_maker()), options)


def load(folder: str | Path) -> Outcome:
    """Return the verdicts and tables of a results folder; raise InputError where it is none.

    >>> import mlpbench
    >>> width = mlpbench.load("results/reference/width")
    >>> len(width.runs), width.claims.loc[0, "id"]
    (64, 'wider-is-better')

    """
    return judge.load(Path(folder))


def model(
    run: str | Mapping[str, Any] | pd.Series[Any],
    results: str | Path | Sequence[str | Path] = "results",
    **options: Any,
) -> nn.Sequential:
    """Return the network of a finished run as a plain `torch.nn.Sequential`, in evaluation mode.

    Convolutional networks start with Unflatten; then each convolution is a Conv2d, its activation and its pooling; then
    comes Flatten. Each hidden layer is a Linear, its norm if there is one, its activation, and a Dropout where the share
    is above 0. A Linear ends the network. Where weights were not saved, the run is trained again, alone, and its weights
    are checked against its row: in a script, call this under `if __name__ == "__main__":`.

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
    folders = [Path(results)] if isinstance(results, str | Path) else [Path(folder) for folder in results]
    weights = export.weights_of(export.find_run(run_id, folders), Options(**({"quiet": True} | options)))
    return decoded(weights.content, weights.stored.folder, options.get("plugin_files", ()))
