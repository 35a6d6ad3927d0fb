"""Numbers and verdicts in words: digits follow the spread, differences of accuracies are percentage points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlpbench.evidence.judging.median_claims import is_partly_known
from mlpbench.evidence.statistics.t_test import ALPHA
from mlpbench.experiment.metrics.metric import metric

_SIGNIFICANT = 4
_SHOWN_UNITS = ("s", "steps", "epochs", "units", "decades")


def fixed(value: float, spread: float) -> str:
    """Return a value with as many decimals as show two significant digits of its spread."""
    if math.isnan(value):
        return "-"
    if not math.isfinite(spread) or spread <= 0:
        return f"{value:.{_SIGNIFICANT}g}" if abs(value) < 10**_SIGNIFICANT else f"{value:.0f}"
    # Rounding first, so that 0.00997 counts as 0.010 and not as 0.0100.
    decimals = max(0, 1 - math.floor(math.log10(float(f"{spread:.1e}"))))
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no negative zero


def with_spread(mean: float, sd: float, digits_by: float | None = None) -> str:
    """Return `0.8712 ± 0.0013`, the digits by the sd or by another one; the mean alone where there is no spread.

    Where the digits by another sd would leave nothing of the mean, they are by its own.
    """
    by = sd if digits_by is None else digits_by
    if mean != 0 and not any(c in "123456789" for c in fixed(mean, by)):
        by = sd
    if math.isnan(mean) or math.isnan(sd) or by == 0:
        return fixed(mean, by)
    return f"{fixed(mean, by)} ± {fixed(sd, by)}"


def scientific(mean: float, sd: float) -> str:
    """Return `1.2e12 ± 3.4e11`, for a number too large to be read digit by digit."""
    return " ± ".join(short_exponent(f"{v:.1e}") for v in (mean, sd) if not math.isnan(v))


def short_exponent(number: str) -> str:
    """Return `1e9` for `1e+09`, `1e-5` for `1e-05`, other numbers as they are."""
    mantissa, mark, exponent = number.partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else number


def probability(p: float) -> str:
    """Return a p value with two significant digits, `<0.001` below that, `-` where there is none."""
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


class Quantity:
    """How the number of one claim is printed: unit, sign, and digits by its interval."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        kind, unit = row["kind"], metric(row["metric"]).unit
        in_points = metric(row["metric"]).is_accuracy and kind in ("difference", "slope")
        self.factor = 100.0 if in_points or kind == "share" else 1.0
        self.signed = kind not in ("level", "share")
        of_metric = " pp" if in_points else f" {unit}" if unit in _SHOWN_UNITS else ""
        self.unit = {"place": " levels", "share": "%"}.get(kind, of_metric)
        self.per = f" {row['per']}" if row["per"] else ""
        self.spread = self.factor * _half_width(row)

    def plain(self, value: float, *, signed: bool | None = None) -> str:
        """Return the number without its unit."""
        text = fixed(self.factor * value, self.spread)
        positive = not text.startswith("-") and any(c in "123456789" for c in text)
        return f"+{text}" if (self.signed if signed is None else signed) and positive else text

    def full(self, value: float, *, signed: bool | None = None) -> str:
        """Return the number with its unit."""
        return f"{self.plain(value, signed=signed)}{self.unit}"

    def exact(self, value: float) -> str:
        """Return a number of the experiment file, as it stands there but in the unit of the estimate."""
        number = f"{self.factor * value:g}"
        return number + (self.unit.removesuffix("s") if number == "1" and len(self.unit) > 2 else self.unit)


def _half_width(row: Mapping[str, Any]) -> float:
    """Return half the width of the interval; of one with an open end, how far the other lies from the estimate."""
    low, high, estimate = row["low"], row["high"], row["estimate"]
    if math.isinf(low) != math.isinf(high):
        return float(abs((high if math.isinf(low) else low) - estimate))
    return math.nan if math.isinf(low) else float(high - low) / 2


def estimate_cell(row: Mapping[str, Any], *, per: bool = True) -> str:
    """Return `+1.52 pp (+1.31 to +1.73)` for a table; a slope says per what, where there is room."""
    if math.isnan(row["estimate"]):
        return "-"
    q = Quantity(row)
    text = f"{_estimate(row, q)}{q.per if per else ''}"
    return text if math.isnan(row["low"]) else f"{text} ({_interval(row, q)})"


