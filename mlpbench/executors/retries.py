"""What becomes of stacks whose workers end: they are tried again, in ever smaller parts where memory may want, and given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import StackRows

# A run whose worker is killed this often when it is trained alone or in ever smaller parts (out of memory, say) is given up.
ATTEMPTS = 3
# A stack that so many nodes were lost with may be why: from then on it counts as killed.
LOSSES = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A stack to train, or what is left of one; `slot` is the place of its share in the list of shares."""

    stack: Stack
    slot: int
    kills: int = 0
    losses: int = 0
    is_suspect: bool = False

    def again(self) -> list[Job]:
        """Return what to try after the worker that trained this alone was killed: each half, as memory may have run out.

        A single run is tried again as it is, and is given up, an empty list, when that was no use either.
        """
        kills, runs = self.kills + 1, self.stack.runs
        if kills >= ATTEMPTS:
            return []
        middle = (len(runs) + 1) // 2
        parts = [part for part in (runs[:middle], runs[middle:]) if part]
        return [replace(self, stack=replace(self.stack, runs=part), kills=kills) for part in parts]


def given_up(stack: Stack) -> StackRows:
    """Return the rows of runs whose workers were killed as often as a stack is tried."""
    error = f"the worker was killed {ATTEMPTS} times (out of memory?)"
    rows = [{"run_id": r.run_id, "status": "failed", "error": error} for r in stack.runs]
    return StackRows(runs=rows)


class Agenda:
    """The stacks that are left for the workers of a cluster, each of which ends alone.

    A stack whose node was lost is next again. One whose worker was killed while its node lives is a suspect: it waits until no
    other stack does, and is trained where nothing else is; if its worker is killed then too, it comes back in parts.
    """

    def __init__(self, stacks: Sequence[Stack]) -> None:
        self._waiting = deque(Job(stack=stack, slot=i) for i, stack in enumerate(stacks))
        self._suspects: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._suspects)

    def next(self, neighbours: Sequence[Job]) -> Job | None:
        """Return what a worker is to train, None for nothing now; `neighbours` are in training on its node."""
        if any(job.is_suspect for job in neighbours):
            return None
        if self._waiting:
            return self._waiting.popleft()
        return self._suspects.popleft() if self._suspects and not neighbours else None

    def lost(self, job: Job) -> StackRows | None:
        """Take back a job whose node was lost with its worker; return rows where the stack is given up."""
        job = replace(job, losses=job.losses + 1)
        if job.losses > LOSSES:
            return self.killed(job)
        (self._suspects if job.is_suspect else self._waiting).appendleft(job)
        return None

    def killed(self, job: Job) -> StackRows | None:
        """Take back a job whose worker was killed; return rows where the stack is given up."""
        if not job.is_suspect:
            self._suspects.append(replace(job, is_suspect=True))
            return None
        parts = job.again()
        self._suspects.extendleft(reversed(parts))
        return None if parts else given_up(job.stack)
