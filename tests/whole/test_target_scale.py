"""The target of a regression is scaled for training, and nobody notices: losses, predictions and models are in its own units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.preprocessing import StandardScaler

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.base.files import ordered_header
from mlpbench.cli.main import main
from mlpbench.data.dataset import Dataset
from mlpbench.experiment.file import yaml_reader

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")
LOSSES = {"squared_error": 0.5, "mse": 1.0}


def written(folder: Path, name: str, factor: float = 1.0, shift: float = 0.0) -> Path:
    """Write a table of 200 rows whose target is positive, times a factor."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 3))
    y = np.exp(0.5 * x[:, 0] - 0.3 * x[:, 1] + 0.1 * rng.normal(size=200)) + 1
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(price=y.astype(np.float32) * factor + shift)
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    return folder / f"{name}.parquet"


def spec(path: Path, fixed: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    settings = {"width": 8, "init": "he_normal", "batch_size": 16, "lr": 0.1, "epochs": 4} | (fixed or {})
    keys = {"replicates": 2, "validation": 0.2, "factors": {"depth": [0, 1]}, "save_weights": True}
    return {
        "name": "scaled",
        "question": "q",
        "dataset": {"file": path, "target": "price"} | options,
        "fixed": settings,
    } | keys


def data(path: Path, **options: Any) -> Dataset:
    return yaml_reader.from_mapping(spec(path, **options)).sources[0].load()


def trained(path: Path, tmp_path: Path, fixed: dict[str, Any] | None = None, **options: Any) -> mlpbench.Outcome:
    return mlpbench.run(spec(path, fixed, **options), results=tmp_path, executor="inline", report=False)


def predictions(ran: mlpbench.Outcome) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = pd.read_parquet(ran.folder / "predictions").sort_values("run_id")
    return np.stack([np.frombuffer(packed, "<f4") for packed in rows["predicted"]])


def test_it_is_the_standard_scaler_of_the_training_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "t")
    plain, scaled = data(path, target_scale="none"), data(path)
    scaler = StandardScaler().fit(plain.y_train[:, None].astype(float))
    for part in ("y_train", "y_test"):
        expected = scaler.transform(getattr(plain, part)[:, None].astype(float))[:, 0]
        np.testing.assert_allclose(getattr(scaled, part), expected, rtol=1e-5, atol=1e-6)
    assert (plain.facts.target_scale, plain.facts.squared_unit) == (None, 1.0)
    assert scaled.facts.squared_unit == pytest.approx(plain.y_train.astype(float).var(), rel=1e-6)
    logged = data(path, target_scale="log")
    np.testing.assert_allclose(logged.y_train.std(), 1, rtol=1e-5)
    assert logged.facts.target_scale is not None
    np.testing.assert_allclose(logged.facts.target_scale.own_units(logged.y_train), plain.y_train, rtol=1e-5)


@pytest.mark.parametrize("factor", [2.0**40, 2.0**-40])
def test_the_unit_of_the_target_moves_no_weight_and_losses_by_its_square(factor: float, tmp_path: Path) -> None:
    """A power of two is exact: the same weights bit for bit, and errors in the other unit."""
    paths = [written(tmp_path, name, by) for name, by in (("one", 1.0), ("other", factor))]
    one, other = (trained(path, tmp_path / path.stem) for path in paths)
    sides = [ran.runs.sort_values(["depth", "replicate"]).reset_index(drop=True) for ran in (one, other)]
    assert (sides[0]["status"] == "ok").all()
    assert sides[0]["weights_sha256"].tolist() == sides[1]["weights_sha256"].tolist()
    for column in ("train_loss", "val_loss", "test_loss", "gap_loss"):
        assert (sides[0][column] * factor**2).tolist() == sides[1][column].tolist(), column
    curves = [pd.read_parquet(ran.folder / "curves")["loss"].sort_values().to_numpy() for ran in (one, other)]
    np.testing.assert_array_equal(curves[0] * factor**2, curves[1])


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_predictions_are_those_of_the_target_as_it_was_written(loss: str, tmp_path: Path) -> None:
    path = written(tmp_path, "t", 300.0, 5000.0)
    ran = trained(path, tmp_path / "r", {"loss": loss})
    y = data(path, target_scale="none").y_test.astype(float)
    found, runs = predictions(ran), ran.runs.sort_values("run_id")
    expected = LOSSES[loss] * ((found.astype(float) - y) ** 2).mean(1)
    np.testing.assert_allclose(runs["test_loss"], expected, rtol=1e-3)
    assert (runs["test_loss"] < LOSSES[loss] * y.var()).all(), "better than the mean"
    assert found.min() > 4900
    last = pd.read_parquet(ran.folder / "curves").query("split == 'test'").sort_values("step").groupby("run_id").last()
    assert last["loss"].sort_index().tolist() == runs["test_loss"].tolist()


