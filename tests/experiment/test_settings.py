"""Settings: one canonical value for everything that means the same, and a rule in every refusal."""

from __future__ import annotations

import math
from typing import Any

import pytest
from drawn_specs import VALUES, floats
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.base.models import shown, suggestion
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import Chain, Count, Flag, Number, PerLayer, Word, parse_call

NOT_NUMBERS = [True, False, math.nan, math.inf, -math.inf, "0.1", "", None, [], {}, 10**400, b"1", 1j]
COUNTS = [name for name, s in SETTINGS.items() if isinstance(s.value_type, Count)]
NUMBERS = [name for name, s in SETTINGS.items() if isinstance(s.value_type, Number)]
WORDS = [name for name, s in SETTINGS.items() if isinstance(s.value_type, Word | Chain)]
FLAGS = [name for name, s in SETTINGS.items() if isinstance(s.value_type, Flag)]


STEP = "step with its parameters, written {step: {every: number, factor: number}}"
ADAM = "adam with its parameters, written {adam: {betas: [number, number], eps: number}}"
SGD = "sgd with its parameters, written {sgd: {momentum: number, dampening: number, nesterov: true}}"
OR_SHARE = "a whole number of at least 1 or a share of the steps such as '10%'"


def refusal(name: str, value: object) -> str:
    with pytest.raises(ValueError, match="must be") as caught:
        SETTINGS[name].read(value)
    return str(caught.value)


def test_every_setting_has_generated_values() -> None:
    assert set(VALUES) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_reads_as_itself(name: str) -> None:
    setting = SETTINGS[name]
    if setting.default is None:
        said = ("hidden_sizes", "steps", "loss")
        assert name in (*said, "clip_norm"), "only what is said in another way, or by the data, or is not done"
    else:
        read = setting.read(setting.default)
        assert read == setting.default
        assert type(read) is type(setting.default)


@pytest.mark.parametrize("name", SETTINGS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_canonical_value_reads_as_itself(name: str, data: st.DataObject) -> None:
    setting = SETTINGS[name]
    read = setting.read(data.draw(VALUES[name]))
    again = setting.read(read)
    assert (again, type(again), repr(again)) == (read, type(read), repr(read))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda v: shown(v)[:12])
def test_what_is_no_finite_number_is_refused_with_rule_and_value(name: str, value: object) -> None:
    if name == "clip_norm" and value is None:
        assert SETTINGS[name].read(value) is None
        return
    assert refusal(name, value) == f"{name} must be {SETTINGS[name].value_type.rule}, got {shown(value)}"


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [*NOT_NUMBERS, 1.5, 1e300, -1, -1.0], ids=lambda v: shown(v)[:12])
def test_what_is_no_whole_number_is_refused(name: str, value: object) -> None:
    message = refusal(name, value)
    assert message.startswith(f"{name} must be a whole number of at ") or "a whole number in [0, 10000]" in message
    assert message.endswith(f"got {shown(value)}")


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, 1, "true", "no", None])
def test_what_is_not_true_or_false_is_refused(name: str, value: object) -> None:
    assert refusal(name, value) == f"{name} must be true or false, got {shown(value)}"


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("dropout", [0, 1, 0.5], [-1e-9, 1.2]),
        ("weight_decay", [0, 1e9], [-1e-9]),
        ("input_noise", [0, 1e9], [-1e-9]),
        ("l1", [0, 1e9], [-1e-9]),
        ("label_noise", [0, 1, 0.5], [-1e-9, 1.2]),
        ("label_smoothing", [0, 1, 0.5], [-1e-9, 1.2]),
        ("features", [1, 2**53 - 1, "all"], [0, -1, 1.5, "full"]),
        ("input_scale", [1e-300, 1e9], [0, -0.0, -1]),
        ("clip_norm", [1e-300, 1e9, None], [0, -0.0, -1, "None", "nothing"]),
        ("lr", [1e-300, 1e9], [0, -0.0, -1]),
        ("width", [1, 2**53 - 1], [0, 2**53]),
        ("depth", [0, 10_000], [-1, 10_001, 10**15]),
        ("batch_size", [1, "full"], [0, "ful"]),
        ("epochs", [0], [-1]),
        ("steps", [0], [-1, 2**53]),
        ("train_size", [1, "all"], [0, "full"]),
    ],
)
def test_both_ends_of_a_range(name: str, inside: list[Any], outside: list[Any]) -> None:
    assert [SETTINGS[name].read(v) for v in inside] == inside
    assert all(refusal(name, v) for v in outside)


