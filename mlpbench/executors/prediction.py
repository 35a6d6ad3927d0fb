"""Predictions for the rows of a table by a model of a file, in this process, as a table of their own."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError
from mlpbench.base.files import write_whole
from mlpbench.base.models import shown
from mlpbench.data.dataset import Say, say_nothing

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".parquet")
# What float32 holds, in text.
DIGITS = "%.7g"


def predict(
    model: Path,
    table: Path,
    to: Path | None,
    say: Say = say_nothing,
    *,
    force: bool = False,
    reading: Mapping[str, Any] | None = None,
    plugins: Sequence[Path] = (),
) -> str:
    """Predict the rows of a table and write them to a file; return them as csv text where there is none.

    Args:
        model: what `mlpbench export` wrote of a run on a table of the user's own.
        table: new rows: text, parquet or arrays, with the columns that were learned from.
        to: a csv or parquet file.
        say: gets a line about what is not plain in how the table was read.
        force: whether an existing file is overwritten.
        reading: what is said of how the table is written where that is not as in training.
        plugins: files with the code of the model's activation, where that is a plugin's.

    Raises InputError for a model or table that does not fit, or where the file exists; MachineError where the disk refuses.

    """
    if to is not None and to.suffix not in FORMATS:
        raise InputError(f"predictions are written to a file that ends in {' or '.join(FORMATS)}, got {shown(to.name)}")
    if to is not None and (to.is_dir() or (to.exists() and not force)):
        raise InputError(f"the {'folder' if to.is_dir() else 'file'} exists: {to}; --force overwrites a file")
    if not table.is_file():
        raise InputError(f"table not found: {table}")
    rows = predictions(model, table, say, reading, plugins)
    if to is None:
        return str(rows.to_csv(index=False, float_format=DIGITS))
    content = io.BytesIO()
    if to.suffix == ".csv":
        rows.to_csv(content, index=False, float_format=DIGITS)
    else:
        rows.to_parquet(content, index=False)
    write_whole(to, content.getvalue())
    return ""


def predictions(
    model: Path,
    table: Path,
    say: Say = say_nothing,
    reading: Mapping[str, Any] | None = None,
    plugins: Sequence[Path] = (),
) -> pd.DataFrame:
    """Return a row for each row of a table, in their order: `predicted`, and of classes the probability of each, where it has one.

    A row that can't be predicted has missing values. The arguments are those of `predict`. Raises InputError for a file that
    does not fit.
    """
    # The arguments are checked before torch is loaded.
    import numpy as np
    import pandas as pd

    from mlpbench.training.table_model import load_model

    loaded = load_model(model, plugins)
    of_rows = loaded.encoder.read(table, str(table), reading)
    for note in of_rows.notes:
        say(f"{table.name}: {note}")
    if loaded.class_names:
        shares = loaded.probabilities(of_rows)
        rows = pd.DataFrame({"predicted": loaded.classes_[shares.argmax(1)].astype(object)})
        if loaded.has_probabilities:
            rows = rows.join(pd.DataFrame(shares, columns=[f"p({name})" for name in loaded.class_names]))
    else:
        rows = pd.DataFrame({"predicted": loaded.numbers(of_rows)})
    rows[~of_rows.known] = np.nan
    return rows
