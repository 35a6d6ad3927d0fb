"""Where a named data set can be had without the user: each way gives a folder of its files or says why not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlpbench.data.named import torchvision_download
from mlpbench.data.named.checked_files import FilesError
from mlpbench.data.named.named_files import NamedFiles

DEBIAN_DATASETS = Path("/usr/share/datasets")
STALLED_AFTER_S = 20
# What stalls is given up sooner.
DOWNLOAD_LIMIT_S = 3600
APT_UPDATE_LIMIT_S = 180

# `-c` is read after the system's configuration: its hooks would refresh other programs' caches or, in containers, empty
# the system's archive folder.
NO_HOOKS = "".join(f"#clear APT::Update::{hook};\n" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"))


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
