"""Whether the report that stands in a folder is the one that would be made: then nothing need be drawn again.

Drawing takes most of the time of a report. A hidden file beside it holds one digest of all that it was made from and all that was
made: the files of the folder, the code of this package and the versions of what is installed. Tables and weights have
checksums in their names and are checked where they are read; of all other files the bytes count. Where anything differs, or
can't be read, the report is rendered again: no file that was altered, lost or copied from elsewhere is trusted.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from mlpbench.base.errors import MlpbenchError
from mlpbench.base.files import read_regular, write_whole
from mlpbench.results.seal import NAME as SEAL
from mlpbench.results.seal import PARTS

MARKDOWN, HTML = "report.md", "report.html"
NAME = ".report-digest"
DIGITS = 64
PACKAGE = Path(__file__).parents[2]
CODE = (".py", ".html", ".css", ".js", ".json")


def is_standing(folder: Path) -> bool:
    """Return whether the report of a folder was made from what is there now, by this code, and is as it was written."""
    try:
        return read_regular(folder / NAME, most=DIGITS) == digest(*_parts(folder))
    except (OSError, MlpbenchError):
        return False


def note(folder: Path) -> None:
    """Keep the digest of a report that was written without failures, and of what it was made from."""
    with suppress(OSError, MlpbenchError):  # the next run renders the report again
        write_whole(folder / NAME, digest(*_parts(folder)))


def digest(*parts: bytes) -> bytes:
    """Return the SHA-256 of parts, each with its length, in hexadecimal."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(len(part).to_bytes(8, "big"))
        sha256.update(part)
    return sha256.hexdigest().encode()


def _parts(folder: Path) -> Iterator[bytes]:
    yield sys.version.encode()
    yield from sorted({f"{d.name} {d.version}".encode() for d in metadata.distributions()})
    for path in sorted(p for p in PACKAGE.rglob("*") if p.suffix in CODE):
        yield str(path.relative_to(PACKAGE)).encode()
        yield path.read_bytes()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or name.name == SEAL or path.is_dir():
            continue
        yield str(name).encode()
        yield str(path.lstat().st_size).encode() if name.parts[0] in PARTS else read_regular(path)
