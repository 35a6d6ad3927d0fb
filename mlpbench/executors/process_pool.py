"""Map the training of stacks over processes.

Each worker has a pipe of its own, whose other end is its alone: however it ends, in the middle of an answer too, the pipe
ends with it. Workers that share a queue, as those of `concurrent.futures` do, share a lock as well: one that is killed while
it writes leaves the others, and who reads, waiting for ever.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.sharedctypes import RawArray
from typing import Any

from mlpbench.base.environment import SAFE_PATH, variables
from mlpbench.base.errors import MachineError, is_out_of_memory, lacks_address_space
from mlpbench.executors.retries import ATTEMPTS, Job, given_up
from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import Setup, StackRows

TICK_SECONDS = 0.2
SECONDS_TO_END = 5
UNSTARTED = "worker processes must be able to start, and they ended at once: what they printed is above"
KILLED = (
    "worker processes must be able to start, and they were killed {n} times while they did (by {by}): if memory was wanting, "
    "fewer --workers or more memory helps; finished stacks are kept, run the same command again to continue"
)
OUT_OF_MEMORY = (
    "out of memory: worker processes could not start; fewer --workers, more memory or a higher limit (ulimit -v, a "
    "container's) helps; finished stacks are kept, run the same command again to continue"
)
# The exit status of a worker that has no memory to start with, and the address space that its libraries take.
NO_MEMORY = 42
ADDRESS_SPACE = 500 * 2**20
# Signals with a handler that raises: in the middle of a start, one would leave a worker without its orders.
HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Who tidies up after processes that are killed says so with a warning, in the middle of what the command says.
QUIET = {"PYTHONWARNINGS": "ignore"}
# Starting workers changes the environment and the signals of the whole process: one pool at a time.
_STARTING = threading.Lock()


class _WorkerEnded(Exception):
    """A worker ended that was not told to."""


class _Worker:
    """A worker process, started, and the job that it has."""

    def __init__(self, shares: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.job: Job | None = None
        # What it is to do comes through the connection: a process that dies while its arguments are written is waited for.
        self.process = context.Process(target=_serve, args=(theirs, shares), daemon=True)
        try:
            self.process.start()
        finally:
            theirs.close()

    def send(self, orders: object) -> None:
        """Hand over orders; raise _WorkerEnded where no one takes them."""
        try:
            self.connection.send(orders)
        except ConnectionError as error:
            raise _WorkerEnded from error

    def take(self, waiting: deque[Job]) -> None:
        """Begin the next of the jobs that wait, if one does; raise _WorkerEnded where no one takes it."""
        self.job = waiting.popleft() if waiting else None
        if self.job is not None:
            self.send((self.job.slot, self.job.stack.runs))

    def answer(self) -> tuple[Job, StackRows]:
        """Return its job and the rows of it; raise _WorkerEnded where it ends before they are whole, and what it raised."""
        job = self.job
        try:
            answer = self.connection.recv()
        except (EOFError, OSError) as error:  # before or in the middle of an answer
            raise _WorkerEnded from error
        if isinstance(answer, Exception):
            raise answer
        assert job is not None, "it has a job"
        assert isinstance(answer, StackRows), "rows are all that it answers with"
        return job, answer

    def end(self, seconds: float) -> None:
        """Wait until it has ended, after SIGTERM; a process that is stopped ends by no other signal than SIGKILL."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.connection.close()


