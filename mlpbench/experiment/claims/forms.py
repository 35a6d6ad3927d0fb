"""Frozen models of claims: a stated hypothesis, the form in which it is judged, and by which test.

What a claim says is checked on its own here; that what it speaks of is there, in `claim_checks` and `presence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mlpbench.base.models import Model, Stream

FORMS = ("compare", "trend", "bound", "matches", "contrast", "best", "share")
# Options with one value by default, which a dump leaves out.
OPTIONS: Mapping[str, str] = {"test": "t", "interval": "t"}
# Forms whose test is a part of the form.
OWN_TEST = ("best", "share")


class Compare(Model):
    """Metric of condition a against condition b, paired by replicate."""

    metric: str
    a: dict[str, Any]
    b: dict[str, Any]
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = Field(default=None, ge=0)


class Trend(Model):
    """Slope of a metric over the levels of a factor, one slope per replicate."""

    metric: str
    factor: str
    expect: Literal["rises", "falls"]
    scale: Literal["log", "linear", "rank"] = "linear"
    margin: float = Field(default=0.0, ge=0)


class Bound(Model):
    """A metric above or below a number, in the mean, in the median or in every replicate."""

    metric: str
    where: dict[str, Any] = Field(default_factory=dict)
    above: float | None = None
    below: float | None = None
    of: Literal["mean", "every", "median"] = "mean"

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if (self.above is None) == (self.below is None):
            given = "neither" if self.above is None else "both"
            raise ValueError(f"a bound has exactly one of 'above' and 'below', got {given}")
        return self


class Matches(Model):
    """The mean of a metric is a published number, within a tolerance."""

    metric: str
    where: dict[str, Any] = Field(default_factory=dict)
    value: float
    tolerance: float = Field(gt=0)


class Term(Model):
    """One weighted condition of a contrast."""

    weight: float
    where: dict[str, Any]


class Contrast(Model):
    """A weighted sum of conditions, paired by replicate."""

    metric: str
    terms: list[Term] = Field(min_length=1)
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = Field(default=None, ge=0)


class Best(Model):
    """The place of the best level of a factor under `where`, against the place it has under `and`."""

    metric: str
    over: str
    where: dict[str, Any]
    other: dict[str, Any] = Field(alias="and")
    expect: Literal["same", "higher", "lower"]

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"and" if k == "other" else k: v for k, v in handler(self).items()}


class Share(Model):
    """The variance that one random stream makes among replicates, against that of each other stream."""

    metric: str
    where: dict[str, Any] = Field(default_factory=dict)
    stream: Stream
    expect: Literal["largest"]


Form = Compare | Trend | Bound | Matches | Contrast | Best | Share
MODELS: Mapping[str, type[Model]] = {
    "compare": Compare,
    "trend": Trend,
    "bound": Bound,
    "matches": Matches,
    "contrast": Contrast,
    "best": Best,
    "share": Share,
    "terms": Term,
}


class Claim(Model):
    """A stated hypothesis, the form in which it is judged, and the test and the interval."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    says: str
    source: str = ""
    compare: Compare | None = None
    trend: Trend | None = None
    bound: Bound | None = None
    matches: Matches | None = None
    contrast: Contrast | None = None
    best: Best | None = None
    share: Share | None = None
    test: Literal["t", "sign_flip", "sign"] = "t"
    interval: Literal["t", "bca"] = "t"

    @model_validator(mode="after")
    def _one_form(self) -> Claim:
        forms = [f for f in FORMS if getattr(self, f) is not None]
        if len(forms) != 1:
            rule = f"a claim has exactly one of {', '.join(FORMS)}"
            raise ValueError(f"{rule}, got {' and '.join(forms) or 'none of them'}")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if OPTIONS.get(k) != v}

    @property
    def kind(self) -> str:
        """The name of the form, as the file has it."""
        return next(k for k in FORMS if getattr(self, k) is not None)

    @property
    def form(self) -> Form:
        """The one form the claim has."""
        form: Form = getattr(self, self.kind)
        return form


def known_keys(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys that a claim, or what stands at a path inside one, may have."""
    model = next((MODELS[str(part)] for part in reversed(path[:-1]) if part in MODELS), Claim)
    return [field.alias or name for name, field in model.model_fields.items()]
