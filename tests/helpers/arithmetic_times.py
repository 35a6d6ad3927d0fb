"""Tables whose runs reach a train loss of 0.5 at given steps, or never in as many steps as they are trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from arithmetic_tables import Tables, frame, make, spec
from single_runs import make_run

METRIC = "steps_to_train_loss_0.5"
NEVER = None
# One epoch: curves have a point after each.
EACH = 235


def timed(
    times: Sequence[Sequence[int | None]],
    *claims: Mapping[str, Any],
    epochs: int = 10,
    status: Mapping[tuple[int, int], str] | None = None,
    **keys: Any,
) -> Tables:
    """Return tables of widths 8, 16, ... whose replicates get there after so many epochs; `NEVER` in any of them."""
    tree = {"factors": {"width": [8 * 2**i for i in range(len(times))]}, "replicates": len(times[0])} | keys
    made = make(spec(claims=list(claims), **tree), status=status)
    rows = []
    for condition, of_condition in zip(made.conditions, times, strict=True):
        for replicate, time in enumerate(of_condition):
            run_id = make_run(made.experiment, condition, replicate).run_id
            for epoch in range(epochs + 1):
                there = time is not None and epoch >= time
                at = {"run_id": run_id, "epoch": float(epoch), "step": EACH * epoch}
                loss = 0.4 if there else 0.9
                rows += [at | {"split": s, "loss": loss, "accuracy": 1 - loss} for s in ("train", "test")]
    return replace(made, curves=frame("curves", rows))


def faster(**keys: Any) -> dict[str, Any]:
    """Return the claim that width 8 gets there in fewer steps than width 16."""
    form = {"metric": METRIC, "a": {"width": 8}, "b": {"width": 16}, "expect": "less"}
    options = {k: v for k, v in keys.items() if k in ("id", "test", "interval")}
    form |= {k: v for k, v in keys.items() if k not in options}
    return {"id": "faster", "says": "Width 8 is faster.", "test": "sign", "compare": form} | options
