"""What lies at the margin: two one-sided tests around it, what they are corrected for, and how often they are wrong.

Rates are counted over simulated experiments, through the tables; `make prove` counts more of them, and prints them all.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec, verdict_with
from error_rates import at_most, say
from scipy import stats

from mlpbench.evidence.judging import at_the_margin, interim_analysis
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.p_correction import AtAnyTime, AtInterimAnalysis, Correction, by_holm
from mlpbench.evidence.judging.verdict import AT_THE_MARGIN, Verdict, claims_table
from mlpbench.evidence.statistics import t_test
from mlpbench.evidence.statistics.alpha_spending import schedule, spent
from mlpbench.evidence.statistics.assurance import assurance, more_for
from mlpbench.evidence.statistics.e_process import of_mean
from mlpbench.evidence.statistics.sign_test import one_sided
from mlpbench.evidence.statistics.t_test import ALPHA, Sample, holm
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.many_claims import JudgedClaim, false_discoveries
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.report.words import verdict_sentence

MARGIN = 0.02
# Numbers whose mean is 0 and whose standard deviation is 1.
EVEN = stats.zscore(np.arange(12) ** 1.3, ddof=1)
SAMPLES = pytest.mark.parametrize("repeats", [200, pytest.param(4_000, marks=pytest.mark.prove)])


def claim(i: int = 0, expect: str = "greater", test: str = "t", margin: float = MARGIN) -> dict[str, Any]:
    form = {"metric": "test_loss", "a": {"width": 16 + i}, "b": {"width": 8}, "expect": expect, "margin": margin}
    return {"id": f"c{i}", "says": f"c{i}", "compare": form, "test": test}


@functools.cache
def blank(
    claims: int, n: int, expect: str = "greater", test: str = "t", margin: float = MARGIN, most: int = 0
) -> Tables:
    until = {"until_decided": {"max_replicates": most}} if most else {}
    stated = [claim(i, expect, test, margin) for i in range(claims)]
    levels = [8, *(16 + i for i in range(claims))]
    experiment = spec(factors={"width": levels}, claims=stated, replicates=n, **until)
    whole = make(experiment.model_copy(update={"replicates": max(n, most), "until_decided": None}))
    return Tables(experiment, whole.conditions, whole.runs, whole.curves)


def tables(made: Tables, differences_CN: Any) -> Tables:
    rows = enumerate([np.zeros(np.shape(differences_CN)[1]), *differences_CN])
    return replace_metric(made, "test_loss", {(i, r): 2.0 + float(v) for i, row in rows for r, v in enumerate(row)})


def judged(made: Tables, differences_CN: Any) -> tuple[Verdict, ...]:
    return judge_claims(*tables(made, differences_CN).parts)


def one(differences: Any, **how: Any) -> Verdict:
    (verdict,) = judged(blank(1, len(differences), **how), [differences])
    return verdict


@pytest.mark.parametrize("test", ["t", "sign_flip", "sign"])
@pytest.mark.parametrize(("expect", "sign"), [("greater", 1), ("less", -1), ("equivalent", 1), ("equivalent", -1)])
def test_a_difference_on_its_margin_is_at_it_by_every_test(expect: str, sign: int, test: str) -> None:
    if (expect, test) == ("equivalent", "sign"):
        return  # refused: the sign test asks for a side
    verdict = one(sign * (MARGIN + 0.0005 + 0.002 * EVEN), expect=expect, test=test)
    assert verdict.decision == AT_THE_MARGIN
    assert verdict.p_corrected is not None
    assert verdict.p_corrected > 0.05
    assert verdict.p_at_margin is not None
    assert verdict.p_at_margin <= 0.05
    assert verdict.outlook.detectable is None
    ends = (1, 3) if sign > 0 else (-3, -1)
    assert f"at the margin, between {ends[0] / 100:g} and {ends[1] / 100:g} (p" in verdict_sentence(verdict)
    assert "at the margin" in terminal_table([verdict])
    assert claims_table([verdict])["p_at_margin"].item() == verdict.p_at_margin


def test_it_says_how_many_replicates_would_tell_the_side_and_an_undecided_claim_when_it_would_be_there() -> None:
    near = one(MARGIN + 0.0008 + 0.002 * EVEN)
    assert near.decision == AT_THE_MARGIN
    x = Sample(n=12, mean=0.0008, sd=0.002)
    more = near.outlook.more_for_even
    assert more is not None
    assert assurance(x, more, (0.0,), 0.05) >= 0.5 > assurance(x, more - 1, (0.0,), 0.05)
    assert f"About {more} more replicates would tell on which side of it with a chance of 50%" in verdict_sentence(near)
    wide = one(MARGIN + 0.0005 + 0.05 * EVEN)
    assert wide.decision == "undecided"
    counted = Sample(n=12, mean=0.0005, sd=0.05)
    likely = wide.outlook.more_replicates
    assert likely is not None
    by_side = more_for(counted, 0.8, (0.0,), 0.05)
    assert by_side is not None
    assert likely < by_side / 4, "so near to the margin it would be at it long before its side is known"


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0, 1.2, 1.4, 1.5])
@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_it_is_where_the_90_percent_interval_straddles_the_margin_and_lies_within_half_of_it(
    shift: float, spread: float
) -> None:
    """Of one claim, by scipy's t tests; a claim that is decided stays so."""
    x = MARGIN * (shift + spread * EVEN)
    verdict = one(x)
    low, high = stats.t.interval(0.9, len(x) - 1, x.mean(), stats.sem(x))
    p = max(
        stats.ttest_1samp(x, MARGIN / 2, alternative="greater").pvalue,
        stats.ttest_1samp(x, 1.5 * MARGIN, alternative="less").pvalue,
    )
    assert verdict.p_at_margin == pytest.approx(p, rel=1e-6, abs=1e-12)
    decided = stats.ttest_1samp(x, MARGIN).pvalue <= 0.05
    near = low >= MARGIN / 2 and high <= 1.5 * MARGIN
    assert (verdict.decision == AT_THE_MARGIN) == (near and not decided)
    assert (verdict.decision == "undecided") == (not near and not decided)


