"""Whoever tries seeds, margins and tests until a verdict pleases is found out by the register of claims. Runs take a moment each."""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from error_rates import at_most, say
from scipy import stats
from sealed_folders import seal_again

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.e_process import EProcess, of_mean
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.jobs import run as runner
from mlpbench.jobs.judge import Outcome
from mlpbench.jobs.merge import merge
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.results import seal
from mlpbench.results.register import read_register
from mlpbench.results.store import Store

COMPARED = {"metric": "test_accuracy", "a": {"width": 3}, "b": {"width": 2}, "expect": "greater"}
SPEC: dict[str, Any] = {
    "name": "w",
    "question": "Is it better?",
    "dataset": "digits",
    "fixed": {"steps": 1, "train_size": 20, "batch_size": 10},
    "factors": {"width": [2, 3]},
    "replicates": 6,
    "probes": [],
    "claims": [
        {"id": "better", "says": "It is.", "compare": COMPARED},
        {"id": "lower", "says": "It is.", "compare": COMPARED | {"metric": "test_loss", "expect": "less"}},
    ],
}
FIRST, LATE = (1, False), (1, True)


def run(tree: dict[str, Any], results: Path, **more: Any) -> Outcome:
    return mlpbench.run(tree, results=results, executor="inline", report=False, **more)


def standing(outcome: Outcome) -> list[tuple[int, bool]]:
    """Return for each claim the number of its seed, and whether it is exploratory."""
    rows = outcome.claims[["seed_number", "exploratory"]].itertuples(index=False)
    return [(int(number), bool(exploratory)) for number, exploratory in rows]


