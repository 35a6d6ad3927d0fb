"""mlpbench: what really matters in a multilayer perceptron, measured with replicates and judged statistically."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpbench.api import load, run

__all__ = ["__version__", "load", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Loaded when first used: `mlpbench --help` needs neither pandas nor scipy.
    if name in ("load", "run"):
        from mlpbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'mlpbench' has no attribute {name!r}")
