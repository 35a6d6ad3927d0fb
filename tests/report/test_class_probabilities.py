"""Reliability and ROC curves of a report: means and intervals of what runs have stored, and in words how far off confidence is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import Tables, make, spec
from reports import context_of, picture, report_of, section_failures
from scipy import stats

from mlpbench.evidence.test_outputs.set_curve_estimates import read_probabilities
from mlpbench.experiment.metrics.set_curves import RELIABILITY, ROC, ROC_STEPS
from mlpbench.experiment.metrics.set_scores import BINS
from mlpbench.report.figures import theme
from mlpbench.report.topics import class_probabilities
from mlpbench.results.examples import TestSet

TWO: dict[str, Any] = {"name": "voting"}
N = 600


def binned(excess: float, seed: int) -> list[float]:
    """Return bins of 600 examples that are less often right than their confidence, by so much."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(BINS)
    counts[8:] = [2, 40, 58, 100, 100, 100, 200]
    middle = (np.arange(BINS) + 0.5) / BINS
    right = counts * np.clip(middle - excess + 0.01 * rng.normal(size=BINS), 0, 1)
    return list(map(float, [*counts, *(counts * middle), *right]))


def curve(power: float) -> list[float]:
    rates: list[float] = (np.linspace(0, 1, ROC_STEPS + 1) ** power).tolist()
    return rates


class Made:
    """Runs that are overconfident by `excess` of (condition, replicate), with ROC curves or without."""

    def __init__(self, excess: Any, *, roc: bool = True, stored: bool = True, **keys: Any) -> None:
        usual: dict[str, Any] = {"dataset": TWO if roc else "iris", "fixed": {"epochs": 1}, "replicates": 4}
        self.tables: Tables = make(spec(**usual | keys))
        position = {c.condition_id: i for i, c in enumerate(self.tables.conditions)}
        self.rows: dict[str, Any] = {}
        for run_id, condition, r in self.tables.runs[["run_id", "condition_id", "replicate"]].itertuples(index=False):
            i = position[condition]
            self.rows[run_id] = (binned(excess(i, r), 100 * i + r), curve(0.1 + 0.02 * r + 0.1 * i) if roc else None)
        self.test_set = TestSet(
            predictions=lambda _ids: pd.DataFrame(columns=["run_id", "predicted"]),
            labels=lambda _data: None,
            curves=self.curves if stored else lambda _ids: pd.DataFrame(columns=["run_id", RELIABILITY, ROC]),
        )

    def curves(self, run_ids: Any) -> pd.DataFrame:
        rows = [{"run_id": i, RELIABILITY: self.rows[i][0], ROC: self.rows[i][1]} for i in run_ids]
        return pd.DataFrame(rows, columns=["run_id", RELIABILITY, ROC])

    @property
    def section(self) -> Any:
        return class_probabilities.section(context_of(self.tables, test_set=self.test_set))


def of_line(line: Any) -> tuple[Any, Any]:
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def test_lines_are_means_of_what_is_stored() -> None:
    made = Made(lambda i, r: 0.05 * (i + 1), factors={"width": [4, 8]})
    reliability, roc = made.section.figures[0].draw().axes
    ids = [
        made.tables.runs.loc[made.tables.runs["condition_id"] == c.condition_id, "run_id"].tolist()
        for c in made.tables.conditions
    ]
    for line, some in zip(reliability.lines[1:], ids, strict=True):
        counts, confidence, right = np.array([made.rows[i][0] for i in some]).reshape(-1, 3, BINS).transpose(1, 0, 2)
        kept = counts.sum(axis=0) >= 20
        x, y = of_line(line)
        assert np.allclose(x, (confidence / np.maximum(counts, 1))[0, kept])
        assert np.allclose(y, (right[:, kept] / counts[:, kept]).mean(axis=0))
    for line, some in zip(roc.lines[1:], ids, strict=True):
        x, y = of_line(line)
        assert np.allclose(x, np.arange(ROC_STEPS + 1) / ROC_STEPS)
        assert np.allclose(y, np.mean([made.rows[i][1] for i in some], axis=0))


