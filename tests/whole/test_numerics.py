"""How far the bits carry: what a mode promises holds on other processors, and workers are really in it.

`make check` compares the weights of every run of portable_runs.py in mode universal with those that universal_weights.json
has from one processor, with one version of torch. `make prove` trains them on emulated processors too. The emulator is
qemu's user mode, from PATH or out of Debian's archive; it has no AVX-512, so that what a mode does on a processor that has
it shows where the tests run on one.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
import torch
from repository import HELPERS, ROOT

import mlpbench
from mlpbench.base.environment import MODES, VARIABLES, Numerics, differences, environment, variables
from mlpbench.data.dataset import Dataset
from mlpbench.data.named.named_data import unpacked
from mlpbench.data.named.named_files import FilesError
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import train_stack
from mlpbench.training.parameter_updates import root

NATIVE = "native"
UNIVERSAL_WEIGHTS = Path(__file__).with_name("universal_weights.json")
# The first one with AVX2, a later one, and one of another maker.
HASWELL, SKYLAKE, EPYC = "Haswell", "Skylake-Client", "EPYC"
# On some releases the second one needs libraries beside it; on later ones it has the static program.
PACKAGES = ("qemu-user-static", "qemu-user")
PROGRAMS = ("qemu-x86_64", "qemu-x86_64-static")
FIRST_WITH_AVX2 = (7, 2)
LIMIT_S = 5400
# Four runs on emulated processors, two at a time.
patient = pytest.mark.timeout(2 * LIMIT_S + 600)

Digests = dict[str, dict[str, str]]


def proof(*jobs: tuple[Numerics, str], emulator: Path | None = None, runs: tuple[str, ...] = ()) -> list[Digests]:
    """Train the runs of portable_runs.py on each job's processor and in its mode, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: digests(job[0], job[1], emulator, runs), jobs))


def digests(mode: Numerics, model: str, emulator: Path | None, runs: tuple[str, ...]) -> Digests:
    emulated = [] if model == NATIVE else [str(emulator), "-cpu", model]
    command = [*emulated, sys.executable, str(HELPERS / "portable_runs.py"), *runs]
    # qemu's user mode dies of a race between threads now and then: the same command runs to its end when tried again.
    told = json.loads(started(command, mode, attempts=2 if emulated else 1))
    assert told["capability"] == ("AVX2" if mode != "fast" else torch.backends.cpu.get_cpu_capability())
    found: Digests = told["digests"]
    return found


def started(command: list[str], mode: Numerics, *, attempts: int = 1) -> str:
    """Run a command as a worker of that mode is started and return what it prints; again if a signal ended it."""
    kept = {name: value for name, value in os.environ.items() if name not in variables(mode, 1)}
    set_here = {name: value for name, value in variables(mode, 1).items() if value is not None}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = kept | set_here | {"PYTHONPATH": path}
    for _ in range(attempts):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode >= 0:
            break
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def unlike(a: Digests, b: Digests) -> dict[str, list[str]]:
    """Name the runs that differ, and in what."""
    assert a.keys() == b.keys()
    return {name: [t for t in a[name] if a[name][t] != b[name][t]] for name in a if a[name] != b[name]}


@pytest.fixture(scope="module")
def emulator() -> Path:
    """A program that runs this Python on an emulated processor."""
    if platform.machine() != "x86_64":
        pytest.skip(f"needs an x86-64 processor to emulate others on, got {platform.machine()}")
    on_path = (shutil.which(name) for name in PROGRAMS)
    kept = sources_cache() / "qemu"
    for program in (*(Path(p) for p in on_path if p), *(kept / name for name in PROGRAMS)):
        if has_avx2(program):
            return program
    try:
        return downloaded(kept)
    except FilesError as error:
        pytest.skip(f"needs qemu-x86_64 {'.'.join(map(str, FIRST_WITH_AVX2))} or later on PATH or from Debian: {error}")


def sources_cache() -> Path:
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "mlpbench"


def downloaded(kept: Path) -> Path:
    """Put the emulator out of Debian's archive into the folder, whole or not at all."""
    why = "no package has it"
    for package in PACKAGES:
        private = kept / f".{uuid4().hex}"
        private.mkdir(parents=True)
        try:
            files = unpacked(package, private)
            for program in (files / "usr/bin" / name for name in PROGRAMS):
                if has_avx2(program):
                    return program.resolve().replace(kept / program.name)
            why = f"{package} has none that runs here"
        except FilesError as error:
            why = str(error)
        finally:
            shutil.rmtree(private)
    raise FilesError(why)


