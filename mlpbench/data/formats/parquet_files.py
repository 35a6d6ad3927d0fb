"""Parquet files of the user's own: the types of columns follow from the schema.

A column that the metadata of pandas name as the index is none of the table's, unless the experiment asks for it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mlpbench.base.models import SpecProblem, shown
from mlpbench.data.file_errors import MAX_BYTES, check_unpacked, file_error, reason
from mlpbench.data.formats.column_choice import ColumnChoice
from mlpbench.data.formats.column_types import COLUMN_RULE, is_text
from mlpbench.data.formats.columns import PLAIN, ColumnOptions, ColumnPlace, Table, letters
from mlpbench.data.formats.written_columns import typed_columns

if TYPE_CHECKING:
    import pandas as pd


def read_parquet(path: Path, name: str, choice: ColumnChoice, asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of a parquet file; raise InputError, with the row, where it is not a clean one.

    Args:
        path: the file.
        name: what the file is called in errors.
        choice: the columns that are read.
        asked: what is said of how columns are read.

    """
    try:
        with path.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            schema = pq.read_schema(opened)
            index = [n for n in _index_columns(schema) if n not in choice.names()]
            positions = [i for i, n in enumerate(schema.names) if n not in index]
            chosen = choice.of([schema.names[i].strip() for i in positions], name)
            positions = [positions[i] for i in chosen.keep]
            fields = [schema.field(i) for i in positions]
            text = [f.name for f in fields if is_text(f.type)]
            # A word that stands in many rows stands once in memory, until it is known how much all of them come to.
            with pq.ParquetFile(opened, read_dictionary=text) as file:
                if file.metadata.num_rows * len(fields) * 8 > MAX_BYTES:
                    message = f"a table must have at most {MAX_BYTES // 8} values, got {file.metadata.num_rows} rows"
                    raise file_error(f"{message} of {len(fields)} columns", name)
                for field in fields:
                    if refused := _refused(field.type):
                        message = f"{COLUMN_RULE}, got {shown(str(field.type))[1:-1]}{refused}"
                        hint = f"leave it out with `drop: [{shown(field.name)}]`"
                        raise ColumnPlace(file=name, column=field.name).error(f"{message}; {hint}")
                groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
                numbers = file.metadata.num_rows * (len(fields) - len(text)) * 8
                check_unpacked(max(numbers, sum(_unpacked(group, fields, schema) for group in groups)), size, name)
                # Names that stand twice do not say which column is meant.
                whole = len(fields) == len(schema) or len(set(schema.names)) < len(schema)
                table = file.read() if whole else file.read([f.name for f in fields])
        columns = [table.column(i if whole else f.name) for i, f in zip(positions, fields)]
        check_unpacked(numbers + sum(letters(c) for c, f in zip(columns, fields) if is_text(f.type)), size, name)
    except SpecProblem:
        raise
    except (pa.ArrowException, ValueError) as error:
        raise file_error(f"a parquet file must be readable as one, got {reason(error)}", name) from None
    if not fields:
        raise file_error("a data file must have columns, got none", name)
    if not table.num_rows:
        raise file_error("a data file must have rows, got a header alone", name)
    places = [ColumnPlace(file=name, column=f.name.strip()) for f in fields]
    left_out = [f"the index {n!r} of the pandas table is left out" for n in index]
    return Table(
        name=name,
        columns=typed_columns(places, columns, chosen.asked(asked)),
        notes=(*left_out, *chosen.notes),
        target=chosen.target or "",
        left_out=(*chosen.left_out, *(n.strip() for n in index)),
        split_by=chosen.split_by,
    )


def frame_table(frame: pd.DataFrame, name: str, choice: ColumnChoice, asked: ColumnOptions = PLAIN) -> Table:
    """Return the table of a DataFrame, whose index is none of its columns; raise InputError, with the row, for what can't be read.

    Args:
        frame: the rows.
        name: what the table is called in errors.
        choice: the columns that are read.
        asked: what is said of how columns are read.

    """
    named = frame.set_axis([str(column).strip() for column in frame.columns], axis=1)
    chosen = choice.of(list(named.columns), name)
    if not len(named):
        raise file_error("a table must have rows, got none", name)
    places, columns = [ColumnPlace(file=name, column=named.columns[i]) for i in chosen.keep], []
    for place, i in zip(places, chosen.keep):
        try:
            values = pa.chunked_array([pa.Array.from_pandas(named.iloc[:, i])])
        except pa.ArrowException as error:
            raise place.error(f"{COLUMN_RULE}, got {reason(error)}") from None
        if refused := _refused(values.type):
            raise place.error(f"{COLUMN_RULE}, got {shown(str(values.type))[1:-1]}{refused}")
        columns.append(values)
    return Table(
        name=name,
        columns=typed_columns(places, columns, chosen.asked(asked)),
        notes=chosen.notes,
        target=chosen.target or "",
        left_out=chosen.left_out,
    )


def _index_columns(schema: pa.Schema) -> list[str]:
    """Return the columns of a file that the metadata of pandas name as the index; a range is no column."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        names = [n for n in metadata.get("index_columns", []) if isinstance(n, str)]
    except (ValueError, AttributeError, TypeError):
        return []
    return [n for n in names if schema.names.count(n) == 1]


def _refused(dtype: pa.DataType) -> str | None:
    """Return what is to be said of a type that no column can have; None where it may be read."""
    if pa.types.is_nested(dtype):
        return ", which is many values in one"
    if pa.types.is_binary(dtype) or pa.types.is_large_binary(dtype) or pa.types.is_fixed_size_binary(dtype):
        return ", which is bytes"
    return None


def _unpacked(group: pq.RowGroupMetaData, fields: list[pa.Field[pa.DataType]], schema: pa.Schema) -> int:
    """Return how many bytes the columns that are read have in a group of rows."""
    if len(fields) == len(schema):
        return int(group.total_byte_size)
    wanted = {f.name for f in fields}
    leaves = (group.column(i) for i in range(group.num_columns))
    return sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema in wanted)
