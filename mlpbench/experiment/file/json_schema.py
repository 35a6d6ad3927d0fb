"""The JSON Schema of an experiment file, for editors: from the table of settings and the models of claims.

A schema sees one value at a time: which settings exclude each other, what the data have and what a claim speaks of, only
`mlpbench plan` can say. Whatever is right for mlpbench is right for the schema, but for null where a claim may leave a key out.

Reference: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mlpbench.base.models import DATASET, LARGEST, STREAM, STREAMS
from mlpbench.data.data_sets import dataset_schema, level_schema, shared_schema
from mlpbench.experiment import shift_spec
from mlpbench.experiment.ablation import BASE, REMOVE
from mlpbench.experiment.claims.claim import claim_model
from mlpbench.experiment.claims.claim_form import FORMS
from mlpbench.experiment.components.stopping_rules import EarlyStopping
from mlpbench.experiment.design import MOST_TOPIC
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.shift_spec import ShiftKind
from mlpbench.experiment.spec import FILE_KEYS, Experiment, UntilDecided
from mlpbench.experiment.tuning_ranges import KINDS as RANGES
from mlpbench.experiment.tuning_ranges import MOST_POINTS
from mlpbench.experiment.value_types import (
    Chain,
    ClassWeights,
    Count,
    Flag,
    Number,
    Pair,
    Parameter,
    Parameters,
    PerLayer,
    Sizes,
    ValueType,
    Word,
)

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MEANINGS: Mapping[str, str] = {
    "name": "A plain word; names the folder of results.",
    "question": "What the experiment asks, in a sentence.",
    "topic": "The heading under which an index lists the experiment; left out, it follows from what is varied.",
    "dataset": "A named data set (`mlpbench data list` has them), with options as a mapping, or a file of your own; or what several share that are levels of a factor.",
    "validation": "A share of the training examples held out, or folds.",
    "fixed": "One value for each setting that is not varied; what is left out has its default.",
    "factors": "Levels for each setting that is varied, or data sets: all combinations are trained.",
    "ablate": "An ablation: settings of the base, and for each piece its value where it is removed.",
    "nuisance": "Levels, or a range, of each setting that is tuned on validation, for each condition.",
    "replicates": "How often every condition is repeated, each time with other random draws.",
    "seed": "Where the random streams start.",
    "shifts": "Severities of each kind of shift under which the test set is evaluated too.",
    "probes": "Epochs at which layers are measured: numbers, start, end.",
    "vary": "The random streams in which replicates differ, or, under `each`, streams that vary one at a time.",
    "until_decided": "Further replicates for claims that are undecided.",
    "save_weights": "Whether the weights of finished runs are kept, a safetensors file for each.",
    "claims": "Stated hypotheses, to be judged.",
}
# The parts of an ablation, each with the least number of settings.
PARTS = {BASE: 1, REMOVE: 2}
# Keys after which a file may have nothing.
MAY_BE_EMPTY = ("fixed", "factors", "ablate", "nuisance", "validation", "until_decided")


def schema() -> Schema:
    """Return the schema as a plain tree."""
    claim = claim_model().model_json_schema(by_alias=True)
    definitions = claim.pop("$defs")
    for part in (claim, *definitions.values()):
        part.pop("title", None)
        for name, shape in part["properties"].items():
            _tidy(shape)
            if name == "metric":  # offered: steps_to_train_loss_0.5 and others are made as they are asked for
                shape["anyOf"] = [{"enum": list(METRICS)}, {"type": shape.pop("type")}]
    keys = _keys()
    for key in MAY_BE_EMPTY:
        keys[key] = {"anyOf": [keys[key], {"type": "null"}]}
    return {
        "$schema": DIALECT,
        "title": "An experiment of mlpbench",
        "type": "object",
        "required": [n for n, f in Experiment.model_fields.items() if f.is_required() and n in FILE_KEYS],
        # Data sets that are levels stand under `factors`.
        "anyOf": [{"required": [DATASET]}, {"required": ["factors"]}],
        "additionalProperties": False,
        "properties": {key: {"description": MEANINGS[key], **keys[key]} for key in FILE_KEYS},
        "$defs": {
            "Claim": claim | {"oneOf": [{"required": [form]} for form in FORMS]},
            "Selector": {
                "type": "object",
                "description": "Levels that tell which conditions are meant; of others the mean is taken.",
                "propertyNames": {"enum": [*SETTINGS, "label", STREAM, DATASET]},
            },
            **{f"setting.{n}": {"description": s.meaning, **_value_type(s.value_type)} for n, s in SETTINGS.items()},
            **definitions,
        },
    }


def _tidy(shape: Schema) -> None:
    """Make a model's property what a file may say: selectors by name, no null where a key is left out instead."""
    shape.pop("title", None)
    if shape.get("type") == "object":
        shape.clear()
        shape["$ref"] = "#/$defs/Selector"
    elif "anyOf" in shape:
        allowed = [s for s in shape.pop("anyOf") if s != {"type": "null"}]
        shape.pop("default", None)
        shape.update(allowed[0])