def has_avx2(program: Path) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    version = re.search(r"version (\d+)\.(\d+)", done.stdout)
    return version is not None and tuple(map(int, version.groups())) >= FIRST_WITH_AVX2


@pytest.fixture(scope="module")
def proved(emulator: Path) -> dict[tuple[Numerics, str], Digests]:
    jobs: list[tuple[Numerics, str]] = [
        *(("portable", HASWELL), ("universal", EPYC), ("portable", SKYLAKE), ("universal", HASWELL)),
        *(("universal", NATIVE), ("portable", NATIVE)),
    ]
    return dict(zip(jobs, proof(*jobs, emulator=emulator), strict=True))


@patient
@pytest.mark.prove
@pytest.mark.parametrize("model", [HASWELL, EPYC])
def test_universal_runs_are_the_same_here_and_on_processors_of_intel_and_amd(
    model: str, proved: dict[tuple[Numerics, str], Digests]
) -> None:
    assert unlike(proved["universal", model], proved["universal", NATIVE]) == {}


@patient
@pytest.mark.prove
def test_portable_runs_are_the_same_on_intels_processors(proved: dict[tuple[Numerics, str], Digests]) -> None:
    assert unlike(proved["portable", HASWELL], proved["portable", SKYLAKE]) == {}
    if "Intel" in environment()["env_cpu"]:
        assert unlike(proved["portable", HASWELL], proved["portable", NATIVE]) == {}


@patient
@pytest.mark.prove
def test_emulated_processors_show_what_a_mode_does_not_reach(
    emulator: Path, proved: dict[tuple[Numerics, str], Digests]
) -> None:
    name = "wide, sgd, float32"
    (amd,) = proof(("portable", EPYC), emulator=emulator, runs=(name,))
    assert amd[name]["weights"] != proved["portable", HASWELL][name]["weights"]
    assert proved["universal", HASWELL][name]["weights"] != proved["portable", HASWELL][name]["weights"]


@pytest.mark.slow
def test_universal_runs_have_the_weights_that_are_on_record() -> None:
    """A change of these is a change of results that users have: it raises NUMERICS_VERSION, and is meant.

    The record is by `run_id`: rows of the oracle may come and go. `python tests/helpers/portable_runs.py`, started with the
    variables of the mode, prints the weights of all runs.
    """
    recorded = json.loads(UNIVERSAL_WEIGHTS.read_text())
    if recorded["torch"] != torch.__version__:
        pytest.skip(f"the weights on record are of torch {recorded['torch']}, this is {torch.__version__}")
    if platform.machine() != "x86_64":
        pytest.skip(f"mode universal is of x86-64 processors, this is {platform.machine()}")
    found = digests("universal", NATIVE, None, ())
    weights = {name: recorded["weights"].get(of_run["run_id"], "") for name, of_run in found.items()}
    assert [name for name in found if weights[name] not in ("", found[name]["weights"])] == []
    assert sum(map(bool, weights.values())) > 0.9 * len(found), "nearly all runs are on record"


ROOTS = """
import json, numpy, torch
from mlpbench.training.parameter_updates import root
drawn = numpy.random.default_rng(3).random((3, 4096)) * 9
drawn[0, :3] = 0, numpy.inf, numpy.nan
x = [torch.from_numpy(drawn.astype(t)) for t in (numpy.float32, numpy.float64)]
print(json.dumps([numpy.array_equal(root(part).numpy(), numpy.sqrt(part.numpy()), equal_nan=True) for part in x]))
"""


@pytest.mark.slow
def test_roots_are_those_of_ieee_754_where_bits_carry_and_torchs_own_elsewhere() -> None:
    modes: tuple[Numerics, ...] = ("universal", "portable") if "Intel" in environment()["env_cpu"] else ("universal",)
    for mode in modes:
        assert json.loads(started([sys.executable, "-c", ROOTS], mode)) == [True, True]
    x = torch.from_numpy(np.random.default_rng(3).random(4096) * 9)
    assert torch.equal(root(x), x.sqrt())


SPEC: dict[str, Any] = {
    "name": "modes",
    "question": "Which kernels were these?",
    "dataset": "fashion_mnist",
    "fixed": {"width": 16, "train_size": 500, "epochs": 2, "optimizer": "adam", "lr": 0.01},
    "replicates": 2,
}
# What a user may have set for other programs.
USERS = {
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "default",
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_CORETYPE": "Prescott",
}


