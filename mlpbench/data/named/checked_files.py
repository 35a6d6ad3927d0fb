"""Files of a named data set in a folder: which of them are meant, and arrays whose content is proven by checksum."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from mlpbench.data.named import archives
from mlpbench.data.named.decode import Arrays, decode
from mlpbench.data.named.named_files import NamedFiles, as_distributed


class FilesError(Exception):
    """Files that are missing, damaged, of other content, or not to be downloaded; the message is the reason, in one line."""


def find(data: NamedFiles, folder: Path) -> dict[str, Path]:
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


def read(data: NamedFiles, paths: dict[str, Path]) -> Arrays:
    """Return the arrays of the data set, from files that have the catalogue's checksums.

    These are `x_train`, `y_train`, `x_test`, `y_test` as uint8, images [n, n_features], labels [n]. Raises FilesError,
    naming the file, where one cannot be read, is damaged, or has other content.
    """
    contents: dict[str, bytes] = {}
    for name, path in paths.items():
        try:
            contents |= _contents(data, name, path)
        except archives.ArchiveError as error:
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


def _files_at(data: NamedFiles, place: Path) -> dict[str, Path]:
    candidates = {name: [place / name] + [place / f"{name}.gz"] * (not as_distributed(name)) for name in data.files}
    existing = {name: [path for path in paths if path.is_file()] for name, paths in candidates.items()}
    return {name: paths[0] for name, paths in existing.items() if paths}


def _contents(data: NamedFiles, name: str, path: Path) -> dict[str, bytes]:
    """Return the content of a file whose checksum is right, or of its members that the data set is made of, by name."""
    if not as_distributed(name):
        content = archives.unzipped(path.read_bytes())
        _check(data, name, path, "the uncompressed content", hashlib.sha256(content).hexdigest())
        return {name: content}
    # Of an archive of 562 MB only what is wanted comes into memory; it stays open between proof and use.
    with path.open("rb") as file:
        _check(data, name, path, "the file", hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        wanted = list(dict.fromkeys(member for members in data.parts.values() for member in members))
        return {name: archives.unzipped(file.read())} if name in wanted else archives.members(file, name, wanted)


def _check(data: NamedFiles, name: str, path: Path, what: str, sha256: str) -> None:
    if sha256 != (expected := data.files[name]):
        rule = f"{path} is not the {name} of {data.title}: SHA-256 of {what} must be {expected[:12]}..."
        raise FilesError(f"{rule}, got {sha256[:12]}...")