def test_of_a_median_it_is_two_sign_tests() -> None:
    rng = np.random.default_rng(3)
    for n in (6, 9, 15):
        x = rng.normal(1, 1, n)
        p = max(
            stats.binomtest(int((x > 0.2).sum()), n, alternative="greater").pvalue,
            stats.binomtest(int((x < 1.7).sum()), n, alternative="greater").pvalue,
        )
        assert one_sided(x, x, (0.2, 1.7)) == pytest.approx(p)
        assert one_sided(x, np.full(n, np.inf), (0.2, 1.7)) == 1.0  # none is known to lie below


def test_without_a_margin_there_is_none_to_lie_at() -> None:
    verdict = one(0.0001 * EVEN, margin=0.0)
    assert (verdict.decision, verdict.p_at_margin, verdict.hypothesis.margin) == ("undecided", None, None)
    made = spec(
        factors={"width": [8, 16]},
        replicates=6,
        claims=[
            {"id": "b", "says": "b", "bound": {"metric": "test_loss", "where": {"width": 8}, "above": 1.0}},
            {"id": "m", "says": "m", "trend": {"metric": "test_loss", "factor": "width", "expect": "falls",
                                               "margin": 0.1, "shape": "monotone"}},
        ],
    )  # fmt: skip
    assert [c.hypothesis(made, make(made).conditions).margin for c in made.claims] == [None, None]


def test_claims_with_a_margin_are_corrected_for_each_other_decided_ones_too() -> None:
    """Three of four are decided: Holm's method of the main tests would judge the last one at 5%."""
    means, spread = [3.0, 3.1, -2.0, 1.0], [0.05, 0.05, 0.05, 0.85]
    verdicts = judged(blank(4, 12), [MARGIN * (m + s * EVEN) for m, s in zip(means, spread, strict=True)])
    alone = one(MARGIN * (1.0 + 0.85 * EVEN))
    assert [v.decision for v in verdicts[:3]] == ["supported", "supported", "refuted"]
    assert alone.p_at_margin is not None
    assert 0.0125 < alone.p_at_margin <= 0.05
    assert alone.decision == AT_THE_MARGIN
    assert verdicts[3].p_at_margin == pytest.approx(4 * alone.p_at_margin)
    assert verdicts[3].decision == "undecided"


def test_corrections_are_those_of_the_main_tests() -> None:
    p = [0.001, math.nan, 0.02]
    levels = [ALPHA] * 3
    assert at_the_margin.corrected(p, levels, by_holm) == pytest.approx(holm(p), nan_ok=True)
    assert at_the_margin.corrected(p, levels, by_holm, dropped=2)[0] == pytest.approx(0.005)
    assert at_the_margin.corrected(p, levels, AtAnyTime(claims=5)) == pytest.approx([0.005, math.nan, 0.1], nan_ok=True)
    at = [5, 8, 12]
    for level in (ALPHA, 0.03):
        correct = AtInterimAnalysis(at=at, number=1, undecided=9, with_margin=4)
        first = at_the_margin.corrected([0.0001, *p[1:]], [level] * 3, correct)
        assert first[0] == pytest.approx(level * 0.0001 / (spent(at, level)[0] / 4))


