"""Named data sets: found or downloaded, checked and cached once; after that a start maps four files and is done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlpbench.base.errors import InputError, MachineError
from mlpbench.data.dataset import Dataset, Say, say_nothing
from mlpbench.data.named import cache, named_files, torchvision_download
from mlpbench.data.named.cache import CachedArrays, DamagedCache
from mlpbench.data.named.named_files import FilesError, NamedFiles, as_distributed

DEBIAN_DATASETS = Path("/usr/share/datasets")
STALLED_AFTER_S = 20
# What stalls is given up sooner.
DOWNLOAD_LIMIT_S = 3600
APT_UPDATE_LIMIT_S = 180
# `-c` is read after the system's configuration: its hooks would refresh other programs' caches or, in containers, empty
# the system's archive folder.
NO_HOOKS = "".join(f"#clear APT::Update::{hook};\n" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"))


@dataclass(frozen=True, kw_only=True)
class NamedData(NamedFiles):
    """A named data set of images and classes, downloaded when it is first needed."""

    def load(self, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Dataset:
        """Return the data set, memory-mapped from the cache, which is filled first where it lacks the data."""
        self.fetch(data_dir=data_dir, cache_dir=cache_dir)
        folder = cache.folder_of(self, cache_dir)
        try:
            cached = cache.read(folder, self)
        except DamagedCache:  # since it was fetched
            cached = None
        if cached is None:
            raise MachineError(f"the cache must keep {self.name} once it is written, got no valid copy in {folder}")
        x_train, y_train, x_test, y_test = (cached.arrays[part] for part in ("x_train", "y_train", "x_test", "y_test"))
        return Dataset(facts=self.facts, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

    def fetch(self, *, data_dir: Path | None = None, cache_dir: Path | None = None, say: Say = say_nothing) -> str:
        """Make sure that the cache has the data set, and return where its bytes came from.

        The first of these that has the data: the user's folder (`data_dir`, else MLPBENCH_DATA); the cache; Debian's
        installed package; a download; Debian's archive. Only Fashion-MNIST is in Debian. Whatever it is, its SHA-256 is
        checked before it is cached. `say` gets a line before each step that may take time.

        Raises InputError where the user's folder lacks a file or has another content: a given folder is never passed over
        in silence. Raises MachineError, with all that was tried, where every way fails.
        """
        folder = cache.folder_of(self, cache_dir)
        variable = os.environ.get("MLPBENCH_DATA")
        if data_dir is not None or variable:
            option = "--data-dir" if data_dir is not None else "MLPBENCH_DATA"
            user_folder = data_dir or Path(variable or "")
            try:
                return self._from_user(user_folder.expanduser(), folder, say)
            except RuntimeError as error:
                raise InputError(f"{option} must be a folder, got {str(user_folder)!r}: {error}") from error
            except FilesError as error:
                raise InputError(
                    f"{option} must be a folder with the files of {self.name}: {error}; "
                    f"needed are {named_files.listed(self.files)}, from {self.home}"
                ) from error
        cached = self._sound_copy(folder)
        return cached.origin if cached is not None else self._download(folder, say)

    def is_cached(self, cache_dir: Path | None = None) -> bool:
        """Return whether the cache has a copy, by types, shapes and sizes; `load` reads its bytes."""
        try:
            return cache.read(cache.folder_of(self, cache_dir), self, compare=False) is not None
        except DamagedCache:
            return False

    def origin(self) -> str:
        """Return the page that has the files."""
        return f"from {self.home}"

    def availability(self) -> str:
        """Return where the files come from, and how much is to download where they are not in the cache."""
        return f"here, {self.origin()}" if self.is_cached() else f"not fetched yet, {self.megabytes} MB {self.origin()}"

    def _from_user(self, user_folder: Path, folder: Path, say: Say) -> str:
        origin = f"folder {user_folder}"
        paths = named_files.find_files(self, user_folder)
        stamps = named_files.stamps(paths)
        cached = self._sound_copy(folder)
        if cached is not None and cached.checked == stamps:
            return origin
        say(f"{self.name}: checking {user_folder}")
        arrays = named_files.read_files(self, paths)
        if cached is None:
            cache.write(folder, self, arrays, origin, stamps)
        else:
            cache.note_checked(folder, self, cached.origin, stamps)
        return origin

    def _sound_copy(self, folder: Path) -> CachedArrays | None:
        """Return what the cache has, None where it has nothing or a damaged copy: that is said, and it is to be replaced."""
        try:
            return cache.read(folder, self)
        except DamagedCache as error:
            print(f"mlpbench: {error}; {self.name} is prepared again", file=sys.stderr)
            return None

    def _download(self, folder: Path, say: Say) -> str:
        tried = ["user's folder: none given", f"cache: no valid copy in {folder}"]
        for download in downloads_of(self):
            origin = download.origin
            say(f"{self.name}: trying {origin}")
            try:
                with tempfile.TemporaryDirectory(prefix="mlpbench-") as private:
                    files = download.folder_of(self, Path(private))
                    arrays = named_files.read_files(self, named_files.find_files(self, files))
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


@dataclass(frozen=True, kw_only=True)
class Download:
    """One way to the data: `folder_of` may write into the private folder it is given, and raises FilesError."""

    origin: str
    folder_of: Callable[[NamedFiles, Path], Path]


def debian_folder(data: NamedFiles, private: Path) -> Path:
    """Return the folder of the installed Debian package."""
    return DEBIAN_DATASETS / data.debian_folder


def from_address(data: NamedFiles, private: Path) -> Path:
    """Download the data set's only file, whose SHA-256 is checked before it has its name, and return the private folder."""
    import pooch  # takes long to import, and only a download needs it

    pooch.get_logger().setLevel("ERROR")
    ((name, sha256),) = data.files.items()
    downloader = pooch.HTTPDownloader(timeout=STALLED_AFTER_S)
    try:
        pooch.retrieve(data.address, f"sha256:{sha256}", fname=name, path=private, downloader=downloader)
    except (OSError, ValueError) as error:  # what requests raises are OSErrors; another checksum is a ValueError
        raise FilesError(" ".join(str(error).split())[:240]) from error
    return private


