"""Named data sets: found, checked and cached once; after that a start maps four files and is done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlpbench.base.errors import InputError, MachineError
from mlpbench.data.dataset import Dataset, DataSource
from mlpbench.data.named import cache, checked_files
from mlpbench.data.named.checked_files import FilesError
from mlpbench.data.named.downloads import downloads_of
from mlpbench.data.named.named_files import NamedFiles, as_distributed


@dataclass(frozen=True, kw_only=True)
class NamedData(NamedFiles, DataSource):
    """A named data set of images and classes, downloaded when it is first needed."""

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the data set, memory-mapped from the cache, which is filled first where it lacks the data."""
        self.fetch(data_dir=data_dir, cache_dir=cache_dir)
        folder = cache.folder_of(self, cache_dir)
        cached = cache.read(folder, self)
        if cached is None:
            raise MachineError(f"the cache must keep {self.name} once it is written, got no valid copy in {folder}")
        return Dataset(facts=self.facts, **cached.arrays)

    def fetch(
        self,
        *,
        data_dir: Path | None = None,
        cache_dir: Path | None = None,
        say: Callable[[str], None] | None = None,
    ) -> str:
        """Make sure that the cache has the data set, and return where its bytes came from.

        The first of these that has the data: the user's folder (`data_dir`, else MLPBENCH_DATA); the cache; Debian's
        installed package; a download; Debian's archive. Only Fashion-MNIST is in Debian. Whatever it is, its SHA-256 is
        checked before it is cached. `say` gets a line before each step that may take time.

        Raises InputError where the user's folder lacks a file or has another content: a given folder is never passed over
        in silence. Raises MachineError, with all that was tried, where every way fails.
        """
        folder = cache.folder_of(self, cache_dir)
        tell = say or (lambda _line: None)
        variable = os.environ.get("MLPBENCH_DATA")
        if data_dir is not None or variable:
            option, given = (
                ("--data-dir", data_dir) if data_dir is not None else ("MLPBENCH_DATA", Path(variable or ""))
            )
            try:
                return self._from_user(given.expanduser(), folder, tell)
            except RuntimeError as error:
                raise InputError(f"{option} must be a folder, got {str(given)!r}: {error}") from error
            except FilesError as error:
                raise InputError(
                    f"{option} must be a folder with the files of {self.name}: {error}; "
                    f"needed are {checked_files.listed(self.files)}, from {self.home}"
                ) from error
        cached = cache.read(folder, self)
        return cached.origin if cached is not None else self._download(folder, tell)

    def is_cached(self, cache_dir: Path | None = None) -> bool:
        """Return whether the cache has a whole copy."""
        return cache.read(cache.folder_of(self, cache_dir), self) is not None

    def origin(self) -> str:
        """Return the page that has the files."""
        return f"from {self.home}"

    def availability(self) -> str:
        """Return where the files come from, and how much is to download where they are not in the cache."""
        return f"here, {self.origin()}" if self.is_cached() else f"not fetched yet, {self.megabytes} MB {self.origin()}"

    def _from_user(self, given: Path, folder: Path, tell: Callable[[str], None]) -> str:
        origin = f"folder {given}"
        paths = checked_files.find(self, given)
        stamps = checked_files.stamps(paths)
        cached = cache.read(folder, self)
        if cached is not None and cached.checked == stamps:
            return origin
        tell(f"{self.name}: checking {given}")
        arrays = checked_files.read(self, paths)
        if cached is None:
            cache.write(folder, self, arrays, origin, stamps)
        else:
            cache.note_checked(folder, self, cached.origin, stamps)
        return origin

    def _download(self, folder: Path, tell: Callable[[str], None]) -> str:
        tried = ["user's folder: none given", f"cache: no valid copy in {folder}"]
        for download in downloads_of(self):
            origin = download.origin
            tell(f"{self.name}: trying {origin}")
            try:
                with tempfile.TemporaryDirectory(prefix="mlpbench-") as private:
                    files = download.folder_of(self, Path(private))
                    arrays = checked_files.read(self, checked_files.find(self, files))
            except FilesError as error:
                tried.append(f"{origin}: {error}")
            except OSError as error:
                tried.append(f"{origin}: temporary folder: {error.strerror}")
            else:
                cache.write(folder, self, arrays, origin, {})
                return origin
        names = ", ".join(file if as_distributed(file) else f"{file}.gz" for file in self.files)
        or_install = f", or install Debian's package {self.debian_package}" if self.debian_package else ""
        raise MachineError(
            f"{self.name} could not be had; tried were:\n"
            + "".join(f"  {line}\n" for line in tried)
            + f"Download {names} from {self.home} into a folder and give it by --data-dir or MLPBENCH_DATA{or_install}."
        )
