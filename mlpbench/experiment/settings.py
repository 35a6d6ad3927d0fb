"""The settings of a run: name, meaning, range and default, once, for specs, help, schema and tables.

A setting with a parameter (`{normal: 0.01}`) has a canonical string, `normal(0.01)`, which is what tables show and what
identities are made of; `parse_call` takes it apart again.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Value = None | bool | int | float | str | tuple[int, ...] | tuple[float, ...]
Column = Literal["bool", "int64", "double", "string", "list<int64>", "list<double>"]

_CALL = re.compile(r"([a-z_]+)\(([^()]+)\)")
LARGEST = 2**53 - 1  # every whole number up to here is a float too
DEEPEST = 10_000
SHOWN = 200


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or nothing when none is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def shown(value: object) -> str:
    """Return a value as errors print it: on one line, cut where it is long."""
    try:
        text = repr(dict(value) if isinstance(value, Mapping) else value)
    except ValueError:  # Python refuses to print a whole number of more than 4300 digits
        text = "a number of very many digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def parse_call(text: str) -> tuple[str, float | None]:
    """Split a canonical string: `normal(0.01)` into `("normal", 0.01)`, `relu` into `("relu", None)`."""
    match = _CALL.fullmatch(text)
    return (match[1], float(match[2])) if match else (text, None)


@dataclass(frozen=True, kw_only=True)
class Number:
    """A real number in an interval; an end is included unless it is marked open."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    nothing: bool = False
    column: Column = "double"

    @property
    def rule(self) -> str:
        """The range in words, as errors and help texts print it."""
        if self.low == -math.inf and self.high == math.inf:
            words = "a number"
        elif self.high == math.inf:
            words = f"a number {'above' if self.open_low else 'of at least'} {self.low:g}"
        else:
            words = f"a number in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}]"
        return f"{words}, or none" if self.nothing else words

    def read(self, value: object) -> Value:
        """Return the canonical number; raise ValueError with the rule."""
        if self.nothing and value in (None, "none"):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(self.rule)
        try:
            number = float(value) + 0.0  # -0.0 and 0.0 are one value, and so one run
        except OverflowError:
            raise ValueError(self.rule) from None
        if not (math.isfinite(number) and self.low <= number <= self.high) or (self.open_low and number == self.low):
            raise ValueError(self.rule)
        return number


@dataclass(frozen=True, kw_only=True)
class Count:
    """A whole number from `low` to `high`; `words` are accepted in its place."""

    low: int = 1
    high: int = LARGEST
    words: tuple[str, ...] = ()
    column: Column = "int64"

    @property
    def rule(self) -> str:
        """The range in words."""
        words = f"of at least {self.low}" if self.high == LARGEST else f"in [{self.low}, {self.high}]"
        return " or ".join([f"a whole number {words}", *map(repr, self.words)])

    def read(self, value: object) -> Value:
        """Return the canonical count or word; raise ValueError with the rule."""
        if isinstance(value, str) and value in self.words:
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low:
            raise ValueError(self.rule + _near(value, self.words))
        if value > self.high:
            raise ValueError(f"a whole number of at most {self.high}")
        return value


@dataclass(frozen=True, kw_only=True)
class Word:
    """One of a literal table of words, some of which take a parameter."""

    table: Mapping[str, Number | None]
    defaults: Mapping[str, float] | None = None
    column: Column = "string"

    @property
    def rule(self) -> str:
        """The words that are allowed, with the form of those that take a parameter."""
        return "one of " + ", ".join(f"{{{w}: number}}" if p else w for w, p in self.table.items())

    def read(self, value: object) -> Value:
        """Return the canonical string; raise ValueError with the rule."""
        if isinstance(value, str):
            try:
                word, parameter = parse_call(value)
            except ValueError:
                raise ValueError(self.rule) from None
        elif isinstance(value, Mapping) and len(value) == 1:
            ((word, parameter),) = value.items()
        else:
            raise ValueError(self.rule)
        if word not in self.table:
            raise ValueError(self.rule + _near(word, self.table))
        limits = self.table[word]
        if limits is None:
            if parameter is not None:
                raise ValueError(f"{word} without a parameter")
            return str(word)
        if parameter is None:
            parameter = (self.defaults or {}).get(str(word))
        if parameter is None:
            raise ValueError(f"{word} with its parameter, written {{{word}: number}}")
        try:
            number = limits.read(parameter)
        except ValueError as error:
            raise ValueError(f"{word} with a parameter that is {error}") from None
        return f"{word}({number!r})"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    column: Column = "bool"
    rule: str = "true or false"

    def read(self, value: object) -> Value:
        """Return the flag; raise ValueError with the rule."""
        if not isinstance(value, bool):
            raise ValueError(self.rule)
        return value


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
        if any(isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= LARGEST for v in value):
            raise ValueError(self.rule)
        return tuple(value)


