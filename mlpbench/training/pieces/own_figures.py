"""Figures of plugins: each is called once, with the tables of an experiment, and what it returns becomes a picture and a sentence."""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.training.pieces.piece_calls import PieceCall

DPI = 150
# Inches of a figure each way, and how many times as high as wide it may be.
MOST_INCHES, MOST_TIMES_AS_HIGH = 40, 3
# Bytes of a picture, and letters of a sentence, that a results folder keeps.
MOST_BYTES, MOST_LETTERS = 2_000_000, 2_000
RULE = "a matplotlib figure, a sentence, or both as (figure, text)"


@dataclass(frozen=True, kw_only=True)
class FigureContext:
    """What a figure of a plugin gets.

    Attributes:
        name, question: of the experiment.
        runs: a row for each run that is stored: `label` of its condition, `replicate`, `status`, levels and metrics.
        curves: the table `curves` of these runs.

    """

    name: str
    question: str
    runs: pd.DataFrame
    curves: pd.DataFrame

    def copy(self) -> FigureContext:
        """Return it with tables of its own, which a figure may change."""
        return FigureContext(name=self.name, question=self.question, runs=self.runs.copy(), curves=self.curves.copy())


@dataclass(frozen=True, kw_only=True)
class DrawnPiece:
    """What a figure of a plugin came to: a sentence, and the picture as PNG; or why it could not be made."""

    called: str
    digest: str
    text: str = ""
    png: bytes | None = None
    error: str = ""


def prepare_drawing() -> None:
    """Have pyplot draw without a screen, should the code of a plugin be the first to ask for it."""
    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("agg")


def drawn(piece: PieceCall, context: FigureContext) -> tuple[str, bytes | None]:
    """Return the sentence and the picture of a figure; raise PieceError where it raises, or returns something else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        returned = piece(context.copy())
        parts = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned,)
        figures = [part for part in parts if isinstance(part, Figure)]
        texts = [part for part in parts if isinstance(part, str)]
        if len(figures) > 1 or len(texts) > 1 or len(figures) + len(texts) < len(parts):
            raise piece.wrong(RULE, " and ".join(type(part).__name__ for part in parts))
        text = " ".join("".join(texts).split())
        if len(text) > MOST_LETTERS:
            raise piece.wrong(f"a text of at most {MOST_LETTERS:,} letters", f"{len(text):,}")
        return text, _png(piece, figures[0]) if figures else None


def _png(piece: PieceCall, figure: Figure) -> bytes:
    width, height = (float(inches) for inches in figure.get_size_inches())
    if max(width, height) > MOST_INCHES or height > MOST_TIMES_AS_HIGH * width:
        rule = f"a figure of at most {MOST_INCHES} inches, at most {MOST_TIMES_AS_HIGH} times as high as wide"
        raise piece.wrong(rule, f"{width:g} by {height:g}")
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None}  # of another version, it would be another file
    try:
        figure.savefig(buffer, format="png", dpi=DPI, metadata=metadata)
    except (MemoryError, PieceError):
        raise
    except Exception as error:  # artists of the plugin draw now
        raise piece.raised(error, []) from error
    finally:
        if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
            pyplot.close(figure)
    if len(buffer.getvalue()) > MOST_BYTES:
        raise piece.wrong(f"a figure of at most {MOST_BYTES:,} bytes as PNG", f"{len(buffer.getvalue()):,}")
    return buffer.getvalue()
