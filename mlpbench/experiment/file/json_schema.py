"""The JSON Schema of an experiment file, for editors: from the table of settings and the models of claims.

What keys and words mean is added at the end (`schema_words`), and shown by editors.

A schema sees one value at a time: which settings exclude each other, what the data have and what a claim speaks of, only
`mlpbench plan` can say. Whatever is right for mlpbench is right for the schema, but for null where a claim may leave a key out.

Reference: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mlpbench.base.models import DATASET, LARGEST, STREAMS
from mlpbench.data.data_sets import dataset_schema, level_schema, shared_schema
from mlpbench.experiment import shift_spec
from mlpbench.experiment.ablation import BASE, REMOVE
from mlpbench.experiment.claims.claim import claim_model
from mlpbench.experiment.claims.claim_form import FORMS
from mlpbench.experiment.components.own_pieces import DIGITS
from mlpbench.experiment.components.stopping_rules import EarlyStopping
from mlpbench.experiment.design import MOST_TOPIC
from mlpbench.experiment.file.schema_words import SELECTABLE, explained
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.plugins.piece_kinds import KINDS, kind_of_setting
from mlpbench.experiment.plugins.plugin import NAME
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
            if name == "metric":
                del shape["type"]
                shape["$ref"] = "#/$defs/Metric"
    keys = _keys({name: {"$ref": f"#/$defs/setting.{name}"} for name in SETTINGS})
    with_pieces = _keys({name: {"$ref": f"#/$defs/{_definition(name)}"} for name in SETTINGS})
    for of in (keys, with_pieces):
        for key in MAY_BE_EMPTY:
            of[key] = {"anyOf": [of[key], {"type": "null"}]}
    # What settings stand in is stricter where no plugin gives them further words.
    differing = [key for key in FILE_KEYS if keys[key] != with_pieces[key]]
    tree: Schema = {
        "$schema": DIALECT,
        "title": "An experiment of mlpbench",
        "type": "object",
        "required": [n for n, f in Experiment.model_fields.items() if f.is_required() and n in FILE_KEYS],
        # Data sets that are levels stand under `factors`.
        "anyOf": [{"required": [DATASET]}, {"required": ["factors"]}],
        "additionalProperties": False,
        "properties": {key: {} if key in differing else keys[key] for key in FILE_KEYS},
        "if": {"required": ["plugins"]},
        "then": {"properties": {key: with_pieces[key] for key in differing}},
        "else": {"properties": {key: keys[key] for key in differing}},
        "$defs": {
            "Claim": claim | {"oneOf": [{"required": [form]} for form in FORMS]},
            # Offered: steps_to_train_loss_0.5 and others are made as they are asked for.
            "Metric": {"anyOf": [{"enum": list(METRICS)}, {"type": "string"}]},
            "Selector": {
                "type": "object",
                "description": "Levels that tell which conditions are meant; of others the mean is taken.",
                "propertyNames": {"enum": [*SETTINGS, *SELECTABLE]},
            },
            **{f"setting.{n}": {"description": s.meaning, **_value_type(s.value_type)} for n, s in SETTINGS.items()},
            **{_definition(n): _with_pieces(n) for n in SETTINGS if kind_of_setting(n) is not None},
            **definitions,
        },
    }
    return explained(tree)


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


def _definition(setting: str) -> str:
    """Return the name of the definition of a setting where a file has plugins."""
    return f"{'setting' if kind_of_setting(setting) is None else 'own'}.{setting}"


# The name of a piece of a plugin.
_PIECE = "[A-Za-z][A-Za-z0-9_]*"


def _with_pieces(setting: str) -> Schema:
    """Return the schema of a setting that may be a piece of a plugin too, whose names a schema does not know."""
    shapes: list[Schema] = [{"$ref": f"#/$defs/setting.{setting}"}, {"type": "string", "pattern": f"^{_PIECE}$"}]
    values = SETTINGS[setting].value_type
    if isinstance(values, Chain):
        before = {values.first: _parameters(values.word.table[values.first]), "then": shapes[-1]}
        shapes.append(_object(before, needed=list(before)))
        shapes.append({"type": "string", "pattern": rf"^{values.first}\([^()]+\)\+{_PIECE}$"})
    return {"anyOf": shapes}


def _plugins() -> Schema:
    """Return the schema of the plugins of a file: files, installed ones, or a record of pieces with the digests of their code."""
    digests: Schema = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{_PIECE}$"},
        "additionalProperties": {"type": "string", "pattern": rf"^[0-9a-f]{{{DIGITS}}}$"},
    }
    name: Schema = {"type": "string", "pattern": r"^[^/]+$"}
    record = _object({NAME: name, **dict.fromkeys(KINDS, digests)}, needed=[NAME])
    return {"anyOf": [name, {"type": "array", "uniqueItems": True, "items": {"anyOf": [name, record]}}]}


def _keys(settings: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the schema of each key of a file, given that of each setting."""
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
        "topic": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$", "maxLength": MOST_TOPIC},
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
        "plugins": _plugins(),
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
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": number}


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
