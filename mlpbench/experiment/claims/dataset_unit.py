"""Claims with the data set as unit: one number of each data set, a mean over replicates, and a verdict over data sets.

A claim that averages over data sets says what holds on these: its replicates differ in their random streams alone. `unit: dataset` asks what
holds of data sets like these, of which the experiment has a sample. The number of each data set is that of the claim's form over the
conditions of this data set; replicates make it surer, and are no further data sets.

Reference: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlpbench.base.models import DATASET, Path, SpecProblem, shown
from mlpbench.data.table.table_data import TableData
from mlpbench.experiment.claims.claim_form import ClaimForm
from mlpbench.experiment.claims.hypothesis import (
    BCA_LEAST,
    SIGN_FLIP_LEAST,
    Hypothesis,
    OfDataSet,
    SignedRankTest,
    Test,
)
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.claims.selectors import without_zeros
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.metrics.metric import metric

# The tests that judge numbers of data sets, and their names in sentences.
TESTS = {"signed_rank": "signed-rank", "t": "t", "sign": "sign"}


def usual_test(form: ClaimForm) -> str:
    """Return the test that judges a form over data sets where the file names none."""
    return "sign" if form.is_of_median else "signed_rank"


def check_dataset_unit(form: ClaimForm, test: str, interval: str, design: Design, path: Path) -> None:
    """Raise SpecProblem, below the path of a claim with `unit: dataset`, where it can't be judged over data sets."""
    unit = (*path, "unit")
    n = len(design.datasets)
    if not design.varies_data:
        rule = "unit: dataset needs data sets that are levels of a factor, `factors: {dataset: [...]}`"
        raise SpecProblem(unit, f"{rule}, got factors {shown(list(design.factor_names))}; leave `unit` out")
    if form.own_test:
        instead = form.instead_over_datasets
        if getattr(form, "of", None) in ("every", "typical"):
            instead = "leave `of` out"
        raise SpecProblem(unit, f"{form.own_test}, which is none over data sets, got 'dataset'; {instead}")
    if metric(form.metric).source == "settings":
        rule = f"{plain(form.metric)} follows from the settings, and is exact on each data set"
        raise SpecProblem(unit, f"{rule}, got 'dataset'; leave `unit` out, or claim it where one data set is selected")
    if design.is_anytime:
        rule = "a claim over data sets is judged once, as further replicates are no further data sets"
        near = "state it with a number of replicates, or `max_replicates`"
        raise SpecProblem(unit, f"{rule}: it can't be looked at at any time, got 'dataset'; {near}")
    _check_sources(design, unit)
    _check_selectors(form, path)
    _check_test(form, test, interval, n, path)


def _check_sources(design: Design, unit: Path) -> None:
    """Refuse one table that stands for several data sets: its rows, read in two ways, are no two of a population."""
    seen: dict[str, str] = {}
    for name, source in design.datasets.items():
        if not isinstance(source, TableData):
            continue
        if (file := source.options.file) in seen:
            got = f"got {shown(seen[file])} and {shown(name)}, both {source.options.name}"
            rule = "data sets of a claim over them must be different ones"
            raise SpecProblem(unit, f"{rule}, {got}; leave one of them out, or `unit`")
        seen[file] = name


def _check_selectors(form: ClaimForm, path: Path) -> None:
    """Refuse a form that says on which data sets it is."""
    rule = "a claim with unit: dataset has a number of every data set"
    for below, where in form.wheres():
        if DATASET in where:
            at = (*path, form.name, *below, DATASET)
            message = f"{rule}, so that a selector leaves dataset out, got {shown(where[DATASET])}; or leave `unit` out"
            raise SpecProblem(at, message, key=True)
    for field in ("factor", "over"):
        if getattr(form, field, None) == DATASET:
            raise SpecProblem((*path, form.name, field), f"{rule}, so that it is about another factor, got 'dataset'")


