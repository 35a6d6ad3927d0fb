"""What a supervisor would point at in trained runs: each a rule on rows that are there, one sentence, and what to try.

A rule looks at conditions, by means over their finished replicates, and speaks where these leave no doubt: a threshold is passed by the
mean, and its own side of zero by every replicate but few. Thresholds are large on purpose: a warning that is seldom right is read
by no one.

    still falling          the loss on validation examples, or else on the test set, fell by more than 15% over the last quarter
    edge of a range        the best or chosen level of numbers that were tried is the lowest or the highest, of three at least
    train below test       train accuracy is below test accuracy by more than a point and more than three standard errors
    nothing to regularise  without it the same network has a train loss within 5% of its test loss
    dead                   at least nine of ten hidden units are dead
    never moved            the train loss ends within 1% of where it started, and units are not dead
    constant               on test examples hardly better than one answer for all (in balanced accuracy, or R squared), and no better on those
                           it was trained on: none of those above
    scale of the target    numbers to predict, unscaled, whose standard deviation is above 10 or below 0.1

References: L. Smith, "A disciplined approach to neural network hyper-parameters", 2018; A. Karpathy, "A recipe for training neural
networks", 2019; Godbole et al., "Deep learning tuning playbook", 2023.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.data.table.gaps import counted
from mlpbench.evidence.estimates.observe import OK
from mlpbench.evidence.frames import places, records
from mlpbench.experiment.claims.selectors import are_numbers
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.experiment.spec import Experiment

# Of two levels either is at an edge.
FEWEST = 3
STILL_FALLING, LAST_QUARTER = 0.15, 0.75
BELOW_TEST, CHANCE = 0.01, 3.0
NO_GAP = 0.05
MOSTLY_DEAD = 0.9
NEVER_MOVED = 0.01
# Of what lies between a constant answer and none wrong, and by how much train accuracy may be above: more is overfitting.
NO_SKILL, OVERFITS = 0.05, 0.1
LARGE_SPREAD, SMALL_SPREAD = 10.0, 0.1
# Where a rule is of replicates, so many of them must be on its side.
NEARLY_ALL = 0.8
# Settings that hold a network back; 0 is without.
REGULARISERS = ("dropout", "weight_decay", "l1", "input_noise")


@dataclass(frozen=True, kw_only=True)
class TrainingWarning:
    """A warning: its kind in two words, the conditions it is of, what was seen in a sentence, and what to try."""

    kind: str
    labels: Sequence[str]
    says: str
    advice: str

    @property
    def text(self) -> str:
        """The warning as one line."""
        return f"{self.says} {self.advice}"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What warnings look at.

    `observed` has the rows of some conditions, `curves` those of their runs, `tuning` a row for each level that was tried.
    """

    experiment: Experiment
    conditions: Sequence[Condition]
    observed: pd.DataFrame
    curves: pd.DataFrame
    tuning: pd.DataFrame

    @property
    def finished(self) -> pd.DataFrame:
        """The rows of finished runs."""
        return self.observed[self.observed["status"] == OK]

    def means(self, name: str) -> Mapping[int, float]:
        """Return the mean of a metric over the finished runs of each condition that has one."""
        known = self.finished[["position", name]].dropna()
        return {int(p): float(v) for p, v in known.groupby("position")[name].mean().items()}  # type: ignore[call-overload]

    @cached_property
    def dead_shares(self) -> Mapping[int, float]:
        """The share of dead units of the conditions in which nearly all are."""
        shares = {}
        for p, dead in self.means("dead_units").items():
            s = self.conditions[p].settings
            units = sum(s.conv_channels) + sum(s.hidden_sizes)
            if units and dead >= MOSTLY_DEAD * units:
                shares[p] = dead / units
        return shares

    @cached_property
    def still(self) -> list[int]:
        """The conditions whose train loss ends where it started."""
        rows = self.curves[self.curves["split"] == "train"].dropna(subset=["loss"])
        rows = rows.assign(place=places(rows["run_id"], self.finished["run_id"]))
        losses = rows[rows["place"] >= 0].sort_values(["place", "step"]).groupby("place")["loss"]
        start, end = losses.first(), losses.last()
        trained_at_all = losses.size() > 1
        still = (np.abs(end - start) < NEVER_MOVED * np.abs(start)) & trained_at_all
        position = self.finished["position"].to_numpy()[still.index.to_numpy(dtype=int)]
        share = still.groupby(position).mean()
        return [int(p) for p in share.index[share >= NEARLY_ALL]]

    def warn(self, kind: str, positions: Sequence[int], says: str, advice: str) -> TrainingWarning:
        """Return a warning about some conditions, whose sentence has their number or name for `{where}`."""
        labels = [self.conditions[p].label for p in positions]
        if len(self.conditions) == 1:
            where = "here"
        elif len(labels) == 1:
            where = f"with {labels[0]}"
        else:
            where = f"in {len(labels)} of {self.observed['position'].nunique()} conditions, {labels[0]} for one"
        return TrainingWarning(kind=kind, labels=labels, says=says.format(where=where), advice=advice)


