"""How the claims of a planned experiment are judged: at which level, by how many replicates, and which effect these detect.

That is known before anything is trained, and needs no table: `plan` says it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from mlpbench.evidence.estimates.overlap import largest_overlap
from mlpbench.evidence.statistics import outlook, t_test
from mlpbench.evidence.statistics.alpha_spending import schedule, seed_level
from mlpbench.evidence.statistics.e_process import crossing_p
from mlpbench.evidence.statistics.outlook import TooFew
from mlpbench.evidence.statistics.sign_test import detectable_share
from mlpbench.evidence.statistics.t_test import POWER
from mlpbench.experiment.claims.hypothesis import Hypothesis, SignFlipTest, SignTest, TTest
from mlpbench.experiment.drawn_streams import SharedDraw, are_one_draw, streams_to_vary
from mlpbench.experiment.grid import Condition, count_tunings
from mlpbench.experiment.spec import Experiment
from mlpbench.results.registration import ClaimStanding, Registration

# The level of claims at the first seed at which their conditions are compared.
FIRST_SEED = seed_level(1)
FIRST_LOOK = ClaimStanding()


@dataclass(frozen=True, kw_only=True)
class ClaimTest:
    """How a planned claim is judged: the hypothesis, and at which level with a number of replicates.

    Attributes:
        hypothesis: what the claim comes down to.
        family: the number of tested claims, dropped ones too: Holm's method tests the smallest p at the level of the seed over it.
        is_anytime: whether an e-process judges it, which asks for more at the same number of replicates.
        set_aside: how many of the replicates only tune settings.
        standing: how the claim is registered, or will be: at which seed of its comparison.
        analyses: at how many replicates a top-up has interim analyses; empty where there is none.
        overlap: how far replicates are from independent (`estimates.overlap`).
        shared: what its replicates share, where they are one draw, however many.

    """

    hypothesis: Hypothesis
    family: int
    is_anytime: bool = False
    set_aside: int = 0
    standing: ClaimStanding = FIRST_LOOK
    analyses: Sequence[int] = ()
    overlap: float = 0.0
    shared: SharedDraw | None = None

    @property
    def seed_level(self) -> float:
        """The level at which it is decided, by a p that is corrected for the other claims."""
        return seed_level(self.standing.number)

    @property
    def is_foreseen(self) -> bool:
        """Whether its power is known: that of a test of a mean or a median, of replicates that differ."""
        return (
            self.shared is None
            and isinstance(self.hypothesis.test, TTest | SignFlipTest | SignTest)
            and not self.hypothesis.datasets
        )

    @property
    def is_equivalence(self) -> bool:
        """Whether it claims that a number lies near another."""
        return self.hypothesis.sense == "equivalent"

    def judged(self, n: int) -> int:
        """Return how many of n replicates are judged."""
        return max(0, n - self.set_aside)

    def level(self, n: int) -> float:
        """Return the level at which n replicates are tested, 0 where they are too few to decide anything."""
        n = self.judged(n)
        if n < self.hypothesis.test.least:
            return 0.0
        if self.is_anytime:
            return crossing_p(n, self.family / self.seed_level)
        level = self.seed_level / self.family
        return 0.0 if isinstance(self.hypothesis.test, SignFlipTest) and 2.0 ** (1 - n) > level else level

    def too_few(self, n: int) -> TooFew | None:
        """Return that n replicates, with a top-up at most, decide it in no case.

        None where they may, where one looks at any time, and where their number is not what is missing.
        """
        if self.is_anytime or self.shared is not None:
            return None
        if self.hypothesis.datasets:
            return outlook.too_few(self.hypothesis, self.seed_level, [len(self.hypothesis.datasets)])
        at = [self.judged(k) for k in self.analyses if k < n]
        return outlook.too_few(self.hypothesis, self.seed_level, [*at, self.judged(n)])

    def detectable(self, n: int) -> float | None:
        """Return the distance from the bound, in sds, that n replicates detect with 80% power; of an equivalence the least margin.

        None where no distance is, and where it is not known. Of a median it is that of normal numbers.
        """
        level = self.level(n)
        if not self.is_foreseen or level == 0:
            return None
        n = self.judged(n)
        if isinstance(self.hypothesis.test, SignTest):
            share = detectable_share(n, level, POWER)
            return float(ndtri(share)) if share < 1 else None
        shift = t_test.detectable_margin(n, level) if self.is_equivalence else t_test.detectable_shift(n, level / 2)
        return shift * t_test.inflation(n, self.overlap)


def claim_tests(
    experiment: Experiment, conditions: Sequence[Condition], registration: Registration | None = None
) -> dict[str, ClaimTest]:
    """Return how each claim of a planned experiment is judged, by its id, over its conditions with their first tuning.

    `registration` says how the claims are registered, or will be; without it they are judged at a first seed.
    """
    scientific = conditions[:: count_tunings(experiment)]
    hypotheses = {claim.id: claim.hypothesis(experiment, scientific) for claim in experiment.claims}
    dropped = 0 if registration is None else registration.dropped
    family = max(1, dropped + sum(not hypothesis.is_observed for hypothesis in hypotheses.values()))
    most = experiment.most_replicates
    return {
        name: ClaimTest(
            hypothesis=hypothesis,
            family=family,
            is_anytime=experiment.is_anytime,
            set_aside=experiment.set_aside,
            standing=FIRST_LOOK if registration is None else registration.standings[name],
            analyses=() if experiment.until_decided is None else schedule(experiment.replicates, most),
            overlap=_overlap(hypothesis, scientific),
            shared=_shared(hypothesis, experiment, scientific),
        )
        for name, hypothesis in hypotheses.items()
    }


def _shared(hypothesis: Hypothesis, experiment: Experiment, conditions: Sequence[Condition]) -> SharedDraw | None:
    needed = [conditions[i] for i in hypothesis.positions(conditions)]
    if hypothesis.datasets or hypothesis.is_exact or not are_one_draw(hypothesis.metric, experiment, needed):
        return None
    planned = experiment.most_replicates - experiment.set_aside
    return SharedDraw(replicates=planned, varied=experiment.vary, drawn=streams_to_vary(experiment, needed))


def _overlap(hypothesis: Hypothesis, conditions: Sequence[Condition]) -> float:
    if hypothesis.datasets:
        return 0.0
    needed = [conditions[i] for i in hypothesis.positions(conditions)]
    return largest_overlap(hypothesis.metric, needed)
