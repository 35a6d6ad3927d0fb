"""Claims of every form: what each needs of its experiment, and that a dump keeps what was written."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_specs import spec
from problem_text import problem_text

from mlpbench.base.errors import InputError
from mlpbench.experiment.claims.best_level import Best
from mlpbench.experiment.claims.claim import claim_model
from mlpbench.experiment.claims.claim_form import FORMS
from mlpbench.experiment.claims.value_claims import Bound, Matches
from mlpbench.experiment.claims.variance_share import Share
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment

GRID = {"factors": {"width": [8, 64], "lr": [0.1, 0.5, 1]}, "replicates": 6}
EACH = {"vary": {"each": ["init", "order"]}, "replicates": 5}
BEST = {"over": "lr", "where": {"width": 64}, "and": {"width": 8}, "expect": "lower"}


def claimed(keys: dict[str, Any], form: str, fields: dict[str, Any], **options: Any) -> Experiment:
    body = {"metric": "test_loss"} | fields
    return spec(**keys, claims=[{"id": "c", "says": "It is so.", form: body, **options}])


def refusal(keys: dict[str, Any], form: str, fields: dict[str, Any], **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        claimed(keys, form, fields, **options)
    return problem_text(caught.value).split("\n")[0]


@pytest.mark.parametrize(
    ("keys", "fields", "rule", "path"),
    [
        (GRID, {}, "best needs over, got none", "best"),
        (GRID, BEST | {"expect": "greater"}, "expect must be 'same', 'higher' or 'lower', got 'greater'", "best.expect"),
        (GRID, BEST | {"metric": "weight_norm"}, "the best level is one by a metric of which more or less is better, got 'weight_norm'", "best.metric"),
        (GRID, BEST | {"over": "lrr"}, "a claim here names a factor (width, lr), got 'lrr'; did you mean 'lr'?", "best.over"),
        (GRID | {"factors": {"activation": ["relu", "tanh"], "width": [8, 64]}}, BEST | {"over": "activation"}, "the place of the best level needs two or more levels in order: numbers, got ['relu', 'tanh'] for activation", "best.over"),
        (GRID | {"factors": {"width": [8, 64], "lr": [0.1]}}, BEST, "the place of the best level needs two or more levels in order: numbers, got [0.1] for lr", "best.over"),
        (GRID, BEST | {"where": {"lr": 0.1}}, "the best level of lr is looked for, so that a selector leaves lr out, got 0.1", "best.where.lr"),
        (GRID, BEST | {"and": {"width": 64}}, "where and and must differ, got {'width': 64} twice", "best"),
        (GRID, BEST | {"and": {"width": 9}}, "a claim about width names one of its levels [8, 64], got 9", "best.and.width"),
        (GRID, BEST | {"andd": {"width": 8}}, "unknown key 'andd'; did you mean 'and'?", "best.andd"),
        (GRID | {"replicates": 5}, BEST, "a sign-flip test needs 6 replicates or more, since 5 can't reach p < 0.05, got 5", "best"),
        ({"factors": {"zip": {"width": [8, 8, 64], "lr": [0.1, 0.5, 0.1]}}, "replicates": 6}, BEST, "both sides need the same two or more levels of lr, got [0.1]", "best.where"),
    ],
)  # fmt: skip
def test_best_needs_a_factor_in_order_on_both_sides(
    keys: dict[str, Any], fields: dict[str, Any], rule: str, path: str
) -> None:
    assert refusal(keys, "best", fields) == f"claims.0.{path}: {rule}"


@pytest.mark.parametrize(
    ("keys", "fields", "rule", "path"),
    [
        (GRID, {"stream": "init", "expect": "largest"}, "the share of a stream needs runs in which one stream varies at a time, `vary: {each: [...]}`, got vary ['init', 'order', 'dropout', 'split', 'noise']", "share.stream"),
        (EACH, {"stream": "iniit", "expect": "largest"}, "stream must be 'init', 'order', 'dropout', 'split' or 'noise', got 'iniit'; did you mean 'init'?", "share.stream"),
        (EACH, {"stream": "split", "expect": "largest"}, "a share is that of a stream that varies (init, order), got 'split'", "share.stream"),
        (EACH, {"stream": "init", "expect": "smallest"}, "expect must be 'largest', got 'smallest'", "share.expect"),
        (EACH, {"stream": "init", "expect": "largest", "where": {"stream": "init"}}, "a share is taken over all streams, so that `where` leaves stream out, got 'init'", "share.where.stream"),
        (EACH, {"stream": "init", "expect": "largest", "among": ["init", "split"]}, "`among` lists streams that vary (init, order), each once, got 'split'", "share.among.1"),
        (EACH, {"stream": "init", "expect": "largest", "among": ["init", "init"]}, "`among` lists streams that vary (init, order), each once, got 'init'", "share.among.1"),
        (EACH, {"stream": "init", "expect": "largest", "among": ["order"]}, "`among` lists the claim's own stream, init, and others, got ['order']", "share.among"),
        (EACH, {"stream": "init", "expect": "largest", "among": ["init"]}, "`among` lists the claim's own stream, init, and others, got ['init']", "share.among"),
        (EACH | {"replicates": 4}, {"stream": "init", "expect": "largest"}, "variances are compared over 5 replicates or more, got 4", "share"),
        (EACH | {"factors": {"width": [8, 16]}}, {"stream": "init", "expect": "largest"}, "a share is of one condition for each stream, 2: say which by `where`, got 4", "share"),
    ],
)  # fmt: skip
def test_share_needs_streams_that_vary_alone(
    keys: dict[str, Any], fields: dict[str, Any], rule: str, path: str
) -> None:
    assert refusal(keys, "share", fields) == f"claims.0.{path}: {rule}"


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"value": 0.9}, "claims.0.matches: matches needs tolerance, got none"),
        ({"value": 0.9, "tolerance": 0}, "claims.0.matches.tolerance: tolerance must be greater than 0, got 0"),
        ({"value": "x", "tolerance": 1}, "claims.0.matches.value: value must be a number, got 'x'"),
        ({"value": 1, "tolerance": 1, "where": {"width": 9}}, "claims.0.matches.where.width: a claim about width names one of its levels [8, 64], got 9"),
        ({"value": 1, "tolerance": 1, "metric": "val_loss"}, "claims.0.matches.metric: a metric of validation examples needs validation, which this experiment does not have, got 'val_loss'"),
    ],
)  # fmt: skip
def test_matches_needs_a_number_and_a_tolerance(fields: dict[str, Any], rule: str) -> None:
    assert refusal(GRID, "matches", fields) == rule


BOUND = {"above": 1}
TREND = {"factor": "width", "expect": "rises"}
COMPARE = {"a": {"width": 8}, "b": {"width": 64}, "expect": "equivalent", "margin": 1}
CONTRAST = {"terms": [{"weight": 1, "where": {"width": 8}}], "expect": "equivalent", "margin": 1}
NOT_NEAR = "the sign test asks on which side of a number the median lies,"
NEAR = "whether it lies near one, got 'sign'; did you mean 'sign_flip'?"


@pytest.mark.parametrize(
    ("form", "fields", "options", "replicates", "rule"),
    [
        ("bound", BOUND, {"test": "sign_flip"}, 5, "claims.0.test: a sign-flip test needs 6 replicates or more, since 5 can't reach p < 0.05, got 5"),
        ("bound", BOUND, {"interval": "bca"}, 14, "claims.0.interval: a BCa interval needs 15 replicates or more: at 5 it covered 85% instead of 95%, got 14"),
        ("bound", BOUND, {"test": "z"}, 5, "claims.0.test: test must be 't', 'sign_flip', 'sign' or 'signed_rank', got 'z'"),
        ("bound", BOUND, {"test": "signed_rank"}, 30, "claims.0.test: the signed-rank test judges numbers of data sets, `unit: dataset`, got 'signed_rank'; did you mean 'sign_flip'?"),
        ("bound", BOUND, {"unit": "dataset"}, 30, "claims.0.unit: unit: dataset needs data sets that are levels of a factor, `factors: {dataset: [...]}`, got factors ['width', 'lr']; leave `unit` out"),
        ("bound", BOUND, {"interval": "bootstrap"}, 30, "claims.0.interval: interval must be 't' or 'bca', got 'bootstrap'; did you mean 'bca'?"),
        ("bound", BOUND | {"of": "every"}, {"test": "sign_flip"}, 30, "claims.0.test: a bound of every replicate is observed, not tested: it takes no test, got 'sign_flip'"),
        ("best", BEST, {"interval": "bca"}, 30, "claims.0.interval: best has its own test: it takes no interval, got 'bca'"),
        ("bound", BOUND, {"test": "sign"}, 5, "claims.0.test: a sign test needs 6 replicates or more, since 5 can't reach p < 0.05, got 5"),
        ("trend", TREND, {"test": "sign"}, 5, "claims.0.test: a sign test needs 6 replicates or more, since 5 can't reach p < 0.05, got 5"),
        ("bound", BOUND, {"test": "sign", "interval": "bca"}, 30, "claims.0.interval: a claim judged by the sign test has its own test and interval: it takes no interval, got 'bca'"),
        ("trend", TREND, {"test": "sign", "interval": "bca"}, 30, "claims.0.interval: a claim judged by the sign test has its own test and interval: it takes no interval, got 'bca'"),
        ("compare", COMPARE, {"test": "sign"}, 30, f"claims.0.test: {NOT_NEAR} and expect: equivalent {NEAR}"),
        ("contrast", CONTRAST, {"test": "sign"}, 30, f"claims.0.test: {NOT_NEAR} and expect: equivalent {NEAR}"),
        ("matches", {"value": 1, "tolerance": 1}, {"test": "sign"}, 30, f"claims.0.test: {NOT_NEAR} and matches {NEAR}"),
        ("matches", {"value": 1, "tolerance": 1}, {"test": "sign"}, 5, f"claims.0.test: {NOT_NEAR} and matches {NEAR}"),
        ("bound", BOUND | {"of": "every"}, {"test": "sign"}, 30, "claims.0.test: a bound of every replicate is observed, not tested: it takes no test, got 'sign'"),
        ("bound", BOUND | {"of": "mean"}, {"test": "sign"}, 30, "claims.0.test: the sign test is of the median, and this bound of the mean, got 'sign'; did you mean 'of: median'?"),
        ("best", BEST, {"test": "sign"}, 30, "claims.0.test: best has its own test: it takes no test, got 'sign'"),
        ("best", BEST, {"test": "sign_flip"}, 30, "claims.0.test: best has its own test: it takes no test, got 'sign_flip'"),
    ],
)  # fmt: skip
def test_options_are_refused_where_they_can_not_keep_their_word(
    form: str, fields: dict[str, Any], options: dict[str, Any], replicates: int, rule: str
) -> None:
    assert refusal(GRID | {"replicates": replicates}, form, fields, **options) == rule


@pytest.mark.parametrize(
    ("options", "replicates", "rule"),
    [
        ({"test": "sign"}, 6, "claims.0.test: a sign test needs 6 replicates or more, since 5 can't reach p < 0.05, got 5"),
        ({"interval": "bca"}, 15, "claims.0.interval: a BCa interval needs 15 replicates or more: at 5 it covered 85% instead of 95%, got 14"),
    ],
)  # fmt: skip
def test_a_replicate_that_only_tunes_is_not_counted(options: dict[str, Any], replicates: int, rule: str) -> None:
    tuned = GRID | {"replicates": replicates, "nuisance": {"weight_decay": [0, 0.1]}, "validation": 0.1}
    said = refusal(tuned, "trend", TREND, **options)
    assert said == f"{rule}: of {replicates} the first only tunes"
    more = tuned | {"replicates": replicates + 1}
    assert claimed(more, "trend", TREND, **options).claims[0].form.name == "trend"


def test_options_are_accepted_at_their_least_replicates() -> None:
    assert claimed(GRID, "bound", BOUND, test="sign_flip").claims[0].test == "sign_flip"
    assert claimed(GRID | {"replicates": 15}, "bound", BOUND, interval="bca").claims[0].interval == "bca"
    assert claimed(GRID, "bound", BOUND).claims[0].test == "t"
    assert claimed(GRID | {"replicates": 6}, "trend", TREND, test="sign").claims[0].test == "sign"
    assert claimed(GRID, "compare", COMPARE | {"expect": "less"}, test="sign").claims[0].test == "sign"


def test_a_bound_judged_by_the_sign_test_is_one_of_the_median() -> None:
    for of in ({}, {"of": "median"}):
        form = claimed(GRID, "bound", BOUND | of, test="sign").claims[0].form
        assert isinstance(form, Bound)
        assert form.of == "median"


CASES: list[tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]] = [
    (GRID, "best", BEST, {}),
    (GRID, "matches", {"value": 0.5, "tolerance": 0.1, "where": {"width": 8}}, {"test": "sign_flip"}),
    (EACH, "share", {"stream": "order", "expect": "largest"}, {}),
    (EACH | {"factors": {"width": [8, 16]}}, "share", {"stream": "init", "expect": "largest", "where": {"width": 8}}, {}),
    (GRID | {"replicates": 15}, "bound", BOUND, {"interval": "bca", "test": "sign_flip"}),
    (GRID, "bound", BOUND, {"test": "sign"}),
    (GRID, "trend", TREND, {"test": "sign"}),
    (GRID, "wins", {"a": {"width": 8}, "b": {"width": 64}, "above": 0.6}, {}),
    (GRID, "fails", {"a": {"width": 8}, "b": {"width": 64}, "worse_than": 0.2, "expect": "less"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "form", "fields", "options"), CASES)
def test_a_dump_reads_as_the_same_claims(
    keys: dict[str, Any], form: str, fields: dict[str, Any], options: dict[str, Any], tmp_path: Any
) -> None:
    experiment = claimed(keys, form, fields, **options)
    path = tmp_path / "spec.yaml"
    path.write_text(yaml_reader.dump(experiment))
    again = yaml_reader.read(path)
    assert again.claims == experiment.claims
    assert (again.vary, again.one_at_a_time) == (experiment.vary, experiment.one_at_a_time)
    assert yaml_reader.dump(again) == path.read_text()


def test_a_dump_says_nothing_of_defaults() -> None:
    text = yaml_reader.dump(claimed(GRID, "bound", BOUND))
    assert "test: t" not in text
    assert "interval" not in text


def test_every_form_has_its_model() -> None:
    assert set(FORMS) < set(claim_model().model_fields)
    kinds = [type(claimed(k, f, b).claims[0].form) for k, f, b, _ in CASES[:3]]
    assert kinds == [Best, Matches, Share]


def test_values_of_selectors_come_back_canonical() -> None:
    form = claimed(GRID, "best", BEST | {"where": {"width": 64}}).claims[0].form
    assert isinstance(form, Best)
    assert (form.where, form.other) == ({"width": 64}, {"width": 8})