def test_top_up_ends_for_what_lies_at_its_margin() -> None:
    made = blank(1, 5, most=30)
    rng = np.random.default_rng(1)
    found = interim_analysis.judge(*tables(made, [MARGIN * rng.normal(1, 0.05, 30)]).parts)
    (verdict,) = found.verdicts
    assert (verdict.decision, verdict.n) == (AT_THE_MARGIN, 5)
    assert len(found.interim_analyses) == 1
    assert found.replicates == [5, 5]


def test_who_looks_whenever_they_like_has_an_e_process_against_either_end() -> None:
    claims, n = [claim()], 12
    experiment = spec(
        factors={"width": [8, 16]}, replicates=5, claims=claims, until_decided={"anytime": True, "max_replicates": 24}
    )
    whole = make(experiment.model_copy(update={"replicates": n, "until_decided": None}))
    x = MARGIN * np.random.default_rng(2).normal(1, 0.15, n)
    made = tables(Tables(experiment, whole.conditions, whole.runs, whole.curves), [x])
    found = interim_analysis.judge(*made.parts)
    assert found.verdicts[0].decision == AT_THE_MARGIN
    assert max(found.replicates) == n, "what is answered asks for no more"


def test_many_claims_leave_out_what_is_at_the_margin() -> None:
    """Its p, of the main test, is not what its verdict rests on."""
    made = [
        JudgedClaim(experiment="a", id="c", verdict="supported", p=0.001),
        JudgedClaim(experiment="b", id="c", verdict=AT_THE_MARGIN, p=0.6),
    ]
    assert "1 of 1 decided verdicts stand." in false_discoveries(made)
    assert AT_THE_MARGIN in get_args(Decision)


Array = np.ndarray[Any, Any]


@functools.cache
def unjudged(expect: str = "greater") -> Verdict:
    made = verdict_with("compare", {"a": {"width": 16}, "b": {"width": 8}, "expect": expect, "margin": 1.0})
    return replace(made, decision="undecided", p=None, p_corrected=None)


def decided(values_KN: Array, correct: Correction = by_holm) -> list[str]:
    """Return the decisions on claims with a margin of 1, by the rules that judge: of differences above it, by t."""
    p, p_near, above = [], [], []
    for values in values_KN:
        n, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1))
        p.append(t_test.two_sided(Sample(n=n, mean=mean, sd=sd), 1.0))
        p_near.append(t_test.equivalence(Sample(n=n, mean=mean - 1.0, sd=sd), 0.5))
        above.append(mean > 1)
    main = correct([replace(unjudged(), n=values_KN.shape[1], planned=values_KN.shape[1], p=v) for v in p]).p
    near = at_the_margin.corrected(p_near, [ALPHA] * len(p_near), correct)
    return [
        ("supported" if up else "refuted") if v <= ALPHA else AT_THE_MARGIN if w <= ALPHA else "undecided"
        for v, w, up in zip(main, near, above, strict=True)
    ]


def simulated(shifts: Sequence[float], repeats: int, seed: int, n: int = 10, spread: float = 0.6) -> list[list[str]]:
    """Return the decisions of experiments whose claims' differences are so many margins, independent of each other."""
    rng = np.random.default_rng(seed)
    return [decided(rng.normal(np.array(shifts)[:, None], spread, (len(shifts), n))) for _ in range(repeats)]


def found_near(found: Sequence[Sequence[str]]) -> int:
    return sum(AT_THE_MARGIN in decisions for decisions in found)


@pytest.mark.parametrize("repeats", [3, pytest.param(300, marks=pytest.mark.prove)])
@pytest.mark.usefixtures("no_outlook")
def test_through_the_tables(repeats: int) -> None:
    """From rows of runs to verdicts: those that following the rules gives."""
    rng, counts = np.random.default_rng(9), Counter[str]()
    for _ in range(repeats):
        x = rng.normal(np.array([0.5, 1.0, 1.0, 1.5])[:, None], 0.4, (4, 12))
        decisions = [v.decision for v in judged(blank(4, 12), MARGIN * x)]
        assert decisions == decided(x)
        counts.update(decisions)
    print(counts)


@SAMPLES
@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_what_lies_half_a_margin_off_is_found_at_it_in_at_most_five_percent(shift: float, repeats: int) -> None:
    found = simulated([shift], repeats, seed=1, spread=0.4)
    at_most(f"at {shift:g} margins: at the margin", found_near(found), repeats)


@SAMPLES
def test_of_an_equivalence_too(repeats: int) -> None:
    """The edge is the one on the side of the estimate: either would be wrong."""
    rng = np.random.default_rng(7)
    for shift, spread in ((0.0, 0.9), (0.5, 0.4), (0.5, 1.0), (-1.5, 0.4)):
        wrong = 0
        for _ in range(repeats):
            x = rng.normal(shift, spread, 10)
            sample = Sample(n=10, mean=float(x.mean()), sd=float(x.std(ddof=1)))
            edge = at_the_margin.edge_of(unjudged("equivalent").hypothesis, sample.mean)
            wrong += bool(t_test.equivalence(replace(sample, mean=sample.mean - edge), 0.5) <= ALPHA)
        at_most(f"equivalent within 1, at {shift:g} with sd {spread:g}: at the margin", wrong, repeats)


