"""Tables that once gave a wrong result without a word, or no result: what they give now, trained by the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader


def tree(dataset: dict[str, Any], replicates: int = 3, **fixed: Any) -> dict[str, Any]:
    settings = {"width": 8, "init": "he_normal", "batch_size": 32, "epochs": 20, **fixed}
    factors = {"depth": [0, 1]}
    experiment = {"name": "case", "question": "?", "dataset": dataset, "fixed": settings, "factors": factors}
    return experiment | {"replicates": replicates}


def trained(folder: Path, dataset: dict[str, Any], replicates: int = 3, **fixed: Any) -> pd.DataFrame:
    """Return the means of runs by depth."""
    done = mlpbench.run(tree(dataset, replicates, **fixed), results=folder, executor="inline", report=False)
    runs = done.runs[["depth", "test_accuracy", "test_loss"]]
    return runs.groupby("depth").mean()


def notes(dataset: dict[str, Any]) -> list[str]:
    return [note.partition(": ")[2] for note in yaml_reader.from_mapping(tree(dataset)).facts[0].notes]


def test_rounding_in_a_constant_column_spoils_no_test_set(tmp_path: Path) -> None:
    """0.3 and 0.1 * 3 in training, 0.31 in test: standardised, that came to 9e12, and the test loss to 4e12."""
    rng = np.random.default_rng(1)
    c = np.where(np.arange(200) % 3, 0.1 * 3, 0.3)
    for name, a, same in (("train", rng.normal(size=200), c), ("test", rng.normal(size=50), np.full(50, 0.31))):
        table = pd.DataFrame({"a": a, "c": same, "y": np.where(a > 0, "yes", "no")})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    dataset = {"file": tmp_path / "train.csv", "test_file": tmp_path / "test.csv", "target": "y"}
    assert notes(dataset) == ["column 'c': one value in the training rows: its inputs are 0"]
    means = trained(tmp_path, dataset)
    assert (means["test_loss"] < 0.6).all()
    assert (means["test_accuracy"] > 0.9).all()


def test_pixels_that_are_always_0_need_no_other_scale(tmp_path: Path) -> None:
    """Digits of scikit-learn as an npz: refused once, with a hint to `scale: none`, by which a hidden layer learned nothing."""
    digits = load_digits()
    np.savez(tmp_path / "digits.npz", x=digits.data, y=digits.target)
    dataset = {"file": tmp_path / "digits.npz"}
    (note,) = notes(dataset)
    assert note.startswith("columns 'x[:, 0]', 'x[:, 32]', ")
    assert note.endswith(": one value in the training rows: its inputs are 0")
    means = trained(tmp_path, dataset, replicates=2)
    assert (means["test_accuracy"] > 0.85).all()


def test_a_decimal_comma_is_the_same_data_and_a_price_a_number(tmp_path: Path) -> None:
    """A column of 300 numbers with commas became 283 inputs, and a price of "1,500" a class."""
    x = np.random.default_rng(0).normal(size=300)
    y = np.where(x > 0, "yes", "no")
    prints = []
    for name, mark in (("point", "."), ("comma", ",")):
        values = [f"{v:.3f}".replace(".", mark) for v in x]
        pd.DataFrame({"a": values, "y": y}).to_csv(tmp_path / f"{name}.csv", index=False)
        experiment = yaml_reader.from_mapping(tree({"file": tmp_path / f"{name}.csv", "target": "y"}))
        prints.append([r.run_id for r in grid.runs(experiment)])
        assert experiment.facts[0].n_features == 1
    assert prints[0] == prints[1]
    assert notes({"file": tmp_path / "point.csv", "target": "y"}) == []
    assert notes({"file": tmp_path / "comma.csv", "target": "y"})
    prices = [f"{1500 + 20 * round(5 * v):,}" for v in x]
    assert len(set(prices)) > 20
    pd.DataFrame({"a": x, "price": prices}).to_csv(tmp_path / "price.csv", index=False)
    data = yaml_reader.from_mapping(tree({"file": tmp_path / "price.csv", "target": "price"})).facts[0]
    assert data.n_classes is None


@pytest.fixture
def words(tmp_path: Path) -> dict[str, pd.DataFrame]:
    """Two numbers, of which the first has the class, and a word that says nothing; in `unseen` it is one of its own."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, colours in (("train", ["red", "green"]), ("seen", ["red", "green"]), ("unseen", ["blue"])):
        x = rng.normal(size=(200, 2))
        table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "colour": rng.choice(colours, 200)})
        parts[name] = table.assign(y=np.where(x[:, 0] > 0, "A", "B"))
        parts[name].to_csv(tmp_path / f"{name}.csv", index=False)
    return parts


