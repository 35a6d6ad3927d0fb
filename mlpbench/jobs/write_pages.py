"""Pages of results folders: reports written or checked, and the index over all of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.base.atomic_files import write_whole
from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.jobs import judge
from mlpbench.results import test_examples
from mlpbench.results.folders import folders_below, read_folder
from mlpbench.results.store import Store

if TYPE_CHECKING:
    from mlpbench.report.pages.index_page import Entry, Index
    from mlpbench.report.report import Report

MISSING, DIFFERS = "is missing", "differs"


def render(folder: Path, *, keeping: bool = False) -> Report:
    """Return the report of a results folder, or of kernel benchmarks; raise InputError for neither.

    With `keeping`, test images that it shows are put into the folder where it lacks them.
    """
    from mlpbench.report import kernels

    if kernels.is_folder(folder):
        return kernels.render(kernels.read(folder / kernels.FILE))
    return judge.render(read_folder(folder), Store(folder), keeping=keeping)


def write(folder: Path, *, html: bool = False) -> Path:
    """Write the report of a folder, `report.html` too if wanted or there, and return its path; raise MlpbenchError."""
    from mlpbench.report import kernels, report

    if not kernels.is_folder(folder):
        test_examples.keep(read_folder(folder), Store(folder))
    path = report.write(render(folder, keeping=True), folder, html=html)
    return folder / report.HTML if html else path


def check(folder: Path, *, html: bool = False) -> dict[str, str]:
    """Return which files of a folder's report are missing or differ from what its tables give; nothing is written.

    `report.html` counts where it is wanted or there.
    """
    from mlpbench.report import report

    wanted = report.contents(render(folder), html=html or (folder / report.HTML).exists())
    found = {}
    for name, content in wanted.items():
        try:
            if (folder / name).read_bytes() != content:
                found[name] = DIFFERS
        except FileNotFoundError:
            found[name] = MISSING
    return dict(sorted(found.items()))


def write_index(folder: Path) -> list[Path]:
    """Write `index.md` and `index.html` over all experiments below a folder; return their paths; raise MlpbenchError."""
    from mlpbench.report.pages import index_page

    if not folder.is_dir():
        raise InputError(f"an index is made of a folder with results, got no folder at {folder}")
    found = read_index(folder)
    pages = {folder / "index.html": index_page.page(found), folder / "index.md": index_page.markdown(found)}
    for path, text in pages.items():
        write_whole(path, text.encode())
    return list(pages)


def read_index(folder: Path) -> Index:
    """Return what the index says of every folder below that has a spec.yaml, or kernel benchmarks.

    One that can't be read doesn't stop it.
    """
    from mlpbench.report import kernels
    from mlpbench.report.pages.index_page import Index

    entries, unread = [], []
    measured = [path for path in folders_below(folder, kernels.FILE) if kernels.is_folder(path)]
    for path in [*folders_below(folder), *measured]:
        name = path.relative_to(folder).as_posix()
        try:
            entries.append(_benchmarks(path, name) if path in measured else _entry(path, name))
        except (MlpbenchError, OSError) as error:
            # Seen from the index: where the folder lies is not for its readers.
            unread.append((name, str(error).replace(f"{folder}/", "").partition("\n")[0]))
    return Index(entries=sorted(entries, key=lambda e: (e.name, e.folder)), unread=sorted(unread))


def _benchmarks(path: Path, name: str) -> Entry:
    from mlpbench.report import kernels
    from mlpbench.report.pages import index_page
    from mlpbench.report.report import HTML, MARKDOWN

    measured = kernels.read(path / kernels.FILE)
    there = [file for file in (HTML, MARKDOWN, kernels.FILE) if (path / file).is_file()]
    n = len(measured.kernels)
    return index_page.Entry(
        name="Kernel benchmarks",
        folder=name,
        question=kernels.sentence(measured.kernels),
        verdicts={},
        statuses={},
        files=there,
        picture=_picture(path),
        amount=f"{n} benchmark{'s' * (n != 1)}",
    )


def _picture(path: Path) -> tuple[str, str, bytes] | None:
    """Return the name, the words and the bytes of the first figure of a report, if there are one and the other."""
    from mlpbench.report.pages import index_page
    from mlpbench.report.report import MARKDOWN

    text = path / MARKDOWN
    first = index_page.first_picture(text.read_text(errors="replace")) if text.is_file() else None
    if first is None or not (path / first[0]).is_file():
        return None
    return (*first, (path / first[0]).read_bytes())


def _entry(path: Path, name: str) -> Entry:
    from mlpbench.report.pages import index_page
    from mlpbench.report.report import HTML, MARKDOWN

    outcome = judge.finish(read_folder(path), Store(path), report=False)
    there = [file for file in (HTML, MARKDOWN, "spec.yaml") if (path / file).is_file()]
    return index_page.Entry(
        name=outcome.experiment.name,
        folder=name,
        question=outcome.experiment.question,
        verdicts=Counter(v.decision for v in outcome.verdicts),
        statuses=outcome.statuses,
        files=there,
        picture=_picture(path),
    )