def _check_test(form: ClaimForm, test: str, interval: str, n: int, path: Path) -> None:
    """Refuse tests and intervals that do not judge numbers of data sets, or not n of them."""
    if test not in TESTS:
        rule = f"numbers of data sets are judged by {', '.join(TESTS)}"
        raise SpecProblem((*path, "test"), f"{rule}, got {shown(test)}; did you mean 'signed_rank'?")
    if form.is_of_median and test != "sign":
        rule = f"a {form.name} of the median is judged by the sign test: it takes no test"
        raise SpecProblem((*path, "test"), f"{rule}, got {shown(test)}")
    if test == "sign":
        if form.asks_for_nearness:
            rule = f"the sign test asks on which side of a number the median lies, and {form.asks_for_nearness} whether it lies near one"
            raise SpecProblem((*path, "test"), f"{rule}, got {shown(test)}; did you mean 'signed_rank'?")
        form.for_test(test, path)
    if interval != "t" and test != "t":
        rule = f"the {TESTS[test]} test has its own interval: it takes no interval"
        raise SpecProblem((*path, "interval"), f"{rule}, got {shown(interval)}; did you mean 'test: t' too?")
    if interval == "bca" and n < BCA_LEAST:
        rule = f"a BCa interval needs {BCA_LEAST} data sets or more: at 5 it covered 85% instead of 95%"
        raise SpecProblem((*path, "interval"), f"{rule}, got {n}")
    if test == "t" and n < 2:
        raise SpecProblem((*path, "unit"), f"a verdict over data sets needs two or more, got {n}; leave `unit` out")
    if test != "t" and n < SIGN_FLIP_LEAST:
        rule = f"a {TESTS[test]} test needs {SIGN_FLIP_LEAST} data sets or more, since {SIGN_FLIP_LEAST - 1} can't reach p < 0.05"
        near = "add data sets, say `test: t`, or leave `unit` out, so that it speaks of these data sets"
        raise SpecProblem((*path, "unit"), f"{rule}, got {n}; {near}")


def by_dataset(design: Design, conditions: Sequence[Condition]) -> dict[str, list[Condition]]:
    """Return the conditions of each data set, by its name, in the order of the grid; one that names none has the first."""
    first, *_ = design.datasets
    grouped: dict[str, list[Condition]] = {}
    for c in conditions:
        grouped.setdefault(format_level(c.levels.get(DATASET, first)), []).append(c)
    return grouped


def check_each_dataset(form: ClaimForm, design: Design, conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem where the conditions of a data set are not those that a form with `unit: dataset` needs."""
    for name, own in by_dataset(design, conditions).items():
        try:
            form.check_conditions(design, own, path)
        except SpecProblem as problem:
            message = f"{problem.message}; of data set {name}, as unit: dataset asks for a number of each"
            raise SpecProblem(problem.path, message) from None
        if not isinstance(form.hypothesis(design, own, SignedRankTest()).number, WeightedSum):
            rule = f"{form.name or 'this form'} has no weighted sum of conditions, of which data sets have a mean"
            raise SpecProblem((*path[:-1], "unit"), f"{rule}, got 'dataset'; {form.instead_over_datasets}")


def over_datasets(form: ClaimForm, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
    """Return what a claim over data sets comes down to: the hypothesis of its form on each, put together."""
    each = {name: form.hypothesis(design, own, test) for name, own in by_dataset(design, conditions).items()}
    first, *others = each.values()
    names = [s.name for s in first.steps if all(s.name in {o.name for o in h.steps} for h in others)]
    steps = {name: {s.name: s.number for s in h.steps} for name, h in each.items()}
    datasets = [
        OfDataSet(name=name, number=h.number, steps=[steps[name][step] for step in names]) for name, h in each.items()
    ]
    wording = replace(first.wording, formula=f"{first.wording.formula}, over {len(each)} data sets")
    numbers = [h.number for h in each.values()]
    return replace(
        first,
        number=_mean(numbers),
        steps=[replace(s, number=_mean([of[s.name] for of in steps.values()])) for s in first.steps if s.name in names],
        datasets=datasets,
        wording=wording,
        averaged=tuple(dict.fromkeys(itertools.chain(*(h.averaged for h in each.values())))),
        confounded=tuple(dict.fromkeys(itertools.chain(*(h.confounded for h in each.values())))),
    )


def _mean(numbers: Sequence[object]) -> WeightedSum:
    """Return the mean of weighted sums of different conditions."""
    weights: dict[str, float] = {}
    for number in numbers:
        assert isinstance(number, WeightedSum), "a form without one is refused"
        of: Mapping[str, float] = number.weights
        weights |= {c: w / len(numbers) for c, w in of.items()}
    return WeightedSum(weights=without_zeros(weights))
