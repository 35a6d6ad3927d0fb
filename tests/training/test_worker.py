"""A worker trains what it is handed, in parts where a stack fails."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import pretend_gpu
import pytest
import torch

from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run
from mlpbench.training import worker
from mlpbench.training.worker_setup import Setup, StackRows


class Buffers:
    """What a stack holds."""


def test_a_stack_that_fails_is_let_go_before_its_halves_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the failed stack held, gigabytes where memory ran out, is free when the first half begins."""
    held: list[weakref.ref[Buffers]] = []

    def trained(runs: Sequence[Run], *_: Any, **__: Any) -> StackRows:
        assert [reference() for reference in held if reference() is not None] == []
        buffers = Buffers()
        held.append(weakref.ref(buffers))
        if len(runs) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return StackRows(runs=[{"run_id": runs[0].run_id, "status": "ok"}])

    monkeypatch.setattr(worker, "train_stack", trained)
    spec = {"name": "halves", "question": "Which half?", "dataset": "digits", "fixed": {"epochs": 1}, "replicates": 4}
    experiment = yaml_reader.from_mapping(spec)
    runs = list(grid.runs(experiment))
    setup = Setup(datasets=experiment.sources, device="cpu", threads=1, numerics="fast", data_dir=None, probes=())
    rows = worker.Worker(setup).train(runs, lambda _: None)
    assert [row["run_id"] for row in rows.runs] == [run.run_id for run in runs]
    assert len(held) == 7
    assert {row["status"] for row in rows.runs} == {"ok"}


def test_a_stack_that_a_gpu_has_no_memory_for_is_not_tried_again_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def trained(runs: Sequence[Run], *_: Any, **__: Any) -> StackRows:
        tried.append(len(runs))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(worker, "train_stack", trained)
    spec = {"name": "large", "question": "Does it fit?", "dataset": "digits", "fixed": {"epochs": 1}, "replicates": 4}
    experiment = yaml_reader.from_mapping(spec)
    runs = list(grid.runs(experiment))
    with pretend_gpu.gpu():
        setup = Setup(
            datasets=experiment.sources, device="cuda:0", threads=1, numerics="fast", data_dir=None, probes=()
        )
        rows = worker.Worker(setup).train(runs, lambda _: None)
    assert tried == [4]
    assert {row["error"] for row in rows.runs} == {"cuda:0 has no memory left for these runs; fewer --workers share it"}
    assert {row["env_device"] for row in rows.runs} == {pretend_gpu.NAME}
