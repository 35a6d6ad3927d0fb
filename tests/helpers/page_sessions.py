"""The snippets of a page, run as its reader would: in an empty folder, in their order, with the files that the page links to."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner
from repository import REFERENCE, ROOT

from mlpbench.cli.main import main

# Written by hand, in the repository and in the site.
# But for the page of wrong files, which a test of its own compares with what is printed.
_DOCS = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "wrong_input.md"]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *_DOCS]}
LANGUAGES = {"console", "csv", "markdown", "python", "sh", "text", "yaml", "{toctree}"}
# What sets up a machine, or takes minutes: it is shown, and run elsewhere.
ELSEWHERE = re.compile(r"make |pip |python3 -m venv |\. |ray |srun ")
# Commands that train, or look at what was trained.
LONG = re.compile(r"mlpbench (run|demo|verify|diff|export|predict|report|new) ")
_FENCE = re.compile(r"^```(\S+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
# What a line of three dots stands for: lines that are left out.
DOTS = "..."


@dataclass(frozen=True)
class Snippet:
    """A block of a page, by its language."""

    language: str
    text: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command of a console with the output under it."""
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def snippets(page: str) -> list[Snippet]:
    """Return the blocks of a page, in their order."""
    return [Snippet(language, text) for language, text in _FENCE.findall(PAGES[page])]


def commands(page: str) -> list[tuple[str, str]]:
    """Return all commands of a page with what it shows of their output."""
    return [pair for snippet in snippets(page) if snippet.language == "console" for pair in snippet.commands]


def is_long(page: str) -> bool:
    """Return whether the commands of a page take seconds."""
    return any(LONG.match(command) for command, _ in commands(page))


def prepare(page: str, folder: Path) -> None:
    """Give the reader of a page what it speaks of: experiments, the reference results it names, files it links to."""
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    for name in {*re.findall(r"results/reference/(\w+)", " ".join(command for command, _ in commands(page)))}:
        shutil.copytree(REFERENCE / name, folder / "results" / "reference" / name)
    for link in re.findall(r"\]\((\.\./experiments/[^)#]+)\)", PAGES[page]):
        path = (ROOT / "docs" / link).resolve()
        if path.is_file():
            shutil.copy(path, folder / path.name)


def played(page: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Run a page's commands in a folder; yield each with what the page shows and what was printed."""
    prepare(page, folder)
    with chdir(folder):
        for command, shown in commands(page):
            if not ELSEWHERE.match(command):
                yield command, shown, _printed(command)


def _printed(command: str) -> str:
    if not command.startswith("mlpbench "):
        return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    # A plan depends on the number of workers, whose default is that of the machine.
    extra = ["--workers", "2"] if command.startswith("mlpbench plan ") else []
    # Readers have fetched no data yet, whoever runs this may.
    cache = {"MLPBENCH_CACHE": str(Path("cache").absolute())} if command.startswith("mlpbench data ") else {}
    result = CliRunner(env={"COLUMNS": "80", **cache}).invoke(
        main, [*shlex.split(command)[1:], *extra], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.output


def agrees(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed, but for lines left out, and for predictions in their last digits."""
    lines = shown.strip("\n").splitlines()
    pattern = "".join(r"(?:.*\n)*?" if line == DOTS else _line(line) for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed.strip("\n").splitlines())) is not None


def _line(line: str) -> str:
    """Return the pattern of a line; a number alone on its line is a prediction, and differs from processor to processor."""
    if re.fullmatch(r"\d{3,}\.\d+", line):
        return re.escape(line.partition(".")[0][:-1]) + r"\d\.\d+\n"
    return re.escape(line) + r" *\n"