def weights(frame: pd.DataFrame) -> dict[str, str]:
    return dict(zip(frame["run_id"], frame["weights_sha256"], strict=True))


def test_workers_have_their_modes_kernels_whatever_the_users_environment_says(
    fashion: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = grid.runs(yaml_reader.from_mapping(SPEC))
    here = {
        row["run_id"]: row["weights_sha256"] for row in train_stack(runs, DeviceData(fashion, torch.device("cpu"))).runs
    }
    for name, value in USERS.items():
        monkeypatch.setenv(name, value)
    fast = mlpbench.run(SPEC, results=tmp_path, workers=1, report=False)
    assert set(fast.runs["env_numerics"]) == {"fast"}
    assert set(fast.runs["env_capability"]) == {torch.backends.cpu.get_cpu_capability()}
    assert weights(fast.runs) == here
    assert {name: os.environ[name] for name in USERS} == USERS

    stale = mlpbench.run(SPEC, results=tmp_path, workers=1, report=False, numerics="universal")
    assert stale.trained == 0
    again = mlpbench.run(SPEC, results=tmp_path, workers=1, report=False, numerics="universal", rerun="stale")
    assert again.trained == 2
    assert set(again.runs["env_numerics"]) == {"universal"}
    assert set(again.runs["env_capability"]) == {"AVX2"}
    assert all(digest != here[run_id] for run_id, digest in weights(again.runs).items())
    assert (
        mlpbench.run(SPEC, results=tmp_path, workers=1, report=False, numerics="universal", rerun="stale").trained == 0
    )


INTEL, OTHER_INTEL, AMD, OTHER_AMD = "Intel(R) Xeon(R) Gold", "Intel(R) Core(TM) i7", "AMD EPYC", "AMD Ryzen 9"


def made_on(cpu: str, mode: str = "fast", **other: Any) -> dict[str, Any]:
    row = {"env_device": "cpu", "env_numerics": mode, "env_threads": 1, "env_torch": "2.13.0", "env_cpu": cpu}
    return row | {f"env_{what}": value for what, value in other.items()}


@pytest.mark.parametrize(
    ("row", "here", "expected"),
    [
        (made_on(INTEL), made_on(INTEL), []),
        (made_on(INTEL), made_on(OTHER_INTEL), ["processor"]),
        (made_on(INTEL, "portable"), made_on(OTHER_INTEL, "portable"), []),
        (made_on(INTEL, "portable"), made_on(AMD, "portable"), ["processor"]),
        (made_on(AMD, "portable"), made_on(INTEL, "portable"), ["processor"]),
        (made_on(AMD, "portable"), made_on(OTHER_AMD, "portable"), ["processor"]),
        (made_on(AMD, "portable"), made_on(AMD, "portable"), []),
        (made_on(INTEL, "universal"), made_on(AMD, "universal"), []),
        (made_on(INTEL, "portable"), made_on(INTEL, "universal"), ["numerics"]),
        (made_on(INTEL, "portable"), made_on(AMD, "fast"), ["numerics"]),
        (made_on(INTEL, threads=2), made_on(INTEL), ["thread count"]),
        (made_on(INTEL, torch="2.12.0"), made_on(INTEL), ["torch"]),
        (made_on(INTEL, "universal", torch="2.12.0"), made_on(AMD, "universal"), ["torch"]),
        (made_on(INTEL, device="NVIDIA A100"), made_on(INTEL), ["device"]),
        (made_on(INTEL, device="NVIDIA A100"), made_on(AMD, device="NVIDIA A100"), []),
    ],
)
def test_what_makes_a_stored_run_stale(row: dict[str, Any], here: dict[str, Any], expected: list[str]) -> None:
    assert list(differences(row, here)) == expected


def test_a_mode_sets_or_removes_every_variable_that_any_mode_has() -> None:
    names = {name for mode in MODES for name in VARIABLES[mode]}
    for mode in MODES:
        has = variables(mode, 3)
        assert names <= has.keys()
        assert {name: has[name] for name in names} == dict.fromkeys(names) | dict(VARIABLES[mode])
        assert has["OMP_NUM_THREADS"] == has["MKL_NUM_THREADS"] == has["OPENBLAS_NUM_THREADS"] == "3"