def training_warnings(trained: Trained) -> list[TrainingWarning]:
    """Return the warnings, of each kind at most one of each sort, in the order of the rules."""
    return [warning for rule in RULES for warning in rule(trained)]


def _still_falling(trained: Trained) -> Iterator[TrainingWarning]:
    """Yield the conditions whose loss is still falling; runs that may stop early, and did, have ended by themselves."""
    curves = trained.curves
    there = set(curves["split"])
    split = "validation" if "validation" in there else "test"
    rows = curves[(curves["split"] == split) & (curves["step"] > 0)].dropna(subset=["loss"])
    rows = rows.assign(place=places(rows["run_id"], trained.finished["run_id"]))
    rows = rows[rows["place"] >= 0].sort_values(["place", "step"])
    last = rows.groupby("place")["step"].transform("max")
    before = rows[rows["step"] <= LAST_QUARTER * last].groupby("place")["loss"].last()
    fell = 1 - rows.groupby("place")["loss"].last().reindex(before.index) / before.where(before > 0)
    position = trained.finished["position"].to_numpy()[fell.index.to_numpy(dtype=int)]
    by = fell.groupby(position)
    fallen = by.mean()[(by.mean() > STILL_FALLING) & (by.quantile(1 - NEARLY_ALL) > STILL_FALLING / 2)]
    ended = {p for p, c in enumerate(trained.conditions) if c.settings.stops_early and _stopped(trained, p)}
    found = fallen[~fallen.index.isin(list(ended))].sort_values(ascending=False)
    if len(found):
        what = "validation" if split == "validation" else "test"
        size = " to ".join(dict.fromkeys(f"{fell:.0%}" for fell in (found.iloc[-1], found.iloc[0])))
        says = f"Still falling at the end: the {what} loss fell by {size} over the last quarter of training {{where}}."
        advice = "Train longer before conditions are compared, or compare at equal loss (steps_to_train_loss_X)."
        yield trained.warn("undertrained", list(found.index), says, advice)


def _stopped(trained: Trained, position: int) -> bool:
    taken = trained.finished.loc[trained.finished["position"] == position, "epochs_taken"]
    s = trained.conditions[position].settings
    return bool((taken * s.steps_per_epoch < s.steps - 0.5).any())


