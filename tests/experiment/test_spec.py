"""Specs: roles, canonical levels, and claims that speak of what is there."""

from __future__ import annotations

import math
from typing import Any

import pytest
from drawn_specs import PLAIN, made, spec, trees
from hypothesis import HealthCheck, given, settings
from problem_text import problem_text
from pydantic import ValidationError

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem, shown
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.experiment import grid
from mlpbench.experiment.claims.comparisons import ACCURACY_MARGIN, Compare, Contrast
from mlpbench.experiment.claims.value_claims import Bound
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment, build

LR = {"factors": {"lr": [0.1, 0.2, 0.4]}}
LISTED = {"factors": {"conditions": [{"label": "slow", "lr": 0.1}, {"label": "fast", "lr": 1}]}}
ZIPPED = {"factors": {"zip": {"lr": [0.1, 0.2], "width": [8, 16]}}}


def claimed(form: str, keys: dict[str, Any] | None = None, **fields: Any) -> Experiment:
    return spec(**(keys or LR), claims=[{"id": "c", "says": "It is so.", form: {"metric": "test_loss", **fields}}])


def refusal(*arguments: Any, **fields: Any) -> str:
    with pytest.raises(InputError) as caught:
        claimed(*arguments, **fields)
    return problem_text(caught.value)


def unequal(**fields: Any) -> dict[str, Any]:
    return {"a": {"lr": 0.1}, "b": {"lr": 0.2}, "expect": "greater", **fields}


def test_an_experiment_can_not_be_changed() -> None:
    experiment = spec(**LR)
    with pytest.raises(ValidationError, match="frozen"):
        experiment.replicates = 3  # type: ignore[misc]


def test_defaults_are_those_of_the_format() -> None:
    experiment = spec()
    assert (experiment.replicates, experiment.seed, experiment.validation) == (5, 0, None)
    assert experiment.vary == ("init", "order", "dropout", "split", "noise")
    assert experiment.probes is None


@pytest.mark.parametrize(
    ("written", "epochs"),
    [
        ([], ()),
        ([0], (0.0,)),
        (["start"], (0.0,)),
        (["end"], (math.inf,)),
        (["start", 0.5, 1, "end"], (0.0, 0.5, 1.0, math.inf)),
        (["end", 3, 1, "start"], (0.0, 1.0, 3.0, math.inf)),
        ([1, 1.0, 0, "start", -0.0], (0.0, 1.0)),
        ([1_000_000], (1e6,)),
    ],
)
def test_probes_are_epochs_in_order_each_once(written: list[Any], epochs: tuple[float, ...]) -> None:
    probes = spec(probes=written).probes
    assert probes == epochs
    assert all(type(e) is float and math.copysign(1, e) == 1 for e in probes or ())


@pytest.mark.parametrize(
    "value",
    [
        *(5, "start", "all", {"start": 1}, None, True, [None], [True], ["strat"], ["1"], [[0]], [-1], [-1e-9]),
        *([math.inf], [-math.inf], [math.nan], [0, "End"], [10**400]),
    ],
)
def test_what_is_no_list_of_epochs_is_refused(value: object) -> None:
    with pytest.raises(InputError) as caught:
        spec(probes=value)
    assert problem_text(caught.value) == (
        f"probes: probes must be a list of epochs of at least 0, start or end, got {shown(value)}"
    )


