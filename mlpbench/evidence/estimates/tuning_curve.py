"""The tuning curve: the best validation so far against the number of levels tried, expected over the order in which they are tried.

Of T costs, sorted so that c_1 <= ... <= c_T, the least of k that are drawn without replacement is c_i with probability
C(T - i, k - 1) / C(T, k). A curve is made in each replicate, of its own runs, and averaged over replicates. A run that diverged
or failed is worth what the worst finished one of its condition is: it is never the best, and its trial is spent.

Shapes: `G` conditions, `T` levels tried, `R` replicates.

References: J. Dodge et al., "Show your work: improved reporting of experimental results", 2019; R. Tang et al., "Showing your
work doesn't always work", 2020, for the estimator without replacement; Godbole et al., "Deep learning tuning playbook", 2023.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpbench.evidence.estimates.observe import intervals
from mlpbench.evidence.estimates.tuning_choice import TunedGrid, tuned_by
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.spec import Experiment

Floats = npt.NDArray[np.float64]


def expected_least(costs: Floats) -> Floats:
    """Return the expected least of k costs drawn without replacement, for k = 1 ... T, of shape (T,).

    >>> expected_least(np.array([3.0, 1.0, 2.0])).round(4).tolist()
    [2.0, 1.3333, 1.0]
    """
    ordered = np.sort(costs)
    n = len(ordered)
    expected = np.empty(n)
    expected[n - 1] = ordered[0]
    # P(the least is c_i | k) = C(n - i, k - 1) / C(n, k): for i = 1 it is k / n, and each next one is the one before times
    # (n - i + 1 - k) / (n - i + 1 - 1) ... so that no factorial is ever computed.
    for k in range(1, n):
        chances = np.zeros(n)
        chances[0] = k / n
        for i in range(1, n - k + 1):
            chances[i] = chances[i - 1] * (n - i + 1 - k) / (n - i)
        expected[k - 1] = chances @ ordered
    return expected


def tuning_curve(experiment: Experiment, tuned: TunedGrid) -> pd.DataFrame:
    """Return a row for each condition and number of levels tried: position, budget, n, mean, sd and interval over replicates.

    In the metric that is tuned by. Replicates in which runs are missing, or of which none finished, are left out.
    """
    columns = ["position", "budget", "n", "mean", "sd", "low", "high"]
    if tuned.choice is None:
        return pd.DataFrame(columns=columns)
    name = tuned_by(experiment)
    sign = -1.0 if name == "val_accuracy" else 1.0
    rows = []
    for g, (cost_TR, settled_R) in enumerate(zip(tuned.choice.cost, tuned.choice.settled)):
        for costs, settled in zip(cost_TR.T, settled_R):
            finished = np.isfinite(costs)
            if not settled or not finished.any():
                continue
            least = expected_least(np.where(finished, costs, costs[finished].max()))
            rows += [{"position": g, "budget": k, "value": sign * c} for k, c in enumerate(least, start=1)]
    if not rows:
        return pd.DataFrame(columns=columns)
    frame = pd.DataFrame(rows)
    floors = pd.Series(0.0, index=frame["position"].unique())
    return intervals(frame, ["position", "budget"], floors, metric(name).limits).reset_index()
