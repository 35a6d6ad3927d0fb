"""The tables and lists of a report in Markdown, each made from a frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.evidence.estimates.observe import DIVERGED, FAILED, MISSING, OK
from mlpbench.evidence.frames import places, records
from mlpbench.evidence.judging.verdict import Verdict
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment
from mlpbench.report.language.words import (
    estimate_cell,
    expected_cell,
    probability,
    scientific,
    verdict_sentence,
    with_spread,
)

HEADINGS = {
    "train_loss": "train loss", "test_loss": "test loss", "train_accuracy": "train accuracy",
    "val_accuracy": "validation accuracy", "test_accuracy": "test accuracy", "gap_accuracy": "gap",
    "val_loss": "validation loss", "gap_loss": "gap",
}  # fmt: skip
PROVENANCE = {
    "mlpbench": "env_mlpbench", "commit": "env_commit", "Python": "env_python", "torch": "env_torch",
    "NumPy": "env_numpy", "BLAS": "env_blas", "processor": "env_cpu", "instructions": "env_capability", "device": "env_device",
    "driver": "env_driver", "numerics": "env_numerics", "threads a worker": "env_threads",
}  # fmt: skip
MOST_LISTED = 20
# Numbers from here on are scientific; a spread this many times that of its column has its own digits.
HUGE, FAR = 1e5, 100.0


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """Return a Markdown table; `align` has l or r for each column."""
    rule = ["---:" if a == "r" else "---" for a in align]
    lines = [list(head), rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Return text as one table cell: no bars, no line breaks."""
    return " ".join(text.replace("|", "\\|").split())


def verdicts(given: Sequence[Verdict]) -> str:
    """Return the table of verdicts."""
    rows = [
        (
            f"{v.claim.says} (`{v.claim.id}`)",
            f"**{verdict_cell(v)}**",
            estimate_cell(v),
            expected_cell(v),
            str(v.n),
            p_cell(v),
        )
        for v in given
    ]
    return table(["claim", "verdict", "estimate (95% interval)", "claimed", "n", p_head(given)], rows, "llllrr")


def verdict_cell(verdict: Verdict) -> str:
    """Return the verdict, and whether it is exploratory."""
    return f"{verdict.decision}, exploratory" if verdict.exploratory else verdict.decision


def p_head(given: Sequence[Verdict]) -> str:
    """Return how the p of a table are corrected: by Holm's method, or for the looks of a top-up."""
    return "p (looks)" if any(v.interim_analysis is not None for v in given) else "p (Holm)"


def p_cell(verdict: Verdict) -> str:
    """Return the corrected p for a table, or that the verdict is observed rather than tested."""
    if verdict.observed:
        return "observed"
    return "-" if verdict.p_corrected is None else probability(verdict.p_corrected)


def explanations(given: Sequence[Verdict]) -> str:
    """Return a list entry for each claim: what was tested, what came out, what to keep in mind, who claims it."""
    items = []
    for v in given:
        source = f" Source: {v.claim.source.rstrip('.')}." if v.claim.source else ""
        tuned = f"Tuned: {v.tuned}." if v.tuned else ""
        said = " ".join(part for part in (verdict_sentence(v), tuned, v.note) if part)
        items.append(f"- **{v.claim.id}**, {verdict_cell(v)}: `{v.hypothesis.wording.formula}`. {said}{source}")
    return "\n".join(" ".join(i.split()) for i in items)


def held(
    given: Sequence[Verdict],
    shared: Sequence[str],
    tuned: Sequence[str] = (),
    looks: str = "",
    *,
    anew: bool = False,
) -> str:
    """Return which settings were tuned, which settings comparisons were made at, which streams replicates share, and how to read a verdict.

    `anew` says that each replicate has a test set of its own.
    """
    groups: dict[str, list[str]] = {}
    for v in given:
        groups.setdefault(v.held_fixed, []).append(v.claim.id)
    parts = [f"`{fixed}`" + (f" ({', '.join(ids)})" if len(groups) > 1 else "") for fixed, ids in groups.items()]
    at = "; ".join(parts)
    lines = [f"Compared at fixed settings, not tuned for each condition: {at}."]
    if tuned:
        lines = [f"Tuned for each condition on validation: {', '.join(tuned)}. Held fixed: {at}."]
    if shared:
        lines.append(f"All replicates share {', '.join(shared)}: verdicts are about that one draw.")
    corrected = "for looks and claims" if looks else "over the claims of this experiment by Holm's method"
    added = "; replicates added after a look at them are not corrected for." if not looks else f". {looks}"
    if any(v.exploratory for v in given):
        added += (
            " They are exploratory: the experiment was looked at before it declared as many replicates as it has now."
        )
    concern = "data drawn in this way, test examples too" if anew else "this test set"
    lines.append(
        "Conditions are compared replicate by replicate. p is two-sided against the margin (for equivalence, the "
        f"larger of two one-sided ones), corrected {corrected}; intervals "
        f"are not corrected, so one may clear its bound where the verdict is undecided. Verdicts concern {concern}"
        f"{added}"
    )
    return " ".join(lines)