def _estimate(row: Mapping[str, Any], q: Quantity) -> str:
    """Return `-235 steps`, or `at most -235 steps` where no more is known."""
    return f"{row.get('estimate_is', '')} {q.full(row['estimate'])}".strip()


def _interval(row: Mapping[str, Any], q: Quantity) -> str:
    """Return `+1.31 to +1.73`, of an interval with an open end what it goes from or to."""
    low, high = row["low"], row["high"]
    if math.isinf(low) and math.isinf(high):
        return "open on both sides"
    if math.isinf(low) or math.isinf(high):
        return f"at most {q.plain(high)}" if math.isinf(low) else f"at least {q.plain(low)}"
    return f"{q.plain(low)} to {q.plain(high)}"


def expected_cell(row: Mapping[str, Any]) -> str:
    """Return what the claim expects of the estimate, `> 0.2 pp` or `within 0.2 pp`, for a table."""
    if row["kind"] == "share":
        return "largest"
    if math.isnan(row["margin"]):
        return "-"
    if row["kind"] == "level" and row["sense"] == "equivalent":
        q = Quantity(row)
        return f"{q.factor * row['centre']:g} within {q.exact(row['margin'])}"
    sign = {"greater": ">", "less": "<", "equivalent": "within"}[row["sense"]]
    return f"{_of_median(row)}{sign} {Quantity(row).exact(row['margin'])}"


def _centre_of(row: Mapping[str, Any]) -> str:
    """Return what of its replicates a claim is about."""
    return "median" if row.get("test") == "sign" else "mean"


def _of_median(row: Mapping[str, Any]) -> str:
    return "median " if _centre_of(row) == "median" else ""


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def about(count: int) -> str:
    """Return a rough number as what it is: two significant digits."""
    return str(count) if count < 100 else str(round(count, 2 - len(str(count))))


def verdict_sentence(row: Mapping[str, Any]) -> str:
    """Return what was estimated, on which side of the bound it lies, and what would decide an undecided claim."""
    if math.isnan(row["estimate"]) and math.isnan(row["p"]):
        return ""
    q = Quantity(row)
    within = "" if math.isnan(row["low"]) else f"95% interval {_interval(row, q)}, "
    number = f"{_estimate(row, q)}{q.per} ({within}n = {row['n']})"
    if row["observed"]:
        return f"The mean is {number}."
    if math.isnan(row["p"]):
        return f"Estimated {number}."
    by = "Holm's correction" if pd.isna(row["look"]) else f"correction for looks and claims, at look {row['look']}"
    tail = f"({_equals(row['p'])}; {_equals(row['p_holm'])} after {by})"
    more = " ".join(part for part in (_sizes(row, q), _with_test_set(row, q)) if part)
    if row["verdict"] == "undecided":
        unknown = f"The {_centre_of(row)} isn't known ({within}n = {row['n']})"
        estimated = unknown if math.isnan(row["estimate"]) else f"Estimated {number}"
        return f"{estimated}; {_side(row, q)} isn't settled {tail}. {_outlook(row, q)} {more}".rstrip()
    return f"Estimated {number}: {_finding(row, q)} {tail}. {more}".rstrip()


def _sizes(row: Mapping[str, Any], q: Quantity) -> str:
    """Say how large a difference of two conditions is beside the spread, or how a mean compares with the middle half."""
    if row["kind"] == "level":
        if math.isnan(row["sd"]):
            return ""
        return f"Replicates have sd {fixed(row['sd'], row['sd'])}, interquartile mean {q.full(row['iqm'])}."
    if pd.isna(row["wins"]):
        return ""
    size = "" if math.isnan(row["effect"]) else f"Effect {row['effect']:.1f} sd of the differences (Hedges), "
    tied = f", equal in {row['ties']}" if row["ties"] else ""
    text = f"{size}a above b in {row['wins']} of {row['n']} replicates{tied}."
    return text[0].upper() + text[1:]


