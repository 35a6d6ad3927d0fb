"""What another machine lacks, taken away from this Linux before anything is loaded: the `sitecustomize` of other_machines.py.

Where a library of others asks, it gets the true answer: torch looks for `.so` files by the name of the system. Only modules of
mlpbench are told of the other machine, but what is deleted is gone for all.

References: the pages "Availability" of Python's os, signal, resource and fcntl; Apple's fcntl(2) and sysconf(3).
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import platform
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

MACHINE = os.environ.get("PRETEND_MACHINE", "")
LOG = os.environ.get("PRETEND_LOG", "")
# Of `os` what Linux has and macOS has not.
OF_LINUX = [
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_setscheduler",
    "sched_getscheduler",
    "sched_setparam",
    "sched_rr_get_interval",
    "posix_fadvise",
    "posix_fallocate",
    "copy_file_range",
    "memfd_create",
    "eventfd",
    "eventfd_read",
    "eventfd_write",
    "pidfd_open",
    "splice",
    "getrandom",
    "fdatasync",
    "getresuid",
    "getresgid",
    "setresuid",
    "setresgid",
    "getxattr",
    "setxattr",
    "listxattr",
    "removexattr",
    "unshare",
    "setns",
    "O_DIRECT",
    "O_TMPFILE",
    "O_PATH",
    "O_NOATIME",
    "O_LARGEFILE",
    "O_RSYNC",
]
SIGNALS = ["SIGRTMIN", "SIGRTMAX", "SIGPOLL", "SIGPWR", "SIGSTKFLT", "SIGCLD", "sigwaitinfo", "sigtimedwait"]
LIMITS = [
    "prlimit",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_OFILE",
]
true_listdir = os.listdir
FULL_SYNC = 51  # F_FULLFSYNC of macOS
OF_POSIX = ("SIGHUP", "SIGKILL", "pthread_sigmask", "pthread_kill")


def delete(owner: Any, names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)


def ours() -> bool:
    """Whether it is a module of mlpbench that asks, two calls up."""
    asking = str(sys._getframe(2).f_globals.get("__name__", ""))
    return asking.split(".")[0] == "mlpbench"


def telling(answer: Any, true: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: answer if ours() else true(*arguments, **options)


def spelt(name: str) -> str:
    """Return a path as its folder lists it, where capitals make no difference."""
    folder, last = os.path.split(name)
    if not last or last.islower() or last.isnumeric():
        return name
    try:
        names = true_listdir(folder or ".")
    except OSError:
        return name
    alike = [other for other in names if other.casefold() == last.casefold()]
    return os.path.join(folder, alike[0]) if alike and last not in alike else name


def hide(prefixes: tuple[str, ...], instead: dict[str, str], *, capitals: bool = True) -> None:
    """Have no path below these prefixes, or another file in its place, and no difference by capitals, whoever asks."""

    def real(path: Any) -> Any:
        try:
            name = os.fsdecode(path) if not isinstance(path, int) else ""
        except TypeError:
            return path
        if name in instead:
            return instead[name]
        if name.startswith(prefixes) and not name.startswith("/proc/self/fd"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return path if capitals or not isinstance(path, str | os.PathLike) else spelt(name)

    def hiding(true: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path=".", *arguments, **options: true(real(path), *arguments, **options)

    opened = hiding(builtins.open)
    builtins.open = io.open = opened
    for name in ("open", "stat", "lstat", "listdir", "scandir", "access", "readlink"):
        setattr(os, name, hiding(getattr(os, name)))


def note(what: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(LOG, os.O_WRONLY | os.O_APPEND)
        os.write(handle, f"{what}\n".encode())
        os.close(handle)


def become_a_mac() -> None:
    delete(os, OF_LINUX)
    delete(signal, SIGNALS)
    delete(resource, LIMITS)
    delete(
        fcntl, [name for name in dir(fcntl) if name.startswith(("F_OFD", "F_SEAL", "F_ADD_SEALS", "F_SETPIPE", "DN_"))]
    )
    for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        supported.clear()
    del os.sysconf_names["SC_AVPHYS_PAGES"]
    true_sysconf = os.sysconf

    def sysconf(name: Any) -> int:
        if name not in os.sysconf_names:
            raise ValueError("unrecognized configuration name")
        return true_sysconf(name)

    os.sysconf = sysconf
    hide(("/proc/", "/sys/"), {}, capitals=False)
    platform.system = telling("Darwin", platform.system)
    platform.machine = telling("arm64", platform.machine)
    platform.processor = telling("arm", platform.processor)
    platform.mac_ver = telling(("14.5", ("", "", ""), "arm64"), platform.mac_ver)
    true_fcntl, true_fsync = fcntl.fcntl, os.fsync

    def with_full_sync(handle: Any, command: int, argument: Any = 0) -> Any:
        if command == FULL_SYNC:
            note("full_sync")
            return true_fsync(handle)
        return true_fcntl(handle, command, argument)

    def fsync(handle: Any) -> None:
        note("fsync" if ours() else "fsync_of_others")
        true_fsync(handle)

    fcntl.F_FULLFSYNC = FULL_SYNC  # type: ignore[attr-defined]
    fcntl.fcntl, os.fsync = with_full_sync, fsync  # type: ignore[assignment]


def become_arm() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    hide(("/proc/driver",), {"/proc/cpuinfo": os.path.join(here, "cpuinfo")})
    platform.machine = telling("aarch64", platform.machine)
    platform.processor = telling("", platform.processor)


def become_windows() -> None:
    """Only what comes before the refusal runs then."""
    for name in ("fcntl", "resource", "posix", "grp", "pwd"):
        sys.modules[name] = None  # type: ignore[assignment]
    delete(os, ["sched_getaffinity", "fork", "getuid", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "sysconf", "uname"])
    delete(signal, OF_POSIX)
    os.name = "nt"


if MACHINE in ("mac", "bare_mac"):
    become_a_mac()
elif MACHINE == "arm":
    become_arm()
elif MACHINE == "windows":
    become_windows()
