"""How a command ends where it is not left in peace: by a signal, or for want of memory.

A signal becomes an exception, so that what was begun is tidied up, whatever a library makes of it on the way. It is no
KeyboardInterrupt: of one that passed through code that was made from text, as that of a dataclass, Python ends by SIGINT.
"""

from __future__ import annotations

import errno
import functools
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlpbench.base.errors import MachineError, is_out_of_memory, lacks_address_space

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal was closed"}
KEPT = "finished stacks are kept, run the same command again to continue"
# Of a command other than `run`, which keeps nothing of what it has not finished.
AGAIN = "run the same command again"
# An interruption that a library has lost, in a finaliser say, is sent again after so long.
AGAIN_S = 0.05
# With less than this left to it, a process loads numerical libraries that wait for ever or end it.
ADDRESS_SPACE = 1000 * 2**20


class Interruption(BaseException):
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """What has ended a command: the number of a signal, or None; and the name of the command, where it is known."""

    number: int | None = None

    def __init__(self, command: str | None = None) -> None:
        self.command = command

    def received(self, number: int, _frame: object) -> None:
        """Interrupt what is being done."""
        self.number = number
        raise Interruption(number)


@contextmanager
def caught(command: str | None = None) -> Iterator[Signals]:
    """Have signals that end a process interrupt it, those that were not ignored; only the main thread can."""
    signals = Signals(command)
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    hook = sys.unraisablehook

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, Interruption):
            hook(unraisable)
        elif signals.number is not None:
            timer = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signals.number))
            timer.daemon = True
            timer.start()

    before = {n: signal.getsignal(n) for n in ENDING}
    before = {n: handler for n, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        sys.unraisablehook = lost
        for number in before:
            signal.signal(number, signals.received)
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def leave_in_peace() -> None:
    """Ignore further signals: what was begun is being ended."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)


def interruption(signals: Signals) -> tuple[str, int]:
    """Return what to say of a signal, Ctrl-C by default, and the exit status: 128 and its number, as shells have it."""
    sent = signal.Signals(signals.number or signal.SIGINT)
    return f"{WORDS[sent]}; {KEPT if signals.command == 'run' else AGAIN}", 128 + sent


def memory_error(error: BaseException, command: str | None = None) -> MachineError | None:
    """Return what to say of an error of a command that comes from a lack of memory, None of another one."""
    if isinstance(error, MachineError) or not (is_out_of_memory(error) or _failed_at_the_limit(error)):
        return None
    if command != "run":
        return MachineError(f"out of memory; {AGAIN} with more memory: a higher limit (ulimit -v, a container's) helps")
    return MachineError(
        f"out of memory; {KEPT} with more memory: fewer --workers, a smaller grid or train_size, or a higher limit "
        "(ulimit -v, a container's) helps"
    )


def without_torch(error: BaseException) -> MachineError | None:
    """Return what to say where torch was needed and is not installed, None of another error."""
    if not (isinstance(error, ModuleNotFoundError) and error.name == "torch"):
        return None
    from mlpbench.executors.devices import WITHOUT_TORCH

    return MachineError(WITHOUT_TORCH)


def _failed_at_the_limit(error: BaseException) -> bool:
    """Return whether an unexpected error came with nearly all the address space in use that a limit allows."""
    return isinstance(error, (ImportError, SystemError, RuntimeError)) and lacks_address_space(ADDRESS_SPACE // 10)


def with_memory(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that is refused where a limit leaves less memory than the libraries take that it loads."""

    @functools.wraps(callback)
    def checked(*arguments: Any, **options: Any) -> Any:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            # Each thread of theirs takes its share: a thread that cannot be started ends the process, or hangs it.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            if lacks_address_space(ADDRESS_SPACE):
                raise MemoryError(errno.ENOMEM, f"at least {ADDRESS_SPACE >> 20} MiB of address space are needed")
        return callback(*arguments, **options)

    return checked
