"""Where a named data set can be had without the user: each way gives a folder of its files or says why not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlpbench.data.named import torchvision_download as torchvision_compat
from mlpbench.data.named.named_files import NamedFiles
from mlpbench.data.named.user_folder import SourceError

DEBIAN_DATASETS = Path("/usr/share/datasets")
# Of 562 MB; what stalls is given up sooner, see torchvision_compat.
DOWNLOAD_LIMIT_S = 3600
APT_UPDATE_LIMIT_S = 180

# `-c` is read after the system's configuration: its hooks would refresh other programs' caches or, in containers, empty
# the system's archive folder.
NO_HOOKS = "".join(f"#clear APT::Update::{hook};\n" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"))


@dataclass(frozen=True, kw_only=True)
class Debian:
    """What Debian calls a data set: its package, and the folder under /usr/share/datasets."""

    package: str
    folder: str


DEBIAN = {"fashion_mnist": Debian(package="dataset-fashion-mnist", folder="fashion-mnist")}

# Address and MD5, by family, of archives that torchvision's class would unpack whole (EMNIST, to 2 GB) or that it does not
# have (of CIFAR-10 it takes the pickles).
ARCHIVES = {
    "EMNIST": ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e"),
    "CIFAR10": ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One way to the data: `get` may write into the private folder it is given, and raises SourceError."""

    origin: str
    get: Callable[[NamedFiles, Path], Path]
    of_debian: bool = False


def debian_folder(data: NamedFiles, _private: Path) -> Path:
    """The folder of the installed Debian package."""
    return DEBIAN_DATASETS / DEBIAN[data.name].folder


def torchvision_download(data: NamedFiles, private: Path) -> Path:
    """The folder of torchvision's own download, in a process of its own."""
    program = [sys.executable, "-P", torchvision_compat.__file__, str(private)]
    _run([*program, *ARCHIVES.get(data.family, (data.family,))], private, DOWNLOAD_LIMIT_S)
    return private


def debian_archive(data: NamedFiles, private: Path) -> Path:
    """The folder in the unpacked Debian package, through the system's sources and keys, without root."""
    names = DEBIAN[data.name]
    return unpacked(names.package, private) / "usr/share/datasets" / names.folder


def unpacked(package: str, private: Path) -> Path:
    """Download a Debian package without root and return the folder of its files; raise SourceError saying why not.

    Lists, archives and the package itself stay in the private folder, which must be empty; the system's apt state is only
    read.
    """
    if shutil.which("apt-get") is None:
        raise SourceError("apt-get is not on this machine")
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
        "Acquire::http::Timeout": 20,
        "Acquire::https::Timeout": 20,
    }
    apt = ["apt-get", "-q", f"-c={hooks}", *(f"-o={key}={value}" for key, value in settings.items())]
    complaint = ""
    try:
        _run([*apt, "update"], private, APT_UPDATE_LIMIT_S)
    except SourceError as error:
        # One unreachable source among many fails the update; whether the package is known shows in the next step.
        complaint = f" (update: {error})"
    try:
        _run([*apt, "download", package], private, DOWNLOAD_LIMIT_S)
    except SourceError as error:
        raise SourceError(f"{error}{complaint}") from error
    archives = sorted(private.glob(f"{package}_*.deb"))
    if not archives:
        raise SourceError(f"apt-get download left no {package}_*.deb")
    files = private / "unpacked"
    _run(["dpkg-deb", "-x", str(archives[-1]), str(files)], private, DOWNLOAD_LIMIT_S)
    return files


SOURCES = (
    Source(origin="Debian package", get=debian_folder, of_debian=True),
    Source(origin="torchvision download", get=torchvision_download),
    Source(origin="Debian archive", get=debian_archive, of_debian=True),
)


def sources_of(data: NamedFiles) -> list[Source]:
    """The ways to a data set, in order."""
    return [source for source in SOURCES if not source.of_debian or data.name in DEBIAN]


def _run(command: list[str], folder: Path, limit_s: float) -> None:
    quiet = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=quiet,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise SourceError(f"{command[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{command[0]} took more than {limit_s:g} s") from error
    if done.returncode != 0:
        raise SourceError(_reason(done.stdout.decode(errors="replace")) or f"exit status {done.returncode}")


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # apt's errors start with `E:`, the cause first; of a traceback the last line says it.
    errors = [line for line in lines if line.startswith("E:")] or lines[-1:]
    return errors[0][:240] if errors else ""
