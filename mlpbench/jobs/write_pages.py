"""Pages of results folders: reports written or checked, and the index over all of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.base.files import read_regular, write_whole
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.judge import judge
from mlpbench.results import seal
from mlpbench.results.folder_check import check_folder, listed, open_folder
from mlpbench.results.folders import folders_below, read_folder
from mlpbench.results.store import Store

if TYPE_CHECKING:
    from mlpbench.report.pages.index_page import Entry, Index
    from mlpbench.report.papers.paper_files import VectorFormat
    from mlpbench.report.report import Report

MISSING, DIFFERS = "is missing", "differs"
# While an experiment is trained its page is written after so many seconds, and again after as many, or after this many times as long
# as it took.
EVERY_S, SHARE = 20.0, 9
# What takes longest to load of what a report is written with, each about as long.
LIBRARIES = ("pandas", "scipy.stats", "mlpbench.report.figures.theme", "mlpbench.report.pages.page")


def libraries() -> Iterator[None]:
    """Load what judges claims and writes a report, a part at each step: while workers train, and before the report is due."""
    for name in LIBRARIES:
        import_module(name)
        yield


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


def write(
    folder: Path,
    *,
    html: bool = False,
    latex: bool = False,
    figures: Collection[VectorFormat] = (),
    say: Say = say_nothing,
) -> tuple[Path, Mapping[str, str]]:
    """Write the report of a folder; raise MlpbenchError.

    Args:
        folder: a results folder, or one of kernel benchmarks.
        html: the page too, `report.html`.
        latex: the tables for a paper too, `report.tex`.
        figures: formats in which figures are drawn beside PNG.
        say: gets a line about each file that is missing or damaged, and can be restored.

    What the folder has of these is kept up to date in any case. Returns the path of the page or else of the text, and why parts of
    the report could not be made (`Report.failures`).

    """
    from mlpbench.report.pages import page, report_digest
    from mlpbench.report.papers import paper_files

    written = render(folder, keep_examples=True, say=say)
    if latex:
        paper_files.check_tables(written)
    path = page.write(written, folder, html=html)
    paper_files.write(written, folder, latex=latex, formats=figures)
    return (folder / report_digest.HTML if html else path), written.failures


def check(
    folder: Path,
    *,
    html: bool = False,
    latex: bool = False,
    figures: Collection[VectorFormat] = (),
    say: Say = say_nothing,
) -> dict[str, str]:
    """Return which files of a folder's report are missing or differ from what its tables give; nothing is written.

    What is wanted counts, as for `write`, and what is there.
    """
    from mlpbench.report.pages import page, report_digest
    from mlpbench.report.papers import paper_files

    rendered = render(folder, say=say)
    pages = page.contents(rendered, html=html or (folder / report_digest.HTML).exists())
    for_papers = paper_files.contents(rendered, folder, latex=latex, formats=figures)
    differing = {}
    for name, content in (pages | for_papers).items():
        try:
            if read_regular(folder / name) != content:
                differing[name] = DIFFERS
        except FileNotFoundError:
            differing[name] = MISSING
        except OSError:
            differing[name] = DIFFERS
    return dict(sorted(differing.items()))


def citation(folder: Path, say: Say = say_nothing) -> str:
    """Return the BibTeX entry of a results folder; raise InputError where it is none, or has files that its seal refuses."""
    from mlpbench.report.papers.citation import CitedResults, results_entry
    from mlpbench.report.summary import read_summary

    experiment, store = open_folder(folder, say)
    runs = store.read("runs", grid.all_run_ids(experiment), columns=["run_id", "env_mlpbench"])
    summary = read_summary(folder)
    sealed = seal.read(folder)
    return results_entry(
        CitedResults(
            name=experiment.name,
            question=experiment.question,
            data=list(dict.fromkeys(data.title for data in experiment.facts)),
            runs=len(runs),
            versions=sorted(set(runs["env_mlpbench"].dropna())),
            verdicts={} if summary is None else summary.verdicts,
            digest=None if sealed is None else sealed.digest,
        )
    )


class LivePage:
    """The page of an experiment while it is trained: written again as stacks end, in a tenth of the time at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = time.monotonic() + EVERY_S

    def update(self, experiment: Experiment, conditions: Sequence[Condition]) -> bool:
        """Write the page of what is stored by now, where it is time to, and return whether it was; raise MlpbenchError."""
        if time.monotonic() < self._due:
            return False
        from mlpbench.report.pages import page
        from mlpbench.report.report import render

        began = time.monotonic()
        page.write(render(judge(experiment, self._store, conditions, for_report=True)), self._store.folder, html=True)
        took = time.monotonic() - began
        self._due = time.monotonic() + max(EVERY_S, SHARE * took)
        return True


