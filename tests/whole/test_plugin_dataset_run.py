"""Data sets of plugins from the command line: their code is run once, by `run` or `check`, and by no other command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SOURCE = """\
import mlpbench
import numpy as np

with open({mark!r}, "a") as file:
    file.write("run")

@mlpbench.dataset
def moons():
    rng = np.random.default_rng(0)
    angle, upper = rng.uniform(0, np.pi, 120), np.arange(120) % 2
    x = np.stack([np.cos(angle) + upper, (1 - 2 * upper) * np.sin(angle)], 1)
    return x + rng.normal(0, 0.2, x.shape), upper
"""
SPEC = """\
name: made
question: Does it?
dataset: moons
plugins: [pieces.py]
fixed: {epochs: 2, batch_size: 20}
factors: {width: [4, 8]}
replicates: 2
claims:
  - {id: c, says: So., compare: {metric: test_loss, a: {width: 8}, b: {width: 4}, expect: less}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment with a data set of its own, whose code leaves a mark, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLPBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pieces.py").write_text(SOURCE.format(mark=str(tmp_path / "mark")))
    (tmp_path / "made.yaml").write_text(SPEC)
    return tmp_path


def invoke(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == status, result.output + result.stderr
    return result


def marks(folder: Path) -> int:
    mark = folder / "mark"
    times = mark.read_text().count("run") if mark.exists() else 0
    mark.unlink(missing_ok=True)
    return times


def run(*more: str) -> str:
    return invoke("run", "made.yaml", "--executor", "inline", *more).output


def test_the_code_is_run_once_by_run_alone(folder: Path) -> None:
    message = invoke("plan", "made.yaml", status=2).stderr
    assert "made.yaml:3:10: moons is a data set of pieces.py whose arrays are not known here yet" in message
    assert marks(folder) == 0
    output = run()
    assert output.startswith("plugin pieces.py (")
    assert "pieces of plugins are called for one run after another" not in output
    assert marks(folder) == 1
    assert "missing             0" in invoke("plan", "made.yaml").output
    report = (folder / "results" / "made" / "report.md").read_text()
    assert "| plugin | `pieces.py`: dataset moons `" in report
    assert str(folder) not in (folder / "results" / "made" / "spec.yaml").read_text()
    run("--results", "again", "--quiet")
    assert "4 runs identical" in invoke("diff", "results/made", "again/made").output
    assert "4 runs trained again, alone: 4 identical" in invoke("verify", "results/made", "--all").output
    assert marks(folder) == 0
    shutil.rmtree(folder / "cache")
    invoke("claims", "results/made")
    invoke("report", "results/made", "--check")
    assert (
        "are not on this machine, and training needs them" in invoke("verify", "results/made", "--all", status=2).stderr
    )
    assert marks(folder) == 0
    assert "dataset moons " in invoke("check", "pieces.py").output
    assert "4 runs trained again, alone: 4 identical" in invoke("verify", "results/made", "--all").output


def test_an_experiment_in_python_is_made_without_the_arrays_and_run_makes_them(folder: Path) -> None:
    made = mlpbench.Experiment(
        name="made",
        question="Does it?",
        dataset="moons",
        plugins="pieces.py",
        fixed={"epochs": 1, "width": 4},
        replicates=1,
    )
    assert marks(folder) == 0
    for read in (lambda: made.checked, lambda: mlpbench.plan(made)):
        with pytest.raises(InputError, match="moons is a data set of pieces.py whose arrays are not known here yet"):
            read()
    assert marks(folder) == 0
    assert mlpbench.run(made, executor="inline", report=False, quiet=True).statuses == {"ok": 1}
    assert marks(folder) == 1
    assert made.checked.facts[0].n_train > 0
    assert mlpbench.plan(made).summary.missing == 0
    with pytest.raises(InputError, match="epochs"):
        mlpbench.Experiment(name="made", question="?", dataset="moons", plugins="pieces.py", fixed={"epochs": -1})


def test_changed_arrays_make_runs_stale_by_name(folder: Path) -> None:
    run("--quiet")
    text = (folder / "pieces.py").read_text()
    (folder / "pieces.py").write_text(text.replace("normal(0, 0.2", "normal(0, 0.3"))
    output = run()
    line = "4 runs are stale: trained with another moons (dataset of pieces.py), whose code has changed; kept, but the report leaves them out"
    assert line in output
    assert "4 runs, 4 trained now" in output
    (folder / "pieces.py").write_text(text)
    assert "missing             0" in invoke("plan", "made.yaml").output


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return np.random.default_rng().normal(size=(9, 2)), np.arange(9) % 2", "dataset p must return the same arrays each time, got others the second time"),
        ("return np.zeros(3)", "dataset p must return arrays x and y, or x_train, y_train, x_test and y_test"),
        ("return np.full((9, 2), np.nan), np.arange(9) % 2", None),
        ("return np.ones((9, 2)), np.zeros(8)", "dataset p must return arrays that can be learned from, got"),
        ("raise OSError('no file')", "dataset p raised OSError: no file (p.py:6)"),
    ],
)  # fmt: skip
def test_check_says_what_is_wrong(folder: Path, body: str, says: str | None) -> None:
    Path("p.py").write_text(f"import mlpbench\nimport numpy as np\n\n@mlpbench.dataset\ndef p():\n    {body}\n")
    result = CliRunner().invoke(main, ["check", "p.py"], catch_exceptions=False)
    if says is None:  # gaps are filled, as in a file of one's own
        assert (result.exit_code, "dataset p" in result.output) == (0, True)
    else:
        assert (result.exit_code, f"p.py:5: {says}" in result.stderr) == (2, True), result.stderr


def test_a_plugin_in_a_results_folder_is_not_run(folder: Path) -> None:
    run("--quiet")
    marks(folder)
    shutil.rmtree(folder / "cache")
    shutil.copy("pieces.py", "results/made/pieces.py")
    shutil.copy("made.yaml", "results/made/own.yaml")
    assert (
        "a results folder has no code, and runs none"
        in invoke("run", "results/made/own.yaml", "--results", "other", status=2).stderr
    )
    assert marks(folder) == 0
