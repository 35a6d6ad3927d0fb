"""Nodes of a Ray cluster, all of them on this machine, and the processes that train on them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from killable_run import cpu_seconds

STORE = 200 * 2**20


@contextmanager
def nodes(*environments: dict[str, str], cpus: int = 1) -> Iterator[Any]:
    """Start a node for each environment, the first one the head, and end them all afterwards; a node has so many CPUs."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for environment in environments:
            with mock.patch.dict(os.environ, environment):
                cluster.add_node(num_cpus=cpus, object_store_memory=STORE, include_dashboard=False)
        yield cluster
    finally:
        cluster.shutdown()


def trainers() -> list[int]:
    """The processes of slots, on whatever node."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Slot"):
                found.append(int(path.parent.name))
        except OSError:  # it has ended since it was listed
            continue
    return found


def cpu_seconds_of_trainers() -> dict[int, float]:
    """The processor time of each slot that is alive, by its process."""
    found = {}
    for pid in trainers():
        try:
            found[pid] = cpu_seconds(pid)
        except OSError:
            continue
    return found


def end_of_trainers(seconds: float = 20.0) -> None:
    """Wait until no slot is left."""
    until = time.monotonic() + seconds
    while trainers():
        assert time.monotonic() < until, "slots outlive their driver"
        time.sleep(0.1)
