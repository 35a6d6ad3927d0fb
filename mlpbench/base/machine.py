"""What a machine has, asked in the way of its system: processor, cores, memory, and a disk that has what was written.

Linux on x86-64 is where mlpbench is at home. On macOS there is no /proc, no affinity and no count of free pages, and fsync
leaves what was written in the cache of the disk; on ARM the file of the processor has numbers where x86 has a name. Windows
lacks more than that, and is told so at once.

References: Apple, fsync(2), F_FULLFSYNC in fcntl(2); Linux, Documentation/arch/arm64/cpu-feature-registers.rst (MIDR_EL1).
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
MEMORY_INFO = Path("/proc/meminfo")
# A system that does not say how much of its memory is free is taken to have this share of it left.
FREE_SHARE = 0.5
# What is assumed where not even the size of the memory can be found out.
SOME_MEMORY = 4 * 2**30
# How x86-64 calls itself on Linux, macOS and Windows.
X86 = ("x86_64", "amd64")
SYSCTL_LIMIT_S = 10


def cores() -> int:
    """Return how many processor cores this process may use, or, where the system keeps no such list, how many there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def available_memory() -> int:
    """Return the bytes that are free without swapping, as far as the system says; memory that only caches files is free."""
    with suppress(OSError):
        for line in MEMORY_INFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    for name, share in (("SC_AVPHYS_PAGES", 1.0), ("SC_PHYS_PAGES", FREE_SHARE)):
        with suppress(ValueError, OSError):
            if (pages := os.sysconf(name)) > 0:
                return int(os.sysconf("SC_PAGE_SIZE") * pages * share)
    return SOME_MEMORY


def is_x86() -> bool:
    """Return whether the processor is an x86-64, of Intel, AMD or another maker."""
    return platform.machine().lower() in X86


def processor() -> str:
    """Return the name of the processor; on macOS with the release of the system, whose own library does the products."""
    try:
        return _named_in(CPU_INFO.read_text()) or _plainly()
    except OSError:
        pass
    brand, release = _sysctl("machdep.cpu.brand_string"), platform.mac_ver()[0]
    return f"{brand}, macOS {release}" if brand and release else brand or _plainly()


def _named_in(text: str) -> str | None:
    """Return the name in the text of /proc/cpuinfo: its own on x86, maker, part and revision on ARM, where it has none."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    if brand := fields.get("model name"):
        return brand
    # Of cores that differ, as in phones, the parts of all of them.
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)$", text, re.MULTILINE)))
    if maker := fields.get("cpu implementer"):
        revision = f"r{int(fields.get('cpu variant', '0'), 0)}p{fields.get('cpu revision', '0')}"
        return f"{platform.machine()} implementer {maker} part {' and '.join(parts)} {revision}"
    return None


def _plainly() -> str:
    return platform.processor() or platform.machine()


def _sysctl(name: str) -> str | None:
    """Return what the kernel of macOS says of one of its names, None elsewhere."""
    if platform.system() != "Darwin":
        return None
    try:
        done = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, check=True, timeout=SYSCTL_LIMIT_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def sync(handle: int) -> None:
    """Wait until the disk has what was written to an open file or folder; raise OSError where it can't say so.

    On macOS `fsync` hands it to the disk, which may keep it in a cache that a power failure empties: F_FULLFSYNC empties the
    cache, where the file system knows it.
    """
    import fcntl

    whole = getattr(fcntl, "F_FULLFSYNC", None)
    if whole is not None:
        with suppress(OSError):
            fcntl.fcntl(handle, whole)
            return
    os.fsync(handle)
