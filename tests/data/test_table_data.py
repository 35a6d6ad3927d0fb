"""Own data as an experiment has them: encoded, split and scaled by rule; known by their values, not by their file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository import EXPERIMENTS
from sklearn.datasets import load_iris, load_wine
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlpbench.base.errors import InputError
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.dataset import Dataset
from mlpbench.data.table.table_data import TableData
from mlpbench.data.text.value_kinds import MISSING
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment


def spec(
    file: Path | str, target: str | None = "kind", keys: Mapping[str, Any] | None = None, **options: Any
) -> Experiment:
    """Return an experiment on a file."""
    dataset = {"file": file, **options} | ({} if target is None else {"target": target})
    return yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset, **(keys or {})})


def data_of(experiment: Experiment) -> TableData:
    assert isinstance(experiment.sources[0], TableData)
    return experiment.sources[0]


def arrays(file: Path, target: str | None = "kind", **options: Any) -> Dataset:
    return spec(file, target, **options).sources[0].load()


def table(n: int = 60) -> pd.DataFrame:
    """Return a table of every kind of column, and targets of every kind."""
    rng = np.random.default_rng(n)
    return pd.DataFrame(
        {
            "length": rng.normal(3, 2, n),
            "count": rng.integers(0, 40, n),
            "flag": rng.random(n) < 0.3,
            "colour": rng.choice(["red", "Blue", "green", "ärgerlich"], n),
            "kind": rng.choice(["yes", "no", "maybe"], n, p=[0.6, 0.3, 0.1]),
            "price": rng.normal(0, 1, n),
            "stars": rng.integers(1, 6, n),
            "bought": rng.random(n) < 0.5,
            "age": np.arange(n) % 30,
        }
    )


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    table().to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def wine(folder: Path) -> Path:
    frame = load_wine(as_frame=True).frame
    frame.to_csv(folder / "wine.csv", index=False)
    return folder / "wine.csv"


@pytest.mark.parametrize(
    ("target", "options", "classes"),
    [
        ("kind", {}, ("maybe", "no", "yes")),
        ("bought", {}, ("false", "true")),
        ("stars", {}, ("1", "2", "3", "4", "5")),
        ("price", {}, None),
        ("age", {}, None),
        ("stars", {"task": "number"}, None),
        ("bought", {"task": "number"}, None),
        ("age", {"task": "classes"}, tuple(map(str, range(30)))),
    ],
)
def test_what_a_target_is_follows_from_its_values_unless_the_task_is_told(
    csv: Path, target: str, options: dict[str, Any], classes: tuple[str, ...] | None
) -> None:
    data = data_of(spec(csv, target, **options))
    assert data.file_facts.classes == classes
    assert data.facts.n_classes == (classes and len(classes))
    assert data.facts.n_outputs == (len(classes) if classes else 1)
    made = data.load()
    frame = table()
    together = np.sort(np.concatenate([made.y_train, made.y_test]))
    if classes is None:
        assert made.y_train.dtype == np.float32
        scale = made.facts.target_scale
        assert scale is not None
        values = np.sort(frame[target].to_numpy().astype(np.float64))
        np.testing.assert_allclose(scale.own_units(together), values, rtol=1e-6, atol=1e-6)
    else:
        assert made.y_train.dtype == np.uint8
        codes = (
            np.searchsorted(np.array(classes), frame[target].astype(str).str.lower()) if target != "age" else frame.age
        )
        assert np.array_equal(together, np.sort(codes))


@pytest.mark.parametrize(("distinct", "is_class"), [(20, True), (21, False)])
def test_whole_numbers_are_classes_up_to_twenty_of_them(tmp_path: Path, distinct: int, is_class: bool) -> None:
    values = np.arange(10 * distinct) % distinct
    pd.DataFrame({"x": values * 0.5, "kind": values}).to_csv(tmp_path / "t.csv", index=False)
    assert (spec(tmp_path / "t.csv").facts[0].n_classes == distinct) == is_class


def test_whole_numbers_with_a_point_are_numbers(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(30.0) % 7, "kind": np.arange(30) % 3 * 1.0}).to_csv(tmp_path / "t.csv", index=False)
    assert spec(tmp_path / "t.csv").facts[0].n_classes is None
    assert data_of(spec(tmp_path / "t.csv", task="classes")).file_facts.classes == ("0", "1", "2")


def test_classes_with_a_gap_are_taken_as_they_are_when_told(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(30.0) % 7, "kind": np.array([0, 1, 3])[np.arange(30) % 3]}).to_csv(tmp_path / "t.csv")
    pd.read_csv(tmp_path / "t.csv", index_col=0).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="got none with 2 between 0 and 3"):
        spec(tmp_path / "t.csv")
    assert data_of(spec(tmp_path / "t.csv", task="classes")).file_facts.classes == ("0", "1", "3")


def test_standard_scaling_is_that_of_sklearn_on_the_training_rows(tmp_path: Path) -> None:
    frame = load_wine(as_frame=True).frame
    path = wine(tmp_path)
    plain, scaled = arrays(path, "target", scale="none"), arrays(path, "target")
    scaler = StandardScaler().fit(plain.x_train.astype(np.float64))
    for part in ("x_train", "x_test"):
        expected = scaler.transform(getattr(plain, part).astype(np.float64))
        np.testing.assert_allclose(getattr(scaled, part), expected, rtol=2e-5, atol=2e-6)
    assert np.array_equal(plain.y_train, scaled.y_train)
    assert scaled.x_train.shape == (142, 13)
    assert len(frame) == 178 == len(scaled.y_train) + len(scaled.y_test)


def test_words_are_one_hot_in_order_and_flags_are_0_and_1_whatever_the_scale(csv: Path) -> None:
    inputs = ["length", "count", "flag", "colour"]
    table()[[*inputs, "kind"]].to_csv(csv, index=False)
    frame = pd.read_csv(csv)
    hot = OneHotEncoder(sparse_output=False).fit_transform(frame[["colour"]])
    expected = np.column_stack([frame[["length", "count"]], frame["flag"], hot]).astype(np.float32)
    plain, scaled = arrays(csv, scale="none"), arrays(csv)
    rows = {row.tobytes(): i for i, row in enumerate(expected)}
    order = [rows[row.tobytes()] for row in np.concatenate([plain.x_train, plain.x_test])]
    assert sorted(order) == list(range(60))
    assert np.array_equal(np.concatenate([scaled.x_train, scaled.x_test])[:, 2:], expected[order][:, 2:])
    assert sorted(set(frame["colour"])) == ["Blue", "green", "red", "ärgerlich"]


def test_rows_keep_their_order_and_their_target(csv: Path) -> None:
    frame = table()
    frame["length"] = np.arange(60.0)
    frame["price"] = np.arange(60) + 0.5
    frame.to_csv(csv, index=False)
    made = arrays(csv, "price", scale="none", target_scale="none")
    for x, y in ((made.x_train, made.y_train), (made.x_test, made.y_test)):
        assert np.array_equal(x[:, 0] + 0.5, y)
        assert (np.diff(x[:, 0]) > 0).all()
    assert len(made.y_test) == 12


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_split_has_each_class_in_its_proportion_and_is_no_replicates(tmp_path: Path, share: float) -> None:
    frame = load_iris(as_frame=True).frame
    frame.to_csv(tmp_path / "iris.csv", index=False)
    made = arrays(tmp_path / "iris.csv", "target", test=share)
    assert np.bincount(made.y_test).tolist() == [round(50 * share)] * 3
    other = spec(tmp_path / "iris.csv", "target", {"seed": 9}, test=share)
    again = other.sources[0].load()
    assert np.array_equal(made.x_test, again.x_test)
    assert not np.array_equal(made.y_test, np.sort(frame["target"])[-len(made.y_test) :])


def test_a_table_is_the_same_data_whatever_its_format_and_name(tmp_path: Path) -> None:
    frame = load_iris(as_frame=True).frame
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    columns = [c for c in frame if c != "target"]
    np.savez(tmp_path / "c.npz", x=frame[columns].to_numpy(), y=frame["target"].to_numpy())
    found = [spec(tmp_path / "a.csv", "target"), spec(tmp_path / "b.parquet", "target"), spec(tmp_path / "c.npz", None)]
    ids = [[r.run_id for r in grid.runs(e)] for e in found]
    assert ids[0] == ids[1] == ids[2]
    made = [e.sources[0].load() for e in found]
    for other in made[1:]:
        assert np.array_equal(made[0].x_train, other.x_train)
        assert np.array_equal(made[0].y_test, other.y_test)


def test_what_changes_the_arrays_changes_the_fingerprint(csv: Path, tmp_path: Path) -> None:
    """And what does not, does not: the name of the file, other spellings of the same options and numbers."""
    base = spec(csv).facts[0].fingerprint
    same = shutil.copy(csv, tmp_path / "other.csv")
    assert spec(same).facts[0].fingerprint == base
    assert spec(csv, test=0.2, scale="standard", task="classes").facts[0].fingerprint == base
    table().assign(count=lambda f: f["count"].astype(float)).to_csv(same, index=False)
    assert spec(same).facts[0].fingerprint == base
    changed = [
        spec(csv, test=0.3),
        spec(csv, scale="none"),
        spec(csv, "price"),
        spec(csv, "stars"),
        spec(csv, "stars", task="number"),
        spec(csv, test_file=shutil.copy(csv, tmp_path / "copy.csv")),
    ]
    edits: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda f: f.assign(length=f["length"].where(f.index != 5, 9.0)),
        lambda f: f.iloc[::-1],
        lambda f: f.assign(kind=f["kind"].where(f.index != 5, "other")),
        lambda f: f.assign(kind=f["kind"].replace({"yes": "no", "no": "yes"})),
        lambda f: f[["count", *[c for c in f if c != "count"]]],
        lambda f: f.assign(flag=f["flag"].astype(int)),
        lambda f: f.iloc[:-1],
    ]
    for edit in edits:
        edit(table()).to_csv(same, index=False)
        changed.append(spec(same))
    prints = [e.facts[0].fingerprint for e in changed]
    assert len({base, *prints}) == len(prints) + 1


def test_a_test_file_is_the_test_set_and_shares_words_with_the_file(csv: Path, tmp_path: Path) -> None:
    whole = table()[["length", "count", "flag", "colour", "kind"]]
    whole.iloc[:40].replace("ärgerlich", "red").to_csv(csv, index=False)
    # Other columns order, other words: a word that no training row has is 0 in every input.
    whole.iloc[40:][["kind", "colour", "flag", "length", "count"]].to_parquet(tmp_path / "test.parquet", index=False)
    assert "ärgerlich" in set(whole["colour"].iloc[40:])
    experiment = spec(csv, test_file=tmp_path / "test.parquet", scale="none")
    made = experiment.sources[0].load()
    assert (len(made.y_train), len(made.y_test)) == (40, 20)
    assert np.array_equal(made.x_test[:, 0], whole["length"].iloc[40:].to_numpy().astype(np.float32))
    assert made.x_train.shape[1] == 3 + 3
    unseen = (whole["colour"].iloc[40:] == "ärgerlich").to_numpy()
    assert made.x_train[:, 3:].sum(1).tolist() == [1] * 40
    assert made.x_test[:, 3:].sum(1).tolist() == (~unseen).astype(int).tolist()
    said = f"{unseen.sum()} test rows have words that no training row has ('ärgerlich'): 0 in every input"
    assert experiment.facts[0].notes == (f"table.csv: column 'colour': {said}",)


def test_npz_arrays_may_have_test_rows_names_and_more_axes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (50, 4, 4)).astype(np.uint8), np.array(["cat", "dog"])[np.arange(50) % 2]
    np.savez(tmp_path / "a.npz", x_train=x[:30], animal_train=y[:30], x_test=x[30:], animal_test=y[30:])
    made = arrays(tmp_path / "a.npz", "animal", scale="none")
    assert made.facts.class_names == ("cat", "dog")
    assert np.array_equal(made.x_test, x[30:].reshape(20, 16).astype(np.float32))
    assert data_of(spec(tmp_path / "a.npz", "animal")).options.test is None


def test_a_link_that_leads_nowhere_is_not_suggested(csv: Path) -> None:
    (csv.parent / "noped.csv").symlink_to("gone.csv")
    tree = {
        "name": "x",
        "question": "?",
        "dataset": {"file": str(csv), "target": "species", "test_file": str(csv.parent / "nope.csv")},
    }
    with pytest.raises(InputError) as caught:
        yaml_reader.from_mapping(tree)
    assert "test_file not found: " in str(caught.value)
    assert "did you mean" not in str(caught.value)
    (csv.parent / "noped.csv").unlink()
    (csv.parent / "noped.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match=r"did you mean 'noped\.csv'"):
        yaml_reader.from_mapping(tree)


def test_a_path_starts_at_the_folder_of_the_experiment_and_one_of_an_override_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "data").mkdir(parents=True)
    wine(tmp_path / "a" / "data")
    (tmp_path / "a" / "own.yaml").write_text(
        "name: own\nquestion: Is it?\ndataset: {file: data/wine.csv, target: target}\n"
    )
    monkeypatch.chdir(tmp_path)
    read = yaml_reader.read(Path("a/own.yaml"))
    assert data_of(read).options.file == str((tmp_path / "a/data/wine.csv").resolve())
    over = yaml_reader.read(Path("a/own.yaml"), ["dataset={file: a/data/wine.csv, target: target, scale: none}"])
    assert data_of(over).options.scale == "none"
    with pytest.raises(
        InputError, match=r"^--set dataset=.*file not found: data/wine\.csv(\n`mlpbench explain file`.*)?$"
    ):
        yaml_reader.read(Path("a/own.yaml"), ["dataset={file: data/wine.csv, target: target}"])


def test_a_dumped_experiment_finds_its_file_from_its_folder_and_needs_it_only_to_train(tmp_path: Path) -> None:
    path = wine(tmp_path)
    keys = {"claims": [{"id": "c", "says": "so", "bound": {"metric": "test_accuracy", "above": 0.9}}]}
    experiment = spec(path, "target", keys)
    folder = tmp_path / "results" / "own"
    folder.mkdir(parents=True)
    text = yaml_reader.dump(experiment, folder)
    assert str(tmp_path) not in text
    (folder / "spec.yaml").write_text(text)
    again = yaml_reader.read(folder / "spec.yaml")
    assert again.sources[0] == experiment.sources[0]
    assert [r.run_id for r in grid.runs(again)] == [r.run_id for r in grid.runs(experiment)]
    moved = shutil.move(tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved"))
    there = yaml_reader.read(Path(moved) / "results" / "own" / "spec.yaml")
    assert there.sources[0].load().facts.fingerprint == experiment.facts[0].fingerprint
    (Path(moved) / "wine.csv").unlink()
    gone = yaml_reader.read(Path(moved) / "results" / "own" / "spec.yaml")
    assert gone.facts[0].class_names == ("0", "1", "2")
    with pytest.raises(InputError, match="file not found: .*training needs the data"):
        gone.sources[0].load()


@pytest.mark.parametrize("change", ["values", "options", "facts"])
def test_data_that_are_no_longer_those_of_the_facts_are_not_trained_on(tmp_path: Path, change: str) -> None:
    path = wine(tmp_path)
    data = data_of(spec(path, "target"))
    if change == "values":
        path.write_text(path.read_text().replace("14.23", "14.24", 1))
    elif change == "options":
        data = replace(data, options=data.options.model_copy(update={"scale": "none"}))
    else:
        data = replace(data, file_facts=data.file_facts.model_copy(update={"n_train": 99}))
    with pytest.raises(InputError, match="the data must be those of the experiment's facts"):
        data.load()


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(
    lambda t: t.strip() == t and bool(t) and not re.fullmatch(MISSING, t)
)


@pytest.mark.slow
@given(words=st.lists(CELLS, min_size=2, max_size=12, unique=True))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_class_names_of_any_text_survive_the_file_and_the_dump(tmp_path: Path, words: list[str]) -> None:
    """Commas, quotes, line breaks, words that YAML takes for something else: `no`, `1`, `on`."""
    rows = [w for w in words for _ in range(5)]
    frame = pd.DataFrame({"x": np.arange(len(rows)) % 7 * 1.0, "kind": rows})
    frame.to_parquet(tmp_path / "t.parquet")
    experiment = spec(tmp_path / "t.parquet")
    assert experiment.facts[0].class_names == tuple(sorted(words))
    (tmp_path / "spec.yaml").write_text(yaml_reader.dump(experiment, tmp_path), encoding="utf-8", newline="")
    assert yaml_reader.read(tmp_path / "spec.yaml").sources[0] == experiment.sources[0]


NUMBERS = st.floats(-1e12, 1e12, allow_nan=False, allow_subnormal=False).map(lambda v: float(np.float64(v)))


@pytest.mark.slow
@given(values=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=8, max_size=30), share=st.floats(0.1, 0.6))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_csv_and_parquet_of_any_numbers_are_the_same_data(
    tmp_path: Path, values: list[tuple[float, float]], share: float
) -> None:
    frame = pd.DataFrame(values, columns=["x", "price"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    found = []
    for name in ("t.csv", "t.parquet"):
        try:
            found.append(spec(tmp_path / name, "price", test=share, task="number").facts[0].fingerprint)
        except InputError as error:
            found.append(str(error).partition(" (")[0].replace(name, ""))
    assert found[0] == found[1]


def test_the_default_loss_follows_the_target(csv: Path) -> None:
    assert {r.settings.loss for r in grid.runs(spec(csv))} == {"cross_entropy"}
    assert {r.settings.loss for r in grid.runs(spec(csv, "price"))} == {"squared_error"}
    assert {r.settings.loss for r in grid.runs(spec(csv, "price", {"fixed": {"loss": "mse"}}))} == {"mse"}


def test_a_named_data_set_may_be_written_as_a_mapping() -> None:
    by_name = yaml_reader.from_mapping({"name": "x", "question": "?", "dataset": {"name": "fashion_mnist"}})
    assert by_name.sources[0] is DATA_SETS["fashion_mnist"]


def test_the_split_and_the_identity_of_a_table_never_change() -> None:
    """Written down once: a change of either makes other runs of every table, and needs another VERSION."""
    data = data_of(yaml_reader.read(EXPERIMENTS / "own_data" / "iris.yaml"))
    made = data.load()
    assert data.facts.fingerprint == "59139242b9baaf71b057d31324764479090cb345709d61bb3af29642e50d7cb8"
    test = np.round(made.x_test.sum(1)[:6].astype(float), 3).tolist()
    assert (made.y_test.tolist(), test) == (
        [0] * 15 + [1] * 15 + [2] * 15,
        [-3.291, -2.863, -1.685, -2.438, -1.705, -2.387],
    )
