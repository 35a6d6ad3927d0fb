"""Probes through the main job: the layers table, and which stored runs are complete for the probes that are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mlpbench
from mlpbench.results.schemas import SCHEMAS

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SPEC: dict[str, Any] = {
    "name": "probed",
    "question": "What do the layers do?",
    "dataset": "fashion_mnist",
    "fixed": {"width": 6, "depth": 2, "train_size": 300, "batch_size": 64, "epochs": 2},
    "factors": {"optimizer": ["sgd", "adam"]},
    "replicates": 2,
}


def layers(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "probed" / "layers")


def digests(results: Path) -> dict[str, str]:
    runs = pd.read_parquet(results / "probed" / "runs")
    assert runs["run_id"].is_unique
    return dict(zip(runs["run_id"], runs["weights_sha256"], strict=True))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("probed")
    assert mlpbench.run(SPEC, results=results, workers=1, report=False).trained == 4
    return results


def test_layers_are_measured_at_the_start_and_at_the_end_unless_told(done: Path) -> None:
    found = layers(done)
    assert list(found.columns) == SCHEMAS["layers"].names
    assert len(found) == 4 * 2 * 3
    assert sorted(set(zip(found["step"], found["epoch"], strict=True))) == [(0, 0.0), (10, 2.0)]
    assert sorted(set(found["layer"])) == [1, 2, 3]
    assert found["grad_norm"].notna().all()
    assert found["update_ratio"].isna().equals(found["step"] == 0)
    assert found["act_saturated"].isna().equals(found["layer"] == 3)


@pytest.mark.slow
def test_a_stored_run_without_the_probes_that_are_asked_for_is_trained_again(tmp_path: Path) -> None:
    def trained(**more: Any) -> int:
        return mlpbench.run(SPEC | more, results=tmp_path, workers=1, report=False).trained

    assert trained(probes=[]) == 4
    before = digests(tmp_path)
    assert layers(tmp_path).empty
    assert trained(probes=[0, 0.5, 1, "end"]) == 4, "none of the runs was measured"
    assert digests(tmp_path) == before, "the same runs, to the bit"
    assert sorted(set(layers(tmp_path)["step"])) == [0, 2, 5, 10]
    assert trained(probes=[0.5, "end"]) == trained(probes=[]) == trained() == 0, "more than was asked for is there"
    assert trained(replicates=3) == 2
    assert trained(replicates=3, probes=[0, 0.5, 1, "end"]) == 2, "only those without"
    assert trained(replicates=3, probes=[99]) == 0, "beyond the end nothing can be measured"
    assert len(layers(tmp_path)) == 6 * 4 * 3, "what was measured before is replaced, not doubled"


def test_a_diverged_run_is_complete_with_what_was_measured_before(tmp_path: Path) -> None:
    wild = SPEC | {"fixed": SPEC["fixed"] | {"activation": "identity", "loss": "mse"}, "factors": {"lr": [0.05, 1e5]}}
    probes = [0, 0.2, 0.4, 1, "end"]
    first = mlpbench.run(wild | {"probes": probes}, results=tmp_path, workers=1, report=False)
    assert first.trained == 4
    gone = first.runs[first.runs["lr"] == 1e5].set_index("run_id")["diverged_at_step"]
    assert gone.between(1, 9).all()
    measured = layers(tmp_path).groupby("run_id")["step"].max()
    assert (measured[gone.index] < gone).all()
    assert mlpbench.run(wild | {"probes": probes}, results=tmp_path, workers=1, report=False).trained == 0


def test_every_new_setting_reaches_the_tables(tmp_path: Path) -> None:
    fixed = SPEC["fixed"] | {
        "activation": "prelu", "norm": "layer", "schedule": {"step": {"every": 3, "factor": 0.5}}, "clip_norm": 0.5,
        "l1": 1e-4, "label_noise": 0.1, "input_noise": 0.1, "loss": "mse",
    }  # fmt: skip
    (row,) = mlpbench.run(
        SPEC | {"fixed": fixed, "factors": {"optimizer": [{"momentum": 0.5}]}, "replicates": 1},
        results=tmp_path, workers=1, report=False,
    ).runs.to_dict("records")  # fmt: skip
    told = ("activation", "norm", "schedule", "clip_norm", "l1", "label_noise", "input_noise", "loss", "optimizer")
    assert {k: row[k] for k in told} == {
        **{k: fixed[k] for k in told if k in fixed}, "schedule": "step(3,0.5)", "optimizer": "momentum(0.5)",
    }  # fmt: skip
    assert row["status"] == "ok"
    assert row["n_parameters"] == 784 * 6 + 6 + 6 * 6 + 6 + 6 * 10 + 10 + 2 * (1 + 6 + 6)
