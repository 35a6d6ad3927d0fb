"""Training in rounds, with real workers: folds before refits, further replicates for undecided claims, and their record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from single_runs import make_run
from table_equality import MAY_DIFFER, same_tables

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.metrics.metric import metric
from mlpbench.jobs import run as runner
from mlpbench.jobs.inventory import Inventory, RunState, take_inventory
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.merge import merge
from mlpbench.jobs.options import Options
from mlpbench.jobs.verify import verify
from mlpbench.results import folders, seal
from mlpbench.results.schemas import KEYS
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

FIXED = {"train_size": 300, "epochs": 1, "batch_size": 32}
WIDER = {
    "id": "wider",
    "says": "Wider is better.",
    "compare": {"metric": "test_accuracy", "a": {"width": 9}, "b": {"width": 3}, "expect": "greater"},
}
FOLDED: dict[str, Any] = {
    "name": "folded",
    "question": "Which learning rate do folds choose?",
    "dataset": "fashion_mnist",
    "validation": {"folds": 3},
    "fixed": FIXED,
    "factors": {"width": [3, 9]},
    "nuisance": {"lr": [1e-6, 0.5]},
    "replicates": 2,
    "claims": [WIDER],
}
# A claim that is decided at once, about width 3 alone, and one that never is: two widths that learn nothing alike.
TOPPED: dict[str, Any] = {
    "name": "topped",
    "question": "Which claims need more replicates?",
    "dataset": "fashion_mnist",
    "fixed": FIXED,
    "factors": {"width": [3, 8, 9]},
    "replicates": 3,
    "claims": [
        {
            "id": "clear",
            "says": "There is a loss.",
            "bound": {"metric": "test_loss", "where": {"width": 3}, "above": 0},
        },
        {
            "id": "close",
            "says": "8 and 9 differ.",
            "compare": {"metric": "test_loss", "a": {"width": 9}, "b": {"width": 8}, "expect": "less"},
        },
    ],
}
DECLARED = TOPPED | {"until_decided": {"max_replicates": 8}}


def run(tree: dict[str, Any], results: Path, **options: Any) -> Outcome:
    usual: dict[str, Any] = {"results": results, "device": "cpu", "workers": 1, "report": False}
    return mlpbench.run(tree, **(usual | options))


def inventory(tree: dict[str, Any], results: Path) -> Inventory:
    experiment = yaml_reader.from_mapping(tree)
    options = Options(results=results, device="cpu", workers=1)
    return take_inventory(experiment, Store(results / experiment.name), options)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the experiment with folds, made in one go."""
    results = tmp_path_factory.mktemp("folded")
    outcome = run(FOLDED, results)
    assert outcome.trained == 2 * 2 * 2 * 3 + 2 * 2
    return results


