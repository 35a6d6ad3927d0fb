"""Pages of results folders: reports written or checked, and the index over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.base.files import read_regular, write_whole
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.jobs.judge import judge
from mlpbench.results import seal
from mlpbench.results.folder_check import check_folder, listed, open_folder
from mlpbench.results.folders import folders_below
from mlpbench.results.store import Store

if TYPE_CHECKING:
    from mlpbench.report.pages.index_page import Entry, Index
    from mlpbench.report.report import Report

MISSING, DIFFERS = "is missing", "differs"


def render(folder: Path, *, keep_examples: bool = False, say: Say = say_nothing) -> Report:
    """Return the report of a results folder, or of kernel benchmarks; raise InputError for neither, and for damaged files.

    With `keep_examples`, labels and images of the test set that it shows are put into the folder where it lacks them. `say`
    gets a line about each file that is missing or damaged, and can be restored.
    """
    from mlpbench.report import kernel_benchmarks, kernel_report, report

    if kernel_benchmarks.is_folder(folder):
        return kernel_report.render(kernel_benchmarks.read(folder / kernel_benchmarks.FILE))
    experiment, store = open_folder(folder, say, of_report=keep_examples)
    return report.render(judge(experiment, store, for_report=True, keep_examples=keep_examples))


def write(folder: Path, *, html: bool = False, say: Say = say_nothing) -> tuple[Path, Mapping[str, str]]:
    """Write the report of a folder, `report.html` too if wanted or there; raise MlpbenchError.

    Returns its path, and why parts of it could not be made (`Report.failures`).
    """
    from mlpbench.report.pages import page, report_digest

    written = render(folder, keep_examples=True, say=say)
    path = page.write(written, folder, html=html)
    return (folder / report_digest.HTML if html else path), written.failures


def check(folder: Path, *, html: bool = False, say: Say = say_nothing) -> dict[str, str]:
    """Return which files of a folder's report are missing or differ from what its tables give; nothing is written.

    `report.html` counts where it is wanted or there.
    """
    from mlpbench.report.pages import page, report_digest

    wanted = page.contents(render(folder, say=say), html=html or (folder / report_digest.HTML).exists())
    differing = {}
    for name, content in wanted.items():
        try:
            if read_regular(folder / name) != content:
                differing[name] = DIFFERS
        except FileNotFoundError:
            differing[name] = MISSING
        except OSError:
            differing[name] = DIFFERS
    return dict(sorted(differing.items()))


def write_index(folder: Path, say: Say = say_nothing) -> tuple[list[Path], list[str]]:
    """Write `index.md` and `index.html` over all experiments below a folder; raise MlpbenchError.

    Returns their paths, and what is wrong with folders that can't be read; `say` gets notes about the others.
    """
    from mlpbench.report.pages import index_page

    if not folder.is_dir():
        raise InputError(f"folder of results not found: {folder}")
    problems: list[str] = []
    index = read_index(folder, say, problems.append)
    pages = {folder / "index.html": index_page.page(index), folder / "index.md": index_page.markdown(index)}
    for path, text in pages.items():
        write_whole(path, text.encode())
    return list(pages), problems


def read_index(folder: Path, say: Say = say_nothing, refuse: Say = say_nothing) -> Index:
    """Return what the index says of every folder below that has a spec.yaml, or kernel benchmarks.

    It says what the reports say; a folder without a report is judged. One that cannot be read does not stop the others:
    `refuse` gets what is wrong with it.
    """
    from mlpbench.report import kernel_benchmarks
    from mlpbench.report.pages.index_page import MOST_PICTURED, Index

    entries, unread = [], []
    measured = [path for path in folders_below(folder, kernel_benchmarks.FILE) if kernel_benchmarks.is_folder(path)]
    found = [*folders_below(folder), *measured]
    for path in sorted({*folders_below(folder, seal.NAME)} - {*found}):
        refuse(f"{path / seal.SPEC} {seal.MISSING}: {seal.remedy(seal.SPEC, missing=True)}")
        unread.append((path.relative_to(folder).as_posix(), f"{seal.SPEC} {seal.MISSING}"))
    for path in found:
        name = path.relative_to(folder).as_posix()
        try:
            entries.append(_entry(path, name, say, pictured=len(found) <= MOST_PICTURED))
        except MemoryError:
            raise
        except Exception as error:  # whatever is wrong with one folder, of which another may be as good as ever
            why = (
                str(error) if isinstance(error, MlpbenchError | OSError) else f"{path}: {type(error).__name__}: {error}"
            )
            refuse(why)
            # Seen from the index: where the folder lies is not for its readers.
            unread.append((name, why.replace(f"{folder}/", "").partition("\n")[0]))
    if note := seal.unsealed(folder / e.folder for e in entries if (folder / e.folder / seal.SPEC).exists()):
        say(note)
    return Index(entries=sorted(entries, key=lambda e: (e.summary.name, e.folder)), unread=sorted(unread))


def _entry(path: Path, name: str, say: Say, *, pictured: bool) -> Entry:
    from mlpbench.report.kernel_benchmarks import FILE
    from mlpbench.report.pages.index_page import Entry
    from mlpbench.report.pages.report_digest import HTML, MARKDOWN
    from mlpbench.report.summary import read_summary

    if (path / seal.SPEC).exists():
        seen = check_folder(Store(path), spec=False)
        if problems := [*seen.records.values(), *seen.tables.values(), *seen.of_report.values()]:
            raise InputError(listed(problems))
        for note in seen.notes:
            say(note)
    summary = read_summary(path) or render(path).summary
    picture = path / summary.figure.file if pictured and summary.figure else path
    return Entry(
        folder=name,
        summary=summary,
        files=[file for file in (HTML, MARKDOWN, "spec.yaml", FILE) if (path / file).is_file()],
        picture=read_regular(picture) if picture.is_file() else None,
    )
