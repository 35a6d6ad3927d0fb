"""Files of the working folder are data: none is run, whatever module it is named after."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """\
name: strangers
question: Is code of a stranger's folder run?
dataset: digits
fixed: {width: 8, epochs: 1, batch_size: 100}
replicates: 2
claims: [{id: low, says: The loss is low., bound: {metric: test_loss, where: {}, below: 9}}]
"""
# What Python imports before it knows of any path, and what it reads of the environment it is started in.
BEFORE_ANY_PATH = {"sys", "builtins", "site", "sitecustomize", "usercustomize"}
# Every module has a file of its name beside the experiment, which leaves a mark and then stands aside.
INTRUDER = """\
import sys
with open({mark!r}, "a") as mark:
    mark.write(__name__ + "\\n")
raise ImportError("a file of the working folder was run as " + __name__)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an experiment, and a file named after each module that Python or the package may import."""
    (tmp_path / "strangers.yaml").write_text(SPEC)
    code = INTRUDER.format(mark=str(tmp_path / "mark"))
    imported = {name.partition(".")[0] for name in sys.modules} | set(sys.stdlib_module_names)
    for name in sorted(imported - BEFORE_ANY_PATH - {"mlpbench"}):
        if name.isidentifier():
            (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_file_of_the_working_folder_is_run_as_a_module(folder: Path, workers: str) -> None:
    assert len(list(folder.glob("*.py"))) > 250
    command = [str(Path(sys.executable).with_name("mlpbench")), "run", "strangers.yaml", "--workers", workers]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert not (folder / "mark").exists(), (folder / "mark").read_text()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "2 runs, 2 trained now" in ran.stdout


@pytest.mark.slow
def test_settings_of_matplotlib_are_not_those_of_the_folder_or_of_a_notebook(folder: Path) -> None:
    mlpbench = str(Path(sys.executable).with_name("mlpbench"))
    made = subprocess.run([mlpbench, "run", "strangers.yaml", "--executor", "inline"], cwd=folder, capture_output=True)
    assert made.returncode == 0
    (folder / "matplotlibrc").write_bytes(b"axes.labelpad: 50\nno setting: \xff\n")
    notebooks = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    check = [mlpbench, "report", "results/strangers", "--check"]
    checked = subprocess.run(check, cwd=folder, env=notebooks, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "results/strangers: report is up to date\n"


def test_a_file_that_is_run_leaves_its_mark(folder: Path) -> None:
    """The trap itself: Python, started as it is by default, runs what it stands beside."""
    for path in folder.glob("*.py"):  # Python 3.13 reports an exception by modules of the folder too
        if path.stem != "socket":
            path.unlink()
    subprocess.run([sys.executable, "-c", "import socket"], cwd=folder, capture_output=True)
    assert "socket" in (folder / "mark").read_text().split()