@pytest.fixture(scope="module")
def topped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the experiment with a top-up, made in one go."""
    results = tmp_path_factory.mktemp("topped")
    run(DECLARED, results, report=True)
    return results


@pytest.mark.slow
def test_folds_are_validated_and_refits_tested(folded: Path) -> None:
    rows = pd.read_parquet(folded / "folded" / "runs")
    on_fold = rows[rows["fold"].notna()]
    assert sorted(on_fold["fold"].unique()) == [0, 1, 2]
    tested = [c for c in rows.columns.astype(str) if c.startswith(("test_", "gap_"))]
    assert on_fold[tested].isna().all(axis=None)
    assert on_fold[["val_loss", "val_accuracy", "train_loss", "weights_sha256"]].notna().all(axis=None)
    assert on_fold["validation"].unique().tolist() == [1 / 3]
    refits = rows[rows["fold"].isna()]
    of_classes = [c for c in tested if "classes" in metric(c).targets]
    assert refits[of_classes].notna().all(axis=None)
    assert refits[["val_loss", "val_accuracy"]].isna().all(axis=None)
    assert (refits["validation"] == 0).all()
    assert set(pd.read_parquet(folded / "folded" / "predictions")["run_id"]) == set(refits["run_id"])
    curves = pd.read_parquet(folded / "folded" / "curves").merge(rows[["run_id", "fold"]], on="run_id")
    splits = {k: set(g["split"]) for k, g in curves.groupby(curves["fold"].notna())}
    assert splits == {True: {"train", "validation"}, False: {"train", "test"}}


def test_each_replicate_refits_the_level_its_folds_choose_and_no_other(folded: Path) -> None:
    rows = pd.read_parquet(folded / "folded" / "runs")
    scores = rows[rows["fold"].notna()].groupby(["width", "replicate", "lr"])["val_accuracy"].mean()
    best = scores.groupby(["width", "replicate"]).idxmax()
    refits = rows[rows["fold"].isna()]
    assert sorted(zip(refits["width"], refits["replicate"], refits["lr"], strict=True)) == sorted(best)
    assert refits["lr"].nunique() == 2  # replicates differ in what they choose: nothing here is learnt in a few steps


@pytest.mark.slow
def test_a_refit_has_the_bits_of_the_plain_run_of_those_settings(folded: Path, tmp_path: Path) -> None:
    """All tables are compared: the plain experiment has the levels as those of a factor, and more of them than were chosen."""
    plain = {k: v for k, v in FOLDED.items() if k not in ("validation", "nuisance", "claims")}
    run(plain | {"factors": FOLDED["factors"] | FOLDED["nuisance"]}, tmp_path)
    rows = pd.read_parquet(folded / "folded" / "runs")
    refits = rows.loc[rows["fold"].isna(), "run_id"]
    for table, keys in KEYS.items():
        found = [pd.read_parquet(f / "folded" / table).sort_values(list(keys)) for f in (folded, tmp_path)]
        one, other = (f[f["run_id"].isin(refits)].drop(columns=list(MAY_DIFFER), errors="ignore") for f in found)
        assert one["run_id"].nunique() == len(refits) == 4
        pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), check_exact=True)


def test_a_fold_has_the_metrics_of_a_network_trained_on_the_others(folded: Path) -> None:
    """Validation accuracy of a fold is a number of its 100 examples; its train loss is not that of the refit."""
    rows = pd.read_parquet(folded / "folded" / "runs")
    on_fold = rows[rows["fold"].notna()]
    hits = on_fold["val_accuracy"] * 100
    assert ((hits - hits.round()).abs() < 1e-9).all()
    assert on_fold.groupby(["width", "replicate", "lr"])["weights_sha256"].nunique().eq(3).all()


@pytest.mark.slow
def test_interrupted_between_rounds_and_resumed_gives_the_same_tables(
    folded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_train_in_rounds", stop)
        with pytest.raises(KeyboardInterrupt):
            run(FOLDED, tmp_path)
    rows = pd.read_parquet(tmp_path / "folded" / "runs")
    assert rows["fold"].notna().all()
    assert inventory(FOLDED, tmp_path).n_todo(None) == 4
    assert run(FOLDED, tmp_path).trained == 4
    same_tables(folded / "folded", tmp_path / "folded")
    assert (folded / "folded" / "looks.json").read_bytes() == (tmp_path / "folded" / "looks.json").read_bytes()


def test_a_plan_tells_folds_and_the_refits_to_come(folded: Path, tmp_path: Path) -> None:
    options = Options(results=tmp_path, device="cpu", workers=1)
    before = inventory(FOLDED, tmp_path).summary(options).to_json()
    assert {k: before[k] for k in ("runs", "on_folds", "refits", "done", "missing")} == {
        "runs": 28, "on_folds": 24, "refits": 4, "done": 0, "missing": 28,
    }  # fmt: skip
    after = inventory(FOLDED, folded).summary(options).to_json()
    assert {k: after[k] for k in ("runs", "on_folds", "refits", "done", "missing")} == {
        "runs": 28, "on_folds": 24, "refits": 4, "done": 28, "missing": 0,
    }  # fmt: skip
    assert before["flops"] > after["flops"] == 0


def test_a_lost_fold_is_missing_and_its_refit_waits_for_it(folded: Path) -> None:
    experiment = yaml_reader.from_mapping(FOLDED)
    made = grid.conditions(experiment)
    lost = make_run(experiment, made[1], 1, fold=2)

    class Lacking(Store):
        def read(self, table: str, *args: Any, **kwargs: Any) -> pd.DataFrame:
            rows = super().read(table, *args, **kwargs)
            return rows[rows["run_id"] != lost.run_id]

    found = take_inventory(experiment, Lacking(folded / "folded"), Options(results=folded, device="cpu"))
    assert [r.run_id for r in found.of(RunState.MISSING)] == [lost.run_id]
    assert found.refits_to_come.tolist() == [1, 0]
    # The refit that is there is no part of what is asked for until its choice is made again.
    assert (found.count(RunState.DONE), found.other_runs) == (26, 1)


@pytest.mark.slow
def test_all_runs_are_made_again_by_verify_and_joined_by_merge(folded: Path, tmp_path: Path) -> None:
    experiment = yaml_reader.from_mapping(FOLDED)
    found = verify(experiment, Store(folded / "folded"), Options(results=folded, device="cpu", workers=1), None)
    assert (found.stored, found.passed) == (28, True)
    assert sum("fold" in label for label in found.checked["label"]) == 24
    run(FOLDED | {"factors": {"width": [3]}, "claims": []}, tmp_path / "a")
    run(FOLDED, tmp_path / "b", workers=2)
    joined = merge([tmp_path / "a" / "folded", tmp_path / "b" / "folded"], tmp_path / "c" / "folded")
    assert (joined.shared, joined.others) == (14, 0)
    same_tables(folded / "folded", tmp_path / "c" / "folded")
    assert folders.read_interim_analyses(tmp_path / "c" / "folded") == folders.read_interim_analyses(folded / "folded")


@pytest.mark.slow
def test_rerun_makes_folds_and_refits_again_once(folded: Path) -> None:
    before = pd.read_parquet(folded / "folded" / "runs")
    assert run(FOLDED, folded, rerun="all").trained == len(before) == 28
    assert run(FOLDED, folded).trained == 0


@pytest.mark.slow
def test_folds_without_tuning_refit_every_condition_at_once(tmp_path: Path) -> None:
    tree = {k: v for k, v in FOLDED.items() if k != "nuisance"}
    compared = WIDER | {"id": "validated", "compare": WIDER["compare"] | {"metric": "val_loss"}}  # type: ignore[operator]
    outcome = run(tree | {"claims": [WIDER, compared]}, tmp_path)
    assert outcome.trained == 2 * 2 * 4
    rows = outcome.runs
    means = rows[rows["fold"].notna()].groupby(["width", "replicate"])["val_loss"].mean()
    expected = (means[9] - means[3]).mean()
    assert outcome.claims.set_index("id").loc["validated", "estimate"] == pytest.approx(expected, rel=1e-12)
    assert outcome.claims["n"].tolist() == [2, 2]


@pytest.mark.slow
def test_undecided_claims_alone_get_further_replicates(topped: Path) -> None:
    rows = pd.read_parquet(topped / "topped" / "runs")
    counts = rows.groupby("width")["replicate"].nunique().to_dict()
    found = mlpbench.load(topped / "topped").claims.set_index("id")
    assert counts == {3: 3, 8: 8, 9: 8}
    assert found["n"].to_dict() == {"clear": 3, "close": 8}
    assert found["verdict"].to_dict() == {"clear": "supported", "close": "undecided"}
    assert found["look"].to_dict() == {"clear": 1, "close": 3}
    assert not found["exploratory"].any()
    looks = folders.read_interim_analyses(topped / "topped")
    assert [e.replicates for e in looks] == [3, 5, 8]
    assert [set(e.claims) for e in looks] == [{"clear", "close"}, {"close"}, {"close"}]
    text = (topped / "topped" / "report.md").read_text()
    # The level of the first seed, 0.05 x 6 / pi^2, times (3 / 8)^3, and so on.
    assert (
        "There were 3 interim analyses, at 3, 5, 8 replicates, which spent 0.0016, 0.00582, 0.023 of the level of 0.0304"
        in text
    )
    assert inventory(DECLARED, topped).n_todo(None) == 0


def test_a_command_ends_at_its_budget_and_the_next_goes_on_where_looks_hold_at_any_time(tmp_path: Path) -> None:
    """With no number declared: twice the replicates there are, or a budget; the folder's reports are about as many."""
    tree = TOPPED | {"until_decided": {"anytime": True}}
    first = run(tree, tmp_path)
    found = first.claims.set_index("id")
    assert found["n"].to_dict() == {"clear": 6, "close": 6}  # 3, 5, then 6: twice the 3 that it starts with
    assert found["verdict"].to_dict() == {"clear": "undecided", "close": "undecided"}
    again = run(tree, tmp_path, budget=8)
    found = again.claims.set_index("id")
    assert found["n"].to_dict() == {"clear": 8, "close": 8}
    assert found["verdict"].to_dict() == {"clear": "supported", "close": "undecided"}
    assert again.trained == 2 * 3
    last = run(tree, tmp_path, budget=9).claims.set_index("id")
    assert last["n"].to_dict() == {"clear": 8, "close": 9}
    assert not last["exploratory"].any()
    assert run(tree, tmp_path, budget=5).trained == 0
    shown = mlpbench.load(tmp_path / "topped").claims.set_index("id")
    pd.testing.assert_frame_equal(shown, last)
    counts = pd.read_parquet(tmp_path / "topped" / "runs").groupby("width")["replicate"].nunique().to_dict()
    assert counts == {3: 8, 8: 9, 9: 9}


