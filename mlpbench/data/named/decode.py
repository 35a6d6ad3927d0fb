"""Arrays of a named data set from the content of its files: IDX, or the binary format of CIFAR-10.

CIFAR-10: an example is a byte of the class, then 3,072 of the image by channel, row and column; see
https://www.cs.toronto.edu/~kriz/cifar.html. IDX: see idx.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.data.named import idx
from mlpbench.data.named.named_files import NamedFiles

Arrays = dict[str, NDArray[np.uint8]]


def shapes(data: NamedFiles) -> dict[str, tuple[int, ...]]:
    """The shape of each array: images [n, n_features], labels [n]."""
    return {
        "x_train": (data.n_train, data.facts.n_features),
        "y_train": (data.n_train,),
        "x_test": (data.n_test, data.facts.n_features),
        "y_test": (data.n_test,),
    }


def array(data: NamedFiles, part: str, contents: Mapping[str, bytes]) -> NDArray[np.uint8]:
    """The array of a part, of the shape that `shapes` says, from the contents of files or members by name.

    Images are upright, by channel, row and column; classes are counted from 0. Raises ValueError, saying what was found,
    where the contents are other than the facts say.
    """
    read = _images if part.startswith("x") else _classes
    made = [read(data, where, contents[where]) for where in data.parts[part]]
    found = made[0] if len(made) == 1 else np.concatenate(made)
    if found.shape != (shape := shapes(data)[part]):
        raise ValueError(f"{part} must have shape {shape}, got {found.shape}")
    return np.ascontiguousarray(found, dtype=np.uint8)


def _images(data: NamedFiles, where: str, content: bytes) -> NDArray[Any]:
    if where.endswith(".bin"):
        return _records(data, content)[:, 1:]
    images = idx.parse(content)
    if data.sideways:
        images = images.swapaxes(1, 2)
    if images.dtype != np.uint8 or images.shape[1:] != data.input_shape:
        rule = f"images must be bytes of shape {data.input_shape}"
        raise ValueError(f"{rule}, got {images.dtype} of shape {images.shape[1:]} in {where}")
    return images.reshape(len(images), -1)


def _classes(data: NamedFiles, where: str, content: bytes) -> NDArray[Any]:
    labels = _records(data, content)[:, 0] if where.endswith(".bin") else idx.parse(content)
    # QMNIST: the class, then the writer and the like.
    classes = (labels[:, 0] if labels.ndim == 2 else labels).astype(np.int64) - data.first_class
    if not np.isin(classes, np.arange(len(data.class_names))).all():
        found = f"{classes.min()} to {classes.max()} in {where}"
        raise ValueError(f"classes must be 0 to {len(data.class_names) - 1}, got {found}")
    return classes


def _records(data: NamedFiles, content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(-1, 1 + data.facts.n_features)
