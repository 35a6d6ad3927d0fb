"""What is known of a named data set before it is on the machine: its facts, and which files it is made of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlpbench.data.bundled.bundled_data import Shaped

SCALING = "uint8/255"
Parts = Mapping[str, tuple[str, ...]]


def idx_parts(train: str, test: str, *, labels: str = "idx1-ubyte", suffix: str = "") -> Parts:
    """Return the parts of a data set whose files are named as those of MNIST are, with the prefixes they have."""
    return {
        f"{kind}_{part}": (f"{prefix}-{what}{suffix}",)
        for part, prefix in (("train", train), ("test", test))
        for kind, what in (("x", "images-idx3-ubyte"), ("y", f"labels-{labels}"))
    }


def as_distributed(file: str) -> bool:
    """Return whether a file is known as it is distributed, not by what it holds."""
    return file.endswith((".gz", ".zip"))


@dataclass(frozen=True, kw_only=True)
class NamedData(Shaped):
    """The static facts of one named data set of images and classes.

    `input_shape` is (rows, columns) or (channels, rows, columns) of one example. `files` maps the name of each file to a
    SHA-256: of the file as it is distributed where its name ends in .gz or .zip, else of its content, gzipped or not, since
    archives compress the same content differently (Debian's .gz are not the original .gz). `parts` maps x_train, y_train,
    x_test and y_test to the files, or members of the archive, that hold them: .bin in the format of CIFAR-10, else IDX.

    Images of which columns are stored are `sideways`; classes are counted from `first_class`. Data sets made of the same
    file differ in `recipe`, words that change whenever an array does. `family` is the class of torchvision; `home` is where
    a person finds the files, which have so many `megabytes`.
    """

    name: str
    title: str
    family: str
    n_train: int
    n_test: int
    n_classes: int
    class_names: tuple[str, ...]
    home: str
    megabytes: int
    files: Mapping[str, str] = field(hash=False)
    parts: Parts = field(default_factory=lambda: idx_parts("train", "t10k"), hash=False)
    sideways: bool = False
    first_class: int = 0
    recipe: str = ""

    @property
    def n_outputs(self) -> int:
        """One a class."""
        return self.n_classes

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the sorted file checksums and of the scaling: the identity of the data a network sees."""
        lines = [f"{name}:{checksum}" for name, checksum in sorted(self.files.items())]
        made = [self.recipe] if self.recipe else []
        return hashlib.sha256("\n".join([*lines, SCALING, *made]).encode()).hexdigest()
