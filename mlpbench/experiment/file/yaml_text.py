"""The text of an experiment file, and the parser of it: what is too long, no text, or YAML that an experiment needs none of is refused."""

from __future__ import annotations

import codecs
import errno
import re
from pathlib import Path
from typing import Any

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
from ruamel.yaml.scanner import Scanner

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_regular
from mlpbench.base.models import shown
from mlpbench.experiment.file import shipped

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SAVE_IT = "save it with the encoding UTF-8, which editors offer on saving"
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
    if content.startswith(UTF_16_MARKS):  # as PowerShell's `>` writes it
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: {what} must be UTF-16 throughout where it begins with its mark; {SAVE_IT}"
            ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise InputError(f"{path}:{line}: {what} must be UTF-8, got byte {byte:#04x}; {SAVE_IT}") from None


class ExtraError(MarkedYAMLError):
    """YAML that an experiment needs none of."""


class PlainScanner(Scanner):
    """A scanner that takes a tab for a space behind a key or a value, as YAML 1.2 does; in front of a key it stays an error."""

    def scan_to_next_token(self) -> Any:
        """Skip what is between two tokens of a line, or of several."""
        while not self.allow_simple_key and self.reader.peek() in " \t":
            self.reader.forward()
        return super().scan_to_next_token()


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
    ("unexpected end of stream", "a quote that opens text has to close it: this one is open to the end"),
    ("another document", "a file has one experiment: leave '---' out"),
    ("cannot start any token", "text that begins so needs quotes"),
    ("unknown escape character", "put text with a backslash in single quotes"),
)


def yaml_hint(error: MarkedYAMLError) -> str:
    """Return what to do about a text that is no YAML, behind a semicolon; nothing where that is not known."""
    said = f"{error.context} {error.problem}"
    return next((f"; {hint}" for words, hint in HINTS if words in said), "")


# A line that was meant as a key and its value: the key, what stands between them, the value.
_ENTRY = re.compile(r"(\s*)(\w[\w.-]*)(\s*[:=\uff1a]\s*|\s+)(\S.*)")
_COLON = re.compile(r":(\s|$)", re.ASCII)


def line_without_colon(text: str, error: MarkedYAMLError) -> tuple[int, int, str] | None:
    """Return line and column, both from 1, of an entry without a colon and a space, and what is wrong with it; None for another error.

    A parser reads on from it: it is at the next line that it stops, which is right.
    """
    lines, needs_sign = text.splitlines(), False
    if "could not find expected ':'" in str(error.problem) and error.context_mark:
        n: int = error.context_mark.line
    elif "mapping values are not allowed" in str(error.problem) and error.problem_mark:
        # What stands above may be text that goes on: only what looks like an entry is taken for one.
        n, needs_sign = _line_above(lines, error.problem_mark.line), True
    else:
        return None
    match = _ENTRY.fullmatch(lines[n].rstrip()) if 0 <= n < len(lines) else None
    if match is None or _COLON.search(match[0]):
        return None
    indent, key, between, value = match.groups()
    if value.startswith("//") or (needs_sign and not between.strip()):
        return None
    # Of several words without a sign between them, the first need not be a key.
    write = f"; write `{key}: {value}`" if between.strip() or " " not in value else ""
    return n + 1, len(indent) + 1, f"a key needs a colon and a space behind it, got {shown(match[0].strip())}{write}"


def _line_above(lines: list[str], n: int) -> int:
    """Return the number of the line above another one that begins in the same column, comments and empty lines left out; -1 for none."""
    at = lines[n] if n < len(lines) else ""
    above = next((i for i in range(n - 1, -1, -1) if lines[i].strip() and not lines[i].lstrip().startswith("#")), -1)
    begins = [len(line) - len(line.lstrip(" ")) for line in (at, lines[above])]
    return above if begins[0] == begins[1] else -1
