"""Weights that an experiment keeps, and the model in hand: what they are, when a run is whole, what damage does to them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors import safe_open
from safetensors.torch import save
from sealed_folders import seal_again
from torch import nn

import mlpbench
from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import ordered_header, write_whole
from mlpbench.cli.main import main
from mlpbench.data.dataset import Dataset
from mlpbench.evidence.frames import records
from mlpbench.experiment import grid
from mlpbench.experiment.components.activations import ACTIVATIONS
from mlpbench.jobs import export
from mlpbench.jobs.export import OtherWeights
from mlpbench.results import weight_files
from mlpbench.results.folders import read_folder
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_process", "blank_figures")]

CONDITIONS: list[dict[str, Any]] = [
    {"label": "plain", "activation": "relu"},
    {"label": "linear", "hidden_sizes": []},
    {"label": "prelu", "activation": "prelu", "hidden_sizes": [7, 5], "dropout": [0.2, 0.0]},
    {"label": "batch", "activation": "gelu", "norm": "batch", "hidden_sizes": [6, 4], "dropout": 0.5},
    {"label": "layer", "activation": "leaky_relu(0.3)", "norm": "layer", "init": "he_normal"},
    {
        "label": "maximum",
        "activation": "prelu",
        "conv_channels": [3, 4, 2],
        "hidden_sizes": [6],
        "dropout": 0.3,
        "init": "he_normal",
    },
    {"label": "average", "activation": "silu", "conv_channels": [5], "pooling": "average", "hidden_sizes": []},
    {"label": "no bias", "conv_channels": [3], "hidden_sizes": [6], "bias": False, "init": "he_normal"},
    {
        "label": "residual",
        "activation": "prelu",
        "hidden_sizes": [6, 6, 6, 4, 4],
        "residual": True,
        "norm": "layer",
        "dropout": [0.2, 0.2, 0, 0.2, 0],
        "bias": False,
        "init": "he_normal",
    },
    {
        "label": "mup",
        "hidden_sizes": [9, 9],
        "parametrization": {"mup": 3},
        "init": "he_normal",
        "optimizer": "adam",
        "lr": 0.01,
    },
    {"label": "double", "activation": "elu", "precision": "float64"},
    {"label": "diverges", "lr": 1e30},
]
WIDTH, ROWS, EPOCHS = 5, 400, 3


def spec(**keys: Any) -> dict[str, Any]:
    listed = [{"hidden_sizes": [WIDTH]} | c for c in CONDITIONS]
    return {
        "name": "kept",
        "question": "Which weights are kept?",
        "dataset": "fashion_mnist",
        "fixed": {"train_size": ROWS, "epochs": EPOCHS, "batch_size": 32},
        "factors": {"conditions": listed},
        "replicates": 1,
        "save_weights": True,
    } | keys


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlpbench.run(spec(), results=tmp_path_factory.mktemp("whole"), report=False, workers=1).folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy" / "kept"))


def runs_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of the runs by the label of their condition."""
    labels = {r.run_id: r.condition.label for r in grid.runs(read_folder(folder))}
    return {labels[row["run_id"]]: row for row in records(mlpbench.load(folder).runs)}


def altered(folder: Path, column: str, values: dict[str, str]) -> None:
    """Write the runs again with other values, as a file of ours: nothing is damaged."""
    (path,) = (folder / "runs").glob("*.parquet")
    frame = pq.read_table(path).to_pandas()
    frame[column] = frame[column].replace(values)
    path.unlink()
    name, content = encoded("altered", pa.Table.from_pandas(frame, schema=SCHEMAS["runs"], preserve_index=False))
    write_whole(folder / "runs" / name, content)
    seal_again(folder)


def file_of(folder: Path, label: str) -> Path:
    row = runs_of(folder)[label]
    return Store(folder).weights()[row["run_id"]][row["weights_sha256"]]


def test_every_finished_run_has_one_file_and_a_diverged_one_has_none(whole: Path) -> None:
    runs = runs_of(whole)
    assert {label for label, row in runs.items() if row["status"] == "diverged"} == {"diverges"}
    finished = {row["run_id"]: row["weights_sha256"] for row in runs.values() if row["status"] == "ok"}
    assert sorted(path.name[:16] for path in weight_files.files(whole)) == sorted(finished)
    assert {i: list(files) for i, files in Store(whole).weights().items()} == {i: [d] for i, d in finished.items()}


