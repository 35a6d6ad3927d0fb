"""Reports over numbers at the edge of what a number can be: every section is made and every figure drawn."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_layers import layer_rows, reads
from arithmetic_tables import WIDTH_CLAIMS, Tables, make, spec
from reports import report_of

from mlpbench.base.escapes import markdown as escaped
from mlpbench.report.figures import layouts, scales, theme

Numbers = Callable[[np.random.Generator, int], np.ndarray]
# Of single precision, which training is in as a rule.
LEAST, MOST = 1e-45, 3e38

KINDS: dict[str, Numbers] = {
    "zeros": lambda rng, n: np.zeros(n),
    "ones": lambda rng, n: np.ones(n),
    "constants far from zero": lambda rng, n: np.full(n, -1e15) + rng.integers(0, 2, n),
    "subnormal": lambda rng, n: rng.integers(1, 4, n) * LEAST,
    "huge": lambda rng, n: rng.uniform(0.1, 1, n) * MOST,
    "huge on both sides": lambda rng, n: rng.uniform(-1, 1, n) * MOST,
    "all sizes": lambda rng, n: 10.0 ** rng.uniform(-45, 38, n),
    "all sizes and zeros": lambda rng, n: 10.0 ** rng.uniform(-45, 38, n) * rng.integers(0, 2, n),
    "negative": lambda rng, n: -(10.0 ** rng.uniform(-3, 3, n)),
    "infinite": lambda rng, n: np.full(n, math.inf),
    "some infinite": lambda rng, n: np.where(rng.random(n) < 0.3, math.inf, rng.random(n)),
    "some missing": lambda rng, n: np.where(rng.random(n) < 0.3, math.nan, rng.random(n)),
    "missing": lambda rng, n: np.full(n, math.nan),
}
SPECS: dict[str, dict[str, Any]] = {
    "widths": {"factors": {"width": [8, 16, 32, 256, 512, 1024]}, "probes": [0, 1, "end"], "claims": WIDTH_CLAIMS[:3]},
    "depths": {"factors": {"depth": [1, 2, 3]}, "probes": [0, 1, "end"]},
    "crossed": {"factors": {"lr": [0.1, 0.2, 0.4], "width": [8, 16]}},
    "words": {"factors": {"activation": ["relu", "prelu", "tanh"]}},
    "decay": {"factors": {"weight_decay": [0, 0.1]}},
    "one condition": {},
    "numbers": {
        "dataset": {"name": "linear"},
        "fixed": {"loss": "squared_error", "epochs": 2},
        "factors": {"depth": [0, 1]},
    },
}
COUNTED = ("epochs", "steps", "stack_size", "n_parameters", "replicate", "seed", "width", "depth", "batch_size")


def altered(frame: pd.DataFrame, columns: list[str], numbers: Numbers, rng: np.random.Generator) -> pd.DataFrame:
    return frame.assign(**{c: numbers(rng, len(frame)) for c in columns})


def extreme(tables: Tables, numbers: Numbers) -> tuple[Tables, pd.DataFrame]:
    """Put such numbers into every metric of every table."""
    rng = np.random.default_rng(0)
    metrics = [c for c in tables.runs.select_dtypes(float).columns if tables.runs[c].notna().any() and c not in COUNTED]
    metrics = [c for c in metrics if c not in ("lr", "momentum", "weight_decay", "l1", "validation", "input_scale")]
    runs = altered(tables.runs, metrics, numbers, rng)
    curves = altered(tables.curves, ["loss", "accuracy"], numbers, rng)
    layers = layer_rows(tables)
    measured = [c for c in layers.select_dtypes(float).columns if c not in ("epoch", "step", "layer")]
    layers = altered(layers, measured, numbers, rng)
    quantiles = [list(q) if np.isfinite(q).all() else None for q in (np.sort(numbers(rng, 21)) for _ in layers.index)]
    return replace(tables, runs=runs, curves=curves), layers.assign(
        weight_quantiles=pd.Series(quantiles, index=layers.index, dtype=object)
    )


# Two kinds in the quickest tests, a few in the slower ones; every kind and every spec at length.
QUICK, OFTEN = ("zeros", "all sizes and zeros"), ("all sizes and zeros", "huge on both sides", "some missing")


def mark_of(name: str, kind: str) -> list[pytest.MarkDecorator]:
    if name == "widths":
        return [] if kind in QUICK else [pytest.mark.slow if kind in OFTEN else pytest.mark.prove]
    return [pytest.mark.slow if kind == OFTEN[0] else pytest.mark.prove]


@pytest.mark.parametrize(("name", "kind"), [pytest.param(n, k, marks=mark_of(n, k)) for n in SPECS for k in KINDS])
def test_a_report_is_whole(name: str, kind: str) -> None:
    tables, layers = extreme(make(spec(**SPECS[name], replicates=3)), KINDS[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = report_of(tables, layers=reads(layers))
        assert report.failures == {}
    assert len(report.sections) > 2
    assert report.pictures.keys() == report.drawings.keys()


@pytest.mark.parametrize(
    "name", ["widths", *(pytest.param(n, marks=pytest.mark.prove) for n in sorted(SPECS.keys() - {"widths"}))]
)
def test_of_numbers_that_no_axis_holds_the_text_is_whole_and_says_which_figures_are_not(name: str) -> None:
    tables, layers = extreme(make(spec(**SPECS[name], replicates=3)), lambda rng, n: rng.uniform(-1, 1, n) * 1.7e308)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = report_of(tables, layers=reads(layers))
        assert report.context is not None
        assert bool(report.failures) == (len(report.context.conditions) > 1), "one mean is on every axis"
    assert report.failures.keys() <= report.drawings.keys()
    assert not report.failures.keys() & report.pictures.keys()
    for path, why in report.failures.items():
        assert f"]({path})" in report.markdown
        assert f"]({path})" not in report.as_drawn
        assert f"*The figure `{path}` could not be drawn: {escaped(why)}*" in report.as_drawn
    assert report.summary.verdicts.keys() <= {"undecided", "supported", "refuted"}


def test_a_band_beyond_all_numbers_is_drawn_as_far_as_its_axis() -> None:
    """Two runs that end at 1e-5 and 1e35 have a geometric interval over hundreds of decades: an axis is about means."""
    frame = pd.DataFrame(
        {"row": 0, "column": 0, "head": "", "measure": "variance", "line": "a", "text": "a", "x": [0.0, 1.0],
         "mean": [1.0, 1e15], "low": [0.9, 1e-290], "high": [1.1, 1e305]}
    )  # fmt: skip
    figure = layouts.panels(frame, [("a", "black")], "lr", "step")
    (ax,) = figure.axes
    theme.png(figure)
    low, high = ax.get_ylim()
    assert 0 < low < 1
    assert 1e15 < high < 1e17


@pytest.mark.parametrize(("low", "high"), [(1e-310, 1e-290), (1e-3, 10.0), (1e290, 1e307)])
def test_a_log_axis_has_the_limits_that_it_is_given(low: float, high: float) -> None:
    with theme.style():
        _, (ax,) = theme.new(2.0)
        ax.plot([0, 1], [1e-200, 1e200])
        scales.put_limits(ax, "y", scales.Limits(low=low, high=high, log=True, clipped=False))
    assert ax.get_ylim() == (low, high)
