"""What torch is on this machine, and how fast its products are: what `mlpbench doctor` says of it.

The rate is that of single-precision products of a size that training has: a batch of 256 examples times the weights of a layer
of 1,024 units. The fastest of several tries counts, since other processes make a try slower and none makes it faster.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

BATCH, UNITS = 256, 1024
TRIES, PRODUCTS = 8, 4


@dataclass(frozen=True, kw_only=True)
class TorchFacts:
    """Torch as it is installed.

    Attributes:
        version: with the build behind a plus sign.
        cuda: the version of CUDA it was built for; None of a build without.
        capability: the widest vectors that it uses on this processor.
        gpus: product name and bytes of memory of each GPU it can use, by device.

    """

    version: str
    cuda: str | None
    capability: str
    gpus: dict[str, tuple[str, int]]


def torch_facts() -> TorchFacts:
    """Return what torch says of itself and of the machine."""
    gpus = {
        f"cuda:{i}": (torch.cuda.get_device_name(i), int(torch.cuda.get_device_properties(i).total_memory))
        for i in range(torch.cuda.device_count())
    }
    return TorchFacts(
        version=str(torch.__version__),
        cuda=torch.version.cuda,
        capability=torch.backends.cpu.get_cpu_capability(),
        gpus=gpus,
    )


def product_rate() -> float:
    """Return floating-point operations a second of a product on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.full((BATCH, UNITS), 0.5), torch.full((UNITS, UNITS), 0.25)
        out = torch.mm(a, b)
        fastest = min(_seconds(a, b, out) for _ in range(TRIES))
    finally:
        torch.set_num_threads(threads)
    return 2.0 * BATCH * UNITS * UNITS / fastest


def _seconds(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> float:
    begun = time.perf_counter()
    for _ in range(PRODUCTS):
        torch.mm(a, b, out=out)
    return (time.perf_counter() - begun) / PRODUCTS
