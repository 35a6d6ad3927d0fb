"""Arrays of a named data set from the content of its files: IDX, or the binary format of CIFAR-10.

IDX: two zeros, type, rank, the sizes as big-endian uint32, then the values by row; see http://yann.lecun.com/exdb/mnist/
(LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998).

CIFAR-10: an example is a byte of the class, then 3,072 of the image by channel, row and column; see
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import struct
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.data.named.named_files import NamedFiles

Arrays = dict[str, NDArray[np.uint8]]

# By the third byte of an IDX file.
IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


def shapes(data: NamedFiles) -> dict[str, tuple[int, ...]]:
    """The shape of each array: images [n, n_features], labels [n]."""
    return {
        "x_train": (data.n_train, data.facts.n_features),
        "y_train": (data.n_train,),
        "x_test": (data.n_test, data.facts.n_features),
        "y_test": (data.n_test,),
    }


def decode(data: NamedFiles, contents: Mapping[str, bytes]) -> Arrays:
    """Return the arrays, of the shapes that `shapes` says, from the contents of files or members by name.

    Images are upright, by channel, row and column; classes are counted from 0. Raises ValueError, with what the contents
    are, where they are other than `data` says.
    """
    return {part: _part(data, part, contents) for part in data.parts}


def _part(data: NamedFiles, part: str, contents: Mapping[str, bytes]) -> NDArray[np.uint8]:
    read = _images if part.startswith("x") else _classes
    pieces = [read(data, name, contents[name]) for name in data.parts[part]]
    array = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if array.shape != (shape := shapes(data)[part]):
        raise ValueError(f"{part} must have shape {shape}, got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.uint8)


def _images(data: NamedFiles, name: str, content: bytes) -> NDArray[Any]:
    if name.endswith(".bin"):
        return _records(data, content)[:, 1:]
    images = parse_idx(content)
    if data.sideways:
        images = images.swapaxes(1, 2)
    if images.dtype != np.uint8 or images.shape[1:] != data.input_shape:
        rule = f"images must be bytes of shape {data.input_shape}"
        raise ValueError(f"{rule}, got {images.dtype} of shape {images.shape[1:]} in {name}")
    return images.reshape(len(images), -1)


def _classes(data: NamedFiles, name: str, content: bytes) -> NDArray[Any]:
    labels = _records(data, content)[:, 0] if name.endswith(".bin") else parse_idx(content)
    # QMNIST: the class, then the writer and the like.
    classes = (labels[:, 0] if labels.ndim == 2 else labels).astype(np.int64) - data.first_class
    if not np.isin(classes, np.arange(len(data.class_names))).all():
        got = f"{classes.min()} to {classes.max()} in {name}"
        raise ValueError(f"classes must be 0 to {len(data.class_names) - 1}, got {got}")
    return classes


def _records(data: NamedFiles, content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(-1, 1 + data.facts.n_features)


def parse_idx(content: bytes) -> NDArray[np.uint8] | NDArray[np.int32]:
    """Return the array that an IDX file of unsigned bytes or int32 holds, a read-only view of `content`.

    Raises ValueError where the magic number is another one, or where the file is shorter or longer than its header says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        rule = "an idx file must start with 000008, of bytes, or 00000c, of int32"
        raise ValueError(f"{rule}, got {content[:3].hex() or 'nothing'}")
    dtype, rank = IDX_TYPES[content[2]], content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"an idx header of {rank} sizes must have {start} bytes, got {len(content)}: truncated")
    shape = struct.unpack(f">{rank}I", content[4:start])
    if len(content) != (size := start + dtype.itemsize * prod(shape)):
        how = "truncated" if len(content) < size else "too long"
        raise ValueError(f"an idx file of shape {shape} must have {size} bytes, got {len(content)}: {how}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)