def test_a_file_has_torch_names_and_says_what_it_is_of(whole: Path) -> None:
    row = runs_of(whole)["batch"]
    with safe_open(file_of(whole, "batch"), "pt") as file:
        shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        told = file.metadata()
    assert shapes == {
        "layers.0.weight": [6, 784], "layers.0.bias": [6], "layers.1.weight": [4, 6], "layers.1.bias": [4],
        "layers.2.weight": [10, 4], "layers.2.bias": [10],
        **{f"norms.{i}.{n}": [u] for i, u in enumerate((6, 4)) for n in ("weight", "bias", "running_mean", "running_var")},
    }  # fmt: skip
    assert told["run_id"] == row["run_id"]
    assert told["weights_sha256"] == row["weights_sha256"]
    assert json.loads(told["settings"])["norm"] == "batch"
    assert told["condition"] == "batch"


@pytest.mark.parametrize("label", [c["label"] for c in CONDITIONS if c["label"] != "diverges"])
def test_the_model_predicts_what_the_run_predicted(label: str, whole: Path, fashion: Dataset) -> None:
    """All 10,000 test images, and the mean loss and accuracy of the row."""
    row = runs_of(whole)[label]
    model = mlpbench.model(row, results=whole.parent)
    assert not model.training
    x = torch.from_numpy(np.array(fashion.x_test)).to(next(model.parameters()).dtype) / 255
    y = torch.from_numpy(np.array(fashion.y_test)).long()
    with torch.no_grad():
        z = model(x)
    stored = Store(whole).read("predictions", [row["run_id"]])["predicted"].iloc[0]
    assert z.argmax(1).to(torch.uint8).numpy().tobytes() == stored
    assert float(nn.functional.cross_entropy(z, y)) == pytest.approx(row["test_loss"], rel=1e-5)


def test_a_model_is_made_of_plain_modules_in_order(whole: Path) -> None:
    rows = runs_of(whole)

    def kinds(label: str) -> list[str]:
        return [type(m).__name__ for m in mlpbench.model(rows[label]["run_id"], whole)]

    assert kinds("linear") == ["Linear"]
    assert kinds("plain") == ["Linear", "ReLU", "Linear"]
    assert kinds("prelu") == ["Linear", "PReLU", "Dropout", "Linear", "PReLU", "Linear"]
    assert kinds("batch") == ["Linear", "BatchNorm1d", "GELU", "Dropout"] * 2 + ["Linear"]
    convolved = ["Unflatten", *["Conv2d", "PReLU", "MaxPool2d"] * 3, "Flatten"]
    assert kinds("maximum") == [*convolved, "Linear", "PReLU", "Dropout", "Linear"]
    assert kinds("average") == ["Unflatten", "Conv2d", "SiLU", "AvgPool2d", "Flatten", "Linear"]
    assert kinds("layer") == ["Linear", "LayerNorm", "LeakyReLU", "Linear"]
    layer = mlpbench.model(rows["layer"], whole)
    assert isinstance(layer[2], nn.LeakyReLU)
    assert layer[2].negative_slope == 0.3
    assert next(mlpbench.model(rows["double"], whole).parameters()).dtype == torch.float64


def test_every_activation_of_the_engine_has_a_module() -> None:
    x = torch.linspace(-4, 4, 63)
    for f in ACTIVATIONS.values():
        parameters = [limits.default for limits in f.parameters.values()]
        out = torch.empty_like(x)[None]
        of = torch.full((1, 1), f.learnt.start) if f.learnt else parameters[0] if parameters else 0.0
        f.forward(torch, x[None].clone(), out, of)
        torch.testing.assert_close(f.module(nn, *parameters)(x).detach(), out[0])


def test_weights_of_numbers_and_their_names_survive_a_file_of_their_own(whole: Path, tmp_path: Path) -> None:
    row = runs_of(whole)["prelu"]
    target = tmp_path / "own.safetensors"
    result = invoke("export", row["run_id"][:6], target, "--results", whole.parent)
    assert result.exit_code == 0
    assert "saved when it was trained" in result.output
    one, other = mlpbench.load_weights(target), mlpbench.model(row, whole)
    assert {k: v.tolist() for k, v in one.state_dict().items()} == {
        k: v.tolist() for k, v in other.state_dict().items()
    }


@pytest.mark.slow
def test_the_same_weights_have_the_same_bytes_wherever_they_are_trained(whole: Path, copy: Path) -> None:
    """A file that was lost is made again under its old name: another process orders what it likes otherwise."""
    before = {p.name: p.read_bytes() for p in weight_files.files(whole)}
    lost = file_of(copy, "batch")
    lost.unlink()
    out = mlpbench.run(spec(), results=copy.parent, report=False, workers=1)
    assert out.trained == 1
    assert {p.name: p.read_bytes() for p in weight_files.files(copy)} == before


