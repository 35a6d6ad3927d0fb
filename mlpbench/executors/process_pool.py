"""Map the training of stacks over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.sharedctypes import RawArray
from typing import Any

from mlpbench.base.environment import SAFE_PATH, variables
from mlpbench.base.errors import MachineError
from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import Setup, StackRows

TICK_SECONDS = 0.2
# A run whose worker is killed this often when it is trained alone or in ever smaller parts (out of memory, say) is given up.
ATTEMPTS = 3
UNSTARTED = (
    "worker processes must be able to start, and they ended at once: what they printed is above; a script that calls "
    'mlpbench.run must be a file, and the call must stand under `if __name__ == "__main__":`'
)
# Starting workers changes the environment and the signals of the whole process: one pool at a time.
_STARTING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A stack to train, or what is left of one; `slot` is the place of its share in the list of shares."""

    stack: Stack
    slot: int
    kills: int = 0

    def again(self) -> list[_Job]:
        """Return what to try after the worker that trained this alone was killed: each half, as memory may have run out.

        A single run is tried again as it is, and is given up, an empty list, when that was no use either.
        """
        kills, runs = self.kills + 1, self.stack.runs
        if kills >= ATTEMPTS:
            return []
        middle = (len(runs) + 1) // 2
        parts = [part for part in (runs[:middle], runs[middle:]) if part]
        return [_Job(stack=replace(self.stack, runs=part), slot=self.slot, kills=kills) for part in parts]


class ProcessPool:
    """Worker processes with `threads` threads each, started by spawning: torch and fork do not go together."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self.setup = setup
        self.workers = workers
        self._started: set[Any] = set()

    def map(
        self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]
    ) -> Generator[tuple[Stack, StackRows], None, None]:
        """Yield each stack with its rows as it is finished; `tick` is called with each stack's share of the work done so far.

        When a worker is killed, which stack was at fault is not known: each one that had begun is tried again alone, and
        one whose worker is killed then too comes back in parts.
        """
        shares = RawArray("d", len(stacks))
        left = [_Job(stack=stack, slot=i) for i, stack in enumerate(stacks)]
        suspects: list[_Job] = []
        try:
            while left or suspects:
                batch = suspects[:1] or left
                done: list[_Job] = []
                begun: list[_Job] = []
                try:
                    for job, rows in self._results(batch, shares, tick):
                        done.append(job)
                        yield job.stack, rows
                except BrokenProcessPool as error:
                    begun = [j for j in batch if j not in done and shares[j.slot] > 0]
                    if not begun:
                        raise MachineError(UNSTARTED) from error
                    for job in begun:
                        shares[job.slot] = 0.0
                if suspects:
                    suspects[:1] = again = [part for job in begun for part in job.again()]
                    if begun and not again:
                        yield begun[0].stack, _given_up(begun[0].stack)
                else:
                    suspects = begun
                    left = [j for j in left if j not in done and j not in begun]
        finally:
            self._end_workers()

    def _results(
        self, jobs: Sequence[_Job], shares: Any, tick: Callable[[Sequence[float]], None]
    ) -> Iterator[tuple[_Job, StackRows]]:
        context = multiprocessing.get_context("spawn")
        workers = min(self.workers, len(jobs))
        with _STARTING, _variables(SAFE_PATH):
            resource_tracker.ensure_running()  # else the locks of the pool start it, with the user's environment
        with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(self.setup, shares)) as pool:
            try:
                with _STARTING, _quiet_start({**variables(self.setup.numerics, self.setup.threads), **SAFE_PATH}):
                    others = set(multiprocessing.active_children())
                    futures = {pool.submit(_work, j.slot, j.stack.runs): j for j in jobs}
                    self._started |= set(multiprocessing.active_children()) - others
                pending: set[Future[StackRows]] = set(futures)
                while pending:
                    finished, pending = wait(pending, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in finished:
                        job = futures.pop(future)  # a future holds its rows, weights too, as long as it is held
                        rows = future.result()
                        shares[job.slot] = 1.0
                        yield job, rows
                    tick(list(shares))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._end_workers()
                raise

    def _end_workers(self) -> None:
        for process in self._started:
            process.terminate()


def _start(setup: Setup, shares: Any) -> None:
    # Imported in the worker: the parent never loads torch.
    from mlpbench.training import worker

    worker.start(setup, shares)


def _work(index: int, runs: Sequence[Any]) -> StackRows:
    from mlpbench.training import worker

    return worker.work(index, runs)


@contextmanager
def _quiet_start(environment: Mapping[str, str | None]) -> Iterator[None]:
    """Start workers with their environment set before any library is loaded, and deaf to Ctrl-C.

    Ctrl-C reaches the whole group of processes, and this one decides what becomes of the workers. The signal is held back,
    not ignored: workers inherit that for good, here it arrives at the end of this block. Blocking it is not enough here: it
    would reach another thread, of a numerical library say, and interrupt this one all the same.
    """
    resource_tracker.ensure_running()  # which ends by letting the signal through: not in the middle of a start
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Only the main thread may set handlers, and only there is an interrupt raised.
    main = threading.current_thread() is threading.main_thread()
    pressed: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number)) if main else None
    try:
        with _variables(environment):
            yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if pressed:
            signal.raise_signal(signal.SIGINT)


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


def _given_up(stack: Stack) -> StackRows:
    error = f"the worker was killed {ATTEMPTS} times (out of memory?)"
    rows = [{"run_id": r.run_id, "status": "failed", "error": error} for r in stack.runs]
    return StackRows(runs=rows)
