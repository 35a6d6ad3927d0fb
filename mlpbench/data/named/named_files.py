"""The files that a named data set is made of: which they are, finding them in a folder, and reading arrays from them.

Arrays are of files whose content is proven by checksum. Members of archives are read by name and in memory: nothing is
unpacked to a path, whatever names an archive has.

IDX: two zeros, type, rank, the sizes as big-endian uint32, then the values by row; see http://yann.lecun.com/exdb/mnist/
(LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998).

CIFAR-10: an example is a byte of the class, then 3,072 of the image by channel, row and column; see
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.files import read_regular
from mlpbench.data.dataset import KnownClasses

SCALING = "uint8/255"
# The content of a file whose array has less may still have this much, that of any file no more than the other.
LEAST_CONTENT, MOST_CONTENT = 2**20, 2**30
Parts = Mapping[str, tuple[str, ...]]
DAMAGES = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
Arrays = dict[str, NDArray[np.uint8]]
# By the third byte of an IDX file.
IDX_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}


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
class NamedFiles(KnownClasses):
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

    family: str
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

    def identity(self) -> str:
        """Return the sorted file checksums, the scaling and the recipe."""
        lines = [f"{name}:{checksum}" for name, checksum in sorted(self.files.items())]
        return "\n".join([*lines, SCALING, *[self.recipe] * bool(self.recipe)])


class ArchiveError(ValueError):
    """An archive that is damaged or lacks a member; the message says which."""


def unzipped(content: bytes, most: int = MOST_CONTENT) -> bytes:
    """Return the content, ungzipped where it is gzipped.

    Raises ArchiveError where the compressed stream is damaged, or comes to more than `most` bytes, of which no more are read.
    """
    # The content decides, not the name: browsers unpack a .gz on the way and keep its name.
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            unpacked = stream.read(most + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ArchiveError(f"damaged gzip stream ({error})") from error
    if len(unpacked) > most:
        raise ArchiveError(f"more than {most} bytes once it is unpacked")
    return unpacked


def members(file: BinaryIO, name: str, wanted: Collection[str]) -> dict[str, bytes]:
    """Return the content of some members of a .zip, ungzipped, or of a .tar.gz.

    Raises ArchiveError where the archive is damaged, or has no file of a name, OSError where it cannot be read.
    """
    try:
        contents = (_of_zip if name.endswith(".zip") else _of_tar)(file, wanted)
    except DAMAGES as error:
        raise ArchiveError(f"damaged archive ({error})") from error
    if missing := [member for member in wanted if member not in contents]:
        raise ArchiveError(f"an archive must have {', '.join(missing)}")
    return contents


def _of_zip(file: BinaryIO, wanted: Collection[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        present = set(archive.namelist())
        return {member: unzipped(archive.read(member)) for member in wanted if member in present}


def _of_tar(file: BinaryIO, wanted: Collection[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    with tarfile.open(fileobj=file, mode="r:gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and member.name in wanted else None
            if content is not None:
                contents[member.name] = content.read()
    return contents


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


class FilesError(Exception):
    """Files that are missing, damaged, of other content, or not to be downloaded; the message is the reason, in one line."""


def find_files(data: NamedFiles, folder: Path) -> dict[str, Path]:
    """Return where the folder, or a sub-folder with a usual name, has each file of the data set.

    Sub-folders: the data set's name, with `_` or `-`, torchvision's, and `FashionMNIST/raw` and the like, where it puts its
    download. They come before the folder itself, since files of several data sets have the same names. Raises FilesError,
    naming what is missing, where no place has all files.
    """
    usual = (data.name, data.name.replace("_", "-"), f"{data.family}/raw", data.family, data.family.lower(), "")
    try:
        if not folder.is_dir():
            raise FilesError(f"{folder} is not a folder")
        paths = max((_files_at(data, folder / sub) for sub in usual), key=len)
    except OSError as error:
        raise FilesError(f"{folder} cannot be read: {error.strerror}") from error
    if missing := [name for name in data.files if name not in paths]:
        raise FilesError(f"{folder} lacks {listed(missing)}" if paths else f"{folder} has none of the files")
    return paths


def read_files(data: NamedFiles, paths: dict[str, Path]) -> Arrays:
    """Return the arrays of the data set, from files that have the catalogue's checksums.

    These are `x_train`, `y_train`, `x_test`, `y_test` as uint8, images [n, n_features], labels [n]. Raises FilesError,
    naming the file, where one cannot be read, is damaged, or has other content.
    """
    contents: dict[str, bytes] = {}
    for name, path in paths.items():
        try:
            contents |= _contents(data, name, path)
        except ArchiveError as error:
            raise FilesError(f"{path} is corrupt: {error}") from error
        except OSError as error:
            raise FilesError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return decode(data, contents)
    except ValueError as error:  # of files whose checksums are right: the catalogue is mistaken
        raise FilesError(f"{listed(paths)} cannot be read as {data.title}: {error}") from error


def stamps(paths: dict[str, Path]) -> dict[str, list[int]]:
    """Return size in bytes and time of change in ns by absolute path: equal stamps need no second reading."""
    states = {str(path.resolve()): path.stat() for path in paths.values()}
    return {path: [state.st_size, state.st_mtime_ns] for path, state in states.items()}


def listed(names: Iterable[str]) -> str:
    """Say which files, and whether they may be gzipped."""
    names = list(names)
    return ", ".join(names) + " (.gz or not)" * (not any(map(as_distributed, names)))


def is_as_distributed(data: NamedFiles, part: str, arrays: Arrays) -> bool:
    """Return whether an array is that of its file, where the file's checksum is of bytes that follow from the array.

    True where they do not follow, as of an archive.
    """
    (name, *others) = data.parts[part]
    if others or name not in data.files or as_distributed(name) or name.endswith(".bin"):
        return True
    array = arrays[part]
    shape = (len(array), *data.input_shape) if part.startswith("x") else array.shape
    hashed = hashlib.sha256(struct.pack(f">I{len(shape)}I", 0x0800 + len(shape), *shape))
    hashed.update(array.data)
    return hashed.hexdigest() == data.files[name]


def _files_at(data: NamedFiles, place: Path) -> dict[str, Path]:
    candidates = {name: [place / name] + [place / f"{name}.gz"] * (not as_distributed(name)) for name in data.files}
    existing = {name: [path for path in paths if path.is_file()] for name, paths in candidates.items()}
    return {name: paths[0] for name, paths in existing.items() if paths}


def _contents(data: NamedFiles, name: str, path: Path) -> dict[str, bytes]:
    """Return the content of a file whose checksum is right, or of its members that the data set is made of, by name."""
    if not as_distributed(name):
        # What is not proven yet is unpacked no further than to the bytes that the largest array may have.
        most = max(LEAST_CONTENT, 2 * max(map(prod, shapes(data).values())))
        content = unzipped(read_regular(path, most), most)
        _check(data, name, path, "the uncompressed content", hashlib.sha256(content).hexdigest())
        return {name: content}
    # Of an archive of 562 MB only what is wanted comes into memory; it stays open between proof and use.
    with path.open("rb") as file:
        _check(data, name, path, "the file", hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        wanted = list(dict.fromkeys(member for members in data.parts.values() for member in members))
        return {name: unzipped(file.read())} if name in wanted else members(file, name, wanted)


def _check(data: NamedFiles, name: str, path: Path, what: str, sha256: str) -> None:
    if sha256 != (expected := data.files[name]):
        rule = f"{path} is not the {name} of {data.title}: SHA-256 of {what} must be {expected[:12]}..."
        raise FilesError(f"{rule}, got {sha256[:12]}...")
