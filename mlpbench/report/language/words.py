"""Numbers and verdicts in words: digits follow the spread, differences of accuracies are percentage points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlpbench.evidence.judging.verdict import SUPPORTED, UNDECIDED, Interval, Verdict
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

    def __init__(self, verdict: Verdict) -> None:
        kind, measured = verdict.reduction.kind, metric(verdict.metric)
        in_points = measured.is_accuracy and kind in ("difference", "slope")
        self.factor = 100.0 if in_points or kind == "share" else 1.0
        self.signed = kind not in ("level", "share")
        of_metric = " pp" if in_points else f" {measured.unit}" if measured.unit in _SHOWN_UNITS else ""
        self.unit = {"place": " levels", "share": "%"}.get(kind, of_metric)
        self.per = f" {verdict.reduction.per}" if verdict.reduction.per else ""
        self.spread = self.factor * _half_width(verdict)

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

    def interval(self, interval: Interval) -> str:
        """Return `+1.31 to +1.73`, of an interval with an open end what it goes from or to."""
        low, high = interval.low, interval.high
        if math.isinf(low) and math.isinf(high):
            return "open on both sides"
        if math.isinf(low) or math.isinf(high):
            return f"at most {self.plain(high)}" if math.isinf(low) else f"at least {self.plain(low)}"
        return f"{self.plain(low)} to {self.plain(high)}"


def _half_width(verdict: Verdict) -> float:
    """Return half the width of the interval; of one with an open end, how far the other lies from the estimate."""
    if verdict.interval is None:
        return math.nan
    low, high = verdict.interval.low, verdict.interval.high
    if math.isinf(low) != math.isinf(high):
        estimate = math.nan if verdict.estimate is None else verdict.estimate
        return abs((high if math.isinf(low) else low) - estimate)
    return math.nan if math.isinf(low) else (high - low) / 2


def estimate_cell(verdict: Verdict, *, per: bool = True) -> str:
    """Return `+1.52 pp (+1.31 to +1.73)` for a table; a slope says per what, where there is room."""
    if verdict.estimate is None:
        return "-"
    q = Quantity(verdict)
    text = f"{_estimate(verdict, q)}{q.per if per else ''}"
    return text if verdict.interval is None else f"{text} ({q.interval(verdict.interval)})"


def _estimate(verdict: Verdict, q: Quantity) -> str:
    """Return `-235 steps`, or `at most -235 steps` where no more is known."""
    assert verdict.estimate is not None
    return f"{verdict.known} {q.full(verdict.estimate)}".strip()


def expected_cell(verdict: Verdict) -> str:
    """Return what the claim expects of the estimate, `> 0.2 pp` or `within 0.2 pp`, for a table."""
    tested = verdict.reduction
    if tested.kind == "share":
        return "largest"
    q = Quantity(verdict)
    if tested.kind == "level" and tested.sense == "equivalent":
        return f"{q.factor * tested.centre:g} within {q.exact(tested.bound)}"
    sign = {"greater": ">", "less": "<", "equivalent": "within"}[tested.sense]
    return f"{_of_median(verdict)}{sign} {q.exact(tested.bound)}"


def _centre_of(verdict: Verdict) -> str:
    """Return what of its replicates a claim is about."""
    return "median" if verdict.reduction.median else "mean"


def _of_median(verdict: Verdict) -> str:
    return "median " if verdict.reduction.median else ""


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def about(count: int) -> str:
    """Return a rough number as what it is: two significant digits."""
    return str(count) if count < 100 else str(round(count, 2 - len(str(count))))


def verdict_sentence(verdict: Verdict) -> str:
    """Return what was estimated, on which side of the bound it lies, and what would decide an undecided claim."""
    if verdict.estimate is None and verdict.p is None:
        return ""
    q = Quantity(verdict)
    within = "" if verdict.interval is None else f"95% interval {q.interval(verdict.interval)}, "
    size = f"({within}n = {verdict.n})"
    number = "" if verdict.estimate is None else f"{_estimate(verdict, q)}{q.per} {size}"
    if verdict.observed:
        return f"The mean is {number}."
    if verdict.p is None or verdict.p_corrected is None:
        return f"Estimated {number}."
    look = verdict.interim_analysis
    by = "Holm's correction" if look is None else f"correction for looks and claims, at look {look}"
    tail = f"({_equals(verdict.p)}; {_equals(verdict.p_corrected)} after {by})"
    more = " ".join(part for part in (_sizes(verdict, q), _with_test_set(verdict, q)) if part)
    if verdict.decision == UNDECIDED:
        estimated = f"Estimated {number}" if number else f"The {_centre_of(verdict)} isn't known {size}"
        return f"{estimated}; {_side(verdict, q)} isn't settled {tail}. {_outlook(verdict, q)} {more}".rstrip()
    return f"Estimated {number}: {_finding(verdict, q)} {tail}. {more}".rstrip()


def _sizes(verdict: Verdict, q: Quantity) -> str:
    """Say how large a difference of two conditions is beside the spread, or how a mean compares with the middle half."""
    sizes = verdict.sizes
    if verdict.reduction.kind == "level":
        if sizes.sd is None or sizes.iqm is None:
            return ""
        return f"Replicates have sd {fixed(sizes.sd, sizes.sd)}, interquartile mean {q.full(sizes.iqm)}."
    if sizes.wins is None:
        return ""
    size = "" if sizes.effect is None else f"Effect {sizes.effect:.1f} sd of the differences (Hedges), "
    tied = f", equal in {sizes.ties}" if sizes.ties else ""
    text = f"{size}a above b in {sizes.wins} of {verdict.n} replicates{tied}."
    return text[0].upper() + text[1:]


def _with_test_set(verdict: Verdict, q: Quantity) -> str:
    """Say what the interval is with the sampling of the test set, and whether the verdict would stand."""
    sampled = verdict.test_sampling
    if sampled.interval is None:
        return sampled.unknown
    text = f"With the sampling of the test set the interval is {q.interval(sampled.interval)}."
    mark = unconfirmed(verdict)
    return f"{text} **{mark}**" if mark else text


def unconfirmed(verdict: Verdict) -> str:
    """Return a mark where a verdict would not stand with the error that the sampling of the test set adds, else nothing."""
    if verdict.test_sampling.confirmed in (None, True):
        return ""
    return "With that the verdict would not stand: another test set of this size may give another."


def _equals(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{probability(p).replace('<', '< ')}"


def _finding(verdict: Verdict, q: Quantity) -> str:
    """Say what a decided verdict means: the test is against the bound, so it says on which side of it the mean lies."""
    tested, supported = verdict.reduction, verdict.decision == SUPPORTED
    sense, kind, bound = tested.sense, tested.kind, q.exact(tested.bound)
    if kind == "share":
        return "it is the largest" if supported else "another stream's is larger"
    if kind == "place":
        moved = "the mean place differs by less than half a level" if supported else "the mean place differs by more"
        side = "higher" if (sense == "greater") == supported else "lower"
        return moved if sense == "equivalent" else f"the best level is {side}"
    if sense == "equivalent" and kind == "level":
        return f"the mean lies {'within' if supported else 'beyond'} {bound} of {q.exact(tested.centre)}"
    if sense == "equivalent":
        return f"the difference lies {'within' if supported else 'beyond'} the margin of {bound}"
    if kind == "level" or tested.bound == 0:
        what = _centre_of(verdict) if kind == "level" else f"{_of_median(verdict)}{kind}"
        return f"the {what} is {'above' if (sense == 'greater') == supported else 'below'} {bound}"
    gains = {
        ("difference", "greater"): "advantage", ("difference", "less"): "reduction",
        ("slope", "greater"): "rise", ("slope", "less"): "fall",
    }  # fmt: skip
    gain, margin = f"{_of_median(verdict)}{gains[kind, sense]}", q.exact(abs(tested.bound))
    return f"the {gain} is above the margin of {margin}" if supported else f"any {gain} is below the margin of {margin}"


def _side(verdict: Verdict, q: Quantity) -> str:
    tested = verdict.reduction
    if tested.kind == "share":
        return "whether it is the largest"
    if tested.sense == "equivalent":
        about = f" of {q.exact(tested.centre)}" if tested.kind == "level" else ""
        return f"whether it lies within {q.exact(tested.bound)}{about}"
    return f"on which side of {q.exact(tested.bound)} it lies"


def needed(verdict: Verdict) -> str:
    """Return about how many further replicates would decide an undecided claim; nothing where that is not known."""
    more = verdict.outlook.more_replicates
    if more is None:
        return ""
    hope = "as large a share lie on that side" if verdict.reduction.median else "the estimate hold"
    return f"About {about(more)} further replicates would decide (80% power), should {hope}."


def _outlook(verdict: Verdict, q: Quantity) -> str:
    tested, outlook = verdict.reduction, verdict.outlook
    if tested.median:
        if (
            verdict.p_corrected is not None and verdict.p_corrected <= ALPHA
        ):  # decided, but for a look that is not complete
            return ""
        if outlook.more_replicates is None:
            hope = "so many lie on no known side" if verdict.is_partly_known else "as many lie on either side"
            return f"{_NEVER[0].upper()}{_NEVER[1:]}, should {hope}."
        return needed(verdict)
    if outlook.detectable is None or verdict.estimate is None:
        return ""
    reach = q.full(outlook.detectable, signed=False)
    if tested.sense == "equivalent" and abs(verdict.estimate - tested.centre) <= tested.bound:
        equal = "a mean of just that" if tested.kind == "level" else "equal conditions"
        now = f"With {verdict.n} replicates {equal} would be found equivalent within {reach}"
    else:
        now = f"With {verdict.n} replicates a distance of {reach} from there would be found"
    more = outlook.more_replicates
    then = _NEVER if more is None else f"about {about(more)} further replicates would decide"
    return f"{now} (80% power); {then}, should the estimate hold."


_NEVER = "no affordable number of further replicates would decide"
