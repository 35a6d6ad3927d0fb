"""What made a result: versions, commit, processor, and the numerics mode. No host or user name, and never fatal.

A numerics mode says how far the bits of a run carry: to this kind of processor, to any Intel one, or to any with AVX2. All
but `fast` are of x86-64: they choose kernels that no other processor has. The modes are environment variables that MKL, oneDNN, ATen, OpenBLAS and numpy read when they are loaded, so workers start with
them. Beside them, `universal`, and on processors of Intel `portable`, take other square roots
(training/parameter_updates.py). What the modes reach is proved by training under emulated processors
(tests/whole/test_numerics.py).
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from mlpbench.base import machine

VERSION = "0.1.0"
# A wheel that was built from a checkout has its commit here, with a `+` where the package differed from it (hatch_build.py).
BUILT_FROM = Path(__file__).with_name("built_from.txt")
GPU_DRIVER = Path("/proc/driver/nvidia/version")
# Linux under Windows has the driver of Windows: a device without a maker, and where there is a card of NVIDIA, CUDA and nvidia-smi.
WSL_SECONDS = 20
WSL_DEVICE, WSL_LIBRARIES = Path("/dev/dxg"), Path("/usr/lib/wsl/lib")
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
# Python starts a process with the working folder first on its path, where a file `socket.py` would be run as the module of
# that name; with this in its environment it does not.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
REACH: dict[str, str] = {
    "fast": "this kind of processor",
    "portable": "Intel processors with AVX2",
    "universal": "processors with AVX2, of Intel and of AMD",
}
# What of a run's environment its bits may depend on.
KIND = ("env_device", "env_numerics", "env_threads", "env_torch", "env_cpu", "env_gpu_libraries")
# The last one is of Accelerate, whose products torch takes on macOS.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# What has cuBLAS take the same kernels every time, and what would have it take others.
CUBLAS_WORKSPACE = ":4096:8"
_OF_GPUS: dict[str, str | None] = {
    "CUBLAS_WORKSPACE_CONFIG": CUBLAS_WORKSPACE,
    "NVIDIA_TF32_OVERRIDE": None,
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": None,
    "PYTORCH_TUNABLEOP_ENABLED": None,
    "TORCH_BLAS_PREFER_CUBLASLT": None,
    "CUDA_LAUNCH_BLOCKING": None,
    "TRITON_INTERPRET": None,
    "TRITON_DEFAULT_FP_FUSION": None,
}
# What would have the same libraries take other kernels in any mode, or round what goes into products to bfloat16.
_NEVER = (
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_VML_DEBUG_CPU_TYPE",
    "DNNL_MAX_CPU_ISA",
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "NPY_ENABLE_CPU_FEATURES",
)


def version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    from importlib import metadata  # takes as long to load as all else that `mlpbench --help` needs

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def environment() -> dict[str, Any]:
    """Return the `env_*` columns that hold for the whole process; what cannot be found out is None."""
    import platform

    commit, dirty = _commit()
    return {
        "env_python": platform.python_version(),
        "env_torch": version("torch"),
        "env_numpy": version("numpy"),
        "env_mlpbench": version("mlpbench"),
        "env_commit": commit,
        "env_dirty": dirty,
        "env_cpu": machine.processor(),
    }


def has_gpu_driver() -> bool:
    """Return whether there is a driver of GPUs that torch may be able to use; torch is asked only then."""
    return GPU_DRIVER.exists() or _has_wsl_driver()


def _has_wsl_driver() -> bool:
    """Return whether Windows, under which this Linux runs, lends a card of NVIDIA."""
    return WSL_DEVICE.exists() and any(WSL_LIBRARIES.glob("libcuda.so*"))


def gpu_driver() -> str | None:
    """Return the version of the GPU driver, or None."""
    try:
        words = GPU_DRIVER.read_text().partition("Kernel Module")[2].split()
    except OSError:
        return _wsl_driver(WSL_LIBRARIES) if _has_wsl_driver() else None
    return next((word for word in words if word[:1].isdigit()), None)


@functools.cache
def _wsl_driver(libraries: Path) -> str | None:
    """Return the version of the driver of Windows, or None where it does not say."""
    command = [str(libraries / "nvidia-smi"), "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=WSL_SECONDS, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return next((word for word in told if word[:1].isdigit()), None)


@functools.cache
def gpu_libraries() -> str:
    """Return the versions of what trains on a GPU beside torch, as rows have them: CUDA, cuBLAS and Triton, where installed."""
    names = {"CUDA": "nvidia-cuda-runtime", "cuBLAS": "nvidia-cublas", "Triton": "triton"}
    versions = {name: version(package) or version(f"{package}-cu12") for name, package in names.items()}
    return ", ".join(f"{name} {text}" for name, text in versions.items() if text) or "unknown"


def version_line() -> str:
    """Return the version, with the commit where the package comes from a checkout: `0.1.0 (61e1b62d04)`, `+` where it differs."""
    commit, dirty = _commit()
    return VERSION if commit is None else f"{VERSION} ({commit[:10]}{'+' if dirty else ''})"


def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of the source tree the package is run from, or was built from, and whether the package differs from it."""
    tree = Path(__file__).resolve().parents[2]
    if not (tree / ".git").exists():
        return _built_from()
    commit = _git(tree, "rev-parse", "HEAD")
    status = _git(tree, "status", "--porcelain", "--", "mlpbench")
    return commit, None if status is None else bool(status)


