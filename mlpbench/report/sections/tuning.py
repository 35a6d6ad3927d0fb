"""The section "Tuning" of a report: which level was chosen, how often each would have been, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlpbench.evidence.estimates.observe import intervals
from mlpbench.evidence.estimates.regret import has_regret
from mlpbench.evidence.estimates.tuning_choice import MANY_DIVERGED, tuned_by
from mlpbench.evidence.frames import records
from mlpbench.experiment.spec import Experiment
from mlpbench.report.language.words import fixed
from mlpbench.report.sections import tables


def section(experiment: Experiment, tuning: pd.DataFrame, listed: list[int]) -> str:
    """Return how settings were tuned, a table of the conditions listed, and warnings about all of them."""
    names = ", ".join(experiment.nuisance)
    metric = tuned_by(experiment).replace("val_", "validation ")
    if experiment.folds:
        again = (
            "; every level was trained again on all its images, and"
            if has_regret(experiment)
            else " and trained again on all its images;"
        )
        how = (
            f"In each replicate the level with the best mean {metric} over {experiment.folds} folds was chosen{again} "
            f"test metrics are of {'the refit of the chosen one' if has_regret(experiment) else 'those refits'} alone."
        )
    else:
        share = f"{experiment.validation or 0:g}"
        how = (
            f"The level with the best mean {metric} over replicates was chosen, on a share of {share} of the training "
            "examples; comparisons use the runs of the chosen level alone."
        )
    text = (
        f"Tuned for each condition: {names}. {how} Verdicts are conditional on this choice: beside it stands how many "
        "replicates would choose each level for themselves. A level of which a run diverged comes after all of which fewer did."
    )
    rows = [_row(r) for r in records(tuning[tuning["position"].isin(listed)])]
    head = ["condition", "level", metric, "chosen", "would be chosen by", "diverged"]
    missing = int(tuning["missing"].sum())
    waiting = f"{missing} runs are not there yet: the choice may change." if missing else ""
    parts = [text, tables.table(head, rows, "llrlll"), _warnings(tuning), waiting]
    return "\n\n".join(p for p in parts if p)


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
                f"- {r['label']}: the chosen {r['tuning']} lies at the edge of the range of {r['edges']}: a better level may "
                "lie beyond it."
            )
        if r["diverged"] > MANY_DIVERGED * r["runs"]:
            lines.append(
                f"- {r['label']}: {r['diverged'] / r['runs']:.0%} of the runs with {r['tuning']} diverged "
                f"(told from more than {MANY_DIVERGED:.0%} on)."
            )
    more = len(lines) - tables.MOST_LISTED
    return "\n".join(lines[: tables.MOST_LISTED] + ([f"- and {more} more"] if more > 0 else []))


def sentence(experiment: Experiment, observed: pd.DataFrame) -> str:
    """Say what the choice by folds costs against the best refit, and that of a single split; nothing where none is known.

    A mean over conditions within the replicate, with a t interval over replicates.
    """
    if not has_regret(experiment):
        return ""
    what = "loss" if experiment.data.n_classes is None else "accuracy"
    told = []
    choosers = {
        f"regret_{what}": f"all {experiment.folds} folds choose",
        f"split_regret_{what}": "the first fold alone chooses",
    }
    for name, chooser in choosers.items():
        means = observed.groupby("replicate")[name].agg(lambda values: values.mean(skipna=False)).dropna()
        frame = pd.DataFrame({"all": 0, "value": means.to_numpy(dtype=float)})
        if frame.empty:
            continue
        found = intervals(frame, ["all"], pd.Series([0.0])).iloc[0]
        scale, unit = (1.0, "") if what == "loss" else (100.0, " pp")
        spread = scale * float(found["high"] - found["low"]) / 2
        low, high = (fixed(scale * float(found[k]), spread) for k in ("low", "high"))
        within = f"95% interval {low} to {high}, " if found["n"] > 1 else ""
        told.append(
            f"{fixed(scale * float(found['mean']), spread)}{unit} where {chooser} ({within}n = {int(found['n'])})"
        )
    if not told:
        return ""
    over = ", in the mean over conditions," if observed["position"].nunique() > 1 else ""
    side = "above the lowest" if what == "loss" else "below the highest"
    return f"Regret: the test {what} of the chosen level lies{over} {side} among the refits of its replicate by {'; by '.join(told)}."
