"""Words of users, made safe for where they are written: one function for each place.

A question, a label, the name of a file or of a class may hold anything. `printable` is for words in a line of a terminal,
`terminal` for the whole text, `markdown` for pages. HTML is made by libraries that escape what they are given.

Pages are written in `Markdown`, a type of its own: every other text is escaped where it becomes part of a page, so that
nothing is forgotten. Only what would be markup is, and a page reads the same in its source.

References: CommonMark 0.31, https://spec.commonmark.org; Unicode Technical Report 36, section 2 (text that is not what it
looks like).
"""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

# Control characters, halves of pairs (of file names that are not UTF-8), and what turns the direction of text over.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Line ends and tabs are those of the text itself.
_FORGING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Surrogates of bytes that are no UTF-8 are these.
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
# In this order: brackets that can't be a link; what may begin markup anywhere.
_MARKUP = re.compile(
    r"(?P<plain>(?<!^)\[[^][()<>\\`*_~$&]*\](?![(\[])|(?<=[^\W_])_(?=[^\W_])|<(?= |\d[\d.]*(?:[\s),;%]|$)))"
    r"|[\\`*_~$\[\]<]|&(?=#?\w+;|#?\w*$)"
)
# What begins a heading, a quote, a list or a line across, where a line begins with it.
_BLOCK = re.compile(r"[#>=|]|[-+](?=\s|[-+]|$)")
_ITEM = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
_BACKTICKS = re.compile("`+")


def printable(text: object) -> str:
    r"""Return text on one line, for a person to read: white space is a space, and what can't be seen is written out.

    >>> printable("two\nlines \x1b[31m")
    'two lines \\x1b[31m'
    """
    return spelt(" ".join(str(text).split()))


def spelt(text: str) -> str:
    """Return text with its spaces, and whatever else can't be seen written out, line ends too: as a path is named."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_written_out, text)


def terminal(text: object) -> str:
    """Return text, which may have many lines, without what moves the cursor, colours, rings or turns text over."""
    text = str(text)
    return text if text.isascii() and text.isprintable() else _FORGING.sub(_written_out, text)


def shortened(text: str, most: int) -> str:
    """Return text of at most so many letters and three dots, cut in the middle where it is longer."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2) :]}"


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Markdown(str):
    """Text of a page that is markup already, and so is not escaped again.

    >>> Markdown("**{}**: {}").format("a*b", Markdown("`c`"))
    '**a\\\\*b**: `c`'
    """

    __slots__ = ()

    def format(self, *args: Any, **kwargs: Any) -> Markdown:
        """Return the text with its fields filled, escaped where they are not Markdown."""
        return Markdown(_FORMATTER.vformat(self, args, kwargs))

    def join(self, parts: Any) -> Markdown:
        """Return the parts, escaped where they are not Markdown, with this text between them."""
        return Markdown(str.join(self, [markdown(part) for part in parts]))


class _Formatter(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        return markdown(value if isinstance(value, str) and not format_spec else format(value, format_spec))


_FORMATTER = _Formatter()


def markdown(text: object, *, in_cell: bool = False) -> Markdown:
    """Return text as Markdown that renders as this text, in one paragraph; Markdown as it is.

    In the cell of a table nothing begins a block.
    """
    if isinstance(text, Markdown):
        return text
    # A space before it: what begins the text of a cell begins no line.
    line = _MARKUP.sub(lambda m: m[0] if m["plain"] else f"\\{m[0]}", " " * in_cell + printable(text))[in_cell:]
    if not in_cell:
        line = _ITEM.sub(r"\1\\\2", line, count=1) if _ITEM.match(line) else line
        line = f"\\{line}" if _BLOCK.match(line) else line
    return Markdown(line)


def code(text: object) -> Markdown:
    """Return text as code within a line, with as many backticks around it as it needs."""
    line = printable(text)
    if not line:
        return Markdown("")
    ticks = "`" * (1 + max((len(run) for run in _BACKTICKS.findall(line)), default=0))
    space = " " * (line[0] == "`" or line[-1] == "`")
    return Markdown(f"{ticks}{space}{line}{space}{ticks}")


def bullets(items: Any) -> Markdown:
    """Return a list, an item a line."""
    return Markdown("\n").join(Markdown("- {}").format(item) for item in items)
