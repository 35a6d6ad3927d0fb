"""How to run: where results go, on what device, with how many workers, and what to train again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mlpbench.base import environment as provenance
from mlpbench.base.errors import InputError
from mlpbench.base.numerics import MODES, Numerics
from mlpbench.executors.executor import EXECUTORS, ExecutorName, device_name, device_product
from mlpbench.executors.inline import Inline

Rerun = Literal["failed", "stale", "all"]
# How much of the memory that is free the stacks in flight may take.
MEMORY_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run; raises InputError for one that can't be meant."""

    results: Path = Path("results")
    device: str = "auto"
    executor: ExecutorName = "local"
    workers: int | None = None
    threads: int = 1
    numerics: Numerics = "fast"
    data_dir: Path | None = None
    rerun: Rerun | None = None
    fail_fast: bool = False
    until_decided: bool = False
    max_replicates: int | None = None
    report: bool = True
    yes: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in ("results", "data_dir"):
            object.__setattr__(self, name, _folder(name, getattr(self, name)))
        for name, value in (("workers", self.workers), ("threads", self.threads)):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not whole and not (name == "workers" and value is None):
                raise InputError(f"--{name} must be a whole number of at least 1, got {value!r}")
        most = self.max_replicates
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise InputError(f"--max-replicates must be a whole number of at least 1, got {most!r}")
        for name, word, words in (
            ("rerun", self.rerun, (None, *get_args(Rerun))),
            ("numerics", self.numerics, MODES),
            ("executor", self.executor, tuple(EXECUTORS)),
        ):
            if word not in words:
                raise InputError(f"--{name} must be one of {', '.join(filter(None, words))}, got {word!r}")
        if self.executor == "inline":
            Inline.check(self.numerics)

    @property
    def n_workers(self) -> int:
        """The number of workers: by default one for each CPU core, fewer if each has several threads."""
        if self.executor == "inline":
            return 1
        return self.workers or max(1, len(os.sched_getaffinity(0)) // self.threads)

    @property
    def memory(self) -> int:
        """The bytes that a stack may take in one worker."""
        return int(_available_memory() * MEMORY_SHARE / self.n_workers)


def _folder(name: str, value: object) -> Path | None:
    option = "--" + name.replace("_", "-")
    if value is None and name == "data_dir":
        return None
    if not isinstance(value, str | Path) or not str(value):
        raise InputError(f"{option} must be a folder, got {value!r}")
    path = Path(value)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{option} must be a path in UTF-8, got {str(path)!r}") from None
    if name == "results" and path.exists() and not path.is_dir():
        raise InputError(f"{option} must be a folder, got the file {path}")
    return path


def environment(options: Options) -> dict[str, Any]:
    """Return the columns of what the bits of a run depend on, as a run here with these options would have them."""
    here = {
        "env_device": device_product(device_name(options.device)),
        "env_numerics": options.numerics,
        "env_threads": options.threads,
    }
    return provenance.environment() | here


def _available_memory() -> int:
    """Return the bytes that can be had without swapping: what only caches files counts as free."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
