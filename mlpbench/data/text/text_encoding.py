"""From the bytes of a text file to its text: UTF-8, UTF-16 and UTF-32 by their marks, else Latin-1 or cp1252.

What is UTF-8 to the last byte is UTF-8. Other text without zero bytes is of one byte a letter; which of the many such
encodings it is can't be seen, so that Latin-1 is taken with a note, and refused where it can't be meant.
"""

from __future__ import annotations

import codecs
import re

from mlpbench.base.models import shown, suggestion
from mlpbench.data.file_errors import file_error

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TITLES = {"utf-16": "UTF-16", "utf-32": "UTF-32", "latin-1": "Latin-1", "cp1252": "Windows-1252"}
# In text there are line ends, tabs and form feeds of these, and nothing else.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HIGH_CONTROL = re.compile(rb"[\x80-\x9f]")
# Letters beyond ASCII that were read as UTF-8, beside bytes that were not, which stand as surrogates.
_WHOLE_LETTER = re.compile("[^\x00-\x7f\udc80-\udcff]")
_COMMON = ("utf-8", "utf-16", "utf-16-le", "latin-1", "cp1252", "cp1250", "cp1251", "shift_jis", "gb18030")
_UTF_16 = "; if it is UTF-16, say `encoding: utf-16-le` or `utf-16-be`"
_SAY = "say which one it is, for example `encoding: cp1250`"


def checked_encoding(encoding: str) -> str:
    """Return an encoding that Python knows as one of text; raise ValueError for any other word."""
    try:
        "a".encode(encoding)
    except (LookupError, ValueError):
        rule = f"encoding must be one that Python knows, such as {', '.join(_COMMON)}"
        raise ValueError(f"{rule}, got {shown(encoding)}{suggestion(encoding, _COMMON)}") from None
    return encoding


def decoded(content: bytes, encoding: str | None, name: str) -> tuple[str, str | None]:
    """Return the text of a file, without a mark of its encoding, and what it was read as where that is not UTF-8.

    Args:
        content: the bytes of the file.
        encoding: what the user says of it; None where it is to be recognised.
        name: what the file is called in errors.

    Raises InputError, with the line, for bytes that are no text, or where it is uncertain which text they are.

    """
    marked = next((e for mark, e in _MARKS if content.startswith(mark)), None)
    if encoding is not None or marked is not None:
        text, recognised = _decoded_as(content, encoding or marked or "", name), None if encoding else marked
        recognised = None if recognised == "utf-8" else recognised
    else:
        text, recognised = _recognised(content, name)
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        hint = _UTF_16 if encoding is None and 4 * text.count("\0") > len(text) else ""
        line = text.count("\n", 0, text.index("\0")) + 1
        raise file_error(f"a text file must be text, got a zero byte{hint}", name, line=line)
    return text, _TITLES.get(recognised or "")


def _decoded_as(content: bytes, encoding: str, name: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        got = f"byte {content[error.start]:#04x}"
        raise file_error(f"a text file must be {encoding} throughout, got {got}", name, line=line) from None
    except UnicodeError as error:
        raise file_error(f"a text file must be {encoding}, got {shown(str(error))}", name) from None


def _recognised(content: bytes, name: str) -> tuple[str, str]:
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        first = error.start
    line = content.count(b"\n", 0, first) + 1
    got = f"got byte {content[first]:#04x}, which is no UTF-8"
    if control := _CONTROL.search(content):
        at = content.count(b"\n", 0, control.start()) + 1
        hint = _UTF_16 if 4 * content.count(b"\0") > len(content) else ""
        raise file_error(f"a text file must be text, got byte {control.group()[0]:#04x}{hint}", name, line=at)
    if _WHOLE_LETTER.search(content.decode("utf-8", "surrogateescape")):
        rule = "a text file must have one encoding"
        raise file_error(f"{rule}, {got}, beside letters in UTF-8; mend it, or {_SAY}", name, line=line)
    if not _HIGH_CONTROL.search(content):
        return content.decode("latin-1"), "latin-1"
    try:
        return content.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        message = f"the encoding of a text file must be known, {got}, Latin-1 or Windows-1252"
        raise file_error(f"{message}; {_SAY}", name, line=line) from None
