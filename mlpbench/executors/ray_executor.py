"""Map the training of stacks over the nodes of a Ray cluster.

An actor is a worker: a process of its own on a node, which trains one stack after another. Data are put into Ray's store once,
and every process of a node reads them in the same memory. Rows come back to the driver, which alone writes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mlpbench.base.environment import variables
from mlpbench.base.errors import MachineError
from mlpbench.executors import ray_cluster
from mlpbench.executors.ray_slot import Board, Slot
from mlpbench.executors.retries import ATTEMPTS, Agenda, Job
from mlpbench.experiment.plan import Stack
from mlpbench.training.worker_setup import Setup, StackRows

TICK_SECONDS = 0.2
# A stack has begun: above 0, which stands for one that has not.
BEGUN = 1e-6
UNSTARTED = (
    "workers of Ray must be able to start, and {n} ended while they did: {why}; the logs are on the node, under /tmp/ray; "
    "finished stacks are kept, run the same command again to continue"
)


class _Ended(Exception):
    """An actor ended that was not told to; `node_died` where its node did, or can't be reached."""

    def __init__(self, why: str, *, node_died: bool) -> None:
        super().__init__(why)
        self.node_died = node_died


class _Worker:
    """An actor, what it does, and the job that it has."""

    def __init__(self, setup: Setup, board: Any) -> None:
        environment = variables(setup.numerics, setup.threads)
        before = {name: value for name, value in environment.items() if value is not None}
        options = ray_cluster.resources(setup.threads, on_gpu=setup.device != "cpu")
        kind = ray_cluster.actor(Slot, runtime_env={"env_vars": before}, max_restarts=0, **options)
        self.actor = kind.remote(environment, board)
        self.job: Job | None = None
        self.node = ""
        self.is_ready = False
        # What it is asked for: first of all what it has, and where it is.
        self.asked: Any = self.actor.begin.remote()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a job."""
        return self.is_ready and self.job is None

    def take(self, job: Job | None) -> None:
        """Begin a job, if there is one."""
        self.job = job
        if job is not None:
            self.asked = self.actor.train.remote(job.slot, job.stack.runs)

    def answer(self) -> Any:
        """Return what it was asked for; raise _Ended where the actor has ended, and what it raised itself."""
        import ray
        from ray.exceptions import ActorDiedError, ActorUnavailableError, ObjectLostError, RayError, RayTaskError

        try:
            return ray.get(self.asked)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except (ActorUnavailableError, ObjectLostError) as error:
            raise _Ended(str(error), node_died=True) from error
        except ActorDiedError as error:
            raise _Ended(str(error), node_died=bool(self.node) and not ray_cluster.is_alive(self.node)) from error
        except RayError as error:  # among them, Ray's own watch over memory
            raise _Ended(str(error), node_died=False) from error

    def end(self) -> None:
        """End the actor, whatever it does."""
        import ray

        ray.kill(self.actor)


class RayExecutor:
    """Actors with `threads` threads each, on whatever nodes of the connected cluster have room for them."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self.setup = setup
        self.workers = workers
        self._team: list[_Worker] = []
        self._starts = 0

    def map(
        self, stacks: Sequence[Stack], tick: Callable[[Sequence[float]], None]
    ) -> Generator[tuple[Stack, StackRows], None, None]:
        """Yield each stack with its rows as it is finished; `tick` is called with each stack's share of the work done so far.

        Where a node is lost, its stacks are trained on others; a worker that is killed is replaced, and its stack is tried
        again, as `Agenda` says. Raises InputError where a node has not what the driver has, MachineError where workers can't
        be started at all.
        """
        import ray

        agenda, shares = Agenda(stacks), [0.0] * len(stacks)
        here = ray.get_runtime_context().get_node_id()
        at_driver = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._orders = pickle.dumps(replace(self.setup, datasets=(), data_dir=None))
        self._data = [ray.put(source.loaded(data_dir=self.setup.data_dir)) for source in self.setup.datasets]
        self._board = ray_cluster.actor(Board, num_cpus=0, scheduling_strategy=at_driver).remote()
        news = self._board.take.remote()
        try:
            while len(agenda) or any(worker.job for worker in self._team):
                self._hire(min(self.workers, len(agenda) + sum(worker.job is not None for worker in self._team)))
                finished = list(self._finished(agenda))
                self._assign(agenda)
                for job, rows in finished:
                    shares[job.slot] = 1.0
                    yield job.stack, rows
                if news is not None and ray.wait([news], timeout=0)[0]:
                    try:
                        self._note(ray.get(news), shares)
                        news = self._board.take.remote()
                    except ray.exceptions.RayError:  # shares are not worth a run
                        news = None
                tick(list(shares))
        finally:
            with suppress(ray.exceptions.RayError):  # the cluster may have gone
                for worker in self._team:
                    worker.end()
                ray.kill(self._board)
            self._team.clear()
            self._data.clear()

    def _hire(self, wanted: int) -> None:
        """Ask for workers until there are as many as wanted: those for which there is no room start when there is."""
        while len(self._team) < wanted:
            self._team.append(_Worker(self.setup, self._board))

    def _assign(self, agenda: Agenda) -> None:
        for worker in self._team:
            if worker.is_idle:
                beside = [other.job for other in self._team if other.node == worker.node and other.job is not None]
                worker.take(agenda.next(beside))

    def _finished(self, agenda: Agenda) -> Iterator[tuple[Job, StackRows]]:
        """Wait a while for answers; yield jobs that are done, or given up, with their rows."""
        import ray

        busy = {worker.asked: worker for worker in self._team if not worker.is_idle}
        ready, _ = ray.wait(list(busy), timeout=TICK_SECONDS)
        if ready and len(busy) > 1:
            ready, _ = ray.wait(list(busy), num_returns=len(busy), timeout=0)
        for worker in (busy[asked] for asked in ready):
            try:
                answer = worker.answer()
            except _Ended as ended:
                self._team.remove(worker)
                worker.end()
                rows = self._why(worker, ended, agenda)
            else:
                rows = self._taken(worker, answer)
            if rows is not None:
                assert worker.job is not None, "who answers with rows had a job"
                yield worker.job, rows
                worker.job = None

    def _taken(self, worker: _Worker, answer: Any) -> StackRows | None:
        """Return the rows that a worker answers with; else see to it that it can train."""
        if worker.job is not None:
            assert isinstance(answer, StackRows), "rows are all that it answers with"
            return answer
        if not worker.node:
            worker.node, there, too_late = answer
            ray_cluster.check_facts(worker.node, there, too_late)
            worker.asked = worker.actor.prepare.remote(self._orders, *self._data)
        else:
            worker.is_ready, self._starts = True, 0
        return None

    def _why(self, worker: _Worker, ended: _Ended, agenda: Agenda) -> StackRows | None:
        """Give a job back; raise MachineError where workers end again and again without one."""
        if worker.job is not None:
            return (agenda.lost if ended.node_died else agenda.killed)(worker.job)
        self._starts += not ended.node_died
        if self._starts >= ATTEMPTS:
            raise MachineError(UNSTARTED.format(n=self._starts, why=" ".join(str(ended).split()))) from ended
        return None

    def _note(self, news: dict[int, float], shares: list[float]) -> None:
        """Take over the shares of stacks that are in training."""
        for job in (worker.job for worker in self._team if worker.job is not None):
            shares[job.slot] = max(news.get(job.slot, shares[job.slot]), BEGUN)
