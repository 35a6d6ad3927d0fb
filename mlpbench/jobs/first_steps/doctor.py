"""A look at this machine: what training needs, what would be chosen and why, and what to do where something is wrong.

Each check is a finding: fine, worth knowing, or wrong, with a way forward. A check that can't be made is worth knowing; none
ends the others.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlpbench.base import machine
from mlpbench.base.environment import gpu_driver, has_gpu_driver, version_line
from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.named import cache
from mlpbench.data.named.named_data import NamedData
from mlpbench.executors.devices import TORCH_WAY, device_name, device_product, has_torch, untested
from mlpbench.executors.executor import WORKERS_PER_GPU
from mlpbench.experiment.plan import FLOPS_PER_SECOND
from mlpbench.jobs.options import Options

if TYPE_CHECKING:
    from packaging.requirements import Requirement

State = Literal["fine", "note", "wrong"]
GIB = 2**30
# With less than this, training or a report may end for want of it.
LEAST_MEMORY, LEAST_DISK, LEAST_ADDRESS_SPACE = 1 * GIB, 1 * GIB, 4 * GIB
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: what it is, how it is, what was seen, and what to do about it."""

    what: str
    state: State
    seen: str
    way: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what is said of it, by key."""
        return {k: v for k, v in asdict(self).items() if v}


def fine(what: str, seen: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(what=what, state="fine", seen=seen)


def note(what: str, seen: str, way: str = "") -> Finding:
    """Return what is worth knowing, and hinders nothing."""
    return Finding(what=what, state="note", seen=seen, way=way)


def wrong(what: str, seen: str, way: str) -> Finding:
    """Return what is wrong, with a way forward."""
    return Finding(what=what, state="wrong", seen=seen, way=way)


def findings(results: Path, *, test: bool = True) -> Iterator[Finding]:
    """Yield what is found, check by check, as each is made; `test` says whether something is trained too.

    `results` is the folder that results would go to.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("mlpbench", _package),
        ("processor", _processor),
        ("memory", _memory),
        ("disk", lambda: _disk(results)),
        ("data", _data),
        ("torch", _torch),
        ("choice", lambda: _choice(results)),
        *([("self-test", _trained)] if test and has_torch() else []),
    ]
    for what, check in checks:
        try:
            yield from check()
        except MlpbenchError as error:
            yield wrong(what, str(error), "see the message")
        except (OSError, ValueError) as error:
            yield note(what, f"could not be looked at: {type(error).__name__}: {error}")


def _package() -> Iterator[Finding]:
    yield fine("mlpbench", f"{version_line()}, Python {platform.python_version()}, in {Path(__file__).parents[2]}")
    from packaging.requirements import Requirement  # comes with matplotlib

    try:
        every = [Requirement(line) for line in metadata.requires("mlpbench") or []]
    except metadata.PackageNotFoundError:
        yield note("packages", "mlpbench is not installed, so that what it needs is not known", "pip install .")
        return
    needed = [r for r in every if r.marker is None or r.marker.evaluate({"extra": ""})]
    off = {f"'{r.name}{r.specifier}'": why for r in needed if (why := _why_off(r))}
    if off:
        yield wrong(
            "packages", ", ".join(off.values()), f"pip install {' '.join(off)}, or `make install` in a checkout"
        )
    else:
        yield fine("packages", f"all {len(needed)} that it needs are there, in versions that it takes")


def _why_off(requirement: Requirement) -> str:
    """Return why what is installed of a package is not what is needed; nothing where it is."""
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(found, prereleases=True)
    return "" if fits else f"{requirement.name} {found} is not {requirement.specifier}"


def _processor() -> Iterator[Finding]:
    cores, there = machine.cores(), os.cpu_count() or 1
    seen = (
        f"{machine.processor()}, {cores} of {there} cores" if cores < there else f"{machine.processor()}, {cores} cores"
    )
    yield fine("processor", seen)
    try:
        flags = next(
            (line for line in machine.CPU_INFO.read_text().splitlines() if line.startswith("flags")), ""
        ).split()
    except OSError:
        flags = []
    if flags and "avx2" not in flags:
        way = "train with --numerics fast on this machine alone; portable and universal need AVX2"
        yield wrong("vectors", "the processor has no AVX2", way)
    quota = _quota()
    if quota is not None and quota < cores:
        way = f"--workers {max(1, int(quota))} is as fast and takes less memory"
        yield note("container", f"this container may use {quota:g} cores, of {cores} that it sees", way)
    load = os.getloadavg()[0]
    if load > cores:
        yield note(
            "load",
            f"{load:.1f} processes want {cores} cores",
            "times below, and of `plan`, are those of a quiet machine",
        )


def _quota() -> float | None:
    """Return how many cores a container may use; None where nothing says so."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _memory() -> Iterator[Finding]:
    options = Options(device="cpu")
    free = options.memory * options.n_workers * 2
    seen = (
        f"{free / GIB:.1f} GiB free, {options.memory / GIB:.2f} GiB for a stack in each of {options.n_workers} workers"
    )
    few = free < LEAST_MEMORY
    yield wrong("memory", seen, "close other programs, or give the container more") if few else fine("memory", seen)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESS_SPACE:
        seen = f"a limit leaves {limit / GIB:.1f} GiB of address space to a process"
        yield wrong("address space", seen, f"ulimit -v unlimited, or at least {LEAST_ADDRESS_SPACE // 2**10}")


def _refusal(folder: Path) -> str:
    """Return why no file can be made in a folder, empty where one can: permissions alone don't tell."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def _disk(results: Path) -> Iterator[Finding]:
    folder = results.absolute()
    while not folder.exists():
        folder = folder.parent
    for what, place in (("results", folder), ("temporary files", Path(tempfile.gettempdir()))):
        if error := _refusal(place):
            way = "--results FOLDER goes elsewhere" if what == "results" else "TMPDIR names another folder"
            yield wrong(what, f"{place} can't be written to: {error}", way)
            continue
        free = shutil.disk_usage(place).free
        seen = f"{free / GIB:.1f} GiB free in {place}"
        yield note(what, seen, "make room, or take another folder") if free < LEAST_DISK else fine(what, seen)


