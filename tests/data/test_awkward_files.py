"""Awkward files, one by one: each is read as a person would, with a note of what was understood, or refused with a way forward."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.data.formats.column_choice import ColumnChoice
from mlpbench.data.formats.columns import ColumnOptions
from mlpbench.data.formats.table_files import read_table
from mlpbench.data.table.table_data import TableData
from mlpbench.experiment.file import yaml_reader

N = 24
X = [round(0.37 * i % 5 + 0.05, 2) for i in range(N)]
COUNT = [3 * i % 17 for i in range(N)]
KIND = ["yes" if i % 2 else "no" for i in range(N)]
PLAIN = [*zip(X, COUNT, KIND)]


def text(rows: Any = PLAIN, head: str = "x{0}count{0}kind", separator: str = ",", end: str = "\n") -> str:
    lines = [head.format(separator)] if head else []
    return "".join(line + end for line in [*lines, *(separator.join(map(str, row)) for row in rows)])


def commas(value: float) -> str:
    return str(value).replace(".", ",")


def parquet(frame: pd.DataFrame | pa.Table, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, **how), out)
    return out.getvalue()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def zipped(**members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


FRAME = pd.DataFrame({"x": X, "count": COUNT, "kind": KIND})
MATRIX = np.column_stack([X, COUNT, np.arange(N) % 2])
COMMA = "column '{}': numbers with a decimal comma"
NO_HEADER = "no header, line 1 is a row: columns are named 1 to 3"
SPACED = text([(x, c, k.center(7)) for x, c, k in PLAIN], separator="   ", head="x {0} count{0}kind")
EUROPE = text([(commas(x), f"{10**6 * c + 1234:,}".replace(",", "."), k) for x, c, k in PLAIN], separator=";")


@dataclass(frozen=True, kw_only=True)
class Good:
    """A file that is read, with the target last: what its inputs are called, and what is noted."""

    content: bytes | str
    file: str = "t.csv"
    names: tuple[str, ...] = ("x", "count", "kind")
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    count: tuple[float, ...] = tuple(map(float, COUNT))


GOOD = {
    "plain": Good(content=text()),
    "capitals": Good(content=text(), file="T.CSV"),
    "semicolons": Good(content=text(separator=";"), notes=("columns are separated by ';'",)),
    "semicolons-said-by-excel": Good(content="sep=;\n" + text(separator=";"), notes=("columns are separated by ';'",)),
    "tabs": Good(content=text(separator="\t"), file="t.txt", notes=("columns are separated by tabs",)),
    "tsv": Good(content=text(separator="\t"), file="t.tsv"),
    "pipes": Good(content=text(separator="|"), file="t.data", notes=("columns are separated by '|'",)),
    "spaces": Good(content=SPACED, file="t.data", notes=("columns are separated by spaces",)),
    "spaces-in-front": Good(content="\n".join("  " + s for s in SPACED.split("\n")), file="t.txt", notes=("columns are separated by spaces",)),
    "tabs-of-which-one-is-double": Good(
        content=text(separator="\t").replace("\t", "\t\t", 1).replace("\tyes", "\t\tyes", 1),
        file="t.txt",
        notes=("columns are separated by spaces",),
    ),
    "quoted-names-after-a-tab": Good(
        content=text([(x, f'{c}\t"the {k} one"') for x, c, k in PLAIN], head="", separator="   "),
        file="auto-mpg.data",
        names=("1", "2", "3"),
        notes=("columns are separated by spaces", NO_HEADER),
    ),
    "europe": Good(content=EUROPE, notes=("columns are separated by ';'", COMMA.format("x"), "column 'count': numbers with '.' between thousands"), count=tuple(1e6 * c + 1234 for c in COUNT)),
    "decimal-commas-in-quotes": Good(content=text([(f'"{commas(x)}"', c, k) for x, c, k in PLAIN]), notes=(COMMA.format("x"),)),
    "commas-and-points": Good(
        content=text([(x, f'"{commas(c + 0.5)}"', k) for x, c, k in PLAIN]),
        notes=(COMMA.format("count"),),
        count=tuple(c + 0.5 for c in COUNT),
    ),
    "thousands": Good(
        content=text([(x, f'"{1000 * c + 1234:,}"', k) for x, c, k in PLAIN]),
        notes=("column 'count': numbers with ',' between thousands",),
        count=tuple(1000.0 * c + 1234 for c in COUNT),
    ),
    "swiss-thousands": Good(
        content=text([(x, f"{1000 * c + 1234:,}".replace(",", "'"), k) for x, c, k in PLAIN]),
        notes=("column 'count': numbers with \"'\" between thousands",),
        count=tuple(1000.0 * c + 1234 for c in COUNT),
    ),
    "points-among-decimal-commas": Good(
        content=text([(commas(x), f"{c + 1}.250", k) for x, c, k in PLAIN], separator=";"),
        notes=("columns are separated by ';'", COMMA.format("x"), "column 'count': numbers with '.' between thousands"),
        count=tuple(1000.0 * c + 1250 for c in COUNT),
    ),
    "no-header": Good(content=text(head=""), file="iris.data", names=("1", "2", "3"), notes=(NO_HEADER,)),
    "numbers-for-a-header": Good(
        content=text([(x, c, i % 2) for i, (x, c) in enumerate(zip(X, COUNT))], head="6,148,1"),
        names=("1", "2", "3"),
        notes=("no header, line 1 has numbers and is taken for a row: columns are named 1 to 3",),
        count=(148.0, *map(float, COUNT)),
    ),
    "years-for-names": Good(
        content=text([(x, c, i % 2) for i, (x, c) in enumerate(zip(X, COUNT))], head="2019,2020,2021"),
        names=("2019", "2020", "2021"),
        options={"header": True},
    ),
    "names-said": Good(content=text(head=""), options={"header": ["x", "count", "kind"]}),
    "names-said-for-others": Good(
        content=text(head="a,a,b"), options={"header": ["x", "count", "kind"]}, notes=("line 1 is a header, which the names of `header` replace",)
    ),
    "comments": Good(content="# from a page\n# of 1988\n" + text() + "# end\n", notes=("3 lines that begin with '#' are comments",)),
    "savetxt": Good(
        content="# " + text(head="x,count,kind"), notes=("1 line that begins with '#' is a comment", "the last comment above the rows is the header")
    ),
    "percent-comments": Good(content="% arff\n" + text(), options={"comment": "%"}, notes=("1 line that begins with '%' is a comment",)),
    "title-above-the-header": Good(content="My table\n" + text(), notes=("1 line above the header is a title and left out",)),
    "titles-above-the-header": Good(content="My table;;\n\nof 2024;\n" + text(separator=";"), notes=("columns are separated by ';'", "2 lines above the header are titles and left out")),
    "rows-that-begin-with-a-hash": Good(content=text([(f"#{i % 3}", c, k) for i, (x, c, k) in enumerate(PLAIN)])),
    "blank-lines": Good(content="\n\n" + text(end="\n \n")),
    "rows-of-separators": Good(content=text() + ",,\n,,\n", notes=("2 lines of separators alone are left out",)),
    "separators-at-the-ends": Good(
        content=text(separator=";", end=";;\n"), notes=("columns are separated by ';'", "separators at the ends of lines are left out")
    ),
    "separators-at-the-ends-of-rows": Good(content=text(end=",\n").replace(",\n", "\n", 1), notes=("separators at the ends of lines are left out",)),
    "pandas-index": Good(content=FRAME.to_csv(), notes=("the first column, without a name, is an index and left out",)),
    "pandas-index-read-back": Good(
        content=FRAME.reset_index(names="Unnamed: 0").to_csv(index=False), notes=("the first column, 'Unnamed: 0', is an index and left out",)
    ),
    "row-names-of-R": Good(
        content=text([(f'"{i + 1}"', *row) for i, row in enumerate(PLAIN)], separator=" "),
        file="t.txt",
        notes=("columns are separated by spaces", "the first column, without a name, is an index and left out"),
    ),
    "latin-1": Good(content=text(head="größe,count,kind").encode("latin-1"), names=("größe", "count", "kind"), notes=("read as Latin-1",)),
    "cp1252": Good(content=text(head="price €,count,kind").encode("cp1252"), names=("price €", "count", "kind"), notes=("read as Windows-1252",)),
    "cyrillic": Good(
        content=text(head="размер,count,kind").encode("cp1251"), names=("размер", "count", "kind"), options={"encoding": "cp1251"}
    ),
    "utf-8-with-a-mark": Good(content=text().encode("utf-8-sig")),
    "utf-16": Good(content=text().encode("utf-16"), notes=("read as UTF-16",)),
    "utf-16-be": Good(content=b"\xfe\xff" + text().encode("utf-16-be"), notes=("read as UTF-16",)),
    "utf-32": Good(content=text().encode("utf-32"), notes=("read as UTF-32",)),
    "line-ends-of-Windows": Good(content=text(end="\r\n")),
    "line-ends-of-old-Macs": Good(content=text(end="\r")),
    "names-with-quotes-and-line-breaks": Good(
        content=text(head='"x, ""raw""",  count  ,"ki\nnd"'), names=('x, "raw"', "count", "ki\nnd"), options={"target": -1}
    ),
    "names-that-mlpbench-uses": Good(content=text(head="run_id,depth,loss"), names=("run_id", "depth", "loss")),
    "gzip": Good(content=gzip.compress(text().encode()), file="t.csv.gz"),
    "zip": Good(content=zipped(**{"a/b.txt": text(), "__MACOSX/a/._b.txt": "x"}), file="t.txt.zip"),
    "parquet-index": Good(content=parquet(FRAME.set_index(pd.Index([f"p{i}" for i in range(N)], name="patient"))), file="t.parquet", notes=("the index 'patient' of the pandas table is left out",)),
    "parquet-index-without-a-name": Good(content=parquet(FRAME.iloc[::-1].iloc[::-1].set_axis([*range(1, N), 0])), file="t.parquet", notes=("the index '__index_level_0__' of the pandas table is left out",)),
    "parquet-index-asked-for": Good(
        content=parquet(FRAME.set_index("count")), file="t.parquet", options={"columns": ["count", "x"]}, names=("x", "kind", "count"),
        notes=("no test row of class '2', '4', '5' and others",)
    ),
    "parquet-dictionary": Good(content=parquet(FRAME.astype({"kind": "category"})), file="t.parquet"),
    "parquet-decimals": Good(
        content=parquet(pa.table({"x": X, "count": pa.array(COUNT, pa.int64()).cast(pa.decimal128(22, 2)), "kind": KIND})), file="t.parquet"
    ),
    "parquet-small-integers": Good(content=parquet(FRAME.astype({"count": np.uint8, "x": np.float32})), file="t.parquet"),
    "npy": Good(content=npy(MATRIX), file="t.npy", names=("1", "2", "3"), notes=("columns of the array are named 1 to 3",), options={"task": "classes"}),
    "npz-of-one-array": Good(content=npz(a=MATRIX), file="t.npz", names=("1", "2", "3"), notes=("columns of the array are named 1 to 3",), options={"task": "classes"}),
    "npz-with-a-column-for-a-target": Good(
        content=npz(x=MATRIX[:, :2], y=np.array(KIND)[:, None]), file="t.npz", names=("x[:, 0]", "x[:, 1]", "y"), options={"target": "y"}
    ),
    "npz-of-other-names": Good(
        content=npz(data=MATRIX[:, :2], target=np.array(KIND)), file="t.npz", names=("data[:, 0]", "data[:, 1]", "target"), options={"target": "target"}
    ),
}  # fmt: skip