def write_index(folder: Path, say: Say = say_nothing) -> tuple[list[Path], list[str]]:
    """Write `index.md`, its pictures and `index.html` over all experiments below a folder; raise MlpbenchError.

    Returns the paths of the pages, and what is wrong with folders that can't be read; `say` gets notes about the others.
    """
    from mlpbench.report.pages import index_page

    if not folder.is_dir():
        raise InputError(f"folder of results not found: {folder}")
    problems: list[str] = []
    index = read_index(folder, say, problems.append)
    pages = {folder / "index.html": index_page.page(index), folder / "index.md": index_page.markdown(index)}
    drawn = {folder / path: content for path, content in index_page.pictures(index).items()}
    for path, content in drawn.items():
        write_whole(path, content)
    for path, text in pages.items():
        write_whole(path, text.encode())
    of_pictures = folder / index_page.PICTURES
    if not of_pictures.is_symlink():  # which may lead to pictures of somebody else
        for path in {*of_pictures.glob("*.svg")} - {*drawn}:  # of experiments that are gone
            path.unlink(missing_ok=True)
    return list(pages), problems


def read_index(folder: Path, say: Say = say_nothing, refuse: Say = say_nothing) -> Index:
    """Return what the index says of every folder below that has a spec.yaml, or kernel benchmarks.

    It says what the reports say; a folder without a report is judged. One that cannot be read does not stop the others:
    `refuse` gets what is wrong with it.
    """
    from mlpbench.report import kernel_benchmarks
    from mlpbench.report.pages import verdict_notes
    from mlpbench.report.pages.index_page import Index

    entries, unread = [], []
    measured = [path for path in folders_below(folder, kernel_benchmarks.FILE) if kernel_benchmarks.is_folder(path)]
    found = [*folders_below(folder), *measured]
    for path in sorted({*folders_below(folder, seal.NAME)} - {*found}):
        refuse(f"{path / seal.SPEC} {seal.MISSING}: {seal.remedy(seal.SPEC, missing=True)}")
        unread.append((path.relative_to(folder).as_posix(), f"{seal.SPEC} {seal.MISSING}"))
    for path in found:
        name = path.relative_to(folder).as_posix()
        try:
            entries.append(_entry(path, name, say))
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
    summaries = {e.folder: e.summary for e in entries}
    notes = verdict_notes.read_notes(folder, summaries, [name for name, _ in unread], say, refuse)
    return Index(entries=sorted(entries, key=lambda e: (e.summary.name, e.folder)), unread=sorted(unread), notes=notes)


def _entry(path: Path, name: str, say: Say) -> Entry:
    from mlpbench.report.kernel_benchmarks import FILE
    from mlpbench.report.pages.index_page import Entry
    from mlpbench.report.pages.report_digest import HTML, MARKDOWN
    from mlpbench.report.summary import read_summary
    from mlpbench.report.topic_order import topic_of

    if (path / seal.SPEC).exists():
        seen = check_folder(Store(path), spec=False)
        if problems := [*seen.records.values(), *seen.tables.values(), *seen.of_report.values()]:
            raise InputError(listed(problems))
        for note in seen.notes:
            say(note)
    summary = read_summary(path) or render(path).summary
    if not summary.topic and not summary.benchmarks:  # of an older report
        summary = summary.model_copy(update={"topic": topic_of(read_folder(path))})
    return Entry(
        folder=name,
        summary=summary,
        files=[file for file in (HTML, MARKDOWN, "spec.yaml", FILE) if (path / file).is_file()],
    )
