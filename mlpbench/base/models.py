"""What the frozen models of an experiment file share, and what is wrong with a file: rule, value and suggestion in a sentence."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mlpbench.base.other_names import OTHER_NAMES, WRITTEN

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Value = None | bool | int | float | str | tuple[int, ...] | tuple[float, ...]
Column = Literal["bool", "int64", "double", "string", "list<int64>", "list<double>"]
Stream = Literal["init", "order", "dropout", "split", "noise"]
STREAMS: tuple[Stream, ...] = ("init", "order", "dropout", "split", "noise")
# The factor that tells conditions apart which differ in the one stream that varies: `vary: {each: [...]}`.
STREAM = "stream"
# The factor whose levels are data sets, and the key of the one that all conditions share.
DATASET = "dataset"
Levels = dict[str, Value]
LARGEST = 2**53 - 1  # every whole number up to here is a float too
Path = tuple[str | int, ...]
_RULES = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_pattern_mismatch": "a plain word of letters, digits, '_' and '-'",
}
SHOWN = 200


class Model(BaseModel):
    """A part of an experiment file: never changed, no unknown keys, only finite numbers, and nothing converted but `1e3` to 1000."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, written: Any) -> Any:
        """Read `1e3` and `2.0` as whole numbers where a key takes nothing but those."""
        if not isinstance(written, Mapping):
            return written
        counts = _whole_keys(cls)
        return {key: whole(value) if key in counts else value for key, value in written.items()}


@functools.cache
def _whole_keys(model: type[Model]) -> frozenset[str]:
    return frozenset(f.alias or n for n, f in model.model_fields.items() if f.annotation in (int, int | None))


def whole(value: object) -> object:
    """Return a float that is a whole number as one, as YAML reads `1e3`, and anything else as it is.

    >>> whole(1e3), whole(2.5), whole("2.0"), whole(1e300) == 1e300
    (1000, 2.5, '2.0', True)
    """
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST
    return int(value) if is_whole else value  # type: ignore[call-overload]


