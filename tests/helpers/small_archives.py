"""Data sets of the catalogue made small: the same files, members and formats, with other images and so other checksums."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.dataset import Dataset
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.data.named.named_data import NamedData

N_TRAIN, N_TEST = 120, 60
# Of images on their side, rows and columns must differ to be told apart.
SHAPES = {2: (6, 5), 3: (3, 6, 5)}
KINDS = {1: (0x08, "u1"), 4: (0x0C, ">i4")}

Arrays = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Small:
    """A small data set: what is known of it, its files as they are distributed, and what is in them, images upright."""

    source: NamedData
    files: dict[str, bytes]
    arrays: Arrays

    def put(self, folder: Path) -> Path:
        """Write the files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder

    def with_files(self, files: Mapping[str, bytes]) -> Small:
        """Return it with other files, of which the catalogue knows the checksums."""
        return replace(self, files=dict(files), source=replace(self.source, files=checksums(files)))


def checksums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def small(name: str) -> Small:
    """Return the data set of that name with few examples of few pixels."""
    known = CATALOGUE[name]
    shape = SHAPES[len(known.input_shape)]
    arrays = examples(len(known.class_names), shape)
    contents = encoded(known, arrays, shape)
    files = packed(known, contents)
    given = {n: contents[n] if not n.endswith((".gz", ".zip")) else files[n] for n in files}
    source = replace(known, n_train=N_TRAIN, n_test=N_TEST, input_shape=shape, files=checksums(given))
    return Small(source=source, files=files, arrays=arrays)


def in_place(name: str, monkeypatch: pytest.MonkeyPatch, change: Callable[[Small], Small] | None = None) -> Small:
    """Put the small data set, changed perhaps, into the place of the one of that name, and return it."""
    made = change(small(name)) if change else small(name)
    monkeypatch.setitem(DATA_SETS, name, made.source)
    return made


def same(found: Dataset, made: Small) -> bool:
    return all(np.array_equal(getattr(found, part), a.reshape(len(a), -1).squeeze()) for part, a in made.arrays.items())


def examples(classes: int, shape: tuple[int, ...]) -> Arrays:
    """Return bytes around one prototype per class."""
    rng = np.random.default_rng([classes, *shape])
    prototypes = rng.uniform(0, 255, (classes, *shape))
    made: Arrays = {}
    for part, n in (("train", N_TRAIN), ("test", N_TEST)):
        y = rng.permutation(np.arange(n) % classes).astype(np.uint8)
        made[f"x_{part}"] = (prototypes[y] + rng.normal(0, 40, (n, *shape))).clip(0, 255).astype(np.uint8)
        made[f"y_{part}"] = y
    return made


def encoded(known: NamedData, arrays: Arrays, shape: tuple[int, ...]) -> dict[str, bytes]:
    """Return the content of each file or member."""
    if known.name == "cifar10":
        made = {}
        for part in ("train", "test"):
            places = known.parts[f"x_{part}"]
            x, y = (np.array_split(arrays[f"{kind}_{part}"], len(places)) for kind in "xy")
            for where, images, classes in zip(places, x, y, strict=True):
                made[where] = b"".join(bytes([c]) + i.tobytes() for c, i in zip(classes.tolist(), images, strict=True))
        return made
    contents = {}
    for part, (where,) in known.parts.items():
        array: NDArray[Any] = arrays[part]
        if part.startswith("x") and known.sideways:
            array = array.transpose(0, 2, 1)
        if part.startswith("y"):
            array = array + known.first_class
        if where.endswith("idx2-int.gz"):
            # A writer, of more than a byte, and the like stand beside the class.
            rest = np.random.default_rng(0).integers(0, 280_000, (len(array), 7))
            array = np.concatenate([array[:, None], rest], axis=1).astype(">i4")
        contents[where] = as_idx(array)
    return contents


def as_idx(array: NDArray[Any]) -> bytes:
    code, kind = KINDS[array.itemsize]
    return struct.pack(f">I{array.ndim}I", (code << 8) + array.ndim, *array.shape) + array.astype(kind).tobytes()


def packed(known: NamedData, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files, of the contents by file or member."""
    (first, *_) = known.files
    if first.endswith(".zip"):
        return {first: as_zip({name: gzip.compress(content, mtime=0) for name, content in contents.items()})}
    if first.endswith(".tar.gz"):
        return {first: as_tar(contents)}
    return {n: gzip.compress(contents[n], mtime=0) if n.endswith(".gz") else contents[n] for n in known.files}


def as_zip(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def as_tar(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    """Return the members of a zip as they are in it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def untarred(content: bytes) -> dict[str, bytes]:
    """Return the members of a gzipped tar."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


@contextmanager
def served(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve files by name on this machine, and yield the address before the name."""

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            content = files.get(self.path.rpartition("/")[2])
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
