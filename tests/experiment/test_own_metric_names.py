"""Metrics of plugins in an experiment: how claims name them, what runs they leave alone, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.experiment.claims.claim_identity import claim_identities
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import all_run_ids, conditions
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.plugins.plugin import used_by
from mlpbench.experiment.spec import Experiment, build

SOURCE = """\
import mlpbench

@mlpbench.metric
def hits(outputs, targets):
    return (outputs.argmax(1) == targets).double().mean()

@mlpbench.activation
def unused(z):
    return z
"""
SPEC: dict[str, Any] = {
    "name": "x", "question": "?", "dataset": "digits", "plugins": ["pieces.py"], "validation": 0.2, "fixed": {"epochs": 1},
    "factors": {"width": [4, 8]}, "replicates": 2,
}  # fmt: skip


def claim(named: str, **form: Any) -> dict[str, Any]:
    sides = {"a": {"width": 8}, "b": {"width": 4}, "expect": "greater"}
    return {"claims": [{"id": "c", "says": "So.", "compare": {"metric": named} | sides | form}]}


def made(folder: Path, source: str = SOURCE, **changes: Any) -> Experiment:
    (folder / "pieces.py").write_text(source)
    return build(SPEC | changes, folder)


def refused(folder: Path, source: str = SOURCE, **changes: Any) -> str:
    with pytest.raises(SpecProblem) as caught:
        made(folder, source, **changes)
    return caught.value.message


@pytest.mark.parametrize("named", ["test_hits", "val_hits", "log10_test_hits"])
def test_a_claim_names_a_metric_of_a_plugin(tmp_path: Path, named: str) -> None:
    experiment = made(tmp_path, **claim(named))
    (piece,) = (p for p in experiment.plugins[0].pieces if p.kind == "metric")
    (judged,) = experiment.claims
    assert judged.form.metric == f"{named}@{piece.digest}"
    hypothesis = judged.hypothesis(experiment, conditions(experiment))
    assert hypothesis.quantity.name == f"{named}: width=8 minus width=4"
    assert "@" not in hypothesis.quantity.axis
    text = yaml_reader.dump(experiment)
    assert f"metric: {named}\n" in text
    assert f"metric: {{hits: {piece.digest}}}" in text
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "spec.yaml").write_text(text)
    again = yaml_reader.read(tmp_path / "results" / "spec.yaml")
    assert again.claims == experiment.claims
    assert yaml_reader.dump(again) == text


def test_every_metric_of_a_plugin_is_used_and_no_run_is_another(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    assert [piece.called for plugin in experiment.used_plugins for piece in plugin.pieces] == ["hits"]
    without = build({k: v for k, v in SPEC.items() if k != "plugins"})
    assert all_run_ids(experiment) == all_run_ids(without)
    settings = [c.settings for c in conditions(experiment)]
    assert used_by(experiment.plugins, settings) == experiment.used_plugins
    assert used_by(experiment.plugins, settings, every=()) == ()  # a network needs no metric


def test_another_code_is_another_claim(tmp_path: Path) -> None:
    digests = set()
    for source in (SOURCE, SOURCE.replace("argmax", "argmin"), SOURCE.replace("return z", "return 2 * z")):
        experiment = made(tmp_path, source, **claim("test_hits"))
        (identity,) = claim_identities(experiment.claims, experiment, conditions(experiment))
        digests.add(identity.digest)
    assert len(digests) == 2


def test_what_is_known_of_a_metric_follows_from_its_name() -> None:
    of = metric("val_hits@0123456789ab")
    assert of.meaning == "hits, a metric of a plugin, on the validation examples"
    assert (of.unit, of.better, of.is_accuracy) == ("1", "neither", False)
    assert metric("log10_test_hits@0123456789ab").meaning.startswith("decimal logarithm of: hits, a metric")
    for wrong in ("train_hits@0123456789ab", "hits@0123456789ab", "test_hits@0123", "test_hits"):
        with pytest.raises(ValueError, match="metric must be one of"):
            metric(wrong)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("test_hit", "got 'test_hit'; its plugins have test_hits, val_hits; did you mean 'test_hits'?"),
        ("train_hits", "got 'train_hits'; its plugins have test_hits, val_hits; did you mean"),
        ("test_hits@0123456789ab", "a metric of a plugin needs the plugin that has it, under plugins"),
        ("test_acuracy", "did you mean 'test_accuracy'?"),
    ],
)
def test_another_name_is_refused_with_those_there_are(tmp_path: Path, named: str, message: str) -> None:
    assert message in refused(tmp_path, **claim(named))


def test_a_metric_of_validation_examples_needs_some(tmp_path: Path) -> None:
    experiment = made(tmp_path, validation=None, **claim("val_hits"))
    with pytest.raises(InputError, match=r"needs validation, which this experiment does not have, got 'val_hits'"):
        yaml_reader.from_mapping(
            SPEC | {"validation": None, "plugins": [experiment.plugins[0].as_written()]} | claim("val_hits")
        )


@pytest.mark.parametrize("name", ["accuracy", "loss", "log_loss", "r2"])
def test_a_metric_of_the_package_is_not_redefined(tmp_path: Path, name: str) -> None:
    message = refused(tmp_path, SOURCE.replace("hits", name))
    assert f"mlpbench has a metric '{name}' itself, which can't be redefined" in message


def test_equivalence_states_a_margin(tmp_path: Path) -> None:
    assert refused(tmp_path, **claim("test_hits", expect="equivalent")) == "equivalent on test_hits must state a margin"
