"""Numbers and verdicts in words: digits follow the spread, differences of accuracies are percentage points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlpbench.base.escapes import Markdown
from mlpbench.evidence.judging.at_the_margin import edge_of, reach_of
from mlpbench.evidence.judging.verdict import AT_THE_MARGIN, SUPPORTED, UNDECIDED, Interval, Verdict
from mlpbench.evidence.statistics.t_test import LEVEL
from mlpbench.experiment.claims.hypothesis import PRINTED_UNITS, BettingTest
from mlpbench.experiment.metrics.metric import LOG10_UNIT, metric
from mlpbench.report.number_text import LONG, VAST, fixed, rounded_factor, short_exponent
from mlpbench.report.number_text import signed as with_sign
from mlpbench.report.section import paragraph

# Ten to this power and more is not written out.
MOST_LOG10 = 300
# Units of which there are none below 0.
COUNTED = tuple(unit for unit in PRINTED_UNITS if unit != LOG10_UNIT)
NOT_ROBUST = "Not robust to test-set sampling: a different test set of this size could change the verdict."


def span(values: Mapping[int, float], labels: Mapping[int, str], what: str) -> str:
    """Return `what 0.2 (one) to 3 (other)`, by position; the value alone where there is one; nothing where there is none."""
    if not values:
        return ""
    low, high = (choose(values, key=lambda p: values[p]) for choose in (min, max))
    if len(values) == 1 or f"{values[low]:.2g}" == f"{values[high]:.2g}":
        return f"{what} {rounded_factor(values[high])}"
    return f"{what} {rounded_factor(values[low])} ({labels[low]}) to {rounded_factor(values[high])} ({labels[high]})"


def highest_and_lowest(rows: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the rows with the highest and with the lowest mean, the first of equal ones."""
    return max(rows, key=lambda r: float(r["mean"])), min(rows, key=lambda r: float(r["mean"]))


def probability(p: float) -> str:
    """Return a p value with two significant digits, `<0.001` below that, `-` where there is none."""
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


class Digits:
    """How the numbers of one verdict are printed: in the unit of its quantity, with digits by its interval."""

    def __init__(self, verdict: Verdict) -> None:
        self.quantity = verdict.hypothesis.quantity
        self.per = f" {self.quantity.per}" if self.quantity.per else ""
        self.spread = self.quantity.factor * _half_width(verdict)
        self.possible = possible(verdict)

    def plain(self, value: float, *, signed: bool | None = None) -> str:
        """Return the number without its unit."""
        shown = with_sign if (self.quantity.signed if signed is None else signed) else fixed
        return shown(self.quantity.factor * value, self.spread)

    def full(self, value: float, *, signed: bool | None = None) -> str:
        """Return the number with its unit."""
        return f"{self.plain(value, signed=signed)}{self.quantity.unit}"

    def exact(self, value: float) -> str:
        """Return a number of the experiment file, as it stands there but in the unit of the estimate."""
        number, unit = _as_written(self.quantity.factor * value), self.quantity.unit
        return number + (unit.removesuffix("s") if number == "1" and len(unit) > 2 else unit)

    def interval(self, interval: Interval) -> str:
        """Return `+1.31 to +1.73`, of an interval with an open end what it goes from or to; `90%: ` before it if it is of that level."""
        return f"{_level(interval)}: {self.ends(interval)}" if interval.level != LEVEL else self.ends(interval)

    def ends(self, interval: Interval) -> str:
        """Return `+1.31 to +1.73`, whatever the level."""
        low, high = within(interval, self.possible)
        if math.isinf(low) and math.isinf(high):
            return "open on both sides"
        if math.isinf(low) or math.isinf(high):
            return f"at most {self.plain(high)}" if math.isinf(low) else f"at least {self.plain(low)}"
        return f"{self.plain(low)} to {self.plain(high)}"


def _as_written(value: float) -> str:
    """Return a number of the experiment file: all of its digits, up to six of one that isn't whole."""
    is_long = LONG <= abs(value) < VAST and float(value).is_integer()
    return f"{value:,.0f}" if is_long else short_exponent(f"{value:g}")


def possible(verdict: Verdict) -> tuple[float, float]:
    """Return between which values a level can lie, as no number of units is below 0; infinite ends of another number."""
    if not verdict.hypothesis.is_a_level or verdict.hypothesis.quantity.kind != "level":
        return -math.inf, math.inf
    of = metric(verdict.metric)
    low, high = of.limits
    return (0.0 if of.unit in COUNTED else low), high


