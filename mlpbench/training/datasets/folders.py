"""A folder of IDX files: which of its files are meant, and arrays whose content is proven by checksum."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlpbench.experiment.catalogue import NamedData
from mlpbench.training.datasets import idx

Arrays = dict[str, NDArray[np.uint8]]

PARTS = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


class SourceError(Exception):
    """A place that does not give the data; the message is the reason, in one short line."""


def shapes(data: NamedData) -> dict[str, tuple[int, ...]]:
    """The shape of each array: images [n, n_features], labels [n]."""
    return {
        "x_train": (data.n_train, data.n_features),
        "y_train": (data.n_train,),
        "x_test": (data.n_test, data.n_features),
        "y_test": (data.n_test,),
    }


def find(data: NamedData, folder: Path) -> dict[str, Path]:
    """Where the folder, or a sub-folder with a usual name, holds each IDX file of the data set, gzipped or not.

    Sub-folders: the data set's name, with `_` or `-`, and `FashionMNIST/raw`, where torchvision puts its download.
    Raises SourceError, naming what is missing, where no place holds all files.
    """
    torchvision_name = data.title.replace("-", "")
    places = [folder / sub for sub in ("", data.name, data.name.replace("_", "-"), f"{torchvision_name}/raw")]
    try:
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder")
        found = [_files_at(data, place) for place in places]
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror}") from error
    fullest = max(found, key=len)
    if missing := [name for name in data.files if name not in fullest]:
        raise SourceError(f"{folder} lacks {', '.join(missing)} (.gz or not)")
    return fullest


def read(data: NamedData, files: dict[str, Path]) -> Arrays:
    """The arrays of the data set, from files whose uncompressed content has the catalogue's checksums.

    Returns `x_train`, `y_train`, `x_test`, `y_test` as uint8, images [n, n_features], labels [n]. Raises SourceError,
    naming the file, where one cannot be read, is damaged, or has other content.
    """
    arrays = {}
    for part, name in PARTS.items():
        path = files[name]
        try:
            content = idx.read(path)
            if (got := hashlib.sha256(content).hexdigest()) != data.files[name]:
                raise SourceError(
                    f"{path} is not the {name} of {data.title}: "
                    f"SHA-256 of the uncompressed content must be {data.files[name][:12]}..., got {got[:12]}..."
                )
            arrays[part] = idx.parse(content).reshape(shapes(data)[part])
        except idx.IdxError as error:
            raise SourceError(f"{path} is corrupt: {error}") from error
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    return arrays


def stamps(files: dict[str, Path]) -> dict[str, list[int]]:
    """Size in bytes and time of change in ns by absolute path: equal stamps need no second reading."""
    states = {str(path.resolve()): path.stat() for path in files.values()}
    return {path: [state.st_size, state.st_mtime_ns] for path, state in states.items()}


def _files_at(data: NamedData, place: Path) -> dict[str, Path]:
    candidates = {name: (place / name, place / f"{name}.gz") for name in data.files}
    existing = {name: [path for path in paths if path.is_file()] for name, paths in candidates.items()}
    return {name: paths[0] for name, paths in existing.items() if paths}
