"""What a plan says of claims beforehand: what its replicates detect, and how many a pilot asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from repository import ROOT
from scipy import stats

from mlpbench.cli.main import main
from mlpbench.evidence.claim_tests import FIRST_SEED, ClaimTest, claim_tests
from mlpbench.evidence.statistics.assurance import sign_assurance
from mlpbench.evidence.statistics.sign_test import detectable_share
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs.judge import load
from mlpbench.report.figures import theme

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans look into the folder `results`: that of whoever runs the tests is none of theirs."""
    monkeypatch.chdir(tmp_path)


def plan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, arguments)], catch_exceptions=False)


def facts(*arguments: str | Path) -> dict[str, Any]:
    result = plan(*arguments, "--json", "--workers", "2")
    assert result.exit_code == 0, result.stderr
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


def test_of(claim: str, **of_claim: object) -> ClaimTest:
    """Return how a claim of two widths is judged."""
    tree = {
        "name": "x", "question": "?", "dataset": "digits", "factors": {"width": [4, 8]}, "replicates": 12,
        "claims": [{"id": "c", "says": "s", "compare": {"metric": "test_loss", "a": {"width": 8}, "b": {"width": 4},
                    "expect": claim} | ({"margin": 0.1} if claim == "equivalent" else {}), **of_claim}],
    }  # fmt: skip
    experiment = yaml_reader.from_mapping(tree)
    return claim_tests(experiment, grid.conditions(experiment))["c"]


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["dropout", "depth_tuned", "signal_propagation", "learning_rate"])
def test_a_folder_as_its_own_pilot_shows_the_estimates_of_its_verdicts(name: str) -> None:
    """Untuned and tuned conditions, metrics of runs, curves and layers; settings of a replicate's own are no part of a plan's."""
    done = load(REFERENCE / name)
    shown = facts(ROOT / "experiments" / f"{name}.yaml", "--pilot", REFERENCE / name)["pilot"]["claims"]
    assert shown.keys() == {v.claim.id for v in done.context.verdicts}
    compared = 0
    for verdict in done.context.verdicts:
        mean = shown[verdict.claim.id].get("mean")
        if mean is not None and shown[verdict.claim.id]["n"] == verdict.n:
            assert mean == pytest.approx(verdict.estimate, abs=1e-12)
            assert shown[verdict.claim.id]["sd"] == pytest.approx(verdict.sizes.sd, abs=0.001)
            compared += 1
    assert compared


def test_a_smaller_pilot_is_found_by_content_and_claims_it_lacks_are_named(tmp_path: Path) -> None:
    """The pilot has its factor's levels in another order, and one of them less."""
    spec = (ROOT / "experiments" / "width.yaml").read_text().replace("name: width", "name: other")
    assert "factors: {width: [8, 16, 32, 64, 128, 256, 512, 1024]}" in spec
    planned = tmp_path / "other.yaml"
    planned.write_text(
        spec.replace("512, 1024]", "512, 1024, 2048]").replace(
            "a: {width: 1024}, b: {width: 256}", "a: {width: 2048}, b: {width: 256}", 1
        )
    )
    result = plan(planned, "--set", "seed=99", "--pilot", REFERENCE / "width", "--results", tmp_path)
    assert result.exit_code == 0, result.output
    assert "claim wider-is-better: no assurance, the pilot has no condition width=2048" in result.stdout
    shown = facts(planned, "--set", "seed=99", "--pilot", REFERENCE / "width", "--results", tmp_path)["pilot"]
    whole = facts(ROOT / "experiments" / "width.yaml", "--set", "seed=99", "--pilot", REFERENCE / "width")["pilot"]
    assert set(shown["claims"]["wider-is-better"]) == {"missing"}
    assert shown["claims"]["gain-levels-off"] == whole["claims"]["gain-levels-off"]
    times = [at["seconds"] for at in shown["at"]]
    assert times == sorted(times)


def test_a_pilot_whose_replicates_differ_in_less_is_named() -> None:
    result = plan(
        ROOT / "experiments" / "width.yaml", "--set", "seed=99", "--set", "vary=[init]", "--pilot", REFERENCE / "width"
    )
    assert result.exit_code == 2
    assert "the replicates of the pilot differ by init, order, those that are planned by init" in result.stderr


def test_assurance_grows_and_the_numbers_follow_from_it() -> None:
    shown = facts(ROOT / "experiments" / "dropout.yaml", "--pilot", REFERENCE / "dropout", "--set", "seed=9")["pilot"]
    for claim in shown["claims"].values():
        assert claim["assurance"] == sorted(claim["assurance"])
        for n, chance in zip((at["replicates"] for at in shown["at"]), claim["assurance"], strict=True):
            for wanted, needed in claim["replicates_for"].items():
                assert (n >= needed) == (chance >= float(wanted))
    most = {w: max(c["replicates_for"][w] for c in shown["claims"].values()) for w in ("0.5", "0.8", "0.9")}
    suggested = shown["suggested"]
    assert (suggested["from"], suggested["replicates"], suggested["to"]) == tuple(most.values())


