"""What makes two claims the same: their content, whatever they are called and in whatever words they are stated.

A claim's `digest` is a hash of what it asks: form, metric, margin, expectation, unit, test, interval, the streams that vary, the number
of folds, and its conditions by content, each with its tuning grid. Its `comparison` is a hash of the set of conditions alone:
claims of any form, on any metric, about the same conditions are one comparison. Conditions that weigh next to nothing in a
contrast don't make it another one. Neither depends on id, words, source, seed, number of
replicates, the experiment's name, or how the file spells a setting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.claims.replicate_numbers import BestPlace, FailureDifference, ReplicateNumber, WeightedSum
from mlpbench.experiment.claims.selectors import selects
from mlpbench.experiment.design import Design
from mlpbench.experiment.grid import Condition, count_tunings

# Of the largest weight in a comparison, a condition has at least this share.
WEIGHTY = 0.01


@dataclass(frozen=True, kw_only=True)
class ClaimIdentity:
    """The content of a claim.

    Attributes:
        claim_id: what the file calls it.
        digest: tells claims apart.
        comparison: tells sets of conditions apart.
        sides: the `condition_id` of every condition of each side, those of all tunings: two sides of a difference, else one.
        is_observed: whether it is about every replicate, which is observed and not tested.

    """

    claim_id: str
    digest: str
    comparison: str
    sides: tuple[frozenset[str], ...]
    is_observed: bool


def claim_identities(
    claims: Sequence[Claim], design: Design, conditions: Sequence[Condition]
) -> tuple[ClaimIdentity, ...]:
    """Return the content of claims; `conditions` are those of the grid, with all tunings."""
    tunings = count_tunings(design)
    # Claims select conditions by factors, so that any tuning stands for all of a condition.
    first = conditions[::tunings]
    tuned = {
        c.condition_id: frozenset(t.condition_id for t in conditions[i * tunings : (i + 1) * tunings])
        for i, c in enumerate(first)
    }
    return tuple(_identity(claim, design, first, tuned) for claim in claims)


def _identity(
    claim: Claim, design: Design, conditions: Sequence[Condition], tuned: Mapping[str, frozenset[str]]
) -> ClaimIdentity:
    hypothesis = claim.hypothesis(design, conditions)
    contents = {c: sorted(ids) for c, ids in tuned.items()}
    # A default that a later version adds to a form leaves the digest as it is.
    form = claim.form.model_dump(exclude_defaults=True, by_alias=True, mode="json")
    for path, where in claim.form.wheres():
        selected = sorted(contents[c.condition_id] for c in conditions if selects(where, c))
        _put(form, path, selected)
    if isinstance(form.get("terms"), list):
        form["terms"] = sorted(form["terms"], key=_text)
    content = {
        "form": {claim.form.name: form},
        "conditions": sorted(contents[c] for c in hypothesis.conditions),
        "test": claim.test,
        "interval": claim.interval,
        "vary": [design.one_at_a_time, sorted(design.vary)],
        # A condition's identity is that of its refit on all examples, which doesn't know on how many folds it was tuned.
        **({} if design.folds is None else {"folds": design.folds}),
        **({} if claim.unit == "replicate" else {"unit": claim.unit}),
    }
    compared = _weighty(hypothesis.number).union(*(step.number.conditions for step in hypothesis.steps))
    return ClaimIdentity(
        claim_id=claim.id,
        digest=_hash(content),
        comparison=_hash(sorted(contents[c] for c in compared)),
        sides=tuple(frozenset().union(*(tuned[c] for c in side)) for side in _sides(hypothesis.number)),
        is_observed=hypothesis.is_observed,
    )


def _weighty(number: ReplicateNumber) -> frozenset[str]:
    """Return the conditions that a number rests on but those of next to no weight."""
    if not isinstance(number, WeightedSum):
        return number.conditions
    least = WEIGHTY * max(map(abs, number.weights.values()), default=0.0)
    return frozenset(c for c, w in number.weights.items() if abs(w) >= least)


def _sides(number: ReplicateNumber) -> list[frozenset[str]]:
    """Return the conditions on each side of a number: those with positive and negative weights, or those of each place."""
    sides = [number.conditions]
    if isinstance(number, WeightedSum):
        sides = [frozenset(c for c, w in number.weights.items() if sign * w > 0) for sign in (1, -1)]
    elif isinstance(number, BestPlace):
        sides = [frozenset(c for level in side for c in level) for side in number.sides]
    elif isinstance(number, FailureDifference):
        sides = [frozenset(side) for side in number.sides]
    return [side for side in sides if side]


def _put(form: dict[str, Any], path: Sequence[Any], value: object) -> None:
    """Put a value where a path leads to, in lists and mappings of which the last key may be missing."""
    place: Any = form
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hash(value: object) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]