def _edges(trained: Trained) -> Iterator[TrainingWarning]:
    """Yield the tuned settings, and the learning rate where it is a factor, whose best level is at an edge."""
    if not trained.tuning.empty:
        rows = [r for r in records(trained.tuning) if r["position"] in set(trained.observed["position"])]
        of_rows = [", ".join(edges(r, trained.experiment)) for r in rows]
        rows, of_rows = [r for r, of in zip(rows, of_rows, strict=True) if of], [of for of in of_rows if of]
        if rows:
            says = f"At the edge of its range: the chosen {rows[0]['tuning']} is the lowest or highest {of_rows[0]} tried, {{where}}."
            advice = "Widen the range: a better level may lie beyond it."
            yield trained.warn("edge of range", [int(r["position"]) for r in rows], says, advice)
    levels = trained.experiment.factors.get("lr", ())
    if len(levels) < FEWEST or not are_numbers(levels):
        return
    outcome, better = ("test_loss", min) if not trained.experiment.has_classes else ("test_accuracy", max)
    means = trained.means(outcome)
    cells: dict[tuple[object, ...], dict[float, int]] = {}
    for p in means:
        others = tuple(v for k, v in trained.conditions[p].levels.items() if k != "lr")
        cells.setdefault(others, {})[float(trained.conditions[p].levels["lr"])] = p  # type: ignore[arg-type]
    best = [
        by_rate[better(by_rate, key=lambda rate: means[by_rate[rate]])]
        for by_rate in cells.values()
        if len(by_rate) >= FEWEST
    ]
    ends = (min(levels), max(levels))  # type: ignore[type-var]
    at_edge = [p for p in best if trained.conditions[p].levels["lr"] in ends]
    if at_edge:
        rate = format_level(trained.conditions[at_edge[0]].levels["lr"])
        of = f" in {len(at_edge)} of {len(best)} combinations of the other factors" if len(best) > 1 else ""
        says = (
            f"At the edge of its range: the best learning rate is the lowest or highest tried{of}, lr={rate} for one."
        )
        advice = "Widen the range: a better rate may lie beyond it."
        yield trained.warn("edge of range", at_edge, says, advice)


def edges(row: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """Return the settings of which a row of tuning, chosen in most replicates, is at the edge of three levels or more.

    Beyond 0, where it is the lowest, there is nothing to try.
    """
    if not row["edges"] or row["chosen"] <= row["judged"] / 2:
        return []
    names, chosen = str(row["edges"]).split(", "), str(row["tuning"]).split(", ")
    return [name for name in names if len(set(experiment.nuisance[name])) >= FEWEST and f"{name}=0" not in chosen]


def _train_below_test(trained: Trained) -> Iterator[TrainingWarning]:
    """Yield the conditions that do worse on what they were trained on; noisy labels and shifted examples are meant to."""
    if not trained.experiment.has_classes:
        return
    accuracy = trained.means("test_accuracy")
    found = []
    for p, gap in trained.means("gap_accuracy").items():
        s, n = trained.conditions[p].settings, max(trained.conditions[p].data.n_test, 1)
        a = (accuracy.get(p, 0.5) * n + 1) / (n + 2)  # few test examples that are all right leave room for errors too
        chance = CHANCE * math.sqrt(max(0.0, a * (1 - a)) * (1 / n + 1 / max(s.n_fit, 1)))
        if gap < -max(BELOW_TEST, chance) and not s.label_noise and s.train_shift == "none":
            found.append((gap, p))
    if found:
        worst = -min(found)[0]
        says = f"Train accuracy is below test accuracy, by up to {100 * worst:.2g} points {{where}}."
        advice = "Are the test examples easier, or among the training examples? Look at how the data were split."
        yield trained.warn("train below test", [p for _, p in sorted(found)], says, advice)


def _without_overfitting(trained: Trained) -> Iterator[TrainingWarning]:
    """Yield each regulariser of which the same network without it has nothing to gain: its train loss is its test loss."""
    gap, test = trained.means("gap_loss"), trained.means("test_loss")
    plain = {_without(c, None): p for p, c in enumerate(trained.conditions) if p in gap}
    for name in REGULARISERS:
        found = []
        for p, c in enumerate(trained.conditions):
            without = plain.get(_without(c, name)) if _is_on(c, name) else None
            if without is None or p not in gap:
                continue
            if abs(gap[without]) < NO_GAP * test[without] and not trained.conditions[without].settings.label_noise:
                found.append(p)
        if found:
            says = f"Nothing to regularise: without {name} the train loss is within {NO_GAP:.0%} of the test loss, {{where}}."
            advice = f"A network that doesn't overfit gains nothing from {name}: train longer, or a larger one, or leave it out."
            yield trained.warn("nothing to regularise", found, says, advice)


def _is_on(condition: Condition, name: str) -> bool:
    value = getattr(condition.settings, name)
    return any(v > 0 for v in value) if isinstance(value, tuple) else value > 0


def _without(condition: Condition, name: str | None) -> tuple[tuple[str, object], ...]:
    """Return the data and the settings of a condition, in which a regulariser is off."""
    s = asdict(condition.settings) | {"dataset": condition.data.fingerprint}
    if name is not None:
        s[name] = tuple(0.0 for _ in s[name]) if isinstance(s[name], tuple | list) else 0.0
    return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in s.items())


