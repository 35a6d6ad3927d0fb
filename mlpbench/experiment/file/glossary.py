"""Everything that `mlpbench explain` can say, by name: settings, keys, words, metrics, claims, data sets, modes, statistics.

An entry is made of what is written elsewhere once: tables of settings and metrics, `key_meanings` and `word_meanings`. A name
may stand for several things (`dropout` is a setting and a random stream): it has an entry for each. What takes long to load,
as forms of claims that are models, is loaded for no entry: tests compare the tables with the models.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlpbench.base.environment import REACH, VARIABLES
from mlpbench.base.models import STREAMS, nearest, other_name
from mlpbench.base.other_names import FIELD_TERMS, OTHER_NAMES, WRITTEN
from mlpbench.experiment.file import key_meanings, references, word_meanings
from mlpbench.experiment.file.flow_text import flow
from mlpbench.experiment.file.key_meanings import KeyMeaning
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import METRICS, REGRETS, Metric, metric
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.experiment.settings import SETTINGS, Setting
from mlpbench.experiment.shift_spec import KINDS
from mlpbench.experiment.value_types import Chain, Word

# Data sets with the name of something else.
NAMED_TWICE = ("linear",)
# From this likeness on, of 1, a word is a slip of the keyboard.
ALIKE = 0.8
# Stands for a key with its value in what an example stands in.
HERE = "<here>"
# In what keys stand that are not alone below theirs.
BESIDE = {
    ("validation", "refit"): f"validation: {{folds: 5, {HERE}}}",
    ("factors", "label"): f"factors: {{conditions: [{{{HERE}, width: 8}}, {{label: large, width: 64}}]}}",
    ("ablate", "base"): f"ablate: {{{HERE}, remove: {{dropout: 0, norm: none}}}}",
    ("ablate", "remove"): f"ablate: {{base: {{dropout: 0.2, norm: layer}}, {HERE}}}",
    ("nuisance", "log_uniform"): f"nuisance: {{lr: {{{HERE}, levels: 24}}}}",
    ("nuisance", "uniform"): f"nuisance: {{dropout: {{{HERE}, levels: 24}}}}",
    ("nuisance", "int"): f"nuisance: {{depth: {{{HERE}, levels: 4}}}}",
    ("nuisance", "choice"): f"nuisance: {{activation: {{{HERE}, levels: 2}}}}",
    ("nuisance", "levels"): f"nuisance: {{lr: {{log_uniform: [0.001, 1.0], {HERE}}}}}",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What there is to say of one name.

    Attributes:
        name, kind: the name, and what it is the name of.
        meaning: in a sentence or less.
        values: what it may be, in words; empty where that is no question.
        default: what it is where it is left out, as a file has it; empty where it has none.
        source: where it is described, or who made it; empty where that is here.
        example: as an experiment file, or a command, has it.
        words: the words it may be, with what each means.

    """

    name: str
    kind: str
    meaning: str
    values: str = ""
    default: str = ""
    source: str = ""
    example: str = ""
    words: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what is said of it, by key."""
        return {k: v for k, v in asdict(self).items() if v}


def groups() -> dict[str, list[Entry]]:
    """Return all entries, by what they are."""
    return {title: list(of_group()) for title, of_group in {**_GROUPS, "data sets": _data_sets}.items()}


def entries() -> list[Entry]:
    """Return all entries."""
    return [entry for group in groups().values() for entry in group]


def explain(name: str) -> list[Entry]:
    """Return the entries of a name, however it is spelt; of a metric that is made of others too; nothing where it is unknown."""
    wanted = _plain(FIELD_TERMS.get(_plain(name), name))
    found: list[Entry] = []
    # Few data sets have the name of something else: they are looked at last, since they take a while to load.
    for kinds in (_GROUPS.values(), (_data_sets,)):
        if not found or wanted in NAMED_TWICE:
            found += [e for of_kind in kinds for e in of_kind() if _plain(e.name) == wanted]
    if found:
        return found
    try:
        return [_metric_entry(metric(name))]
    except ValueError:
        return _with_a_number(name) or _added(name)


def is_term(name: str) -> bool:
    """Return whether a name is a term of the field for what has another one here."""
    return _plain(name) in FIELD_TERMS


def _with_a_number(name: str) -> list[Entry]:
    """Return the entry of `steps_to_train_loss_X`, whose X stands for a number, as warnings have it."""
    stem, letter, rest = name.rpartition("_X")
    if not letter or rest or metric_names.reaches(f"{stem}_0.1") is None:
        return []
    of = metric(f"{stem}_0.1")
    entry = _metric_entry(of)
    return [replace(entry, name=name, meaning=of.meaning.replace("0.1", "X, a number that you write in its place"))]


def _added(name: str) -> list[Entry]:
    """Return the entry of a word or a form of claim that was added to the package and is described nowhere but in itself."""
    for setting, of in SETTINGS.items():
        if name in getattr(of.value_type, "table", {}):
            return [Entry(name=name, kind=f"word of {setting}", meaning=f"a further level of {setting}: {of.meaning}")]
    from mlpbench.experiment.claims.claim import claim_model
    from mlpbench.experiment.claims.claim_form import FORMS

    if name not in FORMS or name not in claim_model().model_fields:
        return []
    keys = ", ".join(f.alias or n for n, f in FORMS[name].model_fields.items())
    meaning = (FORMS[name].__doc__ or name).strip().partition("\n")[0]
    return [Entry(name=name, kind="form of claim", meaning=meaning, values=f"keys {keys}")]


def nearest_name(name: str) -> str | None:
    """Return the name that is like another one, which need not be what was meant; None where none is."""
    return nearest(name, dict.fromkeys(e.name for e in entries()))


def meant_name(name: str) -> str | None:
    """Return the name that was meant without a doubt: what other libraries call so, or one with a slip of the keyboard; else None."""
    near, plain = nearest_name(name), _plain(name)
    if near is None or other_name(name, [near]) or _plain(near).startswith(plain):
        return near
    return near if difflib.SequenceMatcher(None, plain, _plain(near)).ratio() >= ALIKE else None


def other_names(name: str) -> list[str]:
    """Return what other libraries call a name, where a value of theirs is one of ours."""
    return [other for other, ours in OTHER_NAMES.items() if ours == name and other not in WRITTEN]


def other_forms(name: str) -> list[str]:
    """Return what other libraries have whose values are none of ours, each with how ours is written instead."""
    by_form: dict[str, list[str]] = {}
    for other, how in WRITTEN.items():
        if OTHER_NAMES[other] == name:
            by_form.setdefault(how, []).append(other)
    return [f"{', '.join(others)} ({name}, {how})" for how, others in by_form.items()]


def _plain(name: str) -> str:
    return " ".join(name.lower().translate(str.maketrans("-_()", "    ")).split())


def _settings() -> Iterator[Entry]:
    for name, setting in SETTINGS.items():
        kinds, words = setting.value_type, word_meanings.of_setting(name)
        offered = list(kinds.table) if isinstance(kinds, Word | Chain) else list(words)
        examples = [f"fixed: {{{name}: {flow(v)}}}" for v in key_meanings.SETTINGS.get(name, ())]
        yield Entry(
            name=name,
            kind="setting",
            meaning=setting.meaning,
            values=kinds.rule,
            default=_default(setting),
            source=references.SETTINGS.get(name, ""),
            example="\n".join(examples),
            words={word: words.get(word, "") for word in offered},
        )


def _default(setting: Setting) -> str:
    if setting.name == "loss":
        return "cross_entropy for classes, squared_error for numbers"
    if setting.default is None:
        return "none" if setting.name == "clip_norm" else ""
    return flow(list(setting.default) if isinstance(setting.default, tuple) else setting.default)


def _levels() -> Iterator[Entry]:
    """Yield the words of settings: names of activations, optimisers and others."""
    for setting, words in word_meanings.SETTINGS.items():
        for word, meaning in words.items():
            if word not in ("none", "all", "full", "standard"):
                table = getattr(SETTINGS[setting].value_type, "table", {})
                argument = word_meanings.ARGUMENTS.get(word, ()) if table.get(word) else ()
                value = flow({word: argument[0]} if argument else word)
                source = references.WORDS.get(word, "")
                example = f"fixed: {{{setting}: {value}}}"
                yield Entry(name=word, kind=f"word of {setting}", meaning=meaning, example=example, source=source)


def _file_keys() -> Iterator[Entry]:
    for name, key in key_meanings.FILE.items():
        yield _of_key(name, "key of an experiment file", key, HERE, word_meanings.FILE.get(name, {}))


def _keys_below() -> Iterator[Entry]:
    for above, keys in key_meanings.BELOW.items():
        of_setting = above in SETTINGS
        directly = f"fixed: {{{above}: {{{HERE}}}}}" if of_setting else f"{above}: {{{HERE}}}"
        for name, key in keys.items():
            inside = BESIDE.get((above, name), directly)
            words = word_meanings.FILE.get(f"{above}.{name}") or word_meanings.FILE.get(name, {})
            yield _of_key(name, f"key under {above}", key, inside, words)


def _of_key(name: str, kind: str, key: KeyMeaning, inside: str, words: Mapping[str, str]) -> Entry:
    """Return the entry of a key, whose examples stand inside of something."""
    lines = [inside.replace(HERE, f"{name}: {flow(value)}") for value in key.examples]
    return Entry(
        name=name,
        kind=kind,
        meaning=key.meaning,
        values=key.values,
        default=key.default,
        example="\n".join(lines),
        words=words,
    )


def _forms() -> Iterator[Entry]:
    for form, meaning in key_meanings.FORM_MEANINGS.items():
        example = f"claims: [{{id: c, says: ..., {form}: {flow(key_meanings.FORM_EXAMPLES[form])}}}]"
        keys = f"keys {', '.join(key_meanings.keys_of(form))}"
        yield Entry(name=form, kind="form of claim", meaning=meaning, values=keys, example=example)


def _claim_keys() -> Iterator[Entry]:
    for name, key in key_meanings.CLAIM.items():
        yield _of_key(name, "key of a claim", key, HERE, word_meanings.CLAIM.get(name, {}))
    seen: dict[tuple[str, str], list[str]] = {}
    for form in key_meanings.FORM_MEANINGS:
        for name, key in key_meanings.keys_of(form).items():
            seen.setdefault((name, key.meaning), []).append(form)
    for (name, _), forms in seen.items():
        key = key_meanings.keys_of(forms[0])[name]
        words = {w: m for form in forms for w, m in word_meanings.FORMS.get(form, {}).get(name, {}).items()}
        yield _of_key(name, f"key of {', '.join(forms)}", key, HERE, words)


def _metrics() -> Iterator[Entry]:
    for of in (*METRICS.values(), *REGRETS.values()):
        yield _metric_entry(of)


def _layer_metrics() -> Iterator[Entry]:
    for name, layer in LAYER_METRICS.items():
        where = "first" if layer.over == "mean" else "all"
        yield Entry(
            name=name,
            kind="metric of a layer",
            meaning=layer.meaning,
            values=f"{layer.unit}; written NAME[LAYER] or NAME[LAYER,EPOCH], an epoch of `probes`",
            example=f'metric: "{name}[{where},end]"',
        )


def _metric_entry(of: Metric) -> Entry:
    better = {"higher": "higher is better", "lower": "lower is better", "neither": ""}[of.better]
    of_targets = "" if len(of.targets) > 1 else {"classes": "of classes", "numbers": "of numbers"}[of.targets[0]]
    margin = "margin 0.002 if none is stated" if of.is_accuracy else ""
    follows = {"clock": "measured by the clock", "settings": "follows from the settings: exact"}.get(of.source, "")
    said = [of.unit if of.unit != "1" else "", better, of_targets, margin, follows]
    quoted = f'"{of.name}"' if "[" in of.name else of.name
    values = "; ".join(filter(None, said))
    return Entry(name=of.name, kind="metric", meaning=of.meaning, values=values, example=f"metric: {quoted}")


def _data_options() -> Iterator[Entry]:
    alone, of_table = f"dataset: {{{HERE}}}", f"dataset: {{file: mine.csv, target: price, {HERE}}}"
    for name, key in key_meanings.DATA.items():
        inside = of_table.replace("target: price, ", "" if name == "target" else "target: price, ")
        inside = alone if name == "name" else inside
        inside = f"dataset: {{{HERE}, target: price}}" if name == "file" else inside
        inside = f"factors: {{dataset: [{{name: iris, {HERE}}}, digits]}}" if name == "label" else inside
        yield _of_key(name, "option of a data set", key, inside, word_meanings.DATA.get(name, {}))
    for name, key in key_meanings.SYNTHETIC.items():
        families = ["linear"] * (name not in ("coefficients", "degree"))
        families += ["polynomial"] * (name not in ("weights", "features", "bias"))
        yield _of_key(name, f"option of {' and '.join(families)}", key, f"dataset: {{name: {families[0]}, {HERE}}}", {})


def _data_sets() -> Iterator[Entry]:
    from mlpbench.data.data_sets import DATA_SETS

    for name, source in DATA_SETS.items():
        facts = source.facts
        target = f"{facts.n_classes} classes" if facts.n_classes else "regression"
        yield Entry(
            name=name,
            kind="data set",
            meaning=facts.title,
            values=f"{facts.n_train} train, {facts.n_test} test, {facts.n_features} inputs, {target}",
            source=source.availability(),
            example=f"dataset: {name}",
        )


def _streams_and_shifts() -> Iterator[Entry]:
    for stream in STREAMS:
        example = f"vary: [{stream}]"
        yield Entry(name=stream, kind="random stream", meaning=word_meanings.STREAMS[stream], example=example)
    for name, kind in KINDS.items():
        example = f"shifts: {{{name}: [{1 if kind.whole else 0.1}]}}"
        yield Entry(name=name, kind="shift of the test set", meaning=kind.meaning, values=kind.rule, example=example)


def _modes() -> Iterator[Entry]:
    slower = {"fast": "the fastest", "portable": "up to 1.35 times slower", "universal": "2.4 to 4 times slower"}
    for name, of_mode in VARIABLES.items():
        variables = ", ".join(f"{k}={v}" for k, v in of_mode.items())
        yield Entry(
            name=name,
            kind="numerics mode",
            meaning=f"Results are the same, bit for bit, on {REACH[name]}; {slower[name]}.",
            values=f"sets {variables}" if variables else "sets nothing",
            default="what `run` takes" if name == "fast" else "",
            example=f"mlpbench run SPEC --numerics {name}",
        )


def _results() -> Iterator[Entry]:
    for name, meaning in word_meanings.VERDICTS.items():
        yield Entry(name=name, kind="verdict", meaning=meaning, example="mlpbench claims")
    for name, meaning in word_meanings.STATISTICS.items():
        yield Entry(name=name, kind="word of results", meaning=meaning, source=references.WORDS.get(name, ""))


def _field() -> Iterator[Entry]:
    for name, meaning in word_meanings.FIELD.items():
        yield Entry(name=name, kind="word of the field", meaning=meaning)


def _choices() -> Iterator[Entry]:
    """Yield the words that keys of claims and of data sets may have."""
    tables = (word_meanings.CLAIM, *word_meanings.FORMS.values(), word_meanings.DATA, word_meanings.FILE)
    seen: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for key, words in table.items():
            for word, meaning in words.items() if words is not word_meanings.STREAMS else ():
                said = seen.setdefault((word, key.rpartition(".")[2]), [])
                said += [] if meaning in said else [meaning]
    for (word, key), meanings in seen.items():
        source = references.WORDS.get(word, "")
        meaning = "; or ".join(meanings)
        yield Entry(name=word, kind=f"word of {key}", meaning=meaning, source=source, example=f"{key}: {flow(word)}")


# What there is to explain, by what it is, in the order in which all of it is listed.
_GROUPS: Mapping[str, Callable[[], Iterator[Entry]]] = {
    "settings": _settings,
    "words of settings": _levels,
    "keys of an experiment file": _file_keys,
    "keys under other keys": _keys_below,
    "forms of claims": _forms,
    "keys of claims": _claim_keys,
    "metrics": _metrics,
    "metrics of layers": _layer_metrics,
    "options of data sets": _data_options,
    "words of other keys": _choices,
    "random streams and shifts": _streams_and_shifts,
    "numerics modes": _modes,
    "words of results": _results,
    "words of the field": _field,
}
