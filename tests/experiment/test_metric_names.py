"""What names of derived metrics may say, what they mean, and how others are refused: place, rule, value, suggestion."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import REGRETS, metric
from mlpbench.experiment.metrics.metric_names import OfLayer
from mlpbench.experiment.plan import probe_steps
from mlpbench.experiment.spec import Experiment

TREE: dict[str, Any] = {
    "name": "d",
    "question": "?",
    "dataset": "fashion_mnist",
    "fixed": {"epochs": 4, "width": 8, "batch_size": 1000},
    "factors": {"depth": [0, 1, 3]},
    "probes": ["start", 2, 9, "end"],
}


def experiment(name: str, where: dict[str, Any] | None = None, **keys: Any) -> Experiment:
    claim = {"id": "c", "says": "c", "bound": {"metric": name, "where": where or {"depth": 3}, "above": 0}}
    return yaml_reader.from_mapping(TREE | {"claims": [claim]} | keys)


def test_layers_by_number_and_by_word() -> None:
    numbers = {
        layer: [list(OfLayer(metric="forward_gain", layer=layer).numbers(n)) for n in (1, 2, 4)]
        for layer in (2, "first", "last", "out", "all", "mean")
    }
    assert numbers == {
        2: [[2], [2], [2]], "first": [[1], [1], [1]], "last": [[1], [1], [3]], "out": [[1], [2], [4]],
        "all": [[], [1], [1, 2, 3]], "mean": [[], [1], [1, 2, 3]],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "canonical", "unit"),
    [
        ("grad_norm[1]", "grad_norm[1]", "1"),
        ("act_zero[ mean , start ]", "act_zero[mean,start]", "fraction"),
        ("log10_forward_gain[all, 2]", "log10_forward_gain[all,2]", "log10 units"),
        ("log10_test_loss", "log10_test_loss", "log10 units"),
        ("epochs_to_train_loss_0.5", "epochs_to_train_loss_0.5", "epochs"),
        ("steps_to_train_accuracy_0.9", "steps_to_train_accuracy_0.9", "steps"),
        ("epochs_to_train_accuracy_1", "epochs_to_train_accuracy_1", "epochs"),
        ("late_test_accuracy", "late_test_accuracy", "fraction"),
        ("log10_late_gap_loss", "log10_late_gap_loss", "log10 units"),
        ("split_excess_loss", "split_excess_loss", "per example"),
    ],
)
def test_names_units_and_meanings(name: str, canonical: str, unit: str) -> None:
    found = metric(name)
    assert (found.name, found.unit) == (canonical, unit)
    assert metric(found.name) == found
    assert found.meaning


def test_only_fractions_are_accuracies() -> None:
    """A logarithm of one, or the epochs to one, are not printed in percentage points and have no default margin."""
    names = [
        "regret_accuracy",
        "log10_test_accuracy",
        "epochs_to_train_accuracy_0.5",
        "test_accuracy",
        "late_gap_accuracy",
    ]
    assert [metric(n).is_accuracy for n in names] == [True, False, False, True, True]


def test_a_claim_has_the_canonical_name_and_a_dump_keeps_it(tmp_path: Path) -> None:
    made = experiment("log10_grad_norm[ last , 2 ]")
    assert made.claims[0].form.metric == "log10_grad_norm[last,2]"
    (tmp_path / "again.yaml").write_text(yaml_reader.dump(made))
    assert yaml_reader.read(tmp_path / "again.yaml").claims == made.claims


def test_an_epoch_is_probed_at_the_step_it_is_rounded_to() -> None:
    (condition,) = grid.conditions(yaml_reader.from_mapping(TREE | {"factors": {"depth": [3]}}))
    of = metric_names.layer_metric("log10_act_var[1,2]")
    assert of is not None
    assert (of.epoch, probe_steps(condition.settings, [of.epoch])) == (2.0, [120])
    assert math.isinf(metric_names.of_layer("act_var[1]").epoch)
    assert metric_names.layer_metric("test_loss") is None


NO_FOLDS = "a regret needs refits of all nuisance levels, `validation: {folds: K, refit: all}`, got "
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no layer": ("grad_norm", {}, "a layer metric is written NAME[LAYER] or NAME[LAYER,EPOCH], got 'grad_norm'; did you mean 'grad_norm[first]'?"),
    "three parts": ("grad_norm[1,2,3]", {}, "NAME[LAYER,EPOCH], got 'grad_norm[1,2,3]'"),
    "layer 0": ("grad_norm[0]", {}, "a layer is a number from 1, first, last, out or mean, of grad_norm; got '0'"),
    "a misspelt layer": ("grad_norm[frist]", {}, "got 'frist' in 'grad_norm[frist]'; did you mean 'first'?"),
    "all of no gain": ("grad_norm[all]", {}, "got 'all' in 'grad_norm[all]'; did you mean 'mean'?"),
    "mean of a gain": ("forward_gain[mean]", {}, "first, last, out or all, of forward_gain; got 'mean' in 'forward_gain[mean]'; did you mean 'all'?"),
    "an epoch of no number": ("grad_norm[1,begin]", {}, "an epoch is start, end or a number, got 'begin'"),
    "a misspelt epoch": ("grad_norm[1,stat]", {}, "did you mean 'start'?"),
    "a misspelt metric": ("grad_nrm[1]", {}, "got 'grad_nrm[1]'; did you mean 'grad_norm'?"),
    "not probed": ("grad_norm[1,2.5]", {}, "layers are measured at `probes`, here start, 2, 9, end, got '2.5' in 'grad_norm[1,2.5]'; did you mean '2'"),
    "end not probed": ("grad_norm[1]", {"probes": ["start", 2]}, "here start, 2, got 'end' in 'grad_norm[1]'; did you mean '2'"),
    "nothing probed": ("grad_norm[1]", {"probes": []}, "layers are measured at `probes`, here none, got 'end'"),
    "probed by default": ("grad_norm[1,1]", {"probes": ["start", "end"]}, "here start, end, got '1'"),
    "never reached": ("grad_norm[1,9]", {}, "an epoch must be one that training reaches, and training ends after epoch 4, got 'grad_norm[1,9]' for 'depth=3'; did you mean 'end'?"),
    "too deep": ("grad_norm[5]", {}, "a layer must be one of 1 to 4, of which 4 is the output layer, got 'grad_norm[5]' for 'depth=3'; did you mean 4, or 'out'?"),
    "too deep in a logarithm": ("log10_grad_norm[5]", {}, "a layer must be one of 1 to 4"),
    "no hidden layer": ("forward_gain[all]", {"where": {"depth": 0}}, "all is over hidden layers, and a linear model has none; got 'forward_gain[all]' for 'depth=0'"),
    "of hidden layers": ("backward_gain[out]", {}, "backward_gain is of hidden layers, and layer 4 is that of the outputs, got 'backward_gain[out]' for 'depth=3'; did you mean 'last'?"),
    "no step yet": ("update_ratio[1,start]", {}, "update_ratio needs a step before the probe, and there is none at the start; got"),
    "no step at all": ("update_ratio[1]", {"fixed": {"epochs": 0}}, "update_ratio needs a step before the probe, and there is none at the start; got"),
    "log of 0 or 1": ("log10_diverged", {}, "log10 is taken of a metric that is a positive number, got 'log10_diverged'"),
    "log of a log": ("log10_log10_test_loss", {}, "a metric that is a positive number, got 'log10_log10_test_loss'"),
    "log of a regret": ("log10_regret_loss", {}, "a metric that is a positive number"),
    "log of nothing": ("log10_test_los", {}, "metric must be one of"),
    "percent": ("steps_to_train_accuracy_90", {}, "the accuracy of 'steps_to_train_accuracy_90' must be a fraction above 0 and at most 1, got 90"),
    "no validation in a logarithm": ("log10_val_loss", {}, "a metric of validation examples needs validation"),
    "late, but never trained": ("late_test_accuracy", {"fixed": {"epochs": 0}}, "a mean over the second half of training needs steps above 0, got 'late_test_accuracy' for 'depth=3'; did you mean 'test_accuracy'?"),
    "late, of what has no curve": ("late_weight_norm", {}, "metric must be one of"),
    "late, misspelt": ("late_test_acuracy", {}, "did you mean 'late_test_accuracy'?"),
    "regret of nothing": ("regret_accuracy", {}, NO_FOLDS),
    "regret of a choice that is refitted alone": ("split_excess_loss", {"validation": {"folds": 3}, "nuisance": {"lr": [0.1, 0.2]}}, NO_FOLDS),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_metric_may_not_say(name: str) -> None:
    written, keys, said = WRONG[name]
    keys = dict(keys)
    where = keys.pop("where", {"depth": 3})
    tree = {k: v for k, v in (TREE | keys).items() if v is not None}
    claim = {"id": "c", "says": "c", "bound": {"metric": written, "where": where, "above": 0}}
    with pytest.raises(InputError) as raised:
        yaml_reader.from_mapping(tree | {"claims": [claim]})
    assert said in str(raised.value)
    assert str(raised.value).startswith("claims.0.bound.metric: ")


def test_only_conditions_that_a_claim_is_about_need_the_layer() -> None:
    assert experiment("grad_norm[4]", {"depth": 3})
    with pytest.raises(InputError, match="for 'depth=1'"):
        experiment("grad_norm[4]", {"depth": 1})
    trend = {"id": "c", "says": "c", "trend": {"metric": "grad_norm[2]", "factor": "depth", "expect": "falls"}}
    with pytest.raises(InputError, match="for 'depth=0'"):
        yaml_reader.from_mapping(TREE | {"claims": [trend]})


def test_a_file_names_the_place_and_says_that_brackets_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    head = "name: a\nquestion: b?\ndataset: fashion_mnist\nclaims:\n- id: a\n  says: b\n"
    path.write_text(f"{head}  bound: {{metric: 'grad_norm[9]', above: 0}}\n")
    with pytest.raises(InputError, match=r"x\.yaml:7:19: a layer must be one of 1 to 2"):
        yaml_reader.read(path)
    path.write_text(f"{head}  bound: {{metric: grad_norm[9], above: 0}}\n")
    with pytest.raises(InputError, match=r"x\.yaml:7:28: .*put text with brackets in quotes inside \{\.\.\.\}"):
        yaml_reader.read(path)
    path.write_text(f"{head}  bound:\n    metric: grad_norm[1,start]\n    above: 0\n")
    assert yaml_reader.read(path).claims[0].form.metric == "grad_norm[1,start]"


def test_accuracies_are_refused_where_the_target_is_numbers() -> None:
    from mlpbench.data.table.table_options import TableFacts

    facts = TableFacts(fingerprint="0" * 64, n_train=500, n_test=50, n_features=3)
    data = {"file": "/gone/made.csv", "target": "y", "facts": facts.model_dump()}
    for name in ("log10_test_accuracy", "epochs_to_train_accuracy_0.5", "regret_accuracy"):
        tree = {"name": "n", "question": "?", "dataset": data, "nuisance": {"lr": [0.1, 0.2]}}
        claims = [{"id": "c", "says": "c", "bound": {"metric": name, "above": 0}}]
        with pytest.raises(InputError, match="accuracy needs classes"):
            yaml_reader.from_mapping(tree | {"claims": claims, "validation": {"folds": 3, "refit": "all"}})


FOLDED: dict[str, Any] = TREE | {"nuisance": {"lr": [0.1, 0.2, 0.4]}, "replicates": 2, "factors": {"depth": [1, 3]}}


def test_refits_of_all_levels_are_counted_dumped_and_the_same_runs(tmp_path: Path) -> None:
    chosen = yaml_reader.from_mapping(FOLDED | {"validation": {"folds": 3}})
    every = yaml_reader.from_mapping(FOLDED | {"validation": {"folds": 3, "refit": "all"}})
    assert grid.all_run_ids(chosen) == grid.all_run_ids(every)
    assert (grid.count_runs(chosen), grid.count_runs(every)) == (2 * 2 * (3 * 3 + 1), 2 * 2 * (3 * 3 + 3))
    (tmp_path / "d.yaml").write_text(yaml_reader.dump(every))
    assert yaml_reader.read(tmp_path / "d.yaml").refit == "all"
    assert "refit" not in yaml_reader.dump(chosen)
    assert yaml_reader.from_mapping(FOLDED | {"validation": {"folds": 3, "refit": "chosen"}}) == chosen


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ({"folds": 3, "refit": "al"}, "validation.refit: refit must be 'chosen' or 'all', got 'al'; did you mean 'all'?"),
        ({"folds": 3, "refit": True}, "refit must be 'chosen' or 'all', got true"),
        ({"folds": 3, "refits": "all"}, "unknown key 'refits'; did you mean 'refit'?"),
        ({"refit": "all"}, "folds must be a whole number of at least 2"),
    ],
)  # fmt: skip
def test_what_validation_may_not_say(validation: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as raised:
        yaml_reader.from_mapping(FOLDED | {"validation": validation})
    assert said in str(raised.value)


def test_nothing_is_refitted_without_nuisance_settings() -> None:
    tree = {k: v for k, v in FOLDED.items() if k != "nuisance"}
    with pytest.raises(InputError, match=r"^validation\.refit: refit: all trains every level of nuisance .* got 'all'"):
        yaml_reader.from_mapping(tree | {"validation": {"folds": 3, "refit": "all"}})


def test_every_regret_can_be_claimed() -> None:
    for name in REGRETS:
        claim = {"id": "c", "says": "c", "bound": {"metric": name, "below": 0.01}}
        tree = FOLDED | {"validation": {"folds": 3, "refit": "all"}, "claims": [claim]}
        assert yaml_reader.from_mapping(tree).claims[0].form.metric == name


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"replicates": 5}, "claims.0.bound.of: a sign test needs 6 replicates or more, since 5 can't reach p < 0.05, got 5"),
        ({"test": "sign_flip"}, "a bound of the median has its own test and interval: it takes no test, got 'sign_flip'"),
        ({"interval": "bca"}, "it takes no interval, got 'bca'"),
    ],
)  # fmt: skip
def test_what_a_bound_of_the_median_may_not_say(keys: dict[str, Any], said: str) -> None:
    claim = {"id": "c", "says": "c", "bound": {"metric": "test_loss", "above": 0, "of": "median"}}
    claim |= {k: v for k, v in keys.items() if k != "replicates"}
    with pytest.raises(InputError) as raised:
        yaml_reader.from_mapping(TREE | {"claims": [claim], "replicates": keys.get("replicates", 20)})
    assert said in str(raised.value)


IMAGES: dict[str, Any] = {
    "factors": {"conv_channels": [[4], [4, 4]]},
    "fixed": {"depth": 0, "epochs": 1},
    "probes": ["start", "end"],
}


def test_layers_count_convolutions_first() -> None:
    two = {"conv_channels": [4, 4]}
    for name in ("forward_gain[all]", "act_saturated[2]", "backward_gain[last]", "grad_norm[3]"):
        assert experiment(name, two, **IMAGES).claims[0].form.metric == name
    with pytest.raises(InputError, match="a layer must be one of 1 to 3"):
        experiment("grad_norm[4]", two, **IMAGES)
    with pytest.raises(InputError, match="layer 2 is that of the outputs"):
        experiment("act_saturated[2]", {"conv_channels": [4]}, **IMAGES)
