"""A claim: a stated hypothesis, the form in which it is judged, and by which test. Reading, checking and writing claims."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field, ValidationError, create_model, model_validator

from mlpbench.base.models import Model, Path, SpecProblem, first_problem
from mlpbench.experiment.claims.claim_form import FORMS, ClaimForm
from mlpbench.experiment.claims.dataset_unit import check_dataset_unit, check_each_dataset, over_datasets, usual_test
from mlpbench.experiment.claims.hypothesis import (
    BCA_LEAST,
    ExactNumber,
    Hypothesis,
    SignedRankTest,
    SignFlipTest,
    SignTest,
    Test,
    TTest,
)
from mlpbench.experiment.claims.metric_checks import (
    check_margin,
    check_metric,
    check_metric_of,
    check_value,
    span_of,
)
from mlpbench.experiment.claims.replicate_numbers import WeightedSum
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.metrics.metric import metric

# isort: off
# Being imported registers the forms that a module defines, in this order.
from mlpbench.experiment.claims import comparisons, trend, value_claims, best_level, variance_share, run_shares

DEFINED_IN = (comparisons, trend, value_claims, best_level, variance_share, run_shares)
# isort: on


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A stated hypothesis.

    Attributes:
        id, says, source: a plain word, the claim in a sentence, and who makes it.
        form: how it is judged, and what it is about.
        test: `t`, `sign_flip` or `sign`, of data sets `signed_rank`, `t` or `sign`; a form may have a test of its own.
        interval: `t` or `bca`.
        unit: what it has one number of each of: `replicate`, or `dataset`.

    """

    id: str
    says: str
    form: ClaimForm
    source: str = ""
    test: str = "t"
    interval: str = "t"
    unit: str = "replicate"

    def hypothesis(self, design: Design, conditions: Sequence[Condition]) -> Hypothesis:
        """Return what the claim comes down to over the conditions of an experiment."""
        tests: Mapping[str, Test] = {
            "t": TTest(interval=self.interval),
            "sign_flip": SignFlipTest(interval=self.interval),
            "sign": SignTest(),
            "signed_rank": SignedRankTest(),
        }
        if self.unit == "dataset":
            return over_datasets(self.form, design, conditions, tests[self.test])
        hypothesis = self.form.hypothesis(design, conditions, tests[self.test])
        needed = [conditions[i].settings for i in hypothesis.positions(conditions)]
        follows = metric(hypothesis.metric).source == "settings" and not any(s.stops_early for s in needed)
        is_exact = follows and hypothesis.test.about != "variances"
        return replace(hypothesis, test=ExactNumber()) if is_exact else hypothesis

    def as_written(self) -> dict[str, Any]:
        """Return the claim as a file has it: options at their defaults are left out."""
        usual = {"test": "t", "interval": "t", "unit": "replicate"}
        if self.unit == "dataset":
            usual["test"] = usual_test(self.form)
        options = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        form = self.form.model_dump(exclude_none=True)
        return {"id": self.id, "says": self.says, "source": self.source, self.form.name: form} | options


