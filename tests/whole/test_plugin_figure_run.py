"""Figures of plugins from the command line: drawn by `run` from its tables, kept, and shown by commands that run no code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blank_figures import drawn_alone
from click.testing import CliRunner

from mlpbench.cli.main import main

pytestmark = pytest.mark.usefixtures("in_process")

SOURCE = """\
import mlpbench
from matplotlib.figure import Figure

with open({mark!r}, "a") as file:
    file.write("run")

@mlpbench.metric
def largest(outputs, targets):
    return outputs.max()

@mlpbench.figure
def scatter(context):
    figure = Figure()
    figure.subplots().scatter(context.runs["width"], context.runs["test_largest"])
    return figure, f"{{len(context.runs)}} runs of {{', '.join(context.runs['label'].unique())}}, {{context.name}}."

@mlpbench.figure
def wrong(context):
    context.runs.drop(columns="label", inplace=True)
    return 1 / 0
"""
SPEC = """\
name: drawn
question: Does it?
dataset: digits
plugins: [pieces.py]
fixed: {epochs: 1, train_size: 200, batch_size: 50, depth: 1}
factors: {width: [4, 8]}
replicates: 2
"""


@pytest.fixture(scope="module", autouse=True)
def own_figures_alone() -> Iterator[None]:
    """Leave out the figures that every report has: they take most of its time."""
    with drawn_alone(lambda _report, name: name.startswith("own_")):
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment with figures of its own, whose code leaves a mark, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pieces.py").write_text(SOURCE.format(mark=str(tmp_path / "mark")))
    (tmp_path / "drawn.yaml").write_text(SPEC)
    return tmp_path


def invoke(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == status, result.output + result.stderr
    return result.output


def marks(folder: Path) -> int:
    mark = folder / "mark"
    times = mark.read_text().count("run") if mark.exists() else 0
    mark.unlink(missing_ok=True)
    return times


def test_figures_are_drawn_by_run_and_shown_without_code(folder: Path) -> None:
    output = invoke("run", "drawn.yaml", "--executor", "inline")
    assert (
        "drawn: figure wrong raised ZeroDivisionError: division by zero (pieces.py:20); the report has no such figure"
        in output
    )
    assert "4 runs, 4 trained now" in output
    assert marks(folder) == 2  # to train, and to draw
    report = folder / "results" / "drawn" / "report.md"
    text = report.read_text()
    assert "### Scatter\n\n4 runs of width=4, width=8, drawn." in text
    assert "It could not be made: figure wrong raised ZeroDivisionError: division by zero" in text
    assert (folder / "results" / "drawn" / "figures" / "own_scatter.png").read_bytes().startswith(b"\x89PNG")
    invoke("run", "drawn.yaml", "--executor", "inline")  # nothing is left to train or to draw
    report.unlink()
    invoke("report", "results/drawn", "--html")
    assert report.read_text() == text
    invoke("report", "results/drawn", "--check")
    assert marks(folder) == 0
    source = folder / "pieces.py"
    source.write_text(source.read_text().replace("runs of", "networks of"))
    output = invoke("run", "drawn.yaml", "--executor", "inline")
    assert "drawn: plugin pieces.py (" in output
    assert "4 runs, 0 trained now" in output
    assert "4 networks of width=4, width=8, drawn." in report.read_text()
    assert marks(folder) == 1
    assert "4 runs trained again, alone: 4 identical" in invoke(
        "verify", "results/drawn", "--all", "--plugins", "pieces.py"
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return 3", "figure p must return a matplotlib figure, a sentence, or both as (figure, text), got int"),
        ("return Figure(), 'a', 'b'", "got tuple"),
        ("return 'x' * 3000", "figure p must return a text of at most 2,000 letters, got 3,000"),
        ("return Figure(figsize=(2, 30))", "figure p must return a figure of at most 40 inches, at most 3 times as high as wide, got 2 by 30"),
        ("COUNT.append(1)\n    return f'{len(COUNT)} times'", "figure p must return the same each time, by its tables alone"),
        ("return context.runs['none']", "figure p raised KeyError: 'none' (p.py:7)"),
    ],
)  # fmt: skip
def test_check_says_what_is_wrong(folder: Path, body: str, says: str) -> None:
    head = (
        "import mlpbench\nfrom matplotlib.figure import Figure\nCOUNT = []\n\n@mlpbench.figure\ndef p(context):\n    "
    )
    Path("p.py").write_text(f"{head}{body}\n")
    result = CliRunner().invoke(main, ["check", "p.py"], catch_exceptions=False)
    assert result.exit_code == 2
    assert "p.py:6: figure p " in result.stderr
    assert says in result.stderr