def test_a_word_that_no_training_row_has_is_no_input(tmp_path: Path, words: dict[str, pd.DataFrame]) -> None:
    """It had an input of its own with weights that were never trained: accuracy fell from 0.99 to 0.93.

    The inputs are those of scikit-learn's encoder, with which a linear model loses nothing.
    """
    dataset = {"file": tmp_path / "train.csv", "test_file": tmp_path / "unseen.csv", "target": "y"}
    said = "200 test rows have words that no training row has ('blue'): 0 in every input"
    assert notes(dataset) == [f"column 'colour': {said}"]
    made = yaml_reader.from_mapping(tree(dataset)).sources[0].load()
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(words["train"][["colour"]])
    assert np.array_equal(made.x_train[:, 2:], encoder.transform(words["train"][["colour"]]))
    assert np.array_equal(made.x_test[:, 2:], encoder.transform(words["unseen"][["colour"]]))
    linear = LogisticRegression().fit(made.x_train, made.y_train)
    assert linear.score(made.x_test, made.y_test) > 0.98
    means = trained(tmp_path / "r", dataset, 10, width=16)
    assert (means["test_accuracy"] > 0.94).all()


def test_a_file_without_a_header_keeps_its_first_row(tmp_path: Path) -> None:
    """The first of 768 rows of numbers became the names of columns; its last value, `"1"`, was then accepted as a target."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 200, (768, 8))
    rows = np.column_stack([x, x[:, 1] > 100]).astype(int)
    np.savetxt(tmp_path / "pima.csv", rows, fmt="%d", delimiter=",")
    no_header = "no header, line 1 has numbers and is taken for a row: columns are named 1 to 9"
    for target in (-1, 9, "9"):
        dataset = {"file": tmp_path / "pima.csv", "target": target}
        assert [note.partition(" (")[0] for note in notes(dataset)] == [no_header]
        data = yaml_reader.from_mapping(tree(dataset)).facts[0]
        assert (data.n_train + data.n_test, data.n_features, data.class_names) == (768, 8, ("0", "1"))


def test_the_index_of_a_pandas_table_is_no_input(tmp_path: Path) -> None:
    """A named index of patients came to an input for each of 200, which a network learned by heart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(x.sum(1) > 0, "yes", "no")})
    table.to_parquet(tmp_path / "plain.parquet")
    table.index = pd.Index([f"id{i}" for i in range(200)], name="patient")
    table.to_parquet(tmp_path / "named.parquet")
    table.to_csv(tmp_path / "named.csv")
    table.reset_index(drop=True).to_csv(tmp_path / "counted.csv")
    names = ("plain.parquet", "named.parquet", "counted.csv")
    assert [notes({"file": tmp_path / n, "target": "y"}) for n in names] == [
        [],
        ["the index 'patient' of the pandas table is left out"],
        ["the first column, without a name, is an index and left out"],
    ]
    of = {n: yaml_reader.from_mapping(tree({"file": tmp_path / n, "target": "y"})) for n in names}
    assert len({e.facts[0].fingerprint for e in of.values()}) == 1
    assert of["plain.parquet"].facts[0].n_features == 2
    # By its name it is a column as any other, and one that says what it is.
    with pytest.raises(InputError, match=r"column 'patient': .* `drop: \[patient\]` leaves it out"):
        yaml_reader.from_mapping(tree({"file": tmp_path / "named.csv", "target": "y"}))
