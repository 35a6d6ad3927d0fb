"""The reproducibility of a results folder in words: how far its bits carry, and what training runs again came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from mlpbench.base.numerics import REACH
from mlpbench.results.records import GRADES, VerifiedRun


def reproducibility(runs: pd.DataFrame, verified: Sequence[VerifiedRun]) -> str:
    """Return sentences for a report, from the rows of its runs and what verifying them led to."""
    finished = runs[runs["status"] != "failed"]
    return " ".join([*_reach(finished), _verified(len(finished), verified)])


def _reach(runs: pd.DataFrame) -> list[str]:
    modes = sorted(set(runs["env_numerics"].dropna()) & set(REACH))
    return [
        f"Numerics `{mode}`: with the same torch and thread count the same bits are expected on {REACH[mode]}{_kinds(runs, mode)}."
        for mode in modes
    ]


def _kinds(runs: pd.DataFrame, mode: str) -> str:
    """Return the processors that `fast` means by this kind of processor."""
    made = sorted(set(runs.loc[runs["env_numerics"] == mode, "env_cpu"].dropna()))
    return f" ({', '.join(made)})" if made and mode == "fast" else ""


def _verified(total: int, entries: Sequence[VerifiedRun]) -> str:
    if not entries:
        return "No run was trained again to verify it yet; `mlpbench verify` does that."
    grades = Counter(e.grade for e in entries)
    places = Counter(f"{e.cpu or 'an unknown processor'}, torch {e.torch or 'unknown'}" for e in entries)
    where = "; ".join(place for place, _ in sorted(places.items()))
    told = ", ".join(f"{grades[g]} {g}" for g in GRADES if grades[g])
    return f"Verified: {len(entries)} of {total} runs were trained again, alone ({where}): {told}."
