"""Shifts in the experiment file: what may be said, which metrics follow, and which runs it makes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from drawn_specs import PLAIN, spec

from mlpbench.base.errors import InputError
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.experiment import shift_spec
from mlpbench.experiment.claims.comparisons import Compare
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import all_run_ids, conditions
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.run_settings import SPARE_SHARE, accepted_share
from mlpbench.experiment.spec import Experiment

ALL = {"noise": [0.1, 0.2], "blur": [1], "translation": [2, 4], "brightness": [0.2], "contrast": [0.5], "labels": [1]}
SHIFTED = {"fixed": {"train_size": 500, "train_shift": {"covariate": 2}}}


def refusal(**keys: Any) -> str:
    with pytest.raises(InputError) as caught:
        spec(**keys)
    return str(caught.value)


def test_severities_are_canonical_and_come_back_from_the_stored_spec() -> None:
    experiment = spec(shifts={"noise": [0.2, 0.1], "labels": [3, 1]})
    assert experiment.shifts == {"noise": (0.1, 0.2), "labels": (1.0, 3.0)}
    assert "shifts:\n  noise: [0.1, 0.2]\n  labels: [1, 3]\n" in yaml_reader.dump(experiment)


def test_every_kind_survives_the_stored_spec(tmp_path: Path) -> None:
    experiment = spec(shifts=ALL)
    assert set(ALL) == set(shift_spec.KINDS)
    (tmp_path / "x.yaml").write_text(yaml_reader.dump(experiment))
    again = yaml_reader.read(tmp_path / "x.yaml")
    assert list(again.shifts.items()) == list(experiment.shifts.items())
    assert shift_spec.splits(again.shifts)[:3] == ["shift:noise:0.1", "shift:noise:0.2", "shift:blur:1"]


def test_shifts_decide_what_is_measured_and_not_which_run_it_is() -> None:
    assert all_run_ids(spec(shifts=ALL)) == all_run_ids(spec())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([0.1], "shifts must be a mapping of kinds to lists of severities, as in {noise: [0.1, 0.2]}, got [0.1]"),
        ({"nose": [1]}, "one of noise, blur, translation, brightness, contrast, labels, got 'nose'; did you mean 'noise'?"),
        ({"noise": 0.1}, "the severities of noise must be numbers above 0, in a list that is not empty, got 0.1"),
        ({"noise": []}, "in a list that is not empty, got []"),
        ({"noise": [0.1, 0]}, "shifts.noise.1: the severities of noise must be numbers above 0, got 0"),
        ({"noise": [math.inf]}, "above 0, got inf"),
        ({"noise": [math.nan]}, "above 0, got nan"),
        ({"noise": [True]}, "above 0, got true"),
        ({"blur": [101]}, "the severities of blur must be numbers above 0, at most 100, got 101"),
        ({"brightness": [1.1]}, "at most 1, got 1.1"),
        ({"contrast": [2]}, "at most 1, got 2"),
        ({"translation": [1.5]}, "the severities of translation must be whole numbers above 0, got 1.5"),
        ({"translation": [28]}, "images must be moved by less than their side, 28 pixels in fashion_mnist, got 28"),
        ({"labels": [10]}, "by fewer than all classes, of which fashion_mnist has 10, got 10"),
        ({"noise": [0.1, 0.10000001]}, "must differ in six digits, got 0.1 twice"),
        ({"noise": [i / 100 for i in range(1, 102)]}, "at most 100 shifts, got 101"),
    ],
)  # fmt: skip
def test_what_is_no_shift_is_refused_with_rule_and_value(given: object, said: str) -> None:
    assert said in refusal(shifts=given)


def test_a_wrong_severity_is_named_with_its_place_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: x\nquestion: q\ndataset: fashion_mnist\nshifts:\n  blur: [1, -2]\n")
    with pytest.raises(InputError, match=r"x\.yaml:5:13: .*, got -2\n"):
        yaml_reader.read(tmp_path / "x.yaml")


def own(tmp_path: Path, target: str, **keys: Any) -> Experiment:
    rows = "\n".join(f"{i},{i % 7},{i % 3}{'.5' if target == 'number' else ''}" for i in range(40))
    (tmp_path / "own.csv").write_text(f"a,b,y\n{rows}\n")
    task = "number" if target == "number" else "classes"
    data = {"file": str(tmp_path / "own.csv"), "target": "y", "test": 0.25, "task": task}
    return yaml_reader.from_mapping(PLAIN | {"dataset": data} | keys)


def test_own_data_take_noise_and_labels_alone(tmp_path: Path) -> None:
    assert own(tmp_path, "classes", shifts={"noise": [0.5], "labels": [1, 2]}).shifts["labels"] == (1.0, 2.0)
    with pytest.raises(
        InputError, match=r"blur needs images, and the examples of own.* are none: it takes noise, labels"
    ):
        own(tmp_path, "classes", shifts={"blur": [1]})
    with pytest.raises(InputError, match="a shift of labels needs classes, and the target of own.* is numbers"):
        own(tmp_path, "number", shifts={"labels": [1]})


@pytest.mark.parametrize(
    "name", ["shift_accuracy[noise,0.2]", "shift_accuracy[noise, 0.20]", "shift_accuracy[labels,1]"]
)
def test_an_accuracy_under_shift_is_an_accuracy(name: str) -> None:
    measured = metric(name)
    assert (measured.name, measured.unit, measured.better, measured.is_accuracy) == (name, "fraction", "higher", True)


def test_a_loss_under_shift_is_a_loss() -> None:
    measured = metric("shift_loss[blur,1.5]")
    assert (measured.unit, measured.better, measured.is_accuracy) == ("per example", "lower", False)
    assert shift_spec.measured("shift_loss[blur,1.5]") == ("shift:blur:1.5", "loss")
    assert shift_spec.measured("test_loss") is None


@pytest.mark.parametrize(
    "name", ["shift_accuracy", "shift_accuracy[noise]", "shift_acc[noise,1]", "shift_loss[noise,-1]"]
)
def test_what_only_looks_like_a_shift_is_no_metric(name: str) -> None:
    with pytest.raises(ValueError, match="metric must be one of"):
        metric(name)


def claim(name: str) -> dict[str, Any]:
    form = {"metric": name, "a": {"width": 8}, "b": {"width": 16}, "expect": "greater"}
    return {"factors": {"width": [8, 16]}, "claims": [{"id": "c", "says": "?", "compare": form}]}


def test_a_claim_under_shift_has_the_margin_of_accuracies() -> None:
    experiment = spec(shifts=ALL, **claim("shift_accuracy[noise,0.2]"))
    form = experiment.claims[0].form
    assert isinstance(form, Compare)
    assert form.margin == 0.002


def test_a_claim_on_a_shift_that_is_not_declared_is_refused() -> None:
    said = refusal(shifts=ALL, **claim("shift_accuracy[noise,0.3]"))
    assert said.startswith("claims.0.compare.metric: ")
    assert "a metric under a shift must name one that is declared in shifts (shift_accuracy[noise,0.1], " in said
    assert "got 'shift_accuracy[noise,0.3]'; did you mean 'shift_accuracy[noise,0.2]'?" in said
    assert "(this experiment has none)" in refusal(**claim("shift_loss[labels,1]"))


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"weighting": "exact"}, "weighting exact needs train_shift, {covariate: s} or {label: s}, got 'none'"),
        (SHIFTED["fixed"] | {"weighting": "bbse"}, "bbse is against a shift of labels, got train_shift 'covariate(2.0)'"),
        ({"train_size": 500, "train_shift": {"label": 1}, "weighting": "bbse", "label_noise": 0.1},
         "weighting bbse takes labels as they are: label_noise must be 0, got 0.1"),
        ({"train_shift": {"label": 1}}, "must be at most 34445 of 60000 under train_shift label(1.0), by what it accepts, got 60000"),
        ({"train_size": 20_000, "train_shift": {"covariate": 3}}, "under train_shift covariate(3.0), by what it accepts, got 20000"),
    ],
)  # fmt: skip
def test_a_shift_of_training_examples_and_its_weights_fit_together(fixed: dict[str, Any], said: str) -> None:
    assert said in refusal(fixed=fixed)


def test_numbers_have_no_shift_of_labels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train_shift label needs classes.* is numbers, got 'label\(1.0\)'"):
        own(tmp_path, "number", fixed={"train_size": 10, "train_shift": {"label": 1}})


def test_a_shift_is_part_of_a_runs_identity_and_none_is_not() -> None:
    plain = {"train_size": 500}
    kinds = [plain, {**plain, "train_shift": "none", "weighting": "none"}, SHIFTED["fixed"]]
    kinds += [SHIFTED["fixed"] | {"weighting": w} for w in ("exact", "classifier")]
    one, same, *others = ([c.condition_id for c in conditions(spec(fixed=f))] for f in kinds)
    assert one == same
    assert all(a != b for a, b in itertools.combinations([one, *others], 2))


def test_the_expected_share_is_that_of_the_definitions() -> None:
    """The covariate share against numerical integration over a standard normal, the label share against its sum."""
    for s in (0.5, 1.0, 3.0, 20.0, 21.0, 40.0):
        z = [-8 + i / 1000 for i in range(16_001)]
        density = [math.exp(-(v**2) / 2) / math.sqrt(2 * math.pi) / 1000 for v in z]
        integral = sum(p * math.exp(-s * max(0.0, 1 - v)) for v, p in zip(z, density, strict=True))
        assert accepted_share("covariate", s, None) == pytest.approx(integral, rel=2e-3)
    assert accepted_share("label", 2.0, 3) == pytest.approx((1 + math.exp(-1) + math.exp(-2)) / 3)
    assert accepted_share("covariate", 1e3, None) == pytest.approx(0.15866, rel=2e-3)
    assert 0 < SPARE_SHARE < 1
    assert CATALOGUE["fashion_mnist"].facts.n_classes == 10
