"""Synthetic data, of which the truth is known: `{name: FAMILY, ...options}`. Each replicate draws its own examples.

A family is a frozen model of its options. Its draws are addressed by seed and replicate; they are made in numpy, in float64
and without BLAS: products and sums are taken input by input, in order, so that targets have the same bits in every numerics
mode and whatever else is drawn.

Shapes: `N` examples, `I` inputs.

Reference: A. Zhang et al., "Dive into Deep Learning", 2023: its data for linear regression, weight decay and polynomials.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from mlpbench.base.models import Model, SpecProblem, first_problem, shown, unknown_key
from mlpbench.base.streams import generator
from mlpbench.data.dataset import KEY, DataFacts, Dataset, DataSource, LinearTruth

Floats = NDArray[np.float64]

MOST_EXAMPLES = 1_000_000
MOST_FEATURES = 10_000
# Inputs of all examples of a draw, which every stack keeps for each of its replicates: 400 MB.
MOST_NUMBERS = 100_000_000
# x^k / k! of a normal x is next to nothing in float32 beyond it.
HIGHEST_DEGREE = 40
SMALLEST = float(np.finfo(np.float32).tiny)
DRAWN_ANEW = "drawn anew for each replicate"


class Synthetic(Model, DataSource):
    """What families have in common: y = b + sum_k w_k x_k + e with e ~ N(0, noise^2), of `train` and `test` examples."""

    name: str
    noise: float = Field(ge=0)
    train: int = Field(ge=1, le=MOST_EXAMPLES)
    test: int = Field(ge=1, le=MOST_EXAMPLES)

    @property
    @abstractmethod
    def truth(self) -> LinearTruth:
        """The w of every input, and b."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The family and its main options, in a few words."""

    @abstractmethod
    def inputs(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw the inputs of n examples, x_NI."""

    @property
    def facts(self) -> DataFacts:
        """What is known of the data before they are drawn."""
        return _facts(self)

    def draw(self, seed: int, replicate: int) -> Dataset:
        """Return the examples of a replicate: y = b + sum_k w_k x_k + e."""
        x_train, y_train = self._part(seed, replicate, 0, self.train)
        x_test, y_test = self._part(seed, replicate, 1, self.test)
        return Dataset(facts=self.facts, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

    def _part(self, seed: int, replicate: int, part: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x_NI, truth = self.inputs(generator(seed, replicate, "data", part, 0), n), self.truth
        y = np.full(n, truth.bias)
        for k, weight in enumerate(truth.weights):
            y += weight * x_NI[:, k]
        y += self.noise * generator(seed, replicate, "data", part, 1).standard_normal(n)
        return _float32(x_NI), _float32(y)

    @property
    def is_in_package(self) -> bool:
        """Whether the examples are had wherever mlpbench is: they are drawn."""
        return True

    def origin(self) -> str:
        """Return that the data are drawn; nothing is fetched."""
        return DRAWN_ANEW

    def availability(self) -> str:
        """Return that the data are drawn."""
        return DRAWN_ANEW

    def with_options(self, options: Mapping[Any, Any]) -> Synthetic:
        """Return the family with these options, the others by default; raise SpecProblem for wrong ones."""
        known = list(type(self).model_fields)
        if not_a_word := next((k for k in options if not isinstance(k, str)), None):
            raise SpecProblem((KEY, not_a_word), f"a key must be a word, got {shown(not_a_word)}", key=True)
        if unknown := next((k for k in options if k not in known), None):
            raise unknown_key((KEY, unknown), known)
        try:
            data = type(self).model_validate({"name": self.name, **options})
        except ValidationError as error:
            problem = first_problem(error, lambda _path: known)
            raise SpecProblem((KEY, *problem.path), problem.message, key=problem.key) from None
        data.check_together()
        return data

    def check_together(self) -> None:
        """Raise SpecProblem for options that are valid one by one and do not fit each other."""
        features = self.facts.n_features
        if (self.train + self.test) * features > MOST_NUMBERS:
            larger = "train" if self.train >= self.test else "test"
            rule = f"examples times inputs must be at most {MOST_NUMBERS} in a draw"
            raise SpecProblem((KEY, larger), f"{rule}, got ({self.train} + {self.test}) x {features}")

    def as_written(self, folder: Path | None) -> dict[str, Any]:
        """Return all options, as a file has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self.model_dump(exclude_none=True).items()}


