"""When claims are judged again as replicates are added, and what level each of these interim analyses may spend.

Judging again and again at 5% would be wrong far more often than in 5%. So the level of 5% is shared out:

    analysis k, at n_k of at most N replicates, may spend alpha (n_k - n_(k-1)) / N, with n_0 = 0.

That is the linear spending function at the information fraction n_k / N. A claim decided wrongly was so at some analysis: by
the union bound the chance of it is at most the sum of the levels, alpha, whatever the analyses have in common. The analyses
follow from the first number of replicates and N alone, so that they can be repeated from the tables.

Reference: Lan and DeMets, Discrete Sequential Boundaries for Clinical Trials, 1983.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlpbench.evidence.statistics.t_test import ALPHA


def schedule(replicates: int, most: int) -> list[int]:
    """Return at how many replicates the analyses are: half as many more each time, at least 2 more, up to `most`.

    >>> schedule(5, 30)
    [5, 8, 12, 18, 27, 30]
    """
    at = [replicates]
    while at[-1] < most:
        at.append(min(most, at[-1] + max(2, math.ceil(at[-1] / 2))))
    return at


def levels(at: Sequence[int]) -> list[float]:
    """Return what each of the analyses, at numbers of replicates, may spend; the sum is `ALPHA`.

    >>> [round(level, 4) for level in levels([5, 8, 12])]
    [0.0208, 0.0125, 0.0167]
    """
    return [ALPHA * (n - before) / at[-1] for before, n in zip([0, *at[:-1]], at, strict=True)]