def from_torchvision(data: NamedFiles, private: Path) -> Path:
    """Return the folder of torchvision's own download, in a process of its own."""
    _run([sys.executable, "-P", torchvision_download.__file__, str(private), data.family], private, DOWNLOAD_LIMIT_S)
    return private


def from_debian(data: NamedFiles, private: Path) -> Path:
    """Return the data set's folder in the Debian package, downloaded by apt."""
    return unpacked(data.debian_package, private) / "usr/share/datasets" / data.debian_folder


def unpacked(package: str, private: Path) -> Path:
    """Download a Debian package, through the system's sources and keys, and return the folder of its files.

    No root is needed. Lists, archives and the package itself stay in the private folder, which must be empty; the system's
    apt state is only read. Raises FilesError, with the reason.
    """
    if shutil.which("apt-get") is None:
        raise FilesError("apt-get is not on this machine")
    for sub in ("lists/partial", "cache/archives/partial"):
        (private / sub).mkdir(parents=True)
    hooks = private / "no-hooks.conf"
    hooks.write_text(NO_HOOKS)
    # As root, apt downloads as another user, who has to reach the folder.
    private.chmod(0o755)
    settings = {
        "Dir::State::Lists": private / "lists",
        "Dir::Cache": private / "cache",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": 0,
        "Acquire::http::Timeout": STALLED_AFTER_S,
        "Acquire::https::Timeout": STALLED_AFTER_S,
    }
    apt = ["apt-get", "-q", f"-c={hooks}", *(f"-o={key}={value}" for key, value in settings.items())]
    complaint = ""
    try:
        _run([*apt, "update"], private, APT_UPDATE_LIMIT_S)
    except FilesError as error:
        # One unreachable source among many fails the update; whether the package is known shows in the next step.
        complaint = f" (update: {error})"
    try:
        _run([*apt, "download", package], private, DOWNLOAD_LIMIT_S)
    except FilesError as error:
        raise FilesError(f"{error}{complaint}") from error
    archives = sorted(private.glob(f"{package}_*.deb"))
    if not archives:
        raise FilesError(f"apt-get download left no {package}_*.deb")
    files = private / "unpacked"
    _run(["dpkg-deb", "-x", str(archives[-1]), str(files)], private, DOWNLOAD_LIMIT_S)
    return files


def downloads_of(data: NamedFiles) -> list[Download]:
    """Return the ways to a data set, in order."""
    if data.address:
        return [Download(origin=f"download from {data.address}", folder_of=from_address)]
    by_torchvision = Download(origin="torchvision download", folder_of=from_torchvision)
    if not data.debian_package:
        return [by_torchvision]
    installed = Download(origin="Debian package", folder_of=debian_folder)
    return [installed, by_torchvision, Download(origin="Debian archive", folder_of=from_debian)]


def _run(command: list[str], folder: Path, limit_s: float) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise FilesError(f"{command[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise FilesError(f"{command[0]} took more than {limit_s:g} s") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        # apt's errors start with `E:`, the cause first; of a traceback the last line says it.
        reasons = [line for line in lines if line.startswith("E:")] or lines[-1:] or [f"exit status {done.returncode}"]
        raise FilesError(reasons[0][:240])