def test_every_numeric_range_is_tested() -> None:
    (marks,) = [m for m in test_both_ends_of_a_range.pytestmark if m.name == "parametrize"]
    tested = {row[0] for row in marks.args[1]}
    per_layer = {name for name, s in SETTINGS.items() if isinstance(s.value_type, PerLayer)}
    assert tested == {*NUMBERS, *COUNTS, *per_layer}


def test_minus_zero_is_zero() -> None:
    for name in ("weight_decay", "dropout"):
        assert math.copysign(1, SETTINGS[name].read(-0.0)) == 1  # type: ignore[arg-type]
    assert SETTINGS["init"].read({"constant": -0.0}) == "constant(0.0)"


def test_whole_numbers_are_numbers() -> None:
    assert repr(SETTINGS["lr"].read(1)) == "1.0"
    assert SETTINGS["dropout"].read([0, 1]) == (0.0, 1.0)
    assert SETTINGS["init"].read({"normal": 1}) == SETTINGS["init"].read("normal(1)") == "normal(1.0)"


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [("activation", "rleu", "relu"), ("init", "he_norml", "he_normal"), ("batch_size", "ful", "full"), ("loss", "cross-entropy", "cross_entropy"),
     ("optimizer", "admaw", "adamw"), ("optimizer", "nesterof", "nesterov"), ("schedule", "cosin", "cosine"), ("norm", "batchnorm", "batch"), ("activation", "prelou", "prelu"), ("pooling", "averge", "average")],
)  # fmt: skip
def test_a_near_word_is_suggested(name: str, value: str, near: str) -> None:
    kind = SETTINGS[name].value_type
    assert refusal(name, value) == f"{name} must be {kind.rule}, got {shown(value)}; did you mean '{near}'?"


