"""The book's network, trained by the main job, against a plain loop that shares nothing with mlpbench."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from repository import EXPERIMENTS
from torch import Tensor, nn
from torch.nn import functional

import mlpbench
from mlpbench.cli.main import main
from mlpbench.data.dataset import Dataset
from mlpbench.jobs.judge import Outcome

SPEC = EXPERIMENTS / "baseline.yaml"


def plain_test_accuracies(data: Dataset, *, seed: int) -> list[float]:
    """Test accuracy after each of 10 epochs: 784-256-10, ReLU, N(0, 0.01^2), SGD, lr 0.1, batch 256, cross-entropy."""
    rng = torch.Generator().manual_seed(seed)
    x, y = _tensors(data.x_train, data.y_train)
    x_test, y_test = _tensors(data.x_test, data.y_test)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01, generator=rng)
            nn.init.zeros_(layer.bias)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    accuracies = []
    for _ in range(10):
        for index in torch.split(torch.randperm(len(x), generator=rng), 256):
            loss = functional.cross_entropy(model(x[index]), y[index])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            accuracies.append(float((model(x_test).argmax(1) == y_test).double().mean()))
    return accuracies


def _tensors(pixels: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.array(pixels)).float() / 255, torch.from_numpy(labels.astype(np.int64))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return mlpbench.run(SPEC, results=tmp_path_factory.mktemp("baseline"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The first replicate."""
    return mlpbench.run(SPEC, results=tmp_path_factory.mktemp("first"), replicates=1, workers=1, report=False)


@pytest.mark.parametrize(
    ("trained", "replicates"),
    [pytest.param("first", 1, marks=pytest.mark.slow), pytest.param("outcome", 5, marks=pytest.mark.prove)],
)
def test_every_replicate_reaches_the_bars_of_the_notes(
    trained: str, replicates: int, request: pytest.FixtureRequest
) -> None:
    outcome: Outcome = request.getfixturevalue(trained)
    runs = outcome.runs
    assert len(runs) == replicates
    assert (runs["status"] == "ok").all()
    assert (runs["train_loss"] < 0.5).all()
    assert (runs["train_accuracy"] > 0.7).all()
    assert (runs["test_accuracy"] > 0.7).all()
    assert runs["weights_sha256"].nunique() == replicates
    assert set(outcome.claims["verdict"]) == {"undecided"}  # that every one does is supported from 29 replicates on
    assert outcome.claims["note"].str.startswith(f"{replicates} of {replicates} replicates keep the bound").all()


@pytest.mark.prove
def test_the_baseline_is_as_good_as_a_plain_loop(outcome: Outcome, fashion: Dataset) -> None:
    """Test accuracy, mean of the last five epochs: at lr 0.1 it still swings by 0.01 (sd) from epoch to epoch."""
    late = outcome.curves.query("split == 'test' and epoch > 5")
    assert late.groupby("run_id").size().tolist() == [5] * 5
    plain = [np.mean(plain_test_accuracies(fashion, seed=seed)[-5:]) for seed in range(2)]
    assert abs(late["accuracy"].mean() - np.mean(plain)) < 0.01


@pytest.mark.prove
def test_a_run_is_trained_again_alone_bit_for_bit(outcome: Outcome, tmp_path: Path) -> None:
    folder = shutil.copytree(outcome.folder, tmp_path / "baseline")
    done = CliRunner().invoke(main, ["verify", str(folder), "--sample", "1"])
    assert done.output == "baseline: 1 of 5 runs trained again, alone: 1 identical\n"


@pytest.mark.prove
def test_all_of_it_is_made_again_bit_for_bit_and_an_altered_byte_is_found(outcome: Outcome, tmp_path: Path) -> None:
    folder = shutil.copytree(outcome.folder, tmp_path / "baseline")
    command = ["verify", str(folder), "--all"]
    assert CliRunner().invoke(main, command).output == "baseline: 5 of 5 runs trained again, alone: 5 identical\n"
    (path,) = (folder / "curves").glob("*.parquet")
    rows = pq.read_table(path)
    loss = rows["loss"].to_numpy().copy()
    loss.view(np.uint8)[8 * 7] ^= 1
    at = rows.schema.get_field_index("loss")
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(loss)), path)
    altered = rows["run_id"][7].as_py()
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "4 identical, 1 different" in result.output
    assert f"({altered}): different: curves" in result.output
    assert f"{path} is damaged: its bytes are not those that were written" in result.output
