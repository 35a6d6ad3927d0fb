"""Every command is documented, starts quickly and without torch, and says in its exit status how it went."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from blank_figures import blank_drawn
from click.testing import CliRunner, Result
from repository import ROOT

import mlpbench
from mlpbench.cli.main import main
from mlpbench.evidence.frames import records

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
SPEC = """\
name: tiny
question: Do two widths differ on 600 images?
dataset: fashion_mnist
fixed: {train_size: 600, epochs: 1}
factors: {width: [4, 8]}
replicates: 2
claims:
  - id: wider-is-better
    says: 8 units do better than 4.
    compare: {metric: test_accuracy, a: {width: 8}, b: {width: 4}, expect: greater}
"""


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "tiny.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def results(spec: Path, tmp_path_factory: pytest.TempPathFactory, in_process: None) -> Path:
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlpbench.report.report.Report._drawn", property(blank_drawn))  # it takes most of the time
        result = invoke("run", spec, "--results", folder)
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == f"report: {folder}/tiny/report.md"
    return folder


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_every_command_and_option_is_explained(path: tuple[str, ...], command: click.Command) -> None:
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option) and option.name != "help")
    assert max(map(len, result.output.splitlines())) <= 100
    assert "\\b" not in result.output, "a marker of click's that is meant for it, not for readers"


def cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_lists_every_command_once_each_on_a_line() -> None:
    """In the order of use; documentation has them in it too."""
    text = invoke("--help").output.partition("Begin:")[2]
    of_sections = re.findall(r"^  ([a-z]+)  +(\S.*)$", text, flags=re.MULTILINE)
    assert sorted(name for name, _ in of_sections) == sorted(main.commands)
    assert [name for name, _ in of_sections] == main.list_commands(click.Context(main))
    assert max(map(len, text.splitlines())) <= 60


def test_help_takes_less_than_half_a_second() -> None:
    """The fastest of five starts, by the processor's time: the machine may be busy with something else."""
    seconds = []
    for _ in range(5):
        began = cpu_seconds_of_children()
        subprocess.run([sys.executable, "-m", "mlpbench", "--help"], check=True, capture_output=True)
        seconds.append(cpu_seconds_of_children() - began)
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    "command",
    [
        *("--help", "plan SPEC"),
        *(pytest.param(c, marks=pytest.mark.slow) for c in ("list FOLDER", "report DONE", "claims DONE", "data list")),
    ],
)
def test_only_training_loads_torch(command: str, spec: Path, results: Path) -> None:
    places = {"SPEC": spec, "FOLDER": spec.parent, "DONE": results / "tiny"}
    arguments = [str(places.get(word, word)) for word in command.split()]
    check = (
        "import sys; from mlpbench.cli.main import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "sys.exit(sum(m in sys.modules for m in ('torch', 'torchvision')))"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["--version", "--help", "run --help", "schema", "data list"])
def test_a_device_that_is_full_is_a_system_error(arguments: str) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "mlpbench", *arguments.split()]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 3
    assert ran.stderr == "mlpbench: system error: [Errno 28] No space left on device\n"


