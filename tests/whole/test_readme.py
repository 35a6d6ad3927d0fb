"""What the README shows is what the commands print."""

from __future__ import annotations

import math
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from repository import ROOT
from ruamel.yaml import YAML

from mlpbench.cli.main import main
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs import progress

README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """Return the text of a section of the README."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def shown(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output under it."""
    for part in text.split("$ ")[1:]:
        command, _, output = part.partition("\n")
        yield command, output


COMMANDS = [pair for block in blocks("console") for pair in shown(block)]
PRINTING = [pair for pair in COMMANDS if re.match(r"mlpbench (?!run|verify|diff|export|predict)", pair[0])]
VERDICTS = re.compile(r"^claim  .*?(?=\n\n)", flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer than half a minute, after which `run` and `verify` say how far they are."""
    monkeypatch.setattr(progress, "PRINTED_EVERY_S", math.inf)


def printed(command: str) -> str:
    result = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize(
    ("command", "output"),
    [pytest.param(c, o, id=c, marks=[pytest.mark.slow] * c.startswith("mlpbench report")) for c, o in PRINTING],
)
def test_a_command_prints_what_the_readme_shows(
    command: str, output: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    if command.startswith("mlpbench data"):  # readers have fetched none yet, whoever runs this test has
        monkeypatch.setenv("MLPBENCH_CACHE", str(tmp_path))
    # A plan says what is missing: readers have no results yet, whoever runs this test may.
    extra = f" --results {tmp_path} --workers 2" if command.startswith("mlpbench plan") else ""
    assert printed(command + extra).rstrip() == output.rstrip()


def test_an_error_reads_as_the_readme_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (message,) = (block for block in blocks("text") if block.startswith("mlpbench: "))
    place, wrong, _ = message.split("\n", 2)
    (tmp_path / "experiments").mkdir()
    lines = ["name: x", "question: Which?", "dataset: digits", wrong.strip(), "factors: {width: [8, 16]}"]
    (tmp_path / "experiments" / "x.yaml").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plan", "experiments/x.yaml"])
    assert result.exit_code == 2
    assert result.stderr == message
    assert place.startswith("mlpbench: experiments/x.yaml:4:")


def test_a_file_is_read_with_the_notes_that_the_readme_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (rows,) = blocks("csv")
    (notes,) = (block for block in blocks("text") if block.startswith("wine.data: "))
    (tmp_path / "wine.data").write_text(rows * 8)
    (tmp_path / "w.yaml").write_text('name: w\nquestion: Which?\ndataset: {file: wine.data, target: "5"}\n')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plan", "w.yaml"])
    assert (result.exit_code, result.stderr) == (0, notes)


def test_the_main_job_prints_the_verdicts_of_the_reference_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (output,) = (o for c, o in COMMANDS if c == "make run")
    told = VERDICTS.search(output)
    kept = VERDICTS.search(printed("mlpbench claims results/reference/width"))
    assert told
    assert kept
    assert told[0] == kept[0]


def test_commands_of_make_are_targets() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = re.findall(r"(?:`|\$ )make ([a-z]+)", README)
    assert {"run", "test", "prove"} <= set(named) <= set(targets)


def test_experiments_in_the_readme_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "experiments" / "own_data")  # where the file of own data lies
    texts = blocks("yaml")
    assert texts
    for text in texts:
        assert yaml_reader.from_mapping(YAML(typ="safe", pure=True).load(text)).claims


@pytest.mark.slow
def test_the_example_of_own_data_is_the_one_that_ships_prints_what_is_shown_and_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    (text,) = (t for t in blocks("yaml") if t.startswith("name: iris"))
    assert text == (ROOT / "experiments" / "own_data" / "iris.yaml").read_text()
    (output,) = (o for c, o in COMMANDS if c == "mlpbench run experiments/own_data/iris.yaml")
    result = CliRunner().invoke(main, ["run", "experiments/own_data/iris.yaml", "--results", str(tmp_path)])
    assert result.exit_code == 0
    assert result.stdout.replace(str(tmp_path), "results").rstrip() == output.rstrip()
    of_results = [pair for pair in COMMANDS if re.match(r"mlpbench (verify|diff) ", pair[0])]
    assert of_results
    for command, shown in of_results:
        assert printed(command.replace("results/", f"{tmp_path}/")).replace(str(tmp_path), "results") == shown


@pytest.mark.slow
def test_the_story_of_a_table_is_what_its_commands_print(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a csv file to predictions of new rows, in an empty folder with the files that ship."""
    story = section("Three minutes with a table of your own")
    files = ROOT / "experiments" / "own_data"
    shutil.copytree(files, tmp_path / "experiments" / "own_data")
    monkeypatch.chdir(tmp_path)
    assert blocks("yaml", story) == [(files / "penguins.yaml").read_text()]
    steps = [pair for block in blocks("console", story) for pair in shown(block)]
    assert [command.split()[1] for command, _ in steps if command.startswith("mlpbench")] == [
        "run",
        "export",
        "predict",
    ]
    for command, output in steps:
        if not command.startswith("mlpbench"):
            done = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True)
            assert done.stdout == output
        elif command.startswith("mlpbench predict"):
            assert_same_numbers(printed(command), output)
        else:
            assert printed(command).rstrip() == output.rstrip()
    report = Path("results/penguins/report.md").read_text()
    (excerpt,) = blocks("markdown", story)
    assert excerpt in report
    ((export, _),) = (pair for pair in steps if pair[0].startswith("mlpbench export"))
    assert export.rsplit(" ", 1)[0] in report


def assert_same_numbers(found: str, expected: str) -> None:
    """Compare lines, of which those that are a number may differ in their last digits from processor to processor."""
    for line, wanted in zip(found.splitlines(), expected.splitlines(), strict=True):
        if re.fullmatch(r"[0-9.]+", wanted):
            assert float(line) == pytest.approx(float(wanted), rel=1e-4)
        else:
            assert line == wanted


def test_python_in_the_readme_runs_and_prints_what_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], in_process: None
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = blocks("python")
    assert texts
    for text in texts:
        exec(compile(text, "README.md", "exec"), {})
    (output,) = (block for block in blocks("text", section("From Python")))
    assert capsys.readouterr().out == output
    assert (tmp_path / "curves.png").exists()


def test_files_the_readme_links_to_are_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