def within(interval: Interval, ends: tuple[float, float]) -> tuple[float, float]:
    """Return an interval without what lies beyond these ends; where it is open it stays so."""
    low, high = interval.low, interval.high
    return (max(low, ends[0]) if math.isfinite(low) else low), (min(high, ends[1]) if math.isfinite(high) else high)


def _level(interval: Interval) -> str:
    return f"{interval.level:.0%}"


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
    """Return `+1.52 pp (+1.31 to +1.73)` for a table.

    Where there is room, a slope says `per` what, and a logarithm what number it is of.
    """
    if verdict.estimate is None:
        return "-"
    q = Digits(verdict)
    text = f"{_estimate(verdict, q)}{q.per}{_linear(verdict)}" if per else _estimate(verdict, q)
    return text if verdict.interval is None else f"{text} ({q.interval(verdict.interval)})"


def _linear(verdict: Verdict) -> str:
    """Return what an estimate in log10 units comes to: `, x51` of a difference, ` = 0.0023` of a level; else nothing."""
    quantity, estimate = verdict.hypothesis.quantity, verdict.estimate
    if quantity.unit.strip() != LOG10_UNIT or estimate is None or abs(estimate) >= MOST_LOG10:
        return ""
    return f"{', x' if quantity.signed else ' = '}{rounded_factor(10**estimate)}"


def _estimate(verdict: Verdict, q: Digits) -> str:
    """Return `-235 steps`, or `at most -235 steps` where no more is known."""
    assert verdict.estimate is not None
    return f"{verdict.estimate_is} {q.full(verdict.estimate)}".strip()


def estimate_phrase(verdict: Verdict) -> str:
    """Return `+1.52 pp (95% interval +1.31 to +1.73)` for a sentence, `-` where nothing is estimated."""
    if verdict.estimate is None:
        return "-"
    q = Digits(verdict)
    number = f"{_estimate(verdict, q)}{q.per}{_linear(verdict)}"
    ends = verdict.interval
    return number if ends is None else f"{number} ({_level(ends)} interval {q.ends(ends)})"


def expected_cell(verdict: Verdict) -> str:
    """Return what the claim expects of the estimate, `> 0.2 pp` or `within 0.2 pp`, for a table."""
    return _filled(verdict.hypothesis.wording.expected, verdict, Digits(verdict))


def _filled(template: str, verdict: Verdict, q: Digits, **more: str) -> str:
    """Return words about a claim with its numbers, as they stand in the experiment file but in the unit of the estimate."""
    tested = verdict.hypothesis
    return template.format(
        bound=q.exact(tested.bound),
        margin=q.exact(abs(tested.bound)),
        centre=q.exact(tested.centre),
        plain_centre=_as_written(tested.quantity.factor * tested.centre),
        **more,
    )


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def about(count: int) -> str:
    """Return a rough number as what it is: two significant digits."""
    return str(count) if count < 100 else f"{round(count, 2 - len(str(count))):,}"


