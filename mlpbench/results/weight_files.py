"""Files of weights in a results folder: one safetensors file for each finished run of an experiment with `save_weights`.

`DIR/weights/RUN-CHECKSUM.safetensors`: the name has a checksum of the file, its metadata the run and the digest of its
weights. A file is written before the rows of its run, so that every run that is done has one.

Reference: the safetensors format: 8 bytes of length, a header in JSON, the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.base.files import LENGTH_BYTES, MOST_WEIGHTS, read_metadata, read_regular, refused, sealed, write_whole
from mlpbench.results.seal import release_parts

FOLDER = "weights"
SUFFIX = ".safetensors"
_NAME = re.compile(rf"([0-9a-f]{{16}})-[0-9a-f]{{16}}{re.escape(SUFFIX)}")
# No header of ours is near this; a file that claims more is not one of ours.
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
        return "is not a regular file"
    named = _NAME.fullmatch(path.name)
    assert named is not None, "files() lists no others"
    if sealed(named[1], read_regular(path, MOST_WEIGHTS), SUFFIX) != path.name:
        return "is damaged: its bytes are not those that were written"
    return None


def metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a file; raise InputError where it is not one of our files of weights."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            return read_metadata(file.read(length) if length <= _MOST_HEADER else b"", path)
    except OSError as error:
        raise InputError(f"{path}: a file of weights must be readable, got '{error.strerror}'") from None


def by_run(folder: Path) -> dict[str, set[Path]]:
    """Return the files of weights that a results folder has of each run."""
    found: dict[str, set[Path]] = {}
    for path in files(folder):
        found.setdefault(path.name[:16], set()).add(path)
    return found


def tidy(folder: Path, digests: Mapping[str, str | None], of_runs: Mapping[str, set[Path]]) -> None:
    """Remove files of these runs with other weights than their rows have now; raise MachineError where the disk refuses.

    `of_runs` has the files of the folder, as `by_run` returns them, and loses those that are removed.
    """
    for run_id, digest in digests.items():
        for path in sorted(of_runs.get(run_id, ())):
            if metadata(path)["weights_sha256"] != digest:
                release_parts(folder)
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise refused(path, error) from error
                of_runs[run_id].discard(path)


def copy(
    sources: Sequence[Mapping[str, Mapping[str, Path]]], digests: Iterable[tuple[str, str | None]], to: Path
) -> None:
    """Copy the weights of runs, given with their digests, from the first of several folders that has them.

    `sources` are the folders' files, as `Store.weights` returns them. Raises MachineError where the disk refuses.
    """
    for run_id, digest in digests:
        paths = [files[run_id][digest] for files in sources if digest is not None and digest in files.get(run_id, ())]
        if paths:
            write(to, run_id, paths[0].read_bytes())
