"""Tables that come with the package, trained: as logistic regression is, found wherever mlpbench is installed, and on to predictions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression, Ridge

import mlpbench
from mlpbench.cli.main import main
from mlpbench.data.data_sets import lookup
from mlpbench.data.table_pack.pack_table import FOLDER, TABLE_PACK
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")
DECAY = 0.01
# Numbers alone; words and gaps; more than two classes; and numbers to predict.
LINEAR = ("breast_cancer", "heart_disease", "vehicle", "penguins", "auto_mpg", "diabetes")


def spec(dataset: str | dict[str, Any], **settings: Any) -> dict[str, Any]:
    fixed = {"width": 8, "init": "he_normal", "batch_size": 32, "steps": 30} | settings
    return {"name": "t", "question": "q", "dataset": dataset, "fixed": fixed, "replicates": 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEAR)
def test_without_hidden_layers_it_is_scikit_learns_linear_model(name: str, tmp_path: Path) -> None:
    """mean loss + lambda/2 ||w||^2 has its minimum where LogisticRegression of C = 1 / (lambda N), or Ridge, has it."""
    settings = {"depth": 0, "init": "zeros", "optimizer": "nesterov", "lr": 0.2, "batch_size": "full", "steps": 2000}
    tree = spec(name, **settings, weight_decay=DECAY, precision="float64")
    (row,) = mlpbench.run(tree, results=tmp_path, executor="inline", report=False).runs.to_dict("records")
    data = lookup(name).load()
    x_train, x_test = data.x_train.astype(np.float64), data.x_test.astype(np.float64)
    if data.facts.n_classes:
        outputs = 2 if data.facts.n_classes == 2 else 1  # two outputs of weights w and -w are one of 2 w
        model = LogisticRegression(C=outputs / (DECAY * len(x_train)), max_iter=10_000, tol=1e-8)
        assert row["test_accuracy"] == pytest.approx(
            model.fit(x_train, data.y_train).score(x_test, data.y_test), abs=0.01
        )
        assert row["test_accuracy"] > row["constant_accuracy"] + 0.2
    else:
        ridge = Ridge(alpha=DECAY * len(x_train)).fit(x_train, data.y_train)
        assert row["test_r2"] == pytest.approx(ridge.score(x_test, data.y_test), abs=0.005)


@pytest.mark.parametrize("dataset", ["iris", {"name": "penguins", "scale": "robust", "test": 0.3}], ids=str)
def test_a_results_folder_has_name_and_options_and_no_path(dataset: str | dict[str, Any], tmp_path: Path) -> None:
    ran = mlpbench.run(spec(dataset), results=tmp_path / "r", executor="inline")
    written = (ran.folder / "spec.yaml").read_text()
    assert str(FOLDER) not in written
    assert ".csv" not in written
    elsewhere = ran.folder.rename(tmp_path / "moved")
    assert mlpbench.load(elsewhere).experiment.sources == ran.experiment.sources
    assert CliRunner().invoke(main, ["report", str(elsewhere), "--check"]).exit_code == 0
    verified = CliRunner().invoke(main, ["verify", str(elsewhere), "--all"])
    assert verified.exit_code == 0
    assert "1 identical" in verified.output


def test_a_default_that_is_said_is_no_other_run(tmp_path: Path) -> None:
    first = mlpbench.run(spec("iris"), results=tmp_path, executor="inline", report=False)
    again = mlpbench.run(spec({"name": "iris", "test": 0.2}), results=tmp_path, executor="inline", report=False)
    assert first.runs["run_id"].tolist() == again.runs["run_id"].tolist()
    other = mlpbench.run(
        spec({"name": "iris", "test": 0.3}), results=tmp_path / "other", executor="inline", report=False
    )
    assert set(other.runs["run_id"]).isdisjoint(first.runs["run_id"])


@pytest.mark.parametrize("name", ["penguins", "car_prices"])
def test_a_model_predicts_the_rows_of_the_table(name: str, tmp_path: Path) -> None:
    ran = mlpbench.run(spec(name), results=tmp_path / "r", executor="inline", report=False)
    run_id, model = str(ran.runs["run_id"].iloc[0]), tmp_path / "m.safetensors"
    exported = CliRunner().invoke(main, ["export", run_id, str(model), "--results", str(tmp_path / "r")])
    assert (exported.exit_code, exported.stderr) == (0, "")
    predicted = CliRunner().invoke(main, ["predict", str(model), str(FOLDER / f"{name}.csv")])
    assert predicted.exit_code == 0
    rows = pd.read_csv(io.StringIO(predicted.stdout))["predicted"]
    stored = Store(ran.folder).read("predictions")
    kept = bytes(stored.loc[stored["run_id"] == run_id, "predicted"].iloc[0])
    facts = TABLE_PACK[name].facts
    values = np.frombuffer(kept, np.uint8 if facts.n_classes else "<f4")
    assert len(values) == facts.n_test
    if facts.n_classes:
        of_test = np.array(facts.class_names)[values]
        truth = pd.read_csv(FOLDER / f"{name}.csv")[TABLE_PACK[name].entry.target]
        right = (rows == truth).mean()
        assert right == pytest.approx(np.average([ran.runs["train_accuracy"].iloc[0], ran.runs["test_accuracy"].iloc[0]],
                                                 weights=[facts.n_train, facts.n_test]), abs=1e-9)  # fmt: skip
        assert set(of_test) <= set(rows)
    else:
        nearest = np.abs(rows.to_numpy()[:, None] - values[None]).min(axis=0)
        assert (nearest < 1e-4 * np.abs(values)).all()
