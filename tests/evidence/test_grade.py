"""The grade counts what was verified of the rows that are there now, and says how far their bits carry."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mlpbench.evidence.grade import reproducibility


def runs(**changes: Any) -> pd.DataFrame:
    rows = {
        "run_id": ["a", "b", "c", "d"],
        "status": ["ok", "ok", "diverged", "failed"],
        "weights_sha256": ["1", "2", None, None],
        "env_numerics": "fast",
        "env_cpu": "Fast CPU",
    }
    return pd.DataFrame(rows | changes)


def entry(grade: str, digest: str | None) -> dict[str, Any]:
    return {"grade": grade, "weights_sha256": digest, "cpu": "Fast CPU", "torch": "2.0"}


def test_unverified_results_say_how_to_verify_them() -> None:
    assert reproducibility(runs(), {}) == (
        "Numerics `fast`: with the same torch and thread count the same bits are expected on this kind of processor "
        "(Fast CPU). No run was trained again to verify it yet; `mlpbench verify` does that."
    )


def test_what_was_verified_is_counted_with_diverged_runs_and_without_failed_ones() -> None:
    record = {"a": entry("identical", "1"), "b": entry("different", "2"), "c": entry("identical", None)}
    told = reproducibility(runs(), record)
    assert told.endswith(
        "Verified: 3 of 3 runs were trained again, alone (Fast CPU, torch 2.0): 2 identical, 1 different."
    )


def test_a_record_of_other_weights_or_of_a_run_that_is_gone_counts_no_more() -> None:
    record = {"a": entry("identical", "0"), "b": entry("identical", "2"), "z": entry("different", "9")}
    assert "Verified: 1 of 3 runs were trained again, alone (Fast CPU, torch 2.0): 1 identical." in reproducibility(
        runs(), record
    )


def test_every_mode_in_the_folder_is_named() -> None:
    told = reproducibility(runs(env_numerics=["portable", "universal", "portable", "fast"]), {})
    assert "`portable`: with the same torch and thread count the same bits are expected on Intel processors" in told
    assert "`universal`" in told
    assert "`fast`" not in told
