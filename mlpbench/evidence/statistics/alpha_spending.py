"""When claims are judged again as replicates are added, what level each interim analysis may spend, and on which claims.

Judging again and again at 5% would be wrong far more often than in 5%. So a level is shared out over the analyses, at n_1 < ...
< n_K replicates:

    after analysis k, at most alpha (n_k / n_K)^3 is spent.

This is the power family of spending functions (Kim and DeMets, 1987). Its third power keeps nearly all of the level for the last
analysis, as the function after O'Brien and Fleming does (Lan and DeMets, 1983), and loses as little power; but it is proportional
to the level, so that a clear difference is decided early among many claims too, where the other spends next to nothing. The
analyses follow from the first number of replicates and the largest one alone, so that they can be repeated from the tables.

What an analysis spends is the chance that it is the first to decide wrongly. Of the paired t test the nominal level that spends
just so much is known (`t_boundary`). Of other tests what is spent is the nominal level: by the union bound that is never too much.

Claims start with equal shares of 5%, and share out that of a claim that is decided (`share_out`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mlpbench.evidence.statistics.t_test import ALPHA

POWER = 3


def schedule(replicates: int, most: int) -> list[int]:
    """Return at how many replicates the analyses are: half as many more each time, at least 2 more, up to `most`.

    What would be left for a last step of less than half that size is added to the step before.

    >>> schedule(5, 30), schedule(5, 12)
    ([5, 8, 12, 18, 30], [5, 8, 12])
    """
    at = [replicates]
    while at[-1] < most:
        further = at[-1] + step(at[-1])
        at.append(further if most - further >= step(further) / 2 else most)
    return at


def step(n: int) -> int:
    """Return how many replicates are added to n: half as many, and 2 at least."""
    return max(2, math.ceil(n / 2))


def spent(at: Sequence[int], level: float = ALPHA) -> list[float]:
    """Return how much of a level each of the analyses, at numbers of replicates, spends.

    >>> [round(share, 4) for share in spent([5, 8, 12])]
    [0.0036, 0.0112, 0.0352]

    Reference: Kim and DeMets, Design and Analysis of Group Sequential Tests Based on the Type I Error Spending Rate
    Function, 1987.
    """
    until = [level * (n / at[-1]) ** POWER for n in at]
    return [now - before for before, now in zip([0.0, *until[:-1]], until, strict=True)]


def seed_level(number: int) -> float:
    """Return the level of a seed at which conditions are compared, by its number from 1; over any number of seeds the sum is `ALPHA`.

    level(j) = alpha 6 / (pi^2 j^2), since sum_j 1 / j^2 = pi^2 / 6. Whoever tries one seed after the other and reports the one
    that pleases is wrong in at most alpha, by the union bound.

    >>> [round(seed_level(number), 4) for number in (1, 2, 3, 20)]
    [0.0304, 0.0076, 0.0034, 0.0001]

    Reference: Foster and Stine, Alpha-investing: a procedure for sequential control of expected false discoveries, 2008.
    """
    return ALPHA * 6 / (math.pi * number) ** 2


def share_out(p: Sequence[float], nominal: Callable[[int, float], float], undecided: int) -> list[float]:
    """Return at one analysis the p of each claim corrected, at most 0.05 for those that are decided; NaN stays NaN.

    Each claim that no analysis has decided yet may spend an equal share of 5%, and is decided where its p is at most the nominal
    level that its share has at this analysis. A claim that is decided leaves its share to the others, at once and for all
    analyses to come. The corrected p is 0.05 p / nominal level, above 1 where p is large. At a single analysis this is Holm's method.

    Args:
        p: p of the claims that are judged at this analysis; NaN for one that can't be tested, which still has its share.
        nominal: gives the nominal level of claim i here, where it may spend some level in all.
        undecided: the number of claims that no earlier analysis has decided, whether they are judged here or not.

    The larger the share, the larger is every nominal level, as the procedure needs.

    Reference: Maurer and Bretz, Multiple Testing in Group Sequential Trials Using Graphical Approaches, 2013.

    """
    corrected = [math.nan] * len(p)
    open_claims = [i for i, value in enumerate(p) if not math.isnan(value)]
    highest = 0.0
    while open_claims:
        level = ALPHA / undecided
        ratio = {i: p[i] * ALPHA / nominal(i, level) for i in open_claims}
        first = min(open_claims, key=lambda i: (ratio[i], i))
        if ratio[first] > ALPHA:
            for i in open_claims:
                corrected[i] = ratio[i]
            break
        highest = max(highest, ratio[first])
        corrected[first] = highest
        open_claims.remove(first)
        undecided -= 1
    return corrected