def test_a_far_word_gets_no_suggestion() -> None:
    assert refusal("activation", "xyzzy").endswith("got 'xyzzy'")
    assert suggestion("xyzzy", ["relu", "tanh"]) == ""


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("value", [None, 3, True, [], ["relu"], {}, {"normal": 1, "constant": 1}, {3: 1}, {None: None}])
def test_what_is_no_word_is_refused(name: str, value: object) -> None:
    assert SETTINGS[name].value_type.rule in refusal(name, value)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("activation", {"relu": 1}, "relu without a parameter"),
        ("activation", "relu(1)", "relu without a parameter"),
        ("init", "normal", "normal with its parameter, written {normal: number}"),
        ("init", {"normal": None}, "normal with its parameter, written {normal: number}"),
        ("init", {"normal": 0}, "normal with a parameter that is a number above 0"),
        ("init", {"normal": "0.01"}, "normal with a parameter that is a number above 0"),
        ("init", "normal(nan)", "normal with a parameter that is a number above 0"),
        ("activation", {"leaky_relu": 2}, "leaky_relu with a parameter that is a number in [0, 1]"),
        ("init", "normal(abc)", SETTINGS["init"].value_type.rule),
        ("init", "normal(0.1", SETTINGS["init"].value_type.rule),
        ("bias_init", "orthogonal", SETTINGS["bias_init"].value_type.rule),
        ("optimizer", {"momentum": 1.5}, "momentum with a parameter that is a number in [0, 1]"),
        ("optimizer", {"nesterov": -0.1}, "nesterov with a parameter that is a number in [0, 1]"),
        ("optimizer", {"adam": 0.9}, ADAM),
        ("optimizer", "adam(0.9,0.98)", ADAM),
        ("optimizer", {"adam": {"beta": [0.9, 0.98]}}, ADAM),
        (
            "optimizer",
            {"adam": {"betas": 0.9}},
            "adam with a parameter 'betas' that is a list of two, each a number in [0, 1)",
        ),
        (
            "optimizer",
            {"adamw": {"betas": [0.9, 1]}},
            "adamw with a parameter 'betas' that is a list of two, each a number in [0, 1)",
        ),
        (
            "optimizer",
            {"adam": {"betas": [0.9, 0.9, 0.9]}},
            "adam with a parameter 'betas' that is a list of two, each a number in [0, 1)",
        ),
        ("optimizer", {"adam": {"eps": 0}}, "adam with a parameter 'eps' that is a number of at least 1e-30"),
        ("optimizer", {"rmsprop": {"alpha": 1.5}}, "rmsprop with a parameter 'alpha' that is a number in [0, 1]"),
        ("optimizer", "sgd(0.9)", SGD),
        ("optimizer", {"sgd": 0.9}, SGD),
        ("optimizer", {"sgd": {"nesterov": 1}}, "sgd with a parameter 'nesterov' that is true or false"),
        ("optimizer", {"sgd": {"nesterov": True}}, "sgd with a momentum above 0 where it has nesterov or a dampening"),
        ("optimizer", {"sgd": {"dampening": 0.5}}, "sgd with a momentum above 0 where it has nesterov or a dampening"),
        (
            "optimizer",
            {"sgd": {"momentum": 0.9, "nesterov": True, "dampening": 0.1}},
            "sgd with a dampening of 0 where it has nesterov",
        ),
        ("optimizer", "momentum(0.9,2)", "sgd with a parameter 'dampening' that is a number in [0, 1]"),
        ("optimizer", {"momentum": {"number": 0.9}}, "momentum with a parameter that is a number in [0, 1]"),
        ("schedule", "step", STEP),
        ("schedule", {"step": 5}, STEP),
        ("schedule", {"step": {}}, STEP),
        ("schedule", {"step": None}, STEP),
        ("schedule", {"step": [5, 0.5]}, STEP),
        ("schedule", "step(5)", STEP),
        ("schedule", "step(5,0.5,1)", STEP),
        ("schedule", {"step": {"every": 5}}, STEP),
        ("schedule", {"step": {"evry": 5, "factor": 0.5}}, STEP),
        ("schedule", {"step": {"every": 5, "factor": 0.5, "more": 1}}, STEP),
        (
            "schedule",
            {"step": {"every": 0, "factor": 0.5}},
            f"step with a parameter 'every' that is {OR_SHARE}",
        ),
        (
            "schedule",
            {"step": {"every": 2.5, "factor": 0.5}},
            f"step with a parameter 'every' that is {OR_SHARE}",
        ),
        ("schedule", {"step": {"every": 5, "factor": 0}}, "step with a parameter 'factor' that is a number above 0"),
        ("schedule", "step(5,0)", "step with a parameter 'factor' that is a number above 0"),
        ("schedule", "warmup", "warmup with its parameter, written {warmup: steps}"),
        ("schedule", {"warmup": 0}, f"warmup with a parameter 'steps' that is {OR_SHARE}"),
        ("schedule", {"warmup": 1.5}, f"warmup with a parameter 'steps' that is {OR_SHARE}"),
        ("schedule", {"warmup": True}, f"warmup with a parameter 'steps' that is {OR_SHARE}"),
        ("schedule", {"cosine": 5}, "cosine without a parameter"),
        ("schedule", "step(a,b)", SETTINGS["schedule"].value_type.rule),
        ("norm", {"batch": 0.1}, "batch without a parameter"),
        ("parametrization", {"mup": 0}, "mup with a parameter 'base_width' that is a whole number of at least 1"),
        ("parametrization", {"mup": 1.5}, "mup with a parameter 'base_width' that is a whole number of at least 1"),
        ("parametrization", {"standard": 64}, "standard without a parameter"),
    ],
)
def test_parameters_are_where_they_belong(name: str, value: object, rule: str) -> None:
    assert refusal(name, value).startswith(f"{name} must be {rule}, got {shown(value)}")


