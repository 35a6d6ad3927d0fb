"""Which runs are asked for before anything is trained, and what a plan of them loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_specs import made, trees
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.asked_runs import asked_for
from mlpbench.results.store import Store

# What takes longest to load, and no plan of a folder without runs needs.
HEAVY = (
    *("torch", "pandas", "pyarrow.compute", "pyarrow.dataset", "scipy.stats", "scipy.optimize", "matplotlib", "rich"),
    *("mlpbench.evidence.judging", "mlpbench.evidence.pilot", "mlpbench.report.figures", "ray"),
)


class Judged(Store):
    """A folder without runs, of which it isn't known beforehand that it has none."""

    def is_empty(self, table: str) -> bool:
        return False


def assert_alike(experiment: Experiment, folder: Path) -> None:
    """Look at an empty folder both ways: at once, and by judging no runs."""
    conditions = grid.conditions(experiment)
    at_once, by_judging = (asked_for(experiment, conditions, kind(folder)) for kind in (Store, Judged))
    for one, other in zip(at_once, by_judging, strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or np.array_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(trees(), st.integers(3, 6), st.booleans())
def test_of_an_empty_folder_no_claim_asks_for_more(tree: dict[str, Any], most: int, anytime: bool) -> None:
    top_up = {"anytime": True} if anytime else {"max_replicates": most}
    tree = tree | {"replicates": 2, "until_decided": top_up}
    try:
        experiment = made(tree)
    except InputError:  # some claims, and settings that are tuned, have no top-up
        return
    assert_alike(experiment, Path("none"))


@pytest.mark.parametrize("name", ["width", "k_fold", "depth_tuned", "random_labels"])
def test_of_experiments_that_come_along_too(name: str, tmp_path: Path) -> None:
    """Folds, tuned settings, and both."""
    assert_alike(yaml_reader.read(ROOT / "experiments" / f"{name}.yaml"), tmp_path)


def loaded(*arguments: str, cwd: Path) -> set[str]:
    """Return the modules that a command has loaded when it is done."""
    code = (
        "import sys; from mlpbench.cli.main import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)
    return set(done.stderr.splitlines()[-1].split())


def test_a_plan_of_a_folder_without_runs_loads_what_it_says_alone(tmp_path: Path) -> None:
    """Of what the planned replicates detect, a distribution of scipy; no table, no verdict, no figure."""
    modules = loaded("plan", "width", cwd=tmp_path)
    assert {name for name in HEAVY if name in modules} == set()
    assert "scipy.special" in modules


def test_without_claims_it_needs_no_distribution(tmp_path: Path) -> None:
    tree = "name: a\nquestion: What?\ndataset: digits\nfactors: {width: [8, 16]}\n"
    (tmp_path / "a.yaml").write_text(tree)
    assert {"scipy", "pandas"} & loaded("plan", "a.yaml", "--json", cwd=tmp_path) == set()
