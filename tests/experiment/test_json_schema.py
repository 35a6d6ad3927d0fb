"""The JSON Schema of an experiment file takes whatever mlpbench takes, and refuses what one value alone shows to be wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bad_specs import FILES, GOOD, HERE, OF_CONDITIONS, Bad
from click.testing import CliRunner
from drawn_specs import PLAIN, VALUES
from hypothesis import given
from hypothesis import strategies as st
from repository import EXPERIMENTS
from ruamel.yaml import YAML

from mlpbench.cli.main import main
from mlpbench.experiment.file.json_schema import schema
from mlpbench.experiment.file.key_meanings import FILE
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS
from mlpbench.experiment.value_types import Chain, Word

SHIPPED = sorted(EXPERIMENTS.rglob("*.yaml"))
SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
# What only shows beside another value, in the data, or in numbers that JSON does not have.
NOT_SEEN = {
    "train-size", "lr-inf", "probes-inf", "probes-huge", "two-roles", "two-ways", "two-ways-in-one-condition", "same-run", "label-of-two-lines",
    "vary-nothing", "dataset", "claim-metric", "claim-factor", "claim-level", "claim-no-factor", "validation-of-none",
    "nesterov-without-momentum", "mup-orthogonal", "mup-l1", "mup-convolutions", "residual-does-nothing", "batch-norm-of-one", "batch-norm-of-one-example", "claim-validation", "claim-condition", "claim-margin", "claim-nan", "claim-twice", "big-number", "half-a-pair", "grid",
    "metric-of-scikit-learn", "metric-error", "metric-error-of-numbers", "metric-accuracy-of-numbers", "metric-rmse-of-classes", "metric-time", "metric-without-part",
    "metric-misspelt-without-part", "metric-of-a-shift", "zip-uneven", "file-is-an-address", "name-and-file", "name-of-a-table-and-file",
    "class-weights-unknown", "class-weights-of-numbers", "label-smoothing-of-squares", "label-smoothing-of-numbers", "early-stopping-without-validation", "early-stopping-of-numbers", "range-no-levels", "range-levels-differ", "range-turned", "range-log-0", "range-of-counts", "range-of-words", "range-too-many", "claim-margin-of-f1", "claim-of-classes", "claim-of-probabilities", "claim-of-train",
    *(b.name for b in OF_CONDITIONS),
}  # fmt: skip
# What is not YAML, or not the part of it that an experiment is written in, is for the reader to refuse.
NO_TREE = {
    "tab", "unclosed", "duplicate-key", "tag", "bool-tag", "two-documents", "brackets", "closed-brackets", "dashes",
    "no-space", "no-space-at-the-end", "no-space-at-the-top", "no-space-below", "equals", "no-colon", "non-breaking-space", "full-width-colon",
    "text-that-goes-on", "open-quote", "open-single-quote",
    "bigger-number", "hexadecimal", "impossible-date", "mapping-key", "nul", "alias-bomb", "merge", "yaml-1.1", "too-long",
}  # fmt: skip


def tree(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def says(value: Any) -> list[str]:
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in VALIDATOR.iter_errors(value)]


def test_it_is_a_schema_and_the_command_prints_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    result = CliRunner().invoke(main, ["schema"], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.output) == SCHEMA


@pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])
def test_every_shipped_experiment_is_valid(path: Path) -> None:
    assert says(tree(path.read_text())) == []


@pytest.mark.parametrize("wrong", FILES, ids=[b.name for b in FILES])
def test_it_refuses_what_mlpbench_refuses_where_it_can_know(wrong: Bad) -> None:
    if wrong.name not in NO_TREE:
        assert bool(says(tree(wrong.text.replace(HERE, "")))) == (wrong.name not in NOT_SEEN)


def test_the_lists_of_what_it_cannot_know_are_of_the_corpus() -> None:
    names = {b.name for b in FILES}
    assert names >= NOT_SEEN
    assert names >= NO_TREE
    assert says(tree(GOOD)) == []


@given(st.data())
def test_it_takes_every_spelling_of_a_value(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[name])
    assert says(PLAIN | {"fixed": {name: value}}) == []
    assert says(PLAIN | {"factors": {name: [value]}}) == []
    assert says(PLAIN | {"factors": {"conditions": [{"label": "a", name: value}]}}) == []


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_its_meaning_and_its_default_is_valid(name: str) -> None:
    shape = SCHEMA["$defs"][f"setting.{name}"]
    assert shape["description"] == SETTINGS[name].meaning
    default = SETTINGS[name].default
    if default is not None:
        value = list(default) if isinstance(default, tuple) else default
        assert says(PLAIN | {"fixed": {name: value}}) == []
    assert says(PLAIN | {"fixed": {name: {"no": "such"}}})


@pytest.mark.parametrize("name", [n for n, s in SETTINGS.items() if isinstance(s.value_type, Word | Chain)])
def test_every_word_is_offered_and_a_misspelt_one_refused(name: str) -> None:
    kind = SETTINGS[name].value_type
    assert isinstance(kind, Word | Chain)
    text = json.dumps(SCHEMA["$defs"][f"setting.{name}"])
    for word, parameters in kind.table.items():
        assert f'"{word}"' in text
        assert bool(says(PLAIN | {"fixed": {name: word}})) == (
            any(limits.default is None for limits in parameters.values())
        )
        assert says(PLAIN | {"fixed": {name: f"{word}x"}})


@pytest.mark.parametrize(
    "form",
    [
        {"compare": {"metric": "test_loss", "a": {"lr": 1}, "b": {"lr": 2}, "expect": "less", "margin": 0.1}},
        {"trend": {"metric": "test_loss", "factor": "lr", "expect": "rises", "scale": "log"}},
        {"bound": {"metric": "steps_to_train_loss_0.5", "where": {"label": "a"}, "above": 1, "of": "every"}},
        {"matches": {"metric": "test_accuracy", "value": 0.8, "tolerance": 0.01}},
        {"contrast": {"metric": "flops", "terms": [{"weight": -1.5, "where": {"lr": 1}}], "expect": "greater"}},
        {"best": {"metric": "test_loss", "over": "lr", "where": {"width": 8}, "and": {"width": 16}, "expect": "same"}},
        {"share": {"metric": "test_loss", "stream": "init", "expect": "largest"}},
        {"wins": {"metric": "test_loss", "a": {"lr": 1}, "b": {"lr": 2}, "above": 0.6}},
        {"fails": {"metric": "test_loss", "a": {"lr": 1}, "b": {"lr": 2}, "expect": "less", "worse_than": 2.0}},
    ],
    ids=lambda form: next(iter(form)),
)
def test_every_form_of_claim_is_taken_and_one_without_a_key_is_not(form: dict[str, dict[str, Any]]) -> None:
    def claimed(**keys: Any) -> list[str]:
        return says(PLAIN | {"claims": [{"id": "c", "says": "So.", **keys}]})

    ((kind, given),) = form.items()
    assert claimed(**form, source="a book", test="sign_flip") == []
    assert claimed(**form, test="sign") == []
    assert claimed(**form, test="signs")
    assert claimed(**{kind: {k: v for k, v in given.items() if k != "metric"}})
    assert claimed(**{kind: given | {"extra": 1}})
    other = {"bound": {"metric": "flops", "above": 1}} if kind != "bound" else {"share": {}}
    assert claimed(**form, **other)
    assert claimed()


@pytest.mark.parametrize(
    "keys",
    [
        {"dataset": {"name": "fashion_mnist"}},
        {"dataset": {"file": "a.csv", "target": "y", "test": 0.3, "scale": "none"}},
        {"validation": {"folds": 5}, "nuisance": {"lr": [0.1, 1]}},
        {"vary": {"each": ["init", "order"]}, "save_weights": True},
        {"until_decided": {"anytime": True}},
        {"until_decided": {"max_replicates": 20}, "probes": ["start", 1.5, "end"], "fixed": None},
    ],
)
def test_every_form_of_a_key_is_taken(keys: dict[str, Any]) -> None:
    assert says(PLAIN | keys) == []


def properties(shape: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of a schema, at any depth, with where it stands."""
    if isinstance(shape, list):
        for i, part in enumerate(shape):
            yield from properties(part, f"{path}[{i}]")
    elif isinstance(shape, dict):
        for key, part in shape.items():
            if key == "properties":
                for name, below in part.items():
                    yield f"{path}.{name}", below
                    yield from properties(below, f"{path}.{name}")
            elif key == "$defs":
                for name, below in part.items():
                    yield from properties(below, f"{path}#{name}")
            elif key not in ("examples", "enum", "default"):
                yield from properties(part, path)


