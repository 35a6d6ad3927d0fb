"""Identity as a property: whatever way a file says a run, and whoever's defaults fill it in, it is the run that it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from drawn_specs import BARS_MAPS, NOT_ALONE, PLAIN, TOGETHER, VALUES, made, spec, trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.base.models import SpecProblem, Value
from mlpbench.experiment.components.stopping_rules import StoppingRule
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import RunSettings, runs
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import INSTEAD_OF, Experiment
from mlpbench.experiment.value_types import parse_call

quick = settings(max_examples=80, suppress_health_check=list(HealthCheck))
ROLES = ("fixed", "factors", "zip", "conditions")


@st.composite
def given_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw values of some settings that fit together."""
    together: dict[str, Any] = draw(st.sampled_from([{}, *TOGETHER]))
    apart = [name for name in SETTINGS if name not in (*NOT_ALONE, *together)]
    chosen = draw(st.lists(st.sampled_from(apart), unique=True, max_size=8))
    for short, others in INSTEAD_OF.items():
        if short in chosen:
            chosen = [name for name in chosen if name not in others]
    if "conv_channels" in chosen:
        chosen = [name for name in chosen if name not in BARS_MAPS]
    return {name: draw(VALUES[name]) for name in chosen} | together


def ids(experiment: Experiment) -> list[str]:
    return [r.run_id for r in runs(experiment)]


@given(values=given_settings(), data=st.data())
@quick
def test_the_role_of_a_setting_changes_no_run(values: dict[str, Any], data: st.DataObject) -> None:
    """One level of a factor, of zipped factors or of a whole condition is as good as a fixed value, in any order."""
    names = data.draw(st.permutations(list(values)))
    role = {name: data.draw(st.sampled_from(ROLES)) for name in names}
    by_role = {r: {n: values[n] for n in names if role[n] == r} for r in ROLES}
    factors: dict[str, Any] = {n: [v] for n, v in by_role["factors"].items()}
    if by_role["zip"]:
        factors["zip"] = {n: [v] for n, v in by_role["zip"].items()}
    if by_role["conditions"]:
        factors["conditions"] = [{"label": "only", **by_role["conditions"]}]
    one = spec(fixed=values)
    assert ids(spec(fixed=by_role["fixed"], factors=factors)) == ids(one)


def respelt(s: RunSettings) -> str:
    """Return the settings of a run as the `fixed` of a file that says all of them in ways few people would."""
    said: dict[str, object] = {name: _number(getattr(s, name)) for name in SETTINGS if getattr(s, name) is not None}
    for name in ("width", "depth", "epochs"):  # hidden_sizes and steps say them
        said.pop(name, None)
    said["dropout"] = f"[{', '.join(_number(p) for p in s.dropout)}]"
    said["hidden_sizes"] = f"[{', '.join(map(str, s.hidden_sizes))}]"
    said["conv_channels"] = f"[{', '.join(map(str, s.conv_channels))}]"
    return "fixed:\n" + "".join(f"  {name}: {text}\n" for name, text in reversed(said.items()))


def _number(value: Value) -> str:
    if isinstance(value, str):
        rule = StoppingRule.of(value) if value.startswith("patience(") else None
        if rule is not None:
            return f"{{metric: {rule.metric}, min_delta: {rule.min_delta:.17e}, patience: {rule.patience}}}"
        word, numbers = parse_call(value)
        if not numbers:
            return word
        several = {
            "adam": "betas: [{}, {}], eps: {}", "adamw": "betas: [{}, {}], eps: {}",
            "rmsprop": "alpha: {}, eps: {}, momentum: {}", "momentum": "momentum: {}, dampening: {}",
        }  # fmt: skip
        if word in several and len(numbers) > 1:
            inner = several[word].format(*(format(n, ".17e") for n in numbers))
            return f"{{{'sgd' if word == 'momentum' else word}: {{{inner}}}}}"
        if word == "step":
            return f"{{step: {{factor: {numbers[1]:.17e}, every: {int(numbers[0])}}}}}"
        return f"{{{word}: {int(numbers[0]) if word in ('warmup', 'mup') else format(numbers[0], '.17e')}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.17e}" if isinstance(value, float) else str(value)