def test_a_line_break_is_not_part_of_a_word() -> None:
    assert "one of" in refusal("init", "normal(0.01)\n")


def test_a_parameter_may_have_a_default() -> None:
    assert SETTINGS["activation"].read("leaky_relu") == SETTINGS["activation"].read({"leaky_relu": 0.01})
    for name in ("momentum", "nesterov"):
        assert SETTINGS["optimizer"].read(name) == SETTINGS["optimizer"].read({name: 0.9}) == f"{name}(0.9)"


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (["adam", {"adam": {}}, {"adam": {"betas": [0.9, 0.999]}}, {"adam": {"eps": 1e-8}}, "adam(0.9,0.999,1e-08)"], "adam"),
        ([{"adam": {"betas": [0.9, 0.98]}}, {"adam": {"eps": 1e-8, "betas": [0.9, 0.98]}}, "adam(0.9, 0.98, 1e-8)"],
         "adam(0.9,0.98,1e-08)"),
        ([{"adamw": {"eps": 1}}, {"adamw": {"eps": 1.0}}], "adamw(0.9,0.999,1.0)"),
        (["rmsprop", {"rmsprop": {"alpha": 0.99, "momentum": 0}}], "rmsprop"),
        ([{"rmsprop": {"momentum": 0.9}}, "rmsprop(0.99,1e-8,0.9)"], "rmsprop(0.99,1e-08,0.9)"),
        (["sgd", {"sgd": {}}, {"sgd": {"momentum": 0}}, {"sgd": {"momentum": -0.0, "nesterov": False}}], "sgd"),
        (["momentum", {"momentum": 0.9}, {"sgd": {"momentum": 0.9}}, "momentum(0.9,0)"], "momentum(0.9)"),
        ([{"nesterov": 0.5}, {"sgd": {"momentum": 0.5, "nesterov": True, "dampening": 0}}], "nesterov(0.5)"),
        ([{"sgd": {"momentum": 1, "dampening": 0.25}}, "momentum(1,0.25)"], "momentum(1.0,0.25)"),
    ],
)  # fmt: skip
def test_an_optimiser_has_one_canonical_form(spellings: list[Any], canonical: str) -> None:
    """What is left out is torch's default, and what says nothing new is the plain name."""
    read = SETTINGS["optimizer"].read
    assert {read(s) for s in [*spellings, canonical]} == {canonical}


def test_a_misspelt_parameter_is_suggested() -> None:
    assert refusal("optimizer", {"adam": {"beta": [0.9, 0.98]}}).endswith("; did you mean 'betas'?")
    assert refusal("schedule", {"step": {"evry": 5, "factor": 0.5}}).endswith("; did you mean 'every'?")


def test_two_parameters_have_one_canonical_order_and_spelling() -> None:
    read = SETTINGS["schedule"].read
    spellings = [{"step": {"every": 100, "factor": 1}}, {"step": {"factor": 1.0, "every": 100}}, "step(100,1)"]
    assert {read(s) for s in [*spellings, "step(100.0, 1.0)", "step(100,1.0)"]} == {"step(100,1.0)"}
    assert read({"warmup": 5}) == read("warmup(5)") == read({"warmup": 5.0}) == "warmup(5)"


def test_none_is_written_as_nothing_or_as_a_word() -> None:
    assert [SETTINGS["clip_norm"].read(v) for v in (None, "none", 1)] == [None, None, 1.0]


@given(floats())
def test_a_canonical_string_comes_apart_again(number: float) -> None:
    assert parse_call(str(SETTINGS["init"].read({"constant": number}))) == ("constant", (number,))
    assert parse_call("relu") == ("relu", ())
    assert parse_call("step(100,0.5)") == ("step", (100.0, 0.5))


@pytest.mark.parametrize("name", ["hidden_sizes", "conv_channels"])
@pytest.mark.parametrize("value", [5, "8", [0], [8, -1], [True], [8.5], [[8]], [2**53], None])
def test_layer_widths_are_a_list_of_whole_numbers(value: object, name: str) -> None:
    assert refusal(name, value).endswith(f"got {shown(value)}")


