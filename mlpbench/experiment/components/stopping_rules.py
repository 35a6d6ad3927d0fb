"""When a run stops before all its steps are taken: by a value of validation that gets no better (see training/early_stopping.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.base.models import Column, Value, whole
from mlpbench.experiment.value_types import Count, Number, near_word, read_parameter, split_call


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """When a run stops: after `patience` epochs in which the best value of `metric` did not improve by more than `min_delta`."""

    patience: int = 10
    min_delta: float = 0.0
    metric: str = "val_loss"

    @classmethod
    def of(cls, canonical: str) -> StoppingRule | None:
        """Return the rule that a canonical string of `EarlyStopping` names, None for `none`."""
        word, written = split_call(canonical)
        if word == "none":
            return None
        return cls(**dict(zip(("patience", "min_delta", "metric"), (int(written[0]), *_float_and_word(written[1:])))))

    def improves(self, value: float, best: float | None) -> bool:
        """Return whether a value is better than the best so far by more than `min_delta`; a number is better than none."""
        if not math.isfinite(value):
            return False
        if best is None:
            return True
        return value < best - self.min_delta if self.metric == "val_loss" else value > best + self.min_delta


def _float_and_word(written: Sequence[str]) -> list[Any]:
    return [kind(text) for kind, text in zip((float, str), written)]


@dataclass(frozen=True)
class EarlyStopping:
    """`none`, a patience in epochs, or a rule: `{patience: 10, min_delta: 0, metric: val_loss}`, each of which may be left out.

    The canonical form is `patience(10)`, `patience(10,0.001)` or `patience(10,0.0,val_accuracy)`.
    """

    column: Column = "string"
    metrics: tuple[str, ...] = ("val_loss", "val_accuracy")
    rule: str = "none, a number of epochs, or {patience: epochs, min_delta: number, metric: val_loss or val_accuracy}"

    def read(self, value: object) -> Value:
        """Return the canonical string; raise ValueError with the rule."""
        if value == "none":
            return "none"
        written = self._parts(value)
        if written is None:
            raise ValueError(self.rule)
        for key in written:
            if key not in ("patience", "min_delta", "metric"):
                raise ValueError(self.rule + near_word(key, ("patience", "min_delta", "metric")))
        usual = StoppingRule()
        patience = read_parameter("early stopping", "patience", Count(), written.get("patience", usual.patience))
        delta = read_parameter("early stopping", "min_delta", Number(low=0), written.get("min_delta", usual.min_delta))
        metric = written.get("metric", usual.metric)
        if metric not in self.metrics:
            raise ValueError(
                f"early stopping with a metric of {' or '.join(self.metrics)}" + near_word(metric, self.metrics)
            )
        parts = [patience, *([delta] if delta or metric != usual.metric else [])]
        return f"patience({','.join([*map(repr, parts), *([metric] if metric != usual.metric else [])])})"

    def _parts(self, value: object) -> Mapping[Any, Any] | None:
        """Return the parts of a rule by name; None for what is none."""
        value = whole(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return {"patience": value}
        if isinstance(value, Mapping) and value:
            return value
        if isinstance(value, str):
            word, written = split_call(value)
            try:
                numbers = [int(n) for n in written[:1]] + [float(n) for n in written[1:2]]
            except ValueError:
                return None
            if word == "patience" and 1 <= len(written) <= 3:
                return dict(zip(("patience", "min_delta", "metric"), (*numbers, *(w.strip() for w in written[2:]))))
        return None
