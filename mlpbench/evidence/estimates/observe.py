"""From rows to estimates: each planned run with its status and metrics, then mean, sd and interval of each condition.

Every function takes DataFrames and returns a new one. The unit is the replicate: intervals are t intervals over
replicates, so they say how a result varies with the random streams, not with the test set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from mlpbench.evidence.estimates.overlap import by_position, overlap
from mlpbench.evidence.frames import places
from mlpbench.evidence.statistics.t_test import LEVEL
from mlpbench.experiment import shift_spec
from mlpbench.experiment.grid import Condition, RunSettings, run_ids
from mlpbench.experiment.metrics import metric_names, own_metrics
from mlpbench.experiment.metrics.metric import METRICS, REGRETS, metric
from mlpbench.experiment.metrics.metric_names import Reaches
from mlpbench.experiment.plan import CURVE_EXAMPLES
from mlpbench.experiment.spec import Experiment
from mlpbench.results.metric_column import own_columns

Floats = npt.NDArray[np.float64]
MISSING, FAILED, DIVERGED, OK = "missing", "failed", "diverged", "ok"
KEYS = ["position", "condition_id", "label", "replicate", "run_id", "status"]


def observe(experiment: Experiment, conditions: Sequence[Condition], runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row for every planned run, in the order of the grid: `KEYS` and the metrics.

    A run that is not in `runs` has status `missing`. Metrics of runs that did not end well are NaN; `diverged` is 1 for
    diverged runs and 0 for finished ones. Replicates that differ in no stream are one run, and one row.
    """
    replicates = range(experiment.replicates if experiment.vary else 1)
    each = len(replicates)
    planned = {
        "position": np.repeat(np.arange(len(conditions)), each),
        "condition_id": np.repeat(np.array([c.condition_id for c in conditions], dtype=object), each),
        "label": np.repeat(np.array([c.label for c in conditions], dtype=object), each),
        "replicate": np.tile(np.array(replicates), len(conditions)),
        "run_id": np.array([i for c in conditions for i in run_ids(experiment, c, replicates)], dtype=object),
    }
    return observe_runs(pd.DataFrame(planned), runs)