def verdict_sentence(verdict: Verdict) -> str:
    """Return what was estimated, on which side of the bound it lies, and what would decide an undecided claim."""
    if verdict.estimate is None and verdict.p is None:
        return ""
    q, wording = Digits(verdict), verdict.hypothesis.wording
    within = "" if verdict.interval is None else f"{_level(verdict.interval)} interval {q.ends(verdict.interval)}, "
    size = f"({within}n = {units_counted(verdict)})"
    number = "" if verdict.estimate is None else f"{_estimate(verdict, q)}{q.per}{_linear(verdict)} {size}"
    if verdict.hypothesis.is_exact and verdict.decision != UNDECIDED:
        finding = wording.supported if verdict.decision == SUPPORTED else wording.refuted
        return f"It is {number}: {_filled(finding, verdict, q)}."
    if verdict.observed:
        return f"The mean is {number}."
    if verdict.p is None or verdict.p_corrected is None:
        return f"Estimated {number}."
    analysis = verdict.interim_analysis
    by = (
        "Holm's correction"
        if analysis is None
        else f"correction for interim analyses and claims, at interim analysis {analysis}"
    )
    tail = f"({_equals(verdict.p)}; {_equals(verdict.p_corrected)} after {by})"
    if verdict.e_value is not None:
        tail = f"(e = {_of_evidence(verdict.e_value)}; {_equals(verdict.p_corrected)} at any time, for all claims{_anytime(verdict, q)})"
    more = paragraph(_sizes(verdict, q), _with_test_set(verdict, q))
    estimated = f"Estimated {number}" if number else f"The {verdict.hypothesis.middle} isn't known {size}"
    if verdict.withheld is not None:
        finding = _filled(wording.supported, verdict, q)
        return paragraph(f"{estimated}: {finding} {tail}, and yet the claim is not supported.", more)
    if verdict.decision == AT_THE_MARGIN:
        return paragraph(f"{estimated}: {_at_the_margin(verdict, q)} {tail}.", needed(verdict), more)
    if verdict.decision == UNDECIDED:
        question = _filled(wording.question, verdict, q)
        inconclusive = f"{estimated}; inconclusive: the data do not show {question} {tail}."
        return paragraph(inconclusive, _outlook(verdict, q), more)
    finding = _filled(wording.supported if verdict.decision == SUPPORTED else wording.refuted, verdict, q)
    if verdict.hypothesis.drops_ties and verdict.estimate == verdict.hypothesis.bound:
        is_above = (verdict.hypothesis.sense == "greater") == (verdict.decision == SUPPORTED)
        finding = _filled(f"more lie {'above' if is_above else 'below'} {{bound}} than on the other side", verdict, q)
    return paragraph(f"{estimated}: {finding} {tail}.", more)


def _at_the_margin(verdict: Verdict, q: Digits) -> str:
    """Say between which numbers around its margin the number of a claim is found."""
    tested = verdict.hypothesis
    assert verdict.estimate is not None
    assert verdict.p_at_margin is not None
    edge, reach = edge_of(tested, verdict.estimate), reach_of(tested)
    low, high = (q.exact(edge + sign * reach) for sign in (-1, 1))
    return f"it lies at the margin, between {low} and {high} ({_equals(verdict.p_at_margin)} of both tests, corrected), and not clearly on either side of it"


def units_counted(verdict: Verdict, n: int | None = None) -> str:
    """Return a number of replicates, of data sets with what they are: `8 data sets`."""
    count = verdict.n if n is None else n
    return f"{count} data sets" if verdict.hypothesis.datasets else str(count)


def _of_evidence(e: float) -> str:
    return f"{e:.3g}" if e < 1e6 else "above 1,000,000"


def _anytime(verdict: Verdict, q: Digits) -> str:
    """Return the interval that holds however often one looks, where there is one."""
    ends = verdict.anytime_interval
    return f"; {ends.level:.0%} interval at any time {q.interval(ends)}" if ends and math.isfinite(ends.low) else ""


def _sizes(verdict: Verdict, q: Digits) -> str:
    """Say how large a difference of two conditions is beside the spread, or how a mean compares with the middle half."""
    sizes, outcomes = verdict.sizes, verdict.hypothesis.wording.outcomes
    if verdict.hypothesis.is_a_level:
        if sizes.sd is None or sizes.iqm is None:
            return ""
        return f"{verdict.hypothesis.units.capitalize()} have sd {fixed(sizes.sd, sizes.sd)}, interquartile mean {q.full(sizes.iqm)}."
    if sizes.wins is None or outcomes is None:
        return ""
    size = "" if sizes.effect is None else f"Effect size {sizes.effect:.1f} (Hedges' g of the differences); "
    ties = sizes.ties or 0
    losses = verdict.n - sizes.wins - ties
    more, words = (sizes.wins, outcomes[0]) if sizes.wins >= losses else (losses, outcomes[1])
    tied = f", equal in {ties}" if ties else ""
    return f"{size}{words} in {more} of {verdict.n} {verdict.hypothesis.units}{tied}."


def _with_test_set(verdict: Verdict, q: Digits) -> str:
    """Say what the interval is with the sampling of the test set, and whether the verdict would stand."""
    sampled = verdict.test_sampling
    if sampled.interval is None:
        return "" if sampled.unknown is None else sampled.unknown.sentence
    text = f"Including test-set sampling the interval is {q.ends(sampled.interval)}."
    return Markdown("{} **{}**").format(text, NOT_ROBUST) if not_robust(verdict) else text


def not_robust(verdict: Verdict) -> bool:
    """Return whether a verdict would not stand with the error that the sampling of the test set adds."""
    return verdict.test_sampling.confirmed is False