def _with_test_set(row: Mapping[str, Any], q: Quantity) -> str:
    """Say what the interval is with the sampling of the test set, and whether the verdict would stand."""
    if math.isnan(row["low_test"]):
        return str(row["sampling"])
    text = (
        f"With the sampling of the test set the interval is {q.plain(row['low_test'])} to {q.plain(row['high_test'])}."
    )
    mark = unconfirmed(row)
    return f"{text} **{mark}**" if mark else text


def unconfirmed(row: Mapping[str, Any]) -> str:
    """Return a mark where a verdict would not stand with the error that the sampling of the test set adds, else nothing."""
    if pd.isna(row["confirmed"]) or row["confirmed"]:
        return ""
    return "With that the verdict would not stand: another test set of this size may give another."


def _equals(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{probability(p).replace('<', '< ')}"


def _finding(row: Mapping[str, Any], q: Quantity) -> str:
    """Say what a decided verdict means: the test is against the bound, so it says on which side of it the mean lies."""
    sense, supported = row["sense"], row["verdict"] == "supported"
    if row["kind"] == "share":
        return "it is the largest" if supported else "another stream's is larger"
    if row["kind"] == "place":
        moved = "the mean place differs by less than half a level" if supported else "the mean place differs by more"
        side = "higher" if (sense == "greater") == supported else "lower"
        return moved if sense == "equivalent" else f"the best level is {side}"
    if sense == "equivalent" and row["kind"] == "level":
        where = "within" if supported else "beyond"
        return f"the mean lies {where} {q.exact(row['margin'])} of {q.exact(row['centre'])}"
    if sense == "equivalent":
        return f"the difference lies {'within' if supported else 'beyond'} the margin of {q.exact(row['margin'])}"
    if row["kind"] == "level" or row["margin"] == 0:
        what = _centre_of(row) if row["kind"] == "level" else f"{_of_median(row)}{row['kind']}"
        return f"the {what} is {'above' if (sense == 'greater') == supported else 'below'} {q.exact(row['margin'])}"
    gains = {
        ("difference", "greater"): "advantage", ("difference", "less"): "reduction",
        ("slope", "greater"): "rise", ("slope", "less"): "fall",
    }  # fmt: skip
    gain, margin = f"{_of_median(row)}{gains[row['kind'], sense]}", q.exact(abs(row["margin"]))
    return f"the {gain} is above the margin of {margin}" if supported else f"any {gain} is below the margin of {margin}"


def _side(row: Mapping[str, Any], q: Quantity) -> str:
    if row["kind"] == "share":
        return "whether it is the largest"
    if row["sense"] == "equivalent":
        about = f" of {q.exact(row['centre'])}" if row["kind"] == "level" else ""
        return f"whether it lies within {q.exact(row['margin'])}{about}"
    return f"on which side of {q.exact(row['margin'])} it lies"


def needed(row: Mapping[str, Any]) -> str:
    """Return about how many further replicates would decide an undecided claim; nothing where that is not known."""
    more = row["more_replicates"]
    if pd.isna(more):
        return ""
    hope = "as large a share lie on that side" if _centre_of(row) == "median" else "the estimate hold"
    return f"About {about(int(more))} further replicates would decide (80% power), should {hope}."


def _outlook(row: Mapping[str, Any], q: Quantity) -> str:
    if _centre_of(row) == "median":
        if row["p_holm"] <= ALPHA:  # decided, but for a look that is not complete
            return ""
        if pd.isna(row["more_replicates"]):
            hope = "so many lie on no known side" if is_partly_known(row) else "as many lie on either side"
            return f"{_NEVER[0].upper()}{_NEVER[1:]}, should {hope}."
        return needed(row)
    if math.isnan(row["detectable"]):
        return ""
    reach = q.full(row["detectable"], signed=False)
    if row["sense"] == "equivalent" and abs(row["estimate"] - row["centre"]) <= row["margin"]:
        equal = "a mean of just that" if row["kind"] == "level" else "equal conditions"
        now = f"With {row['n']} replicates {equal} would be found equivalent within {reach}"
    else:
        now = f"With {row['n']} replicates a distance of {reach} from there would be found"
    more = row["more_replicates"]
    then = _NEVER if pd.isna(more) else f"about {about(int(more))} further replicates would decide"
    return f"{now} (80% power); {then}, should the estimate hold."


_NEVER = "no affordable number of further replicates would decide"
