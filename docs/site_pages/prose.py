"""Pieces of Markdown that all made pages use: sentences with code in them, facts in a list, blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mlpbench.base.escapes import Markdown, code, markdown

_CODE = re.compile(r"(`[^`]+`)")
_QUOTED = re.compile(r"(?<!\w)'([^'\s]+)'(?!\w)")


def prose(text: str) -> Markdown:
    """Return a sentence as Markdown: what stands in backticks is code, all else reads as it is written.

    >>> print(prose("see `mlpbench list` for a*b"))
    see `mlpbench list` for a\\*b
    """
    parts = _CODE.split(_QUOTED.sub(r"`\1`", text))
    return Markdown("".join(part if part.startswith("`") else _inline(part) for part in parts))


def _inline(text: str) -> str:
    """Return text without markup, its spaces at both ends kept."""
    inner = markdown(text.strip(), in_cell=True)
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{inner}{after}" if text.strip() else text


def sentence(text: str) -> Markdown:
    """Return a meaning as a sentence: with a capital, where it begins with a word, and a full stop."""
    first, _, rest = text.partition(" ")
    capital = first[:1].upper() + first[1:] if first.isalpha() and first.islower() else first
    whole = f"{capital} {rest}" if rest else capital
    return prose(whole if whole.endswith((".", "?")) else f"{whole}.")


def facts(pairs: Iterable[tuple[str, str]]) -> Markdown:
    """Return a list of facts, of which those that are empty are left out; a fact is Markdown or text."""
    return Markdown("\n").join(
        Markdown("- {}: {}").format(label, text if isinstance(text, Markdown) else prose(text))
        for label, text in pairs
        if text
    )


def block(text: str, language: str) -> Markdown:
    """Return a block of code."""
    return Markdown(f"```{language}\n{text.rstrip()}\n```")


def codes(names: Sequence[str]) -> Markdown:
    """Return names as code, with commas."""
    return Markdown(", ").join(code(name) for name in names)


def anchor(heading: str) -> str:
    """Return the anchor of a heading of plain words.

    >>> anchor("Under- and overfitting")
    'under--and-overfitting'
    """
    return heading.lower().replace(" ", "-")


def page(title: str, *parts: str) -> str:
    """Return a page: its title, and its parts with an empty line between."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"
