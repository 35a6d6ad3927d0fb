"""Text in the user's own files, the same in every format: spaces around a word do not count, gaps are no words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlpbench.data.table.columns import KINDS, NO_GAPS, Column, Source

# What stands for nothing in the tables of other programs, in columns of numbers and of text alike.
MISSING = r"^(?i:na|n/a|#n/a|<na>|nan|null|none|\?|-)$"


def first(mask: pa.Array[Any]) -> int | None:
    """Return the first position at which a mask is true."""
    at = pc.index(mask, pa.scalar(True)).as_py()
    return None if at < 0 else at


def words(source: Source, raw: pa.Array[Any], among: str = KINDS["word"]) -> Column:
    """Return a column of text, as codes into its sorted words; raise InputError for gaps `among` other values.

    Two words that differ only in the spaces around them are refused: one of them is a slip, and nobody can tell which.
    """
    coded = raw.dictionary_encode()
    codes = coded.indices.to_numpy()
    text = pc.utf8_trim_whitespace(coded.dictionary)

    def row(word: int) -> int:
        return int(np.argmax(codes == word))

    if (at := first(pc.equal(text, pa.scalar("", text.type)))) is not None:
        raise source.wrong(f"{NO_GAPS}, got an empty value", row(at))
    if (at := first(pc.match_substring_regex(text, MISSING))) is not None:
        hint = "if it is a word and no gap, write another one"
        raise source.wrong(f"{NO_GAPS}, got {text[at].as_py()!r} among {among}; {hint}", row(at))
    found = [str(word) for word in text.to_pylist()]
    if len(set(found)) < len(found):
        seen: dict[str, int] = {}
        at = next(i for i, word in enumerate(found) if seen.setdefault(word, i) != i)
        both = " and ".join(repr(coded.dictionary[i].as_py()) for i in (seen[found[at]], at))
        raise source.wrong(f"words must differ in more than the spaces around them, got {both}", row(at))
    spelt = np.array(found, dtype=object)
    order = np.argsort(spelt)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    values = rank[codes].astype(np.float64)
    return Column(name=source.column, kind="word", values=values, words=tuple(spelt[order]))