@given(trees())
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_setting_of_a_file_has_the_one_role_it_was_given(tree: dict[str, Any]) -> None:
    experiment = made(tree)
    factors = dict(tree.get("factors", {}))
    zipped, rows = factors.pop("zip", {}), factors.pop("conditions", [])
    assert set(experiment.fixed) == set(tree.get("fixed", {}))
    assert list(experiment.factors) == list(factors)
    assert list(experiment.zipped) == list(zipped)
    assert [list(c) for c in experiment.conditions] == [list(r) for r in rows]
    assert experiment.factor_names == (*factors, *zipped, *(["label"] if rows else []))
    n = 1
    for levels in factors.values():
        n *= len(levels)
    n *= max([1, *map(len, zipped.values())]) * max(1, len(rows))
    assert len(grid.conditions(experiment)) == grid.count_conditions(experiment) == n


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"fixed": {"lr": 1}, "factors": {"lr": [1, 2]}}, "factors.lr"),
        ({"fixed": {"lr": 1}, "factors": {"zip": {"lr": [1, 2]}}}, "factors.zip.lr"),
        ({"factors": {"lr": [1, 2], "zip": {"lr": [1, 2]}}}, "factors.zip.lr"),
        ({"fixed": {"lr": 1}, **LISTED}, "factors.conditions.0.lr"),
        ({"factors": {"lr": [3, 4], **LISTED["factors"]}}, "factors.conditions.0.lr"),
        ({"factors": {**ZIPPED["factors"], **LISTED["factors"]}}, "factors.conditions.0.lr"),
    ],
)
def test_a_setting_has_one_role(keys: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError, match=rf"^{path}: a setting has one role, but lr "):
        spec(**keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"fixed": {"hidden_sizes": [8], "depth": 1}},
        {"fixed": {"hidden_sizes": [8]}, "factors": {"width": [1, 2]}},
        {"fixed": {"epochs": 1}, "factors": {"zip": {"steps": [1, 2]}}},
        {"factors": {"steps": [1, 2], "epochs": [3, 4]}},
        {"fixed": {"epochs": 1}, "factors": {"conditions": [{"label": "a", "steps": 1}]}},
    ],
)
def test_two_ways_to_say_one_thing_are_one_too_many(keys: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="stands in place of .*: give one of them, got both"):
        spec(**keys)


def test_conditions_may_say_one_thing_in_two_ways() -> None:
    listed = [
        {"label": "equal epochs", "epochs": 3, "width": 8},
        {"label": "equal steps", "steps": 9, "hidden_sizes": [8, 4]},
        {"label": "neither", "depth": 2},
    ]
    experiment = spec(factors={"conditions": listed}, replicates=1)
    again = yaml_reader.from_text("spec.yaml", yaml_reader.dump(experiment))
    of = [run.settings for run in grid.runs(again)]
    assert [s.hidden_sizes for s in of] == [(8,), (8, 4), (256, 256)]
    assert [s.epochs for s in of] == [3, None, 10]
    assert of[1].steps == 9


def test_levels_that_are_spelt_differently_are_still_the_same() -> None:
    for name, levels in (("init", [{"normal": 0.01}, "normal(0.01)"]), ("lr", [1, 1.0]), ("dropout", [0, -0.0])):
        with pytest.raises(InputError, match="the levels of a factor must differ"):
            spec(factors={name: levels})


@pytest.mark.parametrize("levels", [[], None, 5, "relu", {}, {"a": 1}])
def test_levels_are_a_list_that_is_not_empty(levels: object) -> None:
    with pytest.raises(InputError, match="the levels of factor lr must be a list that is not empty, got "):
        spec(factors={"lr": levels})


@pytest.mark.parametrize("rows", [0, [], {}, "a", False])
def test_conditions_are_a_list_that_is_not_empty(rows: object) -> None:
    with pytest.raises(InputError, match="conditions must be a list of mappings that is not empty, got "):
        spec(factors={"conditions": rows})


@pytest.mark.parametrize("label", [None, "", " ", 5, True, "two\nlines", "tab\tbed", ["a"]])
def test_a_label_is_words_on_one_line(label: object) -> None:
    with pytest.raises(InputError, match="each condition needs a label of its own, words on one line"):
        spec(factors={"conditions": [{"label": label, "lr": 1}]})


