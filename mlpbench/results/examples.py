"""The test examples of an experiment, for evidence: what was predicted of each, what each is, and what some look like.

The classes are kept in the results folder, and the few images that a report shows, so that a folder says the same wherever
it is read: with the data or without.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlpbench.base.errors import InputError, MlpbenchError
from mlpbench.base.files import read_regular, sealed
from mlpbench.base.models import SHOWN
from mlpbench.data.npy_files import read_npy, read_npz
from mlpbench.experiment.metrics.metric_names import LATE_RIGHT
from mlpbench.experiment.metrics.set_curves import SET_CURVES
from mlpbench.results.example_arrays import read_arrays
from mlpbench.results.seal import remedy, write_sealed
from mlpbench.results.stored_network import StoredNetwork, read_network

if TYPE_CHECKING:
    import pandas as pd

    from mlpbench.data.dataset import DataFacts, Dataset, DataSource
    from mlpbench.experiment.spec import Experiment
    from mlpbench.results.store import Store

Classes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
METRIC = "test_accuracy"
# Draws that are kept in memory while a report is made.
MOST_KEPT = 32


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Where predictions, labels and images come from; each is called only where it is needed.

    `predictions` returns the table's rows for some runs, `late_right` those with counts of right predictions over the later half of
    training, `curves` those with the curves of `set_curves`. `labels` returns the class of each test example of a data set,
    `images` the bytes of some, a row each, or None where they are not known. `arrays` returns the examples of a data set that
    runs of a seed and a replicate see, or None where they are not had wherever the folder is read.
    `network` returns the network of a run, where the folder keeps its weights.
    """

    __test__ = False  # no test of pytest's

    predictions: Callable[[Sequence[str]], pd.DataFrame]
    labels: Callable[[DataFacts], Classes | None]
    images: Callable[[DataFacts, Places], Classes | None] = lambda _data, _at: None
    arrays: Callable[[DataFacts, int, int], Dataset | None] = lambda _data, _seed, _replicate: None
    network: Callable[[str], StoredNetwork | None] = lambda _run_id: None
    curves: Callable[[Sequence[str]], pd.DataFrame] = lambda _ids: _no_rows(*SET_CURVES)
    late_right: Callable[[Sequence[str]], pd.DataFrame] = lambda _ids: _no_rows(LATE_RIGHT)


def _no_rows(*columns: str) -> pd.DataFrame:
    """Return a table of no run."""
    import pandas as pd

    return pd.DataFrame(columns=["run_id", *columns])


def read_test_set(experiment: Experiment, store: Store, *, keep_images: bool = False) -> TestSet:
    """Return what reads predictions, labels and images of a folder when they are asked for.

    With `keep_images`, images and arrays that the folder lacks are put there, if the data are at hand; MachineError is raised then
    where the disk refuses.
    """

    @functools.cache
    def labels(data: DataFacts) -> Classes | None:
        return read_labels(data, store)

    def predictions(run_ids: Sequence[str]) -> pd.DataFrame:
        rows = store.read("predictions", run_ids, ["run_id", "predicted"], sound=True)
        return rows[rows["predicted"].notna()]

    def curves(run_ids: Sequence[str]) -> pd.DataFrame:
        return store.read("predictions", run_ids, ["run_id", *SET_CURVES], sound=True)

    def late_right(run_ids: Sequence[str]) -> pd.DataFrame:
        rows = store.read("predictions", run_ids, ["run_id", LATE_RIGHT], sound=True)
        return rows[rows[LATE_RIGHT].notna()]

    def images(data: DataFacts, at: Places) -> Classes | None:
        images_kept = _kept_images(data, store, at)
        if images_kept is not None or not keep_images:
            return images_kept
        source = next(s for s in experiment.sources if s.facts.fingerprint == data.fingerprint)
        return _keep_images(source, store, at)

    def arrays(data: DataFacts, seed: int, replicate: int) -> Dataset | None:
        source = next(s for s in experiment.sources if s.facts.fingerprint == data.fingerprint)
        return read_arrays(source, store, seed, replicate, keep=keep_images)

    return TestSet(
        predictions=predictions,
        labels=labels,
        images=images,
        arrays=functools.lru_cache(MOST_KEPT)(arrays),
        network=functools.partial(read_network, store.folder),
        curves=curves,
        late_right=late_right,
    )


