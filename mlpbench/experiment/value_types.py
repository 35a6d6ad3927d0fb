"""Types of values that a setting may have, each with its rule and one canonical form.

A value with a parameter (`{normal: 0.01}`) has a canonical string, `normal(0.01)`, which is what tables show and what
identities are made of; `parse_call` splits it again.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from mlpbench.base.models import LARGEST, Column, Value, suggestion, whole

_CALL = re.compile(r"([a-z_]+)\(([^()]+)\)")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
DEEPEST = 10_000
# Stands between a word and what follows it.
THEN = "+"
Entry = TypeVar("Entry")


def parse_call(text: str) -> tuple[str, tuple[float, ...]]:
    """Split a canonical string into its word and its parameters.

    >>> parse_call("normal(0.01)"), parse_call("relu")
    (('normal', (0.01,)), ('relu', ()))
    """
    word, arguments = split_call(text)
    return word, tuple(map(float, arguments))


def split_call(text: str) -> tuple[str, list[str]]:
    """Split a canonical string into its word and its parameters, as they are written."""
    match = _CALL.fullmatch(text)
    return (match[1], match[2].split(",")) if match else (text, [])


def entry_of(table: Mapping[str, Entry], canonical: str) -> tuple[Entry, tuple[float, ...]]:
    """Return the entry of a table that a canonical string names, and the parameters it gives.

    >>> entry_of({"normal": "bell"}, "normal(0.01)")
    ('bell', (0.01,))
    """
    name, parameters = parse_call(canonical)
    return table[name], parameters


@dataclass(frozen=True, kw_only=True)
class Number:
    """A real number in an interval; an end is included unless it is marked open."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    or_none: bool = False
    default: float | None = None  # where it is the parameter of a word and may be left out
    column: Column = "double"

    @property
    def rule(self) -> str:
        """The range in words, as errors and help texts print it."""
        if self.low == -math.inf and self.high == math.inf:
            words = "a number"
        elif self.high == math.inf:
            words = f"a number {'above' if self.open_low else 'of at least'} {self.low:g}"
        else:
            words = f"a number in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"
        return f"{words}, or none" if self.or_none else words

    def read(self, value: object) -> Value:
        """Return the canonical number; raise ValueError with the rule."""
        if self.or_none and value in (None, "none"):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(self.rule)
        try:
            number = float(value) + 0.0  # -0.0 and 0.0 are one value, and so one run
        except OverflowError:
            raise ValueError(self.rule) from None
        at_an_open_end = (self.open_low and number == self.low) or (self.open_high and number == self.high)
        if not (math.isfinite(number) and self.low <= number <= self.high) or at_an_open_end:
            raise ValueError(self.rule)
        return number


