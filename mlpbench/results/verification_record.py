"""The record of verifications in a results folder: what training runs again came to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mlpbench.base.atomic_files import read_record, write_record
from mlpbench.results.store import Store

# How far two trainings of the same run agree.
IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"
GRADES = (IDENTICAL, WITHIN, DIFFERENT)
NAME = "verified.json"
RUN_ID = re.compile("[0-9a-f]{16}")
Entries = Mapping[str, Mapping[str, Any]]


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what earlier verifications came to: for each run `grade`, `weights_sha256`, `cpu`, `torch`."""
    read = read_record(folder / NAME)
    entries = read.items() if isinstance(read, dict) else ()
    return {k: v for k, v in entries if RUN_ID.fullmatch(k) and isinstance(v, dict) and v.get("grade") in GRADES}


def record(folder: Path, entries: Entries) -> None:
    """Write the record whole; raise MachineError where the disk refuses."""
    write_record(folder / NAME, entries)


def current(store: Store) -> list[Mapping[str, Any]]:
    """Return the entries of runs that still have, in the table, the weights they were verified with."""
    entries = recorded(store.folder)
    if not entries:
        return []
    held = store.read("runs", entries, columns=["run_id", "weights_sha256"])
    weights = {i: digest_of(d) for i, d in zip(held["run_id"], held["weights_sha256"], strict=True)}
    return [e for i, e in entries.items() if i in weights and e.get("weights_sha256") == weights[i]]


def digest_of(value: object) -> str | None:
    """Return a digest as the record has it: None for a run that has no weights, as a diverged one."""
    return None if pd.isna(value) else str(value)  # type: ignore[call-overload]


