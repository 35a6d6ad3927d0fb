"""Numbers as text: short and near the number at any size, with an exponent where zeros would have to be counted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.report.number_text import brief, fixed, rounded_factor, short_exponent, signed, times, with_spread

SIZES = st.floats(1e-30, 1e30)


def number(text: str) -> float:
    return float(text.replace(",", ""))


@given(st.floats(-45, 30), st.floats(-14, 14), st.booleans())
def test_a_number_is_within_its_last_digit_and_spells_no_row_of_zeros(
    size: float, wider: float, negative: bool
) -> None:
    value, spread = (-1 if negative else 1) * 10**size, 10 ** (size + wider)
    said = fixed(value, spread)
    if abs(number(said)) >= 1e9 or spread <= 1e-12 * abs(value):
        assert number(said) == pytest.approx(value, rel=0.006)
        return
    # Two digits of the spread: off by half of the second at most, and by what a float holds.
    assert abs(number(said) - value) <= 0.06 * spread + 1e-12 * abs(value)
    assert not number(said) or not said.lstrip("-").startswith("0.0000")
    assert len(said) <= 22
    assert "e+" not in said
    assert "e-0" not in said


@given(SIZES, st.integers(1, 4))
def test_a_brief_number_has_few_letters_and_its_digits(value: float, digits: int) -> None:
    said = brief(value, digits)
    assert number(said) == pytest.approx(value, rel=0.5 * 10 ** (1 - digits) * 1.001)
    assert len(said) <= digits + 7
    assert said == short_exponent(said), "no sign and no zero in front of an exponent"


@given(st.floats(1, 1e300))
def test_how_many_times_is_right_within_a_digit(factor: float) -> None:
    said = times(factor)
    if not said.startswith("about"):
        assert number(said) == pytest.approx(factor, rel=0.06)
        return
    mantissa, _, power = said.removeprefix("about ").rpartition(" \N{MULTIPLICATION SIGN} ")
    raised = power.removeprefix("10").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert abs(math.log10(factor) - int(raised) - math.log10(int(mantissa or 1))) < 0.18


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (fixed(1.92e-9, 2.8e-9), "1.9e-9"),
        (fixed(-2e-6, 1.65e-5), "-2e-6"),
        (fixed(0.0, 1e-7), "0"),
        (fixed(13135432.0, 0.0), "13,135,432"),
        (fixed(9999.0, 3.0), "9999.0"),
        (fixed(12345.6, 30.0), "12,346"),
        (fixed(math.inf, 1.0), "inf"),
        (fixed(1.7e308, 1.797e308), "1.700e308"),
        (fixed(1.2e-5, math.nan), "1.200e-5"),
        (with_spread(1.9e-9, 2.8e-9, 2.3e-5), "1.9e-9 ± 2.8e-9"),
        (with_spread(1.1e-6, 3.2e-7, 2.3e-5), "1.10e-6 ± 3.2e-7"),
        (with_spread(0.000266, 0.000301, 2.3e-5), "0.000266 ± 0.000301"),
        (with_spread(0.0063, 1e-18, 1e-18), "0.0063"),
        (with_spread(0.1 + 0.2, 5e-17), "0.3"),
        (signed(0.5, 0.1), "+0.50"),
        (signed(1e-9, 1e-9), "+1.0e-9"),
        (signed(0.001, 0.5), "0.00"),
        (signed(-0.5, 0.1), "-0.50"),
        (brief(1358.3), "1,360"),
        (brief(math.nan), "nan"),
        (rounded_factor(394.0), "390"),
        (rounded_factor(1.31e30), "1.3e30"),
        (times(1019.0), "1,000"),
        (times(1.31e30), "about 10³⁰"),
        (times(3.93e18), "about 4 \N{MULTIPLICATION SIGN} 10¹⁸"),
    ],
)
def test_numbers_that_people_read(said: str, expected: str) -> None:
    assert said == expected