class SpecProblem(ValueError):
    """Something is wrong at `path`: with the value there, or, where `key` is true, with the key itself.

    `is_local` says that it is so whatever the rest of the file says, and `missing` which key is not there. `beside` has what else is
    wrong, as far as that was seen in the same look.
    """

    is_local = False
    missing: str | int = ""
    beside: Sequence[SpecProblem] = ()

    def __init__(self, path: Path, message: str, *, key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.key = key


@contextmanager
def local_problems() -> Iterator[None]:
    """Mark what is found wrong meanwhile as local: it doesn't depend on what the rest of the file says."""
    try:
        yield
    except SpecProblem as problem:
        problem.is_local = True
        raise


def first_problem(error: ValidationError, known_keys: Callable[[Path], Sequence[str]]) -> SpecProblem:
    """Put pydantic's complaints into sentences: return a misspelt key, or else the first, with the others beside it."""
    errors = error.errors()
    # A misspelt key is a missing one too: the one in the file is what helps.
    at = next((i for i, e in enumerate(errors) if e["type"] == "extra_forbidden"), 0)
    problem, *others = (_problem(e, known_keys) for e in (errors[at], *errors[:at], *errors[at + 1 :]))
    problem.beside = others
    return problem


def _problem(complaint: ErrorDetails, known_keys: Callable[[Path], Sequence[str]]) -> SpecProblem:
    """Put one of pydantic's complaints into a sentence."""
    path, value, kind = complaint["loc"], complaint["input"], complaint["type"]
    if kind == "extra_forbidden":
        return unknown_key(path, known_keys(path), known_keys(path[:-1]) if len(path) > 2 else ())
    if path and path[-1] == "[key]":
        return SpecProblem(path[:-1], f"a key must be a word, got {shown(value)}", key=True)
    if kind == "missing":
        missing = SpecProblem(path[:-1], f"{entry(path[:-1])} needs {path[-1]}, got none")
        missing.missing = path[-1]
        return missing
    if kind == "value_error":
        return SpecProblem(path, complaint["msg"].removeprefix("Value error, "))
    rule = _RULES.get(kind) or re.sub(r"^.*? should (be )?| after validation.*$", "", complaint["msg"])
    near = suggestion(value, re.findall(r"'([^']+)'", rule)) if kind == "literal_error" else ""
    verb = "" if rule.startswith("have") else "be "
    return SpecProblem(path, f"{entry(path)} must {verb}{rule}, got {shown(value)}{near}")


def entry(path: Path) -> str:
    """Return what stands at a path, in words: `margin`, `entry 2 of claims`."""
    last = path[-1] if path else "an experiment"
    return f"entry {last + 1} of {path[-2]}" if isinstance(last, int) and len(path) > 1 else str(last)


def unknown_key(path: Path, known: Sequence[str], known_above: Sequence[str] = ()) -> SpecProblem:
    """Return the problem of a key, the last part of its path, that is none of those known there; it may be one a level above."""
    if path[-1] in known_above and not isinstance(path[-2], int):
        return SpecProblem(
            path, f"{shown(path[-1])} must stand beside {path[-2]}, not in it: move it a level up", key=True
        )
    return SpecProblem(path, unknown("key", path[-1], known), key=True)


def unknown(what: str, word: object, known: Iterable[str]) -> str:
    """Return the message about a word that is none of those known, with the nearest of them, or all where none is near."""
    words = list(known)
    near = suggestion(word, words) or (_of_the_top(str(word)) if what in ("key", "setting") else "")
    return f"unknown {what} {shown(word)}{near or '; must be one of ' + ', '.join(words)}"


def _of_the_top(word: str) -> str:
    """Return what was meant by a key that stands where it is looked for in vain: folds, in the data set or among settings."""
    spelt = _plain(word)
    is_validation = spelt in WRITTEN and OTHER_NAMES.get(spelt) == "validation"
    return f"; did you mean 'validation' at the top of the file, {WRITTEN[spelt]}?" if is_validation else ""


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or nothing when none is near."""
    near = nearest(str(word), known)
    return f"; {meaning(str(word), near)}" if near else ""


def meaning(word: str, near: str, what: str = "") -> str:
    """Return `did you mean 'x'?`, with how x is written where a value of the word is none of x's.

    >>> meaning("drop_rate", "dropout"), meaning("batch_norm", "norm")
    ("did you mean 'dropout'?", "did you mean 'norm', written `norm: batch`?")
    """
    spelt = _plain(word)
    how = f", {WRITTEN[spelt]}" if spelt in WRITTEN and near == OTHER_NAMES.get(spelt) else ""
    return f"did you mean {what}'{near}'{how}?"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was meant: one that other libraries call so, that begins so, or that is most like it.

    >>> nearest("learning_rate", ["lr", "label_noise"]), nearest("Batch-Size", ["batch_size"]), nearest("xyz", ["lr"])
    ('lr', 'batch_size', None)
    """
    words = list(known)
    if (renamed := other_name(word, words)) is not None:
        return renamed
    begun = [w for w in words if len(word) >= 3 and w.startswith(word)]
    alike = (
        [w for w in difflib.get_close_matches(spelt, words, n=len(words) or 1, cutoff=0.6) if _is_alike(spelt, w)]
        for spelt in (word, _plain(word))
    )
    return next(iter(begun or next((found for found in alike if found), [])), None)


def is_slip(word: str, known: str) -> bool:
    """Return whether a word is surely a known one: what other libraries call so, or a slip of the keyboard."""
    return other_name(word, [known]) is not None or _is_near(word, known)


def _is_near(word: str, known: str) -> bool:
    return _edits(word, known) <= max(1, len(word) // 4)


def _is_alike(word: str, known: str) -> bool:
    """Return whether a word looks like a known one: a slip, one that it goes on from, its letters without some, or another's ending.

    A share of common letters alone is no likeness: `resume` is not `remove`, `nan` not `and`, nor `overfitting` `weighting`.
    """
    goes_on = word.startswith(known) and len(known) >= 4 and word[len(known) : len(known) + 1] != "_"
    letters = iter(known)
    shortened = word[:1] == known[:1] and len(known) <= 2 * len(word) and all(c in letters for c in word)
    (_, bar, end), (_, other_bar, other_end) = word.rpartition("_"), known.rpartition("_")
    same_end = bool(bar and other_bar) and end == other_end
    return _is_near(word, known) or goes_on or shortened or same_end


def _edits(word: str, known: str) -> int:
    """Return how many letters are to be put in, left out, exchanged for another or for the next to make one word the other."""
    before: list[int] = []
    row = list(range(len(known) + 1))
    for i, a in enumerate(word, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(known, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == known[j - 2] and b == word[i - 2]:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


def other_name(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that other libraries call so, or that is spelt so but for capitals and hyphens; None for another one."""
    words = list(known)
    for spelt in dict.fromkeys((word, _plain(word))):
        if spelt in words and spelt != word:
            return spelt
        if OTHER_NAMES.get(spelt) in words:
            return OTHER_NAMES[spelt]
    return None


def _plain(word: str) -> str:
    return re.sub(r"[ -]", "_", word.lower())


def shown(value: object) -> str:
    """Return a value as errors print it: on one line, cut where it is long, `true` and `null` as in an experiment file.

    >>> shown({"refit": True, "folds": [3, None]})
    "{'refit': true, 'folds': [3, null]}"
    """
    try:
        text = _spelt(value)
    except ValueError:  # Python refuses to print a whole number of more than 4300 digits
        text = "a number of very many digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _spelt(value: object, depth: int = 0) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if depth > SHOWN:  # a list may hold itself
        return "..."
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_spelt(v, depth + 1)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        opening, closing = "[]" if isinstance(value, list) else "()"
        return opening + ", ".join(_spelt(v, depth + 1) for v in value) + closing
    return repr(value)
