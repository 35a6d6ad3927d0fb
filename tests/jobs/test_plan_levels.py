"""What a plan says of the level of claims is what the register makes of them once they are run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import mlpbench
from mlpbench.cli.main import main
from mlpbench.evidence.statistics.alpha_spending import seed_level

COMPARED = {"metric": "test_accuracy", "a": {"width": 3}, "b": {"width": 2}, "expect": "greater"}
SPEC: dict[str, Any] = {
    "name": "w", "question": "Is it better?", "dataset": "digits",
    "fixed": {"steps": 1, "train_size": 20, "batch_size": 10},
    "factors": {"width": [2, 3]}, "replicates": 6, "probes": [],
    "claims": [
        {"id": "better", "says": "It is.", "compare": COMPARED},
        {"id": "lower", "says": "It is.", "compare": COMPARED | {"metric": "test_loss", "expect": "less"}},
    ],
}  # fmt: skip


def filed(tree: dict[str, Any], folder: Path) -> Path:
    path = folder / f"{tree['name']}.yaml"
    path.write_text(json.dumps(tree))
    return path


def invoke(command: str, tree: dict[str, Any], tmp_path: Path, *options: str) -> Result:
    arguments = [command, str(filed(tree, tmp_path)), "--results", str(tmp_path / "results"), *options]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def planned(tree: dict[str, Any], tmp_path: Path, *options: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(invoke("plan", tree, tmp_path, "--json", *options).stdout)
    return dict(shown["detectable"])


def run(tree: dict[str, Any], tmp_path: Path) -> mlpbench.Outcome:
    return mlpbench.run(tree, results=tmp_path / "results", executor="inline", report=False)


def agrees(plan: dict[str, Any], tree: dict[str, Any], tmp_path: Path) -> list[int]:
    """Return the seed numbers of claims, which the plan and the run that follows must have in common."""
    claims = run(tree, tmp_path).claims
    for row in claims.to_dict("records"):
        foreseen = plan["seeds"][row["id"]]
        assert foreseen["level"] == pytest.approx(row["level"])
        assert (foreseen["seed_number"], foreseen["exploratory"]) == (row["seed_number"], row["exploratory"])
    return [int(number) for number in claims["seed_number"]]


def test_each_seed_has_the_level_in_the_plan_that_it_has_when_it_is_run(tmp_path: Path) -> None:
    for number, seed in enumerate((0, 7, 3), start=1):
        tree = SPEC | {"seed": seed}
        before = planned(tree, tmp_path)
        assert before["levels"]["better"] == pytest.approx(seed_level(number) / 2)
        assert agrees(before, tree, tmp_path) == [number] * 2
        assert planned(tree, tmp_path) == before, "planned again, after the look"
    assert planned(SPEC, tmp_path)["seeds"]["better"]["seed_number"] == 1, "the first seed stays the first"


def test_a_copy_under_another_name_is_a_further_seed_in_the_plan_too(tmp_path: Path) -> None:
    run(SPEC, tmp_path)
    copied = SPEC | {"name": "again", "seed": 5}
    assert agrees(planned(copied, tmp_path), copied, tmp_path) == [2, 2]


def test_a_new_comparison_beside_a_known_one_has_the_level_of_a_first_seed(tmp_path: Path) -> None:
    run(SPEC, tmp_path)
    tree = copy.deepcopy(SPEC) | {"factors": {"width": [2, 3, 4]}, "seed": 1}
    tree["claims"][1]["compare"] |= {"a": {"width": 4}}
    before = planned(tree, tmp_path)
    text = invoke("plan", tree, tmp_path).stdout
    assert "at its level / 2, in sd over replicates" in text
    assert "at level 0.0076 (seed 2)" in text
    assert "at level 0.0304 (seed 1)" in text
    assert agrees(before, tree, tmp_path) == [2, 1]


def test_dropped_claims_stay_in_the_family_and_late_ones_are_exploratory(tmp_path: Path) -> None:
    run(SPEC, tmp_path)
    fewer = SPEC | {"claims": SPEC["claims"][:1]}
    before = planned(fewer, tmp_path)
    assert before["family"] == 2
    assert before["levels"]["better"] == pytest.approx(seed_level(1) / 2)
    altered = copy.deepcopy(SPEC)
    altered["claims"][0]["compare"]["margin"] = 0.1
    assert "exploratory: its runs have been looked at" in invoke("plan", altered, tmp_path).stdout
    late = planned(altered, tmp_path)
    assert [late["seeds"][name]["exploratory"] for name in ("better", "lower")] == [True, False]
    assert late["family"] == 3


def test_a_pilot_shows_assurance_at_the_level_of_the_seed(tmp_path: Path) -> None:
    """The same pilot, for a first seed and for a second: less, and more replicates are suggested."""
    run(SPEC, tmp_path)
    pilot = tmp_path / "results" / "w"
    elsewhere = tmp_path / "elsewhere"
    shown = []
    for results in (elsewhere, tmp_path / "results"):
        tree = SPEC | {"seed": 2}
        arguments = ["plan", str(filed(tree, tmp_path)), "--pilot", str(pilot), "--results", str(results), "--json"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        shown.append(json.loads(result.stdout)["pilot"])
    for name in ("better", "lower"):
        first, second = (s["claims"][name]["assurance"] for s in shown)
        assert all(a >= b for a, b in zip(first, second, strict=True))
        assert first != second


def test_a_folder_of_a_pilot_can_be_planned_at_its_seed(tmp_path: Path) -> None:
    """Its claims are for another seed, at which they are then run."""
    mlpbench.run(SPEC, results=tmp_path / "results", executor="inline", report=False, pilot=True)
    assert planned(SPEC, tmp_path)["seeds"]["better"]["seed_number"] == 1


SIGNS = SPEC | {"claims": [SPEC["claims"][0] | {"test": "sign"}, SPEC["claims"][1]]}


def test_six_signs_are_said_to_be_too_few_before_they_are_trained_and_after(tmp_path: Path) -> None:
    said = "6 replicates can't decide it at level 0.03, whatever they show: 7 can."
    assert (
        "claim better: test_accuracy: width=3 minus width=2, greater by 0.002 in the median; 6 replicates can't decide it (7 can)"
        in invoke("plan", SIGNS, tmp_path).stdout
    )
    assert planned(SIGNS, tmp_path)["too_few"] == {"better": 7}
    first, again = (invoke("run", SIGNS, tmp_path, "--executor", "inline", "--no-report").stdout for _ in range(2))
    assert first.index(f"claim better: {said}") < first.index("trained now")
    assert f"claim better: {said}" not in again, "nothing is trained"
    shown = " ".join(CliRunner().invoke(main, ["claims", str(tmp_path / "results" / "w")]).stdout.split())
    assert "undecided" in shown
    assert said in shown


def test_seven_signs_and_a_top_up_are_no_matter(tmp_path: Path) -> None:
    for enough in ({"replicates": 7}, {"until_decided": {"max_replicates": 12}}):
        assert planned(SIGNS | enough, tmp_path)["too_few"] == {}
        assert "can't decide" not in invoke("plan", SIGNS | enough, tmp_path).stdout


SHARED = SPEC | {"vary": ["dropout"]}


def test_replicates_that_are_one_draw_are_said_to_be_no_test_before_they_are_trained(tmp_path: Path) -> None:
    said = (
        "he 6 replicates are one draw, which is no test: they differ only in dropout, which these runs do not draw from"
    )
    shown = " ".join(invoke("plan", SHARED, tmp_path).stdout.split())
    assert shown.count(f"; t{said}. Vary init, order or split") == 2
    assert "detects" not in shown
    plan = planned(SHARED, tmp_path)
    one = {"varied": ["dropout"], "drawn": ["init", "order", "split"]}
    assert (plan["one_draw"], plan["sd"]) == ({"better": one, "lower": one}, {"better": None, "lower": None})
    first = invoke("run", SHARED, tmp_path, "--executor", "inline", "--no-report").stdout
    assert first.index(f"claim better: T{said}. Vary init, order or split.") < first.index("trained now")


def test_a_claim_of_which_one_side_draws_is_no_single_draw_nor_is_an_exact_number(tmp_path: Path) -> None:
    sides = COMPARED | {"a": {"dropout": 0.5}, "b": {"dropout": 0}}
    exact = {"metric": "flops", "where": {"dropout": 0}, "above": 1}
    alone = {"metric": "test_accuracy", "where": {"dropout": 0}, "above": 0.5}
    forms: dict[str, dict[str, Any]] = {
        "sides": {"compare": sides},
        "exact": {"bound": exact},
        "alone": {"bound": alone},
    }
    claims = [{"id": name, "says": "It is.", **form} for name, form in forms.items()]
    plan = planned(SHARED | {"factors": {"dropout": [0, 0.5]}, "claims": claims}, tmp_path)
    assert list(plan["one_draw"]) == ["alone"]
    assert plan["sd"]["sides"] is not None


def test_fewer_replicates_than_decide_are_no_matter_where_they_are_one_draw(tmp_path: Path) -> None:
    plan = planned(SIGNS | {"vary": ["dropout"]}, tmp_path)
    assert (plan["too_few"], list(plan["one_draw"])) == ({}, ["better", "lower"])
