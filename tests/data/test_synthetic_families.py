"""Synthetic and bundled data in a file: what may be said, what is said of the rest, and what a plan knows of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from problem_text import problem_text

from mlpbench.base.errors import InputError
from mlpbench.data.bundled.bundled_data import BUNDLED
from mlpbench.data.dataset import LinearTruth
from mlpbench.data.synthetic import MOST_NUMBERS, LinearData, PolynomialData, Synthetic
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import run_bytes
from mlpbench.experiment.spec import Experiment

BOOK = {"name": "linear", "features": 200, "weights": 0.01, "bias": 0.05, "noise": 0.01, "train": 20, "test": 100}


def spec(dataset: Any, **keys: Any) -> Experiment:
    fixed = {"depth": 0, "batch_size": 5, "epochs": 1}
    return yaml_reader.from_mapping({"name": "x", "question": "?", "dataset": dataset, "fixed": fixed} | keys)


def data(dataset: Any) -> Synthetic:
    found = spec(dataset).sources[0]
    assert isinstance(found, Synthetic)
    return found


def test_a_name_alone_gives_the_data_of_the_book() -> None:
    linear = data("linear")
    assert linear == data({"name": "linear"}) == LinearData()
    assert (linear.truth, linear.noise) == (LinearTruth(weights=(-6.0, 3.2, 10.5), bias=1.7), 0.01)
    assert (linear.facts.n_train, linear.facts.n_test, linear.facts.n_features) == (1000, 1000, 3)
    polynomial = data("polynomial")
    assert polynomial == PolynomialData()
    assert polynomial.truth == LinearTruth(weights=(1.2, -3.4, 5.6, *(0.0,) * 17), bias=5.0)
    facts = polynomial.facts
    assert (polynomial.noise, facts.n_train, facts.n_test, facts.n_features) == (0.1, 100, 100, 20)
    for known in (linear.facts, facts):
        assert (known.n_outputs, known.n_classes, known.class_names) == (1, None, ())


def test_one_number_is_the_weight_of_every_input_and_the_same_data_as_a_list() -> None:
    short = data(BOOK)
    assert short.truth.weights == (0.01,) * 200
    listed = data({k: v for k, v in BOOK.items() if k != "features"} | {"weights": [0.01] * 200})
    assert listed.facts.fingerprint == short.facts.fingerprint
    runs = [[r.run_id for r in grid.runs(spec(d))] for d in (BOOK, listed.model_dump(exclude_none=True))]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    "change", [{"weights": 0.02}, {"features": 199}, {"bias": 0.06}, {"noise": 0.02}, {"train": 21}, {"test": 99}]
)
def test_every_option_makes_other_data(change: dict[str, Any]) -> None:
    assert data(BOOK | change).facts.fingerprint != data(BOOK).facts.fingerprint


def test_families_of_the_same_numbers_are_other_data() -> None:
    made = {"noise": 0.1, "train": 10, "test": 10}
    polynomial = data({"name": "polynomial", "coefficients": [1, 2], "degree": 1, **made})
    linear = data({"name": "linear", "weights": [2], "bias": 1, **made})
    assert linear.truth == polynomial.truth
    assert linear.facts.fingerprint != polynomial.facts.fingerprint


def test_the_truth_is_known_where_no_input_is_missing_that_matters() -> None:
    cubic = data({"name": "polynomial", "coefficients": [1, 2, 0, 3], "degree": 6})
    assert cubic.truth.of_first(6) == LinearTruth(weights=(2.0, 0.0, 3.0, 0.0, 0.0, 0.0), bias=1.0)
    assert cubic.truth.of_first(3) == LinearTruth(weights=(2.0, 0.0, 3.0), bias=1.0)
    assert cubic.truth.of_first(2) is None
    assert data("linear").truth.of_first(2) is None
    assert data({"name": "linear", "weights": [1, 0]}).truth.of_first(1) == LinearTruth(weights=(1.0,), bias=1.7)


# What stands after `dataset:`, what the complaint points at, and what it says.
WRONG = {
    "no weights": ("{name: linear, weights: []}", "[]", r"weights must be a list of 1 to 10000 numbers, got \[\]"),
    "a word among weights": ("{name: linear, weights: [1, a]}", "[1, a]", r"a list of 1 to 10000 numbers, got 'a'"),
    "infinite weight": ("{name: linear, weights: [.inf]}", "[.inf]", r"numbers, got inf"),
    "weights of text": ("{name: linear, weights: many}", "many", r"list of numbers, or with features one number"),
    "one weight without features": (
        "{name: linear, weights: 0.5}",
        "0.5}",
        r"needs features.*a list says both: \[0\.5\]",
    ),
    "list and features": (
        "{name: linear, weights: [1, 2], features: 3}",
        "3}",
        r"features stands beside one number for all weights, in place of a list, got features 3 and 2 weights",
    ),
    "features of the default list": ("{name: linear, features: 3}", "3}", r"got features 3 and 3 weights; leave one"),
    "noise below 0": ("{name: linear, noise: -1}", "-1", r"noise must be greater than or equal to 0, got -1"),
    "no examples": ("{name: linear, train: 0}", "0}", r"train must be greater than or equal to 1, got 0"),
    "no test examples": ("{name: polynomial, test: 0}", "0}", r"test must be greater than or equal to 1, got 0"),
    "a share of examples": ("{name: linear, train: 0.5}", "0.5}", r"train must be a whole number, got 0\.5"),
    "unknown option": ("{name: linear, weihgts: [1]}", "weihgts", r"unknown key 'weihgts'; did you mean 'weights'\?"),
    "option of another family": (
        "{name: linear, degree: 3}",
        "degree",
        r"unknown key 'degree'",
    ),
    "unknown family": (
        "{name: lineer}",
        "lineer",
        r"dataset must be a name of `mlpbench data list`, got 'lineer'; did you mean 'linear'\?",
    ),
    "unknown name": (
        "minst1d",
        "minst1d",
        r"dataset must be a name of `mlpbench data list`, got 'minst1d'; did you mean 'mnist1d'\?",
    ),
    "options of a bundled name": ("{name: digits, noise: 1}", "noise", r"unknown key 'noise'"),
    "no constant": ("{name: polynomial, coefficients: []}", "[]", r"coefficients must be a list of 1 to 41 numbers"),
    "more coefficients than powers": (
        "{name: polynomial, degree: 2, coefficients: [1, 2, 3, 4]}",
        "[1, 2, 3, 4]",
        r"coefficients must be at most 3, the constant and one for each power up to degree, got 4",
    ),
    "degree 0": ("{name: polynomial, degree: 0}", "0}", r"degree must be greater than or equal to 1, got 0"),
    "more than memory holds": (
        "{name: linear, weights: 1, features: 10000, train: 1000000}",
        "1000000}",
        rf"examples times inputs must be at most {MOST_NUMBERS} in a draw, got \(1000000 \+ 1000\) x 10000",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_refused_where_they_stand(case: str, tmp_path: Path) -> None:
    written, pointed_at, message = WRONG[case]
    path, line = tmp_path / "x.yaml", f"dataset: {written}"
    path.write_text(f"name: x\nquestion: Why?\n{line}\n")
    with pytest.raises(InputError) as caught:
        yaml_reader.read(path)
    assert re.search(message, str(caught.value))
    assert str(caught.value).startswith(f"{path}:3:{line.index(pointed_at) + 1}: ")
    assert problem_text(caught.value).count("\n") == 2


@pytest.mark.parametrize(
    "given", ["linear", BOOK, {"name": "linear", "weights": [1, 2.5]}, {"name": "polynomial", "degree": 4}, "digits"]
)
def test_a_dumped_experiment_is_the_same_experiment(given: Any, tmp_path: Path) -> None:
    experiment = spec(given)
    (tmp_path / "spec.yaml").write_text(yaml_reader.dump(experiment, tmp_path))
    again = yaml_reader.read(tmp_path / "spec.yaml")
    assert again.sources[0] == experiment.sources[0]
    assert [r.run_id for r in grid.runs(again)] == [r.run_id for r in grid.runs(experiment)]


def test_an_override_may_name_a_family() -> None:
    over = yaml_reader.from_mapping({"name": "x", "question": "?", "dataset": "fashion_mnist"}, ["dataset=polynomial"])
    assert over.sources[0] == PolynomialData()


def test_bundled_data_are_known_by_name_and_by_recipe() -> None:
    experiment = spec("mnist1d")
    assert experiment.sources[0] is BUNDLED["mnist1d"]
    assert (experiment.facts[0].n_train, experiment.facts[0].n_features, experiment.facts[0].n_classes) == (
        4000,
        40,
        10,
    )
    assert len({d.facts.fingerprint for d in BUNDLED.values()}) == len(BUNDLED)


def test_features_beyond_the_inputs_are_refused_and_all_of_them_are_all() -> None:
    with pytest.raises(InputError, match="features must be at most 3, what linear has, got 4"):
        spec("linear", fixed={"features": 4})
    all_of_them = [[r.run_id for r in grid.runs(spec("linear", fixed=f))] for f in ({"features": 3}, {})]
    assert all_of_them[0] == all_of_them[1]


@pytest.mark.parametrize(
    ("dataset", "fixed", "metric", "message"),
    [
        ("linear", {"depth": 1}, "param_error", "param_error needs a condition at depth 0"),
        ("mnist1d", {"depth": 0}, "param_error", r"needs a data set with known weights \(linear, polynomial\)"),
        ("mnist1d", {"depth": 0}, "log10_param_error", "needs a data set with known weights"),
        ("mnist1d", {"depth": 0}, "closed_form_gap", "needs a target that is a number, and mnist1d has classes"),
        ("linear", {"depth": 0}, "test_accuracy", "accuracy needs classes"),
    ],
)
def test_a_claim_needs_what_it_measures(dataset: str, fixed: dict[str, Any], metric: str, message: str) -> None:
    claims = [{"id": "c", "says": "so", "bound": {"metric": metric, "below": 1}}]
    with pytest.raises(InputError, match=message):
        spec(dataset, fixed=fixed, claims=claims)


def test_the_split_alone_may_vary_where_data_are_drawn() -> None:
    """Of other data a split is drawn only for validation or for a smaller train size."""
    each = {"vary": {"each": ["init", "split"]}}
    assert spec("linear", **each).one_at_a_time
    with pytest.raises(InputError, match="they draw split only where there is validation"):
        spec("mnist1d", **each)


def test_a_plan_counts_the_memory_of_draws() -> None:
    settings = grid.runs(spec("linear"))[0].settings
    small, large = data("linear").facts, data({"name": "linear", "train": 500_000}).facts
    examples = large.n_train - small.n_train
    assert run_bytes(settings, large) - run_bytes(settings, small) == 3 * examples * 4 * (3 + 1)
