"""The one look that every command takes at a results folder before it uses it: all of its files, and what is wrong with each.

Files that were altered, cut or replaced, and records that were deleted, end a command with a message that names them all. Of
what a report or a run makes again where it is missing, a note is enough.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlpbench.base.errors import InputError
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.experiment.spec import Experiment
from mlpbench.results import examples, seal
from mlpbench.results.folders import read_folder, read_interim_analyses, read_verifications
from mlpbench.results.plugin_figures import read_figures
from mlpbench.results.register import read_register
from mlpbench.results.seal import INTERIM_ANALYSES, JOURNAL, MISSING, OWN_FIGURES, REGISTER, SPEC, VERIFICATIONS
from mlpbench.results.store import Store, damage_message

MOST_NAMED = 20
# Whatever becomes of these, a report writes them again; `index` and `list` read them.
OF_REPORT = (seal.SUMMARY, "figures/")


@dataclass(frozen=True, kw_only=True)
class FolderCheck:
    """What is wrong with the files of a results folder: messages by path.

    `records` are the specification, records, test labels and the seal itself, `tables` also files of weights, `of_report` what
    an index reads of a report; `notes` are about files that are missing and can be restored. `experiment` is None where its
    file can't be read.
    """

    store: Store
    experiment: Experiment | None = None
    records: dict[Path, str] = field(default_factory=dict)
    tables: dict[Path, str] = field(default_factory=dict)
    of_report: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def check_folder(store: Store, experiment: Experiment | None = None, *, spec: bool = True) -> FolderCheck:
    """Look at all files of a results folder, each once; raise InputError where it is none.

    The experiment is read from the folder unless it is given, or not wanted.
    """
    folder = store.folder
    flaws: dict[str, str] = {}
    records: dict[Path, str] = {}

    def noting(name: str, read: Callable[[], object]) -> None:
        try:
            read()
        except InputError as error:
            records[folder / name] = str(error)

    try:
        flaws = seal.flaws(folder)
    except InputError as error:
        records[folder / seal.NAME] = str(error)
    if spec and experiment is None and SPEC not in flaws:
        try:
            experiment = read_folder(folder)
        except InputError as error:
            if not (folder / SPEC).is_file():
                raise
            records[folder / SPEC] = str(error)
    noting(INTERIM_ANALYSES, lambda: read_interim_analyses(folder))
    noting(REGISTER, lambda: read_register(folder, about=()))
    noting(VERIFICATIONS, lambda: read_verifications(folder))
    noting(OWN_FIGURES, lambda: read_figures(folder))
    if experiment is not None and examples.needed(experiment):
        for data in experiment.facts:
            noting(examples.labels_name(data), functools.partial(examples.read_labels, data, store))
    check = FolderCheck(store=store, experiment=experiment, records=records)
    try:
        check.tables.update({path: damage_message(path, why) for path, why in store.damaged().items()})
    except InputError as error:  # the journal can't be read
        records[folder / JOURNAL] = str(error)
    for name, why in flaws.items():
        path = folder / name
        gone = why == MISSING
        message = f"{path} {why}: {seal.remedy(name, missing=gone)}"
        if name.startswith(("test_examples", "test_arrays")) or (gone and name not in seal.IRREPLACEABLE):
            check.notes.append(message)
        elif name.startswith(OF_REPORT):
            check.of_report[path] = message
        elif path not in records:
            records[path] = message
    return check


def open_folders(
    folders: Iterable[Path | Store], say: Say = say_nothing, *, tables: bool = True, of_report: bool = True
) -> list[tuple[Experiment, Store]]:
    """Return the experiment and the tables of results folders, after a look at all of their files.

    Args:
        folders: results folders, or their stores.
        say: gets a line about each file that is missing or damaged, and can be restored.
        tables: whether damaged tables and weights count, too.
        of_report: whether something is said of what a report writes again.

    Raises:
        InputError: A folder is none, or has damaged files: all of them are named.

    """
    checks = [check_folder(f if isinstance(f, Store) else Store(f)) for f in folders]
    messages = [m for check in checks for m in (*check.records.values(), *(check.tables.values() if tables else ()))]
    if messages:
        raise InputError(listed(messages))
    for check in checks:
        for note in first_messages([*check.notes, *(check.of_report.values() if of_report else ())]):
            say(note)
    return [(check.experiment, check.store) for check in checks if check.experiment is not None]


def open_folder(
    folder: Path | Store, say: Say = say_nothing, *, tables: bool = True, of_report: bool = True
) -> tuple[Experiment, Store]:
    """Return the experiment and the tables of one results folder; `open_folders` says how."""
    (opened,) = open_folders([folder], say, tables=tables, of_report=of_report)
    return opened


def listed(messages: Sequence[str]) -> str:
    """Return one message of several, the last ones counted."""
    return "\n".join(first_messages(messages))


def first_messages(messages: Sequence[str]) -> list[str]:
    """Return the first messages, and the number of the others."""
    more = len(messages) - MOST_NAMED
    return [*messages[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]
