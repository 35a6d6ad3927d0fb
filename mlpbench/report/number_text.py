"""Numbers as text: digits follow the spread, and what is very small or very large is written with an exponent.

A number below 1e-4 is `1.9e-9`, not a row of zeros; a large one has commas up to a billion, and an exponent beyond.
"""

from __future__ import annotations

import math

# Numbers without a spread have so many digits.
_SIGNIFICANT = 4
# Below the first, and from the last on, a number has an exponent; from the second on it has commas.
TINY, LONG, VAST = 1e-4, 1e4, 1e9
# A spread that is a smaller share of its number is the rounding of sums.
NOISE = 1e-12
# Factors and rounded numbers have an exponent, or are powers of ten, from here on.
MILLION = 1e6
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def fixed(value: float, spread: float) -> str:
    """Return a value with as many decimals as show two significant digits of its spread.

    >>> fixed(0.87123, 0.0013), fixed(1.92e-9, 2.8e-9), fixed(13135432, 0), fixed(-0.0, 0)
    ('0.8712', '1.9e-9', '13,135,432', '0')
    """
    if math.isnan(value):
        return "-"
    if not math.isfinite(value):
        return f"{value:.0f}"
    # Rounding may take the largest of numbers beyond what a float holds.
    if not math.isfinite(float(f"{spread:.1e}")) or spread <= NOISE * abs(value):
        small = 0 < abs(value) < TINY
        if small or abs(value) >= VAST:
            return short_exponent(f"{value:.{_SIGNIFICANT - 1}e}")
        value += 0.0  # no negative zero
        return f"{value:.{_SIGNIFICANT}g}" if abs(value) < LONG else f"{value:,.0f}"
    # Rounding first, so that 0.00997 counts as 0.010 and not as 0.0100.
    decimals = max(0, 1 - math.floor(math.log10(float(f"{spread:.1e}"))))
    rounded = round(value, decimals) + 0.0  # + 0.0: no negative zero
    if 0 < abs(rounded) < TINY:
        digits = decimals + math.floor(math.log10(abs(rounded)) + 1e-9)
        return short_exponent(f"{value:.{max(0, digits)}e}")
    if abs(rounded) >= VAST:
        return short_exponent(f"{value:.2e}")
    if not rounded and 10.0**-decimals < TINY:
        return "0"
    return f"{rounded:,.{decimals}f}" if abs(rounded) >= LONG else f"{rounded:.{decimals}f}"


def with_spread(mean: float, sd: float, digits_by: float | None = None) -> str:
    """Return `0.8712 ± 0.0013`, the digits by the sd or by another one; the mean alone where there is no spread.

    Where the digits by another sd would leave nothing of the mean or of the sd, or less than two of a tiny one, they are by its own.
    """
    sd = 0.0 if sd <= NOISE * abs(mean) else sd
    by = sd if digits_by is None or digits_by <= NOISE * abs(mean) else digits_by
    if (mean and not _says(fixed(mean, by))) or (0 < sd < TINY and abs(mean) < TINY):
        by = sd
    if math.isnan(mean) or math.isnan(sd) or by == 0:
        return fixed(mean, by)
    return f"{fixed(mean, by)} ± {fixed(sd, by)}"


def _says(text: str) -> bool:
    """Return whether there is another digit than 0 in a number."""
    return any(c in "123456789" for c in text.partition("e")[0])


def signed(value: float, spread: float) -> str:
    """Return a number with the digits by its spread and a plus where it is positive, and not 0 in these digits."""
    text = fixed(value, spread)
    return f"+{text}" if value > 0 and _says(text) else text


def scientific(mean: float, sd: float) -> str:
    """Return `1.2e12 ± 3.4e11`, for a number too large to be read digit by digit."""
    return " ± ".join(short_exponent(f"{v:.1e}") for v in (mean, sd) if not math.isnan(v))


def short_exponent(number: str) -> str:
    """Return `1e9` for `1e+09`, `1e-5` for `1e-05`, other numbers as they are."""
    mantissa, mark, exponent = number.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else number


def brief(value: float, digits: int = 3) -> str:
    """Return a number with so many digits, `0.00031` or `1,360`; with an exponent below 1e-4 and from a million on.

    >>> brief(1358.3), brief(3.2e8), brief(0.00031), brief(7.7e-31, 2)
    ('1,360', '3.2e8', '0.00031', '7.7e-31')
    """
    text = f"{value:.{digits}g}"
    rounded = float(text)
    if not math.isfinite(rounded) or not rounded:
        return text
    if not TINY <= abs(rounded) < MILLION:
        return short_exponent(
            text if "e" in text else f"{rounded:g}" if abs(rounded) < TINY else f"{rounded:.{digits - 1}e}"
        )
    return f"{int(rounded):,}" if abs(rounded) >= 1 and rounded.is_integer() else text


def rounded_factor(value: float) -> str:
    """Return by what factor something differs, in two digits: `1.3`, `490`, `1,000`, `0.00031`, `2.1e-7`."""
    return brief(value, 2)


def times(factor: float) -> str:
    """Return how many times something is another: `51`, or `about 10³⁰` of numbers that nobody counts.

    >>> times(51.3), times(1.31e30)
    ('51', 'about 10³⁰')
    """
    if float(f"{factor:.2g}") < MILLION:
        return rounded_factor(factor)
    mantissa, _, exponent = f"{factor:.0e}".partition("e")
    power = f"10{str(int(exponent)).translate(RAISED)}"
    return f"about {power}" if mantissa == "1" else f"about {mantissa} \N{MULTIPLICATION SIGN} {power}"
