"""The time left follows the plan at first and what was measured later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.jobs.progress import seconds_left

seconds = st.floats(0.01, 1e6)


@given(total=seconds)
def test_before_anything_is_done_the_plan_is_told(total: float) -> None:
    assert seconds_left(total, 0.0, 0.0) == pytest.approx(total)


@given(total=seconds, slower=st.floats(0.1, 10), share=st.floats(0.5, 1))
def test_work_that_takes_longer_than_planned_is_told_nearly_so(total: float, slower: float, share: float) -> None:
    left = seconds_left(total, share * total, share * total * slower)
    assert left == pytest.approx((1 - share) * total * slower, rel=1.0, abs=1e-9)
    assert left >= 0


@given(total=seconds, spent=seconds)
def test_at_the_end_nothing_is_left(total: float, spent: float) -> None:
    assert seconds_left(total, total, spent) == 0