def enumerations(shape: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of a schema that offers words."""
    if isinstance(shape, list):
        for part in shape:
            yield from enumerations(part, path)
    elif isinstance(shape, dict):
        if "enum" in shape:
            yield path, shape
        for key, part in shape.items():
            if key not in ("examples", "enum", "default"):
                yield from enumerations(part, f"{path}.{key}")


def resolved(shape: dict[str, Any]) -> dict[str, Any]:
    """Return a property with what it refers to."""
    of = SCHEMA["$defs"][shape["$ref"].removeprefix("#/$defs/")] if "$ref" in shape else {}
    return of | shape


def test_every_key_has_a_description_and_an_example_which_the_schema_takes() -> None:
    found = list(properties(SCHEMA))
    assert len(found) > 400
    # Which of two ways to top up is asked for is no key of its own.
    without = {p for p, s in found if not resolved(s).get("description") or not resolved(s).get("examples")}
    assert without == set()
    for path, shape in found:
        if ".nuisance" in path and (path.endswith(".int") or (path.endswith("uniform") and ".lr" not in path)):
            continue  # the ends of a range are those of a learning rate, or of a depth
        for example in resolved(shape)["examples"]:
            whole = {"$defs": SCHEMA["$defs"], **resolved(shape)}
            wrong = [e.message for e in jsonschema.Draft202012Validator(whole).iter_errors(example)]
            assert wrong == [], (path, example)


# Metrics, targets and weights are whatever they are; a column may be counted from either end, and a gap be any number.
WITHOUT_RANGE = {
    *("#Bound.above", "#Bound.below", "#Fails.worse_than", "#Matches.value", "#Term.weight"),
    *("#setting.init[3].constant", "#setting.bias_init[3].constant"),
    *(
        f".dataset[2].{key}"
        for key in ("columns", "drop", "groups", "missing_values", "split", "target", "time", "words")
    ),
}
ENDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const"}


def unlimited(shape: Any) -> Iterator[dict[str, Any]]:
    """Yield the numbers without a range that a property takes itself."""
    if isinstance(shape, list):
        for part in shape:
            yield from unlimited(part)
    elif isinstance(shape, dict):
        if shape.get("type") in ("number", "integer") and not ENDS & shape.keys():
            yield shape
        for key, part in shape.items():
            if key not in ("properties", "examples", "enum", "default"):
                yield from unlimited(part)


def test_every_number_has_its_range() -> None:
    """Editors say then what is too large or too small; where a range is wrong, the cases above show it."""
    found = {path for path, shape in properties(SCHEMA) if any(unlimited(resolved(shape)))}
    # Data sets are levels of factors too.
    assert {re.sub(r"^\.factors.*?(?=\.dataset)", "", path) for path in found} == WITHOUT_RANGE


def test_every_word_that_is_offered_is_explained_beside_it() -> None:
    found = list(enumerations(SCHEMA))
    assert len(found) > 20
    for path, shape in found:
        assert len(shape.get("enumDescriptions", [])) == len(shape["enum"]), (path, shape)
        assert all(shape["enumDescriptions"]), (path, shape)


@pytest.mark.slow
def test_it_is_the_same_bytes_in_every_process() -> None:
    """Sets and hashes of words have another order in each."""
    printed = set()
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-m", "mlpbench", "schema"]
        env = os.environ | {"PYTHONHASHSEED": seed}
        printed.add(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    assert len(printed) == 1


def test_every_key_of_a_file_has_a_meaning() -> None:
    assert set(FILE) == set(FILE_KEYS) == set(SCHEMA["properties"])
    assert all(SCHEMA["properties"][key]["description"] for key in FILE_KEYS)


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"missing": "drop_rows", "missing_values": [-999, "unknown", 0.5], "words": ["zip"], "day_first": True}, True),
        ({"scale": "quantile"}, True),
        ({"missing": "drop"}, False),
        ({"missing_values": [[1]]}, False),
        ({"missing_values": []}, False),
        ({"words": "zip"}, False),
        ({"words": [3, -1]}, True),
        ({"day_first": "yes"}, False),
        ({"scale": "ranks"}, False),
    ],
)
def test_options_of_columns_are_seen(options: dict[str, Any], fits: bool) -> None:
    dataset = {"file": "t.csv", "target": "kind", **options}
    assert (says({"name": "own", "question": "?", "dataset": dataset}) == []) == fits
