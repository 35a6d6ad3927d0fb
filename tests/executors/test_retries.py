"""Whatever becomes of workers and nodes, each run of each stack comes back once: trained, or given up."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.executors.retries import ATTEMPTS, LOSSES, Agenda, Job
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import Stack

TREE: dict[str, Any] = {"name": "drawn", "question": "Who comes back?", "dataset": "digits", "replicates": 24}
RUNS = tuple(grid.runs(yaml_reader.from_mapping(TREE)))


def stacks(sizes: list[int]) -> list[Stack]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [Stack(runs=RUNS[a : a + n], seconds=1.0, bytes=1, flops=1) for a, n in zip(starts, sizes, strict=True)]


class Cluster:
    """Two nodes with two workers each, whose fate is drawn."""

    def __init__(self, agenda: Agenda) -> None:
        self.agenda = agenda
        self.jobs: dict[tuple[int, int], Job] = {}

    def offer(self) -> None:
        for worker in [(node, i) for node in range(2) for i in range(2)]:
            if worker not in self.jobs:
                beside = [job for (node, _), job in self.jobs.items() if node == worker[0]]
                job = self.agenda.next(beside)
                if job is not None:
                    assert not (job.is_suspect and beside), "a suspect is trained where nothing else is"
                    assert not any(other.is_suspect for other in beside)
                    self.jobs[worker] = job


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4), data=st.data())
def test_each_run_comes_back_once(sizes: list[int], data: st.DataObject) -> None:
    cluster = Cluster(Agenda(stacks(sizes)))
    back: list[str] = []
    killed: Counter[str] = Counter()
    cluster.offer()
    for _ in range(10_000):
        if not cluster.jobs:
            break
        worker = data.draw(st.sampled_from(sorted(cluster.jobs)))
        job = cluster.jobs.pop(worker)
        fate = data.draw(st.sampled_from(["done", "killed", "lost"]))
        if fate == "done":
            back += [run.run_id for run in job.stack.runs]
        else:
            killed.update(run.run_id for run in job.stack.runs)
            rows = (cluster.agenda.killed if fate == "killed" else cluster.agenda.lost)(job)
            if rows is not None:
                assert [row["status"] for row in rows.runs] == ["failed"] * len(job.stack.runs)
                assert all(killed[row["run_id"]] > ATTEMPTS for row in rows.runs)
                back += [row["run_id"] for row in rows.runs]
        cluster.offer()
    assert not cluster.jobs
    assert not len(cluster.agenda)
    assert sorted(back) == sorted(run.run_id for run in RUNS[: sum(sizes)])


@pytest.mark.parametrize(("fate", "most"), [("killed", 1 + ATTEMPTS), ("lost", LOSSES + 1 + ATTEMPTS)])
def test_a_run_whose_workers_always_end_is_given_up(fate: str, most: int) -> None:
    agenda = Agenda(stacks([1]))
    for trained in range(1, most + 1):
        job = agenda.next([])
        assert job is not None
        rows = getattr(agenda, fate)(job)
        assert (rows is not None) == (trained == most)
    assert agenda.next([]) is None


def test_a_stack_that_was_lost_is_next_and_one_whose_worker_was_killed_is_last() -> None:
    agenda = Agenda(stacks([1, 2, 3]))
    first, second = agenda.next([]), agenda.next([])
    assert first is not None
    assert second is not None
    agenda.killed(first)
    agenda.lost(second)
    order = [agenda.next([]), agenda.next([]), agenda.next([])]
    assert [len(job.stack.runs) for job in order if job is not None] == [2, 3, 1]
