"""What the keys and words of a schema mean, beside them: a description and examples of every key, and a line for every word.

Editors show them while one writes (`enumDescriptions` is the language server's). The words are those of `mlpbench explain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlpbench.base.models import DATASET, STREAM
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.experiment.claims.claim_form import FORMS
from mlpbench.experiment.file import key_meanings, word_meanings
from mlpbench.experiment.file.key_meanings import KeyMeaning
from mlpbench.experiment.file.word_meanings import Words
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.shift_spec import KINDS

Schema = dict[str, Any]
# The names of the properties from a root, the file or a definition, to a part of the schema.
Path = tuple[str, ...]

FILE = ""
CLAIM, TERM, SELECTOR, METRIC, SETTING = "Claim", "Term", "Selector", "Metric", "setting."
# A setting where a file has plugins.
OWN = "own."
# What a selector may name beside settings.
SELECTABLE: Mapping[str, str] = {
    "label": "the label of a condition",
    STREAM: "the random stream that varies",
    DATASET: "a data set that is a level",
}


def explained(tree: Schema) -> Schema:
    """Return the schema of a file with a description and examples of each key, and of each word that is offered."""
    definitions = {name: _explained(part, (name.replace(OWN, SETTING),)) for name, part in tree["$defs"].items()}
    for name, setting in SETTINGS.items():
        shape, default = definitions[SETTING + name], setting.default
        if default is not None:
            shape["default"] = list(default) if isinstance(default, tuple) else default
        if name in key_meanings.SETTINGS:
            shape["examples"] = list(key_meanings.SETTINGS[name])
    of_file: Schema = _explained({k: v for k, v in tree.items() if k != "$defs"}, (FILE,))
    return of_file | {"$defs": definitions}


def _explained(shape: Any, path: Path) -> Any:
    """Return a part of the schema with all that is below it explained."""
    if not isinstance(shape, dict):
        return shape
    new: Schema = {}
    for key, part in shape.items():
        if key == "properties":
            offered = {**part, **{n: {} for n in _of_named_data(part, path)}}
            new[key] = {name: _property(below, (*path, name)) for name, below in offered.items()}
        elif key in ("anyOf", "oneOf"):
            new[key] = [_explained(each, path) for each in part]
        elif key in ("items", "propertyNames", "then", "else"):
            new[key] = _explained(part, path)
        else:
            new[key] = part
    if "enum" in new and any(said := _said(new["enum"], _words(path))):
        new["enumDescriptions"] = said
    return new


def _property(shape: Schema, path: Path) -> Schema:
    key = _meaning(path)
    if key is None:
        return _explained(shape, path)  # type: ignore[no-any-return]
    rest = {k: v for k, v in shape.items() if k != "description"}
    examples = {"examples": list(key.examples)} if key.examples else {}
    return {"description": key.meaning, **_explained(rest, path), **examples}


def _of_named_data(properties: Mapping[str, Schema], path: Path) -> Iterable[str]:
    """Return the options of a data set that has a name, whose schema leaves them open: which it has follows from the name."""
    if DATASET not in path or "name" not in properties:
        return ()
    options = dict.fromkeys((*key_meanings.DATA, *key_meanings.SYNTHETIC))
    return [n for n in options if n not in (*properties, "file", "label", "facts")]


def _said(values: Iterable[Any], words: Words) -> list[str]:
    return [words.get("none" if value is None else str(value), "") for value in values]


def _meaning(path: Path) -> KeyMeaning | None:
    """Return what a key means, None of one that is described nowhere."""
    root, name = path[0], path[-1]
    if root.startswith(SETTING):
        return _of_setting_part(root.removeprefix(SETTING), path[1:])
    if root == CLAIM:
        return key_meanings.CLAIM.get(name) or _of_form(name)
    if root != FILE:
        return key_meanings.of_form(_form(root), name)
    if DATASET in path[1:-1]:
        return key_meanings.DATA.get(name) or key_meanings.SYNTHETIC.get(name)
    if path[1] == "plugins" and len(path) > 2:
        return key_meanings.PLUGIN if name == "name" else key_meanings.PIECES
    varied = path[1] in ("factors", "nuisance") and "conditions" not in path
    if name in SETTINGS:
        return of_setting(name, listed=varied)
    if name == DATASET and varied:
        return KeyMeaning(key_meanings.FILE[DATASET].meaning, (["digits", "mnist1d"],))
    if len(path) == 2 or name == DATASET:
        return key_meanings.FILE.get(name)
    if path[1] == "shifts":
        return KeyMeaning(KINDS[name].meaning, ([1],) if KINDS[name].whole else ([0.1, 0.2],))
    key = key_meanings.BELOW.get(path[1], {}).get(name)
    return KeyMeaning(key.meaning, of_setting(path[2], listed=True).examples) if key and name == "choice" else key


def _form(root: str) -> str:
    return "contrast" if root == TERM else next((n for n, form in FORMS.items() if form.__name__ == root), "")


def of_setting(name: str, *, listed: bool = False) -> KeyMeaning:
    """Return what a setting means, with examples of its values, or of a list of them where it is varied."""
    examples = key_meanings.SETTINGS.get(name, ())
    return KeyMeaning(SETTINGS[name].meaning, (list(examples),) if listed and examples else examples)


def _of_form(name: str) -> KeyMeaning | None:
    """Return what a form of claim is, by the sentence of its class where it is described nowhere else."""
    if name not in FORMS:
        return None
    about = key_meanings.FORM_MEANINGS.get(name) or (FORMS[name].__doc__ or name).strip().partition("\n")[0]
    return KeyMeaning(about, (dict(key_meanings.FORM_EXAMPLES[name]),) if name in key_meanings.FORM_EXAMPLES else ())


def _of_setting_part(setting: str, path: Path) -> KeyMeaning | None:
    """Return what a word with its parameter means, or a parameter that has a name."""
    name = path[-1]
    if len(path) > 1 and path[0] == "then":  # a word that follows another
        return _of_setting_part(setting, path[1:])
    if name in key_meanings.BELOW.get(setting, {}):
        return key_meanings.BELOW[setting][name]
    word = word_meanings.of_setting(setting).get(name) if len(path) == 1 else None
    if word is not None:
        return KeyMeaning(word, word_meanings.ARGUMENTS.get(name, ()))
    if name not in word_meanings.PARAMETERS:
        return None
    return KeyMeaning(word_meanings.PARAMETERS[name], (word_meanings.PARAMETER_EXAMPLES[name],))


def _words(path: Path) -> Words:
    """Return the meanings of the words that a key may have."""
    root, name = path[0], path[-1]
    if root == SELECTOR:
        return {**{n: s.meaning for n, s in SETTINGS.items()}, **SELECTABLE}
    if root.startswith(SETTING):
        setting = root.removeprefix(SETTING)
        return word_meanings.FILE.get(f"{setting}.{name}") or word_meanings.of_setting(setting)
    if root == FILE and DATASET in path:
        is_name = name in ("name", DATASET)
        return {n: s.facts.title for n, s in DATA_SETS.items()} if is_name else word_meanings.DATA.get(name, {})
    if root == FILE:
        return word_meanings.FILE.get(name, {})
    if root == METRIC:
        return {n: m.meaning for n, m in METRICS.items()}
    return (word_meanings.CLAIM if root == CLAIM else word_meanings.FORMS.get(_form(root), {})).get(name, {})
