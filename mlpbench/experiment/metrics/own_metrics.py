"""Metrics of plugins: of each, `test_NAME` on the test set and `val_NAME` on the validation examples.

The canonical name of a metric has the digest of its code, `test_hits@3f2a9c0b71de`, as a level that is a piece has: what another code
measured is another metric. Tables keep the numbers of a run by these names, in one column. Other facts follow from the name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mlpbench.experiment.components.own_pieces import Components, is_own, split_name, unloaded
from mlpbench.experiment.metrics.metric_names import LOG10
from mlpbench.experiment.metrics.set_scores import MOST_OUTPUTS

# What a piece is of, and what it is called in a sentence.
KIND = "metric"
PARTS: Mapping[str, str] = {"test": "test set", "val": "validation examples"}
# The column of the table `runs` that has the numbers of a run, by canonical names, and how many of them it may have.
COLUMN, MOST = "own_metrics", 1_000

Measure = Callable[[Any, Any], float | None]
# The metrics of plugins that this process has loaded, by the names of pieces: a run's outputs and targets to a number.
OWN_METRICS: Components[Measure] = Components({}, unloaded)


def measured(name: str) -> tuple[str, str] | None:
    """Return the part of the data and the name of the piece of `test_hits@3f2a9c0b71de`; None of another name.

    >>> measured("test_hits@3f2a9c0b71de"), measured("test_accuracy")
    (('test', 'hits@3f2a9c0b71de'), None)
    """
    part, _, piece = name.partition("_")
    return (part, piece) if part in PARTS and is_own(piece) else None


def meaning(name: str) -> str | None:
    """Return what a metric of a plugin is, in a sentence; None of another name."""
    of = measured(name)
    return None if of is None else f"{split_name(of[1])[0]}, a metric of a plugin, on the {PARTS[of[0]]}"


def with_digest(name: str, pieces: Mapping[str, str]) -> str:
    """Return the canonical name of a metric that a file names, given that of each piece by what it is called; others stay.

    >>> with_digest("log10_test_hits", {"hits": "hits@3f2a9c0b71de"})
    'log10_test_hits@3f2a9c0b71de'
    """
    plain = name.removeprefix(LOG10)
    part, _, called = plain.partition("_")
    if part not in PARTS or called not in pieces:
        return name
    return f"{name.removesuffix(plain)}{part}_{pieces[called]}"


def names_in(pieces: Mapping[str, str], *, validates: bool) -> list[str]:
    """Return the names by which a file may speak of metrics of its plugins."""
    return [f"{part}_{called}" for called in pieces for part in PARTS if part == "test" or validates]


def keeps_outputs(n: int, n_classes: int | None) -> bool:
    """Return whether outputs for so many examples are few enough for metrics of plugins; numbers are their own predictions."""
    return n_classes is None or n * n_classes <= MOST_OUTPUTS


def numbers_of(stored: object) -> Iterator[tuple[str, float | None]]:
    """Yield the numbers of a run as a table has them, of names that are of metrics of plugins."""
    if isinstance(stored, Iterable):
        yield from ((name, value) for name, value in stored if measured(name) is not None)