def observe_runs(planned: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return planned runs, which have a `run_id`, with `status` and the metrics, as `observe` does."""
    first = np.flatnonzero(~runs["run_id"].duplicated().to_numpy())
    at = places(planned["run_id"], runs["run_id"].iloc[first])
    there = at >= 0
    status = np.full(len(planned), MISSING, dtype=object)
    status[there] = runs["status"].to_numpy(dtype=object)[first[at[there]]]
    ok = status == OK
    metrics = np.full((len(planned), len(METRICS)), np.nan)
    # Column by column: pandas takes longer over a table of many types.
    metrics[ok] = np.column_stack([runs[name].to_numpy(dtype=float)[first[at[ok]]] for name in METRICS])
    frame = pd.DataFrame(np.where(np.isinf(metrics), np.nan, metrics), columns=list(METRICS))
    for name, values in own_columns(runs.iloc[first]).items():
        frame[name] = np.where(ok, values[at], np.nan)
    frame["diverged"] = np.where(ok, 0.0, np.where(status == DIVERGED, 1.0, np.nan))
    return pd.concat([planned.assign(status=status), frame], axis=1)


def observe_ids(run_ids: Sequence[str], runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of some identities, in their order, with `status` and the metrics."""
    return observe_runs(pd.DataFrame({"run_id": np.array(run_ids, dtype=object)}), runs)


@dataclass(frozen=True, kw_only=True)
class MetricValues:
    """A metric of some runs, in their order.

    Attributes:
        value: the metric; NaN where a run has none.
        censored: whether a finished run never got to the loss or accuracy that the metric counts up to.
        beyond: of a censored run the last recorded step, or epoch, which it took at least; NaN for all others.

    """

    value: Floats
    censored: npt.NDArray[np.bool_]
    beyond: Floats


def measure(observed: pd.DataFrame, curves: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return `KEYS` and, as columns, what `metric_values` gives; raise ValueError where no metric has that name."""
    return observed[KEYS].assign(**vars(metric_values(observed, curves, name)))


def metric_values(observed: pd.DataFrame, curves: pd.DataFrame, name: str) -> MetricValues:
    """Return a metric of observed runs: of their columns `run_id`, `status` and, where there is one, that of the metric.

    For `steps_to_train_loss_X` and its kin the value is the first recorded step, or epoch, whose train loss is at most X,
    or accuracy at least; a finished run that never got there is censored and has no value. A logarithm has none where the
    metric is not positive. `late_METRIC` is a mean over points of the curve. Metrics of layers and regrets stand in
    `observed` where a claim is about them. Raises ValueError where no metric has that name.
    """
    metric(name)
    if name != metric_names.plain(name):
        plain = metric_values(observed, curves, metric_names.plain(name))
        value = np.log10(np.where(plain.value > 0, plain.value, np.nan))
        with np.errstate(divide="ignore"):  # beyond step 0 the logarithm may be any number
            return replace(plain, value=value, beyond=np.log10(plain.beyond))
    if (threshold := metric_names.reaches(name)) is not None:
        return _reached(observed, curves[curves["split"] == "train"], threshold)
    if (shift := shift_spec.measured(name)) is not None:
        value = _under_shift(observed, curves, *shift)
    elif (parts := metric_names.late(name)) is not None:
        value = _late(observed, curves, parts)
    else:
        lacks = name not in observed and own_metrics.measured(name) is not None  # no run has it yet
        value = np.full(len(observed), np.nan) if lacks else observed[name].to_numpy(dtype=float)
    return MetricValues(value=value, censored=np.zeros(len(value), bool), beyond=np.full(len(value), np.nan))


def _reached(observed: pd.DataFrame, train: pd.DataFrame, threshold: Reaches) -> MetricValues:
    """Return the first step, or epoch, at which runs reach a threshold on the training examples."""
    place = places(train["run_id"], observed["run_id"])
    train, place = train[place >= 0], place[place >= 0]
    reached, last = np.full(len(observed), np.inf), np.full(len(observed), -np.inf)
    seen = train[threshold.measure].to_numpy(dtype=float)
    there_yet = seen <= threshold.threshold if threshold.measure == "loss" else seen >= threshold.threshold
    at, recorded = train[threshold.column].to_numpy(dtype=float), ~np.isnan(seen)  # `trim` leaves rows without numbers
    np.minimum.at(reached, place[there_yet], at[there_yet])
    np.maximum.at(last, place[recorded], at[recorded])
    finished = (observed["status"] == OK).to_numpy()
    there = finished & np.isfinite(reached)
    censored = finished & np.isfinite(last) & ~there
    return MetricValues(
        value=np.where(there, reached, np.nan), censored=censored, beyond=np.where(censored, last, np.nan)
    )


def _late(observed: pd.DataFrame, curves: pd.DataFrame, parts: Sequence[tuple[str, str, float]]) -> Floats:
    """Return the sum of parts, each a mean over the later half of the curve, of finished runs; NaN where there is none."""
    value = np.zeros(len(observed))
    for split, what, sign in parts:
        rows = curves.loc[curves["split"] == split, ["run_id", "step", what]]
        rows = rows.assign(place=places(rows["run_id"], observed["run_id"])).sort_values(["place", "step"])
        later = rows[2 * rows["step"] > rows.groupby("place")["step"].transform("max")]
        value += sign * later.groupby("place")[what].mean().reindex(range(len(observed))).to_numpy(dtype=float)
    return np.where((observed["status"] == OK) & np.isfinite(value), value, np.nan)


def _under_shift(observed: pd.DataFrame, curves: pd.DataFrame, split: str, what: str) -> Floats:
    """Return loss or accuracy of finished runs under a shift, NaN where there is none."""
    value = np.full(len(observed), np.nan)
    if not curves.empty:
        rows = curves[curves["split"] == split]
        place = places(observed["run_id"], rows["run_id"])
        there = (place >= 0) & (observed["status"] == OK).to_numpy()
        value[there] = rows[what].to_numpy(dtype=float)[place[there]]
    return value


def accuracy_step(name: str, settings: RunSettings, n_test: int) -> float:
    """Return the least two runs can differ by in an accuracy, one example as a fraction; 0 for other metrics.

    Macro F1 follows from counts of examples too: replicates with the same counts are no proof that there is no spread.
    """
    if not metric(name).is_accuracy and name != "test_macro_f1":
        return 0.0
    if name in REGRETS:
        return 1 / max(n_test, 1)
    examples = {
        "train": [settings.n_fit],
        "val": [settings.n_validation or settings.train_size],  # on folds every example is one, once
        "test": [n_test],
        "gap": [settings.n_fit, n_test],
        "shift": [n_test],
        "constant": [n_test],
    }
    if metric_names.late(name) is not None:  # curves are of the first training examples
        examples["train"] = [min(settings.n_fit, CURVE_EXAMPLES)]
        examples["gap"] = [*examples["train"], n_test]
    part = name.removeprefix(metric_names.LATE).partition("_")[0]
    return max(1 / max(n, 1) for n in examples[part])


def estimate(
    experiment: Experiment,
    conditions: Sequence[Condition],
    observed: pd.DataFrame,
    curves: pd.DataFrame,
    metrics: Sequence[str],
) -> pd.DataFrame:
    """Return a row for each condition and metric: n, mean, sd, t interval, and how many runs have no value, and why.

    interval = mean ± t(0.975, n - 1) s sqrt(1/n + overlap), in the metric's unit, where s is the standard deviation or, of an accuracy,
    one example if that is more: equal accuracies on a finite set do not make equal networks. It ends where the metric does, at 0
    and 1 for an accuracy.
    Reference: Student, The Probable Error of a Mean, 1908.
    """
    parts = []
    for name in metrics:
        measured = measure(observed, curves, name)
        by_condition = measured.groupby("position", sort=True)
        ended = (DIVERGED, FAILED, MISSING)
        status = {e: (measured["status"] == e).groupby(measured["position"]).sum() for e in ended}
        floors = [accuracy_step(name, c.settings, c.data.n_test) for c in conditions]
        together = pd.Series([overlap(name, c.settings, c.data) for c in conditions], dtype=float)
        of_floors, limits = pd.Series(floors, dtype=float), metric(name).limits
        part = intervals(measured, ["position"], of_floors, limits, together).assign(
            metric=name, planned=by_condition.size(), censored=by_condition["censored"].sum(), **status
        )
        parts.append(part.reset_index())
    return with_labels(pd.concat(parts, ignore_index=True), conditions, at=1)


def with_labels(estimates: pd.DataFrame, conditions: Sequence[Condition], at: int = 0) -> pd.DataFrame:
    """Return estimates, which have a `position`, with `condition_id` and `label` as columns from place `at` on."""
    estimates.insert(at, "condition_id", [conditions[i].condition_id for i in estimates["position"]])
    estimates.insert(at + 1, "label", [conditions[i].label for i in estimates["position"]])
    return estimates


def intervals(
    frame: pd.DataFrame,
    by: list[str],
    floors: pd.Series[float],
    limits: tuple[float, float] = (-np.inf, np.inf),
    overlaps: pd.Series[float] | None = None,
) -> pd.DataFrame:
    """Return n, mean, sd and t interval of `value` for each group. One value has a mean but neither sd nor interval.

    Args:
        frame: the numbers of replicates, with their keys.
        by: the keys.
        floors: the least sds that intervals are made of, by the first key of a group.
        limits: where intervals end at the latest.
        overlaps: how far replicates are from independent (`estimates.overlap`), by the first key; they are without.

    """
    groups = frame.groupby(by, sort=True)["value"]
    estimates = pd.DataFrame({"n": groups.count(), "mean": groups.mean(), "sd": groups.std()})
    equal = groups.max() == groups.min()  # whose standard deviation may come out as a rounding error
    estimates["sd"] = estimates["sd"].mask(equal & (estimates["n"] > 1), 0.0)
    least = floors.reindex(estimates.index.get_level_values(0)).to_numpy()
    spread = estimates["sd"].clip(lower=pd.Series(least, index=estimates.index)).where(estimates["n"] > 1)
    n = estimates["n"].to_numpy(dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stdtrit(np.where(n > 1, n - 1, np.nan), 0.5 + LEVEL / 2) * spread / np.sqrt(n)
        if overlaps is not None and overlaps.any():
            half *= np.sqrt(1 + n * overlaps.reindex(estimates.index.get_level_values(0)).to_numpy())
    estimates["low"] = (estimates["mean"] - half).clip(lower=limits[0])
    estimates["high"] = (estimates["mean"] + half).clip(upper=limits[1])
    return estimates


def geometric_intervals(frame: pd.DataFrame, by: list[str], overlaps: pd.Series[float] | None = None) -> pd.DataFrame:
    """Return geometric mean and interval of `value` for each group: `geo_mean`, `geo_low` and `geo_high`, for log axes.

    They are those of the logarithms, taken back; missing where a value of the group is not positive, which has none.

    Args:
        frame: the numbers of replicates, with their keys.
        by: the keys.
        overlaps: as of `intervals`.

    """
    value = frame["value"].to_numpy(dtype=float)
    logs = np.log10(np.where(value > 0, value, np.nan))
    places = frame[by[0]].unique()
    estimates = intervals(frame.assign(value=logs), by, pd.Series(0.0, index=places), overlaps=overlaps)
    lacking = (
        pd.Series(~(value > 0) & ~np.isnan(value), index=frame.index).groupby([frame[b] for b in by], sort=True).any()
    )
    known = ~lacking.to_numpy(dtype=bool)
    with np.errstate(over="ignore", under="ignore"):
        columns = {f"geo_{name}": (10.0 ** estimates[name]).where(known) for name in ("mean", "low", "high")}
    return pd.DataFrame(columns).replace(np.inf, np.nan)


GEOMETRIC = {"mean": "geo_mean", "low": "geo_low", "high": "geo_high"}


def as_geometric(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return estimates whose mean, low and high are the geometric ones."""
    return estimates.assign(**{name: estimates[column] for name, column in GEOMETRIC.items()})


def estimate_curves(
    experiment: Experiment, conditions: Sequence[Condition], observed: pd.DataFrame, curves: pd.DataFrame
) -> pd.DataFrame:
    """Return a row for each condition, split, epoch and measure (loss, accuracy): n, mean, sd and t interval.

    Of a loss there is a geometric mean, too, with its interval, for log axes (`geometric_intervals`). There is no accuracy where the
    target is numbers.
    Only runs that finished, and have curves, count: a mean over those still alive at an epoch would change its members
    along the curve. So a curve of runs that stop early ends where the first of them stops.
    """
    if curves.empty:
        observed = observed.head(0)
    finished = observed.loc[observed["status"] == OK, ["position", "replicate", "run_id"]]
    rows = finished.merge(with_numbers(curves), on="run_id").sort_values(["position", "replicate", "split", "step"])
    stopping = [i for i, c in enumerate(conditions) if c.settings.stops_early]
    parts = []
    for measure in ("loss", "accuracy"):
        for split in ("train", "validation", "test"):
            some = rows[rows["split"] == split]
            if some[measure].isna().all():
                continue
            some = some.assign(value=some[measure].astype(float))
            floors = [_curve_step(split, c.settings, c.data.n_test) for c in conditions]
            least = pd.Series(floors if measure == "accuracy" else [0.0] * len(floors), dtype=float)
            limits = METRICS[f"test_{measure}"].limits
            together = by_position(split, conditions)
            keys = ["position", "epoch", "step"]
            part = intervals(some, keys, least, limits, together)
            if measure == "loss":
                part = part.join(geometric_intervals(some, keys, together))
            part = part.reset_index()
            all_there = part["n"] == part.groupby("position")["n"].transform("max")
            part = part[all_there | ~part["position"].isin(stopping)]
            parts.append(part.assign(split=split, measure=measure))
    columns = ["position", "epoch", "step", "n", "mean", "sd", "low", "high", *GEOMETRIC.values(), "split", "measure"]
    estimates = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return with_labels(estimates, conditions)


def with_numbers(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of curves that have a loss or an accuracy: `trim` leaves rows without."""
    return curves.dropna(subset=["loss", "accuracy"], how="all")


def _curve_step(split: str, settings: RunSettings, n_test: int) -> float:
    examples = {"train": min(settings.n_fit, CURVE_EXAMPLES), "validation": settings.n_validation, "test": n_test}
    return 1 / max(examples[split], 1)
