"""Figures of plugins as a results folder keeps them: one record, with a picture and a sentence for each, or why there is none.

They are drawn by `run`; whatever reads the folder later runs no code. A picture of a folder of others is not shown as it is: its pixels
are read, if it is a PNG of a size that a report can have, and drawn again.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from mlpbench.base.files import read_record, record
from mlpbench.results.seal import OWN_FIGURES, remedy, write_sealed

# Pixels of a picture, each way; letters of its PNG in base64; pictures of a folder.
MOST_PIXELS, MOST_BASE64, MOST_FIGURES = 6_000, 4_000_000, 1_000
# How many times as high as wide a picture may be.
MOST_TIMES_AS_HIGH = 3
_PNG = b"\x89PNG\r\n\x1a\n"
_WORD, _DIGEST = r"^[A-Za-z][A-Za-z0-9_]{0,59}$", r"^[0-9a-f]{12}$"


@dataclass(frozen=True, kw_only=True)
class StoredFigure:
    """A figure of a plugin: its name and the digest of its code, what it says, its picture as PNG in base64, or what went wrong."""

    called: Annotated[str, Field(pattern=_WORD)]
    digest: Annotated[str, Field(pattern=_DIGEST)]
    text: Annotated[str, Field(max_length=4_000)] = ""
    png: Annotated[str, Field(max_length=MOST_BASE64)] = ""
    error: Annotated[str, Field(max_length=4_000)] = ""

    @property
    def pixels(self) -> NDArray[np.uint8] | None:
        """The picture, (rows, columns, 3), on white; None where there is none, or what is there is no picture of a report."""
        return _pixels(self.png) if self.png else None


_FIGURES: TypeAdapter[list[StoredFigure]] = TypeAdapter(Annotated[list[StoredFigure], Field(max_length=MOST_FIGURES)])


def read_figures(folder: Path) -> list[StoredFigure]:
    """Return the figures of plugins that a folder keeps; raise InputError where the record is damaged."""
    return read_record(folder / OWN_FIGURES, _FIGURES, remedy(OWN_FIGURES)) or []


def write_figures(folder: Path, figures: Sequence[StoredFigure]) -> None:
    """Write the whole record; raise MachineError where the disk refuses."""
    write_sealed(folder, {OWN_FIGURES: record([asdict(figure) for figure in figures])})


def in_base64(png: bytes | None) -> str:
    """Return a picture as a record has it."""
    return "" if png is None else base64.b64encode(png).decode()


def _pixels(png: str) -> NDArray[np.uint8] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        content = base64.b64decode(png, validate=True)
        width, height = struct.unpack(">II", content[16:24]) if content.startswith(_PNG) else (0, 0)
        if not (0 < width <= MOST_PIXELS and 0 < height <= min(MOST_PIXELS, MOST_TIMES_AS_HIGH * width + 1)):
            return None
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            seen: Any = image.convert("RGBA")
            paper = Image.new("RGBA", seen.size, "white")
            return np.asarray(Image.alpha_composite(paper, seen).convert("RGB"))
    except (binascii.Error, struct.error, UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
