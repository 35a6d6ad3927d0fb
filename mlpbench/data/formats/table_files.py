"""Which formats a table of the user's own may have, by the name of its file, and who reads each.

Text may be packed, and be called in capitals: `A.CSV`, `iris.data.gz`.
"""

from __future__ import annotations

from pathlib import Path

from mlpbench.data.file_errors import reading
from mlpbench.data.formats.column_choice import ColumnChoice
from mlpbench.data.formats.columns import PLAIN, ColumnOptions, Table
from mlpbench.data.text.dialect import TextOptions
from mlpbench.data.text.packed_files import PACKED

TEXT = (".csv", ".tsv", ".txt", ".data", ".dat")
PARQUET, NPY, NPZ = ".parquet", ".npy", ".npz"
FORMATS = (*TEXT, PARQUET, NPZ, NPY)


_AS_CSV = "save the sheet as csv"
_BY_PANDAS = "pandas writes it as parquet: pandas.{}({!r}).to_parquet('table.parquet')"
# What to do with a table of another format, by the suffix of its file: words, or the function of pandas that reads it.
CONVERSIONS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), _AS_CSV),
    ".json": "read_json",
    ".feather": "read_feather",
    ".arrow": "read_feather",
    ".orc": "read_orc",
    ".pkl": "read_pickle",
    ".pickle": "read_pickle",
    ".h5": "read_hdf",
    ".hdf5": "read_hdf",
    ".dta": "read_stata",
    ".sav": "read_spss",
    ".sas7bdat": "read_sas",
    ".xpt": "read_sas",
    ".jsonl": "pandas writes it as parquet: pandas.read_json({!r}, lines=True).to_parquet('table.parquet')",
    ".rds": "R writes it as csv: write.csv(readRDS({!r}), 'table.csv', row.names = FALSE)",
    ".rdata": "R writes it as csv: load({!r}), then write.csv(TABLE, 'table.csv', row.names = FALSE)",
    ".mat": "write its numbers as csv, in Matlab with writematrix",
}


def conversion(name: str) -> str:
    """Return how the message goes on about a file of another format: how it becomes one that is read; nothing where that is not known.

    >>> conversion("a.xlsx"), conversion("a.doc")
    ('; save the sheet as csv', '')
    """
    how = CONVERSIONS.get(Path(name.lower()).suffix)
    if how is None:
        return ""
    return f"; {_BY_PANDAS.format(how, name) if how.startswith('read_') else how.format(name)}"


def format_of(name: str) -> str | None:
    """Return the format that the name of a file says, without what says that it is packed; None where it is none.

    >>> format_of("iris.data.gz"), format_of("A.CSV"), format_of("own.npz.gz")
    ('.data', '.csv', None)
    """
    path = Path(name.lower())
    suffix = Path(path.stem).suffix if path.suffix in PACKED else path.suffix
    if path.suffix in PACKED and suffix not in TEXT:
        return None
    return suffix if suffix in FORMATS else None


def read_table(
    path: Path,
    name: str,
    choice: ColumnChoice | None = None,
    options: TextOptions | None = None,
    asked: ColumnOptions = PLAIN,
) -> tuple[Table, Table | None]:
    """Return the table of a file, and the one to test on where it is an npz file that has both.

    Args:
        path: the file, whose name says its format.
        name: what it is called in errors.
        choice: the columns that are read; all where it is left out.
        options: what is said of a text file; what is not said is recognised.
        asked: what is said of how columns are read.

    Raises InputError where the file is not a clean table, SpecProblem where a column that is asked for is none of its.

    """
    # Whoever has text needs no numpy files, and pyarrow's readers each take a while to load.
    choice, suffix = choice or ColumnChoice(), format_of(path.name)
    with reading(name):
        if suffix == PARQUET:
            from mlpbench.data.formats.parquet_files import read_parquet

            return read_parquet(path, name, choice, asked), None
        if suffix in (NPY, NPZ):
            from mlpbench.data.formats.array_files import read_npy, read_npz

            return read_npz(path, name, choice, asked) if suffix == NPZ else (read_npy(path, name, choice, asked), None)
        from mlpbench.data.formats.text_files import read_text

        return read_text(path, name, suffix or ".csv", choice, options or TextOptions(), asked), None
