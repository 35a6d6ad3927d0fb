"""Where the spread comes from: the variance that each random stream makes alone, by condition.

It takes an experiment in which one stream varies at a time. Streams that act together may add more than the sum of what
they do alone: shares are of that sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.base.models import STREAM
from mlpbench.evidence.estimates.observe import measure
from mlpbench.evidence.statistics.variance_components import sd_interval, share
from mlpbench.experiment.grid import Condition, label_of
from mlpbench.experiment.spec import Experiment

TEST_SET = "test set"
# Bars of more conditions than this are too narrow to read.
MOST_DRAWN = 6


def by_stream(
    experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Return a row for each metric, condition and stream: n, mean, sd and its interval, and share of the summed variance.

    `share_low` and `share_high` are the interval of the share (see `share`). The test set's `share` is what its variance
    would be beside that sum, of which it is no part.
    `label` is what the condition is beside its stream. Of a test accuracy a further row has what the finite test set adds:
    sd = sqrt(p (1 - p) / examples), as of so many independent examples predicted right with probability p.
    """
    rows: list[dict[str, Any]] = []
    for name in names:
        frame = measure(observed, pd.DataFrame(), name).dropna(subset=["value"])
        values_of = {i: group["value"].to_numpy(dtype=float) for i, group in frame.groupby("position")}
        keyed = sorted(range(len(conditions)), key=lambda i: _beside(conditions[i], experiment))
        for label, grouped in itertools.groupby(keyed, key=lambda i: _beside(conditions[i], experiment)):
            places = list(grouped)
            values = {str(conditions[i].levels[STREAM]): values_of[i] for i in places if len(values_of.get(i, ())) > 1}
            total = math.fsum(v.var(ddof=1) for v in values.values())
            for stream, v in values.items():
                low, high = sd_interval(v)
                row = {"stream": stream, "n": len(v), "mean": v.mean(), "sd": v.std(ddof=1), "low": low, "high": high}
                part, at_least, at_most = share(stream, values)
                parts = {"share": part, "share_low": at_least, "share_high": at_most}
                rows.append({"metric": name, "label": label} | row | parts)
            if values and name == "test_accuracy":
                p, n_test = float(np.mean([v.mean() for v in values.values()])), conditions[places[0]].data.n_test
                row = {"stream": TEST_SET, "n": n_test, "mean": p, "sd": math.sqrt(max(0.0, p * (1 - p)) / n_test)}
                beside = row["sd"] ** 2 / total if total > 0 else math.nan
                rows.append({"metric": name, "label": label} | row | {"share": beside})
    columns = ["metric", "label", "stream", "n", "mean", "sd", "low", "high", "share", "share_low", "share_high"]
    return pd.DataFrame(rows, columns=columns)


def _beside(condition: Condition, experiment: Experiment) -> str:
    return label_of({k: v for k, v in condition.levels.items() if k != STREAM}, experiment)
