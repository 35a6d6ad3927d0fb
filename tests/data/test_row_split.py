"""Tables whose rows are split by a column: what stands on which side, in every replicate, share and fold; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold

from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.data.table.table_data import TableData
from mlpbench.experiment import grid
from mlpbench.experiment.drawn_streams import varied_in
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import signature
from mlpbench.experiment.spec import Experiment
from mlpbench.training.batches.device_data import DeviceData
from mlpbench.training.engine import train_stack

CPU = torch.device("cpu")
FIXED = {"width": 4, "init": "he_normal", "batch_size": 8, "epochs": 2}
DRAWN = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = st.lists(st.integers(1, 12), min_size=6, max_size=20)


def experiment(path: Path, dataset: dict[str, Any], **keys: Any) -> Experiment:
    """Return an experiment on a table whose column `row` is the number of the row, and stays as it is."""
    whole = {"file": path, "target": "kind", "scale": "none", **dataset}
    tree: dict[str, Any] = {"name": "own", "question": "?", "dataset": whole, "fixed": FIXED, "replicates": 3}
    return yaml_reader.from_mapping(tree | keys)


def table(folder: Path, **columns: Any) -> Path:
    """Write a table of rows that know their number, with two classes in turn."""
    n = len(next(iter(columns.values())))
    numbered = {"row": range(n), "kind": ["yes" if i % 2 else "no" for i in range(n)]}
    pd.DataFrame(numbered | columns).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def sides(made: Experiment) -> list[tuple[grid.Run, np.ndarray, np.ndarray, np.ndarray]]:
    """Return of each run the numbers of the rows that it is fitted to, validated on and tested on."""
    data = DeviceData(made.sources[0].load(), CPU)
    row, tested = data.x_train[:, 0].numpy().astype(int), data.x_test[:, 0].numpy().astype(int)
    parts = [(run, data.split(run)) for run in grid.runs(made)]
    return [(run, row[part.fit], row[part.validation], tested) for run, part in parts]


def check_sizes(run: grid.Run, fit: np.ndarray, validation: np.ndarray) -> None:
    assert (len(fit), len(validation)) == (run.settings.n_fit, run.settings.n_validation)
    assert not set(fit) & set(validation)


@DRAWN
@given(
    sizes=SIZES, seed=st.integers(0, 99), test=st.floats(0.1, 0.5), share=st.floats(0.1, 0.6), folds=st.integers(2, 3)
)
def test_no_group_stands_on_two_sides_in_any_replicate_share_or_fold(
    tmp_path: Path, sizes: list[int], seed: int, test: float, share: float, folds: int
) -> None:
    # Of a group of more than half of all rows, one side would have too few.
    sizes = [*sizes, 3, 3]
    group = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    path = table(tmp_path, patient=[f"p{g}" for g in group])
    for validation in (share, {"folds": folds}):
        made = experiment(path, {"groups": "patient", "test": test}, validation=validation)
        fitted: dict[int, set[int]] = {}
        for run, fit, held, tested in sides(made):
            check_sizes(run, fit, held)
            assert not set(group[fit]) & set(group[held])
            assert not set(group[tested]) & set(group[[*fit, *held]])
            assert len(fit) + len(held) + len(tested) == len(group)
            if run.fold is not None:
                fitted.setdefault(run.replicate, set()).update(held)
        if made.folds:
            assert all(len(rows) == made.facts[0].n_train for rows in fitted.values())
        again = experiment(path, {"groups": "patient", "test": test}, validation=validation)
        assert [r.run_id for r in grid.runs(again)] == [r.run_id for r in grid.runs(made)]


def test_folds_of_groups_are_as_large_as_scikit_learns_and_stand_in_stacks_of_all_replicates(tmp_path: Path) -> None:
    group = np.repeat(np.arange(24), 1 + np.arange(24) % 5)
    made = experiment(table(tmp_path, patient=group), {"groups": "patient"}, validation={"folds": 4}, replicates=6)
    found = sides(made)
    trained = np.concatenate([fit if run.fold is None else fit[:0] for run, fit, _, _ in found[:5]])
    theirs = [len(held) for _, held in GroupKFold(4).split(trained, groups=group[trained])]
    for run, _, held, _ in found:
        assert len(held) == (0 if run.fold is None else theirs[run.fold])
    of_fold = [{signature(r.settings) for r, *_ in found if r.fold == fold} for fold in (0, 1, 2, 3, None)]
    assert all(len(signatures) == 1 for signatures in of_fold)
    assert len(set().union(*of_fold)) == 1 + len(set(theirs))


@DRAWN
@given(seed=st.integers(0, 99), days=st.integers(8, 40), test=st.floats(0.1, 0.4), share=st.floats(0.1, 0.5))
def test_the_latest_rows_are_tested_on_and_of_the_others_the_latest_are_validated_on(
    tmp_path: Path, seed: int, days: int, test: float, share: float
) -> None:
    when = np.random.default_rng(seed).integers(0, days, 120)
    dates = pd.Timestamp("2003-12-20") + pd.to_timedelta(when, "D")
    path = table(tmp_path, when=dates.strftime("%d.%m.%Y"))
    for validation in (share, {"folds": 3}):
        made = experiment(path, {"time": "when", "test": test}, validation=validation)
        for run, fit, held, tested in sides(made):
            check_sizes(run, fit, held)
            assert when[fit].max() < when[tested].min()
            if run.fold is None and made.folds:
                assert len(fit) == made.facts[0].n_train
                continue
            assert when[fit].max() < when[held].min() <= when[held].max() < when[tested].min()
        first, *others = (fit for run, fit, _, _ in sides(made) if run.fold == 0 or not made.folds)
        assert all(np.array_equal(first, other) for other in others)


def test_folds_in_time_grow_and_each_follows_what_it_is_fitted_to(tmp_path: Path) -> None:
    made = experiment(table(tmp_path, t=[f"{i * 7 % 50}.5" for i in range(50)]), {"time": "t"}, validation={"folds": 4})
    t = np.arange(50) * 7 % 50
    parts = [(np.sort(t[fit]), np.sort(t[held])) for run, fit, held, _ in sides(made)[:5] if run.fold is not None]
    assert [(len(fit), len(held)) for fit, held in parts] == [(8, 8), (16, 8), (24, 8), (32, 8)]
    for fit, held in parts:
        assert fit.tolist() == list(range(len(fit)))
        assert held.tolist() == list(range(len(fit), len(fit) + 8))


def test_folds_in_time_stand_in_stacks_of_their_own_whatever_their_steps(tmp_path: Path) -> None:
    """Each is fitted to another number of rows, which no stack may mix."""
    steps = {"width": 4, "init": "he_normal", "batch_size": 8, "steps": 10}
    made = experiment(table(tmp_path, t=range(50)), {"time": "t"}, validation={"folds": 4}, fixed=steps)
    found = {(r.fold, signature(r.settings)) for r in grid.runs(made)}
    assert len(found) == len({of for _, of in found}) == 5
    runs, data = grid.runs(made), DeviceData(made.sources[0].load(), CPU)
    for fold in range(4):
        stack = [run for run in runs if run.fold == fold]
        together, alone = train_stack(stack, data).runs, train_stack(stack[:1], data).runs
        assert together[0]["val_loss"] == alone[0]["val_loss"]


def test_a_train_size_in_time_takes_the_latest_rows(tmp_path: Path) -> None:
    path = table(tmp_path, t=[f"{i * 7 % 50}.5" for i in range(50)])
    made = experiment(path, {"time": "t"}, fixed=FIXED | {"train_size": 12}, validation=0.25)
    t = np.arange(50) * 7 % 50
    for _, fit, held, tested in sides(made):
        assert [sorted(t[part].tolist()) for part in (fit, held, tested)] == [
            [*range(28, 37)],
            [*range(37, 40)],
            [*range(40, 50)],
        ]


def test_a_column_says_which_rows_are_for_what(tmp_path: Path) -> None:
    words = [["Train", "val", " TEST", "train ", "hold-out", "Development"][i % 6] for i in range(60)]
    made = experiment(table(tmp_path, part=words), {"split": "part"}, fixed=FIXED | {"train_size": 20})
    assert made.validates
    of = {"t": np.array([w.strip().lower() in ("test", "hold-out") for w in words])}
    of["v"] = np.array([w in ("val", "Development") for w in words])
    for run, fit, held, tested in sides(made):
        check_sizes(run, fit, held)
        assert len(fit) == 20
        assert set(held) == set(np.flatnonzero(of["v"]))
        assert set(tested) == set(np.flatnonzero(of["t"]))
        assert not (of["t"] | of["v"])[fit].any()
    assert made.facts[0].n_train == (~(of["t"] | of["v"])).sum()
    assert made.facts[0].notes[0] == (
        "t.csv: column 'part' says which rows are for what, and is no input: 'Train' and 'train' 20 training rows, "
        "'Development' and 'val' 20 validation rows, 'TEST' and 'hold-out' 20 test rows"
    )


@pytest.mark.parametrize(
    ("name", "values", "tested"),
    [
        ("is_test", ["1", "0"], "1"),
        ("isTest", ["true", "false"], "true"),
        ("istest", ["1.0", "0.0"], "1.0"),
        ("train_row", ["True", "False"], "False"),
        ("holdout", ["0", "1"], "1"),
        ("SET", ["TRAINING", "Holdout"], "Holdout"),
        ("part", ["fit", "testing"], "testing"),
    ],
)
def test_what_stands_for_which_side(tmp_path: Path, name: str, values: list[str], tested: str) -> None:
    said = [values[i % 5 > 2] for i in range(40)]
    made = experiment(table(tmp_path, **{name: said}), {"split": name})
    assert made.facts[0].n_features == 1
    _, _, held, found = sides(made)[0]
    assert set(found) == {i for i, value in enumerate(said) if value == tested}
    assert not len(held)
    assert not made.validates


def test_validation_rows_take_no_part_in_training_and_settings_are_tuned_on_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    part = np.array(["train", "val", "test"])[[*rng.choice(3, 90, p=[0.6, 0.2, 0.2])]]
    x = {"a": rng.normal(size=90).round(3), "part": part}
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    whole = experiment(
        table(tmp_path / "with", **x),
        {"split": "part", "columns": ["a"], "scale": "standard"},
        nuisance={"lr": [0.1, 1]},
    )
    rows = pd.read_csv(tmp_path / "with/t.csv")
    rows[rows["part"] != "val"].to_csv(tmp_path / "without/t.csv", index=False)
    fewer = experiment(
        tmp_path / "without/t.csv",
        {"split": "part", "columns": ["a"], "scale": "standard"},
        factors={"lr": [0.1, 1]},
    )
    found, same = (train_stack(grid.runs(of), DeviceData(of.sources[0].load(), CPU)).runs for of in (whole, fewer))
    for row, other in zip(found, same, strict=True):
        assert (row["train_loss"], row["test_loss"]) == (other["train_loss"], other["test_loss"])
        assert row["val_loss"] > 0
        assert other.get("val_loss") is None
    assert (whole.set_aside, fewer.set_aside) == (1, 0)
    assert "by those before it" in whole.tuning_rule


def test_replicates_differ_by_the_split_only_where_something_is_drawn(tmp_path: Path) -> None:
    """Where rows are in time, or given, or all groups have sizes of their own, replicates that vary the split alone are one run."""
    alone = {"validation": 0.3, "vary": ["split"], "fixed": FIXED | {"batch_size": "full"}}
    group = np.repeat(np.arange(20), 3)
    unlike = np.repeat(np.arange(9), np.arange(2, 11))
    for columns, dataset, keys, drawn in (
        ({"g": group}, {"groups": "g"}, alone, ("split",)),
        ({"g": unlike}, {"groups": "g"}, alone, ()),
        ({"t": range(60)}, {"time": "t"}, alone, ()),
        ({"s": ["train", "val", "test"] * 20}, {"split": "s"}, alone | {"validation": None}, ()),
    ):
        made = experiment(table(tmp_path, **columns), dataset, **keys)
        assert varied_in(grid.conditions(made)[0], made) == drawn
        splits = {tuple(sorted(held)) for _, _, held, _ in sides(made)}
        assert len(splits) == (3 if drawn else 1)


def fingerprint(path: Path, dataset: dict[str, Any]) -> str:
    return experiment(path, dataset).facts[0].fingerprint


def test_what_splits_rows_is_part_of_what_the_data_are(tmp_path: Path) -> None:
    group, when = np.repeat(np.arange(20), 3), np.arange(60)
    path = table(tmp_path, g=group, t=when)
    found = {fingerprint(path, {"drop": ["g", "t"], **of}) for of in ({}, {"groups": "g"}, {"time": "t"})}
    assert len(found) == 3
    other = group.copy()
    other[:2] = 1, 0
    for name, moved in (("groups", {"g": other, "t": when}), ("time", {"g": group, "t": np.roll(when, 1)})):
        column = {"groups": "g", "time": "t"}[name]
        (tmp_path / name).mkdir()
        assert fingerprint(table(tmp_path / name, **moved), {"drop": ["g", "t"], name: column}) not in found
    # Names of groups, units of times and the format of a file are none of it.
    (tmp_path / "same").mkdir()
    same = table(tmp_path / "same", g=[f"patient {g:02}" for g in group], t=when * 2.5)
    assert fingerprint(same, {"drop": ["t"], "groups": "g"}) == fingerprint(path, {"drop": ["t"], "groups": "g"})
    assert fingerprint(same, {"drop": ["g"], "time": "t"}) == fingerprint(path, {"drop": ["g"], "time": "t"})
    pd.read_csv(same).to_parquet(tmp_path / "t.parquet")
    assert fingerprint(tmp_path / "t.parquet", {"drop": ["t"], "groups": "g"}) == fingerprint(
        path, {"drop": ["t"], "groups": "g"}
    )


@pytest.mark.parametrize(
    ("dataset", "validation"),
    [({"groups": "g"}, {"folds": 3}), ({"time": "t"}, {"folds": 3}), ({"time": "t"}, 0.3), ({"split": "s"}, None)],
)
def test_facts_are_enough_for_the_grid_where_the_file_is_gone(
    tmp_path: Path, dataset: dict[str, Any], validation: Any
) -> None:
    path = table(tmp_path, g=np.repeat(np.arange(20), 3), t=np.arange(60) // 2, s=["fit", "dev", "test"] * 20)
    made = experiment(path, {"columns": ["row"], **dataset}, validation=validation)
    text = yaml_reader.dump(made, tmp_path)
    path.unlink()
    (tmp_path / "spec.yaml").write_text(text)
    again = yaml_reader.read(tmp_path / "spec.yaml")
    assert isinstance(again.sources[0], TableData)
    assert again.facts[0] == made.facts[0]
    assert [(r.run_id, r.settings) for r in grid.runs(again)] == [(r.run_id, r.settings) for r in grid.runs(made)]


def test_a_time_is_an_input_only_where_columns_name_it_and_a_note_says_so(tmp_path: Path) -> None:
    path = table(tmp_path, t=range(60), a=range(60))
    plain = experiment(path, {"time": "t"}).facts[0]
    named = experiment(path, {"time": "t", "columns": ["a", "t"]}).facts[0]
    without = experiment(path, {"time": "t", "columns": ["a"]}).facts[0]
    assert (plain.n_features, named.n_features, without.n_features) == (2, 2, 1)
    assert "48 rows of 0 to 47 to train on, the latest of them to validate on, 12 rows of 48 to 59" in plain.notes[0]
    assert plain.notes[0].endswith("it is no input unless `columns` names it")
    assert named.notes[0].endswith("it is an input too, as `columns` names it")


def test_rows_without_a_group_or_a_time_are_left_out_with_a_note_or_refused(tmp_path: Path) -> None:
    group = [None if i in (3, 8) else f"p{i % 9}" for i in range(60)]
    path = table(tmp_path, g=group)
    made = experiment(path, {"groups": "g"})
    assert made.facts[0].n_train + made.facts[0].n_test == 58
    assert "t.csv: 2 rows without a value in column 'g' are left out" in made.facts[0].notes
    assert not {3, 8} & {int(i) for _, *parts in sides(made)[:1] for part in parts for i in part}
    with pytest.raises(InputError, match="no missing values where `missing: refuse` says so, got a gap"):
        experiment(path, {"groups": "g", "missing": "refuse"})


def test_a_class_that_groups_leave_out_of_a_side_and_a_group_of_most_rows_are_said(tmp_path: Path) -> None:
    group = ["a"] * 30 + ["b"] * 4 + ["c"] * 4 + ["d"] * 12
    path = table(tmp_path, g=group, kind=["no"] * 20 + ["yes"] * 14 + ["yes"] * 4 + ["yes"] * 12)
    notes = experiment(path, {"groups": "g"}).facts[0].notes
    assert (
        "t.csv: column 'g': 4 groups that stay whole, and no input: 3 with 38 rows to train on, 1 with 12 rows (24%)"
        in notes[0]
    )
    assert notes[1] == "t.csv: column 'g': 'a' has 30 of 38 training rows"
    assert "t.csv: classes have no equal shares in training and test rows: groups stay whole" in notes
    assert "t.csv: no test row of class 'no'" in notes


def test_a_test_file_has_no_group_of_the_rows_to_train_on(tmp_path: Path) -> None:
    path = table(tmp_path, g=np.repeat(np.arange(20), 3))
    rows = pd.read_csv(path)
    rows[:48].to_csv(tmp_path / "a.csv", index=False)
    rows[48:].to_csv(tmp_path / "b.csv", index=False)
    dataset = {"groups": "g", "test_file": tmp_path / "b.csv"}
    made = experiment(tmp_path / "a.csv", dataset, validation={"folds": 4})
    assert (made.facts[0].n_train, made.facts[0].n_test, made.facts[0].n_features) == (48, 12, 1)
    assert "16 with 48 rows to train on, 4 with 12 rows" in made.facts[0].notes[0]
    rows[47:].to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match=r"must not stand on both sides.*got '15'; leave its rows out of one"):
        experiment(tmp_path / "a.csv", dataset)
    late = experiment(tmp_path / "a.csv", {"time": "row", "test_file": tmp_path / "b.csv", "words": ["g"]})
    assert any("the test file begins before the rows to train on end" in n for n in late.facts[0].notes)


def test_new_rows_need_no_column_that_split_the_table(tmp_path: Path) -> None:
    path = table(tmp_path, g=np.repeat(np.arange(20), 3), a=np.arange(60) / 7)
    dataset = experiment(path, {"groups": "g"}).sources[0]
    assert isinstance(dataset, TableData)
    encoder = dataset.encoder()
    rows = pd.read_csv(path)
    found = [encoder.of_frame(rows.drop(columns=list(gone))) for gone in ((), ("g",), ("g", "kind"))]
    assert all(np.array_equal(found[0].x, other.x) for other in found)
    assert [other.notes for other in found] == [(), (), ()]


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "validation beside rows for it": (
        {"split": "s"},
        {"validation": 0.2},
        "validation must be left out where a column says which rows are for it, 20 of t.csv, got 0.2",
    ),
    "folds beside rows for it": ({"split": "s"}, {"validation": {"folds": 3}}, "got {'folds': 3}"),
    "nothing to tune on": (
        {"groups": "g"},
        {"nuisance": {"lr": [0.1, 1]}},
        "nuisance settings are tuned on validation",
    ),
    "fewer rows of groups": (
        {"groups": "g"},
        {"fixed": FIXED | {"train_size": 30}},
        "train_size must be all where rows are in groups, which stay whole, as in t.csv, got 30 of 48",
    ),
    "more folds than groups": (
        {"groups": "g"},
        {"validation": {"folds": 17}},
        "folds must be at most the number of groups to train on, 16, got 17",
    ),
    "more folds than times": (
        {"time": "few"},
        {"validation": {"folds": 3}},
        "folds must leave each of them, and what is before the first, a time of its own: 45 training rows have 3 times, got 3",
    ),
    "a share of one time": (
        {"time": "few", "test": 0.7},
        {"validation": 0.2},
        "validation needs training rows of two times at least, got one in t.csv",
    ),
    "a share of one group": (
        {"groups": "two"},
        {"validation": 0.2},
        "a share of the rows in groups needs two groups at least, got one in t.csv",
    ),
    "a shift of rows in time": (
        {"time": "few"},
        {"fixed": FIXED | {"train_shift": {"covariate": 1.0}, "train_size": 9}},
        "train_shift must be none where a column says how rows are split, as in t.csv",
    ),
    "a size beyond the training rows": (
        {"split": "s"},
        {"fixed": FIXED | {"train_size": 30}},
        "train_size must be at most 20, what t.csv has, got 30",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_an_experiment_may_not_ask_of_such_rows(tmp_path: Path, name: str) -> None:
    dataset, keys, said = WRONG[name]
    path = table(
        tmp_path,
        g=np.repeat(np.arange(20), 3),
        s=["fit", "dev", "test"] * 20,
        few=np.repeat(np.arange(4), 15),
        two=np.repeat(["a", "b"], [40, 20]),
    )
    with pytest.raises(InputError) as raised:
        experiment(path, {"columns": ["row"], **dataset}, **keys)
    assert said in str(raised.value)


def test_x_and_y_of_an_npz_file_have_no_column_for_it_and_one_array_has(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(60.0), np.arange(60) // 3, np.arange(60) % 2])
    np.savez(tmp_path / "pair.npz", x=rows[:, :2], y=rows[:, 2])
    with pytest.raises(
        InputError, match="groups must be a column of a table, and x and y of an npz file have none for it"
    ):
        experiment(tmp_path / "pair.npz", {"groups": 2, "target": "y"})
    np.savez(tmp_path / "whole.npz", rows=rows)
    np.save(tmp_path / "whole.npy", rows)
    for name in ("whole.npz", "whole.npy"):
        made = experiment(tmp_path / name, {"groups": 2, "target": -1, "task": "classes"}, validation=0.25)
        for _, fit, held, tested in sides(made):
            assert not {i // 3 for i in fit} & {i // 3 for i in held}
            assert not {i // 3 for i in tested} & {i // 3 for i in [*fit, *held]}


def test_a_description_counts_the_rows_of_each_side(tmp_path: Path) -> None:
    path = table(tmp_path, part=["train", "val", "test", "train", "test", "train"] * 10, g=np.repeat(np.arange(20), 3))
    lines = CliRunner().invoke(main, ["data", "describe", str(path), "--target", "kind", "--set", "split=part"]).output
    assert lines.splitlines()[0].startswith("t.csv: 60 rows, 30 to train on, 10 to validate on and 20 to test on; ")
    assert [line.split() for line in lines.splitlines() if line.startswith(("class", "no", "yes"))] == [
        ["class", "training", "rows", "validation", "rows", "test", "rows"],
        ["no", "10", "(33.3%)", "0", "(0.0%)", "20", "(100.0%)"],
        ["yes", "20", "(66.7%)", "10", "(100.0%)", "0", "(0.0%)"],
    ]
    lines = CliRunner().invoke(main, ["data", "describe", str(path), "--target", "kind", "--set", "groups=g"]).output
    assert (
        "t.csv: column 'g': 20 groups that stay whole, and no input: 16 with 48 rows to train on, 4 with 12 rows (20%)"
        in lines
    )


def test_data_sets_of_one_experiment_are_each_split_in_their_own_way(tmp_path: Path) -> None:
    path = table(tmp_path, g=np.repeat(np.arange(20), 3), t=np.arange(60), s=["fit", "dev", "test"] * 20)
    shared = {"file": str(path), "target": "kind", "columns": ["row"]}
    ways: list[dict[str, Any]] = [{"label": "plain"}, {"label": "g", "groups": "g"}, {"label": "t", "time": "t"}]
    tree = {"name": "own", "question": "?", "fixed": FIXED, "validation": {"folds": 3}, "replicates": 2}
    both = yaml_reader.from_mapping(tree | {"factors": {"dataset": [shared | way for way in ways]}})
    alone = [
        experiment(path, {k: v for k, v in (shared | way).items() if k != "label"} | {"scale": "standard"}, **tree)
        for way in ways
    ]
    assert [r.run_id for r in grid.runs(both)] == [r.run_id for of in alone for r in grid.runs(of)]
    mixed = [shared | {"label": "given", "split": "s"}, shared | {"label": "plain"}]
    with pytest.raises(
        InputError, match="validation must be left out where a column says which rows are for it, 20 of t"
    ):
        yaml_reader.from_mapping(tree | {"factors": {"dataset": mixed}})
    assert not yaml_reader.from_mapping(tree | {"validation": None, "factors": {"dataset": mixed}}).validates