def _built_from() -> tuple[str | None, bool | None]:
    try:
        written = BUILT_FROM.read_text().strip()
    except OSError:
        return None, None
    return written.removesuffix("+"), written.endswith("+")


def _git(tree: Path, *arguments: str) -> str | None:
    import subprocess

    try:
        command = ["git", "-C", str(tree), *arguments]
        # In a hook, or `git rebase --exec`, the environment names the repository of the user.
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(command, env=own, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def mode_here(numerics: Numerics) -> Numerics:
    """Return the mode in which a run of this one can be trained here again: `fast` where it means nothing to the processor."""
    return numerics if machine.is_x86() else "fast"


def refusal(numerics: Numerics) -> str | None:
    """Return why a mode can't be asked for on this processor, None where it can."""
    if mode_here(numerics) == numerics:
        return None
    return (
        f"--numerics {numerics} chooses kernels of x86-64 processors with AVX2, and this one is {machine.processor()}: "
        "leave it out; `fast` gives the same bits on this kind of processor, and no mode has those of x86-64 here"
    )


def variables(numerics: Numerics, threads: int) -> dict[str, str | None]:
    """Return the environment of a worker; None for what must not be set, whatever the user's own environment has."""
    return {**dict.fromkeys(_THREADS, str(threads)), **_OF_GPUS, **library_variables(numerics)}


def library_variables(numerics: Numerics) -> dict[str, str | None]:
    """Return the variables that choose the kernels of numerical libraries; None for one that must not be set."""
    others = dict.fromkeys([*_NEVER, *(name for mode in VARIABLES.values() for name in mode)])
    return {**others, **VARIABLES[numerics]}


def gpu_variables() -> dict[str, str | None]:
    """Return the variables that would have a GPU's libraries take other kernels, all of which must not be set: None."""
    return {name: value for name, value in _OF_GPUS.items() if value is None}


def differences(row: Mapping[Any, object], here: Mapping[str, object]) -> Iterator[str]:
    """Yield in what a stored run's environment differs from one here, of all that its bits may depend on."""
    for what, column in (("device", "env_device"), ("numerics", "env_numerics"), ("thread count", "env_threads")):
        if row[column] != here[column]:
            yield what
    if row["env_torch"] != here["env_torch"]:
        yield "torch"
    libraries = row.get("env_gpu_libraries")  # rows of earlier releases do not say
    if here["env_device"] != "cpu" and isinstance(libraries, str) and libraries != here.get("env_gpu_libraries"):
        yield "GPU libraries"
    if here["env_device"] == "cpu" and row["env_numerics"] == here["env_numerics"] and _kind(row) != _kind(here):
        yield "processor"


def reach(mode: str, processor: str) -> str:
    """Return on which processors runs of a mode that were trained on one have the same bits, in words."""
    if mode == "universal" or (mode == "portable" and "Intel" in processor):
        return REACH[mode]
    return f"{REACH['fast']} ({processor})"


def _kind(environment: Mapping[Any, object]) -> object:
    """Return what of the processor the bits depend on."""
    return reach(str(environment["env_numerics"]), str(environment["env_cpu"]))