def _data() -> Iterator[Finding]:
    here: list[str] = []
    damaged: list[str] = []
    missing: list[str] = []
    for name, source in DATA_SETS.items():
        if not isinstance(source, NamedData):
            here.append(name)
            continue
        try:
            there = cache.read(cache.folder_of(source), source) is not None
        except cache.DamagedCache as error:
            damaged.append(f"{name}: {error}")
            continue
        (here if there else missing).append(name)
    root = cache.folder_of(next(s for s in DATA_SETS.values() if isinstance(s, NamedData))).parent
    yield fine("data", f"{len(here)} data sets are here without a download: {', '.join(here)}")
    if missing:
        way = "`mlpbench data fetch NAME`, or the first run, fetches one"
        yield note("to download", f"{', '.join(missing)}: into {root}", way)
    folder = root
    while not folder.exists():
        folder = folder.parent
    if refused := _refusal(folder):
        yield wrong("data cache", f"{root} can't be written to: {refused}", "MLPBENCH_CACHE names another folder")
    for line in damaged:
        yield wrong("data cache", line, f"mlpbench data fetch {line.partition(':')[0]} fetches it again")


def _torch() -> Iterator[Finding]:
    if not has_torch():
        yield wrong("torch", "is not installed: nothing is trained or predicted without it", TORCH_WAY)
        return
    from mlpbench.executors.machine_probe import torch_facts

    facts = torch_facts()
    built = f"built for CUDA {facts.cuda}" if facts.cuda else "built without CUDA"
    yield fine("torch", f"{facts.version}, {built}, kernels for {facts.capability}")
    driver = gpu_driver() or "of unknown version"
    if facts.gpus:
        gpus = (f"{device} {name} ({size / GIB:.0f} GiB)" for device, (name, size) in facts.gpus.items())
        yield fine("GPU", f"{', '.join(gpus)}, driver {driver}")
    elif has_gpu_driver():
        way = "install the torch of your CUDA (https://pytorch.org/get-started), or train with --device cpu"
        yield wrong("GPU", f"there is a driver ({driver}), and torch can't use a GPU", way)
    else:
        yield fine("GPU", "none, as there is no driver: everything is trained on the processor")


def _choice(results: Path) -> Iterator[Finding]:
    options = Options(results=results)
    device = device_name("auto")
    if device == "cpu":
        why = "no GPU can be used" if not has_gpu_driver() else "torch can use no GPU"
        seen = f"--device cpu, since {why}; --workers {options.n_workers}, one a core; --threads 1"
    else:
        seen = f"--device {device}, {device_product(device)}; --workers {options.n_workers}, at most {WORKERS_PER_GPU}, which share the GPU"
    kind = "processor" if device == "cpu" else "card"
    yield fine("choice", f"{seen}; --numerics fast, so that results are the same, bit for bit, on this kind of {kind}")
    if device != "cpu" and (doubt := untested(device_product(device))):
        yield note("GPU", doubt, "--device cpu trains on the processor, of which the bits are tested")


def _trained() -> Iterator[Finding]:
    from mlpbench.base.environment import version
    from mlpbench.executors.machine_probe import product_rate
    from mlpbench.jobs.first_steps.self_test import self_test

    test = self_test(version("torch") or "")
    if test.failed:
        yield wrong("training", f"a run failed: {test.failed[0]}", "please report it, with what stands above")
        return
    if test.dependent:
        seen = f"weights depend on what else is trained: {', '.join(test.dependent)}"
        yield wrong("bits", seen, "please report it, with what stands above; results are right but not reproducible")
    elif test.unlike is None:
        yield note(
            "bits", f"alone as in company; those on record are of torch {test.torch}, so that they say nothing here"
        )
    elif test.unlike:
        seen = f"in mode universal the weights are not those on record: {', '.join(test.unlike)}"
        way = "results are right, and may differ in their last digits from those of other machines: compare by `mlpbench diff`"
        yield wrong("bits", seen, way)
    else:
        yield fine("bits", "alone as in company, and in mode universal those on record")
    product, trained = product_rate() / 1e9, test.flops_per_second / 1e9
    planned = FLOPS_PER_SECOND / 1e9
    seen = f"a product takes {product:.0f} GFLOP/s on one thread, training {trained:.0f}; plans count on {planned:.0f} for products"
    slow = product < planned / 2
    way = f"expect about {planned / product:.1f} times what `plan` says"
    yield note("speed", seen, way) if slow else fine("speed", seen)


def healthy(found: Sequence[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.state != "wrong" for finding in found)


def check_results(results: Path) -> None:
    """Raise InputError where results can't go to a path because a file has it."""
    if results.exists() and not results.is_dir():
        raise InputError(f"--results must be a folder, got the file {results}")