@pytest.mark.slow
def test_a_run_that_is_asked_for_weights_and_has_none_is_trained_again(tmp_path: Path) -> None:
    small = spec(factors={"width": [3, 4]})
    first = mlpbench.run(small | {"save_weights": False}, results=tmp_path, report=False, workers=1)
    assert not weight_files.files(first.folder)
    ids = set(first.runs["run_id"])
    second = mlpbench.run(small, results=tmp_path, report=False, workers=1)
    assert second.trained == 2
    assert {p.name[:16] for p in weight_files.files(second.folder)} == ids
    assert set(second.runs["run_id"]) == ids, "what is kept is no part of an identity"
    assert mlpbench.run(small, results=tmp_path, report=False).trained == 0


@pytest.mark.slow
def test_a_damaged_file_is_set_aside_and_its_run_trained_again(copy: Path) -> None:
    path, other = file_of(copy, "plain"), file_of(copy, "linear")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert invoke("verify", copy, "--sample", "1").exit_code == 1
    assert mlpbench.run(spec(), results=copy.parent, report=False, workers=1).trained == 1
    assert (copy / "damaged" / "weights" / path.name).exists()
    assert path.exists()
    assert weight_files.damage(path) is None
    assert other.exists()


@pytest.mark.slow
def test_a_file_of_other_weights_than_the_rows_does_not_count(copy: Path) -> None:
    """As when a writer was killed after it had exchanged the row of a run for another."""
    row = runs_of(copy)["plain"]
    altered(copy, "weights_sha256", {row["weights_sha256"]: "0" * 64})
    assert export.find_run(row["run_id"], [copy]).weights_file is None
    with pytest.raises(OtherWeights, match=row["run_id"]):
        mlpbench.model(row["run_id"], copy)
    assert mlpbench.run(spec(), results=copy.parent, report=False, workers=1).trained == 1
    assert [p.name for p in weight_files.files(copy)].count(file_of(copy, "plain").name) == 1


