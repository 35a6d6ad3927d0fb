"""An ablation stands for conditions that could be listed by hand, and what is no ablation is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment

PLAIN = {"name": "pieces", "question": "Which matters?", "dataset": "digits", "fixed": {"epochs": 1, "width": 8}}
BASE = {"dropout": 0.1, "norm": "layer", "weight_decay": 1e-4, "lr": 0.01}
REMOVE = {"dropout": 0, "norm": "none", "weight_decay": 0}


def made(ablate: Any = None, **keys: Any) -> Experiment:
    return yaml_reader.from_mapping(
        PLAIN | {"ablate": {"base": BASE, "remove": REMOVE} if ablate is None else ablate} | keys
    )


def test_the_conditions_are_those_that_one_would_list_by_hand() -> None:
    rows = [
        {"label": "base", **BASE},
        *({"label": f"without {k}", **BASE, k: v} for k, v in REMOVE.items()),
        {"label": "without all", **BASE, **REMOVE},
    ]
    listed = yaml_reader.from_mapping(PLAIN | {"factors": {"conditions": rows}})
    assert [c.label for c in grid.conditions(made())] == [r["label"] for r in rows]
    assert grid.all_run_ids(made()) == grid.all_run_ids(listed)


def test_other_factors_are_crossed_with_it() -> None:
    crossed = grid.conditions(made(factors={"depth": [1, 2]}))
    assert [c.label for c in crossed[:2]] == ["base, depth=1", "without dropout, depth=1"]
    assert len(crossed) == 2 * 5


def test_the_way_to_yaml_and_back_keeps_the_ablation(tmp_path: Path) -> None:
    experiment = made(claims=[{"id": "a", "says": "?", "compare": {"metric": "test_accuracy", "a": {"label": "base"},
                                                                  "b": {"label": "without norm"}, "expect": "greater"}}])  # fmt: skip
    text = yaml_reader.dump(experiment)
    assert "ablate:" in text
    assert "conditions:" not in text
    (tmp_path / "spec.yaml").write_text(text)
    again = yaml_reader.read(tmp_path / "spec.yaml")
    assert again.ablate == experiment.ablate
    assert grid.all_run_ids(again) == grid.all_run_ids(experiment)
    assert yaml_reader.dump(again) == text


WRONG: list[tuple[str, Any, dict[str, Any], str]] = [
    ("a-list", ["dropout"], {}, r"ablate must be {base: {...}, remove: {SETTING: value}}, got \['dropout'\]"),
    ("no-remove", {"base": BASE}, {}, "remove must be a mapping of settings that is not empty, got null"),
    ("no-base", {"remove": REMOVE}, {}, "base must be a mapping of settings that is not empty, got null"),
    ("key", {"base": BASE, "removes": REMOVE}, {}, "unknown key 'removes'; did you mean 'remove'"),
    ("one-piece", {"base": BASE, "remove": {"norm": "none"}}, {}, r"removes two pieces or more, got \['norm'\]; one alone is a"),
    ("no-piece", {"base": BASE, "remove": {"norm": "none", "l1": 0}}, {}, "remove names settings of base .*, got 'l1'; `base` says"),
    ("same", {"base": BASE, "remove": {"norm": "none", "dropout": 0.1}}, {}, "must differ from that of base, got 0.1 twice"),
    ("setting", {"base": {"droput": 0.1}, "remove": REMOVE}, {}, r"unknown setting 'droput'; did you mean 'dropout'\?"),
    ("value", {"base": BASE, "remove": REMOVE | {"norm": "non"}}, {}, "norm must be one of none, layer, batch, got 'non'"),
    ("two-roles", None, {"fixed": {"epochs": 1, "dropout": 0.5}}, "a setting has one role, but dropout stands under fixed and ablate"),
    ("both", None, {"factors": {"conditions": [{"label": "x", "depth": 2}]}}, "conditions are listed under factors, or follow from ablate"),
    ("unlike", {"base": {"dropout": [0.1, 0.2], "norm": "layer"}, "remove": {"dropout": 0, "norm": "none"}}, {},
     "dropout must have one number per hidden layer"),
]  # fmt: skip


@pytest.mark.parametrize(("ablate", "keys", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_input_has_one_message(ablate: Any, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(ablate, **keys)


def test_a_wrong_level_is_shown_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "name: x\nquestion: q\ndataset: digits\nablate:\n  base: {dropout: [0.1, 0.2], norm: layer}\n"
        "  remove: {dropout: 0, norm: none}\n"
    )
    with pytest.raises(InputError, match=r"x\.yaml:5:19: dropout must have one number per hidden layer"):
        yaml_reader.read(tmp_path / "x.yaml")
