"""Frozen models of an experiment: what the file says, in canonical form and checked.

`build` turns the plain tree of a YAML file into an `Experiment`; what is wrong with it is raised as `SpecProblem`, which
knows the path of the offending value, so that `reading` can name file, line and column.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlpbench.experiment.catalogue import CATALOGUE, DataFacts
from mlpbench.experiment.dataset import named_or_own
from mlpbench.experiment.kinds import LARGEST, Value, shown, suggestion
from mlpbench.experiment.metrics import metric
from mlpbench.experiment.own_data import OwnData
from mlpbench.experiment.problems import Path as Path
from mlpbench.experiment.problems import SpecProblem as SpecProblem
from mlpbench.experiment.problems import entry, first_problem, unknown_key
from mlpbench.experiment.settings import SETTINGS

ACCURACY_MARGIN = 0.002
FORMS = ("compare", "trend", "bound", "contrast")
# A setting that says in another way what others say.
INSTEAD_OF = {"hidden_sizes": ("width", "depth"), "steps": ("epochs",)}

Stream = Literal["init", "order", "dropout", "split", "noise"]
STREAMS: tuple[Stream, ...] = ("init", "order", "dropout", "split", "noise")
Levels = dict[str, Value]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Compare(_Model):
    """Metric of condition a against condition b, paired by replicate."""

    metric: str
    a: dict[str, Any]
    b: dict[str, Any]
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = Field(default=None, ge=0)


class Trend(_Model):
    """Slope of a metric over the levels of a factor, one slope per replicate."""

    metric: str
    factor: str
    expect: Literal["rises", "falls"]
    scale: Literal["log", "linear", "rank"] = "linear"
    margin: float = Field(default=0.0, ge=0)


class Bound(_Model):
    """A metric above or below a number, in the mean or in every replicate."""

    metric: str
    where: dict[str, Any] = Field(default_factory=dict)
    above: float | None = None
    below: float | None = None
    of: Literal["mean", "every"] = "mean"

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if (self.above is None) == (self.below is None):
            given = "neither" if self.above is None else "both"
            raise ValueError(f"a bound has exactly one of 'above' and 'below', got {given}")
        return self


class Term(_Model):
    """One weighted condition of a contrast."""

    weight: float
    where: dict[str, Any]


class Contrast(_Model):
    """A weighted sum of conditions, paired by replicate."""

    metric: str
    terms: list[Term] = Field(min_length=1)
    expect: Literal["greater", "less", "equivalent"]
    margin: float | None = Field(default=None, ge=0)


class Claim(_Model):
    """A stated hypothesis and the form in which it is judged."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    says: str
    source: str = ""
    compare: Compare | None = None
    trend: Trend | None = None
    bound: Bound | None = None
    contrast: Contrast | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Claim:
        forms = [f for f in FORMS if getattr(self, f) is not None]
        if len(forms) != 1:
            rule = f"a claim has exactly one of {', '.join(FORMS)}"
            raise ValueError(f"{rule}, got {' and '.join(forms) or 'none of them'}")
        return self

    @property
    def kind(self) -> str:
        """The name of the form, as the file has it."""
        return next(k for k in FORMS if getattr(self, k) is not None)

    @property
    def form(self) -> Compare | Trend | Bound | Contrast:
        """The one form the claim has."""
        form: Compare | Trend | Bound | Contrast = getattr(self, self.kind)
        return form


class Experiment(_Model):
    """One experiment: question, data, settings by role, replicates and claims."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)
    question: str
    dataset: str | OwnData
    validation: float | None = Field(default=None, gt=0, lt=1)
    fixed: Levels = Field(default_factory=dict)
    factors: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    zipped: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    conditions: tuple[Levels, ...] = ()
    replicates: int = Field(default=5, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    probes: tuple[Annotated[float, Field(allow_inf_nan=True)], ...] | None = None
    # A list of the file is a tuple here: the one conversion that strictness would refuse.
    vary: tuple[Stream, ...] = Field(default=STREAMS, strict=False)
    claims: tuple[Claim, ...] = Field(default=(), strict=False)

    @field_validator("probes", mode="before")
    @classmethod
    def _epochs(cls, value: object) -> object:
        """Read epochs: numbers, `start` and `end`, which is infinity here; in order, each once."""
        named: dict[object, float] = {"start": 0.0, "end": math.inf}
        if not isinstance(value, list) or not all(_is_epoch(v) or (isinstance(v, str) and v in named) for v in value):
            raise ValueError(f"probes must be a list of epochs of at least 0, start or end, got {shown(value)}")
        epochs = [named[v] if isinstance(v, str) else v for v in value]
        return tuple(sorted({float(e) for e in epochs}))

    @field_validator("question")
    @classmethod
    def _asks(cls, value: str) -> str:
        if not value.strip():
            raise ValueError(f"question must not be empty, got {value!r}")
        return value

    @property
    def data(self) -> DataFacts:
        """The facts of the data set: the catalogue's, or those of the user's own file."""
        return CATALOGUE[self.dataset] if isinstance(self.dataset, str) else self.dataset

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The settings that are varied, in the order of the file; `label` where whole conditions are listed."""
        listed = ("label",) if self.conditions else ()
        return (*self.factors, *self.zipped, *listed)


