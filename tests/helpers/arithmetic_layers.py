"""Tables of layers made by arithmetic, for the runs of an experiment: gains that multiply, with a little noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from arithmetic_tables import Tables, frame
from single_runs import make_run

from mlpbench.evidence.estimates.layer_estimates import Layers
from mlpbench.experiment.plan import probe_steps

GAIN = {"relu": 0.5, "tanh": 0.9, "sigmoid": 0.1}
Change = Callable[[dict[str, Any]], Mapping[str, Any]]


def layer_rows(tables: Tables, change: Change = lambda row: {}, spread: float = 0.02) -> pd.DataFrame:
    """Return what probes would have found: a gain for each activation, forward as backward, of lognormal noise."""
    rng = np.random.default_rng(1)
    status = dict(zip(tables.runs["run_id"], tables.runs["status"], strict=True))
    rows = []
    for condition in tables.conditions:
        s = condition.settings
        gain = GAIN.get(s.activation, 0.7)
        for r in range(tables.experiment.replicates):
            run_id = make_run(tables.experiment, condition, r).run_id
            for step in probe_steps(s, tables.experiment.probes):
                if status.get(run_id) != "ok" and (step > 0 or run_id not in status):
                    continue
                for layer in range(1, s.n_layers + 1):
                    luck = float(10 ** rng.normal(0, spread))
                    row = {
                        "run_id": run_id, "epoch": step / s.steps_per_epoch, "step": step, "layer": layer,
                        "act_mean": 0.0, "act_var": gain ** (2 * layer) * luck, "grad_norm": gain ** (s.n_layers - layer) * luck,
                        "forward_gain": gain * luck, "backward_gain": gain / luck if layer <= s.n_hidden else None,
                        "weight_quantiles": [float(q) for q in np.linspace(-1, 1, 21) * (layer + step / 100)],
                    }  # fmt: skip
                    rows.append(row | dict(change(row | {"condition": condition, "replicate": r})))
    return frame("layers", rows)


class Reader:
    """Reads layers as a store does, and remembers what was asked of it."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.asked: list[tuple[list[str], list[str]]] = []

    def __call__(self, run_ids: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
        self.asked.append((list(run_ids), list(columns)))
        found = self.rows.loc[self.rows["run_id"].isin(list(run_ids)), ["run_id", "epoch", "step", "layer", *columns]]
        return found.assign(steps=found.groupby("run_id")["step"].transform("max"))


def reads(rows: pd.DataFrame) -> Layers:
    """Return a reader as a function."""
    return Reader(rows)
