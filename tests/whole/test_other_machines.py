"""On macOS and on Linux on ARM the same commands give the same tables; on Windows they say at once where they can be run.

The machines are this one with what they lack taken away (other_machines.py): so numbers must have the same bits.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from other_machines import ARM, BARE_MAC, MAC, WINDOWS, Done, Elsewhere, Machine
from repository import EXPERIMENTS
from table_equality import same_tables

import mlpbench

SPEC: dict[str, Any] = {
    "name": "anywhere",
    "question": "Does it give the same numbers?",
    "dataset": "digits",
    "validation": 0.2,
    "save_weights": True,
    "fixed": {"epochs": 2, "norm": "batch", "optimizer": "adam", "lr": 0.01, "dropout": 0.2},
    "factors": {"width": [8, 40]},
    "replicates": 2,
    "claims": [
        {
            "id": "wider",
            "says": "Wider is better.",
            "compare": {"metric": "test_accuracy", "a": {"width": 40}, "b": {"width": 8}, "expect": "greater"},
        }
    ],
}
ASK = """
import json
from mlpbench.base import environment, machine
facts = {"cpu": environment.environment()["env_cpu"], "driver": environment.gpu_driver()}
print(json.dumps(facts | {"cores": machine.cores(), "memory": machine.available_memory()}))
"""


def ended(done: Done, status: int = 0) -> str:
    assert done.status == status, done.err + done.out
    assert "Traceback" not in done.err
    return done.out


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "anywhere.yaml"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.fixture(scope="module")
def here(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of this machine."""
    results = tmp_path_factory.mktemp("here")
    mlpbench.run(spec, results=results, executor="inline", report=False)
    return results / "anywhere"


@pytest.mark.parametrize("machine", [MAC, BARE_MAC, ARM], ids=lambda m: m.name)
def test_what_is_not_said_is_found_out_otherwise(machine: Machine, tmp_path: Path) -> None:
    facts = json.loads(ended(Elsewhere(machine, tmp_path).python("-c", ASK)))
    assert facts["cpu"] == machine.processor
    assert facts["driver"] is None
    assert facts["cores"] >= 1
    assert facts["memory"] > 2**26


@pytest.mark.parametrize("machine", [MAC, ARM], ids=lambda m: m.name)
def test_a_plan_is_made_and_a_mode_of_other_processors_is_refused(machine: Machine, spec: Path, tmp_path: Path) -> None:
    elsewhere = Elsewhere(machine, tmp_path)
    facts = json.loads(ended(elsewhere.mlpbench("plan", spec, "--results", tmp_path / "r", "--json")))
    assert (facts["runs"], facts["missing"]) == (4, 4)
    assert facts["workers"] >= 1
    command = ("plan", spec) if machine is ARM else ("run", spec, "--quiet")
    refused = elsewhere.mlpbench(*command, "--results", tmp_path / "r", "--numerics", "portable")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        "mlpbench: --numerics portable chooses kernels of x86-64 processors with AVX2, and this one is "
        f"{machine.processor}: leave it out; `fast` gives the same bits on this kind of processor, and no mode has those "
        "of x86-64 here\n"
    )
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
@pytest.mark.parametrize("machine", [MAC, pytest.param(ARM, marks=pytest.mark.prove)], ids=lambda m: m.name)
def test_all_that_is_done_with_an_experiment_is_done_there_with_the_same_bits(
    machine: Machine, spec: Path, here: Path, tmp_path: Path
) -> None:
    elsewhere = Elsewhere(machine, tmp_path, draws=machine is ARM)
    results = tmp_path / "results"
    done = elsewhere.mlpbench("run", spec, "--results", results, "--workers", 1)
    assert "anywhere: 4 runs, 4 trained now\n" in ended(done)
    folder = results / "anywhere"
    runs = pd.read_parquet(folder / "runs")
    assert set(runs["env_cpu"]) == {machine.processor}
    assert set(runs["env_numerics"]) == {"fast"}
    same_tables(folder, here, but=("env_cpu",))
    assert ended(elsewhere.mlpbench("run", spec, "--results", results)).startswith("anywhere: all 4 runs are done\n")
    assert machine.processor in (folder / "report.md").read_text()
    assert ended(elsewhere.mlpbench("report", folder)) == f"report: {folder / 'report.md'}\n"
    assert "wider" in ended(elsewhere.mlpbench("claims", folder))
    verified = ended(elsewhere.mlpbench("verify", folder, "--all", "--workers", 1))
    assert verified == "anywhere: 4 of 4 runs trained again, alone: 4 identical\n"
    assert "    4 runs identical\n" in ended(elsewhere.mlpbench("diff", folder, here))
    run_id = runs["run_id"].iloc[0]
    ended(elsewhere.mlpbench("export", run_id, tmp_path / "w.safetensors", "--results", results))
    assert (tmp_path / "w.safetensors").stat().st_size > 1000
    if machine is MAC:
        for command in (("merge", folder, here, "-o", tmp_path / "both"), ("trim", folder), ("index", results)):
            ended(elsewhere.mlpbench(*command))


