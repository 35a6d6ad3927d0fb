"""The test examples of an experiment, for evidence: what was predicted of each, and what each is.

The classes are kept in the results folder, so that a folder says the same wherever it is read: with the data or without.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.errors import MlpbenchError
from mlpbench.files import write_whole

if TYPE_CHECKING:
    from mlpbench.evidence.sampling import TestSet
    from mlpbench.experiment.spec import Experiment
    from mlpbench.store import Store

Classes = npt.NDArray[np.uint8]


def test_set(experiment: Experiment, store: Store) -> TestSet:
    """Return what reads predictions and labels of a folder when a claim asks for them."""
    from mlpbench.evidence.sampling import TestSet

    @functools.cache
    def labels() -> Classes | None:
        return _kept(experiment, store)

    def predictions(run_ids: Sequence[str]) -> pd.DataFrame:
        return store.read("predictions", run_ids, sound=True)

    return TestSet(predictions=predictions, labels=labels)


def keep(experiment: Experiment, store: Store) -> None:
    """Put the classes of the test examples into the folder, if a claim needs them and the data are at hand.

    Nothing is fetched for it. Raises MachineError where the disk refuses.
    """
    from mlpbench.evidence.sampling import METRIC
    from mlpbench.training import datasets

    if not any(claim.form.metric == METRIC for claim in experiment.claims) or _kept(experiment, store) is not None:
        return
    dataset = experiment.dataset
    if isinstance(dataset, str) and not datasets.cached(dataset):
        return
    try:
        found = datasets.load(dataset).y_test
    except MlpbenchError:  # a file of own data is gone, or is not what it was
        return
    content = io.BytesIO()
    np.save(content, found.astype(np.uint8), allow_pickle=False)
    write_whole(_path(experiment, store), content.getvalue())


def _kept(experiment: Experiment, store: Store) -> Classes | None:
    try:
        found = np.load(_path(experiment, store), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = found.dtype == np.uint8 and found.shape == (experiment.data.n_test,)
    return found if whole else None


def _path(experiment: Experiment, store: Store) -> Path:
    return store.folder / f"test_labels-{experiment.data.fingerprint[:12]}.npy"
