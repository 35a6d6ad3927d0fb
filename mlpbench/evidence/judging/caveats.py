"""What to keep in mind about a claim: what was averaged or left out, and how far its test can be trusted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from mlpbench.evidence.estimates.observe import DIVERGED, FAILED, LEVEL, MISSING
from mlpbench.evidence.judging.claim_values import Values
from mlpbench.evidence.judging.fixed_settings import shared_streams
from mlpbench.evidence.judging.reduction import Reduction
from mlpbench.evidence.statistics.effect_sizes import is_skewed, skewness
from mlpbench.evidence.statistics.resampling import DRAWN, MOST_EXACT, RESAMPLES
from mlpbench.evidence.statistics.sign_test import median_places, signs
from mlpbench.experiment.claims.checks import BCA_LEAST, SHARE_LEAST, SIGN_FLIP_LEAST
from mlpbench.experiment.claims.forms import Claim
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.plan import CURVE_POINTS
from mlpbench.experiment.spec import Experiment

# Where replicates are lacking in more conditions than this, conditions are counted, not named.
MOST_NOTED = 20


def least_replicates(claim: Claim, reduction: Reduction) -> int:
    """Return how many complete replicates the test of a claim needs."""
    if reduction.kind == "share":
        return SHARE_LEAST
    return SIGN_FLIP_LEAST if claim.test == "sign_flip" or reduction.kind == "place" or reduction.median else 2


def notes(
    claim: Claim, reduction: Reduction, values: Values, experiment: Experiment, conditions: Sequence[Condition]
) -> list[str]:
    """Return the sentences about a claim, in order."""
    found = _notes(claim, reduction, values, experiment, conditions)
    of_sum = reduction.kind in ("difference", "slope", "level") and reduction.sense != "equivalent"
    if values.censored and of_sum and not reduction.median and not reduction.every:
        found.append(
            f"`test: sign` ({SIGN_FLIP_LEAST} replicates or more, and more beside other claims) would judge the median with them."
        )
    return found


def _notes(
    claim: Claim, reduction: Reduction, values: Values, experiment: Experiment, conditions: Sequence[Condition]
) -> list[str]:
    found = []
    reaches = metric_names.reaches(metric_names.plain(reduction.metric))
    if reduction.averaged:
        found.append(f"Averaged over {', '.join(reduction.averaged)} with equal weights.")
    found += _left_out(reduction, values, conditions)
    if values.censored and not reduction.median:
        unit = reaches.unit if reaches else "steps"
        found.append(f"How many {unit} those need is not known, so the claim can't be judged on the others alone.")
    if reaches is not None:
        found.append(
            f"{reaches.unit.capitalize()} are counted up to the first point of the curve that reaches the "
            f"{reaches.measure}: curves have {_spacing(conditions)}."
        )
    if reduction.metric.startswith(metric_names.LOG10) and any(why == "unmeasured" for why, _ in values.left_out):
        found.append("A logarithm is of positive numbers: what is said here is of the replicates that have one.")
    n, least = len(values.complete), least_replicates(claim, reduction)
    if n < least and not reduction.every:
        found.append(f"A test needs {least} complete replicates, got {n}.")
    elif n > 1 and reduction.kind != "share" and np.ptp(values.complete) == 0:
        found.append("Every replicate gave the same number.")
    if not reduction.every and n >= least:
        found += _method(claim, reduction, values)
    held = shared_streams(experiment, conditions)
    if reduction.kind == "share":
        return found
    if experiment.one_at_a_time:
        found.append("One stream varies in each condition: the verdict is about one draw of the others.")
    elif held:
        found.append(f"Replicates share {', '.join(held)}: the verdict is about that one draw.")
    return found


def _spacing(conditions: Sequence[Condition]) -> str:
    """Say how far apart the points of curves are."""
    if all(c.settings.steps <= CURVE_POINTS * c.settings.steps_per_epoch for c in conditions):
        return "one an epoch"
    return f"{CURVE_POINTS} at most, of longer training one in several epochs"


def _left_out(reduction: Reduction, values: Values, conditions: Sequence[Condition]) -> list[str]:
    reaches = metric_names.reaches(metric_names.plain(reduction.metric))
    said = {
        DIVERGED: "diverged", FAILED: "failed", MISSING: "not run",
        "censored": f"short of the {'loss' if reaches is None else reaches.measure}", "unmeasured": f"without {reduction.metric}",
    }  # fmt: skip
    found = []
    for why, group in itertools.groupby(sorted(values.left_out.items()), key=lambda item: item[0][0]):
        counts = {position: count for (_, position), count in group}
        if len(counts) > MOST_NOTED:
            few, many = min(counts.values()), max(counts.values())
            each = f"{few}" if few == many else f"{few} to {many}"
            found.append(f"{each} of {values.planned} replicates {said[why]} in each of {len(counts)} conditions.")
            continue
        found += [
            f"{n} of {values.planned} replicates {said[why]} in {conditions[i].label}." for i, n in counts.items()
        ]
    return found


def _method(claim: Claim, reduction: Reduction, values: Values) -> list[str]:
    """Say how the claim was tested where that is not by t, and where t is not to be trusted."""
    n = len(values.complete)
    if reduction.kind == "share":
        return ["Variances are compared by Brown and Forsythe's test, pair by pair."]
    if reduction.median:
        return [_sign_test(reduction, values)]
    found = []
    flipped = f"all {2**n} assignments of signs" if n <= MOST_EXACT else f"{DRAWN} seeded assignments of signs"
    if reduction.kind == "place":
        found.append(
            f"Places count the levels in order; tested by flipping the signs of the replicates' differences ({flipped})."
        )
        if values.at_edge:
            found.append(
                f"In {values.at_edge} of {n} replicates a best level is the first or the last: a better one may lie beyond."
            )
        return found
    if claim.test == "sign_flip":
        found.append(f"Tested by flipping signs ({flipped}), not by t.")
    elif is_skewed(values.complete):
        what = "values" if reduction.kind == "level" else "differences" if reduction.kind == "difference" else "slopes"
        found.append(
            f"The {what} are skewed (skewness {skewness(values.complete):.1f}): with n = {n} and skewed {what} the t test "
            "is wrong more often than stated."
        )
    error = max(float(values.complete.std(ddof=1)), values.least_spread) / math.sqrt(n)
    far = abs(float(values.complete.mean()) - reduction.centre) > reduction.bound
    if reduction.sense == "equivalent" and far and reduction.bound < error:
        found.append("The margin is below the standard error: a refutation is wrong in up to 10% instead of 5%.")
    if claim.interval == "bca":
        short = f"needs {BCA_LEAST} complete replicates, got {n}, so that the interval is of t"
        found.append(
            f"BCa bootstrap interval of {RESAMPLES} seeded resamples." if n >= BCA_LEAST else f"A BCa interval {short}."
        )
    return found


def _sign_test(reduction: Reduction, values: Values) -> str:
    """Say how many replicates lie on each side, and which of them the interval of the median goes between."""
    n = len(values.complete)
    above, below = signs(values.lower, reduction.bound, values.upper)
    place, covers = median_places(n, LEVEL)
    level = int((values.complete == reduction.bound).sum())
    equal = f", {level} equal to it" if level else ""
    if values.unknown:
        on_neither = n - above - below - level
        return (
            "The median is judged by the sign test, in which a run that never got there counts as longer than it was trained "
            f"for: {above} of {n} replicates above the bound, {below} below{equal}, {on_neither or 'none'} on a side that is not "
            f"known. Its interval goes from value {place} of {n} in order, each as small as it can be, to value "
            f"{n + 1 - place}, each as large, and covers {covers:.1%} or more."
        )
    return (
        f"The median is judged by the sign test: {above} of {n} replicates above the bound, {below} below{equal}. Its interval "
        f"goes from value {place} to value {n + 1 - place} of {n} in order, and covers {covers:.1%}."
    )
