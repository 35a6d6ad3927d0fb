"""Map the training of stacks over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.sharedctypes import RawArray
from typing import Any

from mlpbench.errors import MachineError
from mlpbench.experiment.plan import Stack
from mlpbench.training.setup import Setup

TICK_SECONDS = 0.2
# A stack whose worker is killed this often (out of memory, say) is given up: its runs are recorded as failed.
ATTEMPTS = 3
UNSTARTED = (
    "worker processes must be able to start, and they ended at once: what they printed is above; a script that calls "
    'mlpbench.run must be a file, and the call must stand under `if __name__ == "__main__":`'
)
# Starting workers changes the environment and the signals of the whole process: one pool at a time.
_STARTING = threading.Lock()

Tables = dict[str, list[dict[str, Any]]]


class ProcessPool:
    """Worker processes with `threads` threads each, started by spawning: torch and fork do not go together."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self.setup = setup
        self.workers = workers

    def map(self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]) -> Iterator[tuple[Stack, Tables]]:
        """Yield each stack with its rows as it is finished; `tick` is told each stack's share of the work done so far."""
        context = multiprocessing.get_context("spawn")
        shares = RawArray("d", len(stacks))
        attempts = dict.fromkeys(range(len(stacks)), 0)
        left = list(range(len(stacks)))
        self._started: set[Any] = set()
        try:
            while left:
                done: set[int] = set()
                pool = ProcessPoolExecutor(
                    min(self.workers, len(left)), context, initializer=_start, initargs=(self.setup, shares)
                )
                try:
                    for index, tables in self._results(pool, stacks, left, shares, tick):
                        done.add(index)
                        yield stacks[index], tables
                except BrokenProcessPool as error:
                    pool.shutdown(wait=False, cancel_futures=True)
                    # Which worker died is not known: any of the stacks that had begun may have been at fault.
                    begun = [i for i in left if i not in done and shares[i] > 0]
                    if not begun:
                        raise MachineError(UNSTARTED) from error
                    for index in begun:
                        attempts[index] += 1
                        shares[index] = 0.0
                        if attempts[index] == ATTEMPTS:
                            done.add(index)
                            yield stacks[index], _given_up(stacks[index])
                else:
                    pool.shutdown()
                left = [i for i in left if i not in done]
        finally:
            for process in self._started:
                process.terminate()

    def _results(
        self,
        pool: ProcessPoolExecutor,
        stacks: Sequence[Stack],
        left: Sequence[int],
        shares: Any,
        tick: Callable[[Sequence[float]], None],
    ) -> Iterator[tuple[int, Tables]]:
        with _STARTING, _quiet_start(self.setup.threads):
            others = set(multiprocessing.active_children())
            futures: dict[Future[Tables], int] = {pool.submit(_work, i, stacks[i].runs): i for i in left}
            self._started |= set(multiprocessing.active_children()) - others
        pending = set(futures)
        while pending:
            finished, pending = wait(pending, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                tables = future.result()
                shares[futures[future]] = 1.0
                yield futures[future], tables
            tick(list(shares))


def _start(setup: Setup, shares: Any) -> None:
    # Imported in the worker: the parent never loads torch.
    from mlpbench.training import worker

    worker.start(setup, shares)


def _work(index: int, runs: Sequence[Any]) -> Tables:
    from mlpbench.training import worker

    return worker.work(index, runs)


@contextmanager
def _quiet_start(threads: int) -> Iterator[None]:
    """Start workers with their thread count set before any library is loaded, and deaf to Ctrl-C.

    The signal is held back, not ignored: workers inherit that for good, here it arrives at the end of this block.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    resource_tracker.ensure_running()  # which ends by letting the signal through: not in the middle of a start
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _given_up(stack: Stack) -> Tables:
    error = f"the worker was killed {ATTEMPTS} times (out of memory?)"
    rows = [{"run_id": r.run_id, "status": "failed", "error": error} for r in stack.runs]
    return {"runs": rows, "curves": [], "layers": [], "predictions": []}
