"""What commands print can't be forged by what users wrote, and paths that no line can name are refused by every command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from arithmetic_folders import make_folder
from click.testing import CliRunner
from repository import ROOT

import mlpbench
from mlpbench.cli.main import main

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202e"
TREE = {
    "name": "d",
    "question": f"Is it {HOSTILE}\nd: forged",
    "dataset": "digits",
    "factors": {"width": [8, 16]},
    "replicates": 2,
    "claims": [{"id": "c", "says": f"It is {HOSTILE}\nforged", "bound": {"metric": "test_accuracy", "above": 0.5}}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(TREE, tmp_path_factory.mktemp("results"))


def has_signals(text: str) -> bool:
    return any((c < " " and c not in "\n\t") or c in "\u202e\x7f" or "\x80" <= c < "\xa0" for c in text)


@pytest.mark.parametrize(
    "command", ["claims d", "claims d --markdown", "claims d --json", "list specs", "plan specs/d.yaml", "index ."]
)
def test_no_word_of_a_user_reaches_the_terminal_as_a_signal(
    command: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "d")
    (tmp_path / "specs").mkdir()
    shutil.copy(made / "spec.yaml", tmp_path / "specs" / "d.yaml")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 0, result.output
    assert result.output
    assert not has_signals(result.output)
    assert not any(line.startswith(("d: forged", "forged")) for line in result.output.splitlines())
    if command.startswith(("claims d", "list")) and "json" not in command:
        assert "\\x1b]0;owned\\x07\\x1b[31mred\\u202e" in result.output.replace("\\\\", "\\").replace(
            "\\]", "]"
        ).replace("\\[", "[")


COMMANDS = [
    "report {}", "report {} --check", "trim {}", "verify {}", "claims {}", "diff {} good", "diff good {}", "merge good {} -o new",
    "merge good good -o {}", "index {}", "list {}", "plan {}/spec.yaml", "run {}/spec.yaml", "run good/spec.yaml --results {}",
    "export 0 {}/w.safetensors --results good", "export 0 w.safetensors --results {}", "data fetch digits --data-dir {}",
]  # fmt: skip
ODD = {"bytes": b"d\xff", "line": b"d\nmlpbench: forged", "escape": b"d\x1b[31m", "bidi": "d\u202e".encode()}


@pytest.mark.parametrize("name", ODD)
def test_a_path_that_no_line_can_name_is_refused_by_every_command(
    name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(ODD[name])
    shutil.copytree(made, "good")
    shutil.copytree(made, odd)
    before = sorted(os.fsencode(p) for p in tmp_path.rglob("*"))
    for command in COMMANDS:
        result = CliRunner().invoke(main, [part.replace("{}", odd) for part in command.split(" ")])
        assert result.exception is None or isinstance(result.exception, SystemExit), f"{command}: {result.exception!r}"
        assert result.exit_code == 2, f"{command}: {result.output}"
        assert result.stderr.startswith("mlpbench: a path must be text in UTF-8, without control characters"), command
        assert result.stderr.count("\n") == 1, command
        assert not has_signals(result.stderr)
    assert sorted(os.fsencode(p) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["d\u3000e", "größe 中文", "a  b", "x**y"])
def test_a_path_of_ordinary_text_is_taken(name: str, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / name)
    result = CliRunner().invoke(main, ["claims", str(tmp_path / name)])
    assert result.exit_code == 0, result.output


def test_a_folder_that_is_found_and_has_such_a_name_stops_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are not named by the user alone: an index finds them."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "r/good")
    for odd in ODD.values():
        shutil.copytree(made, os.fsdecode(b"r/" + odd))
    result = CliRunner().invoke(main, ["index", "r"])
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    page = Path("r/index.md").read_text(encoding="utf-8")
    assert "[d](good/report.md)" in page or "[d](good/spec.yaml)" in page
    assert not has_signals(page)
    assert not has_signals(result.output)


@pytest.mark.parametrize("key", ["dataset", "fixed: {width", pytest.param("claims", marks=pytest.mark.slow)])
def test_a_message_is_short_whatever_is_in_the_file(key: str, tmp_path: Path) -> None:
    """A value of nearly a megabyte, where something else is expected: the message has a part of it."""
    closing = "}" * key.count("{")
    path = tmp_path / "x.yaml"
    for value in ("x" * 900_000, "{" + "z" * 900_000 + ": 1}"):
        path.write_text(f"name: x\nquestion: q\ndataset: digits\n{key}: {value}{closing}\n".replace(f"{key}: q\n", ""))
        result = CliRunner().invoke(main, ["plan", str(path)])
        assert isinstance(result.exception, SystemExit | None), repr(result.exception)
        assert len(result.stderr) < 5000


def test_the_real_streams_are_wrapped_and_closed_ones_do_no_harm(made: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "mlpbench", "claims", str(made)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    assert b"Is it \\x1b]0;owned" in done.stdout
    closed = subprocess.run(f"{' '.join(command)} >&- 2>&-", shell=True, env=environment, check=False)
    assert closed.returncode in (0, 3)


def paths_of(group: click.Group = main) -> Iterator[tuple[str, click.Parameter]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from paths_of(command)
        for parameter in command.params:
            if isinstance(parameter.type, click.Path) or parameter.metavar in ("FILE", "DIR", "FOLDER"):
                yield f"{name} {parameter.name}", parameter


def test_a_tilde_is_the_home_folder_in_every_path_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves it as it is behind `=`."""
    monkeypatch.setenv("HOME", "/home/someone")
    found = dict(paths_of())
    assert {"run results", "run specs", "plan pilot", "export file", "predict output", "verify plugin_files"} <= {
        *found
    }
    for parameter in found.values():
        assert parameter.type.convert("~/x", parameter, None) == Path("/home/someone/x")
        assert parameter.type.convert("a/~", parameter, None) == Path("a/~")


def test_results_in_the_home_folder_are_written_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    spec = TREE | {"name": "t", "fixed": {"epochs": 1, "train_size": 20}, "claims": []}
    quick: dict[str, Any] = {"executor": "inline", "report": False, "replicates": 1}
    outcome = mlpbench.run(spec, results="~/out", **quick)
    assert outcome.folder == tmp_path / "home" / "out" / "t"
    assert len(mlpbench.load("~/out/t").runs) == 2
    assert mlpbench.plan(spec, results="~/out", replicates=1).summary.missing == 0
    Path("t.yaml").write_text((outcome.folder / "spec.yaml").read_text())
    result = CliRunner().invoke(main, ["run", "t.yaml", "--results=~/out", "--no-report", "--executor", "inline"])
    assert (result.exit_code, "0 trained now" in result.stdout) == (0, True), result.output
    assert [path.name for path in Path().iterdir()] == ["t.yaml"]
