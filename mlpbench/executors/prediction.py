"""Predictions by a model of a file, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.training.table_model import load_model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Predictions of the rows of a file, in their order: `predicted`, of classes each one's probability; and notes on reading.

    A row that can't be predicted has missing values.
    """

    rows: pd.DataFrame
    target: str
    notes: tuple[str, ...]


def predict(model: Path, table: Path) -> Predicted:
    """Return the predictions of a model for the rows of a table; raise InputError for a file that does not fit."""
    import numpy as np
    import pandas as pd

    loaded = load_model(model)
    of_rows = loaded.encoder.read(table, str(table))
    if loaded.class_names:
        shares = loaded.probabilities(of_rows)
        rows = pd.DataFrame({"predicted": loaded.classes_[shares.argmax(1)].astype(object)})
        rows = rows.join(pd.DataFrame(shares, columns=[f"p({name})" for name in loaded.class_names]))
    else:
        rows = pd.DataFrame({"predicted": loaded.numbers(of_rows)})
    rows[~of_rows.known] = np.nan
    return Predicted(rows=rows, target=loaded.encoder.target, notes=of_rows.notes)
