"""The levels of seeds: over any number of them that one tries, verdicts are false in at most 5%."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arithmetic_tables import COMPARED, verdict_with
from error_rates import at_most, say
from scipy import stats

from mlpbench.evidence.statistics.alpha_spending import seed_level
from mlpbench.evidence.statistics.t_test import ALPHA, holm
from mlpbench.report.sections.verdicts import levels_of_seeds


def simulated_p(*shape: int) -> np.ndarray:
    """Return p of t tests of five normal differences without an effect."""
    differences = np.random.default_rng(16).normal(size=(*shape, 5))
    return np.asarray(stats.ttest_1samp(differences, 0, axis=-1).pvalue)


def test_the_levels_of_all_seeds_come_to_five_percent() -> None:
    """Euler, De summis serierum reciprocarum, 1740: the sum of 1 / j^2 is pi^2 / 6; what is left after n is about 1 / n."""
    n = 100_000
    assert sum(seed_level(j) for j in range(1, n + 1)) == pytest.approx(ALPHA * (1 - 6 / (np.pi**2 * n)), rel=1e-9)
    assert [round(seed_level(j), 4) for j in (1, 2, 3)] == [0.0304, 0.0076, 0.0034]


@pytest.mark.parametrize("repeats", [2_000, pytest.param(40_000, marks=pytest.mark.prove)])
@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_the_best_of_several_seeds_is_false_in_at_most_five_percent(seeds: int, repeats: int) -> None:
    p = simulated_p(repeats, seeds)
    before = int((p <= ALPHA).any(axis=1).sum())
    say(f"best of {seeds} seeds, 5% each", before, repeats)
    levels = np.array([seed_level(j) for j in range(1, seeds + 1)])
    at_most(f"best of {seeds} seeds, at the level of each", int((p <= levels).any(axis=1).sum()), repeats)
    assert before / repeats == pytest.approx(1 - 0.95**seeds, abs=4 * 0.5 / repeats**0.5)


@pytest.mark.parametrize("repeats", [2_000, pytest.param(40_000, marks=pytest.mark.prove)])
def test_the_best_of_four_claims_is_false_in_at_most_five_percent_where_dropped_ones_count(repeats: int) -> None:
    best = simulated_p(repeats, 4).min(axis=1)
    before = int((best <= ALPHA).sum())
    say("best of 4 claims, the others dropped from the family", before, repeats)
    family = np.array([holm([p, 1.0, 1.0, 1.0])[0] for p in best])
    at_most("best of 4 claims, the others kept with p = 1", int((family <= seed_level(1)).sum()), repeats)
    assert before / repeats == pytest.approx(1 - 0.95**4, abs=4 * 0.5 / repeats**0.5)


def test_the_report_says_of_how_many_experiments_each_kind_of_verdict_is_false() -> None:
    """Those at the margin are tested apart, at 5% too: of claims that have a margin it is said beside the other 5%."""
    verdicts = [
        replace(verdict_with(fields=COMPARED | {"margin": margin}), seed_number=1, seeds=1, level=seed_level(1))
        for margin in (0.0, 0.01)
    ]
    without, also = levels_of_seeds(verdicts[:1]), levels_of_seeds(verdicts)
    said = "the chance that any of these claims has a false verdict is at most 5% for supported and refuted"
    assert without.endswith(f"{said}.")
    assert also.endswith(f"{said} and at most 5% for at the margin.")
