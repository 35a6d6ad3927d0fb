"""The text of an experiment file, and the parser of it: what is too long, no text, or YAML that an experiment needs none of is refused."""

from __future__ import annotations

import errno
from pathlib import Path

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
)
from ruamel.yaml.parser import Parser

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_regular
from mlpbench.experiment.file import shipped

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
# Where an open file of this process has its name.
HANDED_OVER = (Path("/dev/fd"), Path("/proc/self/fd"))
STANDARD_INPUT = Path("/dev/stdin")


def is_handed_over(path: Path) -> bool:
    """Return whether a path is an open file that a shell hands over: it has a name, and no folder."""
    return path == STANDARD_INPUT or path.parent in HANDED_OVER


def _content(path: Path) -> bytes:
    """Return the bytes of a regular file, or of what a shell hands over, whose other end it holds: `mlpbench plan <(...)`."""
    if is_handed_over(path):
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    return read_regular(path, MAX_BYTES)


def text_of(path: Path, what: str = "an experiment file") -> str:
    """Return the text of an experiment file, or of another one, which errors call `what`; raise InputError where it has none."""
    try:
        if path.is_dir():
            raise InputError(f"{what.removesuffix(' file')} must be a file, got the folder {path}")
        content = _content(path)
    except FileNotFoundError:
        raise InputError(f"experiment file not found: {path}{shipped.hint(path)}") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise InputError(f"{path}: {what} must have at most {MAX_BYTES} bytes, got more") from None
        raise InputError(f"{path}: {what} must be readable, got '{error.strerror}'") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: {what} must have at most {MAX_BYTES} bytes, got more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise InputError(f"{path}:{line}: {what} must be UTF-8, got byte {byte:#04x}") from None


class ExtraError(MarkedYAMLError):
    """YAML that an experiment needs none of."""


class PlainParser(Parser):
    """A parser that refuses, before anything is built of it, what an experiment needs none of."""

    _depth = 0

    @property  # type: ignore[override]
    def current_event(self) -> Event | None:
        """The event that was parsed and not yet taken."""
        return self._event

    @current_event.setter
    def current_event(self, event: Event | None) -> None:
        self._event = event
        if event is not None and (extra := self._extra(event)):
            raise ExtraError(problem=extra, problem_mark=event.start_mark)

    def _extra(self, event: Event) -> str | None:
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            sign = "*" if isinstance(event, AliasEvent) else "&"
            return f"an experiment must not use anchors and aliases, got {sign}{event.anchor}: write the value out"
        tag = getattr(event, "tag", None)
        if tag is not None:
            return f"an experiment must not use tags, got {tag}: write the plain value"
        if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
            return f"an experiment must be YAML 1.2, got %YAML {'.'.join(map(str, event.version))}"
        self._depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        return f"an experiment must be nested at most {MAX_DEPTH} deep, got more" if self._depth > MAX_DEPTH else None


# What the parser says, and what to do about it: the first that is in its words counts.
HINTS = (
    ("'\\t'", "indent with spaces, not tabs"),
    ("but got '['", "put text with brackets in quotes inside {...}, as in 'grad_norm[1]'"),
    ("expected ',' or ']'", "a list ends with ']', and has a comma between its entries"),
    ("expected ',' or '}'", "braces end with '}', and have a comma between their entries"),
    ("mapping values are not allowed", "text with a colon and a space needs quotes, and a line has one key"),
    ("could not find expected ':'", "a key needs a colon and a space behind it, as in `seed: 1`"),
    ("expected <block end>", "keys that go together begin in the same column"),
    ("unexpected end of stream", "a quote that opens text has to close it"),
    ("another document", "a file has one experiment: leave '---' out"),
    ("cannot start any token", "text that begins so needs quotes"),
    ("unknown escape character", "put text with a backslash in single quotes"),
)


def yaml_hint(error: MarkedYAMLError) -> str:
    """Return what to do about a text that is no YAML, behind a semicolon; nothing where that is not known."""
    said = f"{error.context} {error.problem}"
    return next((f"; {hint}" for words, hint in HINTS if words in said), "")
