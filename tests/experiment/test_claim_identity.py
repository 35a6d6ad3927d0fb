"""A claim is the same by its content: what it asks of which conditions, whatever it and they are called."""

from __future__ import annotations

from typing import Any

import pytest
from arithmetic_tables import spec

from mlpbench.experiment import grid
from mlpbench.experiment.claims.claim_identity import ClaimIdentity, claim_identities

COMPARE: dict[str, Any] = {"metric": "test_loss", "a": {"width": 16}, "b": {"width": 8}, "expect": "less"}
TUNED: dict[str, Any] = {"nuisance": {"lr": [0.1, 0.2]}, "validation": 0.1, "fixed": {"batch_size": 256, "epochs": 1}}


def identity(form: dict[str, Any] | None = None, *, claim: dict[str, Any] | None = None, **keys: Any) -> ClaimIdentity:
    """Return the content of the first claim of an experiment."""
    one = {"id": "c", "says": "So.", "compare": COMPARE | (form or {})} | (claim or {})
    experiment = spec(**{"factors": {"width": [8, 16, 32]}, "replicates": 6, "claims": [one]} | keys)
    return claim_identities(experiment.claims, experiment, grid.conditions(experiment))[0]


@pytest.mark.parametrize(
    "other",
    [
        identity(claim={"id": "other", "says": "In other words.", "source": "A book."}),
        identity(name="other", question="What else?", seed=7, replicates=9),
        identity(factors={"width": [32, 16, 8]}),
        identity(factors={"width": [8, 16]}),
        identity({"margin": 0.0}),
        identity(claim={"test": "t", "interval": "t"}),
        identity(until_decided={"max_replicates": 12}),
    ],
)
def test_what_a_claim_is_called_and_what_stands_beside_it_plays_no_part(other: ClaimIdentity) -> None:
    ours = identity()
    assert (other.digest, other.comparison, other.sides) == (ours.digest, ours.comparison, ours.sides)


@pytest.mark.parametrize(
    "other",
    [
        identity({"metric": "train_loss"}),
        identity({"margin": 0.1}),
        identity({"expect": "greater"}),
        identity({"a": {"width": 8}, "b": {"width": 16}}),
        identity(claim={"test": "sign"}),
        identity(vary=["init"]),
    ],
)
def test_another_question_about_the_same_conditions_is_another_claim_and_the_same_comparison(
    other: ClaimIdentity,
) -> None:
    assert other.digest != identity().digest
    assert other.comparison == identity().comparison


@pytest.mark.parametrize(
    "other",
    [
        identity({"b": {"width": 32}}),
        identity(**TUNED),
        identity(**TUNED | {"nuisance": {"lr": [0.1, 0.2, 0.3]}}),
        identity(fixed={"activation": "tanh"}),
    ],
)
def test_other_conditions_are_another_comparison(other: ClaimIdentity) -> None:
    assert other.digest != identity().digest
    assert other.comparison != identity().comparison


def test_the_sides_are_all_tunings_of_the_conditions_of_each() -> None:
    assert [len(side) for side in identity().sides] == [1, 1]
    assert [len(side) for side in identity(**TUNED).sides] == [2, 2]
    assert identity(**TUNED).comparison == identity(**TUNED | {"nuisance": {"lr": [0.2, 0.1]}}).comparison
    trend = {"id": "t", "says": "So.", "trend": {"metric": "test_loss", "factor": "width", "expect": "falls"}}
    falling, rising = identity(claim=trend | {"compare": None}).sides
    assert falling.isdisjoint(rising)
    assert min(len(falling), len(rising)) == 1  # the middle level of three has hardly a weight, on either side


def test_on_how_many_folds_settings_are_tuned_is_part_of_the_claim() -> None:
    folded = {k: identity(**TUNED | {"validation": {"folds": k}}) for k in (2, 5)}
    assert folded[2].digest != folded[5].digest
    assert folded[2].comparison == folded[5].comparison


def test_a_condition_of_next_to_no_weight_makes_no_other_comparison() -> None:
    def contrasted(*others: tuple[float, int]) -> str:
        terms = [{"weight": w, "where": {"width": width}} for w, width in ((1, 8), (-1, 16), *others)]
        claim = {"compare": None, "contrast": {"metric": "test_loss", "terms": terms, "expect": "less"}}
        return identity(claim=claim).comparison

    assert contrasted((1e-9, 32)) == contrasted() == identity().comparison
    assert contrasted((0.5, 32)) != contrasted()