def test_new_weights_of_a_run_take_the_place_of_the_old(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept")
    run_id = "0" * 15 + "1"

    def rows(value: float) -> dict[str, list[dict[str, Any]]]:
        digest = f"{int(value):064x}"
        told = {"run_id": run_id, "weights_sha256": digest, "settings": "{}"}
        content = ordered_header(save({"layers.0.weight": torch.full((1, 1), value)}, metadata=told))
        row = {"run_id": run_id, "status": "ok", "weights_sha256": digest}
        empty: dict[str, list[dict[str, Any]]] = {"curves": [], "layers": [], "predictions": []}
        return {**empty, "runs": [row], "weights": [{"run_id": run_id, "content": content}]}

    with store.writing():
        store.add("one", rows(1))
        first = weight_files.files(store.folder)
        store.add("one", rows(2))
        second = weight_files.files(store.folder)
        assert len(first) == len(second) == 1
        assert first != second
        diverged = rows(3) | {"weights": [], "runs": [{"run_id": run_id, "status": "diverged"}]}
        store.add("one", diverged)
        assert not weight_files.files(store.folder)


def test_weights_are_there_before_the_row_and_a_full_disk_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses the first table: the weights are there, no row is."""
    store = Store(tmp_path / "kept")
    told = {"run_id": "0" * 16, "weights_sha256": "0" * 64, "settings": "{}"}
    content = ordered_header(save({"layers.0.weight": torch.ones(1, 1)}, metadata=told))
    rows: dict[str, list[dict[str, Any]]] = {
        "runs": [{"run_id": "0" * 16, "status": "ok", "weights_sha256": "0" * 64}], "curves": [], "layers": [],
        "predictions": [], "weights": [{"run_id": "0" * 16, "content": content}],
    }  # fmt: skip
    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).suffix == ".parquet":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with store.writing(), pytest.raises(MachineError, match="the disk is full"):
        store.add("one", rows)
    assert len(weight_files.files(store.folder)) == 1
    assert store.read("runs").empty


@pytest.mark.slow
def test_merge_copies_weights_of_the_runs_it_takes(copy: Path, tmp_path: Path) -> None:
    """From the one folder that has them, although the rows are those of the first."""
    bare = Path(shutil.copytree(copy, tmp_path / "bare" / "kept"))
    shutil.rmtree(bare / "weights")
    assert invoke("merge", bare, copy, "-o", tmp_path / "joined").exit_code == 0
    assert [p.name for p in weight_files.files(tmp_path / "joined")] == [p.name for p in weight_files.files(copy)]
    assert invoke("diff", bare, copy).exit_code == 0, "digests are compared, files are not"


@pytest.mark.slow
def test_export_trains_a_run_again_where_its_weights_were_not_kept(copy: Path, tmp_path: Path) -> None:
    row = runs_of(copy)["batch"]
    kept = file_of(copy, "batch").read_bytes()
    shutil.rmtree(copy / "weights")
    target = tmp_path / "again.safetensors"
    result = invoke("export", row["run_id"], target, "--results", copy.parent)
    assert result.exit_code == 0
    assert "trained again, alone, with the weights of its row" in result.output
    assert target.read_bytes() == kept
    assert not weight_files.files(copy), "what is exported does not change the folder"


def test_export_refuses_what_it_cannot_give(whole: Path, copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "w.safetensors"
    rows = runs_of(whole)

    def refused(run: str, *more: str | Path) -> str:
        result = invoke("export", run, target, "--results", whole.parent, *more)
        assert result.exit_code == 2
        return result.output

    assert f"{rows['diverges']['run_id']} in {whole} diverged" in refused(rows["diverges"]["run_id"])
    assert "16 hex digits, or a unique prefix, got ''" in refused("")
    assert "run not found: " in refused("0123456789abcdef")
    assert "16 hex digits, or a unique prefix, got 'plain'" in refused("plain")
    run_id = rows["plain"]["run_id"]
    altered(copy, "run_id", {run_id: run_id[:8] + "0" * 8})
    assert "a run needs a unique prefix of its run_id" in refused(run_id[:8], "--results", copy)
    target.write_text("mine")
    assert "--force" in refused(rows["plain"]["run_id"])
    assert target.read_text() == "mine"
    forced = ("export", rows["plain"]["run_id"], target, "--results", whole.parent, "--force")
    assert invoke(*forced).exit_code == 0
    assert len(mlpbench.load_weights(target)) == 3


def test_folders_that_disagree_about_a_run_must_be_told_apart(whole: Path, copy: Path) -> None:
    run_id = runs_of(whole)["plain"]["run_id"]
    both = [whole, copy]
    assert export.find_run(run_id, both).weights_file is not None
    altered(copy, "weights_sha256", {runs_of(whole)["plain"]["weights_sha256"]: "f" * 64})
    with pytest.raises(InputError, match="choose a folder with --results"):
        export.find_run(run_id, both)


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_file_that_is_cut_short_or_another_is_refused(cut: int, whole: Path, tmp_path: Path) -> None:
    content = file_of(whole, "plain").read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[:cut])
    with pytest.raises(InputError, match="cut.safetensors"):
        mlpbench.load_weights(path)
    path.write_bytes(save({"a": torch.ones(1)}))
    with pytest.raises(InputError, match="safetensors file of mlpbench"):
        mlpbench.load_weights(path)
    with pytest.raises(InputError, match="No such file"):
        mlpbench.load_weights(tmp_path / "none.safetensors")


def bare(content: bytes) -> bytes:
    """A file without the checksum of all its bytes, as earlier releases wrote them."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    del header["__metadata__"]["checksum"]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


@pytest.mark.parametrize("label", ["plain", "prelu", "batch", "layer", "maximum", "double"])
def test_no_flipped_bit_of_a_file_is_loaded(label: str, whole: Path, tmp_path: Path) -> None:
    """Anywhere in a file; of one without a checksum of its bytes, in the weights, which have their digest."""
    content = file_of(whole, label).read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    path = tmp_path / "flipped.safetensors"
    random = np.random.default_rng(len(label))
    old = bare(content)
    path.write_bytes(old)
    assert mlpbench.load_weights(path)
    for file, first, n in ((content, 0, 60), (content, end, 20), (old, len(old) - len(content) + end, 40)):
        for place in random.integers(first, end if first == 0 else len(file), n).tolist():
            hurt = bytearray(file)
            hurt[place] ^= 1 << int(random.integers(8))
            path.write_bytes(hurt)
            with pytest.raises(InputError, match=r"flipped\.safetensors"):
                mlpbench.load_weights(path)


def test_the_top_level_imports_no_torch() -> None:
    code = "import sys, mlpbench; mlpbench.run; mlpbench.model; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
