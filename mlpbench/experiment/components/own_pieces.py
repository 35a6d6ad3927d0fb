"""Pieces of plugins among the components: what they are called, and the entries that tables have for them.

The canonical name of a piece has the digest of its code, `mish@3f2a9c0b71de`: another code is another level, and so another run.
Tables of components have an entry for any such name, whose facts follow from its kind alone; its functions are there once training
has loaded the plugin (training/pieces), which nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from mlpbench.experiment.value_types import THEN

# Hex digits of the digest in a name.
DIGITS = 12
_NAME = re.compile(rf"([A-Za-z][A-Za-z0-9_]*)@([0-9a-f]{{{DIGITS}}})")
Entry = TypeVar("Entry")


class PieceError(Exception):
    """What went wrong in a piece of a plugin, with its name: its runs fail with this."""


class Components(dict[str, Entry]):
    """A table of components by name, which has an entry for every piece of a plugin too; it lists those of the package alone.

    `declared` returns the entry of a piece that is not loaded.
    """

    def __init__(self, entries: Mapping[str, Entry], declared: Callable[[str], Entry]) -> None:
        super().__init__(entries)
        self._declared = declared
        self._loaded: dict[str, Entry] = {}

    def __missing__(self, name: str) -> Entry:
        if not is_own(name):
            raise KeyError(name)
        return self._loaded.get(name) or self._declared(name)

    def load(self, name: str, entry: Entry) -> None:
        """Have this process's entry of a piece; what has its name has its code, so that none replaces another."""
        assert is_own(name), "others are of the package"
        self._loaded.setdefault(name, entry)

    def is_loaded(self, name: str) -> bool:
        """Return whether this process can run a component."""
        return name in self or name in self._loaded


def unloaded(name: str) -> Callable[..., NoReturn]:
    """Return the function of a piece in a process that has not loaded it: it raises PieceError."""

    def function(*arguments: Any) -> NoReturn:
        raise PieceError(f"the code of {name} is not loaded: `mlpbench run` and `mlpbench check` alone load plugins")

    return function


def is_own(name: str) -> bool:
    """Return whether a canonical name is that of a piece of a plugin."""
    return _NAME.fullmatch(name) is not None


def split_name(name: str) -> tuple[str, str]:
    """Return what a piece is called, and the digest of its code.

    >>> split_name("mish@3f2a9c0b71de")
    ('mish', '3f2a9c0b71de')
    """
    match = _NAME.fullmatch(name)
    assert match is not None, "of a piece"
    return match[1], match[2]


def own_names(canonical: object) -> Iterator[str]:
    """Yield the names of pieces of plugins in a canonical value; most have none.

    >>> list(own_names("warmup(200)+mine@3f2a9c0b71de")), list(own_names("relu")), list(own_names(0.1))
    (['mine@3f2a9c0b71de'], [], [])
    """
    if isinstance(canonical, str) and "@" in canonical:
        yield from filter(is_own, canonical.split(THEN))


def with_digests(value: Any, words: Mapping[str, str]) -> Any:
    """Return a canonical value with the canonical names of pieces, given that of each by what it is called."""
    return THEN.join(words.get(part, part) for part in value.split(THEN)) if isinstance(value, str) else value


def plain_value(written: object, words: Mapping[str, str]) -> object:
    """Return what a file says with names that pieces are called by, where it has canonical ones of those that are known."""
    known = {name: called for called, name in words.items()}
    if isinstance(written, str):
        return THEN.join(known.get(part, part) for part in written.split(THEN))
    if isinstance(written, Mapping):
        return {key: plain_value(value, words) for key, value in written.items()}
    return written


def plain(canonical: str) -> str:
    """Return a canonical value as people write it, without digests.

    >>> plain("mish@3f2a9c0b71de"), plain("warmup(200)+mine@3f2a9c0b71de"), plain("leaky_relu(0.01)")
    ('mish', 'warmup(200)+mine', 'leaky_relu(0.01)')
    """
    if "@" not in canonical:
        return canonical
    return THEN.join(split_name(part)[0] if is_own(part) else part for part in canonical.split(THEN))