def test_a_budget_is_for_experiments_that_may_be_looked_at_any_time(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--budget is for experiments that declare until_decided"):
        run(DECLARED, tmp_path, budget=9)
    with pytest.raises(InputError, match="--budget N ends this command at N replicates"):
        run(TOPPED | {"until_decided": {"anytime": True}}, tmp_path, until_decided=True, max_replicates=9)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_top_up_interrupted_at_any_round_and_resumed_gives_the_same(
    topped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def limited(*args: Any, real: Any = runner._train_and_store) -> int:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return int(real(*args))

    monkeypatch.setattr(runner, "_train_and_store", limited)
    with pytest.raises(KeyboardInterrupt):
        run(DECLARED, tmp_path)
    assert [e.replicates for e in folders.read_interim_analyses(tmp_path / "topped")] == [3]
    run(DECLARED, tmp_path, report=True)
    same_tables(topped / "topped", tmp_path / "topped")
    for name in ("looks.json", "report.md"):
        texts = [(f / "topped" / name).read_text() for f in (topped, tmp_path)]
        assert texts[0].partition("## Cost")[0] == texts[1].partition("## Cost")[0]


@pytest.mark.slow
def test_replicates_added_after_a_look_make_verdicts_exploratory(tmp_path: Path) -> None:
    assert not run(TOPPED, tmp_path).claims["exploratory"].any()
    more = run(TOPPED | {"replicates": 4}, tmp_path, report=True)
    assert more.claims["exploratory"].all()
    assert more.claims["note"].str.contains("the first analysis was with 3 replicates and no top-up declared").all()
    assert "**supported, exploratory**" in (tmp_path / "topped" / "report.md").read_text()
    assert mlpbench.load(tmp_path / "topped").claims["exploratory"].all()
    # What was declared first stands as it was.
    assert not run(TOPPED, tmp_path).claims["exploratory"].any()
    # Other draws, or other conditions, were never looked at.
    assert not run(TOPPED | {"replicates": 4, "seed": 1}, tmp_path).claims["exploratory"].any()
    assert not run(TOPPED | {"replicates": 2, "fixed": FIXED | {"lr": 0.2}}, tmp_path).claims["exploratory"].any()


@pytest.mark.slow
def test_a_declaration_after_the_first_look_is_none(tmp_path: Path) -> None:
    run(TOPPED, tmp_path)
    assert run(DECLARED, tmp_path).claims["exploratory"].all()


@pytest.mark.slow
def test_a_top_up_asked_for_by_options_is_exploratory_from_the_first_run_on(topped: Path, tmp_path: Path) -> None:
    asked = run(TOPPED, tmp_path, until_decided=True, max_replicates=8)
    assert asked.claims["exploratory"].all()
    same_tables(topped / "topped", tmp_path / "topped")
    assert [e.declared.max_replicates for e in folders.read_interim_analyses(tmp_path / "topped")] == [None, 8, 8]
    assert mlpbench.load(tmp_path / "topped").claims["exploratory"].all()
    assert not run(TOPPED, tmp_path).claims["exploratory"].any()


def test_options_of_a_top_up_say_what_they_lack(tmp_path: Path) -> None:
    for options, said in (
        ({"until_decided": True}, "--until-decided needs --max-replicates N where the experiment declares no"),
        ({"max_replicates": 9}, "--max-replicates needs --until-decided where the experiment declares no"),
        (
            {"until_decided": True, "max_replicates": 3},
            "--max-replicates must be above the 3 replicates of topped, got 3",
        ),
        ({"until_decided": True, "max_replicates": 0}, "--max-replicates must be a whole number of at least 1, got 0"),
        (
            {"until_decided": True, "max_replicates": 9, "claims": []},
            "--until-decided needs claims to decide, got none",
        ),
    ):
        with pytest.raises(InputError) as raised:
            run(TOPPED, tmp_path, **options)
        assert said in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_record_that_can_not_be_read_is_an_error_and_is_kept(topped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "topped"
    shutil.copytree(topped / "topped", folder)
    path = folder / seal.INTERIM_ANALYSES
    written = path.read_text()
    first = json.loads(written)[0]
    for text in (
        "",
        written[:-2],
        written[:100],
        "{}",
        "[1, {}]",
        json.dumps([{"replicates": 1}]),
        json.dumps([first | {"conditions": 3}]),
        json.dumps([first | {"declared": None}]),
        json.dumps([first | {"claims": {"a": 1}}]),
    ):
        path.write_text(text)
        for command in (["claims", folder], ["report", folder], ["report", folder, "--check"]):
            result = CliRunner().invoke(main, list(map(str, command)))
            assert result.exit_code == 2, result.output
            assert result.stderr.startswith(f"mlpbench: {path} is damaged (")
            assert "): restore it from a copy" in result.stderr
        with pytest.raises(InputError, match="is damaged"):
            run(DECLARED, tmp_path)
        assert path.read_text() == text
