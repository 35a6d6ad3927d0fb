"""A folder of files of a data set: which of them are meant, and arrays whose content is proven by checksum."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mlpbench.data.named import archives, decode, idx
from mlpbench.data.named.decode import Arrays
from mlpbench.data.named.named_files import NamedFiles, as_distributed


class SourceError(Exception):
    """A place that does not give the data; the message is the reason, in one short line."""


def find(data: NamedFiles, folder: Path) -> dict[str, Path]:
    """Where the folder, or a sub-folder with a usual name, holds each file of the data set.

    Sub-folders: the data set's name, with `_` or `-`, torchvision's, and `FashionMNIST/raw` and the like, where it puts its
    download. They come before the folder itself, since files of several data sets have the same names. Raises SourceError,
    naming what is missing, where no place holds all files.
    """
    usual = (data.name, data.name.replace("_", "-"), f"{data.family}/raw", data.family, data.family.lower(), "")
    places = [folder / sub for sub in usual]
    try:
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder")
        found = [_files_at(data, place) for place in places]
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror}") from error
    fullest = max(found, key=len)
    if missing := [name for name in data.files if name not in fullest]:
        raise SourceError(f"{folder} lacks {listed(missing)}" if fullest else f"{folder} has none of the files")
    return fullest


def read(data: NamedFiles, files: dict[str, Path]) -> Arrays:
    """The arrays of the data set, from files that have the catalogue's checksums.

    Returns `x_train`, `y_train`, `x_test`, `y_test` as uint8, images [n, n_features], labels [n]. Raises SourceError,
    naming the file, where one cannot be read, is damaged, or has other content.
    """
    contents: dict[str, bytes] = {}
    for name, path in files.items():
        try:
            contents |= _contents(data, name, path)
        except (idx.IdxError, archives.ArchiveError) as error:
            raise SourceError(f"{path} is corrupt: {error}") from error
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return {part: decode.array(data, part, contents) for part in data.parts}
    except ValueError as error:  # of files whose checksums are right: the catalogue is mistaken
        raise SourceError(f"{listed(files)} cannot be read as {data.title}: {error}") from error


def stamps(files: dict[str, Path]) -> dict[str, list[int]]:
    """Size in bytes and time of change in ns by absolute path: equal stamps need no second reading."""
    states = {str(path.resolve()): path.stat() for path in files.values()}
    return {path: [state.st_size, state.st_mtime_ns] for path, state in states.items()}


def listed(names: Iterable[str]) -> str:
    """Say which files, and whether they may be gzipped."""
    names = list(names)
    return ", ".join(names) + " (.gz or not)" * (not any(map(as_distributed, names)))


def _files_at(data: NamedFiles, place: Path) -> dict[str, Path]:
    candidates = {name: [place / name] + [place / f"{name}.gz"] * (not as_distributed(name)) for name in data.files}
    existing = {name: [path for path in paths if path.is_file()] for name, paths in candidates.items()}
    return {name: paths[0] for name, paths in existing.items() if paths}


def _contents(data: NamedFiles, name: str, path: Path) -> dict[str, bytes]:
    """The content of a file, or of the members of it that the data set is made of, by name, once its checksum is found right."""
    if not as_distributed(name):
        content = idx.read(path)
        _prove(data, name, path, "the uncompressed content", hashlib.sha256(content).hexdigest())
        return {name: content}
    # Of an archive of 562 MB only what is wanted comes into memory; it stays open between proof and use.
    with path.open("rb") as file:
        _prove(data, name, path, "the file", hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        wanted = list(dict.fromkeys(where for places in data.parts.values() for where in places))
        return {name: idx.unpacked(file.read())} if name in wanted else archives.members(file, name, wanted)


def _prove(data: NamedFiles, name: str, path: Path, what: str, got: str) -> None:
    if got != (must := data.files[name]):
        rule = f"{path} is not the {name} of {data.title}: SHA-256 of {what} must be {must[:12]}..."
        raise SourceError(f"{rule}, got {got[:12]}...")
