"""The same jobs from Python: results as DataFrames."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.yaml_reader import Override
from mlpbench.jobs import export, judge
from mlpbench.jobs import run as runner
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.options import Options

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

OPTIONS = {f.name for f in fields(Options)}


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
        options: Options of `mlpbench run`, such as `device` or `data_dir`.

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
    weights = export.weights_of(export.find(run_id, folders), Options(**({"quiet": True} | options)))
    return decoded(weights.content, weights.stored.folder)
