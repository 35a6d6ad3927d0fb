"""Try a wheel as a new user would: in an empty virtual environment and an empty folder, with one Python or several.

`python release/smoke.py dist/mlpbench-0.1.0-py3-none-any.whl [PYTHON...]` installs the wheel with the versions of `constraints.txt`, and what it
needs, and no extra; then it runs commands and a script. It says in a line for each Python how that went.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What an empty virtual environment has.
OF_PYTHON = {"pip", "setuptools", "mlpbench"}
COMMANDS = (
    ("--version",),
    ("list",),
    ("plan", "width"),
    ("explain", "learning_rate"),
    ("demo", "--no-open"),
    ("new", "mine", "--template", "compare"),
    ("run", "penguins", "--set", "replicates=2", "--set", "epochs=1", "--workers", "1"),
    ("claims", "results/penguins"),
)
SCRIPT = """\
import sys, mlpbench
assert not {"torch", "pandas", "numpy"} & set(sys.modules), "loaded before it is needed"
outcome = mlpbench.run("penguins", replicates=2, epochs=1, workers=1)
assert outcome.trained == 0, outcome
assert len(outcome.tidy()) == 4 and outcome._repr_html_()
"""
INSTALLED = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"


def plain(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(*files: str) -> set[str]:
    """Return the packages that files of `locks/` have."""
    texts = [(ROOT / "locks" / file).read_text() for file in files]
    return {plain(name) for text in texts for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, flags=re.MULTILINE)}


def leaked(installed: Sequence[str]) -> list[str]:
    """Return the packages that nothing but an extra, or nothing at all, asks for."""
    return sorted({plain(name) for name in installed} - locked("run.txt", "cuda.txt", "torch-cpu.txt") - OF_PYTHON)


def tried(wheel: Path, python: str) -> list[str]:
    """Return what went wrong with a wheel and a Python; nothing where all went well."""
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        own = folder / "venv" / "bin" / "python"
        steps: list[list[str]] = [
            [python, "-m", "venv", str(folder / "venv")],
            [str(own), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel.resolve())],
        ]
        for step in steps:
            if wrong := failed(step, folder):
                return [wrong]
        installed = json.loads(
            subprocess.run([own, "-c", INSTALLED], capture_output=True, text=True, check=True).stdout
        )
        found = [f"{name} is installed, which no extra was asked for" for name in leaked(installed)]
        (folder / "script.py").write_text(SCRIPT)
        calls = [[str(own.with_name("mlpbench")), *arguments] for arguments in COMMANDS]
        return found + [wrong for call in [*calls, [str(own), "script.py"]] if (wrong := failed(call, folder))]


def failed(command: Sequence[str], folder: Path) -> str:
    """Run a command in a folder, and return how it failed; nothing where it did not."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800)
    return "" if done.returncode == 0 else f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}"


def main(wheel: Path, pythons: Sequence[str]) -> int:
    """Try a wheel with several Pythons, and return how many of them had something wrong."""
    bad = 0
    for python in pythons:
        began = time.monotonic()
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        wrong = tried(wheel, python)
        bad += bool(wrong)
        how = "fine" if not wrong else "failed"
        print(f"{version}: {how}, {time.monotonic() - began:.0f} s", *wrong, sep="\n  ", flush=True)
    return bad


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python release/smoke.py WHEEL [PYTHON...]")
    sys.exit(min(1, main(Path(sys.argv[1]), sys.argv[2:] or [sys.executable])))