def keep_labels(experiment: Experiment, store: Store) -> None:
    """Put the classes of the test examples into the folder, if a claim needs them and the data are at hand.

    Nothing is fetched for it. Raises MachineError where the disk refuses.
    """
    if not needed(experiment):
        return
    for source in experiment.sources:
        data = _at_hand(source) if read_labels(source.facts, store) is None else None
        if data is not None:
            content = io.BytesIO()
            np.save(content, data.y_test.astype(np.uint8), allow_pickle=False)
            write_sealed(store.folder, {labels_name(source.facts): content.getvalue()})


def lacks_labels(experiment: Experiment, store: Store) -> bool:
    """Return whether a claim needs the classes of test examples that the folder lacks: each replicate's own have none there."""
    shared = [data for data in experiment.facts if not data.is_drawn_anew]
    return needed(experiment) and any(read_labels(data, store) is None for data in shared)


def needed(experiment: Experiment) -> bool:
    """Return whether a claim is about test examples one by one."""
    return any(claim.form.metric == METRIC for claim in experiment.claims)


def _at_hand(source: DataSource) -> Dataset | None:
    """Return a data set where it need not be fetched."""
    if source.facts.is_drawn_anew or not source.is_cached():
        return None
    try:
        return source.load()
    except MlpbenchError:  # a file of own data is gone, or is not what it was
        return None


def _keep_images(source: DataSource, store: Store, at: Places) -> Classes | None:
    """Put the images of some test examples into the folder in place of others, and return them."""
    data = _at_hand(source)
    if data is None:
        return None
    images = _as_bytes(data.x_test, at)
    content = io.BytesIO()
    np.savez_compressed(content, at=at, images=images)
    name = sealed(_stem("test_examples", source.facts), content.getvalue(), ".npz")
    others = dict.fromkeys(path.name for path in _image_files(source.facts, store))
    write_sealed(store.folder, {**others, name: content.getvalue()})
    return images


def _as_bytes(examples: npt.NDArray[np.uint8] | npt.NDArray[np.float32], at: Places) -> Classes:
    """Return examples as bytes: numbers run from the smallest of all of them to the largest."""
    if examples.dtype == np.uint8:
        return np.asarray(examples[at], dtype=np.uint8)
    low, high = float(examples.min()), float(examples.max())
    return np.round(255 * (examples[at] - low) / (high - low or 1.0)).astype(np.uint8)


def _kept_images(data: DataFacts, store: Store, at: Places) -> Classes | None:
    """Return the images that the folder has of some test examples, None where it lacks one or its file was altered."""
    for path in _image_files(data, store):
        try:
            content = read_regular(path)
            if path.name != sealed(_stem("test_examples", data), content, ".npz"):
                continue
            kept, images = read_npz(content, ("at", "images"))
        except (OSError, ValueError):
            continue
        place = {int(i): row for row, i in enumerate(kept)}
        if all(int(i) in place for i in at) and images.shape == (len(kept), data.n_features):
            return np.asarray(images[[place[int(i)] for i in at]], dtype=np.uint8)
    return None


def _image_files(data: DataFacts, store: Store) -> list[Path]:
    return sorted(store.folder.glob(f"{_stem('test_examples', data)}-*.npz"))


def _stem(what: str, data: DataFacts) -> str:
    return f"{what}-{data.fingerprint[:12]}"


def read_labels(data: DataFacts, store: Store) -> Classes | None:
    """Return the labels that the folder has, None where it has none; raise InputError where their file is damaged."""
    path, n = store.folder / labels_name(data), data.n_test
    try:
        labels = read_npy(read_regular(path))
        if labels.dtype != np.uint8 or labels.shape != (n,):
            raise ValueError(f"it must hold {n} whole numbers of a byte")
        if n and labels.max() >= len(data.class_names):
            raise ValueError(f"its classes must be below {len(data.class_names)}, got {labels.max()}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path} is damaged ({why.splitlines()[0][:SHOWN]}): {remedy(path.name)}") from None
    return labels


def labels_name(data: DataFacts) -> str:
    """Return the name of the file of test labels."""
    return f"{_stem('test_labels', data)}.npy"
