"""The regret of a choice by folds: every level refitted, in a real training, and the numbers against pandas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, frame, spec
from reports import context_of

import mlpbench
from mlpbench.evidence.estimates import tuning_choice
from mlpbench.evidence.estimates.tuning_choice import regrets, tuned_grid
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs.inventory import take_inventory
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.options import Options
from mlpbench.report.sections import conditions
from mlpbench.report.sections.conditions import regret_sentence
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

LRS = [1e-6, 0.1, 0.5]
TREE: dict[str, Any] = {
    "name": "regret",
    "question": "Do folds choose well?",
    "dataset": "fashion_mnist",
    "validation": {"folds": 3, "refit": "all"},
    "fixed": {"train_size": 90, "epochs": 1, "batch_size": 32},
    "factors": {"width": [3, 9]},
    "nuisance": {"lr": LRS},
    "replicates": 4,
    "claims": [
        {"id": name, "says": name, "bound": {"metric": name, "where": {"width": 9}, "below": 0.01}}
        for name in ("regret_accuracy", "split_regret_accuracy", "split_excess_accuracy", "regret_loss", "split_regret_loss", "split_excess_loss")
    ],
}  # fmt: skip


def run(results: Path, **more: Any) -> Outcome:
    return mlpbench.run(TREE | more, results=results, device="cpu", workers=1, report=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("regret")
    assert run(results).trained == 2 * 3 * 4 * (3 + 1)
    return results


def by_hand(results: Path, width: int, what: str) -> pd.DataFrame:
    """Return regret, split regret and excess of each replicate, by pandas on the table of runs."""
    runs = pd.read_parquet(results / "regret" / "runs")
    runs = runs[runs["width"] == width]
    on_fold = runs[runs["fold"].notna()]
    on_fold = on_fold.assign(right=(30 * on_fold["val_accuracy"]).round().astype(int))  # three folds of 90 images
    of_folds, of_first = (
        some.groupby(["replicate", "lr"])[["right", "val_loss"]].sum()
        for some in (on_fold, on_fold[on_fold["fold"] == 0])
    )
    tested = runs[runs["fold"].isna()].set_index(["replicate", "lr"])[f"test_{what}"].unstack()
    sign = 1 if what == "accuracy" else -1
    rows = []
    for replicate in range(4):
        refits: Any = sign * tested.loc[replicate]
        ranked = (
            pd.DataFrame(of.loc[[replicate]]).droplevel(0).sort_values(["right", "val_loss"], ascending=[False, True])
            for of in (of_folds, of_first)
        )
        own, split = (refits[levels.index[0]] for levels in ranked)
        rows.append((refits.max() - own, refits.max() - split, own - split))
    return pd.DataFrame(rows, columns=["regret", "split_regret", "split_excess"])


@pytest.mark.slow
def test_regrets_are_those_of_the_tables(made: Path) -> None:
    claims = mlpbench.load(made / "regret").claims.set_index("id")
    for what in ("accuracy", "loss"):
        expected = by_hand(made, 9, what)
        assert expected["split_excess"].abs().sum() > 0, "some replicate chooses otherwise by its first fold"
        for name, values in expected.items():
            row = claims.loc[f"{name}_{what}"]
            assert row["n"] == 4
            assert row["estimate"] == pytest.approx(values.mean(), abs=1e-12)
            sd = max(values.std(), 1e-4 if what == "accuracy" else 0.0)
            half = 3.182446 * sd / 2  # t(0.975, 3)
            least = 0.0 if what == "accuracy" and name != "split_excess" else -math.inf  # none is better than the best
            assert row["high"] == pytest.approx(values.mean() + half, rel=1e-6)
            assert row["low"] == pytest.approx(max(least, values.mean() - half), rel=1e-6)


@pytest.mark.slow
def test_every_level_is_refitted_and_other_metrics_are_those_of_the_chosen_one(made: Path, tmp_path: Path) -> None:
    """Refits of losers change no other number: an experiment that refits the chosen level alone says the same."""
    claim = {
        "id": "c",
        "says": "c",
        "compare": {"metric": "test_accuracy", "a": {"width": 9}, "b": {"width": 3}, "expect": "greater"},
    }
    every = run(made, claims=[claim])
    assert every.trained == 0
    assert sum(every.statuses.values()) == 2 * 3 * 4 * (3 + 1)
    chosen = run(tmp_path, claims=[claim], validation={"folds": 3})
    assert chosen.trained == 2 * 4 * (3 * 3 + 1)
    # That of `made` is stated after its runs, beside other claims.
    numbers = ["metric", "tuned", "n", "planned", "estimate", "low", "high", "p", "sd", "interval"]
    pd.testing.assert_frame_equal(every.claims[numbers], chosen.claims[numbers])
    runs = pd.read_parquet(made / "regret" / "runs")
    refits = runs[runs["fold"].isna()]
    assert refits.groupby(["width", "replicate"])["lr"].nunique().eq(3).all()
    assert refits["test_accuracy"].notna().all()


def test_a_plan_asks_for_all_refits_at_once(tmp_path: Path) -> None:
    experiment = yaml_reader.from_mapping(TREE)
    options = Options(results=tmp_path, device="cpu", workers=1)
    summary = take_inventory(experiment, Store(tmp_path / "regret"), options).summary(options)
    assert (summary.runs, summary.on_folds, summary.refits, summary.missing) == (96, 72, 24, 96)


@pytest.mark.slow
def test_the_report_says_in_a_sentence_what_the_choice_costs(made: Path, tmp_path: Path) -> None:
    (tmp_path / "regret").symlink_to(made / "regret")
    mlpbench.run(TREE, results=tmp_path, device="cpu", workers=1)
    text = (made / "regret" / "report.md").read_text()
    told = text.split("## Tuning")[1].split("\n## ")[0]
    assert (
        "every level was trained again on all training examples, and test metrics are those of the chosen level" in told
    )
    both = pd.concat([by_hand(made, w, "accuracy") for w in (3, 9)], keys=[3, 9], names=["width", "replicate"])
    means = 100 * both.groupby("replicate").mean()
    low, high = (means["regret"].mean() + s * 3.182446 * means["regret"].std() / 2 for s in (-1, 1))
    words = told.split("Regret: ")[1]
    assert words.startswith("the test accuracy of the chosen level is, averaged over conditions, below the highest")
    numbers = words.split("by ")[1].split(" pp")[0], words.split("interval ")[1].split(",")[0]
    assert float(numbers[0]) == pytest.approx(means["regret"].mean(), rel=0.05, abs=0.05)
    assert [float(v) for v in numbers[1].split(" to ")] == pytest.approx([max(0.0, low), high], rel=0.05, abs=0.05)
    assert "where all 3 folds choose" in words
    assert "where the first fold alone chooses" in words


def seen(status: list[list[str]], accuracy: list[list[float]]) -> tuple[list[list[str]], pd.DataFrame]:
    """Return run ids and rows of levels times replicates; losses are minus the accuracies."""
    ids = [[f"{t}-{r}" for r in range(len(row))] for t, row in enumerate(status)]
    rows = [
        {"run_id": ids[t][r], "status": s, "test_accuracy": accuracy[t][r], "test_loss": -accuracy[t][r]}
        for t, row in enumerate(status)
        for r, s in enumerate(row)
        if s != "missing"
    ]
    return ids, frame("runs", rows)


def test_what_is_not_known_makes_a_regret_unknown() -> None:
    """Replicates: whole; a loser diverged; a loser missing; a loser failed; the chosen one diverged; nothing chosen."""
    status = [["ok"] * 4 + ["diverged", "ok"], ["ok"] * 6, ["ok", "diverged", "missing", "failed", "ok", "ok"]]
    accuracy = [[0.5] * 6, [0.75] * 6, [0.875] * 6]
    ids, runs = seen(status, accuracy)
    chosen, split = np.array([0, 0, 0, 0, 0, -1]), np.array([1, 1, 1, 1, 1, -1])
    found, used = regrets(ids, runs, chosen, split)
    nan = np.nan
    for what in ("accuracy", "loss"):
        np.testing.assert_array_equal(found[f"regret_{what}"], [0.375, 0.25, nan, nan, nan, nan])
        np.testing.assert_array_equal(found[f"split_regret_{what}"], [0.125, 0.0, nan, nan, 0.125, nan])
        np.testing.assert_array_equal(found[f"split_excess_{what}"], [-0.25, -0.25, nan, nan, nan, nan])
    assert sorted(used) == sorted(i for row in ids for i in row)


def rows_of(experiment: Any, validated: Any, tested: Any) -> pd.DataFrame:
    """Return rows of all runs: validation accuracy by (lr, fold), test accuracy by lr."""
    rows = []
    for r in grid.runs(experiment):
        row = {"run_id": r.run_id, "status": "ok", "replicate": r.replicate, "fold": r.fold}
        if r.fold is None:
            row |= {"test_accuracy": tested(r.settings.lr), "test_loss": 2 - tested(r.settings.lr)}
        else:
            row |= {"val_accuracy": validated(r.settings.lr, r.fold)}
        rows.append(row)
    return frame("runs", rows)


def test_a_single_split_is_the_first_fold_and_ranks_as_all_folds_do() -> None:
    """0.1 wins over both folds, 0.3 on the first one; 0.9 is the best on test."""
    fixed = {"batch_size": 256, "epochs": 10}
    experiment = spec(
        fixed=fixed, factors={}, validation={"folds": 2, "refit": "all"}, nuisance={"lr": [0.1, 0.3, 0.9]}, replicates=2
    )
    validated = {0.1: [0.6, 0.9], 0.3: [0.7, 0.1], 0.9: [0.2, 0.2]}
    tested = {0.1: 0.5, 0.3: 0.25, 0.9: 1.0}
    rows = rows_of(experiment, lambda lr, fold: validated[lr][fold], lambda lr: tested[lr])
    found = tuned_grid(experiment, grid.conditions(experiment), rows).observed
    assert found["regret_accuracy"].tolist() == [0.5, 0.5]
    assert found["split_regret_accuracy"].tolist() == [0.75, 0.75]
    assert found["split_excess_loss"].tolist() == [0.25, 0.25]
    words = regret_sentence(experiment, found)
    assert words.startswith("Regret: the test accuracy of the chosen level is below the highest among the refits")
    assert "50 pp where all 2 folds choose" in words
    plain = experiment.model_copy(update={"refit": "chosen"})
    assert regret_sentence(plain, found) == ""
    assert "regret_accuracy" not in tuned_grid(plain, grid.conditions(plain), rows).observed
    assert tuning_choice.has_regret(experiment)
    section = conditions.tuning(context_of(Tables(plain, grid.conditions(plain), rows, frame("curves", []))))
    assert section is not None
    assert "trained again on all training examples;" in section.sentences


def test_a_level_that_diverged_on_the_first_fold_is_not_the_choice_of_a_single_split() -> None:
    """0.3 is the best where it ends, and diverged on fold 0; 0.9 diverged on fold 1, which a single split never sees."""
    keys: dict[str, Any] = {"validation": {"folds": 2, "refit": "all"}, "nuisance": {"lr": [0.1, 0.3, 0.9]}}
    experiment = spec(fixed={"batch_size": 256, "epochs": 10}, factors={}, replicates=2, **keys)
    rows = rows_of(experiment, lambda lr, fold: lr, lambda lr: lr)
    made = grid.conditions(experiment)
    ended = {run.run_id: (run.settings.lr, run.fold) for run in grid.runs(experiment, made)}
    bad = rows["run_id"].map(ended).isin([(0.3, 0), (0.9, 1)])
    found = tuned_grid(experiment, made, rows.assign(status=rows["status"].mask(bad, "diverged"))).observed
    assert found["regret_accuracy"].tolist() == pytest.approx([0.8, 0.8])
    assert found["split_regret_accuracy"].tolist() == [0.0, 0.0]