def test_intervals_of_equally_full_bins_are_t_intervals_of_their_accuracies() -> None:
    made = Made(lambda i, r: 0.05 * r)
    found = read_probabilities(made.tables.conditions[0], context_of(made.tables).observed, 0, made.test_set)
    assert found is not None
    assert found.reliability is not None
    counts, _, right = np.array([v[0] for v in made.rows.values()]).reshape(-1, 3, BINS).transpose(1, 0, 2)
    kept = counts.sum(axis=0) >= 20
    interval: Any = stats.ttest_1samp(right[:, kept] / counts[:, kept], 0).confidence_interval(0.95)
    assert np.allclose(found.reliability.low, interval.low)
    assert np.allclose(found.reliability.high, np.minimum(interval.high, 1))


def test_the_excess_has_a_t_interval_over_replicates() -> None:
    made = Made(lambda i, r: 0.05 + 0.01 * r)
    found = read_probabilities(made.tables.conditions[0], context_of(made.tables).observed, 0, made.test_set)
    assert found is not None
    numbers = np.array([v[0] for v in made.rows.values()]).reshape(-1, 3, BINS)
    excess = (numbers[:, 1].sum(axis=1) - numbers[:, 2].sum(axis=1)) / N
    interval: Any = stats.ttest_1samp(excess, 0).confidence_interval(0.95)
    assert math.isclose(found.excess, excess.mean())
    assert np.allclose((found.low, found.high), interval)
    assert "The networks are overconfident: their mean confidence is " in made.section.sentences


def test_over_and_under_confidence_are_said_and_neither_where_the_interval_has_zero() -> None:
    assert "are underconfident" in Made(lambda i, r: -0.03).section.sentences
    assert "neither over- nor underconfident in the mean" in Made(lambda i, r: 0.1 * (-1) ** r).section.sentences
    two = Made(lambda i, r: 0.2 if i else 0.01, factors={"width": [4, 8]}).section.sentences
    assert "Networks with width=8 are overconfident" in two
    assert "Of those drawn width=4 is nearest to its accuracy, off by 1." in two
    one = Made(lambda i, r: 0.1, replicates=1).section.sentences
    assert "interval" not in one.split("Reliability")[0]


def test_more_than_two_classes_have_reliability_alone_and_older_folders_nothing() -> None:
    three = Made(lambda i, r: 0.1, roc=False).section
    assert [ax.get_title(loc="left") for ax in three.figures[0].draw().axes] == ["reliability"]
    assert "ROC" not in three.markdown
    assert Made(lambda i, r: 0.1, stored=False).section is None
    assert class_probabilities.section(context_of(Made(lambda i, r: 0.1).tables)) is None


@pytest.mark.parametrize(
    "n", [pytest.param(n, marks=[pytest.mark.prove] * (n not in (1, 6, 7, 12))) for n in range(1, 13)]
)
def test_one_to_twelve_conditions(n: int) -> None:
    made = Made(lambda i, r: 0.02 * i, factors={"lr": [0.01 * (i + 1) for i in range(n)]})
    section = made.section
    assert (f"The figure shows 6 of {n} conditions" in section.sentences) == (n > 6)
    axes = section.figures[0].draw().axes
    assert all(len(ax.lines) == 1 + min(n, 6) for ax in axes)
    colours = [line.get_color() for line in axes[0].lines[1:]]
    assert len(set(colours)) == len(colours)
    assert len(theme.png(section.figures[0].draw())) < 60_000


@pytest.mark.parametrize("wrong", [[1.0], [math.nan] * 45, [-1.0] * 45])
def test_what_is_no_curve_is_not_drawn(wrong: list[float]) -> None:
    made = Made(lambda i, r: 0.1, roc=False)
    made.rows = dict.fromkeys(made.rows, (wrong, None))
    assert made.section is None


def test_the_report_has_the_same_bytes_again() -> None:
    one, other = (Made(lambda i, r: 0.1, factors={"width": [4, 8]}) for _ in range(2))
    reports = [report_of(m.tables, test_set=m.test_set) for m in (one, other)]
    first, second = (picture(report, "class_probabilities") for report in reports)
    assert first == second
    assert not section_failures(reports[0])
    runs = one.tables.runs.assign(test_accuracy=np.nan)
    assert class_probabilities.section(context_of(replace(one.tables, runs=runs), test_set=one.test_set)) is None
