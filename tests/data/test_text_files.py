"""Text files as people have them: what is recognised is right, or refused with the option that settles it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from drawn_texts import DrawnText, draw

from mlpbench.base.errors import InputError
from mlpbench.data.formats.columns import ColumnOptions, Table
from mlpbench.data.formats.table_files import read_table
from mlpbench.data.table.table_data import read_options
from mlpbench.data.text.dialect import TextOptions


def read(path: Path, **options: Any) -> Table:
    asked = ColumnOptions(decimal=options.pop("decimal", None))
    return read_table(path, path.name, options=TextOptions(**options), asked=asked)[0]


def values(table: Table) -> list[list[Any]]:
    """Return the values of the columns as they were before they were written."""
    found: list[list[Any]] = []
    for c in table.columns:
        plain = [c.words[int(v)] for v in c.values] if c.type == "word" else c.values.tolist()
        found.append([bool(v) for v in plain] if c.type == "flag" else plain)
    return found


def expected(drawn: DrawnText) -> list[list[Any]]:
    return [
        [v.strip() if isinstance(v, str) else v if isinstance(v, bool) else float(v) for v in column]
        for column in drawn.columns.values()
    ]


def names(drawn: DrawnText) -> list[str]:
    return [*drawn.columns] if drawn.has_header else [str(i + 1) for i in range(len(drawn.columns))]


def recognised(seeds: range, folder: Path) -> float:
    """Check the files of some seeds, and return the share of them that was refused unless their options were said."""
    refused = 0
    for seed in seeds:
        drawn = draw(seed, folder)
        said = read(drawn.path, **drawn.options)
        assert ([c.name for c in said.columns], values(said)) == (names(drawn), expected(drawn)), seed
        try:
            table = read(drawn.path)
        except InputError as error:
            refused += 1
            if re.search(r"say `|say which", str(error)):
                continue
            raise
        assert ([c.name for c in table.columns], values(table)) == (names(drawn), expected(drawn)), (seed, table.notes)
        drawn.path.unlink()
    return refused / len(seeds)


def test_random_files_are_read_as_they_were_written_or_ask_for_an_option(tmp_path: Path) -> None:
    assert recognised(range(150), tmp_path) < 0.05


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(1000, 1500), marks=pytest.mark.slow, id="500"),
        pytest.param(range(1000, 3000), marks=pytest.mark.prove, id="2000"),
    ],
)
def test_many_random_files_are_read_as_they_were_written_or_ask_for_an_option(seeds: range, tmp_path: Path) -> None:
    assert recognised(seeds, tmp_path) < 0.05


def test_a_comma_in_words_moves_no_column(tmp_path: Path) -> None:
    """`1,Smith, John,p` under `id,name,y`: the header has a name for the ids, so that none of the four fields is an index."""
    rows = "".join(f"{i},Smith{i}, John,{'pq'[i % 2]}\n" for i in range(1, 21))
    (tmp_path / "t.csv").write_text("id,name,y\n" + rows)
    with pytest.raises(InputError, match="a header must have a name for each of the 4 columns.* words with a comma"):
        read_options({"file": "t.csv", "target": "y"}, tmp_path)