def _keys() -> dict[str, Schema]:
    """Return the schema of each key of a file."""
    settings = {name: {"$ref": f"#/$defs/setting.{name}"} for name in SETTINGS}
    levels = {n: {"type": "array", "minItems": 1, "items": s} for n, s in settings.items()}
    different = {n: s | {"uniqueItems": True} for n, s in levels.items()}
    label: Schema = {"type": "string", "pattern": r"\S"}
    condition = {"required": ["label"], **_object({"label": label, DATASET: level_schema(), **settings})}
    data_sets: Schema = {"type": "array", "minItems": 1, "items": level_schema()}
    most = UntilDecided.model_json_schema()["properties"]["max_replicates"]["anyOf"][0]
    stream = {"enum": list(STREAMS)}
    model = Experiment.model_json_schema()["properties"]
    limits = {k: {n: v for n, v in model[k].items() if n != "title"} for k in ("name", "replicates", "seed")}
    share = next(s for s in model["validation"]["anyOf"] if s["type"] == "number")
    folds: dict[str, Schema] = {
        "folds": {"type": "integer", "minimum": 2},
        "refit": {"enum": ["chosen", "all"], "default": "chosen"},
    }
    return {
        **limits,
        "question": {"type": "string", "pattern": r"\S"},
        "topic": {"type": "string", "pattern": r"\S", "maxLength": MOST_TOPIC},
        DATASET: {"anyOf": [*dataset_schema()["anyOf"], shared_schema()]},
        "validation": {"anyOf": [share, _object(folds, needed=["folds"])]},
        "fixed": _object(settings),
        "factors": _object(
            different
            | {
                DATASET: data_sets | {"uniqueItems": True},
                "zip": _object(levels | {DATASET: data_sets}),
                "conditions": {"type": "array", "minItems": 1, "items": condition},
            }
        ),
        "ablate": _object({part: _object(settings) | {"minProperties": n} for part, n in PARTS.items()}, list(PARTS)),
        "nuisance": _object({n: {"anyOf": [levels, _range(settings[n])]} for n, levels in different.items()}),
        "shifts": _object({kind: _severities(of) for kind, of in shift_spec.KINDS.items()}),
        "probes": {"type": "array", "items": {"anyOf": [{"type": "number", "minimum": 0}, {"enum": ["start", "end"]}]}},
        "vary": {
            "anyOf": [
                {"type": "array", "items": stream},
                _object(
                    {"each": {"type": "array", "minItems": 2, "uniqueItems": True, "items": stream}}, needed=["each"]
                ),
            ]
        },
        "until_decided": {
            **_object({"max_replicates": most, "anytime": {"type": "boolean", "default": False}}),
            "anyOf": [
                {"required": ["max_replicates"]},
                {"required": ["anytime"], "properties": {"anytime": {"const": True}}},
            ],
        },
        "save_weights": {"type": "boolean", "default": False},
        "claims": {"type": "array", "items": {"$ref": "#/$defs/Claim"}},
    }


def _range(level: Schema) -> Schema:
    """Return the schema of a range of a setting whose levels have one."""
    ends = {"type": "array", "minItems": 2, "maxItems": 2, "items": level}
    choice = {"type": "array", "minItems": 1, "uniqueItems": True, "items": level}
    kinds = {kind: choice if kind == "choice" else ends for kind in RANGES}
    levels: Schema = {"levels": {"type": "integer", "minimum": 2, "maximum": MOST_POINTS}}
    return _object(kinds | levels) | {"oneOf": [{"required": [kind]} for kind in RANGES]}


