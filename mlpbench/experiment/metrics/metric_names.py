"""The grammar of metrics that are worked out of other tables: `grad_norm[1,start]`, `late_test_loss`, `epochs_to_...`.

What the words stand for is here; what they are called and measured in, in `metrics`; their values, in
`evidence.estimates.observe`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlpbench.base.models import suggestion

LOG10 = "log10_"
# Layers by word. `all` is the product over hidden layers, of the gains alone; `mean` the mean over them, of the others.
WORDS = ("first", "last", "out", "all", "mean")


@dataclass(frozen=True, kw_only=True)
class LayerMetric:
    """A column of the table `layers`: its meaning, its unit, and the layers and steps that have it.

    `over` is the word for all hidden layers together, `least` the value that none is below. Of hidden layers alone is what outputs, which have no activation and no
    layer after them, can't have; of a step what there is none of before the first.
    """

    meaning: str
    unit: str
    over: Literal["mean", "all"] = "mean"
    of_hidden: bool = False
    of_step: bool = False
    least: float = 0.0


LAYER_METRICS: Mapping[str, LayerMetric] = {
    "act_mean": LayerMetric(
        meaning="mean of a layer's activations over probe examples and units", unit="1", least=-math.inf
    ),
    "act_var": LayerMetric(meaning="variance of a layer's activations over probe examples and units", unit="1"),
    "act_zero": LayerMetric(meaning="share of a layer's activations that are exactly zero", unit="fraction"),
    "act_saturated": LayerMetric(
        meaning="share of activations whose slope is below 1% of the largest", unit="fraction", of_hidden=True
    ),
    "grad_norm": LayerMetric(meaning="norm of the loss gradient of a layer's weights", unit="1"),
    "update_ratio": LayerMetric(
        meaning="norm of the last step of a layer's weights over their norm before it", unit="1", of_step=True
    ),
    "forward_gain": LayerMetric(
        meaning="root mean square of a layer's activations over that of its inputs", unit="1", over="all"
    ),
    "backward_gain": LayerMetric(
        meaning="root mean square of the loss gradient before a layer over that of the next",
        unit="1",
        over="all",
        of_hidden=True,
    ),
}
NAMED_EPOCHS = {"start": 0.0, "end": math.inf}

# Metrics of curves of which there is a mean over the later half of training, by what they are made of: (split, measure, sign).
LATE = "late_"
# The column with at how many points of that half each test example was predicted right, behind the number of these points.
LATE_RIGHT = "late_right"
_LATE_PARTS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "train_loss": (("train", "loss", 1.0),),
    "train_accuracy": (("train", "accuracy", 1.0),),
    "test_loss": (("test", "loss", 1.0),),
    "test_accuracy": (("test", "accuracy", 1.0),),
    "gap_loss": (("test", "loss", 1.0), ("train", "loss", -1.0)),
    "gap_accuracy": (("train", "accuracy", 1.0), ("test", "accuracy", -1.0)),
}
LATE_NAMES = tuple(LATE + name for name in _LATE_PARTS)

_REACHES = re.compile(r"(steps|epochs)_to_train_(loss|accuracy)_([0-9]*\.?[0-9]+)")
_BRACKETS = re.compile(r"([a-z0-9_]+)\[([^\[\]\n]*)\]")


@dataclass(frozen=True, kw_only=True)
class Reaches:
    """How many steps, or passes over the data, a run takes until its train loss or accuracy reaches a threshold."""

    unit: Literal["steps", "epochs"]
    measure: Literal["loss", "accuracy"]
    threshold: float

    @property
    def column(self) -> str:
        """The column of the table `curves` that is counted in."""
        return self.unit.removesuffix("s")


def reaches(name: str) -> Reaches | None:
    """Return what `steps_to_train_loss_X` and its kin stand for; None for another metric."""
    match = _REACHES.fullmatch(name)
    if match is None:
        return None
    return Reaches(unit=match[1], measure=match[2], threshold=float(match[3]))  # type: ignore[arg-type]


def late(name: str) -> Sequence[tuple[str, str, float]] | None:
    """Return what `late_METRIC` adds up, as (split, measure, sign); None for another metric.

    It is the mean over the points of a curve at steps s with 2 s > S, S the step of the last one: those of the second half of
    training, so that networks trained for different numbers of epochs are compared alike. At a constant learning rate one
    point jumps by more than conditions differ; the mean of n independent ones has 1 / sqrt(n) of that spread.
    """
    return _LATE_PARTS.get(name.removeprefix(LATE)) if name.startswith(LATE) else None


@dataclass(frozen=True, kw_only=True)
class OfLayer:
    """A metric of the table `layers` at a layer, or over all hidden ones, at an epoch that is probed.

    Layers count from 1, and the outputs are the last, L; `epoch` is 0 for `start` and infinity for `end`.
    """

    metric: str
    layer: int | str
    epoch: float = math.inf

    def numbers(self, layers: int) -> Sequence[int]:
        """Return which of so many layers are meant: none where there are no hidden ones to go over."""
        if isinstance(self.layer, int):
            return [self.layer]
        if self.layer in ("all", "mean"):
            return range(1, layers)
        return [{"first": 1, "last": max(1, layers - 1), "out": layers}[self.layer]]

    @property
    def words(self) -> str:
        """What is measured where and when, as `of layer 2, at the start`."""
        of: dict[int | str, str] = {
            "first": "of the first layer", "last": "of the last hidden layer", "out": "of the outputs",
            "all": "multiplied over hidden layers", "mean": "in the mean over hidden layers",
        }  # fmt: skip
        when = {0.0: "at the start", math.inf: "at the end"}.get(self.epoch, f"after {self.epoch:g} epochs")
        return f"{of.get(self.layer, f'of layer {self.layer}')}, {when}"


def brackets(name: str) -> tuple[str, list[str]] | None:
    """Return the name before the brackets and what stands in them, comma by comma; None where there are no brackets."""
    match = _BRACKETS.fullmatch(name)
    return None if match is None else (match[1], [part.strip() for part in match[2].split(",")])


def written(name: str) -> str:
    """Return a metric without the spaces that may stand in its brackets."""
    parts = brackets(name.removeprefix(LOG10))
    if parts is None:
        return name
    return f"{LOG10 * name.startswith(LOG10)}{parts[0]}[{','.join(parts[1])}]"


def of_layer(name: str) -> OfLayer:
    """Return what `NAME[LAYER]` or `NAME[LAYER,EPOCH]` stands for; raise ValueError where its brackets are not that."""
    parts = brackets(name)
    over = LAYER_METRICS[name.partition("[")[0]].over
    words = [w for w in WORDS if w not in ("all", "mean") or w == over]
    form = f"a layer is a number from 1, {', '.join(words[:-1])} or {words[-1]}"
    if parts is None or len(parts[1]) > 2:
        near = f"; did you mean '{name}[{words[0]}]'?" if "[" not in name else ""
        raise ValueError(f"a layer metric is written NAME[LAYER] or NAME[LAYER,EPOCH], got {name!r}{near}")
    metric, (layer, *epochs) = parts
    number = int(layer) if re.fullmatch("[1-9][0-9]{0,8}", layer) else None
    if number is None and layer not in words:
        near = f"; did you mean '{over}'?" if layer in ("all", "mean") else suggestion(layer, words)
        raise ValueError(f"{form}, of {metric}; got {layer!r} in {name!r}{near}")
    epoch = _epoch(epochs[0], name) if epochs else math.inf
    if LAYER_METRICS[metric].of_step and epoch == 0:
        raise ValueError(f"{metric} needs a step before the probe, and there is none at the start; got {name!r}")
    return OfLayer(metric=metric, layer=layer if number is None else number, epoch=epoch)


def _epoch(text: str, name: str) -> float:
    if text in NAMED_EPOCHS:
        return NAMED_EPOCHS[text]
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    raise ValueError(f"an epoch is start, end or a number, got {text!r} in {name!r}{suggestion(text, NAMED_EPOCHS)}")


def plain(name: str) -> str:
    """Return the metric that a logarithm is taken of, or the metric itself."""
    return name.removeprefix(LOG10)


def layer_metric(name: str) -> OfLayer | None:
    """Return what a metric is of which layer, its logarithm too; None for another metric."""
    parts = brackets(plain(name))
    # Another metric with brackets is not of layers: `metrics.metric` has read the name before.
    return None if parts is None or parts[0] not in LAYER_METRICS else of_layer(plain(name))
