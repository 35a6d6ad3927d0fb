"""Benjamini and Hochberg's correction of many p values: of the claims that it lets pass, 5% at most are false in the mean.

Holm's method guards the claims of one experiment. Over forty experiments with 5% each, two false verdicts are to be expected; the
share of false ones among all that are decided is what a reader of an index asks for.
"""

from __future__ import annotations

from collections.abc import Sequence


def q_values(p: Sequence[float]) -> list[float]:
    """Return the adjusted p of each, in the order given.

    q_(i) = min over j >= i of m p_(j) / j, with p_(1) <= ... <= p_(m): those with q of at most 0.05 have a false discovery rate
    of 5% at most, where the tests are independent or positively dependent.

    >>> [round(q, 3) for q in q_values([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053, 0.053, 0.5]

    Reference: Benjamini and Hochberg, Controlling the False Discovery Rate, 1995.
    """
    adjusted, lowest = [1.0] * len(p), 1.0
    for rank, i in sorted(enumerate(sorted(range(len(p)), key=lambda i: p[i]), start=1), reverse=True):
        lowest = min(lowest, len(p) * p[i] / rank)
        adjusted[i] = lowest
    return adjusted
