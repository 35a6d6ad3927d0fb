"""The table of conditions can be read down its columns, whatever one run of it did."""

from __future__ import annotations

import pandas as pd
import pytest
from arithmetic_tables import make, replace_metric, spec
from reports import context_of

from mlpbench.report.number_text import scientific
from mlpbench.report.sections import conditions

LRS = [0.01, 0.1, 0.5, 1.0, 10.0]
FIVE = (-2, -1, 0, 1, 2)


def column(means: list[float], sds: list[float]) -> list[str]:
    """Return the cells of the column "test loss" for conditions with these means and sds."""
    made = make(spec(factors={"lr": LRS}))
    unit = pd.Series(FIVE).std()
    rows = enumerate(zip(means, sds, strict=True))
    values = {(i, r): m + sd * FIVE[r] / unit for i, (m, sd) in rows for r in range(5)}
    made = replace_metric(made, "test_loss", values)
    head, _, *lines = conditions.section(context_of(made)).table.splitlines()
    place = head.split(" | ").index("test loss")
    return [line.split(" | ")[place] for line in lines]


def test_a_loss_that_explodes_keeps_the_digits_of_the_others() -> None:
    assert column([0.412, 0.3123, 0.3581, 0.4, 1.23e12], [0.0021, 0.0012, 0.0019, 0.003, 3.4e11]) == [
        "0.4120 ± 0.0021",
        "0.3123 ± 0.0012",
        "0.3581 ± 0.0019",
        "0.4000 ± 0.0030",
        "1.2e12 ± 3.4e11",
    ]


def test_a_spread_of_another_order_has_digits_of_its_own() -> None:
    cells = column([0.412, 0.3123, 0.3581, 0.4, 61.4], [0.0021, 0.0012, 0.0019, 0.003, 38.2])
    assert cells[-2:] == ["0.4000 ± 0.0030", "61 ± 38"]


def test_equal_replicates_do_not_take_the_digits_of_the_column() -> None:
    cells = column([2.302585, 2.302585, 2.302585, 0.4123, 0.41], [0, 0, 0, 0.0021, 0.002])
    assert cells[0] == "2.3026 ± 0.0000"
    assert cells[3:] == ["0.4123 ± 0.0021", "0.4100 ± 0.0020"]
    assert column([2.0] * 5, [0.0] * 5) == ["2"] * 5


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [(1.23e12, 3.4e11, "1.2e12 ± 3.4e11"), (-5e7, float("nan"), "-5.0e7"), (9.99e9, 0.0, "1.0e10 ± 0.0e0")],
)
def test_numbers_too_large_for_their_digits(mean: float, sd: float, text: str) -> None:
    assert scientific(mean, sd) == text
