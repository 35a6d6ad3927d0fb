"""Messages on a terminal: words stay whole, and a caret stays below the letter that it points at, however narrow the terminal is.

Into a file or a pipe messages go as they are, a line each.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import TextIO

# A narrower terminal breaks lines by itself.
NARROWEST = 30
CUT = "..."
CARET = "^"


def width_of(stream: TextIO) -> int | None:
    """Return the width of the terminal that a stream writes to, None where it is none, or too narrow to fit anything to it."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        return None
    return columns if columns >= NARROWEST else None


def fitted(text: str, width: int) -> str:
    """Return a text whose lines fit a width, as far as their words do.

    A line goes on below, indented. What begins with a blank is an excerpt, or was laid out: of an excerpt with a caret below it, the part
    around the caret is kept, and others stay as they are.
    """
    lines = text.split("\n")
    shown: list[str] = []
    i = 0
    while i < len(lines):
        if i + 1 < len(lines) and _points(lines[i + 1]) and lines[i][:1].isspace():
            shown += _around_caret(lines[i], lines[i + 1], width)
            i += 2
            continue
        is_prose = len(lines[i]) > width and not lines[i][:1].isspace()
        shown += _wrapped(lines[i], width) if is_prose else [lines[i]]
        i += 1
    return "\n".join(shown)


def _points(line: str) -> bool:
    """Return whether a line is a caret alone."""
    return line.strip() == CARET and line[:1].isspace()


def _around_caret(excerpt: str, pointer: str, width: int) -> Sequence[str]:
    """Return an excerpt and its caret, cut on either side where they are wider than the terminal."""
    if max(len(excerpt), len(pointer)) <= width:
        return [excerpt, pointer]
    margin = len(excerpt) - len(excerpt.lstrip())
    room, at, end = width - margin - 2 * len(CUT), pointer.index(CARET), len(excerpt)
    # Two thirds of what is shown stand before the caret: what is wrong there follows from them.
    start = max(margin, min(at - 2 * room // 3, max(end, at + 1) - room))
    before = CUT if start > margin else ""
    part = excerpt[start : start + room]
    after = CUT if start + room < end else ""
    return [f"{' ' * margin}{before}{part}{after}", f"{' ' * (margin + len(before) + at - start)}{CARET}"]


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