def test_the_figure_is_drawn_where_it_is_asked_for_and_said(tmp_path: Path) -> None:
    arguments = (ROOT / "experiments" / "width.yaml", "--pilot", REFERENCE / "width", "--set", "seed=9")
    files = [tmp_path / name for name in ("a.png", "b.png")]
    for file in files:
        assert f"figure: {file}" in plan(*arguments, "--figure", file).stdout
    with Image.open(files[0]) as image:
        assert image.size == (theme.WIDTH * theme.DPI, int(3.4 * theme.DPI))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pilot", "nowhere"], "nowhere is not a results folder (no spec.yaml)"),
        (["--pilot", REFERENCE / "dropout"], "--pilot must be a results folder with conditions and metrics of claims of width, got"),
        (["--figure", "a.png"], "it needs --pilot DIR, got a.png alone"),
        (["--pilot", REFERENCE / "width", "--figure", "a.pdf"], "--figure must be a file whose name ends in .png, got a.pdf"),
    ],
)  # fmt: skip
def test_a_pilot_that_is_none_is_refused(arguments: list[str | Path], message: str, tmp_path: Path) -> None:
    result = plan(ROOT / "experiments" / "width.yaml", "--results", tmp_path, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_where_no_claim_has_an_assurance_the_plan_says_what_decides_each(tmp_path: Path) -> None:
    """Claims on every replicate have no power that a pilot could tell: it is no fault of the pilot."""
    asked = (ROOT / "experiments" / "baseline.yaml", "--pilot", REFERENCE / "baseline", "--set", "seed=9")
    result = plan(*asked)
    assert result.exit_code == 0, result.stderr
    why = "no assurance, 29 replicates that all keep its bound show it, and one that doesn't refutes it"
    assert [line for line in result.stdout.splitlines() if line.endswith(why)] == [
        f"claim {name}: {why}" for name in ("train-loss", "train-accuracy", "test-accuracy")
    ]
    assert "suggested" not in result.stdout
    told = facts(*asked)["pilot"]
    assert (told["replicates"], told["suggested"]) == (None, None)
    drawn = plan(*asked, "--figure", tmp_path / "a.png")
    assert (drawn.exit_code, drawn.stdout) == (2, "")
    assert "no claim has one, leave it out" in drawn.stderr
    assert not any(tmp_path.iterdir())


def test_the_seed_of_the_pilot_is_no_seed_for_its_claims() -> None:
    spec, pilot = ROOT / "experiments" / "width.yaml", REFERENCE / "width"
    assert "the pilot has the seed of the plan" in plan(spec, "--pilot", pilot).stderr
    assert plan(spec, "--pilot", pilot, "--set", "seed=99").stderr == ""


@pytest.mark.parametrize("expect", ["greater", "equivalent"])
def test_what_is_detectable_is_found_in_80_percent(expect: str) -> None:
    """12 normal replicates so far from the bound, or on it in the middle of so wide a margin: t tests by hand."""
    test = test_of(expect)
    sds = test.detectable(12)
    assert sds is not None
    rng = np.random.default_rng(3)
    values = rng.normal(0.0 if expect == "equivalent" else sds, 1.0, (20_000, 12))
    t_low, t_high = ((values.mean(axis=1) - at) / values.std(axis=1, ddof=1) * np.sqrt(12) for at in (-sds, sds))
    if expect == "equivalent":
        p = np.maximum(stats.t.sf(t_low, 11), stats.t.cdf(t_high, 11))
    else:
        p = 2 * stats.t.sf((t_low + t_high) / 2, 11)
    assert (p <= FIRST_SEED).mean() == pytest.approx(0.8, abs=0.01)


def test_of_a_median_it_is_the_share_that_the_binomial_test_finds() -> None:
    share = detectable_share(20, FIRST_SEED, 0.8)
    found = [k for k in range(21) if stats.binomtest(k, 20).pvalue <= FIRST_SEED and k > 10]
    assert stats.binom.sf(found[0] - 1, 20, share) == pytest.approx(0.8)
    assert test_of("greater", test="sign").detectable(20) == pytest.approx(stats.norm.ppf(share))
    assert test_of("greater", test="sign").detectable(5) is None


@pytest.mark.parametrize("more", [5, 8, 30])
def test_assurance_of_a_sign_test_is_that_of_the_beta_binomial(more: int) -> None:
    oracle = stats.betabinom(more, 7.5, 3.5)
    decided = [k for k in range(more + 1) if stats.binomtest(k, more).pvalue <= 0.05]
    assert sign_assurance(7, 10, more, 0.05) == pytest.approx(sum(oracle.pmf(k) for k in decided), abs=0.005)


def test_an_experiment_looked_at_at_any_time_detects_less_and_nothing_by_few() -> None:
    fixed = test_of("greater")
    anytime = ClaimTest(hypothesis=fixed.hypothesis, family=1, is_anytime=True)
    assert anytime.detectable(5) is None
    later, sooner = anytime.detectable(30), fixed.detectable(30)
    assert later is not None
    assert sooner is not None
    assert later > sooner


def test_a_replicate_that_only_tunes_detects_nothing() -> None:
    """Ten replicates of settings tuned by those before are nine."""
    experiment = yaml_reader.read(ROOT / "experiments" / "width_tuned.yaml")
    for tuned in claim_tests(experiment, grid.conditions(experiment)).values():
        plain = ClaimTest(hypothesis=tuned.hypothesis, family=tuned.family)
        assert tuned.set_aside == 1
        assert tuned.detectable(10) == plain.detectable(9)
        assert tuned.level(2) == plain.level(1) == 0