@pytest.mark.slow
def test_a_run_that_is_not_on_a_terminal_shows_no_progress_and_can_be_piped(spec: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mlpbench",
        "run",
        str(spec),
        "--results",
        str(tmp_path),
        "--no-report",
        "--workers",
        "1",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert "\r" not in result.stdout
    assert "\x1b" not in result.stdout
    assert "tiny: 4 runs, 4 trained now" in result.stdout


@pytest.mark.slow
def test_a_run_on_a_terminal_shows_runs_done_rate_and_time_left(spec: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mlpbench", "run", str(spec), "--results", str(tmp_path), "--no-report"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    process.communicate()
    text = seen.decode()
    assert "tiny: 0/4 runs, workers are starting" in text
    assert re.search(r"tiny: 100%\|.*\| 4/4 runs, (?:[0-9.e+]+ runs/min, )?elapsed 0:\d\d, ETA 0:00", text)


def test_quiet_prints_nothing(spec: Path, results: Path) -> None:
    result = invoke("run", spec, "--results", results, "--quiet", "--no-report")
    assert (result.exit_code, result.output) == (0, "")


def test_a_plan_counts_what_is_done_and_what_is_missing(spec: Path, results: Path) -> None:
    facts = json.loads(invoke("plan", spec, "--results", results, "--json", "--set", "replicates=5").stdout)
    assert {k: facts[k] for k in ("conditions", "runs", "done", "missing", "failed", "stale")} == {
        "conditions": 2,
        "runs": 10,
        "done": 4,
        "missing": 6,
        "failed": 0,
        "stale": 0,
    }
    assert facts["flops"] > 0
    text = invoke("plan", spec, "--results", results).stdout
    labels = {"flops": "FLOPs", "seconds": "expected", "bytes_per_worker": "memory"}
    *counted, claim = text.splitlines()
    assert [line.split()[0] for line in counted] == [labels.get(k, k.split("_")[0]) for k in facts if k != "claims"]
    formula, detected = claim.partition(": ")[2].split("; ")
    assert facts["claims"] == {claim.split()[1].rstrip(":"): formula}
    assert (
        detected
        == f"detects {json.loads(invoke('plan', spec, '--json').stdout)['detectable']['sd']['wider-is-better']:.2g} sd"
    )
    assert claim.startswith("claim wider-is-better: test_accuracy: ")


def test_a_plan_says_by_which_replicates_settings_are_tuned(spec: Path, tmp_path: Path) -> None:
    tuned = "experiments/width_tuned.yaml"
    rule = "Tuned in each replicate by those before it, so that the first is not judged: lr."
    assert json.loads(invoke("plan", tuned, "--results", tmp_path, "--json").stdout)["tuning"] == rule
    assert rule in invoke("plan", tuned, "--results", tmp_path).stdout
    assert "tuning" not in json.loads(invoke("plan", spec, "--results", tmp_path, "--json").stdout)


def test_a_plan_writes_nothing(spec: Path, tmp_path: Path) -> None:
    assert invoke("plan", spec, "--results", tmp_path / "none").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_of_claims_is_text_or_json(results: Path) -> None:
    ledger: dict[str, list[dict[str, Any]]] = json.loads(invoke("claims", results / "tiny", "--json").stdout)
    (claim,) = ledger["tiny"]
    assert claim["id"] == "wider-is-better"
    assert claim["verdict"] in ("supported", "refuted", "undecided", "equivalent")
    assert claim["verdict"] in invoke("claims", results / "tiny").stdout
    (row,) = records(mlpbench.load(results / "tiny").claims)
    assert {k: claim[k] for k in ("estimate", "low", "p", "sd")} == {k: row[k] for k in ("estimate", "low", "p", "sd")}


def test_the_ledger_covers_all_results_by_default(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "results").symlink_to(results)
    monkeypatch.chdir(tmp_path)
    assert invoke("claims").stdout == invoke("claims", "results/tiny").stdout


@pytest.mark.slow
def test_a_report_is_rendered_again_to_the_same_bytes(results: Path) -> None:
    files = sorted(p for p in (results / "tiny").rglob("*") if p.suffix in (".md", ".png"))
    assert files
    made = []
    for _ in range(2):
        for p in files:
            p.unlink()
        assert invoke("report", results / "tiny").exit_code == 0
        made.append({p: p.read_bytes() for p in files})
    assert made[0] == made[1]


def test_what_ships_is_listed_with_its_question(spec: Path) -> None:
    head, question = invoke("list", spec.parent).stdout.splitlines()
    assert head.split() == ["tiny", "4", "runs", "about", "0", "s"]
    assert question.strip() == "Do two widths differ on 600 images?"


def test_data_is_fetched_once_and_listed() -> None:
    assert invoke("data", "fetch", "fashion_mnist").exit_code == 0
    assert "here" in invoke("data", "list").stdout


def test_a_failed_run_is_told_by_exit_status_1(spec: Path, tmp_path: Path) -> None:
    claimless = SPEC.partition("claims:")[0]
    path = tmp_path / "wide.yaml"
    path.write_text(claimless)
    result = invoke("run", path, "--results", tmp_path, "--set", "width=1000000000", "--no-report", "--workers", "1")
    assert result.exit_code == 1
    assert "2 failed" in result.output


@pytest.mark.slow
def test_output_that_cannot_be_written_ends_with_3(results: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "mlpbench", "claims", str(results / "tiny")]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 3
    assert result.stderr.startswith("mlpbench: system error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_run_without_standard_error_trains(spec: Path, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m mlpbench run {spec} --results {tmp_path} --no-report --workers 1 2>&-"
    assert subprocess.run(command, shell=True, stdout=subprocess.DEVNULL).returncode == 0
    assert len(list((tmp_path / "tiny" / "runs").glob("*.parquet"))) == 1


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdin", marks=pytest.mark.slow)])
def test_a_spec_may_be_a_pipe(name: str, spec: Path, results: Path) -> None:
    command = [sys.executable, "-m", "mlpbench", "run", name, "--results", str(results), "--no-report"]
    result = subprocess.run(command, input=spec.read_text(), capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "0 trained now" in result.stdout


def test_paths_of_a_spec_on_standard_input_start_at_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("a,y\n" + "".join(f"{i % 5},{'pq'[i % 2]}\n" for i in range(20)))
    text = SPEC.partition("claims:")[0].replace("fashion_mnist", "{file: own.csv, target: y}").replace("600,", "10,")
    command = [sys.executable, "-m", "mlpbench", "plan", "-", "--json"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["runs"] == 4


def test_a_ledger_without_results_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no results in results/ yet" in invoke("claims").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_as_the_tutorial_says(shell: str) -> None:
    assert f"_MLPBENCH_COMPLETE={shell}_source" in TUTORIAL or f"`{shell}_source`" in TUTORIAL

    made = CliRunner().invoke(main, [], prog_name="mlpbench", env={"_MLPBENCH_COMPLETE": f"{shell}_source"})
    assert "_MLPBENCH_COMPLETE" in made.stdout
    asked = {
        "_MLPBENCH_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "mlpbench pl",
        "COMP_CWORD": "pl" if shell == "fish" else "1",
    }
    offered = CliRunner().invoke(main, [], prog_name="mlpbench", env=asked)
    assert "plan" in offered.stdout
