"""A real small experiment on data that come with the package: trained, judged and reported as any other."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

from mlpbench.data.dataset import Say
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs import write_pages
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.options import Options
from mlpbench.jobs.run import run

PAGE = "report.html"


def demo_text() -> str:
    """Return the file of the experiment."""
    return resources.files("mlpbench.jobs.first_steps").joinpath("templates", "demo.yaml").read_text()


def demo_experiment() -> Experiment:
    """Return the experiment."""
    return yaml_reader.from_text("demo.yaml", demo_text())


def results_folder(wanted: Path) -> Path:
    """Return the folder that results go to: the one that is wanted, or a temporary one where it can't be written to."""
    folder = wanted.absolute()
    while not folder.exists():
        folder = folder.parent
    return wanted if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="mlpbench-"))


def run_demo(results: Path, say: Say, warn: Say, *, quiet: bool = False) -> tuple[Outcome, Path | None]:
    """Train what is missing of the demonstration, judge it and write its report; return the page, None where it failed.

    Args:
        results: the folder of results folders.
        say: gets what a run says.
        warn: gets what is noticed of the results folder.
        quiet: whether no progress is shown.

    """
    options = Options(results=results, device="cpu", report=False, quiet=quiet)
    outcome = run(demo_experiment(), options, say, warn)
    report, failures = write_pages.write(outcome.folder, html=True, say=warn)  # once, with the page
    page = outcome.folder / PAGE
    return replace(outcome, report=report, report_failures=failures), page if page.is_file() else None
