"""For how many epochs a refit trains whose runs on folds stop early: by arithmetic, and as the plain run of so many epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_specs import spec
from hypothesis import given
from hypothesis import strategies as st
from sealed_folders import seal_again

import mlpbench
from mlpbench.base.files import write_whole
from mlpbench.evidence.refit_epochs import UNKNOWN, refit_epochs, with_refit_epochs
from mlpbench.experiment import grid
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import SCHEMAS

FOLDS, EPOCHS = 3, 9


def stopping(**more: Any) -> Any:
    fixed = {"early_stopping": 2, "epochs": EPOCHS}
    return spec(fixed=fixed, validation={"folds": FOLDS}, replicates=2, **more)


def rows(experiment: Any, of_folds: list[tuple[str, float]]) -> pd.DataFrame:
    """Return rows of the runs on folds, in order: status and best epoch of each; "" is a run that is not there."""
    ids = [r.run_id for r in grid.runs(experiment) if r.fold is not None]
    there = [(i, status, best) for i, (status, best) in zip(ids, of_folds, strict=True) if status]
    frame = pd.DataFrame(dict.fromkeys(METRICS, np.nan), index=range(len(there)))
    return frame.assign(
        run_id=[i for i, _, _ in there], status=[s for _, s, _ in there], best_epoch=[b for _, _, b in there]
    )


@pytest.mark.parametrize(
    ("of_folds", "expected"),
    [
        ([("ok", 3), ("ok", 4), ("ok", 6)], 4),  # 13 / 3
        ([("ok", 2), ("ok", 3), ("diverged", np.nan)], 2),  # 2.5 goes to the even number
        ([("ok", 0), ("ok", 0), ("ok", 0)], 1),
        ([("diverged", np.nan)] * 3, EPOCHS),
        ([("failed", np.nan)] * 3, EPOCHS),
        ([("ok", 3), ("ok", 4), ("", np.nan)], UNKNOWN),
    ],
)
def test_it_is_the_mean_of_the_best_epochs_of_the_folds_that_finished(
    of_folds: list[tuple[str, float]], expected: int
) -> None:
    experiment = stopping()
    conditions = grid.conditions(experiment)
    there = rows(experiment, [*of_folds, ("", np.nan), ("", np.nan), ("", np.nan)])
    assert refit_epochs(experiment, conditions, there).tolist() == [[expected, UNKNOWN]]
    refits = [r for r in with_refit_epochs(grid.runs(experiment), experiment, conditions, there) if r.fold is None]
    assert [r.refit_epochs for r in refits] == [None if expected == UNKNOWN else expected, None]


@given(st.lists(st.integers(1, EPOCHS), min_size=FOLDS, max_size=FOLDS), st.permutations(range(FOLDS)))
def test_the_order_of_the_folds_changes_nothing(best: list[int], order: list[int]) -> None:
    experiment = stopping()
    both = [
        refit_epochs(
            experiment,
            grid.conditions(experiment),
            rows(experiment, [("ok", float(b[f])) for _ in range(2) for f in range(FOLDS)]),
        ).tolist()
        for b in (best, [best[i] for i in order])
    ]
    assert both[0] == both[1]
    assert min(best) <= both[0][0][0] <= max(best)


def test_a_refit_is_another_run_on_another_number_of_folds_and_without_stops() -> None:
    ids = {
        key: [
            r.run_id for r in grid.runs(spec(fixed={"epochs": EPOCHS} | more, validation=validation)) if r.fold is None
        ]
        for key, more, validation in (
            ("3 folds", {"early_stopping": 2}, {"folds": 3}),
            ("4 folds", {"early_stopping": 2}, {"folds": 4}),
            ("without", {}, {"folds": 3}),
            ("without, 4 folds", {}, {"folds": 4}),
        )
    }
    assert ids["without"] == ids["without, 4 folds"]
    assert len({i for some in ids.values() for i in some}) == 3 * len(ids["without"])


TREE: dict[str, Any] = {
    "name": "stops",
    "question": "Does it stop?",
    "dataset": "digits",
    "validation": {"folds": FOLDS},
    "fixed": {"width": 16, "init": "he_normal", "lr": 1.0, "batch_size": 64, "epochs": 15, "train_size": 300},
    "factors": {"early_stopping": [2, {"patience": 3, "metric": "val_accuracy"}]},
    "replicates": 2,
    "save_weights": True,
}


def run(tree: dict[str, Any], results: Path) -> pd.DataFrame:
    return mlpbench.run(tree, results=results, executor="inline", quiet=True, report=False).runs


@pytest.mark.parametrize("executor", ["inline", pytest.param("local", marks=pytest.mark.slow)])
def test_a_refit_has_the_weights_of_a_plain_run_of_as_many_epochs(tmp_path: Path, executor: str) -> None:
    """Two implementations of one thing: streams are addressed, so that ending early is ending there."""
    outcome = mlpbench.run(TREE, results=tmp_path, executor=executor, workers=2, quiet=True, report=False)
    runs = outcome.runs
    refits, on_folds = runs[runs["fold"].isna()], runs[runs["fold"].notna()]
    assert len(refits) == 4
    assert len(on_folds) == 4 * FOLDS
    taken = set()
    for _, refit in refits.iterrows():
        same = (on_folds["condition_id"] == refit["condition_id"]) & (on_folds["replicate"] == refit["replicate"])
        expected = round(on_folds.loc[same, "best_epoch"].mean())
        assert refit["epochs_taken"] == refit["best_epoch"] == expected
        taken.add(expected)
        plain = TREE | {"name": f"plain_{refit['run_id']}"}
        plain |= {"fixed": TREE["fixed"] | {"epochs": int(expected)}, "factors": {}, "validation": None}
        plain = {k: v for k, v in plain.items() if v}
        alone = run(plain, tmp_path)
        alone = alone[alone["replicate"] == refit["replicate"]].iloc[0]
        for same_value in ("weights_sha256", "test_loss", "train_loss", "test_accuracy", "flops"):
            assert alone[same_value] == refit[same_value], same_value
    assert len(taken) > 1 or max(taken) < 15, "some stop early"


def test_a_refit_is_trained_again_where_its_runs_on_folds_have_another_best_epoch_by_now(tmp_path: Path) -> None:
    """As where a fold failed before, and `--rerun failed` has trained it since: the mean is of more folds then."""
    tree = TREE | {"save_weights": False}
    runs = run(tree, tmp_path)
    refit = runs[runs["fold"].isna()].iloc[0]
    folder = tmp_path / "stops"

    def earlier(frame: pd.DataFrame) -> pd.DataFrame:
        same = (frame["condition_id"] == refit["condition_id"]) & (frame["replicate"] == refit["replicate"])
        frame.loc[same & frame["fold"].notna(), "best_epoch"] = 1.0
        return frame

    for path in (folder / "runs").glob("*.parquet"):
        frame = earlier(pq.read_table(path).to_pandas())
        path.unlink()
        name, content = encoded("altered", pa.Table.from_pandas(frame, schema=SCHEMAS["runs"], preserve_index=False))
        write_whole(folder / "runs" / name, content)
    seal_again(folder)
    assert refit["epochs_taken"] > 1
    again = mlpbench.run(tree, results=tmp_path, workers=1, quiet=True, report=False)
    assert again.trained == 1
    assert again.runs.set_index("run_id").loc[refit["run_id"], "epochs_taken"] == 1
    assert mlpbench.run(tree, results=tmp_path, workers=1, quiet=True, report=False).trained == 0


@pytest.mark.slow
def test_a_tuned_experiment_refits_its_choice_for_as_long_as_that_one_takes(tmp_path: Path) -> None:
    tree = TREE | {"nuisance": {"lr": [0.1, 1.0]}, "fixed": {k: v for k, v in TREE["fixed"].items() if k != "lr"}}
    runs = run(tree, tmp_path)
    refits = runs[runs["fold"].isna()]
    assert len(refits) == 4
    for _, refit in refits.iterrows():
        of = runs[runs["fold"].notna() & (runs["replicate"] == refit["replicate"])]
        of = of[(of["lr"] == refit["lr"]) & (of["early_stopping"] == refit["early_stopping"])]
        assert len(of) == FOLDS
        assert refit["epochs_taken"] == round(of["best_epoch"].mean())
    again = mlpbench.run(tree, results=tmp_path, executor="inline", quiet=True, report=False)
    assert again.trained == 0
