"""Files of weights in a results folder: one safetensors file for each finished run of an experiment with `save_weights`.

`DIR/weights/RUN-CHECKSUM.safetensors`: the name says what bytes the file has, its metadata which run it is of and which
digest of weights. A file is written before the rows of its run, so that a run that is done has one.

Reference: the safetensors format: 8 bytes of length, a header in JSON, the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.base.atomic_files import refused, sealed, write_whole
from mlpbench.base.errors import InputError
from mlpbench.base.safetensors_header import _LENGTH, told

if TYPE_CHECKING:
    from mlpbench.results.store import Store

FOLDER = "weights"
SUFFIX = ".safetensors"
_NAME = re.compile(rf"([0-9a-f]{{16}})-[0-9a-f]{{16}}{re.escape(SUFFIX)}")
# No header of ours is near this; a file that claims more is no file of weights.
_MOST_HEADER = 16 * 2**20


def files(folder: Path) -> list[Path]:
    """Return the files of weights that a results folder has, in the order of their names."""
    return sorted(p for p in (folder / FOLDER).glob(f"*{SUFFIX}") if _NAME.fullmatch(p.name))


def write(folder: Path, run_id: str, content: bytes) -> Path:
    """Write the weights of a run, whole or not at all; raise MachineError where the disk refuses."""
    path = folder / FOLDER / sealed(run_id, content, SUFFIX)
    write_whole(path, content)
    return path


def damage(path: Path) -> str | None:
    """Return what is wrong with a file of weights, or None; raise FileNotFoundError where it is gone."""
    if not path.is_file():
        path.lstat()
        return "is no regular file"
    named = _NAME.fullmatch(path.name)
    assert named is not None, "files() lists no others"
    if sealed(named[1], path.read_bytes(), SUFFIX) != path.name:
        return "is damaged: its bytes are not those that were written"
    return None


def metadata(path: Path) -> dict[str, str]:
    """Return what a file says of itself; raise InputError where it is no file of weights of ours."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "little")
            return told(file.read(length) if length <= _MOST_HEADER else b"", path)
    except OSError as error:
        raise InputError(f"a file of weights must be readable, got '{error.strerror}' for {path}") from None






def tidy(folder: Path, digests: Mapping[str, str | None]) -> None:
    """Remove files of these runs that are not of the weights their rows have now; raise MachineError."""
    for path in files(folder):
        run_id = path.name[:16]
        if run_id in digests and metadata(path)["weights_sha256"] != digests[run_id]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise refused(path, error) from error


def copy(stores: Sequence[Store], digests: Iterable[tuple[str, str | None]], to: Path) -> int:
    """Copy the weights of runs, given with their digests, from the first of several folders that has them.

    Returns how many were copied; raises MachineError where the disk refuses.
    """
    held = [store.weights() for store in stores]
    copied = 0
    for run_id, digest in digests:
        path = next((h[run_id][digest] for h in held if digest is not None and digest in h.get(run_id, ())), None)
        if path is not None:
            write(to, run_id, path.read_bytes())
            copied += 1
    return copied
