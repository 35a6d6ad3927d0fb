"""Files that appear whole or not at all, and parquet files whose names say what bytes they have.

A part of a table is called `<stem>-<checksum of its bytes>.parquet`, so a file that was altered or cut short is known for
it by whoever reads the folder, and nothing has to be kept beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlpbench.base.atomic_files import _checksum, sealed
from mlpbench.results.schemas import KEYS, SCHEMAS, STATUSES

# The highest level of zstd that takes no more memory to read.
SMALLEST = 19
PART = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9]-([0-9a-f]{16})\.parquet")










def parts(folder: Path) -> list[Path]:
    """Return the finished files of a table, in the order of their names."""
    return sorted(f for f in folder.glob("*.parquet") if not f.name.startswith("."))


def encoded(stem: str, table: pa.Table, *, smallest: bool = False) -> tuple[str, bytes]:
    """Return the name and the bytes of a part; as few of them as can be where that is worth ten times the time.

    The smallest has no statistics, and no schema but parquet's own: `SCHEMAS` say what a column is.

    The bytes of floating-point numbers are stored by their place (byte stream split): signs and exponents, which are
    alike, stand together and compress. Everything else goes through a dictionary.
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
    """Return what is wrong with a part, or None; a file that was named by someone else is read to find out.

    Raises FileNotFoundError where it is gone.
    """
    try:
        path.lstat()
        if not path.is_file():  # a pipe would be waited for
            return "is no regular file"
        if named := PART.fullmatch(path.name):
            if _checksum(path.read_bytes()) != named[1]:
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