def test_layers_are_limited_in_number() -> None:
    assert len(SETTINGS["hidden_sizes"].read([1] * 10_000)) == 10_000  # type: ignore[arg-type]
    assert refusal("hidden_sizes", [1] * 10_001).endswith("...")


def test_dropout_is_one_number_or_one_per_layer() -> None:
    assert SETTINGS["dropout"].read([]) == ()
    assert SETTINGS["dropout"].read(0.2) == 0.2
    for value in ([0.1, 1.1], [None], "0.1", [[0.1]]):
        assert refusal("dropout", value).endswith(f"got {shown(value)}")


def test_shown_values_are_one_short_line() -> None:
    assert shown("a\nb") == "'a\\nb'"
    assert shown({"a": 1}) == "{'a': 1}"
    assert len(shown("x" * 10_000)) == 203
    assert shown(1 << 100_000) == "a number of very many digits"
    endless: list[Any] = []
    endless.append(endless)
    assert len(shown(endless)) == 203


def test_shown_values_are_spelt_as_in_an_experiment_file() -> None:
    assert [shown(v) for v in (True, False, None, 1, 0, "true", 1.0)] == [
        "true",
        "false",
        "null",
        "1",
        "0",
        "'true'",
        "1.0",
    ]
    assert (
        shown({"init": {"normal": None}, 2: [True, (False, "a")]})
        == "{'init': {'normal': null}, 2: [true, (false, 'a')]}"
    )
    assert shown(()) == "()"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ({"b": 2, "a": 0.5}, '{"a": 0.5, "b": 2.0}'),
        ({1: 3, 0: 1}, '{"0": 1.0, "1": 3.0}'),
        ({True: 2, "é": 1e300}, '{"true": 2.0, "é": 1e+300}'),
        ({1.5: 1}, '{"1.5": 1.0}'),
        ({'"': 1}, '{"\\"": 1.0}'),
        ("balanced", "balanced"),
    ],
)
def test_classes_go_by_their_names_in_order(value: object, canonical: str) -> None:
    assert SETTINGS["class_weights"].read(value) == SETTINGS["class_weights"].read(canonical) == canonical


@pytest.mark.parametrize("value", ["{", "{}", "[1]", '{"a": true}', '{"a": NaN}', '{"a": null}', {"a": -1}, {(1, 2): 1}, {"a": "2"}, {None: 1}, 2, True, None])  # fmt: skip
def test_what_are_no_weights_of_classes_is_refused(value: object) -> None:
    assert refusal("class_weights", value).startswith("class_weights must be none, balanced, or a mapping from classes")


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("none", "none"),
        (10, "patience(10)"),
        ({"patience": 10}, "patience(10)"),
        ({"min_delta": 0}, "patience(10)"),
        ({"metric": "val_loss"}, "patience(10)"),
        ({"patience": 3, "min_delta": 0.01}, "patience(3,0.01)"),
        ({"patience": 3, "metric": "val_accuracy"}, "patience(3,0.0,val_accuracy)"),
        ({"metric": "val_accuracy", "min_delta": 1, "patience": 1}, "patience(1,1.0,val_accuracy)"),
    ],
)
def test_rules_of_early_stopping_have_one_form(value: object, canonical: str) -> None:
    read = SETTINGS["early_stopping"].read
    assert read(value) == read(canonical) == canonical


@pytest.mark.parametrize("value", [0, -1, 1.5, True, False, None, {}, [], "patience", "patience()", "patience(0)", "patience(2,x)", "patience(2,0.0,acc)", "patience(1,0.0,val_loss,3)", {"patience": 0}, {"min_delta": -1}, {"metric": "val"}, {"metric": ["val_loss"]}, {"wait": 3}, "off"])  # fmt: skip
def test_what_is_no_rule_of_early_stopping_is_refused(value: object) -> None:
    assert refusal("early_stopping", value).startswith("early_stopping must be ")


def test_a_class_has_one_weight() -> None:
    assert "each class once" in refusal("class_weights", {1: 2, "1": 3})