def planned(folder: Path, file: str, content: bytes | str, options: Mapping[str, Any]) -> TableData:
    """Return the data of an experiment on a file, by default with the last column for a target."""
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    dataset = {"file": str(folder / file), "target": -1, **options}
    experiment = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})
    assert isinstance(experiment.sources[0], TableData)
    return experiment.sources[0]


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
def test_a_file_is_read_and_what_was_understood_is_noted(tmp_path: Path, case: Good) -> None:
    data = planned(tmp_path, case.file, case.content, case.options)
    said = [note.removeprefix(f"{case.file}: ").partition(" (where it has names")[0] for note in data.facts.notes]
    assert [s for s in said if not s.startswith("the target, column ")] == list(case.notes)
    if case.file != "t.npz" or case.options.get("target") is None:
        table, _ = read_table(
            tmp_path / case.file,
            case.file,
            None if "columns" not in case.options else _choice(case),
            options=data.options.text,
            asked=ColumnOptions(decimal=data.options.decimal),
        )
        assert tuple(c.name for c in table.columns) == case.names
        assert tuple(table.columns[case.names.index("count") if "count" in case.names else 1].values) == case.count
    again = yaml_reader.from_mapping(
        {"name": "own", "question": "?", "dataset": {k: v for k, v in _plain(data).items() if k != "facts"}}
    )
    assert again.sources[0] == data
    assert data.load().x_train.shape[1] == data.facts.n_features


