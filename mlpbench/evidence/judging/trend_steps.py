"""The steps of a trend, from one level of a factor to a later one: what they say of a claim beside its slope.

A slope may rise while the metric falls over a part of the levels. Each step d_k, the paired difference of two levels, has
two one-sided p values by the claim's own test:

    forth_k   of d_k <= 0, which is small where the step goes as the claim expects,
    back_k    of d_k >= 0, which is small where it goes the other way.

A claim that its slope supports is withheld where Holm's method finds a step that goes back at 5%, over the steps between adjacent
levels or over the longer ones: what goes back little by little shows in those alone. A trend that goes back nowhere is withheld
in at most 5% by either. A step that does go back is found as often as its size allows: no more can be said.

`shape: monotone` claims every adjacent step. It is supported where all K go forth, each at 5%: the claim is a conjunction, and
max_k forth_k is a valid p of "some step does not go forth" without a correction (intersection-union test). It is refuted where
the slope or a step goes back: (K + 1) times the smallest one-sided p, by Bonferroni. Either is wrong in at most 5%.

Where replicates are looked at whenever one likes, forth_k and back_k are 1 over the largest value of the e-process of the step while it
went that way, so that a trend that goes back nowhere is withheld in at most 5% by either, however often one looks.

References: Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, 1982 (intersection-union); Holm, A Simple Sequentially
Rejective Multiple Test Procedure, 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlpbench.evidence.judging.caveats import Caveat
from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.judging.p_correction import process_of
from mlpbench.evidence.judging.verdict import REFUTED, SUPPORTED, UNDECIDED, Verdict
from mlpbench.evidence.ranks.signed_rank import SignedRankSample
from mlpbench.evidence.statistics import resampling, t_test
from mlpbench.evidence.statistics.sign_test import EstimateIs, censored_median, count_sides, sign_test
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.claims.hypothesis import Decision, Hypothesis, Step

EXACTLY: EstimateIs = ""


@dataclass(frozen=True, kw_only=True)
class JudgedStep:
    """A step with its estimate, mean or median, and the one-sided p that it goes as expected, and that it goes back."""

    name: str
    estimate: float
    known: EstimateIs = ""
    forth: float
    back: float
    n: int
    adjacent: bool
    diverged: bool = False


@dataclass(frozen=True, kw_only=True)
class StepGoesBack(Caveat):
    """A step that goes the other way, by Holm's method over all steps; the claim isn't supported, whatever the slope is."""

    name: str
    middle: str
    estimate: str
    p: float
    steps: str
    exact: bool

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        how = "exactly" if self.exact else f"one-sided p {self.p:.2g} by Holm's method over {self.steps}"
        return f"Not supported, whatever the slope is: {self.name} the {self.middle} difference is {self.estimate}, the other way ({how})."


@dataclass(frozen=True, kw_only=True)
class StepNotJudged(Caveat):
    """A step of which too few replicates are complete, or that has no mean as runs diverged."""

    name: str
    least: int
    n: int
    diverged: bool
    units: str = "replicates"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        why = f"a test needs {self.least} complete {self.units}, got {self.n}"
        if self.diverged:
            why = "runs diverged, and what has no value has no mean"
        return f"Not supported, whatever the slope is: {self.name} {why}."


@dataclass(frozen=True, kw_only=True)
class EveryStep(Caveat):
    """The least sure step of a claim that needs all of them."""

    template = (
        "Every step must go as expected (steps: {steps}); the least sure is {name}, {estimate} (one-sided p {p:.2g})."
    )
    steps: int
    name: str
    estimate: str
    p: float


def weigh_steps(
    verdict: Verdict, leans: Decision, of_steps: Sequence[ClaimValues], *, anytime: bool = False
) -> tuple[Verdict, Decision, Caveat | None]:
    """Return a verdict on the slope with what the steps, of which each has its values, make of it.

    Beside it, whether it leans to being supported, and why it is not supported even so. `anytime` asks for what holds whenever one looks.
    """
    hypothesis = verdict.hypothesis
    steps = [
        judge_step(step, hypothesis, values, anytime=anytime)
        for step, values in zip(hypothesis.steps, of_steps, strict=True)
    ]
    if not hypothesis.every_step:
        withheld = withheld_by(steps, hypothesis)
        if withheld is not None and verdict.decision == SUPPORTED:  # of an exact number
            verdict = replace(verdict, decision=UNDECIDED, withheld=withheld, caveats=(withheld, *verdict.caveats))
        return verdict, leans, withheld
    steps = [s for s in steps if s.adjacent]
    if verdict.p is None:
        breaks = verdict.decision == SUPPORTED and any(s.forth > 0 for s in steps)
        return replace(verdict, decision=REFUTED if breaks else verdict.decision), leans, None
    p, supports = p_of_every(steps, verdict.p, supports=leans == SUPPORTED)
    verdict = replace(verdict, p=p, caveats=(least_sure(steps, hypothesis), *verdict.caveats))
    return verdict, SUPPORTED if supports else REFUTED, None


def judge_step(step: Step, hypothesis: Hypothesis, values: ClaimValues, *, anytime: bool = False) -> JudgedStep:
    """Return a step judged by the test of its claim; p values are 1 where too few replicates are complete.

    Of an exact number they are 0 or 1.
    """
    test = hypothesis.test
    n = min(1, len(values.complete)) if values.is_one_draw else len(values.complete)
    if n < test.least or values.diverged:
        return JudgedStep(
            diverged=values.diverged,
            name=step.name,
            estimate=float("nan"),
            forth=1.0,
            back=1.0,
            n=n,
            adjacent=step.adjacent,
        )
    mean, known = float(values.complete.mean()), EXACTLY
    if test.about == "median":
        above, below = count_sides(values.lower, 0.0, values.upper)
        p, side = sign_test(values.lower, 0.0, values.upper, drop_ties=True), float(above - below)
        estimate, known = censored_median(values.lower, values.upper, 0.0)
    elif not test.is_tested:
        p, side, estimate = 0.0, mean, mean
    elif test.about == "pseudomedian":
        ranked = SignedRankSample(values=values.complete)
        p, side, estimate = ranked.p(0.0), ranked.pseudo_median, ranked.pseudo_median
    elif test.assumes_normal:
        p, side, estimate = t_test.two_sided(values.sample, 0.0), mean, mean
    else:
        p, side, estimate = resampling.sign_flip(values.complete), mean, mean
    forth = side if hypothesis.sense == "greater" else -side
    ahead, behind = (p / 2, 1 - p / 2) if forth > 0 else (1 - p / 2, p / 2) if forth < 0 else (1.0, 1.0)
    if anytime and test.is_tested:
        ahead, behind = _at_any_time(hypothesis, values)
    return JudgedStep(
        name=step.name, estimate=estimate, known=known, forth=ahead, back=behind, n=n, adjacent=step.adjacent
    )


def _at_any_time(hypothesis: Hypothesis, values: ClaimValues) -> tuple[float, float]:
    """Return 1 over the largest e of a step while it went as its claim expects, and while it went back."""
    process = process_of(replace(hypothesis, bound=0.0), values)
    forth = 1 if hypothesis.sense == "greater" else -1
    ahead, behind = (float(process.e[process.side == side].max(initial=1.0)) for side in (forth, -forth))
    return 1 / ahead, 1 / behind


def withheld_by(steps: Sequence[JudgedStep], hypothesis: Hypothesis) -> Caveat | None:
    """Return why a claim that its slope supports is withheld: a step that can't be judged, or one that goes back."""
    for step in steps:
        if step.n < hypothesis.test.least or step.diverged:
            return StepNotJudged(
                name=step.name, least=hypothesis.test.least, n=step.n, diverged=step.diverged, units=hypothesis.units
            )
    for adjacent in (True, False):
        family = [s for s in steps if s.adjacent == adjacent]
        adjusted = t_test.holm([s.back for s in family])
        p, _, i = min(zip(adjusted, [s.back for s in family], range(len(family)), strict=True), default=(1.0, 1.0, 0))
        if p <= ALPHA:
            kind = f"{'adjacent' if adjacent else 'longer'} step{'s' if len(family) > 1 else ''}"
            return StepGoesBack(
                name=family[i].name,
                middle=hypothesis.middle,
                estimate=_printed(family[i], hypothesis),
                p=p,
                steps=f"{len(family)} {kind}",
                exact=not hypothesis.test.is_tested,
            )
    return None


def p_of_every(steps: Sequence[JudgedStep], slope_p: float, *, supports: bool) -> tuple[float, bool]:
    """Return the p of the claim that every step goes as expected, and whether it leans to being supported.

    `steps` are the adjacent ones, `slope_p` is the two-sided p of the slope, and `supports` whether that lies on the side that the claim expects.
    """
    if supports and all(s.forth < s.back for s in steps):
        return max([slope_p, *(s.forth for s in steps)]), True
    back = [s.back for s in steps] + ([] if supports else [slope_p / 2])
    return min(1.0, (len(steps) + 1) * min(back)), False


def least_sure(steps: Sequence[JudgedStep], hypothesis: Hypothesis) -> EveryStep:
    """Return the caveat that names the step that a claim about every step depends on."""
    step = max(steps, key=lambda s: s.forth)
    return EveryStep(steps=len(steps), name=step.name, estimate=_printed(step, hypothesis), p=step.forth)


def _printed(step: JudgedStep, hypothesis: Hypothesis) -> str:
    quantity = hypothesis.quantity
    return f"{step.known} {quantity.factor * step.estimate:+.3g}{quantity.unit}".strip()
