"""The test images of a report stand in its folder: what was written is checked anywhere, with the data or without."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import mlpbench
from mlpbench.cli.main import main
from mlpbench.data.dataset import Dataset
from mlpbench.data.named.named_data import NamedData
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs import write_pages
from mlpbench.report.figures import theme
from mlpbench.results import examples
from mlpbench.results.folders import read_folder
from mlpbench.results.store import Store

CLAIM = {"metric": "test_accuracy", "a": {"width": 32}, "b": {"width": 4}, "expect": "greater"}
SPEC: dict[str, Any] = {
    "name": "seen",
    "question": "Confusion matrix?",
    "dataset": "fashion_mnist",
    "fixed": {"train_size": 500, "steps": 60, "batch_size": 50, "init": "he_normal"},
    "factors": {"width": [4, 32]},
    "replicates": 2,
    "claims": [{"id": "wide", "says": "Wider is better.", "compare": CLAIM}],
}
PICTURE = "figures/test_images.png"
pytestmark = [pytest.mark.usefixtures("fashion", "in_process"), pytest.mark.slow]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four real runs, with its report."""
    results = tmp_path_factory.mktemp("results")
    mlpbench.run(SPEC, results=results, device="cpu", workers=1, quiet=True)
    return results / "seen"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "seen"))


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose cache has no data, and which has no other place for them."""
    monkeypatch.setattr(NamedData, "is_cached", lambda self: False)


def kept(folder: Path) -> Path:
    (path,) = folder.glob("test_examples-*.npz")
    return path


def test_a_run_keeps_the_few_images_that_its_report_shows(folder: Path, fashion: Dataset) -> None:
    with np.load(kept(folder), allow_pickle=False) as held:
        at, images = held["at"], held["images"]
    assert len(at) == 18
    assert images.dtype == np.uint8
    assert (images == fashion.x_test[at]).all()
    assert kept(folder).stat().st_size < 20_000
    text = (folder / "report.md").read_text()
    assert f"]({PICTURE})" in text
    assert "](figures/confusion.png)" in text
    with Image.open(folder / PICTURE) as picture:
        assert picture.size[0] == theme.WIDTH * theme.DPI


@pytest.mark.usefixtures("no_data")
def test_the_report_is_the_same_where_the_data_are_not(folder: Path) -> None:
    assert write_pages.check(folder) == {}
    before = (folder / PICTURE).read_bytes()
    write_pages.write(folder)
    assert (folder / PICTURE).read_bytes() == before


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("hurt", ["gone", "altered", "cut short", "renamed"])
def test_without_its_images_the_panel_is_left_out(folder: Path, hurt: str) -> None:
    path = kept(folder)
    content = path.read_bytes()
    if hurt == "altered":
        path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif hurt == "cut short":
        path.write_bytes(content[:-30])
    elif hurt == "renamed":
        path.rename(path.with_name(path.name[:-8] + "0000.npz"))
    else:
        path.unlink()
    report = write_pages.render(folder)
    assert PICTURE not in report.drawings
    assert "## Test images" not in report.markdown
    assert "figures/confusion.png" in report.drawings


def array(values: Any, dtype: type = np.uint8) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(values, dtype))
    return content.getvalue()


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no npy file"),
        (array(np.zeros(10_000))[:-1], "10127 bytes where 128 and 10000 are expected"),
        (array(np.zeros(9_999)), "it must hold 10000 whole numbers of a byte"),
        (array(np.zeros(10_000), np.int64), "it must hold 10000 whole numbers of a byte"),
        (array(np.full(10_000, 10)), "its classes must be below 10, got 10"),
        (array(np.zeros(10_000)).replace(b"an_order': False, ", b"(".ljust(18)), ""),
        (None, "it is not a regular file"),
    ],
)
def test_labels_that_are_there_and_can_not_be_read_are_named(folder: Path, content: bytes | None, why: str) -> None:
    (path,) = folder.glob("test_labels-*.npy")
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    for command in (["claims"], ["report"], ["report", "--check"]):
        result = CliRunner().invoke(main, [command[0], str(folder), *command[1:]])
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith(f"mlpbench: {path} is damaged (")
        assert why in result.stderr
        assert "): remove it; where the data are, `mlpbench report` writes it again" in result.stderr


def test_a_check_writes_nothing_and_a_report_puts_the_images_back(folder: Path) -> None:
    path = kept(folder)
    content = path.read_bytes()
    path.unlink()
    assert write_pages.check(folder) == {"report.md": "differs"}
    assert not list(folder.glob("test_examples-*"))
    write_pages.write(folder)
    assert path.read_bytes() == content
    assert write_pages.check(folder) == {}


def test_other_examples_take_the_place_of_those_that_were_kept(folder: Path, fashion: Dataset) -> None:
    experiment, store = read_folder(folder), Store(folder)
    old, facts = kept(folder), experiment.facts[0]
    at = np.array([7, 3, 9_999])
    assert examples.read_test_set(experiment, store).images(facts, at) is None
    images = examples.read_test_set(experiment, store, keep_images=True).images(facts, at)
    assert (images == fashion.x_test[at]).all()
    assert kept(folder) != old
    some = examples.read_test_set(experiment, store).images(facts, at[[2, 0]])
    assert (some == fashion.x_test[at[[2, 0]]]).all()


def test_numbers_become_bytes_from_the_smallest_to_the_largest() -> None:
    given = np.array([[0.0, 1.0], [-1.0, 3.0]], np.float32)
    assert examples._as_bytes(given, np.array([1, 0])).tolist() == [[0, 255], [64, 128]]
    assert examples._as_bytes(np.zeros((2, 2), np.float32), np.array([0])).tolist() == [[0, 0]]


@pytest.mark.slow
def test_data_that_are_no_images_have_a_matrix_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x=x, y=(x[:, 0] > 0).astype(np.int64))
    own = {"file": str(tmp_path / "own.npz"), "target": "y", "test": 0.3}
    where = {"metric": "test_accuracy", "above": 0.1}
    spec = SPEC | {
        "dataset": own,
        "fixed": {"steps": 20},
        "claims": [{"id": "b", "says": "It learns.", "bound": where}],
    }
    mlpbench.run(spec, results=tmp_path / "r", device="cpu", workers=1, quiet=True)
    folder = tmp_path / "r" / "seen"
    assert isinstance(read_folder(folder), Experiment)
    assert (folder / "figures" / "confusion.png").is_file()
    assert not (folder / PICTURE).exists()
    assert not list(folder.glob("test_examples-*"))
