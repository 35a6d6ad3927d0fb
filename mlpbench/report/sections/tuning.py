"""The section "Tuning": which levels were chosen on validation, how often each would have been, and warnings about the choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.observe import intervals
from mlpbench.evidence.estimates.tuning_choice import MANY_DIVERGED, has_regret, tuned_by
from mlpbench.evidence.frames import records
from mlpbench.experiment.spec import Experiment
from mlpbench.report.context import Context
from mlpbench.report.section import Section, blocks, table
from mlpbench.report.words import fixed

MOST_LISTED = 20


def section(context: Context) -> Section | None:
    """Return how settings were tuned, a table of the conditions listed, and warnings; None where nothing is tuned."""
    tuning, experiment = context.judgement.grid.tuning, context.experiment
    if tuning.empty:
        return None
    metric = tuned_by(experiment).replace("val_", "validation ")
    how = (
        f"Tuned for each condition: {', '.join(experiment.nuisance)}. {_how(experiment, metric)} Verdicts are conditional on this "
        "choice; the table shows how many replicates would choose each level on their own. A level with more diverged runs ranks after "
        "all levels with fewer."
    )
    rows = [_row(r) for r in records(tuning[tuning["position"].isin(list(context.excerpt.listed))])]
    head = ["condition", "level", metric, "chosen", "would be chosen by", "diverged"]
    missing = int(tuning["missing"].sum())
    waiting = f"{missing} runs are still missing: the choice may change." if missing else ""
    notes = blocks(_warnings(tuning), waiting, context.excerpt.listed_by, regret_sentence(experiment, context.observed))
    return Section(title="Tuning", sentences=how, table=table(head, rows, "llrlll"), notes=notes)


def _how(experiment: Experiment, metric: str) -> str:
    """Say from which runs the level is chosen, and which runs the metrics of a condition are of."""
    if not experiment.folds:
        return (
            f"The level with the best mean {metric} over replicates was chosen, on a validation set of a share of "
            f"{experiment.validation or 0:g} of the training examples; comparisons use only the runs of the chosen level."
        )
    chosen = f"In each replicate the level with the best mean {metric} over {experiment.folds} folds was chosen"
    if has_regret(experiment):
        return f"{chosen}; every level was trained again on all training examples, and test metrics are those of the chosen level."
    return f"{chosen} and trained again on all training examples; test metrics are those of these refits."


def _row(r: Mapping[str, Any]) -> list[str]:
    chosen = (
        "" if not r["chosen"] else "**yes**" if r["chosen"] == r["planned"] else f"in {r['chosen']} of {r['planned']}"
    )
    wins = f"{r['wins']} of {r['planned']} replicates"
    return [r["label"], r["tuning"], fixed(r["value"], 0.0), chosen, wins, f"{r['diverged']} of {r['runs']}"]


def _warnings(tuning: pd.DataFrame) -> str:
    lines = []
    for r in records(tuning):
        if r["edges"]:
            lines.append(
                f"- {r['label']}: the chosen {r['tuning']} is at the edge of the tuned range of {r['edges']}: a better level may lie "
                "beyond it."
            )
        if r["diverged"] > MANY_DIVERGED * r["runs"]:
            lines.append(
                f"- {r['label']}: {r['diverged'] / r['runs']:.0%} of the runs with {r['tuning']} diverged (listed where more than "
                f"{MANY_DIVERGED:.0%} did)."
            )
    more = len(lines) - MOST_LISTED
    return "\n".join(lines[:MOST_LISTED] + ([f"- and {more} more"] if more > 0 else []))


def regret_sentence(experiment: Experiment, observed: pd.DataFrame) -> str:
    """Say what the choice by folds loses against the best refit, and that of a single split; nothing where neither is known.

    A mean over conditions within the replicate, with a t interval over replicates.
    """
    if not has_regret(experiment):
        return ""
    what = "loss" if experiment.data.n_classes is None else "accuracy"
    factor, unit = (1.0, "") if what == "loss" else (100.0, " pp")
    choosers = {
        f"regret_{what}": f"all {experiment.folds} folds choose",
        f"split_regret_{what}": "the first fold alone chooses",
    }
    parts = []
    for name, chooser in choosers.items():
        means = observed.groupby("replicate")[name].agg(lambda values: values.mean(skipna=False)).dropna()
        frame = pd.DataFrame({"all": 0, "value": means.to_numpy(dtype=float)})
        if frame.empty:
            continue
        row = intervals(frame, ["all"], pd.Series([0.0])).iloc[0]
        spread = factor * float(row["high"] - row["low"]) / 2
        mean, low, high = (fixed(factor * float(row[k]), spread) for k in ("mean", "low", "high"))
        within = f"95% interval {low} to {high}, " if row["n"] > 1 else ""
        parts.append(f"{mean}{unit} where {chooser} ({within}n = {int(row['n'])})")
    if not parts:
        return ""
    over = ", averaged over conditions," if observed["position"].nunique() > 1 else ""
    side = "above the lowest" if what == "loss" else "below the highest"
    return f"Regret: the test {what} of the chosen level is{over} {side} among the refits of its replicate by {'; by '.join(parts)}."