class ProcessPool:
    """Worker processes with `threads` threads each, started by spawning: torch and fork do not go together."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self.setup = setup
        self.workers = workers
        self._started: list[_Worker] = []

    def map(
        self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]
    ) -> Generator[tuple[Stack, StackRows], None, None]:
        """Yield each stack with its rows as it is finished; `tick` is called with each stack's share of the work done so far.

        When a worker is killed, which stack was at fault is not known: each one that had begun is tried again alone, and
        one whose worker is killed then too comes back in parts. Where none had begun, workers are started again.
        """
        shares = RawArray("d", len(stacks))
        left = [Job(stack=stack, slot=i) for i, stack in enumerate(stacks)]
        suspects: list[Job] = []
        starts = 0
        try:
            while left or suspects:
                batch = suspects[:1] or left
                done: set[Job] = set()
                begun: list[Job] = []
                try:
                    for job, rows in self._results(batch, shares, tick):
                        done.add(job)
                        yield job.stack, rows
                except _WorkerEnded as error:
                    begun = [j for j in batch if j not in done and shares[j.slot] > 0]
                    starts = 0 if begun or done else starts + 1
                    if not begun and (why := self._why_not(starts)):
                        raise MachineError(why) from error
                    if not begun:
                        left = [j for j in left if j not in done]
                        continue
                    for job in begun:
                        shares[job.slot] = 0.0
                if suspects:
                    suspects[:1] = again = [part for job in begun for part in job.again()]
                    if begun and not again:
                        yield begun[0].stack, given_up(begun[0].stack)
                else:
                    suspects = begun
                    left = [j for j in left if j not in done and j not in begun]
        finally:
            self._end_workers()

    def _why_not(self, starts: int) -> str | None:
        """Return why workers that did not begin a stack are not started again, None where they are."""
        codes = [code for worker in self._started if (code := worker.process.exitcode) is not None]
        if NO_MEMORY in codes:
            return OUT_OF_MEMORY
        if any(code >= 0 for code in codes):
            return UNSTARTED
        # Those that are left are ended with SIGTERM.
        killers = {signal.Signals(-code).name for code in codes} - {signal.SIGTERM.name} or {signal.SIGTERM.name}
        return KILLED.format(n=starts, by=" and ".join(sorted(killers))) if starts >= ATTEMPTS else None

    def _results(
        self, jobs: Sequence[Job], shares: Any, tick: Callable[[Sequence[float]], None]
    ) -> Iterator[tuple[Job, StackRows]]:
        """Yield each job with its rows; raise _WorkerEnded where a worker ends meanwhile, once all of them have."""
        waiting = deque(jobs)
        for job in jobs:  # parts of a stack have one share
            shares[job.slot] = 0.0
        self._started.clear()
        try:
            quiet = _quiet_start({**variables(self.setup.numerics, self.setup.threads), **SAFE_PATH})
            with _STARTING, quiet, _without_script():
                for _ in range(min(self.workers, len(jobs))):
                    self._started.append(_Worker(shares))
            for worker in self._started:
                worker.send(self.setup)
                worker.take(waiting)
            while busy := [w for w in self._started if w.job is not None]:
                finished: list[tuple[Job, StackRows]] = []
                ended: _WorkerEnded | None = None
                ready = wait([w.connection for w in busy], TICK_SECONDS)
                for worker in (w for w in busy if w.connection in ready):
                    try:
                        finished.append(worker.answer())
                        worker.take(waiting)  # before its rows are stored
                    except _WorkerEnded as error:
                        ended = error
                while finished:
                    job, rows = finished.pop(0)
                    shares[job.slot] = 1.0
                    yield job, rows
                tick(shares)
                if ended is not None:
                    raise ended
        finally:
            self._end_workers()

    def _end_workers(self) -> None:
        for worker in self._started:
            worker.process.terminate()
        until = time.monotonic() + SECONDS_TO_END
        for worker in self._started:
            worker.end(max(0.0, until - time.monotonic()))


def _serve(connection: Connection, shares: Any) -> None:
    """Train what comes through the connection, after the set-up that comes first, until it ends."""
    os.dup2(2, 1)  # what a piece of a plugin prints would stand in the middle of a command's JSON
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Workers are ended by a signal, which would lose what waits to be written.
        sys.stdout.reconfigure(line_buffering=True)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and lacks_address_space(ADDRESS_SPACE):
        os._exit(NO_MEMORY)  # some libraries would wait for ever
    try:
        # Imported in the worker: the parent never loads torch.
        from mlpbench.training import worker

        if (setup := _received(connection)) is None:
            return
        worker.start(setup, shares)
    except Exception as error:
        if is_out_of_memory(error):
            os._exit(NO_MEMORY)
        raise
    while (orders := _received(connection)) is not None:
        try:
            answer: object = worker.work(*orders)
        except Exception as error:
            answer = _carried(error)
        connection.send(answer)


def _received(connection: Connection) -> Any:
    """Return the next orders, None where none come any more."""
    try:
        return connection.recv()
    except EOFError:
        return None


def _carried(error: Exception) -> Exception:
    """Return an error as it may be handed over, with where it was raised; not all can be pickled, and read again."""
    error.add_note(traceback.format_exc())
    try:
        again = ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:
        again = None
    return error if isinstance(again, Exception) else RuntimeError(traceback.format_exc())


@contextmanager
def _quiet_start(environment: Mapping[str, str | None]) -> Iterator[None]:
    """Start workers with their environment set before any library is loaded, and deaf to Ctrl-C.

    Ctrl-C reaches the whole group of processes, and this one decides what becomes of the workers. The signal is held back,
    not ignored: workers inherit that for good, here it arrives at the end of this block. Blocking it is not enough here: it
    would reach another thread, of a numerical library say, and interrupt this one all the same. Other signals that have a
    handler here are held back too, and end workers.
    """
    _start_resource_tracker()  # which ends by letting the signal through: not in the middle of a start
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Only the main thread may set handlers, and only there is an interrupt raised.
    main = threading.current_thread() is threading.main_thread()
    sent: list[int] = []
    handled = [n for n in HELD_BACK if main and (n == signal.SIGINT or callable(signal.getsignal(n)))]
    handlers = {n: signal.signal(n, lambda number, frame: sent.append(number)) for n in handled}
    try:
        with _variables(environment):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if sent:
            signal.raise_signal(sent[0])


@contextmanager
def _without_script() -> Iterator[None]:
    """Start workers that do not run the script of this process again: they need nothing of it.

    Spawning imports the main module by its file, so a script without `if __name__ == "__main__":` would start workers in every
    worker, and one from standard input has no file. What spawning reads of that module is hidden meanwhile.
    """
    script = sys.modules["__main__"]
    hidden: dict[str, Any] = {n: vars(script)[n] for n in ("__file__", "__spec__") if n in vars(script)}
    vars(script).pop("__file__", None)
    script.__spec__ = None
    try:
        yield
    finally:
        del script.__spec__
        vars(script).update(hidden)


def _start_resource_tracker() -> None:
    """Start the process that tidies up after workers, deaf to a terminal that closes.

    It ignores Ctrl-C and SIGTERM by itself. SIGHUP reaches the whole group of processes too, and would end it before the
    workers have ended: a process keeps the signals that were blocked where it was started.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        with _variables({**SAFE_PATH, **QUIET}):
            resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _variables(environment: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of the environment, or remove those that are None, for what is started meanwhile."""
    before = {name: os.environ.get(name) for name in environment}
    _set(environment)
    try:
        yield
    finally:
        _set(before)


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
