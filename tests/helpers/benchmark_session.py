"""A session of kernel benchmarks as pytest-benchmark writes it to JSON, with round numbers."""

from __future__ import annotations

from typing import Any

MACHINE = {"threads": 1, "device": "cpu", "gpu": None, "cpu": "Acme 9000", "torch": "2.13.0"}
SHAPE = {"width": 32, "depth": 1, "activation": "relu", "dropout": 0.0, "batch": 256, "inputs": 784, "classes": 10}
GPU = {"device": "cuda", "gpu": "Acme Tensor"}


def limit(name: str, n: int, flops: int, traffic: int, seconds: float, **more: Any) -> dict[str, Any]:
    return entry({"phase": "limit", "implementation": name, "n": n}, flops, traffic, seconds, **more)


def kernel(phase: str, name: str, stack: int, seconds: float, flops: int, traffic: int, **more: Any) -> dict[str, Any]:
    case = {"phase": phase, "implementation": name, "stack": stack, **SHAPE}
    return entry(case, flops * stack, traffic * stack, seconds, **more)


def entry(case: dict[str, Any], flops: int, traffic: int, seconds: float, **more: Any) -> dict[str, Any]:
    amounts = {"flops": flops, "bytes": traffic, "seconds": seconds}
    rates = {"gflops": flops / seconds / 1e9, "gbytes_per_s": traffic / seconds / 1e9}
    info = case | amounts | rates | MACHINE | more
    return {"name": f"{info['phase']}-{info['implementation']}", "extra_info": info}


def benchmark_session() -> dict[str, Any]:
    """100 GFLOP/s and 20 GB/s: the roofs meet at 5 FLOP/byte."""
    benchmarks = [
        limit("sgemm", 512, 10**9, 10**7, 0.0125),
        limit("sgemm", 1024, 2 * 10**9, 10**7, 0.02),
        limit("copy", 2**26, 0, 2**29, 2**29 / 20e9),
        kernel("forward", "from scratch", 1, 0.0025, 10**8, 10**7),
        kernel("forward", "torch.nn", 1, 0.002, 10**8, 10**7),
        kernel("forward", "stacked", 8, 0.0128, 10**8, 10**7),
        kernel("update", "torch.nn", 1, 0.0001, 10**5, 6 * 10**5),
        kernel("update", "stacked", 8, 0.0002, 10**5, 6 * 10**5),
        kernel("step", "torch.nn", 1, 0.005, 3 * 10**8, 3 * 10**7, dropout=0.5),
        kernel("step", "stacked", 8, 0.03, 3 * 10**8, 3 * 10**7, dropout=0.5),
        kernel("step", "torch.nn", 1, 0.005, 3 * 10**8, 3 * 10**7, depth=3),
        kernel("step", "stacked", 2, 0.0104, 3 * 10**8, 3 * 10**7, depth=3),
        kernel("backward", "torch.compile", 1, 0.004, 2 * 10**8, 2 * 10**7, activation="gelu"),
    ]
    return {"benchmarks": benchmarks, "commit_info": {"id": "0123456789abcdef", "dirty": False}}
