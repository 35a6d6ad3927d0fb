"""A parquet file of the user's own: what a column holds is told from its type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlpbench.data.table.columns import (
    NO_GAPS,
    Column,
    Source,
    Table,
    check_whole,
    column_names,
    numbers,
    reason,
    wrong,
)
from mlpbench.data.table.size_limits import MAX_BYTES
from mlpbench.data.table.text_cells import first, words


def read_parquet(path: Path, name: str) -> Table:
    """Return the table of a parquet file, called `name` in errors; raise InputError where it is not a clean one."""
    try:
        with pq.ParquetFile(path) as file:
            given = list(file.schema_arrow.names)
            if file.metadata.num_rows * len(given) * 8 > MAX_BYTES:
                message = f"a table must have at most {MAX_BYTES // 8} values, got {file.metadata.num_rows} rows"
                raise wrong(f"{message} of {len(given)} columns", name)
            names = column_names(given, name)
            table = file.read()
    except (pa.ArrowException, ValueError) as error:
        raise wrong(f"a parquet file must be readable as one, got {reason(error)}", name) from None
    if not names:
        raise wrong("a data file must have columns, got none", name)
    if not table.num_rows:
        raise wrong("a data file must have rows, got a header alone", name)
    return Table(
        name=name, columns=[_column(Source(file=name, column=n), table.column(i)) for i, n in enumerate(names)]
    )


def _column(source: Source, chunked: pa.ChunkedArray[Any]) -> Column:
    try:
        raw = chunked.combine_chunks()
        if pa.types.is_dictionary(raw.type):
            raw = raw.cast(raw.type.value_type)
        # Bytes are taken for text unseen, and fail much later.
        raw.validate(full=True)
    except pa.ArrowException as error:
        raise source.wrong(f"a column must hold what its type says, text in UTF-8, got {reason(error)}") from None
    kind = raw.type
    if raw.null_count:
        raise source.wrong(f"{NO_GAPS}, got a null", first(pc.is_null(raw)))
    if pa.types.is_boolean(kind):
        return Column(name=source.column, kind="flag", values=raw.cast(pa.int8()).to_numpy().astype(np.float64))
    whole = pa.types.is_integer(kind)
    if whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = raw.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        column = numbers(source, values, whole=whole)
        if whole or (pa.types.is_decimal(kind) and kind.scale <= 0):
            check_whole(source, column.values, lambda row: raw[row].as_py())
        return column
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return words(source, raw)
    raise source.wrong(f"a column must hold numbers, true and false or text, got {kind}")
