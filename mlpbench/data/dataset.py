"""What every way to come by data ends in: examples for training and for testing, with their facts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpbench.data.named.catalogue import DataFacts


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set as read-only arrays; bytes are pixels, for which a network's input is x / 255.

    Shape:
        - x_train: uint8 or float32 [n_train, n_features], C-contiguous
        - y_train: uint8 [n_train], classes from 0, or float32 [n_train], numbers
        - x_test, y_test: the same, of n_test
    """

    facts: DataFacts
    x_train: NDArray[np.uint8] | NDArray[np.float32]
    y_train: NDArray[np.uint8] | NDArray[np.float32]
    x_test: NDArray[np.uint8] | NDArray[np.float32]
    y_test: NDArray[np.uint8] | NDArray[np.float32]

    @property
    def name(self) -> str:
        """What tables call the data."""
        return self.facts.name

    @property
    def n_classes(self) -> int | None:
        """Classes of the target, None where it is numbers."""
        return self.facts.n_classes

    @property
    def fingerprint(self) -> str:
        """The identity of the data."""
        return self.facts.fingerprint
