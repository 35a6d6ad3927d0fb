"""What every form of claim is: a class of what a file may say, its checks, and the hypothesis it comes down to.

A form is a subclass of `ClaimForm` with a `name`, by which a file says it; being defined registers it. The YAML reader, the JSON
Schema, the checks, the statistics, the report and the terminal know forms by this class alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from mlpbench.base.models import LARGEST, Levels, Model, Path, SpecProblem, shown
from mlpbench.experiment.claims.hypothesis import SIGN_FLIP_LEAST, TYPICAL_LEAST, Hypothesis, Test
from mlpbench.experiment.claims.selectors import check_sides_differ, read_selector, selects
from mlpbench.experiment.components.losses import Target
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics import metric_names, own_metrics
from mlpbench.experiment.metrics.metric import REGRETS, Metric, metric, near_metric
from mlpbench.experiment.plugins.plugin import pieces_of
from mlpbench.experiment.shift_spec import undeclared

# Every form by its name, in the order they are defined.
FORMS: dict[str, type[ClaimForm]] = {}


class ClaimForm(Model):
    """One form of claim about one metric. A subclass has a name, names its fields that select conditions, and gives a hypothesis."""

    name: ClassVar[str] = ""
    # Fields that select conditions, by the key that a file has for them.
    selectors: ClassVar[Sequence[str]] = ()
    # Fields that are values of the metric, and those that are distances between such values.
    values: ClassVar[Sequence[str]] = ()
    margins: ClassVar[Sequence[str]] = ()
    # What to do where it is asked for with the data set as unit and has a test of its own.
    instead_over_datasets: ClassVar[str] = "leave `unit` out, so that it speaks of these data sets"

    metric: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register the form under its name."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.name:
            FORMS[cls.name] = cls

    def hypothesis(self, design: Design, conditions: Sequence[Condition], test: Test) -> Hypothesis:
        """Return what the claim comes down to; `test` is the one that the claim asks for, or a t test."""
        raise NotImplementedError

    def wheres(self) -> list[tuple[Path, Levels]]:
        """Return the selectors with where they stand below the form."""
        return [((self._alias(field),), getattr(self, field)) for field in self.selectors]

    def read(self, design: Design, path: Path) -> Self:
        """Return the form in canonical form; raise SpecProblem where the experiment lacks what it speaks of."""
        measured = self._measured(design, (*path, "metric"))
        if message := undeclared(metric_names.plain(measured.name), design.shifts):
            raise SpecProblem((*path, "metric"), message)
        _check_derived(design, measured, (*path, "metric"))
        self.check(design, measured, path)
        form = self.model_copy(update={"metric": measured.name})
        form = form.with_selectors(design, path)
        form.check_selectors(path)
        return form

    def _measured(self, design: Design, path: Path) -> Metric:
        """Return the metric, one of the experiment's plugins included; raise SpecProblem where there is none."""
        own = pieces_of(design.plugins, own_metrics.KIND)
        name = own_metrics.with_digest(self.metric, own)
        of_plugin = own_metrics.measured(metric_names.plain(name))
        target: Target = "classes" if design.has_classes else "numbers"
        try:
            if of_plugin is None or of_plugin[1] in own.values():
                return metric(name, target)
            raise ValueError(f"a metric of a plugin needs the plugin that has it, under plugins, got {name!r}")
        except ValueError as error:
            names = own_metrics.names_in(own, validates=design.validates)
            if near := near_metric(self.metric, target, names) if names else "":
                rule = f"{str(error).partition('; did you mean')[0]}; its plugins have {', '.join(names)}"
                raise SpecProblem(path, f"{rule}{near}") from None
            raise SpecProblem(path, str(error)) from None

    def with_selectors(self, design: Design, path: Path) -> Self:
        """Return the form with its selectors in canonical form."""
        canonical = {f: read_selector(design, getattr(self, f), (*path, self._alias(f))) for f in self.selectors}
        return self.model_copy(update=canonical)

    def check(self, design: Design, measured: Metric, path: Path) -> None:
        """Raise SpecProblem where the design or the metric is not one that the form can be about."""

    def check_selectors(self, path: Path) -> None:
        """Raise SpecProblem where the canonical selectors do not go together."""

    def check_conditions(self, design: Design, conditions: Sequence[Condition], path: Path) -> None:
        """Raise SpecProblem where no condition is selected, both sides are the same, or not those are there that the form needs."""
        for below, where in self.wheres():
            if not any(selects(where, c) for c in conditions):
                message = f"a claim must name levels of which some condition has all, got {shown(where)}"
                raise SpecProblem((*path, *below), message)
        if len(self.selectors) == 2:
            check_sides_differ({self._alias(f): getattr(self, f) for f in self.selectors}, conditions, path)

    def selected(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Return the conditions that the form is about: all where it has no selector."""
        wheres = [where for _, where in self.wheres()] or [{}]
        return [c for c in conditions if any(selects(where, c) for where in wheres)]

    # Options of a claim, `test` and `interval`, and what a form makes of them.

    @property
    def own_test(self) -> str:
        """Why the form takes neither `test` nor `interval`, in a sentence; empty where it takes them."""
        return ""

    @property
    def asks_for_nearness(self) -> str:
        """What in the form asks whether a number lies near another, which the sign test can't say; empty where nothing does."""
        return ""

    @property
    def is_of_median(self) -> bool:
        """Whether the form itself asks for the median."""
        return False

    def for_test(self, test: str, path: Path) -> Self:
        """Return the form as it is under an option `test`."""
        return self

    def check_options(self, test: str, interval: str, n: int, path: Path) -> None:
        """Raise SpecProblem, below the path of the claim, for options that the form can't have with n replicates."""
        for option, value in (("test", test), ("interval", interval)):
            if value != "t" and self.own_test:
                raise SpecProblem((*path, option), f"{self.own_test}: it takes no {option}, got {shown(value)}")
        if self.is_of_median or test == "sign":
            self._check_median(test, interval, n, path)
        if test == "sign_flip" and n < SIGN_FLIP_LEAST:
            raise SpecProblem((*path, "test"), too_few("sign-flip", n))

    def _check_median(self, test: str, interval: str, n: int, path: Path) -> None:
        if self.asks_for_nearness:
            rule = "the sign test asks on which side of a number the median lies,"
            rule += f" and {self.asks_for_nearness} whether it lies near one"
            raise SpecProblem((*path, "test"), f"{rule}, got {shown(test)}; did you mean 'sign_flip'?")
        self.for_test(test, path)
        what = f"a {self.name} of the median" if self.is_of_median else "a claim judged by the sign test"
        for option, value in (("test", test), ("interval", interval)):
            if value not in ("t", "sign"):
                rule = f"{what} has its own test and interval: it takes no {option}"
                raise SpecProblem((*path, option), f"{rule}, got {shown(value)}")
        if n < SIGN_FLIP_LEAST:
            at = (*path, "test") if test == "sign" else (*path, self.name, "of")
            raise SpecProblem(at, too_few("sign", n))

    @classmethod
    def _alias(cls, field: str) -> str:
        return cls.model_fields[field].alias or field


def too_few(test: str, n: int) -> str:
    """Return why a sign or sign-flip test needs more than n replicates."""
    rule = f"a {test} test needs {SIGN_FLIP_LEAST} replicates or more, since {SIGN_FLIP_LEAST - 1} can't reach p < 0.05"
    return f"{rule}, got {n}"


def too_few_typical(n: int) -> str:
    """Return why an interquartile mean needs more than n replicates."""
    return f"an interquartile mean needs {TYPICAL_LEAST} replicates or more, of which a quarter at each end is cut off, got {n}"


def median_words(test: Test) -> tuple[str, str]:
    """Return `median ` and ` in the median` where a test is of the median, nothing where it is of the mean."""
    words = {
        "median": ("median ", " in the median"),
        "typical": ("typical ", " in the interquartile mean"),
        "pseudomedian": ("pseudo-median ", " in the pseudo-median"),
    }
    return words.get(test.about, ("", ""))


def _check_derived(design: Design, measured: Metric, path: Path) -> None:
    """Refuse a layer metric at an epoch that is not probed, and a regret where levels are not refitted."""
    of = metric_names.layer_metric(measured.name)
    epochs = (0.0, math.inf) if design.probes is None else design.probes
    if of is not None and of.epoch not in epochs:
        rule = f"layers are measured at `probes`, here {', '.join(map(_epoch, epochs)) or 'none'}"
        nearest = min(epochs, key=lambda e: abs(min(e, LARGEST) - min(of.epoch, LARGEST)), default=of.epoch)
        near = f"; did you mean {_epoch(nearest)!r}, or a further epoch of probes?"
        raise SpecProblem(path, f"{rule}, got {_epoch(of.epoch)!r} in {measured.name!r}{near}")
    if measured.name in REGRETS and not (design.refit == "all" and design.nuisance):
        rule = "a regret needs refits of all nuisance levels, `validation: {folds: K, refit: all}`"
        raise SpecProblem(path, f"{rule}, got {measured.name!r} without them")


def _epoch(epoch: float) -> str:
    return {0.0: "start", math.inf: "end"}.get(epoch, f"{epoch:g}")
