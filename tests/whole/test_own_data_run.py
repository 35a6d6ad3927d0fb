"""Own data in the engine: what it sees of a file, what it makes of numbers; and the whole road, by the real command.

Tables are those that scikit-learn brings along: iris and wine for classes, diabetes for numbers.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.linear_model import LinearRegression
from small_data import made, made_numbers, runs
from table_equality import same_tables

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.data.dataset import Dataset
from mlpbench.experiment import grid
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.file import yaml_reader
from mlpbench.training.batches.device_data import DeviceData, split
from mlpbench.training.buffers import Stacked
from mlpbench.training.engine import train_stack

pytestmark = pytest.mark.usefixtures("blank_figures")

CPU = torch.device("cpu")
TABLES = {"iris": load_iris, "wine": load_wine, "diabetes": load_diabetes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three tables as csv, iris with words for classes, diabetes with a target of moderate size."""
    made = tmp_path_factory.mktemp("data")
    for name, get in TABLES.items():
        bunch = get(as_frame=True)
        frame = bunch.frame
        if name == "iris":
            frame["target"] = np.array(bunch.target_names)[frame["target"]]
        if name == "diabetes":
            frame["target"] /= 100
        frame.to_csv(made / f"{name}.csv", index=False)
    return made


def spec(folder: Path, table: str, **keys: Any) -> dict[str, Any]:
    dataset = {"file": folder / f"{table}.csv", "target": "target"}
    fixed = {"width": 16, "init": "he_normal", "batch_size": 16, "lr": 0.05, "epochs": 20}
    return {"name": table, "question": "Does a hidden layer help?", "dataset": dataset, "fixed": fixed} | keys


def loaded(folder: Path, table: str) -> Dataset:
    return yaml_reader.from_mapping(spec(folder, table)).sources[0].load()


def test_a_worker_sees_the_table_as_float32_with_its_facts(folder: Path) -> None:
    iris = loaded(folder, "iris")
    assert (iris.facts.name, iris.facts.n_classes, iris.facts.class_names) == (
        "iris.csv",
        3,
        ("setosa", "versicolor", "virginica"),
    )
    assert iris.x_train.dtype == np.float32
    assert iris.x_train.flags.c_contiguous
    assert not iris.x_train.flags.writeable
    data = DeviceData(iris, CPU)
    assert data.x_train.shape == (120, 4)
    assert data.y_train.shape == (120,)
    numbers = DeviceData(loaded(folder, "diabetes"), CPU)
    assert numbers.y_train.shape == (354, 1)
    assert (numbers.n_classes, numbers.n_outputs) == (None, 1)


def test_fetch_tells_where_the_data_are_and_refuses_those_that_have_changed(folder: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(folder / "wine.csv", tmp_path / "wine.csv"))
    dataset = yaml_reader.from_mapping(spec(tmp_path, "wine")).sources[0]
    assert dataset.fetch() == str(path.resolve())
    path.write_text(path.read_text().replace("\n", "\n1,1,1,1,1,1,1,1,1,1,1,1,1,1\n", 1))
    with pytest.raises(InputError, match="the data must be those of the experiment's facts"):
        dataset.fetch()


