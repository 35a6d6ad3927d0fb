"""`vary: {each: [...]}`: one stream varies at a time, as a factor whose levels are streams."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_specs import spec
from problem_text import problem_text

from mlpbench.base.errors import InputError
from mlpbench.base.models import STREAMS
from mlpbench.experiment import grid

KEYS: dict[str, Any] = {"vary": {"each": ["init", "order"]}, "replicates": 3}


def test_there_is_a_condition_for_every_stream_beside_the_factors() -> None:
    experiment = spec(**KEYS, factors={"width": [8, 16]})
    made = grid.conditions(experiment)
    assert [c.label for c in made] == [f"width={w}, stream={s}" for w in (8, 16) for s in ("init", "order")]
    assert len({c.condition_id for c in made}) == 4 == grid.count_conditions(experiment)
    assert experiment.factor_names == ("width", "stream")
    assert [c.levels["stream"] for c in made[:2]] == ["init", "order"]
    assert made[0].settings == made[1].settings


def test_in_each_condition_one_stream_varies_and_no_run_is_in_two() -> None:
    experiment = spec(**KEYS)
    runs = grid.runs(experiment)
    for run in runs:
        alone = run.condition.levels["stream"]
        assert run.streams == {s: run.replicate + 1 if s == alone else 0 for s in STREAMS}
    ids = [run.run_id for run in runs]
    assert len(set(ids)) == 6
    assert ids == grid.all_run_ids(experiment)


def test_a_run_is_that_of_an_experiment_that_varies_the_stream_and_counts_from_one() -> None:
    each = [r.run_id for r in grid.runs(spec(**KEYS)) if r.condition.levels["stream"] == "init"]
    alone = [r.run_id for r in grid.runs(spec(vary=["init"], replicates=4))]
    assert each == alone[1:]


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"vary": {"each": ["init"]}}, "vary.each: each must be a list of two streams or more, which vary one at a time, got ['init']"),
        ({"vary": {"each": "init"}}, "vary.each: each must be a list of two streams or more, which vary one at a time, got 'init'"),
        ({"vary": {}}, "vary.each: each must be a list of two streams or more, which vary one at a time, got null"),
        ({"vary": {"eech": []}}, "vary.eech: unknown key 'eech'; did you mean 'each'?"),
        ({"vary": {"each": ["init", "ordr"]}}, "vary.each.1: entry 2 of each must be 'init', 'order', 'dropout', 'split' or 'noise', got 'ordr'; did you mean 'order'?"),
        ({"vary": {"each": ["init", "order", "init"]}}, "vary.each.2: the streams of each must differ, got 'init' twice"),
        ({"vary": {"each": ["init", "dropout"]}}, "vary.each.1: a stream that varies alone must be one that runs draw from, and they draw dropout only where dropout is above 0, got 'stream=dropout'"),
        ({"vary": {"each": ["split", "init"]}}, "vary.each.0: a stream that varies alone must be one that runs draw from, and they draw split only where there is validation, tuning on folds or train_shift, or train_size is below all, got 'stream=split'"),
        ({"vary": {"each": ["init", "noise"]}}, "vary.each.1: a stream that varies alone must be one that runs draw from, and they draw noise only where input_noise or label_noise is above 0, got 'stream=noise'"),
        ({"vary": {"each": ["init", "order"]}, "fixed": {"init": "zeros"}}, "vary.each.0: a stream that varies alone must be one that runs draw from, and they draw init only where init or bias_init is random, got 'stream=init'"),
        ({"vary": {"each": ["init", "order"]}, "fixed": {"epochs": 0}}, "vary.each.1: a stream that varies alone must be one that runs draw from, and they draw order only where there are steps, got 'stream=order'"),
        ({"vary": {"each": ["init", "dropout"]}, "factors": {"dropout": [0.5, 0]}}, "vary.each.1: a stream that varies alone must be one that runs draw from, and they draw dropout only where dropout is above 0, got 'dropout=0, stream=dropout'"),
    ],
)  # fmt: skip
def test_streams_that_can_not_vary_alone_are_refused(keys: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError) as caught:
        spec(**keys)
    assert problem_text(caught.value).split("\n")[0] == rule


@pytest.mark.parametrize(
    ("stream", "keys"),
    [
        ("dropout", {"fixed": {"dropout": 0.5}}),
        ("split", {"fixed": {"train_size": 1000}}),
        ("split", {"validation": 0.1}),
        ("noise", {"fixed": {"label_noise": 0.1}}),
    ],
)
def test_a_stream_that_is_drawn_from_may_vary_alone(stream: str, keys: dict[str, Any]) -> None:
    assert spec(vary={"each": ["init", stream]}, **keys).vary == ("init", stream)


def test_a_claim_may_name_a_stream() -> None:
    compare = {"metric": "test_loss", "a": {"stream": "init"}, "b": {"stream": "order"}, "expect": "less"}
    assert spec(**KEYS, claims=[{"id": "c", "says": "x", "compare": compare}]).claims
    with pytest.raises(InputError, match=r"a claim about stream names one of its levels \['init', 'order'\], got 'x'"):
        spec(**KEYS, claims=[{"id": "c", "says": "x", "compare": compare | {"a": {"stream": "x"}}}])
