"""Figures for notebooks and scripts: those of the report, handed to pyplot, with axes to go on drawing."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest
from arithmetic_tables import make, spec, width_tables
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from reports import context_of

from mlpbench.base.errors import InputError
from mlpbench.report.notebook.outcome_plots import OutcomePlots


@pytest.fixture
def plots() -> Iterator[OutcomePlots]:
    with mpl.rc_context({"backend": "agg"}):
        plt.switch_backend("agg")
        yield OutcomePlots(context_of(width_tables()))
        plt.close("all")


def test_curves_are_the_means_of_conditions(plots: OutcomePlots) -> None:
    axes = plots.curves()
    assert all(isinstance(ax, Axes) for ax in axes)
    tables = width_tables()
    test = tables.curves[tables.curves["split"] == "test"].merge(tables.runs[["run_id", "width"]], on="run_id")
    means = test.groupby(["width", "epoch"])["accuracy"].mean()
    drawn = {tuple(round(float(y), 9) for y in line.get_ydata()) for ax in axes for line in ax.lines}  # type: ignore[union-attr, arg-type]
    for width in (8, 1024):
        assert tuple(round(float(v), 9) for v in means[width]) in drawn


def test_each_claim_has_its_pairs_and_one_claim_has_its_own(plots: OutcomePlots) -> None:
    every = plots.pairs()
    assert len(every) >= 6
    assert len(plt.get_fignums()) == len({ax.figure for ax in every})
    one = plots.pairs("wider-is-better")
    assert len(one) == 2
    left, right = one
    joined = [line for line in left.lines if len(line.get_xdata()) == 2]  # type: ignore[arg-type]
    assert len(joined) == 5 or left.collections, "a line for each replicate"
    assert "difference of test accuracy" in right.get_xlabel()


def test_claims_have_a_strip_each(plots: OutcomePlots) -> None:
    axes = plots.claims()
    titles = [ax.get_title(loc="left") for ax in axes]
    assert "1024 hidden units classify test images better than 256." in titles
    assert len(plots.claims("wide-is-wide")) == 1


def test_a_figure_belongs_to_pyplot_and_is_drawn_on(plots: OutcomePlots) -> None:
    axes = plots.curves()
    assert plt.gcf() is axes[0].figure
    axes[0].set_title("mine")
    axes[0].figure.canvas.draw()
    assert axes[0].get_title() == "mine"


def test_style_is_that_of_the_report_and_the_settings_of_the_user_stay(plots: OutcomePlots) -> None:
    before = dict(mpl.rcParams)
    plots.claims()
    assert dict(mpl.rcParams) == before


def test_a_claim_that_there_is_not_is_refused(plots: OutcomePlots) -> None:
    with pytest.raises(InputError, match="unknown claim 'wider'; did you mean 'wider-is-better'"):
        plots.pairs("wider")
    none = OutcomePlots(context_of(make(spec(factors={"width": [8, 16]}, replicates=2))))
    with pytest.raises(InputError, match="got none in made"):
        none.claims()
    with pytest.raises(InputError, match="got none in made"):
        none.pairs()