@pytest.mark.slow
@given(tree=trees(claims=False))
@quick
def test_the_spelling_of_settings_changes_no_run(tmp_path: Path, tree: dict[str, Any]) -> None:
    """0.1 and 1.0e-01, relu and its default slope, width and hidden_sizes, epochs and steps, one dropout or one a layer."""
    experiment = made(tree)
    path = tmp_path / "respelt.yaml"
    kept = {"name": "respelt", "question": "Is it?"} | {
        key: tree[key] for key in ("seed", "validation", "vary", "replicates") if key in tree
    }
    for run in runs(experiment)[:: experiment.replicates]:
        head = "".join(f"{key}: {json.dumps(value)}\n" for key, value in (kept | {"dataset": run.data.name}).items())
        path.write_text(head + respelt(run.settings))
        assert ids(yaml_reader.read(path))[run.replicate] == run.run_id


# A default that each setting does not have.
OTHERWISE: dict[str, Value] = {
    "hidden_sizes": (7, 5), "width": 99, "depth": 3, "activation": "tanh", "init": "he_normal", "bias_init": "normal(0.1)",
    "dropout": 0.25, "input_noise": 0.125, "weight_decay": 0.5, "decay_bias": True, "l1": 0.5, "optimizer": "adam",
    "lr": 0.7, "schedule": "cosine", "batch_size": 77, "epochs": 13, "steps": 33, "train_size": 4444, "loss": "mse",
    "label_noise": 0.5, "norm": "layer", "clip_norm": 2.0, "precision": "float64",
    "conv_channels": (3,), "pooling": "average", "features": 100, "input_scale": 2.0, "train_shift": "label(1.0)",
    "weighting": "exact", "class_weights": "balanced", "label_smoothing": 0.1,
    "bias": False, "residual": True, "parametrization": "mup(32)",
    "early_stopping": "patience(3)",
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
@given(tree=trees(claims=False))
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_a_changed_default_changes_the_runs_that_it_changes_and_no_other(name: str, tree: dict[str, Any]) -> None:
    experiment = made(tree)
    before = runs(experiment)
    assert OTHERWISE[name] != SETTINGS[name].default
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS, name, dataclasses.replace(SETTINGS[name], default=OTHERWISE[name]))
        try:
            after = runs(experiment)
        except SpecProblem:  # so many layers, or so few examples, do not fit what the file says
            return
    instead = {short for short, others in INSTEAD_OF.items() if name in others}
    listed = {k for row in experiment.conditions for k in row}
    said = {*experiment.fixed, *experiment.factors, *experiment.zipped, *listed}
    for one, other in zip(before, after, strict=True):
        assert (one.run_id != other.run_id) == (one.settings != other.settings)
        if name in said or instead & said:
            assert one.run_id == other.run_id


# What makes a setting matter, or possible.
BESIDE: dict[str, dict[str, Any]] = {
    "pooling": {"conv_channels": [4]},
    "residual": {"depth": 2},
    "train_shift": {"train_size": 1000},
    "weighting": {"train_size": 1000, "train_shift": {"label": 1}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_changed_default_changes_a_run_that_leaves_the_setting_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"replicates": 1} | ({"fixed": {**BESIDE[name]}} if name in BESIDE else {})
    given |= {"validation": 0.1} if name == "early_stopping" else {}
    before = ids(spec(**given))
    monkeypatch.setitem(SETTINGS, name, dataclasses.replace(SETTINGS[name], default=OTHERWISE[name]))
    assert ids(yaml_reader.from_mapping(PLAIN | given)) != before
