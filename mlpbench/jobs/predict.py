"""Predictions for the rows of a table, as a table."""

from __future__ import annotations

import io
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.base.files import write_whole
from mlpbench.base.models import shown
from mlpbench.data.dataset import Say, say_nothing

FORMATS = (".csv", ".parquet")
# What float32 holds, in text.
DIGITS = "%.7g"


def predict(model: Path, table: Path, to: Path | None, say: Say = say_nothing, *, force: bool = False) -> str:
    """Predict the rows of a table and write them to a file; return them as csv text where there is none.

    Args:
        model: what `mlpbench export` wrote of a run on a table of the user's own.
        table: new rows: text, parquet or npy, with the columns that were learned from.
        to: a csv or parquet file.
        say: gets a line about what is not plain in how the table was read.
        force: whether an existing file is overwritten.

    Raises InputError for a model or table that does not fit, or where the file exists; MachineError where the disk refuses.

    """
    if to is not None and to.suffix not in FORMATS:
        raise InputError(f"predictions are written to a file that ends in {' or '.join(FORMATS)}, got {shown(to.name)}")
    if to is not None and (to.is_dir() or (to.exists() and not force)):
        raise InputError(f"the {'folder' if to.is_dir() else 'file'} exists: {to}; --force overwrites a file")
    if not table.is_file():
        raise InputError(f"table not found: {table}")
    from mlpbench.executors.prediction import predict as predicted_by

    predicted = predicted_by(model, table)
    for note in predicted.notes:
        say(f"{table.name}: {note}")
    if to is None:
        return str(predicted.rows.to_csv(index=False, float_format=DIGITS))
    content = io.BytesIO()
    if to.suffix == ".csv":
        predicted.rows.to_csv(content, index=False, float_format=DIGITS)
    else:
        predicted.rows.to_parquet(content, index=False)
    write_whole(to, content.getvalue())
    return ""
