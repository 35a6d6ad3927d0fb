"""What pieces contribute, against the same numbers made in another way, and how the report says it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from reports import context_of
from scipy import stats

from mlpbench.evidence.estimates.contributions import contributions
from mlpbench.experiment.spec import build
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.sections import piece_contributions
from mlpbench.report.sections.conditions import meaning_of_labels
from mlpbench.report.topics.ablation_waterfall import waterfall_steps

BASE = {"dropout": 0.1, "norm": "layer", "weight_decay": 1e-4}
REMOVE = {"dropout": 0, "norm": "none", "weight_decay": 0}
N = 6
LINEAR = {"name": "linear", "train": 100, "test": 100}


def tables(values: Any, metric: str = "test_accuracy", **keys: Any) -> Tables:
    """Return tables with a metric of each condition (base, without each, without all) and replicate."""
    experiment = spec(replicates=len(values[0]), fixed={"epochs": 1}, ablate={"base": BASE, "remove": REMOVE}, **keys)
    return replace_metric(
        make(experiment), metric, {(i, r): float(v) for (i, r), v in np.ndenumerate(np.asarray(values))}
    )


def drawn(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    means = np.array([0.9, 0.88, 0.9, 0.91, 0.86])
    return means[:, None] + rng.normal(0, 0.002, (5, N)) + rng.normal(0, 0.01, N)


def test_contributions_are_paired_t_tests_with_holm() -> None:
    values = drawn()
    found = of(tables(values))
    base, *without, whole = values
    p = [stats.ttest_rel(base, w).pvalue for w in without]
    for c, w, raw in zip(found.pieces, without, p, strict=True):
        interval: Any = stats.ttest_rel(base, w).confidence_interval(0.95)
        assert math.isclose(c.mean, float((base - w).mean()), rel_tol=1e-9)
        assert np.allclose([c.low, c.high], interval, rtol=1e-9)
        assert math.isclose(c.p, raw, rel_tol=1e-9)
    ranked = sorted(range(3), key=lambda i: p[i])
    corrected, highest = [0.0] * 3, 0.0
    for rank, i in enumerate(ranked):
        highest = max(highest, min(1.0, (3 - rank) * p[i]))
        corrected[i] = highest
    assert np.allclose([c.p_holm for c in found.pieces], corrected)
    rest = base - whole - sum(base - w for w in without)
    assert math.isclose(found.left_over.mean, float(rest.mean()), rel_tol=1e-9)
    of_rest: Any = stats.ttest_1samp(rest, 0).confidence_interval(0.95)
    assert np.allclose([found.left_over.low, found.left_over.high], of_rest)


def test_pieces_without_interaction_leave_nothing_over() -> None:
    rng = np.random.default_rng(1)
    pieces, base = rng.normal(0.01, 0.01, (3, N)), rng.uniform(0.8, 0.9, N)
    found = of(tables([base, *(base - p for p in pieces), base - pieces.sum(axis=0)]))
    assert abs(found.left_over.mean) < 1e-12
    assert found.left_over.low < 0 < found.left_over.high


def test_a_loss_that_is_lower_with_a_piece_counts_for_it() -> None:
    values = 1 - drawn()
    found = contributions(*parts(tables(values, "test_loss")), "test_loss")
    assert found.pieces[0].mean > 0


def test_equal_accuracies_are_credited_with_one_test_example() -> None:
    values = np.full((5, N), 0.9)
    found = of(tables(values))
    assert all(c.low < 0 < c.high and c.p == 1 for c in found.pieces)


def test_a_replicate_without_a_result_is_left_out_where_it_is_needed() -> None:
    values = drawn()
    values[1, 2] = math.nan
    found = of(tables(values))
    assert [c.n for c in found.pieces] == [N - 1, N, N]
    assert (found.together.n, found.left_over.n) == (N, N - 1)


def test_replicates_are_matched_by_their_number_and_count_where_all_levels_are_there() -> None:
    """A top-up adds replicates to some conditions alone; an interruption leaves others out."""
    experiment = spec(
        replicates=4, fixed={"epochs": 1}, ablate={"base": BASE, "remove": REMOVE}, factors={"depth": [1, 2]}
    )
    made = make(experiment)
    experiment, conditions, observed = parts(made)
    shown = contributions(experiment, conditions, observed[observed["replicate"] < 3], "test_accuracy")
    lacks_a_depth = observed[~((observed["position"] % 2 == 1) & (observed["replicate"] == 3))]
    assert repr(contributions(experiment, conditions, lacks_a_depth, "test_accuracy")) == repr(shown)
    gone = (observed["position"] < 2) & (observed["replicate"] == 1)
    found = contributions(experiment, conditions, observed[~gone], "test_accuracy")
    without = contributions(experiment, conditions, observed[observed["replicate"] != 1], "test_accuracy")
    assert repr(found) == repr(without)  # NaN, which some of the numbers are, equals nothing


def test_replicates_that_split_one_table_anew_are_corrected_for_their_overlap() -> None:
    """Nadeau and Bengio: the standard error is s sqrt(1/n + n_test/n_fit)."""
    tables_of = {"dataset": {"name": "iris", "resplit": True}, "replicates": 5}
    pieces = {"base": {"dropout": 0.1, "norm": "layer"}, "remove": {"dropout": 0, "norm": "none"}}
    experiment = build({"name": "x", "question": "?", "fixed": {"epochs": 1}, "ablate": pieces} | tables_of)
    found = of(make(experiment)).pieces[0]
    values = parts(make(experiment))[2].set_index(["position", "replicate"])["test_accuracy"]
    differences = (values[0] - values[1]).to_numpy()
    sd = max(float(differences.std(ddof=1)), 1 / 30)
    half = stats.t.ppf(0.975, 4) * sd * math.sqrt(1 / 5 + 30 / 120)
    assert np.allclose([found.low, found.high], [found.mean - half, found.mean + half])


def test_the_section_says_what_the_numbers_say() -> None:
    text = text_of(tables(drawn()))
    assert "Of 3 pieces dropout contributes most to test accuracy: " in text
    assert "It is significantly better with dropout and significantly worse with weight_decay." in text
    assert "| norm | layer | none |" in text
    harmed = np.array([[0.9], [0.92], [0.93], [0.95], [0.96]]) + np.random.default_rng(0).normal(0, 0.001, (5, N))
    worse = text_of(tables(harmed))
    assert "No piece contributes to test accuracy; the one that harms least is dropout: -" in worse


def test_other_experiments_have_no_such_section() -> None:
    assert piece_contributions.section(context(make(spec(factors={"width": [4, 8]}, replicates=2)))) is None


def test_with_one_replicate_there_are_no_intervals() -> None:
    text = text_of(tables(drawn()[:, :1]))
    assert "| - | 1 | - |" in text


@pytest.mark.parametrize("values", [drawn(), drawn(3)])
def test_the_waterfall_goes_down_by_the_numbers_of_the_table(values: Any) -> None:
    of_section = piece_contributions.section(context(tables(values)))
    assert of_section is not None
    ax, numbers = of_section.figures[0].draw().axes
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert (labels[0], labels[-2:]) == ("with all", ["left over", "without all"])
    assert set(labels[1:-2]) == set(BASE)
    found = of(tables(values))
    means = {c.name: 100 * c.mean for c in found.pieces} | {"left over": 100 * found.left_over.mean}
    bars = [(float(bar.get_x()), float(bar.get_width())) for bar in ax.patches]  # type: ignore[attr-defined]
    assert np.allclose([width for _, width in bars], [-means[name] for name in labels[1:-1]])
    starts = np.cumsum([100 * values[0].mean(), *(width for _, width in bars)])
    assert np.allclose([x for x, _ in bars], starts[:-1])
    levels = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "D"]  # type: ignore[arg-type, index]
    assert np.allclose(levels, [100 * values[0].mean(), 100 * values[-1].mean()])
    assert np.isclose(starts[-1], levels[1]), "pieces and what is left over lead to none of them"
    intervals = [np.asarray(line.get_xdata(), dtype=float) for line in ax.lines if line.get_marker() == "|"]
    assert all(np.isclose(x + w, ends.mean()) for (x, w), ends in zip(bars, intervals, strict=True))
    texts = [t.get_text() for t in numbers.get_yticklabels()]
    assert abs(float(texts[1].partition(" ")[0]) - means[labels[1]]) < 0.06


def test_a_loss_goes_up_where_pieces_are_taken_away() -> None:
    of_section = piece_contributions.section(context(tables(1 - drawn(), "test_loss", dataset=LINEAR)))
    assert of_section is not None
    ax = of_section.figures[0].draw().axes[0]
    first = ax.patches[0]
    assert first.get_width() > 0, "the base without its best piece has a higher loss"  # type: ignore[attr-defined]


@pytest.mark.parametrize("lost", [(0, 0), (1, 2), (4, 5)])
def test_a_waterfall_with_missing_runs_is_drawn(lost: tuple[int, int]) -> None:
    values = drawn()
    values[lost] = math.nan
    of_section = piece_contributions.section(context(tables(values)))
    assert of_section is not None
    theme.png(of_section.figures[0].draw())


def test_one_replicate_has_bars_without_intervals_and_pieces_without_a_result_have_none() -> None:
    of_section = piece_contributions.section(context(tables(drawn()[:, :1])))
    assert of_section is not None
    ax = of_section.figures[0].draw().axes[0]
    assert len(ax.patches) == 4
    assert not [line for line in ax.lines if line.get_marker() == "|"]
    values = drawn()
    values[2] = values[4] = math.nan
    found = waterfall_steps(of(tables(values)), 1.0, 100.0)
    assert [step.name for step in found] == ["with all", "dropout", "weight_decay"]


def text_of(made: Tables) -> str:
    section = piece_contributions.section(context(made))
    assert section is not None
    return section.markdown


def context(made: Tables) -> Context:
    return context_of(made)


def parts(made: Tables) -> tuple[Any, Any, Any]:
    found = context_of(made)
    return found.experiment, found.conditions, found.observed


def of(made: Tables) -> Any:
    return contributions(*parts(made), "test_accuracy")


def test_what_labels_stand_for_has_no_level_of_a_factor_that_they_are_crossed_with() -> None:
    crossed = make(
        spec(replicates=2, fixed={"epochs": 1}, ablate={"base": BASE, "remove": REMOVE}, factors={"lr": [0.1, 0.5]})
    )
    said = meaning_of_labels(context_of(crossed))
    assert "- base: dropout=0.1, norm=layer, weight_decay=0.0001" in said
    assert "lr=" not in said