@functools.lru_cache
def _facts(data: Synthetic) -> DataFacts:
    """Return the facts; the fingerprint is of family, truth, noise and numbers of examples, in whatever way these are given."""
    truth = data.truth
    recipe = [f"{data.name}-1", truth.weights, truth.bias, data.noise, data.train, data.test]
    return DataFacts(
        name=data.name,
        title=data.title,
        n_train=data.train,
        n_test=data.test,
        input_shape=(len(truth.weights),),
        fingerprint=hashlib.sha256(json.dumps(recipe).encode()).hexdigest(),
        truth=truth,
        is_drawn_anew=True,
    )


def _float32(values: Floats) -> NDArray[np.float32]:
    # High powers of small numbers are subnormal, which training flushes to 0: 0 here too, whether or not it has begun.
    return np.where(np.abs(values) < SMALLEST, 0.0, values).astype(np.float32)


class LinearData(Synthetic):
    """Inputs x_k ~ N(0, 1) and a target that is linear in them; one number for all weights goes with `features`."""

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
    def truth(self) -> LinearTruth:
        """The weights, one for each input, and the bias."""
        weights = self.weights if isinstance(self.weights, tuple) else (self.weights,) * (self.features or 1)
        return LinearTruth(weights=weights, bias=self.bias)

    @property
    def title(self) -> str:
        """The number of inputs, and the noise."""
        return f"synthetic, linear in {len(self.truth.weights)} inputs, noise {self.noise:g}"

    def inputs(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw x_NI ~ N(0, 1)."""
        return rng.standard_normal((n, len(self.truth.weights)))

    def check_together(self) -> None:
        """Raise SpecProblem where `features` does not go with `weights`."""
        if isinstance(self.weights, tuple):
            if self.features is not None:
                got = f"got features {self.features} and {len(self.weights)} weights"
                rule = "features stands beside one number for all weights, in place of a list"
                raise SpecProblem((KEY, "features"), f"{rule}, {got}; leave one of them out, or say `weights: 0.01`")
        elif self.features is None:
            rule = "one number for all weights needs features, how many they are"
            got = f"got {self.weights:g} alone; a list says both: [{self.weights:g}]"
            raise SpecProblem((KEY, "weights"), f"{rule}, {got}")
        super().check_together()


class PolynomialData(Synthetic):
    """Inputs x^k / k! of one x ~ N(0, 1) for k = 1 ... degree, and a target that is a polynomial of x.

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
    def truth(self) -> LinearTruth:
        """The coefficient of every power, and the constant."""
        zeros = (0.0,) * (self.degree + 1 - len(self.coefficients))
        return LinearTruth(weights=(*self.coefficients[1:], *zeros), bias=self.coefficients[0])

    @property
    def has_one_input(self) -> bool:
        """Whether the target depends on one number: inputs are its powers, the first of them itself."""
        return True

    @property
    def title(self) -> str:
        """The degree of the target, the powers that are inputs, and the noise."""
        true = max((k for k, c in enumerate(self.coefficients) if c), default=0)
        return f"synthetic, polynomial of degree {true} from {self.degree} powers, noise {self.noise:g}"

    def inputs(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw x ~ N(0, 1) and return x^k / k! for k = 1 ... degree, each from the one before."""
        x = rng.standard_normal(n)
        x_NI = np.empty((n, self.degree))
        x_NI[:, 0] = x
        for k in range(1, self.degree):
            x_NI[:, k] = x_NI[:, k - 1] * x / (k + 1)
        return x_NI

    def check_together(self) -> None:
        """Raise SpecProblem for more coefficients than there are powers."""
        if len(self.coefficients) > self.degree + 1:
            rule = f"coefficients must be at most {self.degree + 1}, the constant and one for each power up to degree"
            raise SpecProblem((KEY, "coefficients"), f"{rule}, got {len(self.coefficients)}")
        super().check_together()


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


SYNTHETIC: dict[str, Synthetic] = {data.name: data for data in (LinearData(), PolynomialData())}
