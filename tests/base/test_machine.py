"""What a machine says of itself is found out in the way of its system, and what was written is on the disk."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from other_machines import GRAVITON

from mlpbench.base import machine
from mlpbench.base.environment import MODES, mode_here, refusal
from mlpbench.base.errors import InputError
from mlpbench.base.files import other_spelling, write_whole
from mlpbench.jobs.options import Options
from mlpbench.training.worker import blas_in

XEON = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)\nflags\t: avx2\n"
BIG_AND_LITTLE = GRAVITON + GRAVITON.replace("0xd40", "0xd05").replace(": 0", ": 1", 1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (XEON + XEON.replace("Xeon", "other"), "Intel(R) Xeon(R)"),
        (GRAVITON, "aarch64 implementer 0x41 part 0xd40 r1p1"),
        (BIG_AND_LITTLE, "aarch64 implementer 0x41 part 0xd05 and 0xd40 r1p1"),
        ("", "plain"),
        ("Hardware\t: board\n", "plain"),
    ],
)
def test_processors_that_round_differently_have_names_that_differ(
    text: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("platform.processor", lambda: "plain")
    assert machine.processor() == name


def test_free_memory_is_what_the_system_says_and_else_a_share_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"SC_PAGE_SIZE": 16384, "SC_AVPHYS_PAGES": 1000, "SC_PHYS_PAGES": 3000}

    def sysconf(name: str) -> int:
        if name not in said:
            raise ValueError("unrecognized configuration name")
        return said[name]

    monkeypatch.setattr(os, "sysconf", sysconf)
    monkeypatch.setattr(machine, "MEMORY_INFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:   777 kB\n")
    assert machine.available_memory() == 777 * 1024
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\n")
    assert machine.available_memory() == 1000 * 16384
    (tmp_path / "meminfo").unlink()
    assert machine.available_memory() == 1000 * 16384
    del said["SC_AVPHYS_PAGES"]
    assert machine.available_memory() == 3000 * 16384 // 2
    said["SC_PHYS_PAGES"] = -1
    assert machine.available_memory() == machine.SOME_MEMORY


def test_cores_are_those_that_may_be_used_where_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert machine.cores() == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


@pytest.mark.parametrize("fails", [None, errno.ENOTSUP, errno.EINVAL])
def test_every_sync_is_a_full_one_where_there_is_one_and_a_plain_one_where_it_fails(
    fails: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noting(name: str, number: int | None) -> Callable[..., int]:
        def noted(*_: Any) -> int:
            asked.append(name)
            if number is not None:
                raise OSError(number, os.strerror(number))
            return 0

        return noted

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", noting("full", fails))
    monkeypatch.setattr(os, "fsync", noting("plain", None))
    write_whole(tmp_path / "new" / "file", b"new")
    once = ["full"] if fails is None else ["full", "plain"]
    assert asked == 3 * once, "the folder above, the file, and its name"


@pytest.mark.parametrize(("name", "x86"), [("x86_64", True), ("AMD64", True), ("arm64", False), ("aarch64", False)])
def test_modes_that_choose_kernels_of_x86_are_of_x86_alone(
    name: str, x86: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: name)
    for mode in MODES:
        means_something = x86 or mode == "fast"
        assert mode_here(mode) == (mode if means_something else "fast")
        assert (refusal(mode) is None) == means_something
        if means_something:
            Options(numerics=mode)
        else:
            with pytest.raises(InputError, match=f"--numerics {mode} chooses kernels of x86-64 processors with AVX2"):
                Options(numerics=mode)


def test_a_folder_has_another_spelling_only_where_it_is_listed_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "width").mkdir()
    assert other_spelling(tmp_path / "width") is None
    assert other_spelling(tmp_path / "Width") is None  # it is not there
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert other_spelling(tmp_path / "Width") == "width"
    (tmp_path / "Width").mkdir()
    assert other_spelling(tmp_path / "Width") is None

    def refusing(_: Path) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", refusing)
    assert other_spelling(tmp_path / "Width") is None


def test_the_library_of_products_is_named_as_a_build_of_torch_names_it() -> None:
    mkl = "PyTorch built with:\n  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605 for x86\n"
    assert blas_in(f"{mkl}  - Build settings: BLAS_INFO=mkl, BUILD_TYPE=Release") == (
        "Intel(R) oneAPI Math Kernel Library Version 2024.2"
    )
    assert blas_in("  - Build settings: BLAS_INFO=accelerate, BUILD_TYPE=Release") == "Accelerate"
    assert blas_in("  - Build settings: BLAS_INFO=open, BUILD_TYPE=Release") == "OpenBLAS"
    assert blas_in("PyTorch built with:\n  - GCC 13\n") is None
