"""What `mlpbench explain` says is what the tables and models of experiments have: names, ranges, defaults, examples that are read."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from mlpbench.base.models import STREAMS, nearest
from mlpbench.base.other_names import FIELD_TERMS, OTHER_NAMES, WRITTEN
from mlpbench.cli.main import main
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.synthetic import SYNTHETIC
from mlpbench.data.table.table_options import TableOptions
from mlpbench.experiment.claims.claim import claim_model
from mlpbench.experiment.claims.claim_form import FORMS
from mlpbench.experiment.claims.comparisons import Term
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file import glossary, key_meanings, references, word_meanings, yaml_reader
from mlpbench.experiment.file.flow_text import flow
from mlpbench.experiment.file.glossary import Entry
from mlpbench.experiment.file.json_schema import schema
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS
from mlpbench.experiment.value_types import Chain, Word

ENTRIES = glossary.entries()
NAMES = Counter((e.name, e.kind) for e in ENTRIES)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], catch_exceptions=False)


def entry(name: str, kind: str) -> Entry:
    (found,) = (e for e in ENTRIES if (e.name, e.kind) == (name, kind))
    return found


def tree(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_everything_that_a_file_may_say_has_an_entry() -> None:
    names = {e.name for e in ENTRIES}
    known: set[str] = {*SETTINGS, *FILE_KEYS, *METRICS, *DATA_SETS, *FORMS, *STREAMS, "fast", "portable", "universal"}
    known |= set(get_args(Decision))
    known |= {f.alias or n for form in FORMS.values() for n, f in form.model_fields.items()}
    known |= {*Term.model_fields, *claim_model().model_fields, *TableOptions.model_fields}
    known |= {option for data in SYNTHETIC.values() for option in type(data).model_fields}
    known |= {w for s in SETTINGS.values() if isinstance(s.value_type, Word | Chain) for w in s.value_type.table}
    assert known - names == set()
    assert all(n == 1 for n in NAMES.values()), NAMES.most_common(3)


def test_no_data_set_has_the_name_of_something_else() -> None:
    """Data sets are looked at only where nothing else has a name."""
    kinds: dict[str, set[str]] = {}
    for e in ENTRIES:
        kinds.setdefault(glossary._plain(e.name), set()).add(e.kind)
    assert [name for name, of in kinds.items() if "data set" in of and len(of) > 1] == list(glossary.NAMED_TWICE)
    assert {e.kind for e in glossary.explain("linear")} == {"word of scale", "data set"}


def test_forms_of_claims_have_the_keys_of_their_models() -> None:
    assert set(key_meanings.FORM_MEANINGS) == set(key_meanings.FORM_EXAMPLES) == set(FORMS)
    for name, form in FORMS.items():
        keys = {f.alias or n for n, f in form.model_fields.items()}
        keys |= set(Term.model_fields) if name == "contrast" else set()
        assert set(key_meanings.keys_of(name)) == keys, name


def test_every_setting_has_an_example_that_is_read_and_its_words_are_those_it_takes() -> None:
    assert set(key_meanings.SETTINGS) == set(SETTINGS)
    assert set(references.SETTINGS) <= set(SETTINGS)
    for name, examples in key_meanings.SETTINGS.items():
        for example in examples:
            SETTINGS[name].read(example)
            assert tree(flow(example)) == example
    for name, setting in SETTINGS.items():
        if isinstance(setting.value_type, Word | Chain):
            words = word_meanings.of_setting(name)
            assert set(words) >= set(setting.value_type.table), name
            for word, parameters in setting.value_type.table.items():
                takes = bool(parameters) or (word == "constant" and name == "schedule")
                assert (word in word_meanings.ARGUMENTS) == takes, (name, word)
                if parameters:
                    setting.read({word: word_meanings.ARGUMENTS[word][0]})


def test_examples_of_settings_and_keys_are_experiments_but_for_what_they_leave_out() -> None:
    """Each stands in a whole experiment, and is read there."""
    read = 0
    for e in ENTRIES:
        for line in (line for line in e.example.splitlines() if line.startswith("fixed: ")):
            name = "linear" if e.name in ("features",) else "digits"
            written = {"name": "x", "question": "?", "dataset": name, "validation": 0.2, **tree(line)}
            fixed = written["fixed"]
            if e.name in ("tf32", "tf32x3", "bbse", "weighting", "exact", "classifier"):
                fixed["train_shift"] = {"label": 3}
            if "train_shift" in fixed:
                fixed["train_size"] = 200
            if e.name == "class_weights" or "rare" in line:
                fixed["class_weights"] = "balanced"
            if e.name in ("parametrization", "mup"):
                fixed["init"] = "he_normal"
            if e.name in ("squared_error", "mse"):
                written["dataset"] = "linear"
            if line.startswith("fixed: {dropout: ["):
                fixed["depth"] = 2
            yaml_reader.from_mapping(written)
            read += 1
    assert read > 80


CLAIMS = [{"id": "c", "says": "So.", "bound": {"metric": "test_loss", "above": 0}}]


def test_examples_of_keys_below_others_are_read_as_they_stand() -> None:
    """What a reader copies works: keys that are never alone have the others beside them."""
    below = [e for e in ENTRIES if e.kind.startswith("key under ") and "fixed: " not in e.example]
    assert len(below) > 12
    for e in below:
        for line in e.example.splitlines():
            whole: dict[str, Any] = {"name": "x", "question": "?", "dataset": "digits"}
            whole |= {"validation": 0.2} if line.startswith("nuisance") else {}
            whole |= {"claims": CLAIMS} if line.startswith("until_decided") else {}
            assert yaml_reader.from_mapping(whole | tree(line)).name == "x", line
    label = next(e for e in ENTRIES if (e.name, e.kind) == ("label", "option of a data set"))
    assert yaml_reader.from_mapping({"name": "x", "question": "?"} | tree(label.example)).name == "x"


def bounds(shape: dict[str, Any]) -> str:
    """Return a range of numbers in words, from its schema."""
    if shape.get("type") == "boolean":
        return "true or false"
    if shape.get("type") not in ("number", "integer"):
        return ""
    low, above = shape.get("minimum"), shape.get("exclusiveMinimum")
    high, below = shape.get("maximum"), shape.get("exclusiveMaximum")
    what = "a whole number" if shape["type"] == "integer" else "a number"
    if (low, above, high, below) == (None, None, None, None):
        return what
    if None not in (above, below):
        return f"{what} above {above:g} and below {below:g}"
    if None not in (low, high):
        return f"{what} in [{low}, {high}]"
    return f"{what} above {above:g}" if above is not None else f"{what} of at least {low:g}"


def test_ranges_of_keys_are_those_of_the_schema() -> None:
    defs = schema()["$defs"]
    compared = 0
    for form, model in FORMS.items():
        for key, meaning in key_meanings.keys_of(form).items():
            of = defs["Term"] if form == "contrast" and key in ("weight", "where") else defs[model.__name__]
            said = bounds(of["properties"][key])
            assert meaning.values == said, (form, key)
            compared += said != ""
    dataset = schema()["properties"]["dataset"]["anyOf"][2]["properties"]
    for key, meaning in key_meanings.DATA.items():
        if key in dataset:
            options = [dataset[key], *dataset[key].get("anyOf", [])]
            assert meaning.values in {"", *map(bounds, options)}, key
            compared += meaning.values != ""
    for data in SYNTHETIC.values():
        shapes = type(data).model_json_schema()["properties"]
        for key, meaning in key_meanings.SYNTHETIC.items():
            if key in shapes and meaning.values:
                assert meaning.values in {bounds(s) for s in (shapes[key], *shapes[key].get("anyOf", []))}, key
                compared += 1
    top = schema()["properties"]
    for key in ("replicates", "save_weights"):
        assert key_meanings.FILE[key].values == bounds(top[key])
    assert compared >= 20


def test_defaults_are_those_of_the_models() -> None:
    models: list[tuple[dict[str, key_meanings.KeyMeaning], Any]] = [
        (dict(key_meanings.keys_of(name)), form) for name, form in FORMS.items()
    ]
    models += [(dict(key_meanings.DATA), TableOptions), (dict(key_meanings.CLAIM), claim_model())]
    for keys, model in models:
        for name, field in model.model_fields.items():
            default, said = field.default, keys[field.alias or name].default if (field.alias or name) in keys else ""
            if said and default is not None and isinstance(default, str | bool | int | float):
                assert said.split(";")[0] == (flow(default) if default else flow(default).removesuffix(".0")), name
            if isinstance(default, str) and default and name not in ("source", "target"):
                assert said, name
    for name, setting in SETTINGS.items():
        said = entry(name, "setting").default
        if setting.default is not None:
            assert setting.read(tree(said)) == setting.default


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("learning_rate", "lr"),
        ("hidden", "width"),
        ("dropout_rate", "dropout"),
        ("num_epochs", "epochs"),
        ("batchsize", "batch_size"),
        ("momentum", "optimizer"),
        ("Learning-Rate", "lr"),
        ("n_layers", "depth"),
        ("clip_nrom", "clip_norm"),
    ],
)
def test_names_of_other_libraries_are_understood(asked: str, answer: str) -> None:
    assert nearest(asked, SETTINGS) == answer
    result = invoke(asked)
    assert result.exit_code == 0
    assert answer in result.output


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("p-value", "p (word of results)"), ("p value", "p (word of results)"), ("pvalue", "p (word of results)"),
        ("p_value", "p (word of results)"), ("effect size", "estimate (word of results)"), ("ci", "interval (key of a claim)"),
        ("confidence interval", "interval (key of a claim)"), ("overfitting", "overfitting (word of the field)"),
        ("k-fold", "folds (key under validation)"), ("cross-validation", "folds (key under validation)"), ("cv", "folds (key under validation)"),
        ("random search", "nuisance (key of an experiment file)"), ("grid search", "nuisance (key of an experiment file)"),
        ("tuning", "nuisance (key of an experiment file)"), ("hyperparameter", "nuisance (key of an experiment file)"),
        ("softmax", "softmax (word of the field)"), ("calibration", "calibration (word of the field)"),
        ("percentage point", "pp (word of results)"), ("standard deviation", "sd (word of results)"),
        ("stratify", "stratify (word of the field)"), ("recall", "recall (word of the field)"), ("resume", "resume (word of the field)"),
        ("nan", "diverged (metric)"), ("significance", "p (word of results)"), ("multiple testing", "holm (word of results)"),
        ("ECE", "test_ece (metric)"), ("dead units", "dead_units (metric)"),
        ("steps_to_train_loss_X", "steps_to_train_loss_X (metric)"), ("epochs_to_train_accuracy_X", "epochs_to_train_accuracy_X (metric)"),
        ("keep_prob", "dropout (setting)"),
    ],
)  # fmt: skip
def test_terms_of_the_field_lead_to_what_they_are_called_here(asked: str, answer: str) -> None:
    result = invoke(*asked.split())
    assert result.exit_code == 0
    assert next(line for line in result.output.splitlines() if "(" in line) == answer


@pytest.mark.parametrize(
    "word", ["huber", "mcc", "version", "device", "confidence", "percentage", "random", "multiple", "flibber"]
)
def test_what_nothing_is_like_gets_no_suggestion(word: str) -> None:
    result = invoke(word)
    assert (result.exit_code, "did you mean" in result.stderr) == (2, False)


def test_terms_of_the_field_are_no_names_of_ours_and_lead_to_some() -> None:
    names = {e.name for e in ENTRIES}
    assert set(FIELD_TERMS.values()) <= names
    assert {glossary._plain(n) for n in names} & set(FIELD_TERMS) == set()
    assert [term for term in FIELD_TERMS if term != glossary._plain(term)] == []
    assert set(WRITTEN) <= set(OTHER_NAMES)


def test_a_complement_is_explained_as_one() -> None:
    said = " ".join(invoke("keep_prob").output.split())
    assert "keep_prob (dropout, which is 1 - keep_prob: 0.2 where keep_prob is 0.8)" in said


def test_every_other_name_leads_to_a_name_of_ours_and_is_none_itself() -> None:
    names = {e.name for e in ENTRIES} | {"none", "standard"}
    assert set(OTHER_NAMES.values()) - names == set()
    # What is a setting must never be answered with another.
    assert [name for name in OTHER_NAMES if name in SETTINGS or name in FILE_KEYS] == []


def test_what_is_unknown_is_an_error_with_a_way_forward() -> None:
    result = invoke("xyzzy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "mlpbench: nothing is called 'xyzzy'; `mlpbench explain` alone lists what there is\n"


@pytest.mark.parametrize("word", ["lost", "mes"])
def test_a_word_that_is_only_like_another_is_asked_about_and_not_taken_for_it(word: str) -> None:
    result = invoke(word)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"mlpbench: nothing is called '{word}'; did you mean '")


@pytest.mark.parametrize(
    ("word", "meant"), [("drpout", "dropout"), ("weight_decy", "weight_decay"), ("learning_rate", "lr")]
)
def test_a_slip_of_the_keyboard_is_understood(word: str, meant: str) -> None:
    assert invoke(word).stdout.startswith(f"{word}: here {meant}\n")


def test_one_word_is_explained_with_range_default_source_and_example() -> None:
    assert invoke("dropout").output.startswith(
        "dropout (setting)\n  probability of zeroing a hidden unit\n"
        "  values   a number in [0, 1], or a list with one per hidden layer\n  default  0.0\n  source   Srivastava"
    )
    several = invoke("test_accuracy", "portable").output
    assert "test_accuracy (metric)" in several
    assert "portable (numerics mode)" in several
    assert "not robust (word of results)" in invoke("not", "robust").output


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_lines_fit_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples are to be copied: they stay whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in ((), *((e.name,) for e in ENTRIES[:40])):
        for line in invoke(*arguments).output.splitlines():
            is_example = re.match(r" {2}example| {11}\S*(fixed|dataset|claims|vary|shifts|metric)?: ", line)
            assert len(line) < min(columns, 101) or is_example, line


def test_all_is_listed_and_json_has_the_same() -> None:
    listed = " ".join(invoke().output.split())
    assert [e.name for e in ENTRIES if f" {e.name}," not in listed and f" {e.name} " not in listed] == []
    assert json.loads(invoke("--json").output) == [e.to_json() for e in glossary.entries()]
    (lr,) = json.loads(invoke("lr", "--json").output)
    assert (lr["values"], lr["default"]) == ("a number above 0", "0.1")


def test_what_was_added_to_the_package_is_explained_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMS, "compare", FORMS["compare"])  # put back: being defined registers the other class there
    times = type("Times", (FORMS["compare"],), {"__doc__": "More than some times as much."})
    monkeypatch.setitem(FORMS, "times", times)
    (entry_of_times,) = glossary.explain("times")
    assert (entry_of_times.kind, entry_of_times.meaning) == ("form of claim", "More than some times as much.")
    assert entry_of_times.values == "keys metric, a, b, expect, margin, of"
    added = replace(SETTINGS["norm"], value_type=Word(table={"none": {}, "group": {}}))
    monkeypatch.setitem(SETTINGS, "norm", added)
    (group,) = glossary.explain("group")
    assert group.kind == "word of norm"
    assert group.meaning.startswith("a further level of norm: normalisation before each activation")
    assert glossary.explain("xyzzy") == []


@pytest.mark.slow
def test_it_loads_neither_pandas_nor_claims() -> None:
    """What takes long is loaded for no word but the name of a data set: 0.3 s on a machine that does nothing else."""
    code = (
        "import sys; from mlpbench.cli.main import main\nmain(['explain', 'compare', 'lr'], standalone_mode=False)\n"
        "sys.exit(sum(m in sys.modules for m in ('pandas', 'pyarrow', 'scipy', 'torch', 'mlpbench.experiment.claims.claim', 'ruamel.yaml')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_number_is_written_as_yaml_reads_it() -> None:
    for number in (1e-8, 1e22, 0.1, 3, 1.5e-7, -2.0):
        assert tree(flow(number)) == number
    assert math.isclose(tree(flow([1e-8]))[0], 1e-8)
    for text in ("yes", "1", "null", "a: b", "#x", "x y", "", "10%", "-", "true", "it's", "1e5", "~"):
        assert tree(flow({"k": text})) == {"k": text}