def qualifiers(verdict: Verdict) -> tuple[str, ...]:
    """Return the words that stand beside a verdict: not robust, exploratory, anytime."""
    raised = {"not robust": not_robust(verdict), "exploratory": verdict.exploratory, "anytime": verdict.anytime}
    return tuple(word for word, is_raised in raised.items() if is_raised)


def _equals(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{probability(p).replace('<', '< ')}"


def needed(verdict: Verdict) -> str:
    """Return about how many more replicates decide an undecided claim, and how surely; nothing where that is not known."""
    even, more, units = verdict.outlook.more_for_even, verdict.outlook.more_replicates, verdict.hypothesis.units
    if verdict.outlook.unknown:
        return f"How many {units} would decide it can't be said: {verdict.outlook.unknown}."
    if verdict.outlook.are_equal:
        return _if_equal(verdict)
    if same := _if_they_stay(verdict):
        return "" if more is None else f"About {about(more)} more {units} needed for 80% power {same}."
    floor = verdict.outlook.floor
    never = (
        ""
        if floor is None
        else f"the standard error stays above {Digits(verdict).full(floor, signed=False)} on one table"
    )
    if even is None:
        return (
            f"No number of replicates would decide it with a chance of 50%: {never}, however often it is split."
            if never
            else ""
        )
    likely = f"about {about(more)} with one of 80%" if more is not None else "80% takes more than 100,000"
    likely = f"no number with one of 80%, as {never}" if never else likely
    decide = "tell on which side of it" if verdict.decision == AT_THE_MARGIN else "decide it"
    return (
        f"About {about(even)} more {units if even != 1 else units[:-1]} would {decide} with a chance of 50%, {likely}."
    )


def _if_equal(verdict: Verdict) -> str:
    """Return what replicates that all have the same number say of further ones: no spread was seen of which a chance would follow."""
    more, tested = verdict.outlook.more_replicates, verdict.hypothesis
    equal = f"All {verdict.n} {tested.quantity.plural} are equal"
    decide = "tell on which side of it" if verdict.decision == AT_THE_MARGIN else "decide it"
    if more is None:
        return f"{equal}: more {tested.units} are unlikely to {decide}, as none would if theirs are equal too."
    return f"{equal}: about {about(more)} more would {decide} if theirs are equal too, and otherwise it can't be said how many."


def _if_they_stay(verdict: Verdict) -> str:
    """Return under which condition a number of further replicates is said, of a test that counts, or bets; else nothing."""
    test = verdict.hypothesis.test
    if isinstance(test, BettingTest):
        return "if they come out as those there are"
    counted = {
        "median": "if the share on that side stays the same",
        "wins": "if that share stays the same",
        "failures": "if runs fail as often as they have",
    }
    return counted.get(test.about, "")


def out_of_reach(verdict: Verdict, same: str = "") -> str:
    """Say that no number that can be thought of decides a claim; `same` is under which condition of a test that counts, or bets."""
    units, same = verdict.hypothesis.units, same or _if_they_stay(verdict)
    if not same:
        return f"No affordable number of {units} would decide it with a chance of 50%."
    bets = isinstance(verdict.hypothesis.test, BettingTest)
    return f"{'Not even 1,000 more give' if bets else f'No affordable number of {units} gives'} 80% power {same}."


def _outlook(verdict: Verdict, q: Digits) -> str:
    """Say what the test detects at this n, and how many replicates it would take."""
    tested, outlook = verdict.hypothesis, verdict.outlook
    if same := _if_they_stay(verdict):
        if not outlook.is_foreseen:  # decided, but for an incomplete analysis, say
            return ""
        if tested.is_of_median:
            same = "if the shares above and below stay the same"
            same = f"if as many {tested.units} stay censored" if verdict.is_partly_known else same
        return needed(verdict) or out_of_reach(verdict, same)
    if outlook.detectable is None or verdict.estimate is None:
        return needed(verdict) if tested.datasets else ""
    inside = tested.sense == "equivalent" and abs(verdict.estimate - tested.centre) <= tested.bound
    template = tested.wording.equivalent if inside else tested.wording.detectable
    detects = _filled(template, verdict, q, reach=q.full(outlook.detectable, signed=False))
    then = needed(verdict) or out_of_reach(verdict)
    return f"{verdict.n} {tested.units} detect {detects} with 80% power. {then}"