@SAMPLES
def test_what_lies_on_it_is_found_there(repeats: int) -> None:
    """Where half of the margin is four standard errors, all but 5% were undecided before."""
    counts = Counter(d for decisions in simulated([1.0], repeats, seed=2, spread=0.4) for d in decisions)
    say("at 1 margin: at the margin", counts[AT_THE_MARGIN], repeats)
    at_most("at 1 margin: supported or refuted", counts["supported"] + counts["refuted"], repeats)
    assert counts[AT_THE_MARGIN] > 0.8 * repeats


@SAMPLES
def test_of_one_claim_all_verdicts_together_are_wrong_in_at_most_five_percent(repeats: int) -> None:
    """Whether half of the margin is too little or enough to be seen."""
    for n in (3, 5, 10, 20, 40):
        found = simulated([0.5], repeats, seed=n, n=n)
        wrong = sum(d in (AT_THE_MARGIN, "supported") for decisions in found for d in decisions)
        at_most(f"at 0.5 margins, n {n}: wrong", wrong, repeats)


@SAMPLES
def test_of_many_claims_any_is_found_at_it_wrongly_in_at_most_five_percent(repeats: int) -> None:
    """Ten claims half a margin off, most of which are refuted: their level may not go to those that are not."""
    rng, now, at_left = np.random.default_rng(4), 0, 0
    for _ in range(repeats):
        x = rng.normal(0.5, 0.5, (10, 15))
        decisions = decided(x)
        now += AT_THE_MARGIN in decisions
        left = [i for i, d in enumerate(decisions) if d not in ("supported", "refuted")]
        p = [stats.ttest_1samp(x[i], 0.5, alternative="greater").pvalue for i in left]
        at_left += bool(min(p, default=1.0) <= ALPHA / max(1, len(left)))
    at_most("ten claims at 0.5 margins: any at the margin", now, repeats)
    say("ten claims at 0.5 margins: any at the margin, by the level that the main tests leave", at_left, repeats)
    assert at_left > 0.1 * repeats


@SAMPLES
def test_beside_claims_on_their_margin_each_kind_of_verdict_is_wrong_in_at_most_five_percent(repeats: int) -> None:
    found = simulated([1.0] * 5 + [0.5] * 5, repeats, seed=5, n=25, spread=0.6)
    on_it = [any(d in ("supported", "refuted") for d in decisions[:5]) for decisions in found]
    off_it = [AT_THE_MARGIN in decisions[5:] for decisions in found]
    at_most("five claims on the margin: any supported or refuted", sum(on_it), repeats)
    at_most("five claims half of it off: any at the margin", sum(off_it), repeats)
    say("either of both", sum(a or b for a, b in zip(on_it, off_it, strict=True)), repeats)


@SAMPLES
def test_interim_analyses_find_it_wrongly_in_at_most_five_percent(repeats: int) -> None:
    at, rng, counts = schedule(5, 30), np.random.default_rng(6), Counter[float]()
    repeats //= 4
    for shift in (0.5, 1.0):
        for _ in range(repeats):
            x = rng.normal(shift, 0.6, (1, 30))
            for number, n in enumerate(at, start=1):
                correct = AtInterimAnalysis(at=at, number=number, undecided=1, with_margin=1)
                (decision,) = decided(x[:, :n], correct)
                if decision != "undecided":
                    counts[shift] += decision == AT_THE_MARGIN
                    break
    at_most("top-up from 5 to 30, at 0.5 margins: at the margin", counts[0.5], repeats)
    say("top-up from 5 to 30, at 1 margin: at the margin", counts[1.0], repeats)


@SAMPLES
def test_looking_after_every_replicate_finds_it_wrongly_in_at_most_five_percent(repeats: int) -> None:
    rng, counts = np.random.default_rng(8), Counter[float]()
    repeats //= 4
    for shift in (0.5, 1.0):
        for _ in range(repeats):
            x = rng.normal(shift, 0.6, 100)
            low, high = of_mean(x, 0.5), of_mean(x, 1.5)
            counts[shift] += bool((at_the_margin.e_between(low, high) >= 1 / ALPHA).any())
    at_most("looking after every replicate to 100, at 0.5 margins: at the margin", counts[0.5], repeats)
    say("looking after every replicate to 100, at 1 margin: at the margin", counts[1.0], repeats)
