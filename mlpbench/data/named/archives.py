"""Members of archives, by name and in memory: nothing is unpacked to a path, whatever names an archive has."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from typing import BinaryIO

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


def unzipped(content: bytes) -> bytes:
    """Return the content, ungzipped where it is gzipped; raise ArchiveError where the compressed stream is damaged."""
    # The content decides, not the name: browsers unpack a .gz on the way and keep its name.
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ArchiveError(f"damaged gzip stream ({error})") from error


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