def _dead(trained: Trained) -> Iterator[TrainingWarning]:
    shares = trained.dead_shares
    if shares:
        most = max(shares.values())
        says = f"Units are dead: up to {most:.0%} of the hidden units are zero on every training example {{where}}."
        advice = "Try a lower learning rate, he_normal as init, norm, or an activation that has a slope below zero."
        yield trained.warn("dead units", sorted(shares, key=lambda p: -shares[p]), says, advice)


def _never_moved(trained: Trained) -> Iterator[TrainingWarning]:
    """Yield the conditions whose loss stands still; where nearly all units are dead that is why, and what helps is another thing."""
    found = [p for p in trained.still if p not in trained.dead_shares]
    if found:
        says = "The loss never moved: the train loss ends within 1% of where it started {where}."
        advice = "Try a higher learning rate, another init, or fewer layers: the gradient may not arrive."
        yield trained.warn("loss never moved", found, says, advice)


def _constant(trained: Trained) -> Iterator[TrainingWarning]:
    """Yield the conditions that learnt hardly more than one answer for all examples; what says why is warned of alone."""
    known = {*trained.dead_shares, *trained.still}
    gaps = trained.means("gap_accuracy")
    found, classes = [], trained.experiment.has_classes
    name = "test_balanced_accuracy" if classes else "test_r2"
    for position, values in trained.finished.dropna(subset=[name]).groupby("position")[name]:
        p = int(str(position))
        of = trained.conditions[p]
        lowest = 1 / (of.data.n_classes or 2) if classes else 0.0
        skill = (values - lowest) / (1 - lowest)
        overfits = gaps.get(p, 0.0) > OVERFITS if classes else skill.mean() < -NO_SKILL
        learnt = skill.mean() > NO_SKILL or skill.quantile(NEARLY_ALL) > 2 * NO_SKILL
        if of.settings.steps and not (learnt or overfits) and p not in known:
            found.append(p)
    if found:
        steps = sorted({trained.conditions[p].settings.steps for p in found})
        after = counted(steps[0], "step") if len(steps) == 1 else f"{steps[0]} to {steps[-1]} steps"
        as_if = "answered one class for all" if classes else "predicted the mean for all"
        says = f"Hardly better than a constant: test examples are predicted as if a network {as_if}, after {after}, {{where}}."
        held = "".join(f"less {n}, " for n in REGULARISERS if any(_is_on(trained.conditions[p], n) for p in found))
        advice = (
            f"Try more steps (more epochs, or a smaller batch_size), another learning rate, {held}or he_normal as init."
        )
        yield trained.warn("constant", found, says, advice)


def _scale_of_target(trained: Trained) -> Iterator[TrainingWarning]:
    if trained.experiment.has_classes:
        return
    found: dict[str, float] = {}
    for p, spread in trained.means("constant_rmse").items():
        data = trained.conditions[p].data
        if data.target_scale is None and (spread > LARGE_SPREAD or 0 < spread < SMALL_SPREAD):
            found.setdefault(data.name, spread)
    for name, spread in found.items():
        says = f"The target of {name} wants scaling: its standard deviation is about {spread:.2g}, and it is learnt as it is."
        advice = "Learning rates suit a spread of 1: standardise it, as tables of your own are unless `target_scale` is none."
        yield TrainingWarning(kind="scale of the target", labels=[], says=says, advice=advice)


RULES = (
    _still_falling,
    _edges,
    _train_below_test,
    _without_overfitting,
    _dead,
    _never_moved,
    _constant,
    _scale_of_target,
)