def with_claims(*claims: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the experiment with other claims, about comparisons."""
    named = [{"id": f"claim-{i}", "says": "So.", "compare": COMPARED | c} for i, c in enumerate(claims)]
    return copy.deepcopy(SPEC) | {"claims": named} | fields


@pytest.fixture(scope="module")
def folder_that_was_looked_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("looked-at")
    assert standing(run(SPEC, place)) == [FIRST, FIRST]
    return place / "w"


@pytest.fixture
def results(folder_that_was_looked_at: Path, tmp_path: Path) -> Path:
    """A folder of results that were looked at."""
    shutil.copytree(folder_that_was_looked_at, tmp_path / "w")
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# One look, which spends nothing.


def again(results: Path) -> Outcome:
    return run(SPEC, results)


def resumed(results: Path) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "train", _first_stack_alone(runner.train))
        with pytest.raises(KeyboardInterrupt):
            run(SPEC, results, rerun="all")
    return run(SPEC, results)


def cloned(results: Path) -> Outcome:
    shutil.copytree(results / "w", results / "clone" / "w")
    return run(SPEC, results / "clone")


def copied_beside(results: Path) -> Outcome:
    return run(SPEC | {"name": "copy"}, results)


def reported(results: Path) -> Outcome:
    done = CliRunner().invoke(main, ["report", str(results / "w")])
    assert done.exit_code == 0, done.output
    return mlpbench.load(results / "w")


def merged(results: Path) -> Outcome:
    shutil.copytree(results / "w", results / "clone" / "w")
    merge([results / "w", results / "clone" / "w"], results / "both" / "w")
    return run(SPEC, results / "both")


def respelled(results: Path) -> Outcome:
    tree = with_claims({"metric": "test_loss", "expect": "less"}, {}, question="So?")
    tree["claims"][0]["says"] = "In other words."
    return run(tree, results)


SLOW = [pytest.param(look, marks=pytest.mark.slow) for look in (reported, merged)]  # these draw a report


@pytest.mark.parametrize("look", [again, resumed, cloned, copied_beside, respelled, *SLOW])
def test_the_same_claims_at_the_same_seed_are_one_look(results: Path, look: Callable[[Path], Outcome]) -> None:
    p = sorted(mlpbench.load(results / "w").claims["p_holm"])
    register = json.loads((results / "w" / seal.REGISTER).read_bytes())
    outcome = look(results)
    assert standing(outcome) == [FIRST, FIRST]
    assert sorted(outcome.claims["p_holm"]) == p
    written = json.loads((outcome.folder / seal.REGISTER).read_bytes())
    assert [{**c, "id": ""} for c in sorted(written["claims"], key=_digest)] == [
        {**c, "id": ""} for c in sorted(register["claims"], key=_digest)
    ]
    assert standing(run(SPEC, outcome.folder.parent, seed=1)) == [(2, False), (2, False)]


def _digest(claim: dict[str, Any]) -> str:
    return str(claim["digest"])


# What is counted, or exploratory.


def test_seeds_in_a_loop_and_in_renamed_folders_are_counted(results: Path) -> None:
    assert standing(run(SPEC, results, seed=1)) == [(2, False), (2, False)]
    assert standing(run(SPEC | {"name": "other"}, results, seed=2)) == [(3, False), (3, False)]
    assert standing(run(SPEC, results)) == [FIRST, FIRST]


@pytest.mark.slow
def test_each_of_twenty_seeds_in_a_loop_is_decided_at_its_level(results: Path) -> None:
    for seed in range(1, 20):
        row = run(SPEC, results, seed=seed).claims.iloc[0]
        assert (row["seed_number"], row["seeds"], row["level"]) == (seed + 1, seed + 1, seed_level(seed + 1))
        assert (row["verdict"] != "undecided") == (row["p_holm"] <= row["level"])
        assert f"Seed {seed + 1} of {seed + 1} looked at" in row["note"]


@pytest.mark.prove
def test_the_best_of_twenty_seeds_of_real_runs_is_false_in_at_most_five_percent() -> None:
    """Networks as they are initialised classify by no more than chance, whatever their width: classes are alike to them."""
    loops, seeds, n = 24, 20, 5
    tree = copy.deepcopy(SPEC) | {"replicates": loops * seeds * n, "claims": []}
    tree["fixed"] |= {"lr": 1e-9, "activation": "tanh"}
    with tempfile.TemporaryDirectory() as results:
        runs = run(tree, Path(results)).runs
    accuracy = runs.pivot(index="replicate", columns="width", values="test_accuracy").to_numpy()
    p = np.asarray(stats.ttest_1samp(np.diff(accuracy).reshape(loops, seeds, n), 0, axis=-1).pvalue)
    by_loop = np.where(np.isnan(p), 1.0, p)
    say("one seed at 5%", int((by_loop <= ALPHA).sum()), loops * seeds)
    before = int((by_loop <= ALPHA).any(axis=1).sum())
    say("best of 20 seeds, 5% each", before, loops)
    levels = np.array([seed_level(j) for j in range(1, seeds + 1)])
    at_most("best of 20 seeds, at the level of each", int((by_loop <= levels).any(axis=1).sum()), loops)
    assert before > loops / 3


def test_what_is_restated_at_a_new_seed_is_of_the_same_comparison(results: Path) -> None:
    tree = with_claims({"metric": "train_loss", "expect": "less", "margin": 0.1}, seed=5, replicates=7)
    assert standing(run(tree, results)) == [(2, False)]


@pytest.mark.parametrize(
    "fields",
    [{"margin": 0.001}, {"metric": "train_accuracy"}, {"expect": "less"}, {"a": {"width": 2}, "b": {"width": 3}}],
)
def test_a_claim_altered_after_a_look_is_exploratory(results: Path, fields: dict[str, Any]) -> None:
    tree = copy.deepcopy(SPEC)
    tree["claims"][0]["compare"] |= fields
    assert standing(run(tree, results)) == [LATE, FIRST]


@pytest.mark.parametrize("fields", [{"test": "sign"}, {"test": "sign_flip"}])
def test_a_test_altered_after_a_look_is_exploratory(results: Path, fields: dict[str, Any]) -> None:
    tree = copy.deepcopy(SPEC)
    tree["claims"][0] |= fields
    assert standing(run(tree, results)) == [LATE, FIRST]
    (late, _) = mlpbench.load(results / "w").claims["note"]
    assert "Exploratory: stated, or altered, after runs of seed 0 had been looked at." in late


def test_a_condition_removed_after_a_look_makes_a_claim_exploratory(tmp_path: Path) -> None:
    rises = {
        "id": "rises",
        "says": "It does.",
        "trend": {"metric": "test_accuracy", "factor": "width", "expect": "rises"},
    }
    three = SPEC | {"factors": {"width": [2, 3, 4]}, "claims": [rises]}
    assert standing(run(three, tmp_path)) == [FIRST]
    assert standing(run(three | {"factors": {"width": [2, 4]}}, tmp_path)) == [LATE]
    assert standing(run(three, tmp_path)) == [FIRST]


def test_a_side_without_runs_makes_a_new_claim_no_exploratory_one(results: Path) -> None:
    fresh = {"a": {"width": 4}}
    tree = with_claims(fresh, {"metric": "train_loss"}, factors={"width": [2, 3, 4]})
    assert standing(run(tree, results)) == [FIRST, LATE]
    assert standing(run(with_claims(fresh, factors={"width": [2, 3, 4]}, seed=1), results)) == [(2, False)]


def test_a_condition_that_experiments_share_counts_for_nothing(results: Path) -> None:
    tree = with_claims({"a": {"width": 4}}, name="other", factors={"width": [2, 4]})
    assert standing(run(tree, results)) == [FIRST]


def test_more_replicates_than_were_declared_are_exploratory(results: Path) -> None:
    assert standing(run(SPEC | {"replicates": 7}, results)) == [LATE, LATE]


def test_more_replicates_in_a_renamed_folder_are_exploratory(results: Path) -> None:
    os.rename(results / "w", results / "v")
    assert standing(run(SPEC | {"replicates": 7}, results)) == [LATE, LATE]


def test_a_claim_altered_in_a_renamed_folder_is_exploratory(results: Path) -> None:
    os.rename(results / "w", results / "v")
    tree = with_claims({"margin": 0.001}, {"metric": "test_loss", "expect": "less"})
    assert standing(run(tree, results)) == [LATE, FIRST]


@pytest.mark.parametrize("renamed", [False, True])
def test_a_dropped_claim_stays_in_the_family(results: Path, renamed: bool) -> None:
    p = mlpbench.load(results / "w").claims["p"].to_list()[0]
    alone = run(SPEC | {"claims": SPEC["claims"][:1]} | ({"name": "other"} if renamed else {}), results)
    assert alone.claims["p_holm"].to_list() == [min(1.0, 2 * p)]
    assert standing(alone) == [FIRST]


def test_the_best_of_four_claims_is_corrected_for_the_other_three(tmp_path: Path) -> None:
    four = [{"metric": m, "expect": "less"} for m in ("test_loss", "train_loss", "test_accuracy", "train_accuracy")]
    p = run(with_claims(*four), tmp_path).claims["p"]
    best = int(p.argmin())
    alone = run(with_claims(four[best]), tmp_path).claims
    assert alone["p_holm"].to_list() == [min(1.0, 4 * p[best])]


# Files that are altered, or are no more.


@pytest.mark.parametrize("how", ["removed", "cut", "longer"])
def test_a_register_that_was_altered_is_named(results: Path, how: str) -> None:
    _alter(results / "w" / seal.REGISTER, how)
    with pytest.raises(InputError, match=seal.REGISTER):
        mlpbench.load(results / "w")
    with pytest.raises(InputError, match=seal.REGISTER):
        run(SPEC, results)


@pytest.mark.parametrize("how", ["removed", "cut", "longer"])
def test_a_register_beside_that_was_altered_is_named_before_anything_is_written(results: Path, how: str) -> None:
    _alter(results / "w" / seal.REGISTER, how)
    with pytest.raises(InputError, match=rf"w/{seal.REGISTER} .*it stands beside"):
        run(SPEC | {"name": "other"}, results)
    assert not (results / "other").exists()


def _alter(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if how != "removed":
        path.write_bytes(content[:-1] if how == "cut" else content + b" ")


def test_a_register_removed_with_its_seal_is_missed(results: Path) -> None:
    (results / "w" / seal.REGISTER).unlink()
    (results / "w" / seal.NAME).unlink()
    with pytest.raises(InputError, match=f"{seal.REGISTER} is missing"):
        mlpbench.load(results / "w")
    with pytest.raises(InputError, match=f"{seal.REGISTER} is missing"):
        run(SPEC, results)


def test_without_any_record_what_was_looked_at_is_exploratory(results: Path) -> None:
    for name in (seal.REGISTER, seal.NAME, seal.INTERIM_ANALYSES):
        (results / "w" / name).unlink()
    assert standing(mlpbench.load(results / "w")) == [LATE, LATE]
    assert standing(run(SPEC, results)) == [LATE, LATE]
    assert standing(run(SPEC, results, seed=1))[0][1] is False


def test_an_older_folder_was_looked_at_once(results: Path) -> None:
    _as_an_older_release_wrote_it(results / "w")
    assert standing(mlpbench.load(results / "w")) == [FIRST, FIRST]
    assert standing(run(SPEC | {"name": "other"}, results)) == [FIRST, FIRST]
    altered = with_claims({"margin": 0.01}, {"metric": "test_loss", "expect": "less"})
    assert standing(run(altered, results)) == [LATE, FIRST]
    assert standing(run(SPEC, results, seed=1)) == [(2, False), (2, False)]


def _as_an_older_release_wrote_it(folder: Path) -> None:
    (folder / seal.REGISTER).unlink()
    looks = json.loads((folder / seal.INTERIM_ANALYSES).read_bytes())
    for summary in (summary for look in looks for summary in look["claims"].values()):
        del summary["digest"]
    (folder / seal.INTERIM_ANALYSES).write_text(json.dumps(looks))
    seal_again(folder)


# Pilots, and what is not complete.


def test_a_pilot_gives_no_verdict_and_spends_nothing(tmp_path: Path) -> None:
    pilot = run(SPEC, tmp_path, pilot=True)
    assert pilot.claims["verdict"].to_list() == ["undecided"] * 2
    assert pilot.claims["exploratory"].all()
    assert mlpbench.load(tmp_path / "w").claims.equals(pilot.claims)
    before = files(tmp_path)
    with pytest.raises(InputError, match="claims need a seed that no pilot was trained at, got seed 0"):
        run(SPEC, tmp_path)
    assert files(tmp_path) == before
    assert standing(run(SPEC, tmp_path, seed=1)) == [FIRST, FIRST]
    assert standing(run(SPEC | {"name": "beside"}, tmp_path)) == [(2, True), (2, True)]


def test_a_pilot_is_refused_at_a_seed_of_claims(results: Path) -> None:
    before = files(results)
    with pytest.raises(InputError, match="--pilot needs a seed at which no claim was registered, got seed 0"):
        run(SPEC, results, pilot=True)
    with pytest.raises(InputError, match="leave --until-decided out"):
        run(SPEC, results, pilot=True, seed=1, until_decided=True, max_replicates=9)
    assert files(results) == before
    assert run(SPEC, results, pilot=True, seed=1).claims["verdict"].to_list() == ["undecided"] * 2
    assert standing(run(SPEC, results, seed=2)) == [(2, False), (2, False)]


def test_runs_of_a_pilot_are_not_merged_with_judged_ones(results: Path) -> None:
    run(SPEC, results / "pilot", pilot=True)
    with pytest.raises(InputError, match="runs of a pilot can't be merged"):
        merge([results / "w", results / "pilot" / "w"], results / "both" / "w")
    assert not (results / "both" / "w").exists()


def test_a_folder_that_is_not_complete_has_no_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runner, "train", _first_stack_alone(runner.train))
        with pytest.raises(KeyboardInterrupt):
            run(SPEC, tmp_path)
    partial = mlpbench.load(tmp_path / "w")
    assert partial.claims["verdict"].to_list() == ["undecided"] * 2
    assert "undecided (6 of 12 runs)" in terminal_table(partial.context.verdicts)
    assert "No verdict before all runs are there: 6 of 12 runs." in partial.claims["note"].to_list()[0]
    assert standing(run(SPEC, tmp_path)) == [FIRST, FIRST]


def _first_stack_alone(train: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def ends_early(*args: Any, **more: Any) -> Iterator[Any]:
        yield next(iter(train(*args, **more)))
        raise KeyboardInterrupt

    return ends_early


# Looks at any time.

ANYTIME = SPEC | {"claims": SPEC["claims"][1:], "until_decided": {"anytime": True}}


def test_a_claim_stated_late_is_judged_by_replicates_trained_since(tmp_path: Path) -> None:
    (first,) = run(ANYTIME, tmp_path, budget=6).context.verdicts
    altered = with_claims({"metric": "train_loss", "expect": "less"}, until_decided={"anytime": True})
    (late,) = run(altered, tmp_path, budget=6).context.verdicts
    assert (first.exploratory, late.exploratory, late.e_value) == (False, True, 1.0)
    (later,) = run(altered, tmp_path, budget=10).context.verdicts
    runs = mlpbench.load(tmp_path / "w").runs
    losses = runs.pivot(index="replicate", columns="width", values="train_loss")
    since = (losses[3] - losses[2]).to_numpy()[6:]
    e = of_mean(since, 0.0).largest()[0]
    assert later.e_value == pytest.approx(e, rel=1e-6)
    assert later.p_corrected == pytest.approx(min(1.0, 2 / e), rel=1e-6)  # the dropped claim counts
    assert "when 6 replicates had been looked at" in later.note


def test_what_one_folder_had_is_no_later_evidence_for_a_claim_of_another(tmp_path: Path) -> None:
    altered = with_claims({"metric": "train_loss", "expect": "less"}, until_decided={"anytime": True})
    for place, spec in (("a", ANYTIME), ("b", altered)):
        run(spec, tmp_path / place, budget=6)
    for first, second in (("a", "b"), ("b", "a")):
        both = tmp_path / f"{first}{second}" / "w"
        merge([tmp_path / first / "w", tmp_path / second / "w"], both)
        late = [claim for claim in read_register(both).claims if claim.late]
        assert [claim.before for claim in late] == [6]


def test_e_values_of_two_seeds_multiply(tmp_path: Path) -> None:
    run(ANYTIME, tmp_path, budget=6)
    (second,) = run(ANYTIME, tmp_path, seed=1, budget=7).context.verdicts
    (alone,) = run(ANYTIME | {"name": "alone"}, tmp_path / "elsewhere", seed=1, budget=7).context.verdicts
    run(ANYTIME, tmp_path, budget=12)  # what the first seed comes to later is no evidence for the second
    assert mlpbench.load(tmp_path / "w").context.verdicts[0].seed_number == 1
    (again,) = run(ANYTIME, tmp_path, seed=1, budget=7).context.verdicts
    process = {seed: _process(tmp_path / "w", seed, n) for seed, n in ((0, 6), (1, second.n))}
    assert second.e_value == again.e_value == pytest.approx(process[0].then(process[1]).largest()[0], rel=1e-6)
    assert alone.e_value == pytest.approx(process[1].largest()[0], rel=1e-6)


def _process(folder: Path, seed: int, n: int) -> EProcess:
    runs = Store(folder).read("runs")
    losses = runs[runs["seed"] == seed].pivot(index="replicate", columns="width", values="test_loss")
    return of_mean((losses[3] - losses[2]).to_numpy()[:n], 0.0)
