"""The test set as a second source of spread: how far an estimate would move on other test examples of the same kind.

Replicates tell how a result varies with the random streams on the one test set there is; the examples of that set tell
how it would vary with the examples. Both are seen at once: each run is right or wrong about each example.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from mlpbench.base.escapes import Markdown
from mlpbench.data.dataset import DataFacts
from mlpbench.evidence.frames import places
from mlpbench.evidence.statistics.t_test import LEVEL, Sample
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.set_scores import SET_SCORES
from mlpbench.results.examples import METRIC, Classes, TestSet

Floats = npt.NDArray[np.float64]
LATE_METRIC = metric_names.LATE + METRIC
# Metrics of the whole test set, which are no means over examples, or whose examples are not stored.
OF_TEST_SET = frozenset(f"test_{name}" for name in SET_SCORES)
# Predictions of more runs than this are not read: they have a byte for each example.
MOST_RUNS = 5_000
# An accuracy and the share of right predictions are the same number but for rounding.
AGREES = 1e-6


@dataclass(frozen=True, kw_only=True)
class Widened:
    """The sample of replicates with the standard error that both sources of spread give it, and its degrees of freedom."""

    own: Sample
    error: float
    df: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return mean ± t((1 + level)/2, df) error, and no less than the interval of the replicates alone.

        Where examples add next to nothing, the estimated degrees of freedom would make it a little less.
        """
        half = float(stdtrit(self.df, 0.5 + level / 2)) * self.error
        low, high = self.own.interval(level)
        return min(low, self.own.mean - half), max(high, self.own.mean + half)


def widen(sample: Sample, correct: Iterable[Floats]) -> Widened:
    """Return a sample of replicates with the spread that the test examples add.

    `correct` has for each replicate a number for each test example: whether it is predicted right, weighted as the claim weighs
    conditions, so that sample.mean is the mean of all. With d_re = mean + a_r + b_e + c_re (replicates and examples crossed, both random), over
    n replicates and N examples,

        var(mean) = var(a) / n + var(b) / N + var(c) / (n N).

    The replicates' variance over n estimates the first and third term. The variance over examples of the mean over
    replicates, over N, estimates the second and the third: to add both would count var(c) / (n N) twice, so its estimate,
    the mean square of the interaction over n N, is taken off once. What examples add is at least 0. Degrees of freedom
    are Satterthwaite's of the two parts.

    References: Searle, Casella and McCulloch, Variance Components, 1992 (crossed random model); Owen, The Pigeonhole
    Bootstrap, 2007; Satterthwaite, An Approximate Distribution of Estimates of Variance Components, 1946.
    """
    n, squares, means, by_example = 0, 0.0, [], np.zeros(0)
    for row in correct:
        by_example = row.copy() if n == 0 else by_example + row
        squares += float((row**2).sum())
        means.append(float(row.mean()))
        n += 1
    by_example, examples = by_example / n, len(by_example)
    # Sums of squares of a two-way table without repeats: all, minus replicates, minus examples.
    of_examples = n * float(((by_example - by_example.mean()) ** 2).sum())
    of_replicates = examples * float(((np.array(means) - by_example.mean()) ** 2).sum())
    whole = squares - n * examples * float(by_example.mean()) ** 2
    interaction = max(0.0, whole - of_examples - of_replicates) / ((n - 1) * (examples - 1))
    added = max(0.0, float(by_example.var(ddof=1)) / examples - interaction / (n * examples))
    own = sample.error**2
    total = own + added
    parts = own**2 / (n - 1) + added**2 / (examples - 1)
    return Widened(own=sample, error=math.sqrt(total), df=total**2 / parts if parts > 0 else math.inf)


class Lacking(enum.Enum):
    """Why a claim about test accuracy has no interval that includes the sampling of the test set, as an end of a sentence."""

    LAST_STEP = Markdown(
        "of {missing} of {runs} runs predictions are stored for the final step only, as of runs that may stop early; of others `mlpbench run "
        "--rerun all` adds what they were right about before"
    )
    MEDIAN = "it is known for means only, not for medians"
    BLOCKS = "it takes test examples for independent draws, and these are of groups, or follow one another in time"
    OTHER_METRIC = Markdown("it is known for `test_accuracy` and `late_test_accuracy` only")
    TOO_MANY = "it takes predictions of {runs} runs, more than {most}"
    LABELS = Markdown("the folder lacks the labels; `mlpbench report` adds them where the data are")
    PREDICTIONS = "{missing} of {runs} runs have no predictions"
    SEVERAL_SETS = "it is known where all runs are tested on the same examples, and these are of several data sets"
    OTHER_SET = "predictions are not those of this test set"
    DISAGREE = "predictions and accuracies disagree"