@pytest.mark.parametrize("key", ["conditions", "zipped", "fixde", "", 5, None])
def test_keys_of_the_model_that_are_none_of_the_file_are_refused(key: object) -> None:
    with pytest.raises(SpecProblem, match="unknown key "):
        build({**PLAIN, key: []})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("name", "two words", "name must be a plain word of letters, digits, '_' and '-', got 'two words'"),
        ("name", "../up", "name must be a plain word"),
        ("name", "", "name must be a plain word"),
        ("name", "line\n", "name must be a plain word"),
        ("name", "x" * 101, "name must have at most 100 characters, got 'xx"),
        ("name", 5, "name must be text, got 5"),
        ("question", " \n", "question must not be empty, got ' \\n'"),
        ("dataset", "fashion_mnst", "dataset must be a name of `mlpbench data list`, got 'fashion_mnst'; did you mean 'fashion_mnist'?"),
        ("dataset", {"name": "x"}, f"dataset must be a name of `mlpbench data list` ({', '.join(DATA_SETS)}), got 'x'"),
        ("dataset", {"name": "fashion_mnist", "scale": "none"}, "unknown key 'scale'"),
        ("dataset", 5, "dataset must be a name or {file: PATH, target: COLUMN}, got 5"),
        ("dataset", None, "dataset must be a name or {file: PATH, target: COLUMN}, got null"),
        ("dataset", {}, "a data set of your own is {file: PATH, target: COLUMN}, got {}"),
        ("dataset", {5: 1}, "a key must be a word, got 5"),
        ("replicates", 0, "replicates must be greater than or equal to 1, got 0"),
        ("replicates", 100_001, "replicates must be less than or equal to 100000, got 100001"),
        ("replicates", True, "replicates must be a whole number, got true"),
        ("replicates", "5", "replicates must be a whole number, got '5'"),
        ("replicates", 5.5, "replicates must be a whole number, got 5.5"),
        ("seed", -1, "seed must be greater than or equal to 0, got -1"),
        ("seed", 2**63, f"seed must be less than {2**63}, got {2**63}"),
        ("validation", 0, "validation must be greater than 0, got 0"),
        ("validation", 1, "validation must be less than 1, got 1"),
        ("validation", "0.5", "validation must be a number, got '0.5'"),
        ("validation", float("nan"), "validation must be "),
        ("vary", "init", "vary must be a list, got 'init'"),
        ("vary", ["iniit"], "entry 1 of vary must be 'init', 'order', 'dropout', 'split' or 'noise', got 'iniit'; did you mean 'init'?"),
        ("vary", [], "vary must name a stream in which replicates differ, got [] for 5 replicates"),
        ("claims", None, "claims must be a list, got null"),
        ("claims", {"id": "a"}, "claims must be a list, got {'id': 'a'}"),
        ("fixed", [1], "fixed must be a mapping, got [1]"),
        ("factors", 3, "factors must be a mapping, got 3"),
    ],
)  # fmt: skip
def test_a_key_out_of_range_is_refused_with_rule_and_value(key: str, value: object, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        spec(**{key: value})
    assert str(caught.value).partition(": ")[2].startswith(rule)


def test_one_replicate_needs_no_stream() -> None:
    assert spec(vary=[], replicates=1).vary == ()


def test_selectors_come_back_in_canonical_form() -> None:
    experiment = claimed(
        "compare",
        {"factors": {"init": [{"normal": 0.01}, "zeros"]}},
        a={"init": {"normal": 0.01}}, b={"init": "zeros"}, expect="less",
    )  # fmt: skip
    form = experiment.claims[0].form
    assert isinstance(form, Compare)
    assert (form.a, form.b) == ({"init": "normal(0.01)"}, {"init": "zeros"})
    assert experiment.claims[0].form.name == "compare"


def test_a_margin_is_filled_in_where_there_is_a_default() -> None:
    def margin(**fields: Any) -> float | None:
        form = claimed("compare", **unequal(**fields)).claims[0].form
        assert isinstance(form, Compare)
        return form.margin

    assert (margin(metric="test_accuracy"), margin(), margin(margin=0.5)) == (ACCURACY_MARGIN, 0, 0.5)
    terms = [{"weight": 1, "where": {"lr": 0.1}}]
    form = claimed("contrast", metric="gap_accuracy", terms=terms, expect="equivalent").claims[0].form
    assert isinstance(form, Contrast)
    assert form.margin == ACCURACY_MARGIN


@pytest.mark.parametrize(
    ("form", "fields", "rule"),
    [
        ("compare", unequal(metric="test_los"), "metric must be one of "),
        ("compare", unequal(metric="steps_to_train_loss_0.5\n"), "metric must be one of "),
        ("compare", unequal(metric="steps_to_train_loss_"), "metric must be one of "),
        ("compare", unequal(metric="val_loss"), "a metric of validation examples needs validation"),
        ("compare", unequal(a={"width": 8}), "a claim here names a factor (lr), got 'width'"),
        ("compare", unequal(a={"lrr": 8}), "a claim here names a factor (lr), got 'lrr'; did you mean 'lr'?"),
        ("compare", unequal(a={"lr": 0.3}), "a claim about lr names one of its levels [0.1, 0.2, 0.4], got 0.3"),
        ("compare", unequal(a={"lr": "x"}), "lr must be a number above 0, got 'x'"),
        ("compare", unequal(a={5: 1}), "a key must be a word, got 5"),
        ("compare", unequal(a=[]), "a must be a mapping, got []"),
        ("compare", unequal(b={"lr": 1e-1}), "a and b must differ"),
        ("compare", unequal(expect="bigger"), "expect must be 'greater', 'less' or 'equivalent', got 'bigger'"),
        ("compare", unequal(expect="equivalent"), "equivalent on test_loss must state a margin"),
        ("compare", unequal(margin=-1), "margin must be greater than or equal to 0, got -1"),
        ("compare", unequal(margin=float("inf")), "margin must be a finite number, got inf"),
        ("compare", unequal(margin=True), "margin must be a number, got true"),
        ("compare", {"a": {"lr": 0.1}, "expect": "less"}, "compare needs b, got none"),
        ("bound", {"above": 1, "below": 2}, "a bound has exactly one of 'above' and 'below', got both"),
        ("bound", {}, "a bound has exactly one of 'above' and 'below', got neither"),
        ("bound", {"above": float("nan")}, "above must be a finite number, got nan"),
        ("bound", {"above": "1"}, "above must be a number, got '1'"),
        ("bound", {"above": 10**400}, "above must be a number, got 1000"),
        ("bound", {"above": 1, "of": "most"}, "of must be 'mean', 'every', 'median' or 'typical', got 'most'"),
        ("bound", {"above": 1, "where": {"lr": 3}}, "a claim about lr names one of its levels"),
        ("trend", {"factor": "lrr", "expect": "rises"}, "a claim here names a factor (lr), got 'lrr'; did you mean 'lr'?"),
        ("trend", {"factor": "lr", "expect": "grows"}, "expect must be 'rises' or 'falls', got 'grows'"),
        ("trend", {"factor": "lr", "expect": "rises", "scale": "lg"}, "scale must be 'log', 'linear' or 'rank', got 'lg'"),
        ("contrast", {"terms": [], "expect": "less"}, "terms must have at least 1 item, got []"),
        ("contrast", {"terms": [{"weight": float("inf"), "where": {}}], "expect": "less"}, "weight must be a finite number"),
        ("contrast", {"terms": [{"weight": 1, "where": {"lr": 3}}], "expect": "less"}, "a claim about lr names one of"),
        ("contrast", {"terms": [{"wieght": 1, "where": {}}], "expect": "less"}, "unknown key 'wieght'; did"),
        ("contrast", {"terms": [{"weight": 1, "where": {}}], "expect": "equivalent"}, "equivalent on test_loss must state a margin"),
    ],
)  # fmt: skip
def test_a_claim_that_can_not_be_judged_is_refused(form: str, fields: dict[str, Any], rule: str) -> None:
    message = refusal(form, **fields)
    assert message.partition(": ")[2].startswith(rule), message
    assert message.startswith("claims.0")


@pytest.mark.parametrize("forms", [[], ["trend", "bound"]])
def test_a_claim_has_one_form(forms: list[str]) -> None:
    bodies = {
        "bound": {"metric": "test_loss", "above": 1},
        "trend": {"metric": "test_loss", "factor": "lr", "expect": "rises"},
    }
    with pytest.raises(InputError, match=f"exactly one of .*, got {' and '.join(forms) or 'none of them'}"):
        spec(**LR, claims=[{"id": "c", "says": "x", **{f: bodies[f] for f in forms}}])


def test_claim_ids_differ() -> None:
    claim = {"id": "c", "says": "x", "bound": {"metric": "test_loss", "above": 1}}
    with pytest.raises(InputError, match=r"claims\.1\.id: claim ids must differ, got 'c' twice"):
        spec(claims=[claim, claim])


@pytest.mark.parametrize(
    ("factors", "scale", "rule"),
    [
        ({"activation": ["relu", "tanh"]}, "linear", "scale linear needs numeric levels, got ['relu', 'tanh']"),
        ({"decay_bias": [False, True]}, "log", "scale log needs numeric levels, got [false, true]"),
        ({"batch_size": [8, "full"]}, "linear", "scale linear needs numeric levels, got [8, 'full']"),
        ({"weight_decay": [0, 1]}, "log", "scale log needs levels above 0, got [0.0, 1.0]"),
        ({"lr": [0.1]}, "rank", "a trend needs two levels or more, got [0.1] for lr"),
        ({"zip": {"lr": [1, 1], "width": [8, 16]}}, "linear", "a trend needs two levels or more, got [1.0, 1.0] for lr"),
        (LISTED["factors"], "rank", "a claim here names a factor (this experiment has none), got 'label'"),
    ],
)  # fmt: skip
def test_a_trend_needs_levels_that_its_scale_can_place(factors: dict[str, Any], scale: str, rule: str) -> None:
    name = "lr" if "zip" in factors else "label" if "conditions" in factors else next(iter(factors))
    assert (
        refusal("trend", {"factors": factors}, factor=name, expect="rises", scale=scale)
        .partition(": ")[2]
        .startswith(rule)
    )


@pytest.mark.parametrize("scale", ["linear", "rank"])
def test_a_trend_that_fits_is_accepted(scale: str) -> None:
    for factors in ({"weight_decay": [0, 1]}, {"zip": {"weight_decay": [0, 1], "lr": [1, 2]}}):
        assert claimed("trend", {"factors": factors}, factor="weight_decay", expect="rises", scale=scale).claims


def test_a_selector_must_meet_a_condition() -> None:
    together = {"a": {"lr": 0.1, "width": 8}, "b": {"lr": 0.2}, "expect": "less"}
    form = claimed("compare", ZIPPED, **together).claims[0].form
    assert isinstance(form, Compare)
    message = refusal("compare", ZIPPED, **(together | {"b": {"lr": 0.1, "width": 16}}))
    assert (
        message
        == "claims.0.compare.b: a claim must name levels of which some condition has all, got {'lr': 0.1, 'width': 16}"
    )
    assert "claims.0.bound.where" in refusal("bound", ZIPPED, where={"lr": 0.1, "width": 16}, above=1)
    terms = [{"weight": 1, "where": {"lr": 0.1}}, {"weight": 1, "where": {"lr": 0.1, "width": 16}}]
    assert "claims.0.contrast.terms.1.where" in refusal("contrast", ZIPPED, terms=terms, expect="less")


def test_a_selector_may_name_a_label() -> None:
    form = claimed("bound", LISTED, where={"label": "fast"}, above=1).claims[0].form
    assert isinstance(form, Bound)
    assert form.where == {"label": "fast"}
    assert "a claim about label names one of its levels ['slow', 'fast'], got 'fats'; did you mean 'fast'?" in refusal(
        "bound", LISTED, where={"label": "fats"}, above=1
    )
    assert "(label), got 'lr'" in refusal("bound", LISTED, where={"lr": 1}, above=1)


def test_a_metric_on_validation_examples_is_accepted_where_there_are_some() -> None:
    assert claimed("bound", {"validation": 0.1}, metric="val_loss", above=1).claims[0].form.metric == "val_loss"
