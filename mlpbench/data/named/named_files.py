"""What is known of a named data set before it is on the machine: its facts, and which files it is made of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mlpbench.data.dataset import DataFacts

SCALING = "uint8/255"
Parts = Mapping[str, tuple[str, ...]]


def idx_parts(train: str, test: str, *, labels: str = "idx1-ubyte", suffix: str = "") -> Parts:
    """Return the parts of a data set whose files are named as those of MNIST are, with the prefixes they have."""
    return {
        f"{axis}_{part}": (f"{prefix}-{content}{suffix}",)
        for part, prefix in (("train", train), ("test", test))
        for axis, content in (("x", "images-idx3-ubyte"), ("y", f"labels-{labels}"))
    }


def as_distributed(file: str) -> bool:
    """Return whether the checksum of a file is of the file as it is distributed, not of its content."""
    return file.endswith((".gz", ".zip"))


@dataclass(frozen=True, kw_only=True)
class NamedFiles:
    """What is known of a named data set of images and classes before it is on the machine, and of the files it is made of.

    Attributes:
        input_shape: (rows, columns) or (channels, rows, columns) of one example.
        family: the class of torchvision that reads the files, and downloads them where there is no `address`.
        home: where a person finds the files, whose size is `megabytes`.
        files: the SHA-256 of each file: of the file as it is distributed where its name ends in .gz or .zip, else of its content,
            gzipped or not, since archives compress the same content differently (Debian's .gz are not the original .gz).
        parts: the files, or members of the archive, that hold x_train, y_train, x_test and y_test: .bin in the format of
            CIFAR-10, else IDX.
        sideways: whether images are stored column by column.
        first_class: the number from which classes are counted in the files.
        recipe: words that change whenever an array does, where several data sets are made of the same file.
        address: where the only file is downloaded.
        debian_package, debian_folder: the Debian package that has the files, and its folder in /usr/share/datasets.

    """

    name: str
    title: str
    family: str
    n_train: int
    n_test: int
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    home: str
    megabytes: int
    files: Mapping[str, str] = field(hash=False)
    parts: Parts = field(default_factory=lambda: idx_parts("train", "t10k"), hash=False)
    sideways: bool = False
    first_class: int = 0
    recipe: str = ""
    address: str = ""
    debian_package: str = ""
    debian_folder: str = ""

    @cached_property
    def facts(self) -> DataFacts:
        """The facts; the fingerprint is of the sorted file checksums, the scaling and the recipe."""
        lines = [f"{name}:{checksum}" for name, checksum in sorted(self.files.items())]
        lines += [SCALING, self.recipe] if self.recipe else [SCALING]
        return DataFacts(
            name=self.name,
            title=self.title,
            n_train=self.n_train,
            n_test=self.n_test,
            input_shape=self.input_shape,
            class_names=self.class_names,
            fingerprint=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        )
