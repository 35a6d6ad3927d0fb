"""Examples as arrays, for figures that need more of them than classes: inputs and targets that a replicate's runs see.

What comes with the package, or is made by it, is read or generated again. Of a table of the user's own the folder keeps what figures
need, as it does with images, so that a report says the same with the table or without: targets of test rows, the first two
inputs, and, where there are at most two, the training rows too.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.errors import MlpbenchError
from mlpbench.base.files import read_regular, sealed
from mlpbench.data.dataset import DataFacts, Dataset, DataSource
from mlpbench.data.npy_files import read_npz
from mlpbench.results.seal import write_sealed
from mlpbench.results.store import Store

STEM, SUFFIX = "test_arrays", ".npz"
PARTS = ("x_train", "y_train", "x_test", "y_test")
# Inputs that are kept, and rows: of more no figure is drawn.
MOST_INPUTS, MOST_ROWS = 2, 50_000
# Numbers of all examples that are generated again, or read from the package, at most: 4 MB.
MOST_NUMBERS = 1_000_000


def read_arrays(source: DataSource, store: Store, seed: int, replicate: int, *, keep: bool = False) -> Dataset | None:
    """Return the examples of a draw, or those that all share; None where they are not had with the folder, or are too many.

    Args:
        source: the data set.
        store: the folder, which keeps those of tables of the user's own.
        seed: that of the experiment.
        replicate: which draw, where each replicate has its own.
        keep: put arrays that the folder lacks there, if the table is at hand; MachineError is raised where the disk refuses.

    """
    data = source.facts
    if source.is_in_package:
        few = (data.n_train + data.n_test) * data.n_features <= MOST_NUMBERS
        return _whole(source, seed, replicate) if few else None
    if data.profile is None or data.n_test > MOST_ROWS:
        return None
    stem = f"{STEM}-{data.fingerprint[:12]}" + (f"-{seed}-{replicate}" if data.is_drawn_anew else "")
    kept = _kept(stem, data, store)
    if kept is not None or not keep:
        return kept
    try:
        whole = _whole(source, seed, replicate)
    except MlpbenchError:  # the file is gone, or is not what it was
        return None
    content = io.BytesIO()
    cut = _cut(whole)
    np.savez_compressed(
        content, x_train=cut["x_train"], y_train=cut["y_train"], x_test=cut["x_test"], y_test=cut["y_test"]
    )
    name = sealed(stem, content.getvalue(), SUFFIX)
    others = dict.fromkeys(path.name for path in _files(stem, store) if path.name != name)
    write_sealed(store.folder, {**others, name: content.getvalue()})
    return _kept(stem, data, store)


def _whole(source: DataSource, seed: int, replicate: int) -> Dataset:
    return source.draw(seed, replicate) if source.facts.is_drawn_anew else source.load()


def _cut(of: Dataset) -> dict[str, NDArray[Any]]:
    """Return what is kept of examples: of many inputs the first two of test rows, and no training row."""
    has_plane = of.facts.n_features <= MOST_INPUTS and len(of.x_train) <= MOST_ROWS
    rows = {"train": slice(None) if has_plane else slice(0), "test": slice(None)}
    arrays = {part: getattr(of, part)[rows[part[2:]]] for part in PARTS}
    return {part: array[:, :MOST_INPUTS] if part.startswith("x") else array for part, array in arrays.items()}


def _files(stem: str, store: Store) -> list[Path]:
    return sorted(path for path in store.folder.glob(f"{stem}-*{SUFFIX}") if path.stem.rpartition("-")[0] == stem)


def _kept(stem: str, data: DataFacts, store: Store) -> Dataset | None:
    """Return the arrays that the folder has, None where it has none, or a file that was altered or is not of these data."""
    for path in _files(stem, store):
        try:
            content = read_regular(path)
            if path.name != sealed(stem, content, SUFFIX):
                continue
            arrays = dict(zip(PARTS, read_npz(content, PARTS), strict=True))
        except (OSError, ValueError):
            continue
        if _fits(arrays, data):
            return Dataset(facts=data, **arrays)
    return None


def _fits(arrays: dict[str, NDArray[Any]], data: DataFacts) -> bool:
    """Return whether arrays have the shapes and types of a data set, and finite numbers."""
    inputs, kind = min(MOST_INPUTS, data.n_features), np.uint8 if data.n_classes else np.float32
    y_train, y_test = arrays["y_train"], arrays["y_test"]
    n_train = data.n_train + data.n_validation
    rows = n_train if data.n_features <= MOST_INPUTS and n_train <= MOST_ROWS else 0
    shapes = arrays["x_test"].shape == (data.n_test, inputs) and arrays["x_train"].shape == (rows, inputs)
    types = all(a.dtype == (kind if part.startswith("y") else np.float32) for part, a in arrays.items())
    return (
        shapes
        and types
        and y_test.shape == (data.n_test,)
        and y_train.shape == (rows,)
        and all(bool(np.isfinite(a).all()) for a in arrays.values())
        and (data.n_classes is None or not y_test.size or int(y_test.max()) < data.n_classes)
    )
