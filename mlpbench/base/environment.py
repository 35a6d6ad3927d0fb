"""What made a result: versions, commit, processor. No host or user name, and never fatal."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

VERSION = "0.1.0"
CPU_INFO = Path("/proc/cpuinfo")
GPU_DRIVER = Path("/proc/driver/nvidia/version")


def version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def environment() -> dict[str, Any]:
    """Return the `env_*` columns that hold for the whole process; what cannot be found out is None."""
    commit, dirty = _commit()
    return {
        "env_python": platform.python_version(),
        "env_torch": version("torch"),
        "env_numpy": version("numpy"),
        "env_mlpbench": version("mlpbench"),
        "env_commit": commit,
        "env_dirty": dirty,
        "env_cpu": cpu(),
    }


def gpu_driver() -> str | None:
    """Return the version of the GPU driver, or None."""
    try:
        words = GPU_DRIVER.read_text().partition("Kernel Module")[2].split()
    except OSError:
        return None
    return next((word for word in words if word[:1].isdigit()), None)


def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of the source tree the package is run from, and whether the package differs from it."""
    tree = Path(__file__).resolve().parents[2]
    if not (tree / ".git").exists():
        return None, None
    commit = _git(tree, "rev-parse", "HEAD")
    status = _git(tree, "status", "--porcelain", "--", "mlpbench")
    return commit, None if status is None else bool(status)


def _git(tree: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(tree), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def cpu() -> str:
    """Return the name of the processor."""
    try:
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
