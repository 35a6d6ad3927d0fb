"""What an experiment may say of a text file: separator, decimal and thousands mark, encoding, header, comments.

None is what is recognised: `dialect` and its neighbours do so.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlpbench.base.models import shown

DECIMALS = (".", ",")
THOUSANDS = (",", ".", " ", "'", "_")
_SPELLINGS = {"tab": "\t", "\\t": "\t", "space": " ", "spaces": " ", "\\s+": " "}
_NO_SEPARATOR = frozenset("\"'.+-\r\n\0#")
TITLES = {"\t": "tabs", " ": "spaces"}


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """What is said of a text file, each None where it is to be recognised.

    Attributes:
        separator: what stands between columns; a space means runs of spaces and tabs.
        decimal: the decimal mark.
        thousands: what stands between groups of three digits.
        encoding: an encoding that Python knows.
        header: whether the first line has the names of the columns, or their names.
        comment: what lines begin with that are no rows; "" for none.

    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | tuple[str, ...] | None = None
    comment: str | None = None

    def said(self) -> tuple[str, ...]:
        """Return the names of the options that are said."""
        return tuple(key for key, value in vars(self).items() if value is not None)


def checked_separator(written: str) -> str:
    """Return a separator by its character; raise ValueError for what can be none."""
    separator = _SPELLINGS.get(written, written)
    if len(separator) != 1 or not separator.isascii() or separator.isalnum() or separator in _NO_SEPARATOR:
        rule = "separator must be one character such as ',', ';', '|', or tab or spaces"
        raise ValueError(f"{rule}, got {shown(written)}")
    return separator


def checked_mark(key: str, written: str, marks: tuple[str, ...]) -> str:
    """Return a mark in numbers; raise ValueError for any that is not one of `marks`."""
    if written not in marks:
        raise ValueError(f"{key} must be one of {', '.join(map(repr, marks))}, got {shown(written)}")
    return written


def in_words(separator: str) -> str:
    """Return a separator as sentences have it."""
    return TITLES.get(separator, repr(separator))
