"""The data sets of an experiment file: one that all conditions share, or levels of a factor, each with the word that names it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlpbench.base.models import DATASET, SpecProblem, shown
from mlpbench.base.models import Path as Place
from mlpbench.data.data_sets import read_dataset
from mlpbench.data.dataset import DataSource
from mlpbench.data.formats.table_files import FORMATS
from mlpbench.data.made_data import arrays_path, read_made
from mlpbench.data.text.packed_files import PACKED
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin

LABEL = "label"
# Runs the code of a data set of a plugin, and keeps its arrays in the cache.
DatasetMaker = Callable[[Plugin, Piece], None]
# Keys that say which data set is meant: without them a mapping is what several levels have in common.
WHICH = ("name", "file")
_ENDING = re.compile(rf"({'|'.join(map(re.escape, FORMATS))})({'|'.join(map(re.escape, PACKED))})?$", re.IGNORECASE)


def level_name(source: DataSource) -> str:
    """Return the word that names a data set as a level: its name, that of a file without its ending."""
    name = source.facts.name
    return _ENDING.sub("", name) or name


class DatasetLevels:
    """Reads the data sets of a file, each once.

    Where levels of a factor are data sets, `dataset` may hold the options that all of them share: `{test: 0.3}`.
    """

    def __init__(
        self, written: object, base: Path, plugins: Sequence[Plugin] = (), make: DatasetMaker | None = None
    ) -> None:
        self._base = base
        self._own = {
            piece.called: (plugin, piece) for plugin in plugins for piece in plugin.pieces if piece.kind == DATASET
        }
        self._make = make
        self._written = written
        self._read: dict[str, str] = {}
        self.sources: dict[str, DataSource] = {}

    def read(self, written: object, place: Place) -> str:
        """Return the word of a level; raise SpecProblem for what is no data set, or where another one has its word."""
        key = repr(written)
        if key not in self._read:
            self._read[key] = self._add(written, place)
        return self._read[key]

    def read_only(self) -> None:
        """Read the one data set that all conditions share."""
        source = self._source(self._written)
        self.sources[source.facts.name] = source

    def _source(self, written: object) -> DataSource:
        """Return a data set, one of a plugin too; raise SpecProblem for what is none."""
        options = dict(written) if isinstance(written, Mapping) else {"name": written}
        own = self._own.get(name) if isinstance(name := options.pop("name", None), str) else None
        if own is None:
            return read_dataset(written, self._base)
        plugin, piece = own
        if "facts" not in options and not arrays_path(piece.called, piece.digest).is_file():
            if self._make is None:
                rule = f"{piece.called} is a data set of {plugin.name} whose arrays are not known here yet"
                how = "`mlpbench run` makes them, and so does `mlpbench check` with its file"
                raise SpecProblem((DATASET,), f"{rule}: no other command runs its code; {how}")
            self._make(plugin, piece)
        return read_made(piece.called, piece.digest, options)

    def _add(self, written: object, place: Place) -> str:
        own = dict(written) if isinstance(written, Mapping) else written
        label = own.pop(LABEL, None) if isinstance(own, dict) else None
        if label is not None and not (isinstance(label, str) and label.strip() and label.isprintable()):
            raise SpecProblem((*place, LABEL), f"label must be words on one line, got {shown(label)}")
        try:
            source = self._source(self._with_shared(own))
        except SpecProblem as problem:
            raise SpecProblem(self._place_of(problem, own, place), problem.message, key=problem.key) from None
        name = label if isinstance(label, str) else level_name(source)
        if name in self.sources and self.sources[name] != source:
            rule = f"data sets must differ in what they are called, got {shown(name)} for two of them"
            raise SpecProblem(place, f"{rule}; name one with label: {{file: PATH, ..., label: WORD}}")
        self.sources[name] = source
        return name

    def _with_shared(self, own: object) -> object:
        shared = self._written
        if shared is None:
            return own
        if not isinstance(shared, Mapping) or any(key in shared for key in WHICH):
            rule = (
                "dataset must be left out, or hold the options that all share, where data sets are levels of a factor"
            )
            raise SpecProblem((DATASET,), f"{rule}, got {shown(shared)}", key=True)
        return {**shared, **(own if isinstance(own, Mapping) else {"name": own})}

    def _place_of(self, problem: SpecProblem, own: object, place: Place) -> Place:
        """Return where a file has what is wrong with a level: in the level, or in the options that all share."""
        below = problem.path[1:]
        is_shared = isinstance(self._written, Mapping) and below[:1] and below[0] in self._written
        if problem.path == (DATASET,) and problem.key:  # the shared options themselves
            return problem.path
        if is_shared and not (isinstance(own, Mapping) and below[0] in own):
            return (DATASET, *below)
        return (*place, *(below if isinstance(own, Mapping) else ()))


def written_level(source: DataSource, name: str, folder: Path | None) -> str | dict[str, Any]:
    """Return what a file in `folder` says of a level."""
    written = source.as_written(folder)
    if name == level_name(source):
        return written
    return {**(written if isinstance(written, dict) else {"name": written}), LABEL: name}