Kind = Number | Count | Word | Flag | PerLayer | Sizes


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: what it is called, what it means, what it may be, and what it is by default."""

    name: str
    meaning: str
    kind: Kind
    default: Value = None

    def read(self, value: object) -> Value:
        """Return the canonical value; raise ValueError with rule, value and suggestion."""
        try:
            return self.kind.read(value)
        except ValueError as error:
            rule, mark, near = str(error).partition("; did you mean")
            raise ValueError(f"{self.name} must be {rule}, got {shown(value)}{mark}{near}") from None


def _near(value: object, known: Iterable[str]) -> str:
    return suggestion(value, known) if isinstance(value, str) else ""


_INITS: dict[str, Number | None] = {
    "normal": Number(low=0, open_low=True),
    "default": None,
    "xavier_uniform": None,
    "xavier_normal": None,
    "he_uniform": None,
    "he_normal": None,
    "orthogonal": None,
    "constant": Number(),
    "zeros": None,
}
_ACTIVATIONS: dict[str, Number | None] = {
    "identity": None,
    "relu": None,
    "leaky_relu": Number(low=0, high=1),
    "sigmoid": None,
    "tanh": None,
    "gelu": None,
    "silu": None,
    "elu": None,
}


def _setting(name: str, kind: Kind, default: Value, meaning: str) -> Setting:
    return Setting(name=name, meaning=meaning, kind=kind, default=default)


SETTINGS: dict[str, Setting] = {
    s.name: s
    for s in (
        _setting("hidden_sizes", Sizes(), None, "units of each hidden layer; in place of width and depth"),
        _setting("width", Count(), 256, "units of every hidden layer"),
        _setting("depth", Count(low=0, high=DEEPEST), 1, "hidden layers; 0 is linear or softmax regression"),
        _setting(
            "activation", Word(table=_ACTIVATIONS, defaults={"leaky_relu": 0.01}), "relu", "after each hidden layer"
        ),
        _setting("init", Word(table=_INITS), "normal(0.01)", "distribution of the initial weights"),
        _setting(
            "bias_init",
            Word(table={k: v for k, v in _INITS.items() if k != "orthogonal"}),
            "zeros",
            "distribution of the initial biases",
        ),
        _setting("dropout", PerLayer(each=Number(low=0, high=1)), 0.0, "probability of zeroing a hidden unit"),
        _setting(
            "weight_decay", Number(low=0), 0.0, "lambda of (lambda/2)||w||^2 added to the loss; SGD: w *= 1 - lr*lambda"
        ),
        _setting("decay_bias", Flag(), False, "whether weight decay applies to biases too"),
        _setting("optimizer", Word(table={"sgd": None}), "sgd", "how parameters follow the gradient"),
        _setting("lr", Number(low=0, open_low=True), 0.1, "learning rate"),
        _setting("batch_size", Count(words=("full",)), 256, "examples a step; the last partial batch is kept"),
        _setting("epochs", Count(low=0), 10, "whole passes over the training examples"),
        _setting("steps", Count(low=0), None, "gradient steps; in place of epochs"),
        _setting("train_size", Count(words=("all",)), "all", "training examples, before validation is taken"),
        _setting("loss", Word(table={"cross_entropy": None, "squared_error": None}), None, "what training minimises"),
        _setting("precision", Word(table={"float32": None, "float64": None}), "float32", "arithmetic of training"),
    )
}