def _severities(kind: ShiftKind) -> Schema:
    number: Schema = {"type": "integer" if kind.whole else "number", "exclusiveMinimum": 0}
    number |= {} if math.isinf(kind.high) else {"maximum": kind.high}
    return {"type": "array", "minItems": 1, "uniqueItems": True, "description": kind.meaning, "items": number}


def _object(properties: Mapping[str, Schema], needed: list[str] | None = None) -> Schema:
    shape: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return shape | ({"required": needed} if needed else {})


# The canonical form of early stopping.
_PATIENCE: Schema = {"type": "string", "pattern": r"^patience\(\d+(,[^,()]+){0,2}\)$"}


def _value_type(values: ValueType | EarlyStopping) -> Schema:
    """Return the schema of a type of values."""
    if isinstance(values, Number | Count):
        return _number(values)
    if isinstance(values, Word):
        return _word(values)
    if isinstance(values, Chain):
        return _chain(values)
    if isinstance(values, PerLayer):
        each = _number(values.each)
        return {"anyOf": [each, {"type": "array", "items": each}]}
    if isinstance(values, Sizes):
        return {"type": "array", "items": {"type": "integer", "minimum": 1}}
    if isinstance(values, ClassWeights):
        weights: Schema = {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
        }
        return {"anyOf": [{"enum": list(values.words)}, weights, {"type": "string", "pattern": r"^\{"}]}
    if isinstance(values, EarlyStopping):
        rule = _object(
            {
                "patience": _number(Count()),
                "min_delta": _number(Number(low=0)),
                "metric": {"enum": list(values.metrics)},
            }
        )
        return {"anyOf": [{"enum": ["none"]}, _number(Count()), rule | {"minProperties": 1}, _PATIENCE]}
    assert isinstance(values, Flag)
    return {"type": "boolean"}


def _number(values: Number | Count) -> Schema:
    number: Schema = {"type": "integer" if isinstance(values, Count) else "number"}
    if values.low > -math.inf:
        number["exclusiveMinimum" if isinstance(values, Number) and values.open_low else "minimum"] = values.low
    if values.high < (LARGEST if isinstance(values, Count) else math.inf):
        number["exclusiveMaximum" if isinstance(values, Number) and values.open_high else "maximum"] = values.high
    words: list[str | None] = list(values.words) if isinstance(values, Count) else ["none", None] * values.or_none
    if isinstance(values, Count) and values.share:
        return {"anyOf": [number, {"type": "string", "pattern": r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$"}]}
    return {"anyOf": [number, {"enum": words}]} if words else number


def _word(values: Word) -> Schema:
    """A word alone, one with its parameter as a mapping, or as its canonical string: `normal(0.01)`."""
    alone = [w for w, limits in values.table.items() if all(p.default is not None for p in limits.values())]
    shapes: list[Schema] = [{"enum": alone}]
    for word, parameters in values.table.items():
        if parameters:
            shapes.append(_object({word: _parameters(parameters)}, needed=[word]))
            shapes.append({"type": "string", "pattern": rf"^{word}\([^()]+\)$"})
    return {"anyOf": shapes} if len(shapes) > 1 else shapes[0]


def _chain(values: Chain) -> Schema:
    """A word in any of its forms, `first` with what follows it under `then`, or the canonical string: `warmup(200)+cosine`."""
    after = _word(Word(table={w: p for w, p in values.word.table.items() if w != values.first}))
    first = {values.first: _parameters(values.word.table[values.first]), "then": after}
    shapes: list[Schema] = _word(values.word)["anyOf"]
    chained = {"type": "string", "pattern": rf"^{values.first}\([^()]+\)\+[a-z_]+(\([^()]+\))?$"}
    return {"anyOf": [*shapes, _object(first, needed=list(first)), chained]}


def _parameters(parameters: Parameters) -> Schema:
    limits = {name: _parameter(values) for name, values in parameters.items()}
    needed = [name for name, values in parameters.items() if values.default is None]
    return next(iter(limits.values())) if len(limits) == 1 else _object(limits, needed=needed)


def _parameter(values: Parameter) -> Schema:
    if isinstance(values, Flag):
        return {"type": "boolean"}
    if isinstance(values, Pair):
        n = len(values.default)
        return {"type": "array", "items": _number(values.each), "minItems": n, "maxItems": n}
    return _number(values)
