"""The design of an experiment: data, settings by role, replicates and the random streams in which they differ; all but its claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, InstanceOf, WithJsonSchema, field_validator, model_validator

from mlpbench.base.models import DATASET, LARGEST, STREAM, STREAMS, Levels, Model, Stream, Value, shown
from mlpbench.data.dataset import DataFacts, DataSource
from mlpbench.data.made_data import MadeData
from mlpbench.experiment.ablation import Ablation
from mlpbench.experiment.plugins.plugin import Plugin, used_names, with_used
from mlpbench.experiment.tuning_ranges import TuningRange

# Letters of a topic, which is a heading.
MOST_TOPIC = 60


class UntilDecided(Model):
    """Top-up: claims that are undecided get further replicates, up to a largest number.

    With `anytime` verdicts hold whenever one looks, and no largest number need be declared.
    """

    max_replicates: int | None = Field(default=None, ge=3, le=100_000)
    anytime: bool = False

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.max_replicates is None and not self.anytime:
            raise ValueError("until_decided needs max_replicates: N or anytime: true, got neither")
        return self


class Design(Model):
    """What an experiment asks and varies: question, data, settings by role, replicates."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)
    question: str
    # Where an index lists the experiment: of no consequence for its runs.
    topic: str = ""
    # By what levels and selectors call them; the one that all conditions share by its name.
    datasets: dict[str, Annotated[InstanceOf[DataSource], WithJsonSchema({"type": "object"})]] = Field(min_length=1)
    validation: float | None = Field(default=None, gt=0, lt=1)
    folds: int | None = Field(default=None, ge=2)
    refit: Literal["chosen", "all"] = "chosen"
    fixed: Levels = Field(default_factory=dict)
    factors: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    zipped: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    conditions: tuple[Levels, ...] = ()
    ablate: Ablation | None = None
    nuisance: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    # Of nuisance settings whose levels are points of a range: theirs go together, those of others are combined.
    ranges: dict[str, Annotated[InstanceOf[TuningRange], WithJsonSchema({"type": "object"})]] = Field(
        default_factory=dict
    )
    replicates: int = Field(default=5, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    shifts: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    probes: tuple[Annotated[float, Field(allow_inf_nan=True)], ...] | None = None
    # A list of the file is a tuple here: the one conversion that strictness would refuse.
    vary: tuple[Stream, ...] = Field(default=STREAMS, strict=False)
    one_at_a_time: bool = False
    until_decided: UntilDecided | None = None
    save_weights: bool = False
    plugins: tuple[Annotated[InstanceOf[Plugin], WithJsonSchema({"type": "object"})], ...] = ()

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

    @field_validator("topic")
    @classmethod
    def _is_a_heading(cls, value: str) -> str:
        if not value.strip() or not value.isprintable() or len(value) > MOST_TOPIC:
            raise ValueError(f"topic must be words on one line, at most {MOST_TOPIC} letters, got {shown(value)}")
        return value.strip()

    @property
    def used_plugins(self) -> tuple[Plugin, ...]:
        """The plugins with the pieces that are levels of some setting, or that every run has, without those that have none."""
        levels = [*self.fixed.items(), *(item for condition in self.conditions for item in condition.items())]
        for factors in (self.factors, self.zipped, self.nuisance):
            levels += [(setting, level) for setting, of_setting in factors.items() for level in of_setting]
        made = {(DATASET, f"{s.called}@{s.digest}") for s in self.sources if isinstance(s, MadeData)}
        return with_used(self.plugins, used_names(levels) | made)

    def source_of(self, levels: Mapping[str, Value]) -> DataSource:
        """Return the data set of a condition with these levels."""
        name = levels.get(DATASET)
        return next(iter(self.datasets.values())) if name is None else self.datasets[str(name)]

    @property
    def varies_data(self) -> bool:
        """Whether the data set is a factor, or one of settings that are varied together."""
        return DATASET in self.factors or DATASET in self.zipped or any(DATASET in c for c in self.conditions)

    @property
    def sources(self) -> Sequence[DataSource]:
        """The data sets, in the order of the file."""
        return list(self.datasets.values())

    @property
    def facts(self) -> Sequence[DataFacts]:
        """The facts of each data set, in the order of the file."""
        return [source.facts for source in self.sources]

    @property
    def data_notes(self) -> Sequence[str]:
        """What is to be known of how the data sets were read, each sentence once."""
        return list(dict.fromkeys(note for data in self.facts for note in data.notes))

    @property
    def has_classes(self) -> bool:
        """Whether targets are classes, of all data sets alike, or numbers."""
        return self.facts[0].n_classes is not None

    @property
    def draws_anew(self) -> bool:
        """Whether every replicate has examples of its own, to train on and to test on."""
        return all(data.is_drawn_anew for data in self.facts) and "split" in self.vary and not self.one_at_a_time

    @property
    def is_resplit(self) -> bool:
        """Whether each replicate draws its own test rows from tables that replicates share: of all data sets, or of none."""
        return self.facts[0].is_resplit

    @property
    def validates(self) -> bool:
        """Whether runs have validation examples: a share of the training examples, folds, or what the data set gives."""
        given = all(data.n_validation for data in self.facts)
        return self.validation is not None or self.folds is not None or given

    @property
    def set_aside(self) -> int:
        """How many of the first replicates tune settings, and are not judged."""
        return int(bool(self.nuisance) and self.folds is None and self.replicates > 1)

    @property
    def n_points(self) -> int:
        """How many points the ranges of nuisance settings have in common, 1 where there are none."""
        return len(self.nuisance[next(iter(self.ranges))]) if self.ranges else 1

    @property
    def tuning_rule(self) -> str:
        """By which replicates nuisance settings are tuned, in a sentence; empty where there are none."""
        names = ", ".join(self.nuisance)
        if not names:
            return ""
        if self.folds is not None:
            return f"Tuned in each replicate on its {self.folds} folds: {names}."
        if not self.set_aside:
            return f"Tuned on the replicate that is judged, the only one: {names}."
        return f"Tuned in each replicate by those before it, so that the first is not judged: {names}."

    @property
    def validation_written(self) -> float | dict[str, Any] | None:
        """What a file says under `validation`."""
        if self.folds is None:
            return self.validation
        return {"folds": self.folds} | ({"refit": self.refit} if self.refit != "chosen" else {})

    @property
    def most_replicates(self) -> int:
        """How many replicates a condition can come to."""
        most = None if self.until_decided is None else self.until_decided.max_replicates
        return self.replicates if most is None else most

    @property
    def is_anytime(self) -> bool:
        """Whether verdicts hold whenever one looks, by e-processes."""
        return self.until_decided is not None and self.until_decided.anytime

    @property
    def factor_names(self) -> tuple[str, ...]:
        """What is varied, in the order of the file: settings; `label` of whole conditions; `stream`, one at a time."""
        listed = ("label",) if self.conditions else ()
        streams = (STREAM,) if self.one_at_a_time else ()
        return (*self.factors, *self.zipped, *listed, *streams)

    @property
    def vary_written(self) -> list[str] | dict[str, list[str]]:
        """What a file says under `vary`."""
        return {"each": list(self.vary)} if self.one_at_a_time else list(self.vary)


def _is_epoch(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST
