"""mlpbench: what really matters in a multilayer perceptron, measured with replicates and judged statistically."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlpbench.base.environment import VERSION

if TYPE_CHECKING:
    from mlpbench.api import load, model, run
    from mlpbench.training.saved_model import load_weights

__all__ = ["__version__", "load", "load_weights", "model", "run"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    # Loaded when first used: `mlpbench --help` needs neither pandas nor scipy.
    if name in ("load", "model", "run"):
        from mlpbench import api

        return getattr(api, name)
    if name == "load_weights":
        from mlpbench.training import saved_model

        return saved_model.load_weights
    raise AttributeError(f"module 'mlpbench' has no attribute {name!r}")
