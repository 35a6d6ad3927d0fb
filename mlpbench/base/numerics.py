"""How far the bits of a run carry: to this kind of processor, to any Intel one, or to any with AVX2.

The modes are environment variables that MKL, oneDNN, ATen, OpenBLAS and numpy read when they are loaded, so workers
start with them. Beside them, `universal`, and on processors of Intel `portable`, take other square roots
(training/roots.py). What the modes reach is proved by training under emulated processors (tests/whole/test_numerics.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

Numerics = Literal["fast", "portable", "universal"]
MODES: tuple[Numerics, ...] = get_args(Numerics)

_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # numpy's products, and its exp, log and powers, whose AVX-512 kernels round differently. The level is numpy 2.4's,
    # the features are those of numpy before it; names that a numpy does not know it passes over in silence.
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F AVX512_SKX",
}
VARIABLES: dict[Numerics, Mapping[str, str]] = {
    "fast": {},
    "portable": {"MKL_CBWR": "AVX2", **_AVX2},
    "universal": {"MKL_CBWR": "COMPATIBLE", **_AVX2},
}
REACH: dict[str, str] = {
    "fast": "this kind of processor",
    "portable": "Intel processors with AVX2",
    "universal": "processors with AVX2, of Intel and of AMD",
}
# What of a run's environment its bits may depend on.
KIND = ("env_device", "env_numerics", "env_threads", "env_torch", "env_cpu")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# What would have the same libraries take other kernels in any mode.
_NEVER = ("MKL_ENABLE_INSTRUCTIONS", "MKL_VML_DEBUG_CPU_TYPE", "DNNL_MAX_CPU_ISA", "NPY_ENABLE_CPU_FEATURES")


def variables(numerics: Numerics, threads: int) -> dict[str, str | None]:
    """Return the environment of a worker; None for what must not be set, whatever the user's own environment has."""
    return {**dict.fromkeys(_THREADS, str(threads)), **library_variables(numerics)}


def library_variables(numerics: Numerics) -> dict[str, str | None]:
    """Return the variables that choose the kernels of numerical libraries; None for one that must not be set."""
    others = dict.fromkeys([*_NEVER, *(name for mode in VARIABLES.values() for name in mode)])
    return {**others, **VARIABLES[numerics]}


def differences(row: Mapping[Any, object], here: Mapping[str, object]) -> Iterator[str]:
    """Yield in what a stored run's environment differs from one here, of all that its bits may depend on."""
    for what, column in (("device", "env_device"), ("numerics", "env_numerics"), ("thread count", "env_threads")):
        if row[column] != here[column]:
            yield what
    if row["env_torch"] != here["env_torch"]:
        yield "torch"
    if here["env_device"] == "cpu" and row["env_numerics"] == here["env_numerics"] and _kind(row) != _kind(here):
        yield "processor"


def _kind(environment: Mapping[Any, object]) -> object:
    """Return what of the processor the bits depend on."""
    cpu, numerics = environment["env_cpu"], environment["env_numerics"]
    if numerics == "universal":
        return None
    return "Intel" if numerics == "portable" and "Intel" in str(cpu) else cpu
