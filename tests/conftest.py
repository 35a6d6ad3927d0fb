"""What all tests have in common: one thread, as in a worker, and the real data set, fetched once."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from mlpbench.training.datasets import Dataset, load


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """More threads would change the bits that tests compare."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def subnormals() -> Iterator[None]:
    """Training leaves its process flushing subnormal numbers, which other tests draw."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    """Fashion-MNIST, from the cache wherever set-up has been run."""
    return load("fashion_mnist")


# The same examples on every machine and every day: a failure is found where it was made.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