def _is_epoch(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST


# Zipped factors and whole conditions stand under `factors` in a file.
FILE_KEYS = tuple(k for k in Experiment.model_fields if k not in ("zipped", "conditions"))


def build(tree: Mapping[str, Any], base: pathlib.Path | None = None) -> Experiment:
    """Check a plain tree and return the experiment in canonical form.

    `base` is where paths of own data start, by default the current folder. Raises SpecProblem, and InputError for what is
    wrong inside a file of own data.
    """
    if not tree:
        raise SpecProblem((), "an experiment needs at least name, question and dataset; the file is empty")
    for key in tree:
        if key not in FILE_KEYS:
            raise unknown_key((key,), FILE_KEYS)
    canonical = dict(tree)
    roles = _Roles(canonical)
    if "dataset" in canonical:
        canonical["dataset"] = named_or_own(canonical["dataset"], base or pathlib.Path())
    try:
        experiment = Experiment.model_validate(canonical | roles.fields())
    except ValidationError as error:
        raise first_problem(error, _known_keys) from None
    if not experiment.vary and experiment.replicates > 1:
        message = f"vary must name a stream in which replicates differ, got [] for {experiment.replicates} replicates"
        raise SpecProblem(("vary",), message)
    return experiment.model_copy(update={"claims": _claims(experiment)})


class _Roles:
    """Settings of the file by role, canonical; each setting has one role."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._role: dict[str, str] = {}
        fixed = _mapping(tree.pop("fixed", None), ("fixed",))
        factors = _mapping(tree.pop("factors", None), ("factors",))
        self.fixed = {k: self._read(k, v, ("fixed", k), "fixed") for k, v in fixed.items()}
        zipped = _mapping(factors.pop("zip", None), ("factors", "zip"))
        conditions = factors.pop("conditions", None)
        self.factors = {k: self._levels(k, v, ("factors", k)) for k, v in factors.items()}
        self.zipped = {k: self._levels(k, v, ("factors", "zip", k), zipped=True) for k, v in zipped.items()}
        if len({len(v) for v in self.zipped.values()}) > 1:
            raise SpecProblem(("factors", "zip"), "zipped factors must have equally many levels")
        self.conditions = () if conditions is None else self._conditions(conditions, ("factors", "conditions"))
        for short, others in INSTEAD_OF.items():
            clash = [o for o in others if o in self._role]
            if short in self._role and clash:
                path = (*self._role[short].split("."), short)
                raise SpecProblem(path, f"{short} stands in place of {clash[0]}: give one of them, got both", key=True)

    def fields(self) -> dict[str, Any]:
        return {"fixed": self.fixed, "factors": self.factors, "zipped": self.zipped, "conditions": self.conditions}

    def _read(self, name: str, value: object, path: Path, role: str) -> Value:
        setting = SETTINGS.get(name)
        key = path if path[-1] == name else path[:-1]
        if setting is None:
            message = f"a setting must be one of {', '.join(SETTINGS)}, got {name!r}{suggestion(name, SETTINGS)}"
            raise SpecProblem(key, message, key=True)
        if self._role.setdefault(name, role) != role:
            message = f"a setting has one role, but {name} stands under {self._role[name]} and {role}"
            raise SpecProblem(key, message, key=True)
        try:
            return setting.read(value)
        except ValueError as error:
            raise SpecProblem(path, str(error)) from None

    def _levels(self, name: str, values: object, path: Path, *, zipped: bool = False) -> tuple[Value, ...]:
        if not isinstance(values, list) or not values:
            raise SpecProblem(
                path, f"the levels of factor {name} must be a list that is not empty, got {shown(values)}"
            )
        role = "factors.zip" if zipped else "factors"
        levels = tuple(self._read(name, v, (*path, i), role) for i, v in enumerate(values))
        seen: set[Value] = set()
        for i, level in enumerate(levels):
            if not zipped and level in seen:
                raise SpecProblem((*path, i), f"the levels of a factor must differ, got {level!r} twice for {name}")
            seen.add(level)
        return levels

    def _conditions(self, rows: object, path: Path) -> tuple[Levels, ...]:
        if not isinstance(rows, list) or not rows:
            raise SpecProblem(path, f"conditions must be a list of mappings that is not empty, got {shown(rows)}")
        read: list[Levels] = []
        seen: set[str] = set()
        for i, row in enumerate(rows):
            items = _mapping(row, (*path, i))
            label = items.pop("label", None)
            if not isinstance(label, str) or not label.strip() or not label.isprintable() or label in seen:
                message = f"each condition needs a label of its own, words on one line, got {shown(label)}"
                raise SpecProblem((*path, i, "label"), message)
            seen.add(label)
            role = "factors.conditions"
            levels = {k: self._read(k, v, (*path, i, k), role) for k, v in items.items()}
            read.append({"label": label, **levels})
        return tuple(read)


def _mapping(value: object, path: Path) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SpecProblem(path, f"{entry(path)} must be a mapping, got {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise SpecProblem((*path, key), f"a key must be a word, got {shown(key)}", key=True)
    return dict(value)


def _known_keys(path: Path) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "compare": Compare,
        "trend": Trend,
        "bound": Bound,
        "contrast": Contrast,
        "terms": Term,
    }
    for part in reversed(path[:-1]):
        if part in models:
            return list(models[str(part)].model_fields)
    return list(Claim.model_fields)


def _claims(experiment: Experiment) -> tuple[Claim, ...]:
    """Check every claim against factors and metrics; selectors come back in canonical form."""
    seen: set[str] = set()
    checked = []
    for i, claim in enumerate(experiment.claims):
        path: Path = ("claims", i)
        if claim.id in seen:
            raise SpecProblem((*path, "id"), f"claim ids must differ, got {claim.id!r} twice")
        seen.add(claim.id)
        checked.append(claim.model_copy(update={claim.kind: _form(experiment, claim.form, (*path, claim.kind))}))
    return tuple(checked)


def _form(experiment: Experiment, form: Any, path: Path) -> Any:
    try:
        measured = metric(form.metric)
    except ValueError as error:
        raise SpecProblem((*path, "metric"), str(error)) from None
    update: dict[str, Any] = {}
    if isinstance(form, Compare | Contrast) and form.margin is None:
        if form.expect == "equivalent" and not measured.is_accuracy:
            raise SpecProblem(path, f"equivalent on {form.metric} must state a margin")
        update["margin"] = ACCURACY_MARGIN if measured.is_accuracy else 0.0
    if isinstance(form, Compare):
        update["a"] = _selector(experiment, form.a, (*path, "a"))
        update["b"] = _selector(experiment, form.b, (*path, "b"))
        if update["a"] == update["b"]:
            raise SpecProblem(path, f"a and b must differ, got {form.a!r} twice")
    elif isinstance(form, Bound):
        update["where"] = _selector(experiment, form.where, (*path, "where"))
    elif isinstance(form, Contrast):
        terms = [(t, (*path, "terms", j, "where")) for j, t in enumerate(form.terms)]
        update["terms"] = [t.model_copy(update={"where": _selector(experiment, t.where, p)}) for t, p in terms]
    elif isinstance(form, Trend):
        _trend_factor(experiment, form, path)
    return form.model_copy(update=update)


def _trend_factor(experiment: Experiment, form: Trend, path: Path) -> None:
    numbered = experiment.factors | experiment.zipped
    if form.factor not in numbered:
        raise SpecProblem((*path, "factor"), _not_a_factor(numbered, form.factor))
    levels = numbered[form.factor]
    if len(set(levels)) < 2:
        raise SpecProblem(
            (*path, "factor"), f"a trend needs two levels or more, got {list(levels)!r} for {form.factor}"
        )
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels)
    if form.scale != "rank" and not numeric:
        raise SpecProblem((*path, "factor"), f"scale {form.scale} needs numeric levels, got {list(levels)!r}")
    if form.scale == "log" and any(v <= 0 for v in levels):  # type: ignore[operator]
        raise SpecProblem((*path, "scale"), f"scale log needs levels above 0, got {list(levels)!r}")


def _not_a_factor(names: Collection[str], name: str) -> str:
    known = ", ".join(names) or "this experiment has none"
    return f"a claim here names a factor ({known}), got {name!r}{suggestion(name, names)}"


def _selector(experiment: Experiment, where: Mapping[str, Any], path: Path) -> Levels:
    canonical: Levels = {}
    for name, value in where.items():
        if name not in experiment.factor_names:
            raise SpecProblem((*path, name), _not_a_factor(experiment.factor_names, name), key=True)
        if name == "label":
            levels: Sequence[Value] = [c["label"] for c in experiment.conditions]
            level: Value = value
        else:
            levels = experiment.factors.get(name) or experiment.zipped[name]
            try:
                level = SETTINGS[name].read(value)
            except ValueError as error:
                raise SpecProblem((*path, name), str(error)) from None
        if level not in levels:
            near = suggestion(level, [str(v) for v in levels])
            raise SpecProblem(
                (*path, name),
                f"a claim about {name} names one of its levels {shown(list(levels))}, got {shown(value)}{near}",
            )
        canonical[name] = level
    return canonical