@pytest.mark.parametrize("name", ["squared_error", "mse"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_losses_of_numbers_are_their_formulas_and_their_gradients_autograds(name: str, outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    z = torch.from_numpy(rng.normal(0, 1, (2, 5, outputs))).requires_grad_()
    y = torch.from_numpy(rng.normal(0, 1, (2, 5, outputs)))
    squares = (z - y).square()
    losses = squares.sum(2) / 2 if name == "squared_error" else squares.mean(2)
    torch.autograd.backward(losses.sum())
    make: dict[str, Any] = {"dtype": torch.float64, "device": CPU}
    outputs_of, gradient = Stacked.zeros(2, 5, outputs, **make), Stacked.zeros(2, 5, outputs, **make)
    found = Stacked.zeros(2, 1, 5, **make)
    outputs_of.x_RNM.copy_(z.detach())
    LOSSES[name].forward(torch, outputs_of, y, found)
    LOSSES[name].gradient(torch, outputs_of, y, torch.ones(2, 1, 1, dtype=torch.float64), gradient)
    assert z.grad is not None
    torch.testing.assert_close(found.x_RNM[:, 0], losses.detach())
    torch.testing.assert_close(gradient.x_RNM, z.grad)


def test_validation_of_numbers_is_a_share_of_the_rows_and_one_split_per_replicate() -> None:
    of = made_numbers(n_train=101, n_test=10, features=3)
    found = [split(run, of.dataset.y_train) for run in runs(of, {}, validation=0.25, replicates=3)]
    for part in found:
        assert len(part.validation) == 25
        assert sorted([*part.fit, *part.validation]) == list(range(101))
    assert len({tuple(p.validation) for p in found}) == 3


def test_numbers_have_no_accuracy_and_predictions_that_are_float32() -> None:
    of = made_numbers(n_train=101, n_test=37, features=3)
    stack = runs(of, {"steps": 5, "width": 4, "batch_size": 8}, validation=0.2, replicates=2)
    rows = train_stack(stack, of.data)
    for row in rows.runs:
        assert [row.get(f"{part}_accuracy") for part in ("train", "val", "test")] == [None] * 3
        assert "gap_accuracy" not in row
        assert row["gap_loss"] == row["test_loss"] - row["train_loss"]
    assert {r["accuracy"] for r in rows.curves} == {None}
    assert {r["split"] for r in rows.curves} == {"train", "validation", "test"}
    for row, packed in zip(rows.runs, rows.predictions, strict=True):
        predicted = np.frombuffer(packed["predicted"], "<f4")
        assert predicted.shape == (37,)
        loss = 0.5 * np.mean((predicted.astype(float) - of.dataset.y_test) ** 2)
        assert row["test_loss"] == pytest.approx(loss, rel=1e-6)


@pytest.mark.slow
def test_a_linear_network_finds_the_least_squares_line(folder: Path) -> None:
    """Full-batch descent on standardised columns against the closed form."""
    data = loaded(folder, "diabetes")
    tree = spec(folder, "diabetes", replicates=1)
    tree["fixed"] = {
        "depth": 0,
        "batch_size": "full",
        "lr": 0.2,
        "steps": 6000,
        "precision": "float64",
        "init": "zeros",
    }
    (run,) = grid.runs(yaml_reader.from_mapping(tree))
    rows = train_stack([run], DeviceData(data, CPU))
    line = LinearRegression().fit(data.x_train.astype(float), data.y_train.astype(float))
    predicted, scale = np.frombuffer(rows.predictions[0]["predicted"], "<f4"), data.facts.target_scale
    assert scale is not None
    np.testing.assert_allclose(predicted, scale.own_units(line.predict(data.x_test.astype(float))), atol=2e-3)
    residual = line.predict(data.x_train.astype(float)) - data.y_train
    assert rows.runs[0]["train_loss"] == pytest.approx(0.5 * scale.sd**2 * np.mean(residual**2), rel=1e-5)


def test_float_inputs_are_seen_as_they_are_and_bytes_as_shares_of_255() -> None:
    """The same numbers, once as pixels and once as float32, give the same bits."""
    plain = made(n_train=90, n_test=40, features=7, classes=3)
    parts = {p: (getattr(plain.dataset, p) / np.float32(255)).astype(np.float32) for p in ("x_train", "x_test")}
    floats = DeviceData(replace(plain.dataset, **parts), CPU)
    stack = runs(plain, {"steps": 9, "width": 5, "batch_size": 32}, replicates=3)
    one, other = train_stack(stack, plain.data), train_stack(stack, floats)
    assert [r["weights_sha256"] for r in one.runs] == [r["weights_sha256"] for r in other.runs]
    assert one.predictions == other.predictions


CLAIMS: dict[str, list[dict[str, Any]]] = {
    "iris": [
        {
            "id": "high",
            "says": "It is learnt.",
            "bound": {"metric": "test_accuracy", "where": {"depth": 1}, "above": 0.8},
        }
    ],
    "diabetes": [
        {
            "id": "better-than-the-mean",
            "says": "A line tells more than the mean.",
            "bound": {"metric": "test_loss", "where": {"depth": 0}, "below": 0.25},
        },
        {
            "id": "depth",
            "says": "A hidden layer lowers the loss.",
            "compare": {"metric": "test_loss", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "less"},
        },
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("table", ["iris", "diabetes"])
def test_a_csv_and_a_yaml_give_tables_report_and_verdicts(folder: Path, tmp_path: Path, table: str) -> None:
    keys = {"factors": {"depth": [0, 1]}, "replicates": 5, "validation": 0.2, "claims": CLAIMS[table]}
    tree = spec(folder, table, **keys)
    ran = mlpbench.run(tree, results=tmp_path / "a", workers=2)
    assert ran.trained == 10
    assert (ran.runs["status"] == "ok").all()
    assert set(ran.runs["dataset"]) == {f"{table}.csv"}
    assert ran.claims["verdict"].iloc[0] == "supported"
    frame = pd.read_parquet(ran.folder / "runs")
    classes = table != "diabetes"
    for name in ("train_accuracy", "val_accuracy", "test_accuracy", "gap_accuracy"):
        assert frame[name].notna().all() == frame[name].notna().any() == classes
    assert frame["test_loss"].between(0.001, 1.2).all()
    text = (ran.folder / "report.md").read_text()
    assert f"{table}.csv, target target" in text
    assert " nan" not in text
    assert ("accuracy" in text) == classes
    mlpbench.run(tree, results=tmp_path / "b", executor="inline", report=False)
    same_tables(ran.folder, tmp_path / "b" / table)


@pytest.mark.slow
def test_results_need_the_file_to_train_only(folder: Path, tmp_path: Path) -> None:
    """Reports and verdicts come from the folder; going on needs the data, and the same data."""
    (tmp_path / "data").mkdir()
    path = Path(shutil.copy(folder / "wine.csv", tmp_path / "data" / "wine.csv"))
    tree = spec(tmp_path / "data", "wine", replicates=2, claims=CLAIMS["iris"], factors={"depth": [0, 1]})
    done = mlpbench.run(tree, results=tmp_path / "results", executor="inline")
    spec_file = str(done.folder / "spec.yaml")
    assert str(tmp_path) not in Path(spec_file).read_text()
    invoke = CliRunner().invoke
    path.rename(tmp_path / "data" / "away.csv")
    before = (done.folder / "report.md").read_bytes()
    for command in (["report", str(done.folder)], ["claims", str(done.folder)], ["plan", spec_file]):
        assert invoke(main, command).exit_code == 0
    assert (done.folder / "report.md").read_bytes() == before
    assert mlpbench.load(done.folder).runs["run_id"].tolist() == done.runs["run_id"].tolist()
    results = ["--results", str(tmp_path / "results"), "--quiet", "--executor", "inline"]
    assert invoke(main, ["run", spec_file, *results]).exit_code == 0
    more = ["run", spec_file, "--set", "replicates=3", *results]
    refused = invoke(main, more)
    assert refused.exit_code == 2
    assert "file not found: " in refused.stderr
    (tmp_path / "data" / "away.csv").rename(path)
    assert invoke(main, more).exit_code == 0
    assert len(mlpbench.load(done.folder).runs) == 6


def test_a_target_too_large_for_the_rate_diverges_and_is_data(folder: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(folder / "diabetes.csv")
    frame.assign(target=frame["target"] * 1e6).to_csv(tmp_path / "diabetes.csv", index=False)
    tree = spec(tmp_path, "diabetes", replicates=2)
    tree["dataset"] |= {"target_scale": "none"}
    ran = mlpbench.run(tree, results=tmp_path / "r", executor="inline")
    assert (ran.runs["status"] == "diverged").all()
    assert all(math.isnan(v) for v in ran.runs["test_loss"])
    assert "diverged" in (ran.folder / "report.md").read_text()
