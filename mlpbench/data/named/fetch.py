"""Named data sets: resolve, check and cache them once; after that a start maps four files and is done."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mlpbench.base.errors import InputError, MachineError
from mlpbench.data.bundled.bundled_data import BUNDLED
from mlpbench.data.dataset import Dataset
from mlpbench.data.named import cache, user_folder
from mlpbench.data.named.catalogue import lookup
from mlpbench.data.named.named_data import NamedData, as_distributed
from mlpbench.data.named.sources import DEBIAN, sources_of
from mlpbench.data.named.user_folder import SourceError


def load(name: str, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
    """The named data set, memory-mapped from the cache, which is filled first where it lacks the data.

    Raises what `fetch` raises.
    """
    data = lookup(name)
    fetch(name, data_dir=data_dir, cache_dir=cache_dir)
    folder = cache.folder_of(data, cache_dir)
    held = cache.read(folder, data)
    if held is None:
        raise MachineError(f"the cache must keep {name} once it is written, got no valid copy in {folder}")
    return Dataset(facts=data, **held.arrays)


def fetch(
    name: str,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Make sure that the cache holds the named data set, and return where its bytes came from.

    The first of these that has the data: the user's folder (`data_dir`, else MLPBENCH_DATA); the cache; Debian's
    installed package; torchvision's download; Debian's archive, of which Debian's have Fashion-MNIST alone. Every source is
    checked by SHA-256 before it is cached. `say` gets a line before each step that may take time.

    Raises InputError where the name is unknown, or where the user's folder lacks a file or holds another content: a
    given folder is never passed over in silence. Raises MachineError, with all that was tried, where every way fails.
    """
    data = lookup(name)
    folder = cache.folder_of(data, cache_dir)
    tell = say or (lambda _line: None)
    given = data_dir or (Path(os.environ["MLPBENCH_DATA"]) if os.environ.get("MLPBENCH_DATA") else None)
    if given is not None:
        rule = "--data-dir" if data_dir else "MLPBENCH_DATA"
        try:
            return _from_user(data, given.expanduser(), folder, tell)
        except RuntimeError as error:
            raise InputError(f"{rule} must be a folder, got {str(given)!r}: {error}") from error
        except SourceError as error:
            raise InputError(
                f"{rule} must be a folder with the files of {name}: {error}; "
                f"needed are {user_folder.listed(data.files)}, from {data.home}"
            ) from error
    held = cache.read(folder, data)
    return held.origin if held is not None else _from_sources(data, folder, tell)


def cached(name: str, cache_dir: Path | None = None) -> bool:
    """Whether the named data set can be had at once, from the package or from a whole copy in the cache.

    Raises InputError where the name is unknown.
    """
    if name in BUNDLED:
        return True
    data = lookup(name)
    return cache.read(cache.folder_of(data, cache_dir), data) is not None


def _from_user(data: NamedData, given: Path, folder: Path, tell: Callable[[str], None]) -> str:
    origin = f"folder {given}"
    files = user_folder.find(data, given)
    stamps = user_folder.stamps(files)
    held = cache.read(folder, data)
    if held is not None and held.checked == stamps:
        return origin
    tell(f"{data.name}: checking {given}")
    arrays = user_folder.read(data, files)
    if held is None:
        cache.write(folder, data, arrays, origin, stamps)
    else:
        cache.note_checked(folder, data, held.origin, stamps)
    return origin


def _from_sources(data: NamedData, folder: Path, tell: Callable[[str], None]) -> str:
    tried = ["user's folder: none given", f"cache: no valid copy in {folder}"]
    for source in sources_of(data):
        tell(f"{data.name}: trying {source.origin}")
        try:
            with tempfile.TemporaryDirectory(prefix="mlpbench-") as private:
                arrays = user_folder.read(data, user_folder.find(data, source.get(data, Path(private))))
        except SourceError as error:
            tried.append(f"{source.origin}: {error}")
        except OSError as error:
            tried.append(f"{source.origin}: temporary folder: {error.strerror}")
        else:
            cache.write(folder, data, arrays, source.origin, {})
            return source.origin
    files = ", ".join(file if as_distributed(file) else f"{file}.gz" for file in data.files)
    or_install = f", or install Debian's package {DEBIAN[data.name].package}" if data.name in DEBIAN else ""
    raise MachineError(
        f"{data.name} must come from one of these, got nothing from any:\n"
        + "".join(f"  {line}\n" for line in tried)
        + f"Download {files} from {data.home} into a folder and give it by --data-dir or MLPBENCH_DATA{or_install}."
    )