@pytest.mark.slow
def test_runs_of_a_mode_that_means_nothing_there_are_compared_within_tolerance_and_left_alone(
    spec: Path, tmp_path: Path
) -> None:
    """Their bits can't be had: they are trained in the mode there is, said to be of another, and stale to `run`."""
    plain: dict[str, Any] = {"norm": "none", "optimizer": "sgd"}  # where rounding stays small
    mlpbench.run(spec, results=tmp_path / "r", workers=1, numerics="universal", report=False, **plain)
    elsewhere = Elsewhere(ARM, tmp_path)
    folder = tmp_path / "r" / "anywhere"
    out = ended(elsewhere.mlpbench("verify", folder, "--all", "--workers", 1))
    assert out.startswith("anywhere: 4 of 4 runs trained again, alone: 4 within tolerance\n")
    assert out.endswith("trained with another numerics than here: the bits may differ\n")
    again = ended(elsewhere.mlpbench("run", folder / "spec.yaml", "--results", tmp_path / "r", "--no-report"))
    assert "4 runs are stale: they were trained with another numerics" in again
    assert set(pd.read_parquet(folder / "runs")["env_numerics"]) == {"universal"}


@pytest.mark.slow
def test_what_is_said_to_be_written_is_out_of_the_cache_of_a_disk_that_may_keep_it(spec: Path, tmp_path: Path) -> None:
    """On macOS F_FULLFSYNC does what fsync does elsewhere: every sync of ours is one."""
    done = Elsewhere(MAC, tmp_path).mlpbench("run", spec, "--results", tmp_path / "r", "--quiet", "--workers", 1)
    ended(done)
    assert done.asked.count("full_sync") > 20
    assert done.asked.count("fsync") == 0


@pytest.mark.parametrize("machine", [MAC, ARM], ids=lambda m: m.name)
def test_a_table_is_described_there_as_here(machine: Machine, tmp_path: Path) -> None:
    elsewhere = Elsewhere(machine, tmp_path)
    table = EXPERIMENTS / "own_data" / "penguins.csv"
    described = ended(elsewhere.mlpbench("data", "describe", table, "--set", "target=body_mass_g"))
    assert "body_mass_g" in described


def test_windows_is_told_at_once_where_the_commands_run(spec: Path, tmp_path: Path) -> None:
    elsewhere = Elsewhere(WINDOWS, tmp_path)
    for command in (("run", spec), ("--help",), ()):
        done = elsewhere.mlpbench(*command)
        assert (done.status, done.out) == (3, "")
        assert done.err == f"mlpbench: {mlpbench.WINDOWS}\n"
        assert "WSL" in done.err
    script = elsewhere.python("-c", "import mlpbench; print(1); mlpbench.run")
    assert (script.status, script.out) == (1, "1\n")
    assert script.err.endswith(f"ImportError: {mlpbench.WINDOWS}\n")


@pytest.mark.slow
def test_names_that_differ_in_capitals_alone_do_not_share_a_folder_where_capitals_make_no_difference(
    spec: Path, here: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(here, results / "anywhere")
    command = ("run", spec, "--results", results, "--set", "name=Anywhere")
    refused = Elsewhere(MAC, tmp_path).mlpbench(*command)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        f"mlpbench: capitals make no difference to the file system of {results}: Anywhere would be written into the folder of "
        "anywhere; another --results or --set name=... keeps experiments apart\n"
    )
    same_tables(results / "anywhere", here)
