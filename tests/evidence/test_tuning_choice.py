"""Tuning by validation: who wins, who never does, what comparisons then rest on, and what the report says of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, frame, spec
from reports import context_of, report_of

from mlpbench.evidence.estimates.observe import observe
from mlpbench.evidence.estimates.tuning_choice import NONE, TunedGrid, choose, tuned_grid, winners
from mlpbench.evidence.estimates.tuning_curve import tuning_curve
from mlpbench.evidence.judging import interim_analysis
from mlpbench.experiment import grid
from mlpbench.experiment.spec import Experiment
from mlpbench.report.context import Context
from mlpbench.report.sections import conditions

LRS = [0.03, 0.1, 0.3]
CLAIM = {
    "id": "wider",
    "says": "Wider is better.",
    "compare": {"metric": "test_accuracy", "a": {"width": 32}, "b": {"width": 8}, "expect": "greater"},
}
ENVIRONMENT = {
    "env_python": "3.11.9", "env_torch": "2.12.0", "env_numpy": "2.4.0", "env_mlpbench": "0.1.0", "env_dirty": False,
    "env_threads": 1, "env_numerics": "fast", "env_device": "cpu", "train_seconds": 1.0, "flops": 1e9,
}  # fmt: skip
Scores = Mapping[tuple[int, float, int], float | str]


def tuned(*, folds: int | None = None, replicates: int = 3, **keys: Any) -> Experiment:
    """Return two widths, each tuned over three learning rates."""
    validation: Any = {"folds": folds} if folds else 0.1
    more: dict[str, Any] = {"factors": {"width": [8, 32]}, "nuisance": {"lr": LRS}, "claims": [CLAIM]} | keys
    fixed = {k: v for k, v in {"batch_size": 256, "epochs": 10}.items() if k not in more["nuisance"]}
    return spec(fixed=fixed, validation=validation, replicates=replicates, **more)


def rows_of(experiment: Experiment, score: Any) -> pd.DataFrame:
    """Return runs whose validation accuracy is score(width, lr, replicate, fold), or which ended as that word says."""
    rows: list[dict[str, Any]] = []
    for run in grid.runs(experiment):
        s = run.settings
        value = score(s.width, s.lr, run.replicate, run.fold)
        if value is None:
            continue
        row = {"run_id": run.run_id, "status": "ok", "replicate": run.replicate, "fold": run.fold} | ENVIRONMENT
        if isinstance(value, str):
            rows.append(row | {"status": value, "diverged": 1.0 if value == "diverged" else None})
            continue
        if s.n_validation:
            row |= {"val_accuracy": value, "val_loss": 1 - value}
        if run.fold is None:
            # Told apart by the settings: what a comparison rests on shows in its estimate.
            row |= {"test_accuracy": (s.width or 0) / 100 + s.lr / 1000 + run.replicate / 1e6, "test_loss": 1.0}
        rows.append(row | {"train_loss": 1.0, "train_accuracy": 0.5, "diverged": 0.0})
    return frame("runs", rows)


def gathered(experiment: Experiment, score: Any) -> TunedGrid:
    return tuned_grid(experiment, grid.conditions(experiment), rows_of(experiment, score))


def chosen(experiment: Experiment, score: Any) -> list[list[int]]:
    made = grid.conditions(experiment)
    counts = [experiment.replicates] * (len(made) // grid.count_tunings(experiment))
    found: list[list[int]] = choose(experiment, made, rows_of(experiment, score), counts).chosen.tolist()
    return found


def lr_seen(found: TunedGrid) -> list[float]:
    """Return the learning rate that each row of `observed` is of, as its test accuracy tells."""
    width = found.observed["position"].map({0: 8, 1: 32})
    rest = found.observed["test_accuracy"] - width / 100 - found.observed["replicate"] / 1e6
    return [round(v, 6) for v in (1000 * rest).tolist()]


def test_the_best_mean_over_the_replicates_before_wins_in_each() -> None:
    """For width 8 that is 0.3 until it fails in the third replicate, for width 32 0.03; the first replicate has no row."""
    table = {0.03: [0.5] * 4, 0.1: [0.7] * 4, 0.3: [0.71, 0.71, 0.1, 0.1]}
    found = gathered(tuned(replicates=4), lambda w, lr, r, f: table[lr][r] if w == 8 else 0.9 - lr)
    assert lr_seen(found) == [0.3, 0.3, 0.1] + [0.03] * 3
    assert found.observed["replicate"].tolist() == [1, 2, 3] * 2
    assert [c.settings.lr for c in found.conditions] == [0.3, 0.03]
    assert [c.label for c in found.conditions] == ["width=8", "width=32"]
    assert [dict(c.levels) for c in found.conditions] == [{"width": 8}, {"width": 32}]
    wins = found.tuning.set_index(["position", "tuning"])["wins"]
    assert wins.loc[0].to_dict() == {"lr=0.03": 0, "lr=0.1": 2, "lr=0.3": 2}
    assert found.tuning.set_index(["position", "tuning"])["chosen"].loc[0].to_dict() == {
        "lr=0.03": 0, "lr=0.1": 1, "lr=0.3": 2,
    }  # fmt: skip
    assert winners(found.tuning, 0) == "lr=0.3 (2 of 3) or lr=0.1 (1 of 3)"
    assert winners(found.tuning, 1) == "lr=0.03"


def test_what_is_judged_has_no_part_in_its_choice_and_later_replicates_change_none() -> None:
    rng = np.random.default_rng(0)
    scores = {(w, lr, r): float(rng.random()) for w in (8, 32) for lr in LRS for r in range(9)}
    before = chosen(tuned(replicates=9), lambda w, lr, r, f: scores[w, lr, r])
    for last in (2, 5, 8):
        fewer = chosen(tuned(replicates=last + 1), lambda w, lr, r, f: scores[w, lr, r])
        assert fewer == [row[: last + 1] for row in before]
        altered = scores | {(w, lr, r): -s for (w, lr, r), s in scores.items() if r >= last}
        now = chosen(tuned(replicates=9), lambda w, lr, r, f, altered=altered: altered[w, lr, r])
        assert [row[: last + 1] for row in now] == [row[: last + 1] for row in before]


def test_one_replicate_is_tuned_on_itself_and_says_so() -> None:
    experiment = tuned(replicates=1)
    found = gathered(experiment, lambda w, lr, r, f: lr)
    assert lr_seen(found) == [0.3, 0.3]
    (verdict,) = interim_analysis.judge(
        experiment, grid.conditions(experiment), rows_of(experiment, lambda w, lr, r, f: lr), pd.DataFrame()
    ).verdicts
    assert "Tuned on the replicate that is judged, the only one: lr." in verdict.note
    assert "There is but one replicate" in section(experiment, lambda w, lr, r, f: lr)


def test_claims_and_report_say_by_which_replicates_settings_are_tuned() -> None:
    by_others = tuned()
    on_folds = tuned(folds=2)
    said = ["Tuned in each replicate by those before it, so that the first is not judged: lr.", "on its 2 folds: lr."]
    for experiment, words in zip((by_others, on_folds), said, strict=True):
        made, rows = grid.conditions(experiment), rows_of(experiment, lambda w, lr, r, f: 0.9 - lr)
        (verdict,) = interim_analysis.judge(experiment, made, rows, pd.DataFrame()).verdicts
        assert words in verdict.note
        assert verdict.planned == experiment.replicates - experiment.set_aside
    assert "had no part in the choice" in section(by_others, lambda w, lr, r, f: 0.9 - lr)


def test_a_top_up_waits_for_all_runs_by_which_settings_are_tuned() -> None:
    """That of a level that is not chosen, too: it might have been."""
    experiment = tuned(replicates=3, until_decided={"max_replicates": 6})
    made = grid.conditions(experiment)

    def score(w: int, lr: float, r: int, f: int | None) -> float | None:
        return None if r > 2 or (w, lr, r) == (8, 0.3, 1) else 0.9 - lr

    topped = experiment.model_copy(update={"replicates": 6, "until_decided": None})
    judged = interim_analysis.judge(experiment, made, rows_of(topped, score), pd.DataFrame())
    assert [a.complete for a in judged.interim_analyses] == [False]


def test_tuned_settings_need_a_replicate_more_for_a_top_up() -> None:
    with pytest.raises(ValueError, match="needs 3 replicates or more at the first .*, of which the first only tunes"):
        tuned(replicates=2, until_decided={"max_replicates": 6})


@pytest.mark.parametrize("folds", [None, 3])
@pytest.mark.parametrize(
    "reorder", [lambda lrs: lrs[::-1], lambda lrs: [lrs[1], lrs[2], lrs[0]]], ids=["turned", "moved"]
)
def test_the_order_of_levels_in_the_file_chooses_nothing(reorder: Any, folds: int | None) -> None:
    """Counts of right predictions are compared whole: 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit."""
    rng = np.random.default_rng(0)
    scores = {
        (w, lr, r, f): float(rng.choice([0.1, 0.2, 0.3]))
        for w in (8, 32)
        for lr in LRS
        for r in range(12)
        for f in range(3)
    }

    def score(w: int, lr: float, r: int, f: int | None) -> float:
        return scores[w, lr, r, f or 0]

    def rates(levels: list[float]) -> list[list[float]]:
        found = chosen(tuned(folds=folds, replicates=12, nuisance={"lr": levels}), score)
        return [[levels[t] for t in row] for row in found]

    assert rates(reorder(LRS)) == rates(LRS)


def test_of_levels_with_equally_many_right_the_lower_loss_wins() -> None:
    experiment = tuned()
    rows = rows_of(experiment, lambda w, lr, r, f: 0.5)
    lr_of = {run.run_id: run.settings.lr for run in grid.runs(experiment)}
    rows = rows.assign(val_loss=[1.0 - lr_of[i] for i in rows["run_id"]])
    assert choose(experiment, grid.conditions(experiment), rows, [3, 3]).chosen.tolist() == [[2] * 3] * 2


@pytest.mark.parametrize("folds", [None, 2])
def test_levels_that_tie_in_loss_too_are_named_whichever_comes_first_in_the_file(folds: int | None) -> None:
    """On folds levels 0.1 and 0.3 of width 8 tie in the last three replicates; over those before they never do, nor do lost ones."""
    first = {(0.1, 0): 0.75, (0.1, 1): 0.6}

    def score(w: int, lr: float, r: int, f: int | None) -> float:
        return 0.9 - lr if w == 32 else 0.5 if lr == 0.03 else first.get((lr, r), 0.7)

    def lost(w: int, lr: float, r: int, f: int | None) -> float | str:
        return "diverged" if w == 8 else 0.9 - lr

    estimates, notes = set(), set()
    for levels in (LRS, LRS[::-1]):
        experiment = tuned(folds=folds, replicates=5, nuisance={"lr": levels})
        verdict, of_none = (
            interim_analysis.judge(
                experiment, grid.conditions(experiment), rows_of(experiment, s), pd.DataFrame()
            ).verdicts[0]
            for s in (score, lost)
        )
        estimates.add(verdict.estimate)
        notes.add(verdict.note)
        assert "tie" not in of_none.note
    assert len(estimates) == len(notes) == 1
    said = "In 3 of 5 replicates several tuned levels tie in width=8, in right predictions and in loss"
    assert (said in notes.pop()) == bool(folds)


def test_levels_that_are_the_same_over_all_replicates_before_are_named() -> None:
    experiment = tuned(replicates=4)
    rows = rows_of(experiment, lambda w, lr, r, f: 0.5 if w == 8 else 0.9 - lr)
    (verdict,) = interim_analysis.judge(experiment, grid.conditions(experiment), rows, pd.DataFrame()).verdicts
    assert "In 3 of 3 replicates several tuned levels tie in width=8" in verdict.note
    assert "tie in width=32" not in verdict.note


def test_numbers_are_tuned_by_their_loss() -> None:
    from mlpbench.data.table.table_options import TableFacts

    facts = TableFacts(fingerprint="0" * 64, n_train=500, n_test=50, n_features=3)
    data = {"file": "/gone/made.csv", "target": "y", "facts": facts.model_dump()}
    experiment = tuned(claims=[]).model_copy(update={"claims": ()})
    tree = {"name": "n", "question": "?", "dataset": data, "validation": 0.1, "replicates": 3}
    from mlpbench.experiment.spec import build

    experiment = build(tree | {"factors": {"width": [8, 32]}, "nuisance": {"lr": LRS}})
    made = grid.conditions(experiment)
    # Accuracies point the other way: were they looked at, the last level would win.
    rows = rows_of(experiment, lambda w, lr, r, f: 0.9 - lr).assign(val_accuracy=lambda t: t["val_loss"])
    assert choose(experiment, made, rows, [3, 3]).chosen.tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("ended", ["diverged", "failed"])
def test_a_level_with_a_run_that_did_not_end_well_wins_only_where_all_have_one(ended: str) -> None:
    def score(w: int, lr: float, r: int, f: int | None) -> float | str:
        if w == 8:
            return ended if lr == 0.3 and r == 0 else lr  # 0.3 would be best in the other replicates
        return ended if r < {0.03: 2, 0.1: 1, 0.3: 3}[lr] else 0.5

    # All levels of width 32 lost the first run, which is all that the second replicate knows; the first one has its own.
    assert chosen(tuned(), score) == [[1] * 3, [0, 0, 1]]


def test_folds_are_averaged_and_each_replicate_chooses_for_itself() -> None:
    """In replicate r level r wins on the mean of folds, though another is better on two of the three."""

    def score(w: int, lr: float, r: int, f: int | None) -> float:
        if lr == LRS[r]:
            return [0.5, 0.5, 0.9][f or 0]
        return [0.55, 0.55, 0.6][f or 0]

    experiment = tuned(folds=3)
    found = gathered(experiment, score)
    assert chosen(experiment, score) == [[0, 1, 2]] * 2
    assert lr_seen(found) == LRS * 2
    assert found.observed["val_accuracy"].to_numpy() == pytest.approx(np.full(6, 1.9 / 3))
    assert found.tuning["chosen"].tolist() == found.tuning["wins"].tolist() == [1] * 6
    assert winners(found.tuning, 0) == "lr=0.03 (1 of 3) or lr=0.1 (1 of 3) or lr=0.3 (1 of 3)"


def test_a_replicate_whose_folds_are_not_all_there_has_no_choice_and_no_row_yet() -> None:
    experiment = tuned(folds=3)

    def score(w: int, lr: float, r: int, f: int | None) -> float | None:
        return None if (w, lr, r, f) == (8, 0.03, 1, 2) else lr

    found = gathered(experiment, score)
    assert chosen(experiment, score) == [[2, NONE, 2], [2] * 3]
    assert found.observed["status"].tolist() == ["ok", "missing", "ok", "ok", "ok", "ok"]
    assert found.observed["run_id"].is_unique


def test_a_replicate_of_which_every_run_failed_has_no_choice() -> None:
    assert chosen(tuned(folds=2, replicates=2), lambda w, lr, r, f: "failed" if r == 0 else lr) == [[NONE, 2]] * 2


@pytest.mark.parametrize("refit", ["chosen", "all"])
def test_a_replicate_whose_folds_all_failed_is_left_out_as_a_failed_run_and_no_verdict_waits_for_it(refit: str) -> None:
    """Nothing will come of it: the others are judged, and it is said to have failed, as of a run without folds."""
    experiment = tuned(replicates=4).model_copy(update={"validation": None, "folds": 2, "refit": refit})

    def score(w: int, lr: float, r: int, f: int | None) -> float | str:
        return "failed" if (w, r) == (8, 1) and f is not None else 0.9 - lr

    made, rows = grid.conditions(experiment), rows_of(experiment, score)
    unchosen = [run.run_id for run in grid.runs(experiment) if run.fold is None and run.settings.lr != 0.03]
    unchosen += [r.run_id for r in grid.runs(experiment) if (r.fold, r.settings.width, r.replicate) == (None, 8, 1)]
    rows = rows if refit == "all" else rows[~rows["run_id"].isin(unchosen)]  # what `run` trains
    judged = interim_analysis.judge(experiment, made, rows, pd.DataFrame())
    assert judged.grid.observed["status"].tolist() == ["ok", "failed", "ok", "ok"] + ["ok"] * 4
    (verdict,) = judged.verdicts
    assert (verdict.decision, verdict.n, verdict.planned) == ("supported", 3, 4)
    assert "1 of 4 replicates failed in width=8." in verdict.note
    assert judged.grid.run_ids.is_unique
    text = report_of(Tables(experiment, made, rows, frame("curves", []))).markdown
    assert "7 of 8 runs finished; 1 failed." in text
    one_fold_missing = rows[rows["run_id"] != rows.loc[rows["status"] == "failed", "run_id"].iloc[0]]
    (waiting,) = interim_analysis.judge(experiment, made, one_fold_missing, pd.DataFrame()).verdicts
    assert waiting.decision == "undecided"
    assert "No verdict before all runs are there" in waiting.note


def test_a_fold_that_diverged_leaves_its_replicate_without_a_validation_metric() -> None:
    experiment = spec(validation={"folds": 2}, replicates=2, factors={"width": [8, 32]})
    found = gathered(experiment, lambda w, lr, r, f: "diverged" if (w, r, f) == (8, 0, 1) else 0.5)
    assert found.observed["val_accuracy"].isna().tolist() == [True, False, False, False]
    assert found.observed["test_accuracy"].notna().all()


def test_without_nuisance_and_folds_what_is_observed_is_the_grid() -> None:
    experiment = spec(factors={"width": [8, 32]}, replicates=2, validation=0.1)
    made, rows = grid.conditions(experiment), rows_of(experiment, lambda w, lr, r, f: 0.5)
    found = tuned_grid(experiment, made, rows)
    assert found.conditions is made
    pd.testing.assert_frame_equal(found.observed, observe(experiment, made, rows))


def test_the_order_of_stored_rows_does_not_matter() -> None:
    experiment = tuned(folds=2)
    rng = np.random.default_rng(0)
    scores = {(r.settings.width, r.settings.lr, r.replicate, r.fold): rng.random() for r in grid.runs(experiment)}
    rows = rows_of(experiment, lambda *key: scores[key])
    made = grid.conditions(experiment)
    one, other = (tuned_grid(experiment, made, t) for t in (rows, rows.sample(frac=1, random_state=1)))
    pd.testing.assert_frame_equal(one.observed, other.observed)
    pd.testing.assert_frame_equal(one.tuning, other.tuning)


def test_comparisons_rest_on_the_winners_and_name_them_and_what_was_held_fixed() -> None:
    experiment = tuned()
    made = grid.conditions(experiment)
    rows = rows_of(experiment, lambda w, lr, r, f: 0.9 - abs(lr - (0.1 if w == 8 else 0.3)))
    (verdict,) = interim_analysis.judge(experiment, made, rows, pd.DataFrame()).verdicts
    assert verdict.estimate == pytest.approx(0.24 + 0.0002, abs=1e-12)
    assert verdict.tuned == "width=8: lr=0.1; width=32: lr=0.3"
    assert "lr" not in verdict.held_fixed
    assert "batch_size=256" in verdict.held_fixed
    curves = frame("curves", [])
    text = report_of(Tables(experiment, made, rows, curves)).markdown
    assert "Tuned for each condition on validation: lr. Held fixed: `" in text
    assert "Tuned: width=8: lr=0.1; width=32: lr=0.3." in text
    assert "not tuned" not in text
    assert "| width=8 | lr=0.1 | 0.9 | **yes** | 3 of 3 replicates | 0 of 3 |" in text


def test_what_was_tuned_is_not_held_fixed_even_where_all_conditions_choose_the_same() -> None:
    experiment = tuned()
    rows = rows_of(experiment, lambda w, lr, r, f: 0.9 - abs(lr - 0.1))
    (verdict,) = interim_analysis.judge(experiment, grid.conditions(experiment), rows, pd.DataFrame()).verdicts
    assert verdict.tuned == "lr=0.1"
    assert "lr=" not in verdict.held_fixed


def in_context(experiment: Experiment, score: Any) -> Context:
    """Return what a report on these validation scores rests on."""
    return context_of(Tables(experiment, grid.conditions(experiment), rows_of(experiment, score), frame("curves", [])))


def section(experiment: Experiment, score: Any) -> str:
    """Return the section of a report on the tuning of these validation scores."""
    found = conditions.tuning(in_context(experiment, score))
    assert found is not None
    return found.markdown


def test_a_winner_at_the_edge_and_a_level_that_often_diverged_are_warned_of() -> None:
    experiment = tuned(replicates=4, nuisance={"lr": LRS, "activation": ["relu", "tanh"]}, claims=[])

    def score(w: int, lr: float, r: int, f: int | None) -> float | str:
        if w == 8:
            return lr  # the largest wins: an edge
        return "diverged" if lr == 0.3 and r < 2 else "diverged" if lr == 0.03 and r < 1 else -abs(lr - 0.1)

    text = section(experiment, score)
    warned = [line for line in text.splitlines() if line.startswith("- ")]
    assert warned == [
        "- width=8: the chosen lr=0.3, activation=relu is at the edge of the tuned range of lr: a better level may lie beyond it.",
        "- width=32: 50% of the runs with lr=0.3, activation=relu diverged (listed where more than 25% did).",
        "- width=32: 50% of the runs with lr=0.3, activation=tanh diverged (listed where more than 25% did).",
    ]


def test_a_choice_that_rests_on_a_part_of_the_runs_is_said_to() -> None:
    experiment = tuned()
    whole = section(experiment, lambda w, lr, r, f: lr)
    part = section(experiment, lambda w, lr, r, f: None if (w, r) == (8, 2) else lr)
    said = [whole, part]
    assert ["the choice may change" in s for s in said] == [False, True]
    assert "3 runs are still missing" in said[1]


IN_RANGE: dict[str, Any] = {"nuisance": {"lr": {"log_uniform": [0.01, 1], "levels": 5}}}


def by_rank(width: int, lr: float, replicate: int, fold: int | None) -> float | str:
    """Return an accuracy that falls with the rate, more so for the wide; the highest rate diverges."""
    return (
        "diverged"
        if lr > 0.5
        else 0.9 - lr * (0.2 if width == 8 else 0.6) + (0.05 if width == 32 else 0) + replicate / 1e3
    )


@pytest.mark.parametrize("folds", [None, 3])
def test_the_tuning_curve_is_the_expected_best_of_each_replicate_averaged(folds: int | None) -> None:
    experiment = tuned(folds=folds, seed=1, **IN_RANGE)
    rates = experiment.nuisance["lr"]
    curve = tuning_curve(experiment, gathered(experiment, by_rank))
    assert sum(isinstance(lr, float) and lr > 0.5 for lr in rates) == 1
    for position, width in enumerate((8, 32)):
        each = []
        for replicate in range(3):
            values = [by_rank(width, float(lr), replicate, None) for lr in rates]  # type: ignore[arg-type]
            worst = min(v for v in values if isinstance(v, float))
            numbers = [v if isinstance(v, float) else worst for v in values]
            each.append([np.mean([max(c) for c in itertools.combinations(numbers, k)]) for k in range(1, 6)])
        rows = curve[curve["position"] == position].sort_values("budget")
        assert rows["budget"].tolist() == [1, 2, 3, 4, 5]
        assert rows["mean"].to_numpy() == pytest.approx(np.mean(each, axis=0))
        assert rows["sd"].to_numpy() == pytest.approx(np.std(each, axis=0, ddof=1))
        assert rows["n"].tolist() == [3] * 5


def test_the_report_has_the_tuning_curve_and_says_who_is_ahead_and_what_more_levels_gain() -> None:
    experiment = tuned(seed=1, **IN_RANGE)
    made = conditions.tuning_curve(in_context(experiment, by_rank))
    assert made is not None
    rows = tuning_curve(experiment, gathered(experiment, by_rank)).sort_values(["budget", "position"])
    curve = rows["mean"].to_numpy(dtype=float).reshape(5, 2)
    gains = 100 * (curve[4] - curve[1])
    most, least = ("width=32", "width=8") if gains[1] > gains[0] else ("width=8", "width=32")
    text = str(made.sentences)
    start = f"From 2 to 5 levels the expected best validation accuracy still gains {gains.max():.3g} pp with {most}, the most"
    assert text.startswith(start)
    assert f"{gains.min():.3g} pp with {least}, the least" in text
    behind = [k for k in range(1, 6) if curve[k - 1, 0] > curve[k - 1, 1]]
    assert behind, "the narrow one is ahead at first"
    assert f"width=32 has the best after all of them, and is ahead from {max(behind) + 1} levels on." in text
    assert conditions.tuning_curve(in_context(tuned(), lambda *_: 0.5)) is None


def test_a_replicate_with_runs_that_are_missing_is_no_part_of_the_tuning_curve() -> None:
    experiment = tuned(**IN_RANGE)
    last = experiment.nuisance["lr"][-1]

    def score(width: int, lr: float, replicate: int, fold: int | None) -> float | None:
        return None if (width, lr, replicate) == (8, last, 2) else 0.5

    curve = tuning_curve(experiment, gathered(experiment, score))
    assert set(curve.loc[curve["position"] == 0, "n"]) == {2}
    assert set(curve.loc[curve["position"] == 1, "n"]) == {3}
    nothing = tuning_curve(experiment, gathered(experiment, lambda *_: "failed"))
    assert nothing.empty