class _StatedClaim(Model):
    """What every claim of a file has beside its form."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    says: str
    source: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> _StatedClaim:
        named = [name for name in FORMS if getattr(self, name, None) is not None]
        if len(named) != 1:
            rule = f"a claim has exactly one of {', '.join(FORMS)}"
            raise ValueError(f"{rule}, got {' and '.join(named) or 'none of them'}")
        return self


def claim_model() -> type[Model]:
    """Return the model of a claim as a file has it, with a key for every form that is defined."""
    return _claim_model(tuple(FORMS.items()))


@functools.cache
def _claim_model(forms: tuple[tuple[str, type[ClaimForm]], ...]) -> type[Model]:
    fields: dict[str, Any] = {name: (form | None, None) for name, form in forms}
    options: dict[str, Any] = {
        "test": (Literal["t", "sign_flip", "sign", "signed_rank"], "t"),
        "interval": (Literal["t", "bca"], "t"),
        "unit": (Literal["replicate", "dataset"], "replicate"),
    }
    model: type[Model] = create_model(
        "Claim", __base__=_StatedClaim, __doc__="A stated hypothesis, the form in which it is judged, and the test, the interval and the unit.",
        **fields, **options,
    )  # fmt: skip
    return model


@functools.cache
def _claims_model(each: type[Model]) -> type[Model]:
    """Return the model of all claims of a file. A list of the file is a tuple here: strictness would refuse it."""
    claims: Any = (tuple[each, ...], Field(default=(), strict=False))  # type: ignore[valid-type]
    return create_model("Claims", __base__=Model, claims=claims)


def read_claims(written: object) -> tuple[Claim, ...]:
    """Return the claims of a file, each checked on its own; raise SpecProblem."""
    each = claim_model()
    for i, claim in enumerate(written if isinstance(written, list) else ()):
        forms = [name for name in FORMS if name in claim] if isinstance(claim, Mapping) else []
        if forms and all(claim[name] is None for name in forms):
            needed = ", ".join(f.alias or n for n, f in FORMS[forms[0]].model_fields.items() if f.is_required())
            raise SpecProblem(("claims", i, forms[0]), f"{forms[0]} must be a mapping with {needed}, got null")
    try:
        read: Any = _claims_model(each).model_validate({"claims": written})
    except ValidationError as error:
        raise first_problem(error, lambda path: known_keys(path, each)) from None
    return tuple(map(_claim, read.claims))


def _claim(c: Any) -> Claim:
    """Return a claim that was read, with the test that its unit has where the file names none."""
    form: ClaimForm = next(stated for name in FORMS if (stated := getattr(c, name)) is not None)
    named = c.unit == "replicate" or "test" in c.model_fields_set
    test = c.test if named else usual_test(form)
    return Claim(id=c.id, says=c.says, source=c.source, form=form, test=test, interval=c.interval, unit=c.unit)


def known_keys(path: Path, claim: type[Model]) -> list[str]:
    """Return the keys that a claim, or what stands at a path inside one, may have."""
    models: Mapping[str, type[Model]] = {**FORMS, "terms": comparisons.Term}
    model = next((models[str(part)] for part in reversed(path[:-1]) if part in models), claim)
    return [field.alias or name for name, field in model.model_fields.items()]


def checked_claims(claims: Sequence[Claim], design: Design) -> tuple[Claim, ...]:
    """Check claims against factors, metrics and replicates; selectors come back in canonical form; raise SpecProblem."""
    seen: set[str] = set()
    checked = []
    for i, claim in enumerate(claims):
        path: Path = ("claims", i)
        if claim.id in seen:
            raise SpecProblem((*path, "id"), f"claim ids must differ, got {claim.id!r} twice")
        seen.add(claim.id)
        judged = design.replicates - design.set_aside
        if claim.unit == "dataset":
            form = claim.form.read(design, (*path, claim.form.name))
            check_dataset_unit(form, claim.test, claim.interval, design, path)
            checked.append(replace(claim, form=form.for_test(claim.test, path)))
            continue
        try:
            if claim.test == "signed_rank":
                rule = "the signed-rank test judges numbers of data sets, `unit: dataset`"
                raise SpecProblem((*path, "test"), f"{rule}, got 'signed_rank'; did you mean 'sign_flip'?")
            claim.form.check_options(claim.test, claim.interval, judged, path)
            if claim.interval == "bca" and judged < BCA_LEAST:
                rule = f"a BCa interval needs {BCA_LEAST} replicates or more: at 5 it covered 85% instead of 95%"
                raise SpecProblem((*path, "interval"), f"{rule}, got {judged}")
        except SpecProblem as problem:
            if design.set_aside and problem.message.endswith(f"got {judged}"):
                raise SpecProblem(
                    problem.path, f"{problem.message}: of {design.replicates} the first only tunes"
                ) from None
            raise
        form = claim.form.read(design, (*path, claim.form.name)).for_test(claim.test, path)
        checked.append(replace(claim, form=form))
    return tuple(checked)


def check_conditions(claims: Sequence[Claim], design: Design, conditions: Sequence[Condition]) -> None:
    """Raise SpecProblem for the first claim about conditions, layers or metrics that the experiment does not have."""
    for i, claim in enumerate(claims):
        path: Path = ("claims", i, claim.form.name)
        check_metric(claim.form.metric, design, conditions, (*path, "metric"))
        claim.form.check_conditions(design, conditions, path)
        if claim.unit == "dataset":
            check_each_dataset(claim.form, design, conditions, path)
        check_metric_of(claim.form.metric, claim.form.selected(conditions), (*path, "metric"))
        _check_span(claim, design, conditions, path)


def _check_span(claim: Claim, design: Design, conditions: Sequence[Condition], path: Path) -> None:
    """Raise SpecProblem for a number that no run's metric, or no difference of such, can come to."""
    form = claim.form
    low, high = span_of(form.metric, form.selected(conditions))
    for field in form.values:
        if (value := getattr(form, field)) is not None:
            check_value(form.metric, field, value, (low, high), (*path, field))
    if not form.margins or not math.isfinite(high - low):
        return
    hypothesis = claim.hypothesis(design, conditions)
    assert isinstance(hypothesis.number, WeightedSum), "a form with a margin is of a weighted sum"
    reach = high - low if hypothesis.is_a_level else hypothesis.number.reach((low, high))
    for field in form.margins:
        check_margin(form.metric, field, getattr(form, field), reach, hypothesis.quantity.kind, (*path, field))
