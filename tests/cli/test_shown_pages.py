"""`--html` keeps a page up while runs are trained and changes nothing else; `--open` shows it, or says that it can't."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from blank_figures import blank_path
from click.testing import CliRunner
from repository import ROOT

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.jobs import write_pages
from mlpbench.jobs.options import Options
from mlpbench.report.pages import page as pages
from mlpbench.results.store import Store

SPEC = """\
name: tiny
question: Do two widths differ?
dataset: digits
fixed: {train_size: 200, steps: 10}
factors: {width: [4, 300]}
replicates: 2
claims:
  - id: wider
    says: 300 units do better than 4.
    compare: {metric: test_accuracy, a: {width: 300}, b: {width: 4}, expect: greater}
"""
pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Return what a folder has, but for times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name in ("report.md", "register.json", "looks.json", "spec.yaml", "summary.json")
    }


@pytest.mark.parametrize("top_up", [False, True])
def test_the_page_is_kept_up_while_runs_are_trained_and_nothing_else_is_different(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top_up: bool
) -> None:
    if top_up:
        spec.write_text(SPEC + "until_decided: {max_replicates: 4}\n")
    monkeypatch.setattr(write_pages, "EVERY_S", 0.0)
    monkeypatch.setattr(write_pages, "SHARE", 0.0)
    seen: list[str] = []
    write = pages.write

    def noting(report: Any, folder: Path, **options: Any) -> Path:
        path = write(report, folder, **options)
        if options.get("html"):
            seen.append((folder / "report.html").read_text())
        return path

    monkeypatch.setattr(pages, "write", noting)
    outcome = mlpbench.run(spec, results=tmp_path / "live", html=True, executor="inline")
    assert outcome.report == tmp_path / "live" / "tiny" / "report.html"
    assert len(seen) >= 3, "after each stack, and at the end"
    assert "undecided (2 of 4 runs)" in seen[0]
    assert "of 4 runs)" not in seen[-1]
    assert seen[-1] == (tmp_path / "live" / "tiny" / "report.html").read_text()
    plain = mlpbench.run(spec, results=tmp_path / "plain", executor="inline")
    assert plain.report == tmp_path / "plain" / "tiny" / "report.md"
    assert [v.decision for v in outcome.context.verdicts] == [v.decision for v in plain.context.verdicts]
    assert not any(v.exploratory for v in outcome.context.verdicts)
    live, without = contents(tmp_path / "live" / "tiny"), contents(tmp_path / "plain" / "tiny")
    assert live.keys() == without.keys()
    for name in ("register.json", "spec.yaml", *(("looks.json",) if top_up else ())):
        assert live[name] == without[name]


def test_a_page_comes_after_a_while_and_then_takes_a_tenth_of_the_time(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, took, written = [0.0], 40.0, []

    def render(*_: Any) -> None:
        now[0] += took

    monkeypatch.setattr("mlpbench.jobs.write_pages.time.monotonic", lambda: now[0])
    monkeypatch.setattr(write_pages, "judge", lambda *_, **__: None)
    monkeypatch.setattr("mlpbench.report.report.render", render)
    monkeypatch.setattr(pages, "write", lambda *_, **__: written.append(now[0]))
    live = write_pages.LivePage(Store(tmp_path))
    while now[0] < 2000:
        live.update(None, [])  # type: ignore[arg-type]
        now[0] += 1
    assert written[0] == pytest.approx(write_pages.EVERY_S + took)
    assert took * len(written) <= 0.1 * now[0] + took
    assert len(written) >= 4


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command where there are neither screens nor browsers but those that are named."""
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    env: Mapping[str, str] = {**kept, "PYTHONPATH": str(ROOT), "PATH": "/nonexistent", **environment}
    command = [sys.executable, "-m", "mlpbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def fake_browser(folder: Path, status: int = 0) -> str:
    """Return what BROWSER says of a program that writes down what it was to show."""
    script = folder / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >>{folder}/shown\nexit {status}\n')
    script.chmod(0o755)
    return f"{script} %s"


@pytest.mark.slow
def test_open_shows_the_page_at_the_end(spec: Path, tmp_path: Path) -> None:
    browser = fake_browser(tmp_path)
    blank = blank_path(tmp_path)
    done = run(
        "run", spec, "--results", tmp_path / "r s", "--workers", "1", "--open", BROWSER=browser, PYTHONPATH=blank
    )
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "r s" / "tiny" / "report.html"
    assert done.stdout.rstrip().endswith(f"report: {path}")
    assert path.exists()
    again = run("report", path.parent, "--open", BROWSER=browser, PYTHONPATH=blank)
    assert (again.returncode, again.stdout) == (0, f"report: {path}\n")
    assert (tmp_path / "shown").read_text().splitlines() == [path.as_uri()] * 2


@pytest.mark.slow
def test_without_a_browser_open_is_refused_before_anything_is_trained(spec: Path, tmp_path: Path) -> None:
    page = tmp_path / "r" / "tiny" / "report.html"
    for command in (("run", spec, "--results", tmp_path / "r"), ("report", page.parent)):
        done = run(*command, "--open")
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("mlpbench: --open needs a browser, and none was found: ")
        assert f"give --html instead, and open {page} where there is one\n" in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_a_browser_that_fails_is_a_system_error_and_the_page_is_there(spec: Path, tmp_path: Path) -> None:
    command = ("run", spec, "--results", tmp_path / "r", "--workers", "1", "--open")
    done = run(*command, BROWSER=fake_browser(tmp_path, 1), PYTHONPATH=blank_path(tmp_path))
    page = tmp_path / "r" / "tiny" / "report.html"
    assert done.returncode == 3
    assert done.stderr == f"mlpbench: the browser did not open {page}, which is written: open it by hand\n"
    assert page.exists()


@pytest.mark.parametrize("option", ["--html", "--open"])
def test_a_page_needs_a_report(option: str, spec: Path, tmp_path: Path) -> None:
    arguments = ["run", str(spec), "--results", str(tmp_path / "r"), option, "--no-report"]
    result = CliRunner().invoke(main, arguments, env={"BROWSER": "true %s"})
    assert result.exit_code == 2
    assert result.stderr == "mlpbench: --html is a page of the report, which --no-report leaves out: give one of them\n"
    assert not (tmp_path / "r").exists()
    with pytest.raises(InputError, match="--html is a page of the report"):
        Options(html=True, report=False)


def test_what_is_checked_is_not_opened(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(tmp_path), "--check", "--open"])
    assert result.exit_code == 2
    assert result.stderr == "mlpbench: --check writes no page that --open could show: give one of them\n"
