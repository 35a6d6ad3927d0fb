"""Dead units against depth: lines are the means of the shares; panels without a dead unit become a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arithmetic_tables import Tables, make, replace_metric, spec
from reports import context_of, picture, report_of

from mlpbench.report.diagnostics import training_failures
from mlpbench.report.figures import theme
from mlpbench.report.topics import dead_units_by_depth

FACTORS: dict[str, Any] = {"init": ["he_normal", "xavier_normal"], "activation": ["relu", "tanh"], "depth": [1, 2, 4]}
FIXED: dict[str, Any] = {"width": 10, "epochs": 1}


def tables(share: Any, factors: Any = None, replicates: int = 3) -> Tables:
    """Return tables in which a share of the units of each condition and replicate is dead."""
    made = make(spec(factors=factors or FACTORS, fixed=FIXED, replicates=replicates))
    dead = {
        (i, r): share(c, r) * sum(c.settings.hidden_sizes)
        for i, c in enumerate(made.conditions)
        for r in range(replicates)
    }
    return replace_metric(made, "dead_units", dead)


def relu_dies(condition: Any, replicate: int) -> float:
    if condition.levels["activation"] == "tanh":
        return 0.0
    return float(condition.settings.n_hidden / 10 + 0.01 * replicate + 0.1 * (condition.levels["init"] == "he_normal"))


def test_lines_are_mean_shares_over_depth_and_panels_without_dead_units_are_a_sentence() -> None:
    found = dead_units_by_depth.section(context_of(tables(relu_dies)))
    assert found is not None
    assert "No unit is dead with activation=tanh: not drawn." in found.sentences
    assert "is highest with he_normal, relu at depth 4, 51.0%, 95% interval" in found.sentences
    assert "; there it goes from 21.0% at depth 1 to 51.0% at depth 4." in found.sentences
    (ax,) = found.figures[0].draw().axes
    assert ax.get_title(loc="left") == "activation=relu"
    lines = [(list(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float)) for line in ax.lines]  # type: ignore[arg-type]
    assert [x for x, _ in lines] == [[1, 2, 4], [1, 2, 4]]
    assert np.allclose(lines[0][1], [0.21, 0.31, 0.51])
    assert np.allclose(lines[1][1], [0.11, 0.21, 0.41])


def test_rows_stand_where_lines_do_not_and_never_both() -> None:
    deep = context_of(tables(relu_dies))
    assert training_failures.dead_units(deep) is None
    flat = context_of(tables(lambda c, r: 0.1, {"activation": ["relu", "gelu"], "depth": [1, 2]}))
    assert training_failures.dead_units(flat) is not None
    assert dead_units_by_depth.section(flat) is None
    alive = context_of(tables(lambda c, r: 0.0))
    assert dead_units_by_depth.section(alive) is None


@pytest.mark.parametrize("n", [1, 2, 6, 12])
def test_few_and_many_lines_are_drawn(n: int) -> None:
    inits = [{"normal": round(0.01 * (i + 1), 2)} for i in range(n)]
    factors = {"init": inits, "depth": [1, 2, 3]} if n > 1 else {"depth": [1, 2, 3]}
    made = tables(lambda c, r: 0.1 * c.settings.n_hidden, factors)
    found = dead_units_by_depth.section(context_of(made))
    assert found is not None
    (ax,) = found.figures[0].draw().axes
    assert len(ax.lines) == n
    assert len(theme.png(found.figures[0].draw())) < 40_000


def test_the_report_has_it_and_its_bytes_do_not_change() -> None:
    one, other = (report_of(tables(relu_dies)) for _ in range(2))
    assert "## Dead units against depth" in one.markdown
    assert "## Dead units\n" not in one.markdown
    name = "dead_units_by_depth"
    assert picture(one, name) == picture(other, name)
