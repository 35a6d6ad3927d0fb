"""The experiments of a folder at a glance: what each asks, how long it takes here, and what its results say."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.data.dataset import Say, say_nothing
from mlpbench.experiment import grid
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.shipped import FOLDER, IN_RESULTS, RESULTS, SUFFIXES, hint, located, shipped_folder
from mlpbench.experiment.plan import outline
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.options import Options
from mlpbench.report.summary import read_summary
from mlpbench.results import seal
from mlpbench.results.seal import MISSING, SUMMARY

# A source checkout has the results that the README speaks of here.
REFERENCE = Path("results/reference")
WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class ListedExperiment:
    """One experiment, with what its report says.

    `folder` is where its results are, or would be. `seconds` is the time that all of its runs are expected to take here. `verdicts` counts the claims by verdict, None where
    there is no report with a `summary.json`; `older` says that the report is of a file with another number of claims.
    """

    name: str
    file: Path
    folder: Path
    runs: int
    seconds: float
    question: str
    verdicts: Mapping[str, int] | None
    older: bool


def list_experiments(
    places: Sequence[Path], results: Path | None, options: Options, say: Say = say_nothing, note: Say = say_nothing
) -> list[ListedExperiment]:
    """Return the experiments of folders, each in the order of its files, and single ones; raise InputError for what is neither.

    Where there is no folder `experiments`, they are those that come with mlpbench, as `note` is told.

    Args:
        places: folders of experiments, results folders, and files or names of experiments.
        results: has a folder by the name of each experiment that has results; None is `results`, and the reference results of a
            source checkout for experiments that have none there.
        options: as for a run.
        say: gets what is wrong with a file of an experiment, which is left out, and a line about each damaged file of results.
        note: gets a line about each that is missing and can be restored, and about what a name means.

    """
    if results is not None and not results.is_dir():
        raise InputError(f"--results: folder not found: {results}")
    files = list(dict.fromkeys(path for place in places for path in _files(place, note)))
    rows = (_row(path, results, options, say, note) for path in files)
    return [row for row in rows if row is not None]


def _files(place: Path, note: Say) -> list[Path]:
    """Return the files of experiments that are meant."""
    if place == FOLDER and not place.exists() and (ours := shipped_folder()) is not None:
        note(f"there is no folder {place} here: these come with mlpbench, as in `mlpbench run width`")
        place = ours
    file = located(place, note)
    if file.is_dir():
        below = (path for path in file.glob(f"*/{IN_RESULTS}") if path.is_file() and path.parent.name[:1] != ".")
        return sorted(file.glob("*.yaml")) or sorted(below)
    if not file.is_file() or file.suffix not in SUFFIXES:
        way = hint(place) or "; `mlpbench list` alone has those that come along"
        raise InputError(f"folder of experiments not found: {place}{way}")
    return [file]


def _folder_of(name: str, results: Path | None) -> Path:
    """Return the results folder of an experiment."""
    if results is not None:
        return results / name
    own = RESULTS / name
    return own if any((own / file).exists() for file in (IN_RESULTS, SUMMARY)) else REFERENCE / name


def _row(path: Path, results: Path | None, options: Options, say: Say, note: Say) -> ListedExperiment | None:
    try:
        experiment = yaml_reader.read(path)
    except InputError as error:
        say(str(error))
        return None
    folder = _folder_of(experiment.name, results)
    flaws, missing = _flaws(folder)
    for line in flaws.values():
        say(line)
    for line in missing.values():
        note(line)
    summary = None if SUMMARY in flaws else read_summary(folder)
    return ListedExperiment(
        name=experiment.name,
        file=path,
        folder=folder,
        runs=grid.count_runs(experiment),
        seconds=expected_seconds(experiment, options),
        question=experiment.question,
        verdicts=None
        if summary is None
        else {v: summary.verdicts[v] for v in get_args(Decision) if v in summary.verdicts},
        older=summary is not None and sum(summary.verdicts.values()) != len(experiment.claims),
    )


def _flaws(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is wrong with the files of a results folder, and which are missing and can be restored, by name.

    It is seen from their names and checksums, without a look into tables but where a journal says that they are exchanged.
    """
    try:
        flaws = seal.flaws(folder)
    except InputError as error:
        return {seal.NAME: str(error)}, {}
    flaws |= seal.altered_parts(folder)
    lines = {n: f"{folder / n} {why}: {seal.remedy(n, missing=why == MISSING)}" for n, why in flaws.items()}
    if os.path.lexists(folder / seal.JOURNAL):
        from mlpbench.results.part_files import Journal

        try:
            Journal.read(folder)
        except InputError as error:
            lines[seal.JOURNAL] = str(error)
    missing = {n for n, why in flaws.items() if why == MISSING}.difference(seal.IRREPLACEABLE)
    return {n: lines[n] for n in lines if n not in missing}, {n: lines[n] for n in sorted(missing)}


def expected_seconds(experiment: Experiment, options: Options) -> float:
    """Return what all runs are expected to take with these workers: what `plan` says of an empty folder."""
    tunings = grid.count_tunings(experiment) if experiment.refit == "chosen" else 1
    slots = grid.slots(experiment)
    work = outline(
        (
            # Which level is refitted is not known yet: it is taken to cost what that of the first does.
            (
                c.settings_of(f),
                c.data,
                experiment.replicates if f is not None or len(slots) == 1 or i % tunings == 0 else 0,
            )
            for i, c in enumerate(grid.conditions(experiment))
            for f in slots
        ),
        **options.resources,
    )
    return work.elapsed(options.n_workers)


def text(rows: Sequence[ListedExperiment], width: int = WIDTH) -> str:
    """Return two or more lines for each experiment, none longer than `width` if a word is not."""
    name = max((len(r.name) for r in rows), default=0) + 2
    narrow = any(len(_facts(r, name).rstrip()) > width for r in rows)
    lines = []
    for r in rows:
        verdicts = ", ".join(f"{n} {word}" for word, n in (r.verdicts or {}).items())
        verdicts += " (of an older file)" if r.older else ""
        facts = f"{r.name}: {r.runs} runs, {planned_time(r.seconds)}" if narrow else _facts(r, name)
        below = narrow or len(facts) + len(verdicts) > width
        lines.append(facts.rstrip() if below else f"{facts}{verdicts}".rstrip())
        for paragraph in [verdicts] * (below and bool(verdicts)) + [printable(r.question)]:
            lines += textwrap.wrap(paragraph, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _facts(row: ListedExperiment, name: int) -> str:
    """Return the columns of an experiment before its verdicts; `name` is the width of the first."""
    return f"{row.name:<{name}}{row.runs:>6} runs  {planned_time(row.seconds):<14}"


def planned_time(seconds: float) -> str:
    """Return an expected time as lists and plans say it."""
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"


def long_time(seconds: float) -> str:
    """Return a long time in its largest unit of which there are at least two."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