@pytest.mark.parametrize("kind", ["standard", "log", "none"])
def test_a_saved_model_predicts_in_own_units(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, "t", 300.0)
    ran = trained(path, tmp_path / "r", {"lr": 1e-6 if kind == "none" else 0.1}, target_scale=kind)
    x = torch.from_numpy(data(path, target_scale=kind).x_test.copy())
    for run_id, expected in zip(sorted(ran.runs["run_id"]), predictions(ran), strict=True):
        network = mlpbench.model(run_id, results=tmp_path / "r")
        assert (type(network[-1]).__name__ == "OwnUnits") == (kind != "none")
        np.testing.assert_allclose(network(x).detach().numpy()[:, 0], expected, rtol=2e-5, atol=1e-3)


@pytest.mark.parametrize(
    "scale", [{"mean": 1.0, "sd": 0.0, "log": False}, {"mean": 1.0, "sd": 2.0}, {"mean": "x"}, [], 3]
)
def test_a_model_with_another_scale_than_one_can_be_is_refused(scale: Any, tmp_path: Path) -> None:
    ran = trained(written(tmp_path, "t"), tmp_path / "r")
    file = tmp_path / "w.safetensors"
    command = ["export", ran.runs["run_id"].iloc[0], str(file), "--results", str(tmp_path / "r")]
    assert CliRunner().invoke(main, command).exit_code == 0
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata() | {"target_scale": json.dumps(scale)}
    del metadata["checksum"]
    from safetensors.torch import save

    file.write_bytes(ordered_header(save(load_file(file), metadata=metadata)))
    with pytest.raises(InputError, match="a file of weights must be whole"):
        mlpbench.load_weights(file)


def test_a_folder_of_before_is_trained_on_with_the_target_as_it_is(tmp_path: Path) -> None:
    """Its spec has facts of a target that was not scaled, and no `target_scale`: its runs are trained again with the same bits."""
    path = written(tmp_path, "t")
    ran = trained(path, tmp_path / "r", {"lr": 0.01}, target_scale="none")
    text = (ran.folder / "spec.yaml").read_text()
    assert text.count("  target_scale: none\n") == 1
    (ran.folder / "spec.yaml").write_text(text.replace("  target_scale: none\n", ""))
    old = yaml_reader.read(ran.folder / "spec.yaml")
    assert old.sources[0].facts.target_scale is None
    assert (
        old.sources[0].facts.fingerprint
        == yaml_reader.from_mapping(spec(path, {"lr": 0.01}, target_scale="none")).sources[0].facts.fingerprint
    )
    assert old.sources[0].load().y_train.max() > 1.5


@pytest.mark.parametrize(
    ("target", "option", "message"),
    [
        ("price", "log", "target_scale log needs a target above 0"),
        ("kind", "standard", "target_scale is for a target of numbers, got standard for classes"),
        ("price", "sqrt", "target_scale must be 'standard', 'log' or 'none', got 'sqrt'"),
    ],
)
def test_what_can_t_be_scaled_is_refused(target: str, option: str, message: str, tmp_path: Path) -> None:
    values = np.arange(40) / 7 - 1
    pd.DataFrame({"x": values**2, "price": values, "kind": np.arange(40) % 2}).to_csv(tmp_path / "t.csv", index=False)
    tree = spec(tmp_path / "t.csv") | {
        "dataset": {"file": tmp_path / "t.csv", "target": target, "target_scale": option}
    }
    with pytest.raises(InputError, match=message):
        yaml_reader.from_mapping(tree)
