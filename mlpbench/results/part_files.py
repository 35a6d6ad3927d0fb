"""The parquet files that a table consists of, each with a checksum in its name.

A part of a table is called `<stem>-<checksum of its bytes>.parquet`, so that readers notice a file that was altered or cut
short.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlpbench.base.atomic_files import checksum, sealed
from mlpbench.results.schemas import KEYS, SCHEMAS, STATUSES

# zstd's highest level that needs no more memory to read.
SMALLEST = 19
PART = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9]-([0-9a-f]{16})\.parquet")










def parts(folder: Path) -> list[Path]:
    """Return the finished files of a table, in the order of their names."""
    return sorted(f for f in folder.glob("*.parquet") if not f.name.startswith("."))


def encoded(stem: str, table: pa.Table, *, smallest: bool = False) -> tuple[str, bytes]:
    """Return the name and the bytes of a part; `smallest` compresses as much as possible, in ten times the time.

    The smallest has no statistics, and no schema but parquet's own: `SCHEMAS` have the types of columns. Floating-point
    numbers are stored by byte position (byte stream split): signs and exponents are similar, stand together and compress.
    All other columns are dictionary-encoded.
    """
    sink = pa.BufferOutputStream()
    leaves = {
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name: (
            field.type.value_type if pa.types.is_list(field.type) else field.type
        )
        for field in table.schema
    }
    split = [path for path, kind in leaves.items() if pa.types.is_floating(kind)]
    others = [path for path in leaves if path not in split]
    options: dict[str, Any] = {"use_dictionary": others, "use_byte_stream_split": split}  # stubs know no lists here
    if smallest:
        options |= {"compression_level": SMALLEST, "write_statistics": False, "store_schema": False}
    pq.write_table(table, sink, compression="zstd", **options)
    content = sink.getvalue().to_pybytes()
    return sealed(stem, content, ".parquet"), content




def damage(path: Path, table: str) -> str | None:
    """Return what is wrong with a part, or None; a file without a checksum in its name is read to find out.

    Raises FileNotFoundError where it does not exist any more.
    """
    try:
        path.lstat()
        if not path.is_file():  # reading a pipe would wait
            return "is not a regular file"
        if name := PART.fullmatch(path.name):
            if checksum(path.read_bytes()) != name[1]:
                return "is damaged: its bytes are not those that were written"
            return None
        needed = (*KEYS[table], *(["status"] if table == "runs" else []))
        lacking = [name for name in needed if name not in pq.read_schema(path).names]
        if lacking:
            return f"is not a file of this table, it has no {lacking[0]}"
        rows = pq.read_table(path, schema=SCHEMAS[table])
        if any(rows[name].null_count for name in needed):
            return f"is damaged: it has a row without {' or '.join(needed)}"
        if table == "runs" and (other := set(rows["status"].unique().to_pylist()) - STATUSES):
            return f"is damaged: a status must be one of {', '.join(sorted(STATUSES))}, got {min(map(str, other))!r}"
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return f"is not a readable parquet file of this table ({why})"
    return None


