"""Claims about the median of the replicates' numbers, also where some of those are not known: estimate, interval, p, sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.evidence.estimates import test_sampling
from mlpbench.evidence.estimates.observe import LEVEL
from mlpbench.evidence.judging.caveats import least_replicates
from mlpbench.evidence.judging.claim_values import Values
from mlpbench.evidence.judging.reduction import Reduction
from mlpbench.evidence.statistics import censored, t_test
from mlpbench.evidence.statistics.effect_sizes import sizes
from mlpbench.evidence.statistics.sign_test import median_interval, more_needed, sign_test, signs
from mlpbench.experiment.claims.forms import Claim
from mlpbench.results.test_examples import TestSet


def judged(claim: Claim, reduction: Reduction, values: Values, test_set: TestSet | None) -> dict[str, Any]:
    """Return estimate and, of two replicates or more, interval, sizes and p: the columns of `claims.COLUMNS` that are known.

    `larger` is the share of replicates known to lie on the side of the bound where more do.
    """
    lower, upper, n = values.lower, values.upper, len(values.lower)
    estimate, estimate_is = censored.median(lower, upper, reduction.bound)
    found: dict[str, Any] = {"estimate": estimate, "estimate_is": estimate_is}
    if n < 2:
        return found
    found |= _sizes(claim, values)
    interval = median_interval(lower, LEVEL, upper)
    if interval is not None:
        found["low"], found["high"] = interval
    if n < least_replicates(claim, reduction):
        return found
    found["p"] = sign_test(lower, reduction.bound, upper)
    found["larger"] = max(signs(lower, reduction.bound, upper)) / n
    if test_set is not None:
        found["sampling"] = test_sampling.unknown(reduction.metric, median=True)
    return found


def _sizes(claim: Claim, values: Values) -> dict[str, Any]:
    """Return spread, middle and who was ahead how often, as far as that is known."""
    compared = claim.kind == "compare"
    if not values.unknown:
        sd = float(values.complete.std(ddof=1)) if np.ptp(values.complete) > 0 else 0.0
        found = sizes(values.complete, max(sd, values.least_spread), compared=compared)
        return found | {"effect": math.nan}  # Hedges' g is of the mean, which may lie on the other side
    above, below = signs(values.lower, 0.0, values.upper)
    ties = int((values.complete == 0).sum())
    if not compared or above + below + ties < len(values.complete):
        return {}
    return {"wins": above, "ties": ties}


def more(n: int, share: float, level: float) -> Any:
    """Return about how many further replicates would decide, were so large a share on the larger side; NA for too many."""
    needed = more_needed(n, share, level, t_test.POWER, t_test.MOST_REPLICATES)
    return pd.NA if needed is None else needed - n


def is_partly_known(row: Mapping[str, Any]) -> bool:
    """Return whether so many replicates lie on no known side that the median is not known, or from one side alone."""
    return bool(row.get("estimate_is")) or math.isnan(row["estimate"])
