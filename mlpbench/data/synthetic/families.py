"""Synthetic data of which the truth is known: `{name: FAMILY, ...options}`; each replicate draws its own examples.

A family is a frozen model of its options, which answers what `DataFacts` asks. How it is drawn is in training/datasets.

Reference: A. Zhang et al., "Dive into Deep Learning", 2023: its data for linear regression, weight decay and polynomials.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from mlpbench.base.messages import SpecProblem, first_problem, shown, unknown_key
from mlpbench.base.models import Model

MOST_EXAMPLES = 1_000_000
MOST_FEATURES = 10_000
# Inputs of all examples of a draw, which every stack holds for each of its replicates: 400 MB.
MOST_NUMBERS = 100_000_000
# x^k / k! of a normal x is next to nothing in float32 beyond it.
HIGHEST_DEGREE = 40
BYTES_EACH = 4
KEY = "dataset"
DRAWN_ANEW = "drawn anew for each replicate"


class Synthetic(Model, ABC):
    """What families have in common: y = b + sum_k w_k x_k + e with e ~ N(0, noise^2), of `train` and `test` examples."""

    name: str
    noise: float = Field(ge=0)
    train: int = Field(ge=1, le=MOST_EXAMPLES)
    test: int = Field(ge=1, le=MOST_EXAMPLES)

    @property
    @abstractmethod
    def true_weights(self) -> tuple[float, ...]:
        """The w of every input."""

    @property
    @abstractmethod
    def true_bias(self) -> float:
        """The b."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The family and what it is made with, in a few words."""

    def truth(self, features: int) -> tuple[tuple[float, ...], float] | None:
        """Return weights and bias of the first inputs; None where an input that the target depends on is not among them."""
        weights = self.true_weights
        return None if any(weights[features:]) else (weights[:features], self.true_bias)

    @property
    def n_train(self) -> int:
        """Examples of a draw to train on, validation included."""
        return self.train

    @property
    def n_test(self) -> int:
        """Examples of a draw to test on."""
        return self.test

    @property
    def n_features(self) -> int:
        """Inputs per example."""
        return len(self.true_weights)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Inputs in a row."""
        return (self.n_features,)

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """None: inputs have no neighbours."""
        return None

    @property
    def n_outputs(self) -> int:
        """One number."""
        return 1

    @property
    def n_classes(self) -> int | None:
        """None: the target is a number."""
        return None

    @property
    def class_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def draw_bytes(self) -> int:
        """Memory of one replicate's draw, inputs and targets."""
        return BYTES_EACH * (self.n_features + 1) * (self.train + self.test)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the recipe: family, truth, noise and numbers of examples, in whatever way they were said."""
        recipe = [f"{self.name}-1", self.true_weights, self.true_bias, self.noise, self.train, self.test]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


class LinearData(Synthetic):
    """Inputs x_k ~ N(0, 1), of which the target is a line; one number for all weights goes with `features`."""

    name: Literal["linear"] = "linear"
    weights: float | tuple[float, ...] = (-6.0, 3.2, 10.5)
    features: int | None = Field(default=None, ge=1, le=MOST_FEATURES)
    bias: float = 1.7
    noise: float = Field(default=0.01, ge=0)
    train: int = Field(default=1000, ge=1, le=MOST_EXAMPLES)
    test: int = Field(default=1000, ge=1, le=MOST_EXAMPLES)

    @field_validator("weights", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return _numbers("weights", value, most=MOST_FEATURES)
        return _number("weights must be a list of numbers, or with features one number for all", value)

    @property
    def true_weights(self) -> tuple[float, ...]:
        """The w of every input."""
        return self.weights if isinstance(self.weights, tuple) else (self.weights,) * (self.features or 1)

    @property
    def true_bias(self) -> float:
        """The b."""
        return self.bias

    @property
    def title(self) -> str:
        """The family and what it is made with, in a few words."""
        return f"synthetic, linear in {self.n_features} inputs, noise {self.noise:g}"


class PolynomialData(Synthetic):
    """Inputs x^k / k! of one x ~ N(0, 1) for k = 1 ... degree, of which the target is a polynomial.

    `coefficients` are of x^k / k!, the constant first; those left out are 0.
    """

    name: Literal["polynomial"] = "polynomial"
    coefficients: tuple[float, ...] = (5.0, 1.2, -3.4, 5.6)
    degree: int = Field(default=20, ge=1, le=HIGHEST_DEGREE)
    noise: float = Field(default=0.1, ge=0)
    train: int = Field(default=100, ge=1, le=MOST_EXAMPLES)
    test: int = Field(default=100, ge=1, le=MOST_EXAMPLES)

    @field_validator("coefficients", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _numbers("coefficients", value, most=HIGHEST_DEGREE + 1)

    @property
    def true_weights(self) -> tuple[float, ...]:
        """The coefficient of every power."""
        return (*self.coefficients[1:], *(0.0,) * (self.degree + 1 - len(self.coefficients)))

    @property
    def true_bias(self) -> float:
        """The constant."""
        return self.coefficients[0]

    @property
    def title(self) -> str:
        """The family and what it is made with, in a few words."""
        true = max((k for k, c in enumerate(self.coefficients) if c), default=0)
        return f"synthetic, polynomial of degree {true} from {self.degree} powers, noise {self.noise:g}"


FAMILIES: dict[str, type[Synthetic]] = {"linear": LinearData, "polynomial": PolynomialData}


def synthetic(given: Mapping[str, Any]) -> Synthetic:
    """Return the family that `name` names, with its options; raise SpecProblem for wrong ones."""
    family = FAMILIES[given["name"]]
    if bad := next((k for k in given if not isinstance(k, str)), None):
        raise SpecProblem((KEY, bad), f"a key must be a word, got {shown(bad)}", key=True)
    if unknown := next((k for k in given if k not in family.model_fields), None):
        raise unknown_key((KEY, unknown), list(family.model_fields))
    try:
        data = family.model_validate(dict(given))
    except ValidationError as error:
        problem = first_problem(error, lambda _path: list(family.model_fields))
        raise SpecProblem((KEY, *problem.path), problem.message, key=problem.key) from None
    _check_together(data)
    return data


def dump(data: Synthetic) -> dict[str, Any]:
    """Return what `synthetic` reads."""
    tree = data.model_dump(exclude_none=True)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in tree.items()}


def _check_together(data: Synthetic) -> None:
    """Refuse options that are right one by one and wrong beside each other."""
    if isinstance(data, LinearData):
        listed = isinstance(data.weights, tuple)
        if listed and data.features is not None:
            got = f"got features {data.features} and {len(data.true_weights)} weights"
            rule = "features stands beside one number for all weights, in place of a list"
            raise SpecProblem((KEY, "features"), f"{rule}, {got}; leave one of them out, or say `weights: 0.01`")
        if not listed and data.features is None:
            rule = "one number for all weights needs features, how many they are"
            raise SpecProblem(
                (KEY, "weights"), f"{rule}, got {data.weights:g} alone; a list says both: [{data.weights:g}]"
            )
    if isinstance(data, PolynomialData) and len(data.coefficients) > data.degree + 1:
        rule = f"coefficients must be at most {data.degree + 1}, the constant and one for each power up to degree"
        raise SpecProblem((KEY, "coefficients"), f"{rule}, got {len(data.coefficients)}")
    numbers = (data.train + data.test) * data.n_features
    if numbers > MOST_NUMBERS:
        larger = "train" if data.train >= data.test else "test"
        rule = f"examples times inputs must be at most {MOST_NUMBERS} in a draw"
        raise SpecProblem((KEY, larger), f"{rule}, got ({data.train} + {data.test}) x {data.n_features}")


def _numbers(name: str, value: object, *, most: int) -> tuple[float, ...]:
    rule = f"{name} must be a list of 1 to {most} numbers"
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
        counted = f"{len(value)} of them" if isinstance(value, list | tuple) and value else shown(value)
        raise ValueError(f"{rule}, got {counted}")
    return tuple(_number(rule, v) for v in value)


def _number(rule: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{rule}, got {shown(value)}")
    # -0.0 and 0.0 are one value, and so one recipe.
    return float(value) + 0.0