def mixed(runs: pd.DataFrame) -> str:
    """Return a warning where runs that are compared were made in ways that change their bits; else nothing."""
    made = {
        what: sorted(runs[PROVENANCE[what]].dropna().unique(), key=str)
        for what in ("device", "numerics", "threads a worker")
    }
    differ = [f"{what}: {', '.join(map(str, values))}" for what, values in made.items() if len(values) > 1]
    return f"These runs were not all made in one way ({'; '.join(differ)})." if differ else ""


def conditions(given: Sequence[Condition], estimates: pd.DataFrame, names: Sequence[str], listed: Sequence[int]) -> str:
    """Return a row for each condition listed: mean ± sd of the main metrics, how many replicates, how many diverged."""
    metrics = [m for m in HEADINGS if m in set(estimates["metric"])]
    estimates = estimates[estimates["position"].isin(list(listed))]
    cells = {(r["position"], r["metric"]): r for r in records(estimates)}
    # One number of digits a column, so that it can be read down: by its middle spread, since one run that explodes would
    # take the digits of all others.
    spread = {str(m): _middle(sds) for m, sds in estimates.groupby("metric")["sd"]}
    rows = []
    for i in listed:
        label = given[i].label.removeprefix(f"{names[0]}=") if len(names) == 1 else given[i].label
        numbers = [_number(cells[i, m]["mean"], cells[i, m]["sd"], spread[m]) for m in metrics]
        any_of = cells[i, metrics[0]]
        rows.append([label, *numbers, str(any_of["n"]), f"{any_of['diverged']} of {any_of['planned']}"])
    head = [names[0] if len(names) == 1 else "condition", *(HEADINGS[m] for m in metrics), "n", "diverged"]
    return table(head, rows, "l" + "r" * (len(head) - 1))


def _middle(sds: pd.Series[float]) -> float:
    """Return the median of the spreads that are known and not 0; where there is none, the largest."""
    positive = sds[sds > 0]
    return float(sds.max() if positive.empty else positive.median())


def _number(mean: float, sd: float, spread: float) -> str:
    """Return mean ± sd with the digits of its column, or with its own where it is of another order."""
    if abs(mean) >= HUGE or sd >= HUGE:
        return scientific(mean, sd)
    return with_spread(mean, sd, sd if sd >= FAR * spread > 0 else spread)


