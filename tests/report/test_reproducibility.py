"""The grade counts what was verified of the rows that are there now, and says how far their bits carry."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mlpbench.report.sections.provenance import reproducibility
from mlpbench.results.folders import Grade, VerifiedRun


def runs(**changes: Any) -> pd.DataFrame:
    rows = {
        "run_id": ["a", "b", "c", "d"],
        "status": ["ok", "ok", "diverged", "failed"],
        "env_numerics": "fast",
        "env_cpu": "Fast CPU",
    }
    return pd.DataFrame(rows | changes)


def entry(grade: Grade) -> VerifiedRun:
    return VerifiedRun(grade=grade, weights_sha256=None, cpu="Fast CPU", torch="2.0")


def test_unverified_results_say_how_to_verify_them() -> None:
    assert reproducibility(runs(), []) == (
        "Numerics `fast`: with the same torch and thread count the same bits are expected on this kind of processor "
        "(Fast CPU). No run has been verified yet; `mlpbench verify` trains runs again and compares them."
    )


def test_what_was_verified_is_counted_with_diverged_runs_and_without_failed_ones() -> None:
    told = reproducibility(runs(), [entry("identical"), entry("different"), entry("identical")])
    assert told.endswith(
        "Verified: 3 of 3 runs were trained again, alone (Fast CPU, torch 2.0): 2 identical, 1 different."
    )


def test_every_mode_in_the_folder_is_named() -> None:
    told = reproducibility(
        runs(env_numerics=["portable", "universal", "portable", "fast"], env_cpu="Intel Fast CPU"), []
    )
    assert "`portable`: with the same torch and thread count the same bits are expected on Intel processors" in told
    assert "`universal`" in told
    assert "`fast`" not in told


def test_portable_is_as_far_as_the_processor_that_trained() -> None:
    """Its kernels are those of Intel's processors; another maker's have the same bits among themselves alone."""
    told = reproducibility(runs(env_numerics="portable", env_cpu=["AMD X", "AMD X", "Intel Y", "AMD X"]), [])
    assert (
        "the same bits are expected on Intel processors with AVX2, and of other runs on this kind of processor (AMD X)."
        in told
    )
