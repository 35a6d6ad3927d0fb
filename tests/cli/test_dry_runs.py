"""What would be done is said and nothing is written; verdicts that have changed against what is stored are an exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from arithmetic_folders import make_folder
from click.testing import CliRunner, Result

from mlpbench.cli.main import main
from mlpbench.report.summary import read_summary

TREE = {
    "name": "d",
    "question": "Which?",
    "dataset": "digits",
    "factors": {"width": [8, 16]},
    "replicates": 4,
    "claims": [{"id": "c", "says": "It is so.", "bound": {"metric": "test_accuracy", "above": 0.5}}],
}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(TREE, tmp_path_factory.mktemp("results"))
    assert invoke("report", str(folder)).exit_code == 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "results" / "d")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("run d --dry-run", "d: 0 runs would be trained, about 0 s"),
        ("run d --dry-run --rerun all", "d: 8 runs would be trained, 8 of them again, whose rows are replaced"),
        ("run d --dry-run --set replicates=6", "d: 4 runs would be trained, "),
        ("trim d --dry-run", "results/d: runs: 8 kept, 0 would be removed"),
        ("merge d other -o new --dry-run", "8 runs were in several, with the same results"),
    ],
)
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(here: Path, command: str, says: str) -> None:
    shutil.copytree("results/d", "other")
    before = content(here)
    result = invoke(*command.split())
    assert result.exit_code == 0, result.output
    assert says in result.stdout
    assert result.stdout.endswith("nothing was written (--dry-run)\n")
    assert content(here) == before


def test_a_dry_trim_counts_what_a_trim_removes(here: Path) -> None:
    def counts(text: str) -> list[str]:
        return [line.partition(";")[0].replace("would be ", "") for line in text.splitlines() if " kept, " in line]

    dry = counts(invoke("trim", "d", "--dry-run").stdout)
    assert dry == counts(invoke("trim", "d").stdout)
    assert len(dry) == 4


def test_verdicts_that_are_as_stored_are_checked_with_status_0(here: Path) -> None:
    result = invoke("claims", "d", "--check")
    assert (result.exit_code, result.stdout) == (0, "d: 1 verdict as stored\n")


def test_a_verdict_that_has_changed_against_what_is_stored_is_status_1(here: Path) -> None:
    folder = Path("results/d")
    summary = read_summary(folder)
    assert summary is not None
    (answer,) = summary.answers
    other = "refuted" if answer.verdict != "refuted" else "supported"
    gone = answer.model_copy(update={"id": "gone"})
    altered = summary.model_copy(update={"answers": (answer.model_copy(update={"verdict": other}), gone)})
    (folder / "summary.json").write_bytes(altered.content)
    result = invoke("claims", "d", "--check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"d: c was {other}, is {answer.verdict}",
        f"d: gone was {answer.verdict}, is no claim of it any more",
    ]
    assert json.loads(invoke("claims", "d", "--check", "--json").stdout) == {"d": result.stdout.splitlines()}
    (folder / "summary.json").unlink()
    assert "no verdicts are stored: `mlpbench report results/d` writes them" in invoke("claims", "d", "--check").stdout
