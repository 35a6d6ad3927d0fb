"""Figures of what data are about, from real runs: what is stored gives the metrics on record, and reports stand without the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlpbench
from mlpbench.experiment.metrics.set_curves import RELIABILITY, ROC, ROC_STEPS
from mlpbench.experiment.metrics.set_scores import BINS
from mlpbench.jobs import trim, write_pages
from mlpbench.results.folder_check import open_folder
from mlpbench.results.store import Store
from mlpbench.results.stored_network import read_network

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_process")]
FIXED: dict[str, Any] = {"init": "he_normal", "lr": 0.1, "batch_size": 20, "steps": 60, "depth": 1}
KEYS: dict[str, Any] = {"question": "q", "fixed": FIXED, "factors": {"width": [2, 16]}, "replicates": 2}


def run(results: Path, **keys: Any) -> Path:
    return mlpbench.run(KEYS | keys, results=results, device="cpu", workers=1, quiet=True).folder


def test_curves_of_real_runs_give_their_metrics(tmp_path: Path) -> None:
    folder = run(tmp_path, name="votes", dataset={"name": "voting", "resplit": True})
    rows = Store(folder).read("runs").merge(Store(folder).read("predictions"), on="run_id")
    assert len(rows) == 4
    for reliability, roc, accuracy, ece, area in rows[
        [RELIABILITY, ROC, "test_accuracy", "test_ece", "test_roc_auc"]
    ].itertuples(index=False):
        counts, confidence, right = np.reshape(reliability, (3, BINS))
        assert np.isclose(right.sum() / counts.sum(), accuracy)
        assert np.isclose(np.abs(confidence - right).sum() / counts.sum(), ece)
        assert abs(np.trapezoid(roc, dx=1 / ROC_STEPS) - area) < 0.02
    assert "figures/class_probabilities.png" in write_pages.render(folder).drawings
    assert write_pages.check(folder) == {}


def test_networks_read_without_torch_predict_what_was_stored(tmp_path: Path) -> None:
    planes = {"name": "iris", "columns": ["petal_length", "petal_width"]}
    folder = run(tmp_path, name="planes", dataset=planes, save_weights=True)
    experiment, store = open_folder(folder)
    x = experiment.sources[0].load().x_test.astype(float)
    stored = store.read("predictions").set_index("run_id")["predicted"]
    for run_id, predicted in stored.items():
        network = read_network(folder, str(run_id))
        assert network is not None
        outputs = np.sort(network.outputs(x), axis=1)
        is_clear = outputs[:, -1] - outputs[:, -2] > 1e-4
        assert (network.outputs(x).argmax(axis=1) == np.frombuffer(predicted, np.uint8))[is_clear].all()
    assert read_network(folder, "0" * 16) is None
    assert "Shades are the class" in (folder / "report.md").read_text()


def test_a_report_on_a_table_of_ones_own_stands_where_the_table_is_gone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 6, 60)
    table = tmp_path / "own.csv"
    pd.DataFrame({"x_<i>": x, "y|": 5 + np.sin(x)}).to_csv(table, index=False)
    folder = run(tmp_path / "results", name="own", dataset={"file": str(table), "target": "y|"})
    names = {"figures/fitted_curves.png", "figures/predicted_and_true.png"}
    before = {name: (folder / name).read_bytes() for name in names}
    table.unlink()
    assert write_pages.check(folder) == {}
    trim.trim(folder)
    assert write_pages.check(folder) == {}
    write_pages.write(folder)
    assert {name: (folder / name).read_bytes() for name in names} == before
    (kept,) = folder.glob("test_arrays-*.npz")
    kept.unlink()
    assert not names & set(write_pages.render(folder).drawings)
