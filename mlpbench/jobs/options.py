"""Options of a run: where results go, on what device and with how many workers it trains, and what it trains again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from mlpbench.base import environment as provenance
from mlpbench.base import machine, obstacles
from mlpbench.base.environment import MODES, Numerics
from mlpbench.base.errors import InputError
from mlpbench.base.files import expanded
from mlpbench.executors import ray_cluster
from mlpbench.executors.devices import check_torch, device_name, device_product, gpu_words
from mlpbench.executors.executor import EXECUTORS, WORKERS_PER_GPU, ExecutorName, Inline
from mlpbench.experiment.settings import GPU_PRECISIONS

Rerun = Literal["failed", "stale", "all"]
# The share of the free memory that the stacks in training may take.
MEMORY_SHARE = 0.5


class Resources(TypedDict):
    """The parameters of `plan` and `outline` that follow from options."""

    workers: int
    memory: int
    on_gpu: bool


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `mlpbench run`, checked: raises InputError for a value that makes no sense.

    Attributes:
        results: The folder of results folders.
        device: `auto`, `cpu`, `cuda` or `cuda:i`; `auto` is a GPU where there is one, but on a Ray cluster the CPU.
        executor: `local` trains in worker processes, `inline` in this process, `ray` on a Ray cluster.
        address: `host:port` of the cluster's head; by default RAY_ADDRESS, else this machine's, else a new one.
        workers: The number of worker processes; by default one for each CPU core, fewer if each has several threads.
        threads: Threads of each worker; another number changes results in their last bits.
        numerics: On which processors the bits of results are the same: `fast`, `portable` or `universal`.
        data_dir: A folder that has the data already.
        plugin_files: Files with the code of plugins that a results folder has on record, or names of installed ones.
        rerun: Runs that are trained again: those that `failed`, that are `stale`, or `all`.
        fail_fast: Stop at the first run that fails.
        until_decided: Give undecided claims more replicates, up to `max_replicates`.
        max_replicates: The largest number of replicates of a top-up.
        budget: The number of replicates at which a command ends whose experiment declares `anytime`.
        pilot: Train without registering claims: no verdicts, and no seed is spent.
        report: Write the report.
        html: Write its page too, `report.html`, and keep it up while runs are trained.
        yes: Train more than 100,000 runs too.
        quiet: Print nothing.

    """

    results: Path = Path("results")
    device: str = "auto"
    executor: ExecutorName = "local"
    address: str | None = None
    workers: int | None = None
    threads: int = 1
    numerics: Numerics = "fast"
    data_dir: Path | None = None
    plugin_files: Sequence[Path] = ()
    rerun: Rerun | None = None
    fail_fast: bool = False
    until_decided: bool = False
    max_replicates: int | None = None
    budget: int | None = None
    pilot: bool = False
    report: bool = True
    html: bool = False
    yes: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "results", _folder("results", self.results))
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", _folder("data-dir", self.data_dir))
        object.__setattr__(self, "plugin_files", tuple(map(expanded, self.plugin_files)))
        for name, number in (
            ("workers", self.workers),
            ("threads", self.threads),
            ("max-replicates", self.max_replicates),
            ("budget", self.budget),
        ):
            if number is None and name != "threads":
                continue
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise InputError(f"--{name} must be a whole number of at least 1, got {number!r}")
        for name, word, words in (
            ("rerun", self.rerun, get_args(Rerun)),
            ("numerics", self.numerics, MODES),
            ("executor", self.executor, tuple(EXECUTORS)),
        ):
            if word not in words and not (word is None and name == "rerun"):
                raise InputError(f"--{name} must be one of {', '.join(words)}, got {word!r}")
        if why := provenance.refusal(self.numerics):
            raise InputError(why)
        if self.html and not self.report:
            raise InputError("--html is a page of the report, which --no-report leaves out: give one of them")
        if self.executor == "inline":
            Inline.check(self.numerics, on_gpu=self.on_gpu)
        if self.executor == "ray":
            ray_cluster.check_address(self.address)
        elif self.address is not None:
            raise InputError(f"--address needs --executor ray, got --executor {self.executor}")

    def connect(self) -> None:
        """Connect to the Ray cluster; nothing else needs to be."""
        if self.executor == "ray":
            cores = machine.cores()
            ray_cluster.connect(self.address, cores=max(cores, (self.workers or 1) * self.threads))

    @property
    def n_workers(self) -> int:
        """The number of workers, resolved."""
        if self.executor == "inline":
            return 1
        if self.executor == "ray":
            room = self._slots
            return min(self.workers or room, room)
        cores = max(1, machine.cores() // self.threads)
        return self.workers or (min(cores, WORKERS_PER_GPU) if self.on_gpu else cores)

    @property
    def on_gpu(self) -> bool:
        """Whether runs are trained on a GPU."""
        return self.device_name != "cpu"

    @property
    def device_name(self) -> str:
        """The device that a worker trains on, resolved; raises InputError for one that is not there."""
        if self.executor != "ray":
            return device_name(self.device)
        if self.device in ("auto", "cpu"):
            return "cpu"
        self.connect()
        if self.device != "cuda" or not ray_cluster.has_gpu():
            names = "auto, cpu or cuda" if ray_cluster.has_gpu() else "auto or cpu"
            raise InputError(
                f"--device must be {names} on the Ray cluster at {ray_cluster.address()}, got {self.device!r}"
            )
        return "cuda:0"  # Ray shows a worker no other

    @property
    def device_product(self) -> str:
        """The product name of that device, as rows of results have it."""
        if self.executor == "ray" and self.on_gpu:
            return ray_cluster.gpu_product()
        return device_product(self.device_name)

    @property
    def gpu_words(self) -> str:
        """Which GPU runs are trained on, whether `auto` chose it, and what is not known of it; empty where there is none."""
        if not self.on_gpu:
            return ""
        return gpu_words(self.device_name, self.device_product, is_chosen=self.device == "auto")

    @property
    def _slots(self) -> int:
        self.connect()
        return ray_cluster.slots(self.threads, self.on_gpu)

    @property
    def resources(self) -> Resources:
        """What plans go by."""
        return {"workers": self.n_workers, "memory": self.memory, "on_gpu": self.on_gpu}

    @property
    def memory(self) -> int:
        """The bytes that a stack may take in one worker."""
        if self.executor == "ray":
            self.connect()
            return int(ray_cluster.memory(self.threads, self.on_gpu) * MEMORY_SHARE)
        return int(machine.available_memory() * MEMORY_SHARE / self.n_workers)


def _folder(option: str, value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise InputError(f"--{option} must be a folder, got {value!r}")
    path = expanded(value)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"--{option} must be a path in UTF-8, got {str(path)!r}") from None
    if option == "results" and os.path.isfile(path):
        raise InputError(f"--{option} must be a folder, got the file {path}")
    found = obstacles.of_folder(path) if option == "results" else None
    if found is not None and not found.is_dangling:
        raise InputError(f"--{option} must be a folder, but {found.refusal}")
    return path


def environment(options: Options) -> dict[str, Any]:
    """Return the columns on which the bits of a run depend, as a run here with these options would have them."""
    libraries = provenance.gpu_libraries() if options.on_gpu else None
    here = {"env_numerics": options.numerics, "env_threads": options.threads, "env_gpu_libraries": libraries}
    return provenance.environment() | here | {"env_device": options.device_product}


def check_possible(precisions: Sequence[str], options: Options) -> None:
    """Refuse to train runs of some precisions here.

    Raises InputError where one needs another device than was asked for, and MachineError where torch is not installed.
    """
    if precisions:
        check_torch()
    wanted = set(precisions) if not options.on_gpu else set()
    for precision in GPU_PRECISIONS:
        if precision in wanted:
            raise InputError(f"precision {precision} needs a GPU, got the device cpu")
