"""Data sets of plugins: their arrays are read and checked as an npz file of one's own is, and experiments name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from plugin_sources import plugin_of

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.data.made_data import arrays_path, keep_arrays, read_made
from mlpbench.data.table.table_data import read_options
from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.experiment.dataset_levels import DatasetMaker
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import all_run_ids
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.experiment.spec import build
from mlpbench.training.pieces.own_arrays import are_equal, made_arrays, npz_of
from mlpbench.training.pieces.piece_calls import PieceCall

SOURCE = """\
import mlpbench
import numpy as np

@mlpbench.dataset
def moons():
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(50, 3, 2)), "y": np.arange(50) % 3}

@mlpbench.dataset
def other():
    return np.eye(9), np.arange(9.0)
"""
X, Y = np.random.default_rng(0).normal(size=(50, 3, 2)), np.arange(50) % 3
SPEC: dict[str, Any] = {
    "name": "x", "question": "?", "plugins": ["pieces.py"], "dataset": "moons", "fixed": {"epochs": 1, "width": 4},
    "factors": {"depth": [0, 1]}, "replicates": 2,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plugin, and a cache of its own."""
    monkeypatch.setenv("MLPBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pieces.py").write_text(SOURCE)
    return tmp_path


def make(plugin: Plugin, piece: Piece) -> None:
    """Keep the arrays of the data set, as its code would make them."""
    keep_arrays(piece.called, piece.digest, npz_of({"x": X, "y": Y}))


def maker_of(y: NDArray[Any]) -> DatasetMaker:
    """Return what makes the data set with other targets."""

    def make_it(plugin: Plugin, piece: Piece) -> None:
        keep_arrays(piece.called, piece.digest, npz_of({"x": X, "y": y}))

    return make_it


def returned(value: object) -> PieceCall:
    return PieceCall(kind="dataset", name="moons@0123456789ab", function=lambda: value)


def test_arrays_come_in_a_mapping_or_in_order() -> None:
    parts = {"x_train": X, "y_train": Y, "x_test": X[:9], "y_test": Y[:9]}
    for value, expected in (
        ((X, Y), {"x": X, "y": Y}),
        ({"y": Y, "x": X}, {"x": X, "y": Y}),
        ((torch.from_numpy(X), Y.tolist()), {"x": X, "y": Y}),
        (tuple(parts.values()), parts),
        (dict(reversed(parts.items())), parts),
    ):
        assert are_equal(made_arrays(returned(value)), expected)
    assert not are_equal({"x": X, "y": Y}, {"x": X, "y": Y.astype(np.int8)})
    assert not are_equal({"x": X, "y": Y}, {"x": X, "y": Y[::-1]})


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (X, "got ndarray"),
        ((X, Y, X), "got tuple"),
        ({"x": X}, "got a mapping with x"),
        ({"x": X, "z": Y}, "got a mapping with x, z"),
        ((X, None), "must return y as an array of numbers"),
        ((X, [object()]), "got list of object"),
        ((3.0, Y), "got float, one number"),
        (([[1], [1, 2]], Y), "must return x as an array, got list"),
    ],
)
def test_what_is_no_data_set_is_refused(value: object, got: str) -> None:
    with pytest.raises(PieceError, match="dataset moons must return ") as caught:
        made_arrays(returned(value))
    assert got in str(caught.value)


def test_the_arrays_are_those_of_an_npz_file_of_ones_own(folder: Path) -> None:
    np.savez(folder / "own.npz", x=X, y=Y)
    keep_arrays("moons", "0" * 12, npz_of({"x": X, "y": Y}))
    for options in ({}, {"test": 0.4, "scale": "none"}):
        made, own = read_made("moons", "0" * 12, options), read_options({"file": "own.npz"} | options, folder)
        assert (made.facts.name, made.facts.fingerprint) == ("moons", own.facts.fingerprint)
        for part in ("x_train", "y_train", "x_test", "y_test"):
            np.testing.assert_array_equal(getattr(made.load(), part), getattr(own.load(), part))
        assert made.load().facts == made.facts


def test_arrays_that_are_wrong_are_refused_by_the_name_of_the_data_set(folder: Path) -> None:
    keep_arrays("moons", "0" * 12, npz_of({"x": np.full((5, 2), np.inf), "y": np.arange(5)}))
    with pytest.raises(InputError, match="moons"):
        read_made("moons", "0" * 12, {})
    with pytest.raises(SpecProblem, match="unknown key 'tests'; did you mean 'test'?"):
        read_made("moons", "0" * 12, {"tests": 0.1})


def test_an_experiment_whose_arrays_are_not_known_is_refused_where_none_may_make_them(folder: Path) -> None:
    with pytest.raises(SpecProblem, match=r"moons is a data set of pieces.py whose arrays are not known here yet: no other command runs its code"):  # fmt: skip
        build(SPEC, folder)
    (folder / "pieces.py").write_text(SOURCE.replace("moons", "digits"))
    with pytest.raises(SpecProblem, match="mlpbench has a dataset 'digits' itself"):
        build(SPEC, folder)


def test_a_results_folder_has_the_facts_and_needs_neither_code_nor_arrays(folder: Path) -> None:
    experiment = build(SPEC, folder, make=make)
    assert [piece.called for plugin in experiment.used_plugins for piece in plugin.pieces] == ["moons"]
    (folder / "results").mkdir()
    text = yaml_reader.dump(experiment, folder / "results")
    assert str(folder) not in text
    (folder / "results" / "spec.yaml").write_text(text)
    arrays_path("moons", experiment.plugins[0].pieces[0].digest).unlink()
    again = yaml_reader.read(folder / "results" / "spec.yaml")
    assert all_run_ids(again) == all_run_ids(experiment)
    assert yaml_reader.dump(again, folder / "results") == text
    with pytest.raises(InputError, match=r"the arrays of moons \([0-9a-f]{12}\) are not on this machine, and training needs them"):  # fmt: skip
        again.sources[0].fetch()


def test_runs_are_those_of_the_arrays_whatever_code_made_them(folder: Path) -> None:
    ids = set()
    for old, new, y in (("return", "return", Y), ("return {", "pass\n    return {", Y), ("% 3}", "% 2}", Y % 2)):
        (folder / "pieces.py").write_text(SOURCE.replace(old, new))
        ids.add(tuple(all_run_ids(build(SPEC, folder, make=maker_of(y)))))
    assert len(ids) == 2


def test_a_data_set_may_be_a_level_with_options(folder: Path) -> None:
    spec = SPEC | {
        "dataset": {"test": 0.3},
        "factors": {"dataset": ["moons", {"name": "moons", "scale": "none", "label": "raw"}]},
    }
    experiment = build(spec, folder, make=make)
    assert list(experiment.datasets) == ["moons", "raw"]
    assert [data.n_test for data in experiment.facts] == [15, 15]
    assert len({data.fingerprint for data in experiment.facts}) == 2
    (folder / "spec.yaml").write_text(yaml_reader.dump(experiment, folder))
    assert all_run_ids(yaml_reader.read(folder / "spec.yaml")) == all_run_ids(experiment)


def test_pieces_of_a_source_are_data_sets() -> None:
    assert [(p.kind, p.called) for p in plugin_of(SOURCE).pieces] == [("dataset", "moons"), ("dataset", "other")]