@dataclass(frozen=True, kw_only=True)
class NoInterval:
    """That there is no interval with test-set sampling, why, and how many `runs` it would rest on and are `missing`."""

    why: Lacking
    runs: int = 0
    missing: int = 0

    @property
    def sentence(self) -> str:
        """The reason in a sentence."""
        reason = self.why.value.format(runs=self.runs, missing=self.missing, most=MOST_RUNS)
        return Markdown("No test-set-sampling interval: {}.").format(reason)


def unsupported(metric: str, *, median: bool) -> NoInterval | None:
    """Return why a claim on an accuracy of the test set can't have the interval, None where it can or needs none."""
    return NoInterval(why=Lacking.MEDIAN) if metric in (METRIC, LATE_METRIC) and median else None


def widened_mean(
    metric: str,
    sample: Sample,
    run_ids: npt.NDArray[Any],
    weights_C: Floats,
    first: float,
    test_set: TestSet,
    data: Sequence[DataFacts],
) -> Widened | NoInterval | None:
    """Return the widened sample of a claim about test accuracy, or why there is none; None for a claim that needs none.

    Args:
        metric: name of the claim's metric.
        sample: the numbers of the replicates, summed up.
        run_ids: the runs they rest on, (R, C).
        weights_C: the weight of each condition.
        first: the number of the first replicate, which predictions must agree with.
        test_set: what reads labels and predictions.
        data: the facts of the data sets of these runs.

    """
    if metric not in (METRIC, LATE_METRIC):
        return NoInterval(why=Lacking.OTHER_METRIC) if metric in OF_TEST_SET else None
    if len(data) > 1:
        return NoInterval(why=Lacking.SEVERAL_SETS)
    if any(of.blocks is not None for of in data):
        return NoInterval(why=Lacking.BLOCKS)
    if run_ids.size > MOST_RUNS:
        return NoInterval(why=Lacking.TOO_MANY, runs=run_ids.size)
    read = read_right if metric == METRIC else read_late_right
    stored = read(test_set, data[0], run_ids.ravel())
    if isinstance(stored, NoInterval):
        return stored
    right, points = stored
    shares_C = weights_C / points.reshape(run_ids.shape)

    def correct(of_replicate: tuple[Classes, Floats]) -> Floats:
        return np.asarray(sum(w * r for w, r in zip(of_replicate[1], of_replicate[0], strict=True)), dtype=float)

    replicates = list(zip(right.reshape(*run_ids.shape, -1), shares_C, strict=True))
    if abs(float(correct(replicates[0]).mean()) - first) > AGREES:
        return NoInterval(why=Lacking.DISAGREE)
    return widen(sample, map(correct, replicates))


def read_right(test_set: TestSet, data: DataFacts, run_ids: npt.NDArray[Any]) -> tuple[Classes, Classes] | NoInterval:
    """Return of each run which examples it predicts right, (runs, examples), and 1, or why that is not known."""
    stored = read_classes(test_set, data, run_ids)
    if isinstance(stored, NoInterval):
        return stored
    predicted, labels = stored
    return (predicted == labels).view(np.uint8), np.ones(len(run_ids), np.uint8)


def read_late_right(
    test_set: TestSet, _data: DataFacts, run_ids: npt.NDArray[Any]
) -> tuple[Classes, Classes] | NoInterval:
    """Return of each run at how many points of the later half each example was right, and of how many, or why that is not known."""
    stored = test_set.late_right(list(run_ids)).drop_duplicates("run_id")
    at = places(pd.Series(run_ids), stored["run_id"])
    if (at < 0).any():
        return NoInterval(why=Lacking.LAST_STEP, runs=len(run_ids), missing=int((at < 0).sum()))
    raw: list[Any] = stored[metric_names.LATE_RIGHT].to_numpy(dtype=object)[at].tolist()
    if len({len(counts) for counts in raw}) > 1 or any(len(counts) < 2 or not counts[0] for counts in raw):
        return NoInterval(why=Lacking.OTHER_SET)
    counted = np.stack([np.frombuffer(counts, dtype=np.uint8) for counts in raw])
    return counted[:, 1:], counted[:, 0]


def read_classes(test_set: TestSet, data: DataFacts, run_ids: npt.NDArray[Any]) -> tuple[Classes, Classes] | NoInterval:
    """Return the predictions of one run or more, shape (runs, examples), and the true classes, or why they are not known."""
    labels = test_set.labels(data)
    if labels is None:
        return NoInterval(why=Lacking.LABELS)
    stored = test_set.predictions(list(run_ids)).drop_duplicates("run_id")
    at = places(pd.Series(run_ids), stored["run_id"])
    if (at < 0).any():
        return NoInterval(why=Lacking.PREDICTIONS, runs=len(run_ids), missing=int((at < 0).sum()))
    raw: list[Any] = stored["predicted"].to_numpy(dtype=object)[at].tolist()
    if any(len(p) != len(labels) for p in raw):
        return NoInterval(why=Lacking.OTHER_SET)
    return np.stack([np.frombuffer(p, dtype=np.uint8) for p in raw]), labels
