"""mlpbench: what really matters in a multilayer perceptron, measured with replicates and judged statistically."""

from __future__ import annotations

import os

# Next to nothing is loaded with the package: `python -m mlpbench` begins with it, and is deaf to signals until it is loaded.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mlpbench.api import Experiment, Outcome, Plan, load, model, plan, run
    from mlpbench.base.errors import InputError, MachineError
    from mlpbench.experiment.plugins.decorators import (
        activation,
        dataset,
        initialiser,
        loss,
        metric,
        optimiser,
        schedule,
    )
    from mlpbench.training.saved_model import load_weights
    from mlpbench.training.table_model import load_model

    __version__: str

DECORATORS = ("activation", "initialiser", "optimiser", "loss", "schedule", "metric", "dataset", "figure")
__all__ = [
    "__version__", "Experiment", "InputError", "MachineError", "Outcome", "Plan", "load", "load_model", "load_weights", "model", "plan", "run", "activation", "initialiser", "optimiser", "loss", "schedule",
    "metric", "dataset", "figure",
]  # fmt: skip

WINDOWS = (
    "Windows lacks the locks of files, signals and limits of POSIX that keep results whole: use WSL, the Linux in Windows "
    "(`wsl --install`), where mlpbench runs as on any Linux"
)


def _loaded(name: str) -> Any:
    if name in __all__ and os.name == "nt":
        raise ImportError(WINDOWS)
    # Loaded when first used: `mlpbench --help` needs neither pandas nor scipy.
    if name in ("Experiment", "Outcome", "Plan", "load", "model", "plan", "run"):
        from mlpbench import api

        return getattr(api, name)
    if name in ("InputError", "MachineError"):
        from mlpbench.base import errors

        return getattr(errors, name)
    if name in DECORATORS:
        from mlpbench.experiment.plugins import decorators

        return getattr(decorators, name)
    if name == "load_weights":
        from mlpbench.training import saved_model

        return saved_model.load_weights
    if name == "load_model":
        from mlpbench.training import table_model

        return table_model.load_model
    if name == "__version__":
        from mlpbench.base.environment import VERSION

        return VERSION
    raise AttributeError(f"module 'mlpbench' has no attribute {name!r}")


# Editors and mypy go by the imports above, and know a name that there is not.
if not TYPE_CHECKING:
    __getattr__ = _loaded


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