def _plain(data: TableData) -> dict[str, Any]:
    """Return what the folder's file says, as JSON and YAML have it."""
    tree = data.as_written(None)
    assert isinstance(tree, dict)
    assert json.loads(json.dumps(tree)) == tree
    return tree


def _choice(case: Good) -> Any:
    return ColumnChoice(target="kind", columns=tuple(case.options["columns"]))


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file that is refused: what is said, and the options that it is then read with."""

    content: bytes | str
    says: str
    forward: Mapping[str, Any] | None
    file: str = "t.csv"
    options: Mapping[str, Any] = field(default_factory=dict)


HALF = [(f'"{v},250"', k) for v, k in zip(range(1, N + 1), KIND)]
REFUSED = {
    "comma-of-decimals-or-thousands": Refused(content=text(HALF, head="x{0}kind"), says="t.csv:2: column 'x': it must be certain whether a comma stands before decimals or thousands, got '1,250'; say `decimal: ','` or `decimal: '.'`", forward={"decimal": ","}),
    "comma-of-thousands-said": Refused(content=text(HALF, head="x{0}kind"), says="decimals or thousands", forward={"decimal": "."}),
    "comma-or-spaces": Refused(
        content=text([(commas(x), c + 100, k) for x, c, k in PLAIN], head="", separator=" "), says="what separates columns must be certain, got ',' or spaces; say `separator: ','` or `separator: ' '`", forward={"separator": " "}
    ),
    "comma-or-semicolon": Refused(content=text([(f"a{i % 7}", f"b{i % 5};{k}") for i, k in enumerate(KIND)], head=""), says="what separates columns must be certain, got ',' or ';'", forward={"separator": ","}),
    "header-or-row": Refused(content=text([(f"name {i}", c, x) for i, (x, c, _) in enumerate(PLAIN)], head="place{0}2019{0}2020"), says="t.csv:1: it must be certain whether line 1 is a header or a row, got 'place, 2019, 2020'; say `header: true`", forward={"header": True, "drop": [1]}),
    "decimal-commas-between-commas": Refused(content=text([(commas(x), k) for x, k in zip(X, KIND)], head="x{0}kind"), says="got one too few, and the first column is not surely an index; say `header: [...]` with all names; numbers with a decimal comma need another separator or quotes", forward=None),
    "names-too-few": Refused(content=text(head=""), options={"header": ["x", "kind"]}, says="header must name all 3 columns, got 2 names", forward={"header": ["x", "count", "kind"]}),
    "one-name-too-few": Refused(content=text(head="count,kind"), says="not surely an index; say `header: [...]` with all names", forward={"header": ["x", "count", "kind"]}),
    "title-with-a-comma": Refused(content="Sales, 2020\n" + text([(*row, "a", "b") for row in PLAIN], head="x{0}count{0}kind{0}p{0}q"), says="a header must have a name for each of the 5 columns, separated by ',', got 2; say `separator`, or `header: [...]` with all names; a title above the header is left out by `comment: 'Sales'`", forward={"comment": "Sales", "target": 3}),
    "open-quote": Refused(content=text([(x, c, k + '"' * (i == 3)) for i, (x, c, k) in enumerate(PLAIN)]), says="t.csv:5: a quote must be closed, got an odd number of quotes; one within a value stands twice, in a value in quotes; else take it out", forward=None),
    "words-of-a-column-left-out": Refused(content=text(), options={"words": ["count"], "drop": ["count"]}, says="words must name columns that are read, got 'count', which is left out", forward={"words": ["count"]}),
    "words-of-a-column-not-asked-for": Refused(content=text(), options={"words": [2], "columns": ["x"]}, says="words must name columns that are read, got 2, which is left out", forward={"words": [2], "columns": ["count"]}),
    "words-of-an-array-left-out": Refused(content=npz(x=MATRIX, y=np.array(KIND)), file="t.npz", options={"target": "y", "words": ["x[:, 1]"], "drop": [2]}, says="words must name columns that are read, got 'x[:, 1]', which is left out", forward={"target": "y", "words": ["x[:, 1]"]}),
    "position-in-an-npz": Refused(content=npz(x=MATRIX[:, :2], y=np.array(KIND)), file="t.npz", says="target must be the name of an array where an npz file has several (x, y), got -1", forward={"target": "y"}),
    "fractions-without-a-name": Refused(content=text(head=",count,kind"), says="got '' for column 1; `header: [...]` gives names", forward={"header": ["x", "count", "kind"]}),
    "name-twice": Refused(content=text(head="x,x,kind"), says="the columns of a table must have different names, got 'x' twice; `header: [...]` gives names, `drop: [2]` leaves it out", forward={"drop": [2]}),
    "no-name": Refused(content=text(head="x,,kind"), says="got '' for column 2; `header: [...]` gives names, `drop: [2]` leaves it out", forward={"drop": [2]}),
    "position-0": Refused(content=text(), options={"target": 0}, says="a position must be from 1 to 3, or from -3 to -1, which is the last, in ", forward={"target": 3}),
    "position-beyond": Refused(content=text(), options={"target": 4}, says="got 4", forward={"target": -1}),
    "position-of-a-name": Refused(content=text(head="2019,2020,2021"), options={"target": 2021, "header": True}, says="a column of that name is written '2021', in quotes", forward={"target": "2021", "header": True}),
    "unknown-target": Refused(content=text(head=""), options={"target": "kind"}, says="(1, 2, 3), got 'kind'; a position such as -1, the last, does too", forward={"target": "3"}),
    "unknown-drop": Refused(content=text(), options={"drop": ["cuont"]}, says="drop must be a column of ", forward={"drop": ["count"]}),
    "target-dropped": Refused(content=text(), options={"drop": ["kind"]}, says="drop must leave the target, got 'kind'", forward={"drop": ["x"]}),
    "drop-and-columns": Refused(content=text(), options={"drop": ["x"], "columns": ["count"]}, says="drop says what is left out, columns what is read: give one of them, got both", forward={"columns": ["count"]}),
    "separator-of-two": Refused(content=text(separator="; "), options={"separator": "; "}, says="separator must be one character", forward={"separator": ";"}),
    "encoding-unknown": Refused(content=text(), options={"encoding": "utf-9"}, says="encoding must be one that Python knows, such as utf-8", forward={"encoding": "utf-8"}),
    "decimal-unknown": Refused(content=text(), options={"decimal": ";"}, says="decimal must be '.' or ',', got ';'", forward={"decimal": "."}),
    "separator-of-parquet": Refused(content=parquet(FRAME), file="t.parquet", options={"separator": ";"}, says="separator must be left out where the file is no text", forward={}),
    "parquet-lists": Refused(content=parquet(pa.table({"x": X, "many": [[1, 2]] * N, "kind": KIND})), file="t.parquet", says="which is many values in one; leave it out with `drop: ['many']`", forward={"drop": ["many"]}),
    "parquet-bytes": Refused(content=parquet(FRAME.assign(raw=[b"ab"] * N)[["x", "raw", "kind"]]), file="t.parquet", says="got binary, which is bytes; leave it out with `drop: ['raw']`", forward={"drop": [2]}),
    "zip-of-two": Refused(content=zipped(a="1", b="2"), file="t.csv.zip", says="a zip file must hold one file, got a, b; unpack the one that is meant", forward=None),
    "gzip-that-is-none": Refused(content=text(), file="t.csv.gz", says="a gz file must be readable as one, got", forward=None),
    "gzip-cut": Refused(content=gzip.compress(text().encode())[:-12], file="t.csv.gz", says="a gz file must be readable as one, got", forward=None),
    "npy-of-three-axes": Refused(content=npy(MATRIX[:, :, None]), file="t.npy", says="must be numbers, true and false or text of shape (rows, columns), got float64 of shape (24, 3, 1); or give x and y in an npz file", forward=None),
    "npy-of-objects": Refused(content=npy(np.array([["a", None]] * 5, object)), file="t.npy", says="got objects, which are never unpickled", forward=None),
    "npy-of-terabytes": Refused(content=npy(MATRIX).replace(b"(24, 3), }" + b" " * 10, b"(24000000000, 3), }" + b" "), file="t.npy", says="the array must have the bytes that its header asks for", forward=None),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_uncertain_is_refused_with_a_way_forward(tmp_path: Path, case: Refused) -> None:
    with pytest.raises(InputError) as refused:
        planned(tmp_path, case.file, case.content, case.options)
    assert case.says in str(refused.value)
    if case.forward is not None:
        planned(tmp_path, case.file, case.content, {"scale": "none", **case.forward})


def test_there_are_many_awkward_files() -> None:
    assert len(GOOD) + len(REFUSED) >= 80


def test_what_is_said_and_would_be_recognised_leaves_the_data_as_they_are(tmp_path: Path) -> None:
    recognised = planned(tmp_path, "a.csv", EUROPE, {})
    said = {"separator": ";", "decimal": ",", "encoding": "utf-8", "header": True, "comment": "#"}
    assert planned(tmp_path, "a.csv", EUROPE, said).facts.fingerprint == recognised.facts.fingerprint
    plain = text([(x, 10**6 * c + 1234, k) for x, c, k in PLAIN])
    assert planned(tmp_path, "b.csv", plain, {}).facts.fingerprint == recognised.facts.fingerprint


@pytest.mark.parametrize("columns", [1000, pytest.param(5000, marks=pytest.mark.prove)])
def test_a_table_of_very_many_columns_is_read(columns: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, columns)), columns=[f"gene {i}" for i in range(columns)]).assign(
        kind=["a", "b"] * 15
    )
    frame.to_csv(tmp_path / "wide.csv", index=False, sep=";", decimal=",")
    data = planned(tmp_path, "wide.csv", (tmp_path / "wide.csv").read_bytes(), {})
    assert data.facts.n_features == columns
    frame.to_parquet(tmp_path / "wide.parquet")
    assert (
        planned(tmp_path, "wide.parquet", (tmp_path / "wide.parquet").read_bytes(), {}).facts.fingerprint
        == data.facts.fingerprint
    )


def test_columns_that_are_left_out_are_left_out_of_both_files(tmp_path: Path) -> None:
    """And what is wrong in them is not looked at."""
    wrong = text([(x, "?", k) for x, _, k in PLAIN])
    (tmp_path / "test.csv").write_text(wrong)
    for options in ({"drop": ["count"]}, {"drop": [2]}, {"drop": [-2]}, {"columns": ["x"]}, {"columns": [1]}):
        data = planned(tmp_path, "t.csv", wrong, {"target": "kind", "test_file": str(tmp_path / "test.csv"), **options})
        assert (data.facts.n_features, data.facts.n_train, data.facts.n_test) == (1, N, N)
    whole = planned(tmp_path, "t.csv", text(), {"target": "kind"}).facts
    assert (
        planned(tmp_path, "t.csv", text(), {"target": 3, "columns": ["count", "x"]}).facts.fingerprint
        == whole.fingerprint
    )


def test_a_target_by_position_is_named(tmp_path: Path) -> None:
    assert planned(tmp_path, "t.csv", text(), {}).facts.notes == ("t.csv: the target, column -1, is 'kind'",)
    assert planned(tmp_path, "t.csv", text(), {"target": 3}).facts.title == "t.csv, target column 3"


PIECES = (
    b",",
    b";",
    b"\t",
    b" ",
    b'"',
    b"\n",
    b"\r",
    b"#",
    b"\0",
    b"\xff",
    b"\xe9",
    b"1,5",
    b"",
    b"\xef\xbb\xbf",
    b'""',
    b"sep=;\n",
)


@pytest.mark.slow
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    """Pieces of all files above, exchanged at random for what separates, quotes, comments or ends."""
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(1500):
        case = [*GOOD.values()][rng.integers(len(GOOD))]
        content = bytearray(case.content if isinstance(case.content, bytes) else case.content.encode())
        for _ in range(rng.integers(1, 4)):
            start = int(rng.integers(0, len(content) + 1))
            content[start : start + int(rng.choice([0, 1, 3]))] = PIECES[rng.integers(len(PIECES))]
        (tmp_path / case.file).write_bytes(content)
        try:
            read_table(tmp_path / case.file, case.file, ColumnChoice(target=-1))
        except (InputError, SpecProblem) as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - most files are refused, some are read
    assert 200 < refused < 1500
