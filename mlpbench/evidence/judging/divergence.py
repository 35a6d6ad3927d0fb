"""What diverged runs make of a claim: they count, as the worst possible value, and are never left out of a verdict.

What is judged on the survivors is not what was trained: a condition that diverges in half of its replicates may look better than one
that never does. A median has a value where a few runs have none, as long as it is known on which side of the bound they lie: where
the metric has a better side, a diverged run lies beyond all others on the worse one, so that the sign test judges it. A mean
or a variance has no value then, and neither a t test nor sign flips give a verdict. Beside it stands how often the runs of each
side diverged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.base.escapes import Markdown
from mlpbench.evidence.judging.caveats import Caveat
from mlpbench.evidence.judging.claim_values import ClaimValues
from mlpbench.evidence.statistics.failure_rates import paired_rate_interval, rate_interval
from mlpbench.evidence.statistics.t_test import LEVEL
from mlpbench.experiment.claims.hypothesis import SIGN_FLIP_LEAST, Hypothesis
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.metrics.metric import metric


@dataclass(frozen=True, kw_only=True)
class NoMean(Caveat):
    """Why diverged runs leave a claim undecided, and which test would judge it."""

    what: str
    metric: str
    has_better_side: bool
    sign_would_do: bool
    units: str = "replicates"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        none = f"Undecided: runs that diverged have no {self.metric}"
        if not self.has_better_side:
            return f"{none}, and neither more nor less of it is better, so that they can't count as the worst."
        why = Markdown(
            "{}, so that there is no {}, and one of the others alone would not be of what was trained."
        ).format(none, self.what)
        if not self.sign_would_do:
            return why
        would = f"`test: sign` ({SIGN_FLIP_LEAST} {self.units} or more) judges the median, with diverged runs as the worst possible value."
        return Markdown("{} {}").format(why, Markdown(would))


@dataclass(frozen=True, kw_only=True)
class CountedAsWorst(Caveat):
    """In how many of the n replicates a diverged run counts."""

    template = "Diverged runs count as the worst possible {metric}: there are some in {replicates} of {n} {units}."
    metric: str
    replicates: int
    n: int
    units: str = "replicates"


@dataclass(frozen=True, kw_only=True)
class FailureRates(Caveat):
    """In how many replicates runs of a side diverged, and of two sides by how much that differs."""

    sides: Sequence[str]
    failed: Sequence[int]
    n: int
    low: float
    high: float
    has_interval: bool = True
    units: str = "replicates"

    @property
    def sentence(self) -> str:
        """The caveat in a sentence."""
        none = "no interval: replicates share rows"
        ends = f"95% interval {100 * self.low:+.0f} to {100 * self.high:+.0f} pp" if self.has_interval else none
        if len(self.failed) == 1:
            ends = f"95% interval {100 * self.low:.0f}% to {100 * self.high:.0f}%" if self.has_interval else none
            rate = f"{self.failed[0] / self.n:.0%}"
            return f"Runs diverged in {self.failed[0]} of {self.n} {self.units}: {rate} ({ends})."
        counts = " and ".join(f"{k} of {self.n} ({side})" for k, side in zip(self.failed, self.sides, strict=True))
        difference = 100 * (self.failed[0] - self.failed[1]) / self.n
        return f"Runs diverged in {counts} {self.units}: a difference of {difference:+.0f} pp ({ends})."


def no_mean(hypothesis: Hypothesis, values: ClaimValues) -> NoMean | None:
    """Return why a claim gets no verdict: its number has no value where runs diverged. None where that is not so."""
    if not values.diverged or hypothesis.test.about not in ("mean", "median", "typical", "pseudomedian", "variances"):
        return None
    return NoMean(
        what="variance" if hypothesis.test.about == "variances" else hypothesis.middle,
        metric=plain(hypothesis.metric),
        has_better_side=metric(hypothesis.metric).better != "neither",
        sign_would_do=hypothesis.test.about in ("mean", "typical", "pseudomedian")
        and hypothesis.sense != "equivalent"
        and not values.overlap,
        units=hypothesis.units,
    )


def divergence_caveats(hypothesis: Hypothesis, values: ClaimValues) -> list[Caveat]:
    """Return what is to be said of diverged runs beside a claim about a mean or a median; nothing where none diverged."""
    if hypothesis.test.about not in ("mean", "median", "typical", "pseudomedian") or not values.diverged_sides:
        return []
    noted: list[Caveat] = []
    if values.worst:
        noted.append(
            CountedAsWorst(
                metric=plain(hypothesis.metric), replicates=values.worst, n=len(values.complete), units=hypothesis.units
            )
        )
    failed, n = [int(side.sum()) for side in values.diverged_sides], len(values.diverged_sides[0])
    said: dict[str, Any] = {"units": hypothesis.units, "has_interval": not values.overlap}
    if n and len(failed) == 1:
        low, high = rate_interval(failed[0], n, LEVEL)
        noted.append(FailureRates(sides=(), failed=failed, n=n, low=low, high=high, **said))
    elif n:
        first, second = values.diverged_sides
        low, high = paired_rate_interval(first, second, LEVEL)
        noted.append(FailureRates(sides=hypothesis.sides, failed=failed, n=n, low=low, high=high, **said))
    return noted
