"""Random tables, and random ways to write each into a text file: separator, quotes, marks, encoding, header, line ends, packing."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
SUFFIXES = (".csv", ".tsv", ".txt", ".data")
WORDS = ("red", "dark blue", "O'Neill", "a-b", "x1", "Ålesund", "größe", "a.b", "50-60", "#1", "5 km")
AWKWARD = ("Smith, John", "a;b", "one|two", 'says "no"', "two\nlines", "tab\there")


@dataclass(frozen=True, kw_only=True)
class DrawnText:
    """A table, the file it was written into, and the options that say how."""

    columns: dict[str, list[Any]]
    path: Path
    options: dict[str, Any]
    has_header: bool


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.csv", content)
    return out.getvalue()


def draw(seed: int, folder: Path) -> DrawnText:
    """Write a random table in a random way; the same seed gives the same file."""
    rng = np.random.default_rng([seed, 17])
    rows = int(rng.integers(12, 50))
    columns = _columns(rng, rows)
    separator = str(rng.choice([",", ";", "\t", "|", " "]))
    decimal = str(rng.choice([".", ","]))
    styles: list[Literal[0, 1, 2]] = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
    quoting = styles[rng.integers(0, 3)]
    ends = str(rng.choice(["\n", "\r\n", "\r"]))
    thousands = str(rng.choice(["", "." if decimal == "," else ","])) if rng.random() < 0.3 else ""
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"]))
    has_header = bool(rng.random() < 0.7)
    # Line breaks of a kind that the file has no other of, and tabs where any white space separates, need quotes that are not there.
    plain = str.maketrans(
        ("\n" if ends == "\r" else "") + ("\t" if separator == " " else ""), "-" * ((ends == "\r") + (separator == " "))
    )
    columns = {n: [v.translate(plain) if isinstance(v, str) else v for v in vs] for n, vs in columns.items()}
    lines: list[list[Any]] = [list(columns)] if has_header else []
    lines += [[_written(v, decimal, thousands) for v in row] for row in zip(*columns.values())]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=ends).writerows(lines)
    text = out.getvalue()
    if rng.random() < 0.2:
        text = f"# made by a test{ends}#{ends}{text}"
    if rng.random() < 0.2:
        text = text.replace(ends, ends * 2) if '"two' not in text else text + ends
    suffix = str(rng.choice([*PACK, ".zip"]))
    content = text.encode(encoding)
    path = folder / f"t{seed}{rng.choice(SUFFIXES)}{suffix}"
    path.write_bytes(zipped(content) if suffix == ".zip" else PACK[suffix](content))
    options = {"separator": separator, "decimal": decimal, "encoding": encoding, "header": has_header}
    return DrawnText(columns=columns, path=path, options=options, has_header=has_header)


def _columns(rng: np.random.Generator, rows: int) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = {"first": [round(float(v), 3) for v in rng.normal(0, 40, rows)]}
    for i in range(int(rng.integers(1, 6))):
        name = str(rng.choice(["size", "Größe", "price (net)", "a b", "x.1", "run_id", "é,è"])) + f" {i}"
        match rng.integers(0, 5):
            case 0:
                made[name] = [
                    round(float(v), int(rng.integers(1, 5))) for v in rng.normal(0, 10.0 ** rng.integers(0, 6), rows)
                ]
            case 1:
                made[name] = [int(v) for v in rng.integers(-5, 10 ** int(rng.integers(1, 7)), rows)]
            case 2:
                made[name] = [bool(v) for v in rng.random(rows) < 0.5]
            case 3:
                made[name] = [str(v) for v in rng.choice(WORDS, rows)]
            case _:
                made[name] = [str(v) for v in rng.choice([*WORDS, *AWKWARD], rows)]
    made["kind"] = [str(v) for v in rng.choice(["yes", "no"], rows)]
    return made


def _written(value: Any, decimal: str, thousands: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if decimal == "." and not thousands:
        return value
    text = f"{value:,}" if thousands else str(value)
    return "".join({",": thousands, ".": decimal}.get(letter, letter) for letter in text)
