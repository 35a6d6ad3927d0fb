"""Small data sets of classes that come with the package: read from a file in it, or generated; no download."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import MachineError
from mlpbench.base.streams import generator
from mlpbench.data.bundled import mnist1d
from mlpbench.data.dataset import Dataset, KnownClasses, Values, held_out

# Inputs, targets, and which of the examples are for testing.
Examples = tuple[NDArray[np.float32], Values, NDArray[np.bool_]]

DIGITS_SHA256 = "f10b077e7e3037d11006b85b6b71a63e15b2bf746d91c4e4122e42d304e5e54b"
GREYS = 16
_DIGIT_NAMES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class BundledData(KnownClasses):
    """A data set that comes with the package.

    Attributes:
        examples: returns inputs, classes and which examples are for testing, given `n_test`; it takes a fraction of a second.
        comes_from: where the arrays come from, in words.
        recipe: how the arrays are made, in words that change whenever an array does.

    """

    examples: Callable[[int], Examples]
    comes_from: str
    recipe: str

    @property
    def is_in_package(self) -> bool:
        """Whether the examples are had wherever mlpbench is: they come with it."""
        return True

    def identity(self) -> str:
        """Return name and recipe."""
        return f"{self.name}:{self.recipe}"

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the data set; raise MachineError where its file in the package is damaged."""
        x, y, is_test = self.examples(self.n_test)
        return Dataset(
            facts=self.facts, x_train=x[~is_test], y_train=y[~is_test], x_test=x[is_test], y_test=y[is_test]
        ).read_only()

    def origin(self) -> str:
        """Return where the arrays come from."""
        return self.comes_from


def _digits(n_test: int) -> Examples:
    """Read E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", 1998: 8x8 counts of 0 to 16 pixels."""
    content = resources.files("mlpbench.data.bundled").joinpath("digits.npz").read_bytes()
    if (sha256 := hashlib.sha256(content).hexdigest()) != DIGITS_SHA256:
        raise MachineError(f"digits.npz of the package must have SHA-256 {DIGITS_SHA256[:12]}, got {sha256[:12]}")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    order = generator(0, 0, "data", 3, 0).permutation(len(y))
    return x.astype(np.float32) / GREYS, y, held_out(y, order, n_test)


def _mnist1d(n_test: int) -> Examples:
    x, y = mnist1d.generate()
    return x, y, np.arange(len(y)) >= len(y) - n_test


BUNDLED: dict[str, BundledData] = {
    data.name: data
    for data in (
        BundledData(
            name="digits",
            title="UCI optical digits",
            n_train=1437,
            n_test=360,
            input_shape=(8, 8),
            class_names=_DIGIT_NAMES,
            examples=_digits,
            comes_from="in the package",
            recipe=f"{DIGITS_SHA256}, float32/16, stratified split 1",
        ),
        BundledData(
            name="mnist1d",
            title="MNIST-1D",
            n_train=4000,
            n_test=1000,
            input_shape=(40,),
            class_names=_DIGIT_NAMES,
            examples=_mnist1d,
            comes_from="generated in the package",
            recipe="generated 1",
        ),
    )
}
