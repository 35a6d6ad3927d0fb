"""How far replicates that split the rows of one table anew are short of being independent, and what that does to a variance.

Replicates that each draw their own test rows share most of their training rows, and some of their test rows: n of them say less
of tables like this one than n tables would. If two replicates correlate by rho, the standard deviation s of n replicates has
E s^2 = sigma^2 (1 - rho), and

    var(mean) = sigma^2 (rho + (1 - rho) / n) = E s^2 (1/n + rho / (1 - rho)).

Nadeau and Bengio take rho = n_test / (n_train + n_test), so that rho / (1 - rho) = n_test / n_train: exact where the number
is a mean over test rows and what the training rows make of it does not vary, and a guess beside that. What a network does
on rows that it was fitted to is likewise a mean over n_train of all rows: rho / (1 - rho) = n_train / (rows - n_train). However many
replicates there are, a standard error is at least s sqrt(rho / (1 - rho)).

Reference: Nadeau and Bengio, Inference for the Generalization Error, 2003.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlpbench.data.dataset import DataFacts
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.run_settings import RunSettings

if TYPE_CHECKING:
    import pandas as pd

# What is measured on test rows, by how its name begins.
OF_TEST_ROWS = ("test", "gap", "shift", "constant", "regret", "split")
METHOD = (
    "over replicates that draw their own test rows, corrected for overlapping training rows (Nadeau and Bengio 2003)"
)


def overlap(name: str, settings: RunSettings, data: DataFacts) -> float:
    """Return rho / (1 - rho) of two replicates in a metric, 0 where replicates are independent.

    Args:
        name: the metric.
        settings: those of the runs, which say how many rows are fitted.
        data: the facts of the data.

    """
    if not data.is_resplit or (name in METRICS and METRICS[name].source != "draws"):
        return 0.0
    part = metric_names.plain(name).removeprefix(metric_names.LATE).partition("_")[0]
    return of_part(part, settings, data)


def of_part(part: str, settings: RunSettings, data: DataFacts) -> float:
    """Return what `overlap` does of what is measured on the rows of a part: `test`, `val`, or those fitted to."""
    if not data.is_resplit:
        return 0.0
    rows, fitted = data.n_train + data.n_test, settings.n_fit
    if part in OF_TEST_ROWS:
        return data.n_test / fitted
    if part.startswith("val"):
        # On folds every training row is one, once.
        held_out = settings.n_validation or settings.train_size
        return held_out / min(fitted, rows - held_out)
    return fitted / (rows - fitted)


def by_position(part: str, conditions: Sequence[Condition]) -> pd.Series[float]:
    """Return what `of_part` does of each condition, by its position."""
    import pandas as pd

    return pd.Series([of_part(part, c.settings, c.data) for c in conditions], dtype=float)


def largest_overlap(name: str, conditions: Iterable[Condition]) -> float:
    """Return the largest overlap of some conditions, which a number that is of them all is credited with."""
    return max((overlap(name, c.settings, c.data) for c in conditions), default=0.0)