def unfinished(observed: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Return what became of the runs that have no metrics, one line each; what is many is counted."""
    total, ok = len(observed), int((observed["status"] == OK).sum())
    if ok == total:
        return f"All {total} runs finished." if total > 1 else "The run finished."
    counts = observed["status"].value_counts()
    said = {DIVERGED: "diverged", FAILED: "failed", MISSING: "not run"}
    summary = f"{ok} of {total} runs finished; " + ", ".join(f"{counts[s]} {w}" for s, w in said.items() if s in counts)
    ended = observed[observed["status"].isin([DIVERGED, FAILED])]
    listed = ended.head(MOST_LISTED)
    details = runs[runs["run_id"].isin(listed["run_id"])].drop_duplicates("run_id").set_index("run_id")
    lines = []
    for row in records(listed):
        at = details.loc[row["run_id"]]
        why = f"at step {int(at['diverged_at_step'])}" if pd.notna(at["diverged_at_step"]) else _first_line(at["error"])
        lines.append(f"- {row['label']}, replicate {row['replicate']}: {row['status']} {why}".rstrip())
    if len(ended) > MOST_LISTED:
        lines.append(f"- and {len(ended) - MOST_LISTED} more, in the table `runs`")
    missing = observed[observed["status"] == MISSING].groupby("position")["label"].agg(["first", "size"])
    lines += [f"- {label}: {size} not run" for label, size in missing.head(MOST_LISTED).itertuples(index=False)]
    if len(missing) > MOST_LISTED:
        lines.append(f"- and {missing['size'].iloc[MOST_LISTED:].sum()} more not run, of other conditions")
    return f"{summary}.\n\n" + "\n".join(lines)


def _first_line(error: object) -> str:
    return f"({error.splitlines()[0]})" if isinstance(error, str) and error else ""


def cost(
    observed: pd.DataFrame,
    runs: pd.DataFrame,
    given: Sequence[Condition],
    names: Sequence[str],
    listed: Sequence[int],
) -> str:
    """Return training time and arithmetic of conditions: what a run takes on one worker of the machine below."""
    stored = runs[["run_id", "train_seconds", "flops"]].drop_duplicates("run_id")
    at = places(observed["run_id"], stored["run_id"])
    timed = stored.iloc[at[at >= 0]].assign(position=observed["position"].to_numpy()[at >= 0]).dropna()
    # Sums depend on the order in their last bits: one that no order of files or rows moves.
    timed = timed.iloc[np.lexsort((timed["run_id"].to_numpy().astype("S16"), timed["position"]))]
    seconds, flops = timed["train_seconds"].sum(), timed["flops"].sum()
    if not seconds > 0:
        return "No run has a training time."
    head = [names[0] if len(names) == 1 else "condition", "seconds a run", "FLOPs a run", "GFLOP/s"]
    rows = []
    groups = dict(list(timed[timed["position"].isin(list(listed))].groupby("position")))
    for position in listed:
        if position not in groups:
            continue
        group, label = groups[position], given[position].label
        label = label.removeprefix(f"{names[0]}=") if len(names) == 1 else label
        time, work = group["train_seconds"].mean(), group["flops"].mean()
        rows.append([label, f"{time:.3g}", f"{work:.3g}", _rate(work, time)])
    whole = (
        f"Training took {seconds:.3g} worker-seconds for {flops:.3g} floating-point operations of matrix products, "
        f"{_rate(flops, seconds)} GFLOP/s a worker."
    )
    return f"{whole}\n\n{table(head, rows, 'lrrr')}"


def _rate(flops: float, seconds: float) -> str:
    return f"{flops / seconds / 1e9:.3g}" if seconds > 0 else "-"


def provenance(runs: pd.DataFrame, experiment: Experiment) -> str:
    """Return the versions and the machine the runs come from; where runs differ, every value with its count."""
    rows = [["data", f"{experiment.data.title}, `{experiment.data.fingerprint[:12]}`"]]
    differing = []
    for name, column in PROVENANCE.items():
        counts: dict[str, int] = {}
        for value, n in runs[column].value_counts(dropna=False).items():
            counts[_shown(value)] = counts.get(_shown(value), 0) + int(n)
        texts = sorted(counts)
        if len(texts) > 1:
            differing.append(name)
        shown = [f"{t} ({counts[t]} runs)" if len(texts) > 1 else t for t in texts]
        rows.append(
            [name, ", ".join(t[:12] if column == "env_commit" and len(texts) == 1 else t for t in shown) or "-"]
        )
    dirty = int(runs["env_dirty"].fillna(False).astype(bool).sum())
    if dirty:
        rows.append(["uncommitted changes", f"in {dirty} of {len(runs)} runs"])
    text = table(["what", "value"], rows, "ll")
    if differing:
        text += f"\n\nThe runs differ in {', '.join(differing)}: numbers may not be comparable to the last digit."
    return text


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value)


def command(runs: pd.DataFrame) -> str:
    """Return the command that makes the runs again from the folder's own spec, with the options bits depend on."""
    parts = ["mlpbench run spec.yaml --results again"]
    for option, column, usual in (("numerics", "env_numerics", "fast"), ("threads", "env_threads", 1)):
        values = sorted(runs[column].dropna().unique())
        if len(values) == 1 and values[0] != usual:
            parts.append(f"--{option} {_shown(values[0])}")
    return " ".join(parts)
