"""What all tests have in common: one thread, as in a worker, and the real data set, fetched once."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
import torch
from blank_figures import blank_drawn
from chromium import Page, chromium
from hypothesis import settings

from mlpbench.base import machine
from mlpbench.data.data_sets import lookup
from mlpbench.data.dataset import Dataset
from mlpbench.evidence.statistics.outlook import Outlook
from mlpbench.executors.executor import EXECUTORS, Inline

# Begun first, the longest before the others, so that none of them runs on alone at the end.
LONG = (
    "test_ray.py",
    "test_stack_invariance.py",
    "test_faults.py",
    "test_kills.py",
    "test_shipped_experiments.py",
    "test_ended_commands.py",
    "test_engine_oracle.py",
    "test_other_machines.py",
    "test_calibration.py",
    "test_numerics.py",
    "test_first_commands.py",
    "test_wheel.py",
    "test_documents.py",
    "test_commands.py",
    "test_run.py",
)


# A folder in memory, where Linux has one, and how much must be free in it: a whole session leaves some hundred MB.
IN_MEMORY, ROOM = "/dev/shm", 4 * 2**30


def pytest_configure() -> None:
    """Put the folders of tests into memory where there is room: results are synced to the disk, and tests waited for that."""
    with suppress(OSError, AttributeError):
        there = os.statvfs(IN_MEMORY)
        free = min(there.f_bavail * there.f_frsize, machine.available_memory())
        # Some tests start programs that they write.
        if os.access(IN_MEMORY, os.W_OK) and not there.f_flag & os.ST_NOEXEC and free >= ROOM:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", IN_MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long before the others."""
    items.sort(key=lambda item: LONG.index(name) if (name := item.path.name) in LONG else len(LONG))


def pytest_collectstart() -> None:
    """Collect no garbage while tests are found: all that is made then stays, and to look through it took a third of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Have the collector of garbage leave alone what stays to the end: it took a tenth of the time to look through it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_sessionfinish() -> None:
    """Let it go at the end, or extension modules say that they leak."""
    gc.enable()
    gc.unfreeze()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name what failed when it does: a run that is ended before its summary has said so."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nfailed: {report.nodeid}", file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """More threads would change the bits that tests compare."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def in_process() -> Iterator[None]:
    """Train in this process instead of in workers, which take seconds to start and give the same bits in the default numerics."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXECUTORS, "local", Inline)
        yield


@pytest.fixture(scope="module")
def blank_figures() -> Iterator[None]:
    """Leave the figures of reports blank, on pages too: to draw them takes most of the time of a report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlpbench.report.report.Report._drawn", property(blank_drawn))
        patch.setattr("mlpbench.report.pages.page._drawn", lambda report: {})  # they stand as pictures there
        yield


@pytest.fixture
def no_outlook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what would decide a claim: no decision rests on it, and to foresee it takes most of the time of a verdict."""
    monkeypatch.setattr("mlpbench.evidence.judging.claim_verdicts.Assessment.outlook", lambda self, level: Outlook())


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests of pages: it takes a second to start, a page a tenth of that to open."""
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(autouse=True)
def subnormals() -> Iterator[None]:
    """Training leaves its process flushing subnormal numbers, which other tests draw."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    """Fashion-MNIST, from the cache wherever set-up has been run."""
    return lookup("fashion_mnist").load()


# The same examples on every machine and every day: a failure is found where it was made.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
