"""Arrays of examples for figures: generated again where they come with the package, kept in the folder where the table is one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpbench.data.data_sets import read_dataset
from mlpbench.data.dataset import Dataset, DataSource
from mlpbench.results import example_arrays
from mlpbench.results.example_arrays import read_arrays
from mlpbench.results.store import Store


def own_table(folder: Path, inputs: int = 1, rows: int = 40, **options: Any) -> DataSource:
    """Return a table of numbers in a folder of its own."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=rows) for i in range(inputs)})
    frame["y"] = frame.sum(axis=1) + rng.normal(size=rows)
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "own.csv", index=False)
    return read_dataset({"file": "own.csv", "target": "y", **options}, folder)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    folder = tmp_path / "results"
    folder.mkdir()
    return Store(folder)


def parts(of: Dataset | None) -> list[Any]:
    assert of is not None
    return [getattr(of, part) for part in example_arrays.PARTS]


@pytest.mark.parametrize(
    "name", [{"name": "linear"}, {"name": "polynomial"}, "iris", {"name": "iris", "resplit": True}, "digits"]
)
def test_what_comes_with_the_package_is_made_again_and_nothing_is_kept(store: Store, name: Any) -> None:
    source = read_dataset(name, Path())
    expected = source.draw(3, 2) if source.facts.is_drawn_anew else source.load()
    for got, wanted in zip(parts(read_arrays(source, store, 3, 2, keep=True)), parts(expected), strict=True):
        assert np.array_equal(got, wanted)
    assert list(store.folder.iterdir()) == []


def test_a_table_of_ones_own_is_kept_and_read_where_it_is_gone(store: Store, tmp_path: Path) -> None:
    source = own_table(tmp_path / "data")
    assert read_arrays(source, store, 0, 0) is None, "nothing is read beside the folder unless it may be kept"
    expected = parts(source.load())
    kept = parts(read_arrays(source, store, 0, 0, keep=True))
    (tmp_path / "data" / "own.csv").unlink()
    for again in (kept, parts(read_arrays(source, store, 0, 0)), parts(read_arrays(source, store, 0, 7, keep=True))):
        assert all(np.array_equal(got, wanted) for got, wanted in zip(again, expected, strict=True))
    (path,) = store.folder.glob("test_arrays-*.npz")
    assert path.stat().st_size < 2000


def test_each_draw_of_a_table_is_a_file_of_its_own(store: Store, tmp_path: Path) -> None:
    source = own_table(tmp_path / "data", resplit=True)
    drawn = [parts(read_arrays(source, store, 1, r, keep=True)) for r in (0, 1, 11)]
    assert len(list(store.folder.glob("test_arrays-*.npz"))) == 3
    for r, arrays in zip((0, 1, 11), drawn, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(arrays, parts(source.draw(1, r)), strict=True))
    assert not np.array_equal(drawn[0][2], drawn[1][2])


def test_of_many_inputs_test_rows_alone_are_kept(store: Store, tmp_path: Path) -> None:
    source = own_table(tmp_path / "data", inputs=4)
    x_train, y_train, x_test, y_test = parts(read_arrays(source, store, 0, 0, keep=True))
    whole = source.load()
    assert (len(x_train), len(y_train)) == (0, 0)
    assert np.array_equal(x_test, whole.x_test[:, :2])
    assert np.array_equal(y_test, whole.y_test)


@pytest.mark.parametrize("hurt", ["altered", "cut short", "renamed", "of other data"])
def test_a_file_that_is_not_what_was_written_is_not_read(store: Store, tmp_path: Path, hurt: str) -> None:
    source = own_table(tmp_path / "data")
    read_arrays(source, store, 0, 0, keep=True)
    (path,) = store.folder.glob("test_arrays-*.npz")
    content = path.read_bytes()
    if hurt == "altered":
        path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif hurt == "cut short":
        path.write_bytes(content[:-30])
    elif hurt == "renamed":
        path.rename(path.with_name(path.name.replace(".npz", "0.npz")))
    else:
        source = own_table(tmp_path / "other", rows=41)
        fingerprint = source.facts.fingerprint[:12]
        path.rename(path.with_name(f"test_arrays-{fingerprint}-{path.stem.rpartition('-')[2]}.npz"))
    assert read_arrays(source, store, 0, 0) is None


def test_too_many_examples_are_not_read(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example_arrays, "MOST_NUMBERS", 100)
    monkeypatch.setattr(example_arrays, "MOST_ROWS", 5)
    assert read_arrays(read_dataset("iris", Path()), store, 0, 0, keep=True) is None
    assert read_arrays(own_table(tmp_path / "data"), store, 0, 0, keep=True) is None


def test_bytes_are_the_same_again(store: Store, tmp_path: Path) -> None:
    source = own_table(tmp_path / "data")
    read_arrays(source, store, 0, 0, keep=True)
    (path,) = store.folder.glob("test_arrays-*.npz")
    content = path.read_bytes()
    path.unlink()
    read_arrays(source, store, 0, 0, keep=True)
    assert path.read_bytes() == content
