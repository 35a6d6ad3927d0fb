"""Kernel benchmarks: right first, then timed. `make bench` times them; elsewhere each is called once and checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from bench_cases import CASES, COMPILED, COPIED, FLOAT, SQUARES, Case
from bench_kernels import IMPLEMENTATIONS, Problem, expected
from pytest_benchmark.fixture import BenchmarkFixture

from mlpbench.base.environment import environment

# Rounds of 2 ms or one call, whichever is longer, until 0.2 s have gone.
pytestmark = pytest.mark.benchmark(min_time=0.002, max_time=0.2, min_rounds=5, disable_gc=True)

DEVICES = ["cpu", *([pytest.param("cuda", marks=pytest.mark.gpu)] if torch.cuda.is_available() else [])]
BY_NAME = {str(case): case for case in [*CASES, *COMPILED]}


class _NoHost:
    """What pytest-benchmark notes of the machine has its host name: the report of a run has what we note instead."""

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        machine_info.clear()
        machine_info.update(environment())


@pytest.fixture(scope="session", autouse=True)
def alike(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give every implementation the same conditions: one thread, float32 throughout, no subnormals, no filled memory."""
    if not request.config.pluginmanager.has_plugin("no-host"):
        request.config.pluginmanager.register(_NoHost(), "no-host")
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(True)
    # It would fill every new tensor first: a cost of autograd's temporaries that the engine, which has none, is spared.
    torch.use_deterministic_algorithms(False)
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(map(str, CASES)))
def test_phase(name: str, device: torch.device, benchmark: BenchmarkFixture) -> None:
    _check_and_time(BY_NAME[name], device, benchmark)


@pytest.mark.prove
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler uses what torch deprecates
@pytest.mark.parametrize("name", list(map(str, COMPILED)))
def test_compiled_phase(name: str, device: torch.device, benchmark: BenchmarkFixture) -> None:
    compilers = list(filter(None, [os.environ.get("CXX"), "c++", "g++", "clang++"]))
    if not any(map(shutil.which, compilers)):
        pytest.skip(f"torch.compile needs a C++ compiler, and the path has none of {', '.join(compilers)}")
    torch.compiler.reset()
    # The backward pass is called again and again on one forward pass: its buffers must not be reused.
    with torch._functorch.config.patch(donated_buffer=False):
        _check_and_time(BY_NAME[name], device, benchmark)


@pytest.mark.parametrize("n", SQUARES)
def test_limit_of_arithmetic(n: int, device: torch.device, benchmark: BenchmarkFixture) -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, n, generator=rng).to(device) for _ in range(2))
    c = torch.empty(n, n, device=device)
    work = {"flops": 2 * n**3, "bytes": FLOAT * 3 * n**2}
    _time(lambda: torch.mm(a, b, out=c), device, benchmark, work, {"phase": "limit", "implementation": "sgemm", "n": n})
    right = a[-1].double() @ b.double()
    assert float((c[-1] - right).abs().max()) < 1e-5 * n


def test_limit_of_memory(device: torch.device, benchmark: BenchmarkFixture) -> None:
    source = torch.full((COPIED // FLOAT,), 3.0, device=device)
    target = torch.zeros_like(source)
    fields = {"phase": "limit", "implementation": "copy", "n": len(source)}
    _time(lambda: target.copy_(source), device, benchmark, {"flops": 0, "bytes": 2 * COPIED}, fields)
    assert bool((target == 3).all())


def _check_and_time(case: Case, device: torch.device, benchmark: BenchmarkFixture) -> None:
    with torch.random.fork_rng(), torch.set_grad_enabled(case.implementation in ("torch.nn", "torch.compile")):
        problem = Problem(case, device)
        kernel = IMPLEMENTATIONS[case.implementation](problem)
        found = [t.clone() for t in kernel.seen(kernel.work())]
        masks = kernel.masks() if case.dropout else []
        with torch.enable_grad():
            right = expected(problem, masks)
        assert len(found) == len(right)
        for a, b in zip(found, right, strict=True):
            assert a.shape == b.shape
            assert float((a - b).abs().max()) <= 1e-3 * float(b.abs().max()) > 0
        shape = {k: v for k, v in vars(case).items() if k not in ("phase", "implementation")}
        fields = {"phase": case.phase, "implementation": case.implementation} | shape
        _time(kernel.work, device, benchmark, {"flops": case.flops, "bytes": case.bytes}, fields)


def _time(
    work: Callable[[], object],
    device: torch.device,
    benchmark: BenchmarkFixture,
    amount: dict[str, int],
    fields: dict[str, Any],
) -> None:
    def synchronised() -> None:
        work()
        torch.cuda.synchronize(device)

    benchmark(synchronised if device.type == "cuda" else work)
    benchmark.extra_info |= (
        fields
        | amount
        | {
            "threads": torch.get_num_threads(),
            "device": device.type,
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
            "cpu": environment()["env_cpu"],
            "torch": torch.__version__,
        }
    )
    if benchmark.stats is None:  # called once, not timed
        return
    # A limit is what the machine can do, its fastest round; a kernel is told by its usual one.
    stats = benchmark.stats.stats
    seconds = stats.min if fields["phase"] == "limit" else stats.median
    benchmark.extra_info |= {
        "seconds": seconds,
        "gflops": amount["flops"] / seconds / 1e9,
        "gbytes_per_s": amount["bytes"] / seconds / 1e9,
    }
