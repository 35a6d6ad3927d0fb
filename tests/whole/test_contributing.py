"""The examples of CONTRIBUTING.md: each adds a piece to a fresh copy of the package, where its commands then pass.

A block of code names the file it belongs to, and the table in it that gets a new entry, "python PATH TABLE", or that it
comes before, "python PATH before TABLE". Without a table the block is the file, or, where the file exists, its end. "sh"
blocks are the commands.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from repository import ROOT

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: (?P<path>\S+))?(?P<before> before)?(?: (?P<table>\w+))?\n(?P<text>.*?)^```$", re.M | re.S
)
HEADING = re.compile(r"^### (.+)$", re.M)
# The tables of layers and losses that take one entry of fewer lines than this.
SHORT, MOST_LINES = ("An activation", "A loss", "A learning-rate schedule", "A metric"), 10
# Those that `make check` follows; `make prove` follows the others.
IN_CHECK = ("An activation", "A claim form")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code of an example: its language, its text, the file it belongs to, the table it extends or comes before."""

    language: str
    text: str
    path: str | None
    before: str | None
    table: str | None


def examples() -> dict[str, list[Block]]:
    """Return the blocks of each example that extends the package, by its heading."""
    parts = HEADING.split((ROOT / "CONTRIBUTING.md").read_text())[1:]
    blocks = {
        heading: [
            Block(**{k: m[k] for k in ("language", "text", "path", "before", "table")}) for m in BLOCK.finditer(text)
        ]
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return {heading: found for heading, found in blocks.items() if any(block.path for block in found)}


def assignment(source: str, table: str) -> ast.Assign | ast.AnnAssign:
    """Return the statement of a module that gives a table its value."""
    (found,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and isinstance(target := node.target if isinstance(node, ast.AnnAssign) else node.targets[0], ast.Name)
        and target.id == table
    )
    return found


def extended(source: str, table: str, entry: str) -> str:
    """Return a module with an entry at the end of a table: the literal that a name stands for, or is made from."""
    value = assignment(source, table).value
    if isinstance(value, ast.DictComp):  # {entry.name: entry for entry in (...)}
        value = value.generators[0].iter
    elif isinstance(value, ast.Call):
        value = value.args[0]
    assert isinstance(value, ast.Dict | ast.List | ast.Tuple), f"{table} is no literal table"
    lines = source.splitlines(keepends=True)
    assert value.end_lineno is not None
    assert lines[value.end_lineno - 1].lstrip()[0] in "])}", f"{table} must end on a line of its own"
    entry = entry.rstrip().removesuffix(",") + ",\n"
    indented = "".join(f"    {line}" if line.strip() else line for line in entry.splitlines(keepends=True))
    return "".join([*lines[: value.end_lineno - 1], indented, *lines[value.end_lineno - 1 :]])


def inserted(source: str, table: str, text: str) -> str:
    """Return a module with definitions before a table."""
    lines = source.splitlines(keepends=True)
    at = assignment(source, table).lineno - 1
    return "".join([*lines[:at], f"{text}\n\n", *lines[at:]])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A fresh copy of what an example may extend."""
    hidden = shutil.ignore_patterns("__pycache__", ".*")
    for folder in ("mlpbench", "tests", "experiments"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=hidden)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def apply(block: Block, copy: Path) -> None:
    """Put a block of code into the copy."""
    assert block.path is not None
    file = copy / block.path
    source = file.read_text() if file.exists() else ""
    if block.table:
        changed = (inserted if block.before else extended)(source, block.table, block.text)
    else:
        changed = f"{source}\n\n{block.text}" if source else block.text
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(changed)


def run(command: str, copy: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of an example in the copy, with the Python of this test."""
    environment = os.environ | {"PYTHONPATH": str(copy), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    program = re.sub(r"^(pytest|mlpbench)\b", rf"{sys.executable} -m \1", command)
    return subprocess.run(["bash", "-c", program], cwd=copy, env=environment, capture_output=True, text=True)


def test_contributing_shows_how_to_add_each_kind_of_piece() -> None:
    shown = " ".join(examples()).lower()
    pieces = (
        "activation",
        "loss",
        "schedule",
        "optimiser",
        "initialiser",
        "data set",
        "metric",
        "claim form",
        "figure",
    )
    for piece in pieces:
        assert piece in shown, piece


@pytest.mark.parametrize("heading", SHORT)
def test_a_small_piece_is_one_short_entry(heading: str) -> None:
    entries = [block for block in examples()[heading] if block.path and block.path.startswith("mlpbench/")]
    assert len(entries) == 1
    assert entries[0].table is not None
    assert len(entries[0].text.splitlines()) < MOST_LINES


@pytest.mark.parametrize(
    "heading", [pytest.param(h, marks=pytest.mark.slow if h in IN_CHECK else pytest.mark.prove) for h in examples()]
)
def test_an_example_works_in_a_fresh_copy_of_the_package(heading: str, copy: Path) -> None:
    blocks = examples()[heading]
    commands = [c for block in blocks if block.language == "sh" for c in block.text.strip().splitlines()]
    assert commands
    for block in blocks:
        if block.path:
            apply(block, copy)
    for command in commands:
        done = run(command, copy)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize(
    "heading",
    [pytest.param("An activation", marks=pytest.mark.slow), pytest.param("A metric", marks=pytest.mark.prove)],
)
def test_without_its_row_of_a_reference_an_added_piece_fails(heading: str, copy: Path) -> None:
    blocks = examples()[heading]
    for block in blocks:
        if block.path and block.path.startswith("mlpbench/"):
            apply(block, copy)
    tested = next(c for block in blocks if block.language == "sh" for c in block.text.strip().splitlines())
    assert run(f"{tested} -x", copy).returncode == 1, "a test fails"
