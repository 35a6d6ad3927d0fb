"""The list of experiments: runs, expected time, verdicts, question; quick, and without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from repository import ROOT

from mlpbench.cli.main import main
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs import listing
from mlpbench.jobs.inventory import take_inventory
from mlpbench.jobs.options import Options
from mlpbench.report.summary import Summary, read_summary
from mlpbench.results.store import Store

EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder of three experiments that ship: to read all of them takes seconds."""
    for name in ("baseline", "softmax", "width"):
        (tmp_path / "three").mkdir(exist_ok=True)
        shutil.copy(ROOT / "experiments" / f"{name}.yaml", tmp_path / "three")
    return tmp_path / "three"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["list", *map(str, arguments)], catch_exceptions=False)


def reported(results: Path, name: str, **verdicts: int) -> None:
    (results / name).mkdir(parents=True)
    summary = Summary.model_validate({"name": name, "question": "Does it?", "verdicts": verdicts})
    (results / name / "summary.json").write_bytes(summary.content)


def with_workers(number: int, path: Path) -> Any:
    """Return a case: all with two workers in `make test`, with other numbers a third of them in `make check`."""
    marks = (
        [] if number == 2 else [pytest.mark.slow if EXPERIMENTS.index(path) % 3 == number % 3 else pytest.mark.prove]
    )
    return pytest.param(number, path, id=f"{number}-{path.stem}", marks=marks)


@pytest.mark.parametrize(("workers", "path"), [with_workers(n, path) for n in (2, 1, 7) for path in EXPERIMENTS])
def test_the_time_is_what_a_plan_says_of_an_empty_folder(workers: int, path: Path, tmp_path: Path) -> None:
    options, experiment = Options(workers=workers), yaml_reader.read(path)
    summary = take_inventory(experiment, Store(tmp_path / "none"), options).summary(options)
    assert listing.expected_seconds(experiment, options) == summary.seconds


FOLDED = """\
name: folded
question: Which rate do folds choose?
dataset: fashion_mnist
validation: {folds: 3}
fixed: {train_size: 3000, epochs: 2}
factors: {width: [8, 64]}
nuisance: {lr: [0.1, 0.3]}
replicates: 4
"""


def test_folds_are_counted_with_one_refit_a_condition(tmp_path: Path) -> None:
    (tmp_path / "folded.yaml").write_text(FOLDED)
    options, experiment = Options(workers=2), yaml_reader.read(tmp_path / "folded.yaml")
    summary = take_inventory(experiment, Store(tmp_path / "none"), options).summary(options)
    assert listing.expected_seconds(experiment, options) == summary.seconds
    (row,) = listing.list_experiments([tmp_path], None, options)
    assert row.runs == summary.runs == 4 * (2 * 2 * 3 + 2)


@pytest.mark.slow
def test_verdicts_are_those_of_the_report(three: Path, tmp_path: Path) -> None:
    claims = len(yaml_reader.read(ROOT / "experiments" / "width.yaml").claims)
    reported(tmp_path, "width", undecided=claims - 2, supported=1, refuted=1)
    rows = json.loads(invoke(three, "--results", tmp_path, "--json").output)
    by_name = {row["name"]: row for row in rows}
    assert by_name["width"]["verdicts"] == {"supported": 1, "refuted": 1, "undecided": claims - 2}
    assert not by_name["width"]["older"]
    assert by_name["softmax"]["verdicts"] is None
    text = invoke(three, "--results", tmp_path).output
    assert f"1 supported, 1 refuted, {claims - 2} undecided\n" in text


def test_results_of_an_older_file_are_told_apart_and_broken_ones_do_not_stop_it(three: Path, tmp_path: Path) -> None:
    reported(tmp_path, "width", undecided=9)
    (tmp_path / "width" / "spec.yaml").write_text("name: [\n")
    (tmp_path / "softmax" / "summary.json").mkdir(parents=True)
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / "summary.json").write_bytes(b"\xff\xfe nothing")
    result = invoke(three, "--results", tmp_path)
    assert result.exit_code == 0
    assert "9 undecided (of an older file)" in result.output


@pytest.mark.parametrize(
    "every", [pytest.param(8, marks=pytest.mark.slow, id="some"), pytest.param(1, marks=pytest.mark.prove, id="all")]
)
def test_the_verdicts_of_real_results_are_those_the_claims_command_counts(every: int) -> None:
    """Of reference folders; that their summaries are those of their tables is seen of all of them where reports are."""
    folders = sorted(p.parent for p in (ROOT / "results" / "reference").glob("*/spec.yaml"))
    assert folders
    for folder in folders[::every]:
        name, summary = folder.name, read_summary(folder)
        assert summary is not None
        told = CliRunner().invoke(main, ["claims", str(ROOT / "results" / "reference" / name), "--json"])
        (rows,) = json.loads(told.output).values()
        counts = {v: sum(r["verdict"] == v for r in rows) for v in {r["verdict"] for r in rows}}
        assert summary.verdicts == counts


@pytest.mark.parametrize("written", ["[1,2]", '{"new": ["runs/x"]}', None])
def test_a_damaged_journal_is_named(written: str | None, three: Path, tmp_path: Path) -> None:
    """A pipe in its place is not waited for."""
    (tmp_path / "width").mkdir()
    journal = tmp_path / "width" / ".journal.json"
    if written is None:
        os.mkfifo(journal)
    else:
        journal.write_text(written)
    result = invoke(three, "--results", tmp_path)
    assert f"{journal} is damaged (" in result.stderr
    assert "width " in result.output


def test_no_line_is_longer_than_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(FOLDED.replace("Which rate", "Which of many rates and of many more " * 8))
    lines = invoke(tmp_path).output.splitlines() + invoke(ROOT / "experiments").output.splitlines()
    assert max(map(len, lines)) <= listing.WIDTH
    assert len([line for line in lines if line.startswith("    ")]) > len(EXPERIMENTS) + 2


@pytest.mark.parametrize("width", [50, 80])
def test_lines_fit_a_narrow_terminal_too(width: int) -> None:
    rows = listing.list_experiments([ROOT / "experiments"], None, Options(device="cpu"))
    lines = listing.text(rows, width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(any(line.startswith(row.name) for line in lines) for row in rows)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    assert invoke(tmp_path / "none").exit_code == 2
    assert invoke(ROOT / "experiments", "--results", tmp_path / "none").exit_code == 2
    assert invoke(tmp_path).output == ""


def measure_list(folder: Path) -> tuple[float, list[str]]:
    """Return how long a list of thirty-five experiments takes, in starts of a command, and the large packages it loads."""
    for i in range(35):
        source = EXPERIMENTS[i % len(EXPERIMENTS)].read_text()
        lines = [f"name: e{i}" if line.startswith("name:") else line for line in source.splitlines()]
        (folder / f"e{i}.yaml").write_text("\n".join(lines) + "\n")
    code = (
        "import sys, time; from mlpbench.cli.main import main\n"
        "start = time.process_time()\n"
        f"main(['list', {str(folder)!r}], standalone_mode=False)\n"
        "print(time.process_time() / start, *({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    starts, *loaded = done.stdout.splitlines()[-1].split()
    return float(starts), loaded


def test_it_loads_neither_torch_nor_pandas(tmp_path: Path) -> None:
    assert measure_list(tmp_path)[1] == []


@pytest.mark.slow
@pytest.mark.alone
def test_it_is_quick(tmp_path: Path) -> None:
    """Some twelve times what it takes to start a command, which loads next to nothing, and twice that where processors share a core."""
    assert measure_list(tmp_path)[0] < 24
