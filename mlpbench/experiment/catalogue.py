"""The named data sets: what is known about them before they are on the machine, so that a plan needs no data."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mlpbench.errors import InputError
from mlpbench.experiment.bundled import BUNDLED, Shaped
from mlpbench.experiment.synthetic import FAMILIES

SCALING = "uint8/255"


class DataFacts(Protocol):
    """What a plan, an engine and a report need to know of any data set, whether named or the user's own.

    `n_classes` is None where the target is numbers; `name` is what tables and errors call the data, `title` what reports do.
    """

    @property
    def name(self) -> str:
        """One word, or the name of a file."""

    @property
    def title(self) -> str:
        """A few words."""

    @property
    def n_train(self) -> int:
        """Examples to train on, validation included."""

    @property
    def n_test(self) -> int:
        """Examples to test on."""

    @property
    def n_features(self) -> int:
        """Inputs per example."""

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Rows and columns of an example that is an image of one channel, None where it is anything else."""

    @property
    def n_outputs(self) -> int:
        """Outputs of a network: one a class, or one a number of the target."""

    @property
    def n_classes(self) -> int | None:
        """Classes of the target, None where it is numbers."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each class, in order."""

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex: the identity of the data a network sees."""


@dataclass(frozen=True, kw_only=True)
class NamedData(Shaped):
    """The static facts of one named data set of images and classes.

    `input_shape` is (rows, columns) of one example. `files` maps each IDX file's name, without `.gz`, to the SHA-256 of
    its uncompressed content: archives compress the same content differently (Debian's .gz are not the original .gz).
    """

    name: str
    title: str
    n_train: int
    n_test: int
    n_classes: int
    class_names: tuple[str, ...]
    files: Mapping[str, str] = field(hash=False)

    @property
    def n_outputs(self) -> int:
        """One a class."""
        return self.n_classes

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the sorted file checksums and of the scaling: the identity of the data a network sees."""
        lines = [f"{name}:{checksum}" for name, checksum in sorted(self.files.items())]
        return hashlib.sha256("\n".join([*lines, SCALING]).encode()).hexdigest()


CATALOGUE: dict[str, NamedData] = {
    "fashion_mnist": NamedData(
        name="fashion_mnist",
        title="Fashion-MNIST",
        n_train=60_000,
        n_test=10_000,
        input_shape=(28, 28),
        n_classes=10,
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        files={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def names() -> list[str]:
    """What `dataset: NAME` may say: named data sets, those that come with the package, and families of synthetic data."""
    return [*CATALOGUE, *BUNDLED, *FAMILIES]


def facts_of(name: str) -> DataFacts:
    """The facts of a data set that is named or comes with the package, which must be there."""
    return CATALOGUE[name] if name in CATALOGUE else BUNDLED[name]


def lookup(name: str) -> NamedData:
    """The facts of the named data set; raises InputError, with the nearest name, where there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InputError(f"a named data set must be one of {', '.join(names())}, got {name!r}{hint}")
