"""What an experiment may ask for where each replicate draws its own test rows of one table (`resplit: true`).

Such replicates are not independent, and the t test alone has a form that knows it (`evidence/estimates/overlap.py`). What takes
replicates for independent is refused, each with a way forward.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlpbench.base.models import Path, SpecProblem, shown
from mlpbench.data.dataset import KEY
from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.claims.hypothesis import ExactNumber, Hypothesis, TTest
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition

RULE = "where each replicate draws its own test rows (resplit)"
# What a claim may be judged by in place of a form that has a test of its own.
INSTEAD = "`compare`, `contrast`, `trend`, `bound` or `matches` of a mean"

_KEYS = f"{KEY}: {{resplit: true}}"
# Tests by what they are about, in words.
NAMES = {
    "mean": "bets",
    "median": "signs",
    "typical": "sign flips of typical replicates",
    "pseudomedian": "signed ranks",
    "every": "every replicate",
    "variances": "variances",
    "wins": "the share of replicates that are won",
    "failures": "how often runs fail",
}


def check_resplit(design: Design, claims: Sequence[Claim], conditions: Sequence[Condition]) -> None:
    """Raise SpecProblem for what has no meaning, or no test, where each replicate draws its own test rows."""
    if not any(data.is_resplit for data in design.facts):
        return
    if other := next((data.name for data in design.facts if not data.is_resplit), None):
        rule = "resplit must be said of all data sets of an experiment or of none, as verdicts speak of tables, or of test sets"
        raise SpecProblem((KEY,), f"{rule}, got {other} without it", key=True)
    _check_design(design)
    for i, claim in enumerate(claims):
        _check_claim(claim, claim.hypothesis(design, conditions), ("claims", i))


def _check_design(design: Design) -> None:
    if design.one_at_a_time:
        rule = f"vary: {{each: ...}} must be left out {RULE}: what a stream does alone is seen on one split"
        raise SpecProblem(
            ("vary",), f"{rule}, got {shown(list(design.vary))}; leave out `each`, or `resplit`", key=True
        )
    if "split" not in design.vary:
        rule = f"vary must name split {RULE}: without it all of them have one split"
        raise SpecProblem(("vary",), f"{rule}, got {shown(list(design.vary))}; leave out `vary`, or `resplit`")
    if design.nuisance and design.folds is None:
        rule = f"settings must be tuned on folds of each replicate's own training rows {RULE}"
        why = "replicates before it have seen its test rows"
        way = "say `validation: {folds: 5}`"
        raise SpecProblem(("validation",), f"{rule}: {why}, got {shown(design.validation_written)}; {way}")
    if design.is_anytime:
        rule = f"until_decided must be without anytime {RULE}: e-processes take replicates for independent"
        raise SpecProblem(("until_decided",), f"{rule}, got anytime; say `max_replicates` alone", key=True)


def _check_claim(claim: Claim, hypothesis: Hypothesis, path: Path) -> None:
    """Refuse a claim that is not judged by t, and an interval that resamples replicates; data sets are independent."""
    if hypothesis.datasets:
        return
    test, form = hypothesis.test, claim.form.name
    rule = f"a claim must be judged by t {RULE}, as other tests take replicates for independent"
    if claim.test != "t":
        raise SpecProblem((*path, "test"), f"{rule}, got {shown(claim.test)}; leave it out, or leave out `{_KEYS}`")
    if isinstance(test, ExactNumber):
        return
    if test.interval != "t":
        intervals = f"an interval must be by t {RULE}, as a bootstrap takes replicates for independent"
        raise SpecProblem(
            (*path, "interval"), f"{intervals}, got {shown(test.interval)}; leave it out, or leave out `{_KEYS}`"
        )
    if not isinstance(test, TTest):
        raise SpecProblem(
            (*path, form), f"{rule}, got {NAMES[test.about]}; say {INSTEAD}, or leave out `{_KEYS}`", key=True
        )
