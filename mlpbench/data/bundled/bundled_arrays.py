"""The arrays of data sets that come with the package, made at each start: the longest takes a fraction of a second."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import MachineError
from mlpbench.base.streams import generator
from mlpbench.data.bundled import mnist1d
from mlpbench.data.bundled.bundled_data import BUNDLED, DIGITS_SHA256
from mlpbench.data.dataset import Dataset
from mlpbench.data.stratify import stratified

# Inputs, classes, and which of the examples are for testing.
Made = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]

GREYS = 16


def load(name: str) -> Dataset:
    """Return the data set of that name; raise MachineError where its file in the package is damaged."""
    facts = BUNDLED[name]
    x, y, is_test = MAKERS[name](facts.n_test)
    made = Dataset(facts=facts, x_train=x[~is_test], y_train=y[~is_test], x_test=x[is_test], y_test=y[is_test])
    for array in (made.x_train, made.y_train, made.x_test, made.y_test):
        array.flags.writeable = False
    return made


def _digits(n_test: int) -> Made:
    """Read E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", 1998: 8x8 counts of 0 to 16 pixels."""
    content = resources.files("mlpbench.data.bundled").joinpath("digits.npz").read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != DIGITS_SHA256:
        raise MachineError(f"digits.npz of the package must have SHA-256 {DIGITS_SHA256[:12]}, got {found[:12]}")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    order = generator(0, 0, "data", 3, 0).permutation(len(y))
    return x.astype(np.float32) / GREYS, y, stratified(y, order, n_test)


def _mnist1d(n_test: int) -> Made:
    x, y = mnist1d.made()
    return x, y, np.arange(len(y)) >= len(y) - n_test


MAKERS: dict[str, Callable[[int], Made]] = {
    "digits": _digits,
    "mnist1d": _mnist1d,
}
