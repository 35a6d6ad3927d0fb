"""Members of archives, by name and in memory: nothing is unpacked to a path, whatever names an archive has."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from typing import BinaryIO

from mlpbench.data.named import idx

DAMAGES = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class ArchiveError(ValueError):
    """An archive that is damaged or lacks a member; the message says which."""


def members(file: BinaryIO, name: str, wanted: Collection[str]) -> dict[str, bytes]:
    """Return the content of some members of a .zip, ungzipped, or of a .tar.gz.

    Raises ArchiveError where the archive is damaged, or has no file of a name, OSError where it cannot be read.
    """
    try:
        found = (_of_zip if name.endswith(".zip") else _of_tar)(file, wanted)
    except DAMAGES as error:
        raise ArchiveError(f"damaged archive ({error})") from error
    if missing := [member for member in wanted if member not in found]:
        raise ArchiveError(f"an archive must have {', '.join(missing)}")
    return found


def _of_zip(file: BinaryIO, wanted: Collection[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        there = set(archive.namelist())
        return {member: idx.unpacked(archive.read(member)) for member in wanted if member in there}


def _of_tar(file: BinaryIO, wanted: Collection[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=file, mode="r:gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and member.name in wanted else None
            if content is not None:
                found[member.name] = content.read()
    return found
