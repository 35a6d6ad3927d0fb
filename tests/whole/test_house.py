"""The rules that keep the package easy to find one's way in: directions of imports, and sizes and names of modules."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from repository import ROOT

MODULES = {
    path.relative_to(ROOT / "mlpbench").as_posix(): len(path.read_text().splitlines())
    for path in (ROOT / "mlpbench").rglob("*.py")
    if not path.name.startswith("__")
}
MOST_LINES, LEAST_LINES, MOST_MODULES = 450, 60, 14
# Short modules that are better off alone, each with its reason.
SHORT = {
    **{module: "one of the sections" for module in MODULES if module.startswith("report/sections/")},
    "api.py": "the public functions",
    "base/errors.py": "every module may import it, so it imports none",
    "base/streams.py": "the address of every random draw",
    "cli/common_options.py": "options of several commands",
    "data/named/torchvision_download.py": "a program of its own",
    "training/kernels.py": "what imports triton, which most machines lack",
    "training/worker_setup.py": "what a worker is given and hands back, without torch",
    "cli/piece_commands.py": "the command about pieces of the user's own",
    "executors/piece_check.py": "what that command does, without torch until it is needed",
    "executors/machine_probe.py": "the door to what torch says of a machine",
    "jobs/first_steps/demo.py": "one of the commands of the first minutes",
    "training/measures/product_rate.py": "what `doctor` asks of torch",
    "evidence/frames.py": "how evidence and reports take rows out of DataFrames",
    "evidence/estimates/activation_functions.py": "the numbers of one figure",
    "jobs/planning/anytime_budget.py": "what run and plan have in common",
    "experiment/components/schedules.py": "one of the tables of components",
    "experiment/file/flow_text.py": "what is loaded in place of the writer of files",
    "experiment/file/references.py": "tables of references alone",
    "experiment/metrics/scores.py": "the table that a score is added to",
}


def test_contracts_of_imports_are_kept() -> None:
    """The contracts stand in pyproject.toml: directions, no circles, torch in one package only."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    linted = subprocess.run([*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
    assert ", 0 broken" in linted.stdout


def test_files_that_the_package_names_are_there() -> None:
    named = {
        (module, path)
        for module in MODULES
        for path in re.findall(r"\b\w+/[\w/]+\.py\b", (ROOT / "mlpbench" / module).read_text())
    }
    assert len(named) > 1
    assert {(m, p) for m, p in named if not (ROOT / p).exists() and not (ROOT / "mlpbench" / p).exists()} == set()


def test_no_two_modules_have_one_name() -> None:
    names = Counter(Path(module).name for module in MODULES)
    assert [name for name, n in names.items() if n > 1] == []


def test_modules_are_of_a_size_to_be_read_at_once() -> None:
    assert {module: n for module, n in MODULES.items() if n > MOST_LINES} == {}
    assert {module: n for module, n in MODULES.items() if n < LEAST_LINES and module not in SHORT} == {}


def test_folders_are_few_modules_wide_and_two_deep() -> None:
    folders = Counter(Path(module).parent.as_posix() for module in MODULES)
    assert {folder: n for folder, n in folders.items() if n > MOST_MODULES} == {}
    assert [folder for folder in folders if folder.count("/") > 1] == []
