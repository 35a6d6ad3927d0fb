"""What commands print, through one escape: no word of a user moves the cursor, rings, colours a line or turns it over.

Standard output and standard error are wrapped while a command runs, whoever writes to them, so that nothing is forgotten. The
bar of `jobs.progress`, which does move the cursor, has the stream that is wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import click

from mlpbench.base.escapes import shortened, terminal
from mlpbench.cli.message_lines import fitted, width_of

# Letters of a message: what users wrote may be a megabyte, and is in some messages.
MOST_ERROR = 4000


class EscapedStream:
    """A stream that takes text as `terminal` gives it, and what its encoding lacks written out."""

    def __init__(self, stream: TextIO, most: int | None = None) -> None:
        self.stream = stream
        self._most = most

    def write(self, text: str) -> int:
        """Write text, cut in the middle where it is longer than the stream takes at once."""
        if not isinstance(text, str):  # click asks by b"" whether a stream takes bytes
            raise TypeError("a stream of text takes no bytes")
        shown = terminal(text if self._most is None else shortened(text, self._most))
        if self._most is not None and (width := width_of(self.stream)):  # messages, on a terminal
            shown = fitted(shown, width)
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def escaped_output() -> Iterator[None]:
    """Escape whatever is printed meanwhile."""
    out, err = sys.stdout, sys.stderr
    # Without a standard stream, as behind `>&-`, there is none to wrap.
    sys.stdout = cast(TextIO, EscapedStream(out)) if out is not None else out
    sys.stderr = cast(TextIO, EscapedStream(err, MOST_ERROR)) if err is not None else err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


class PathArgument(click.Path):
    """A path of the command line, which messages can name on their line; `~` is the home folder behind `=` too."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; raise InputError where it is no text."""
        from mlpbench.base.files import checked_path, expanded  # loads pydantic, which `--help` needs not

        return checked_path(expanded(str(super().convert(value, param, ctx))))
