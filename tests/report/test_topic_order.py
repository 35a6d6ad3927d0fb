"""Every experiment falls under one topic: its own, or that of what it varies."""

from __future__ import annotations

from typing import Any

import pytest
from repository import ROOT

from mlpbench.base.errors import InputError
from mlpbench.base.models import DATASET
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.settings import SETTINGS
from mlpbench.report.topic_order import COURSE, OTHER, place, topic_of

HEAD: dict[str, Any] = {"name": "x", "question": "Which?", "dataset": "digits", "replicates": 2}


def topic(**keys: Any) -> str:
    return topic_of(yaml_reader.from_mapping(HEAD | keys))


def test_each_setting_belongs_to_one_topic_at_most_and_is_one() -> None:
    names = [name for of_topic in COURSE.values() for name in of_topic]
    assert len(names) == len(set(names))
    assert set(names) - set(SETTINGS) == {"folds", "shifts", "stream", DATASET}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"factors": {"width": [1, 2]}}, "Width and depth"),
        (
            {"factors": {"precision": ["float32", "float64"], "dropout": [0, 0.5]}},
            "Optimisation",
        ),
        ({"factors": {"zip": {"activation": ["relu", "tanh"], "lr": [0.1, 0.2]}}}, "Activations"),
        (
            {
                "factors": {
                    "conditions": [{"label": "a", "lr": 0.1, "dropout": 0}, {"label": "b", "lr": 0.1, "dropout": 0.5}]
                }
            },
            "Regularisation",
        ),
        ({"factors": {"dataset": ["digits", "mnist1d"], "width": [1, 2]}, "dataset": None}, "Tables"),
        ({"vary": {"each": ["init", "order"]}}, "Variance and replication"),
        ({"shifts": {"noise": [0.1]}}, "Distribution shift"),
        ({"validation": {"folds": 3}, "nuisance": {"lr": [0.1, 0.2]}}, "Model selection"),
        ({}, OTHER),
    ],
)
def test_without_a_topic_it_is_that_of_what_is_varied_first(keys: dict[str, Any], expected: str) -> None:
    tree = {k: v for k, v in (HEAD | keys).items() if v is not None}
    assert topic_of(yaml_reader.from_mapping(tree)) == expected


def test_a_topic_of_the_file_comes_first_in_the_spelling_of_the_course_or_its_own() -> None:
    wide = {"factors": {"width": [1, 2]}}
    assert topic(topic="Cost", **wide) == "Cost"
    assert topic(topic=" regularisation ", **wide) == "Regularisation"
    assert topic(topic="Mine, and more", **wide) == "Mine, and more"


def test_topics_are_in_the_order_of_the_course_then_those_of_users_then_the_rest() -> None:
    topics = [*COURSE, "A", "B", OTHER]
    shuffled = ["B", OTHER, *COURSE, "A"]
    assert sorted(shuffled, key=place) == topics


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "x" * 61, 3, ["Cost"]])
def test_a_topic_that_is_no_heading_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="topic must be (words on one line, at most 60 letters|text), got "):
        yaml_reader.from_mapping(HEAD | {"topic": value})


def test_a_topic_is_written_and_read_and_no_part_of_a_run() -> None:
    plain, named = (yaml_reader.from_mapping(HEAD | more) for more in ({}, {"topic": "Cost"}))
    assert "topic" not in yaml_reader.dump(plain)
    assert "topic: Cost\n" in yaml_reader.dump(named)
    assert grid.all_run_ids(plain) == grid.all_run_ids(named)


def test_every_experiment_that_ships_is_under_a_topic_of_the_course() -> None:
    topics = {path.stem: topic_of(yaml_reader.read(path)) for path in sorted((ROOT / "experiments").glob("*.yaml"))}
    assert len(topics) > 40
    assert set(topics.values()) == set(COURSE)
    assert topics["dropout"] == "Regularisation"
    assert topics["signal_propagation"] == "Initialisation"