@dataclass(frozen=True, kw_only=True)
class Count:
    """A whole number from `low` to `high`; `words` are accepted in its place.

    One of steps may be a share of all steps of a run too, `10%`, where `share` says so.
    """

    low: int = 1
    high: int = LARGEST
    words: tuple[str, ...] = ()
    share: bool = False
    default: int | None = None
    column: Column = "int64"

    @property
    def rule(self) -> str:
        """The range in words."""
        words = f"of at least {self.low}" if self.high == LARGEST else f"in [{self.low}, {self.high}]"
        share = ["a share of the steps such as '10%'"] * self.share
        return " or ".join([f"a whole number {words}", *share, *map(repr, self.words)])

    def read(self, value: object) -> Value:
        """Return the canonical count or word; raise ValueError with the rule."""
        if isinstance(value, str) and value in self.words:
            return value
        if self.share and isinstance(value, str) and (match := _SHARE.fullmatch(value)):
            percent = float(match[1])
            if not 0 < percent <= 100:
                raise ValueError(f"{self.rule}, above 0% and at most 100%")
            return f"{percent!r}%".replace(".0%", "%")
        value = whole(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low:
            raise ValueError(self.rule + near_word(value, self.words))
        if value > self.high:
            raise ValueError(f"a whole number of at most {self.high}")
        return value


@dataclass(frozen=True)
class Flag:
    """True or false."""

    column: Column = "bool"
    rule: str = "true or false"
    default: bool | None = None  # where it is the parameter of a word

    def read(self, value: object) -> Value:
        """Return the flag; raise ValueError with the rule."""
        if not isinstance(value, bool):
            raise ValueError(self.rule)
        return value


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two numbers in a list, as a parameter of a word that may be left out."""

    each: Number
    default: tuple[float, float]

    @property
    def rule(self) -> str:
        """The rule of each number."""
        return f"a list of two, each {self.each.rule}"

    def read(self, value: object) -> Value:
        """Return the two numbers; raise ValueError with the rule."""
        if not isinstance(value, list | tuple) or len(value) != len(self.default):
            raise ValueError(self.rule)
        try:
            return tuple(float(self.each.read(v)) for v in value)  # type: ignore[arg-type]
        except ValueError:
            raise ValueError(self.rule) from None


# The parameters of a word by name, with their ranges and defaults; a single one has no name of its own: `number`.
Parameter = Number | Count | Flag | Pair
Parameters = Mapping[str, Parameter]


@dataclass(frozen=True, kw_only=True)
class Word:
    """One of a literal table of words, some of which take a parameter, or several by name."""

    table: Mapping[str, Parameters]
    column: Column = "string"

    def with_words(self, words: Iterable[str]) -> Self:
        """Return the type with further words, which take no parameters."""
        return replace(self, table={**self.table, **{word: {} for word in words}})

    @property
    def rule(self) -> str:
        """The words that are allowed, with the form of those that need parameters."""
        return "one of " + ", ".join(w if not p or have_defaults(p) else _form(w, p) for w, p in self.table.items())

    def read(self, value: object) -> Value:
        """Return the canonical string; raise ValueError with the rule."""
        word, argument = self._parts(value)
        if word not in self.table:
            raise ValueError(self.rule + near_word(word, self.table))
        parameters = self.table[word]
        if not parameters:
            if argument is not None:
                raise ValueError(f"{word} without a parameter")
            return str(word)
        if argument is None and len(parameters) == 1:
            (argument,) = (limits.default for limits in parameters.values())
        elif argument is None and have_defaults(parameters):
            return str(word)
        if argument is None:
            plural = "s" * (len(parameters) > 1)
            raise ValueError(f"{word} with its parameter{plural}, written {_form(word, parameters)}")
        read = [
            read_parameter(word, name, limits, number)
            for (name, limits), number in zip(parameters.items(), _arguments(word, parameters, argument))
        ]
        if have_defaults(parameters) and read == [limits.default for limits in parameters.values()]:
            return str(word)
        numbers = [n for value in read for n in (value if isinstance(value, tuple) else (value,))]
        return f"{word}({','.join(n if isinstance(n, str) else repr(n) for n in numbers)})"

    def _parts(self, value: object) -> tuple[Any, object]:
        """Return the word and its argument: of `normal(0.01)`, `{normal: 0.01}` or a word alone, whose argument is None."""
        if isinstance(value, str):
            word, written = split_call(value)
            try:
                numbers = tuple(n.strip() if n.strip().endswith("%") else float(n) for n in written)
            except ValueError:
                raise ValueError(self.rule) from None
            return word, numbers if len(numbers) > 1 else numbers[0] if numbers else None
        if isinstance(value, Mapping) and len(value) == 1:
            return next(iter(value.items()))
        raise ValueError(self.rule)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A word of the table, or `first` and what follows it: `{warmup: 200, then: cosine}`, canonically `warmup(200)+cosine`."""

    word: Word
    first: str
    column: Column = "string"

    @property
    def table(self) -> Mapping[str, Parameters]:
        """The words, with the parameters of each."""
        return self.word.table

    def with_words(self, words: Iterable[str]) -> Self:
        """Return the type with further words, which take no parameters."""
        return replace(self, word=self.word.with_words(words))

    @property
    def rule(self) -> str:
        """The words, and how one follows another."""
        return f"{self.word.rule}, or {self._form}"

    @property
    def _form(self) -> str:
        return f"{{{self.first}: {next(iter(self.word.table[self.first]))}, then: another}}"

    def read(self, value: object) -> Value:
        """Return the canonical string; raise ValueError with the rule."""
        if isinstance(value, str) and THEN in value:
            first, _, then = value.partition(THEN)
            return self._chained(first.strip(), then.strip())
        if isinstance(value, Mapping) and "then" in value:
            if set(value) != {self.first, "then"}:
                raise ValueError(f"{self._form} where one follows another")
            return self._chained({self.first: value[self.first]}, value["then"])
        try:
            return self.word.read(value)
        except ValueError as error:
            rule, mark, near = str(error).partition("; did you mean")
            raise ValueError((self.rule if rule == self.word.rule else rule) + mark + near) from None

    def _chained(self, first: object, then: object) -> str:
        before, after = str(self.word.read(first)), str(self.word.read(then))
        if parse_word(before) != self.first or parse_word(after) == self.first:
            raise ValueError(f"{self._form}, of which another is none of {self.first}")
        return before + THEN + after


def parse_word(canonical: str) -> str:
    """Return the word of a canonical string, whatever its parameters are.

    >>> parse_word("warmup(10%)")
    'warmup'
    """
    return split_call(canonical)[0]


def have_defaults(parameters: Parameters) -> bool:
    """Return whether there are several parameters, each of which may be left out; then a word alone has all of them."""
    return len(parameters) > 1 and all(limits.default is not None for limits in parameters.values())


def _form(word: str, parameters: Parameters) -> str:
    names = list(parameters)
    inner = names[0] if len(names) == 1 else "{" + ", ".join(f"{n}: {_kind(p)}" for n, p in parameters.items()) + "}"
    return f"{{{word}: {inner}}}"


def _kind(parameter: Parameter) -> str:
    return "[number, number]" if isinstance(parameter, Pair) else "true" if isinstance(parameter, Flag) else "number"


def _arguments(word: str, parameters: Parameters, argument: object) -> Sequence[object]:
    """Return the value of each parameter, in order."""
    if len(parameters) == 1:
        return [argument]
    rule, sizes = (
        f"{word} with its parameters, written {_form(word, parameters)}",
        list(map(_size, parameters.values())),
    )
    if isinstance(argument, tuple) and len(argument) == sum(sizes):
        numbers = iter(argument)
        return [tuple(itertools.islice(numbers, n)) if n > 1 else next(numbers) for n in sizes]
    if not isinstance(argument, Mapping):
        raise ValueError(rule)
    missing = [name for name, limits in parameters.items() if name not in argument and limits.default is None]
    unknown = [name for name in argument if name not in parameters]
    if missing or unknown:
        raise ValueError(rule + (near_word(unknown[0], parameters) if unknown else ""))
    return [argument.get(name, limits.default) for name, limits in parameters.items()]


def _size(parameter: Parameter) -> int:
    return len(parameter.default) if isinstance(parameter, Pair) else 1


def read_parameter(word: str, name: str, limits: Parameter, value: object) -> Value:
    """Return a parameter of a word; raise ValueError with what it must be.

    Args:
        word: whose parameter it is.
        name: the parameter, `number` where it is the only one.
        limits: its range.
        value: what the file says.

    """
    try:
        return limits.read(value)
    except ValueError as error:
        which = "a parameter" if name == "number" else f"a parameter '{name}'"
        raise ValueError(f"{word} with {which} that is {error}") from None


@dataclass(frozen=True, kw_only=True)
class PerLayer:
    """One number for all hidden layers, or a list with one per hidden layer."""

    each: Number
    column: Column = "list<double>"

    @property
    def rule(self) -> str:
        """The rule of each number."""
        return f"{self.each.rule}, or a list with one per hidden layer"

    def read(self, value: object) -> Value:
        """Return a number or a tuple of numbers; raise ValueError with the rule."""
        try:
            if isinstance(value, list | tuple):
                return tuple(float(self.each.read(v)) for v in value)  # type: ignore[arg-type]
            return self.each.read(value)
        except ValueError:
            raise ValueError(self.rule) from None


@dataclass(frozen=True)
class Sizes:
    """A list of layer widths; empty for a linear model."""

    column: Column = "list<int64>"
    rule: str = f"a list of at most {DEEPEST} whole numbers of at least 1"

    def read(self, value: object) -> Value:
        """Return a tuple of widths; raise ValueError with the rule."""
        if not isinstance(value, list | tuple) or len(value) > DEEPEST:
            raise ValueError(self.rule)
        sizes = tuple(map(whole, value))
        if any(isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= LARGEST for v in sizes):
            raise ValueError(self.rule)
        return sizes  # type: ignore[return-value]


@dataclass(frozen=True)
class ClassWeights:
    """`none`, `balanced`, or a weight for each class by its name; of classes that are not named it is 1.

    The canonical form of weights is a JSON object, names in order: `{"cat": 5.0, "dog": 1.0}`.
    """

    column: Column = "string"
    rule: str = "none, balanced, or a mapping from classes to numbers above 0"
    words: tuple[str, ...] = ("none", "balanced")

    def read(self, value: object) -> Value:
        """Return the canonical string; raise ValueError with the rule."""
        if isinstance(value, str) and not value.startswith("{"):
            if value not in self.words:
                raise ValueError(self.rule + near_word(value, self.words))
            return value
        try:
            weights = json.loads(value) if isinstance(value, str) else value
            if not isinstance(weights, Mapping) or not weights:
                raise ValueError(self.rule)
            named = {_class_name(name): Number(low=0, open_low=True).read(w) for name, w in weights.items()}
        except ValueError:
            raise ValueError(self.rule) from None
        if len(named) < len(weights):
            raise ValueError(f"{self.rule}, each class once")
        return json.dumps(named, sort_keys=True, ensure_ascii=False)


def class_weights(canonical: str) -> Mapping[str, float]:
    """Return the weights that a canonical string of `ClassWeights` gives to classes by name; none for a word."""
    return dict(json.loads(canonical)) if canonical.startswith("{") else {}


def relative_weights(canonical: str, names: Sequence[str]) -> str:
    """Return weights of classes in the one form that all of equal meaning have: relative to the last class, 1 left out.

    >>> relative_weights('{"a": 10.0, "b": 2.0, "c": 2.0}', ["a", "b", "c"]), relative_weights('{"a": 2.0, "b": 2.0}', ["a", "b"])
    ('{"a": 5.0}', 'none')
    """
    given = class_weights(canonical)
    if not given:
        return canonical
    weights = {name: given.get(name, 1.0) / given.get(names[-1], 1.0) for name in names}
    different = {name: weight for name, weight in weights.items() if weight != 1.0}
    return json.dumps(different, sort_keys=True, ensure_ascii=False) if different else "none"


def _class_name(key: object) -> str:
    """Return a key as YAML has it as the name of a class: 1 and true are names as they are written."""
    if isinstance(key, bool):
        return str(key).lower()
    if not isinstance(key, str | int | float):
        raise ValueError("a name")
    return str(key)


def near_word(value: object, known: Iterable[str]) -> str:
    """Return which of some words a value may be meant to be, as a message ends; nothing for what is no word."""
    return suggestion(value, known) if isinstance(value, str) else ""


ValueType = Number | Count | Word | Chain | Flag | PerLayer | Sizes | ClassWeights
