"""The driver bears many outcomes: each is stored once, and one more costs as much as the one before.

The same with a million outcomes is by hand, `python tests/benchmarks/driver_load.py`: docs/scale.md has what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import scale
from driver_load import experiment, measure

from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader

# Few outcomes, and many.
SIZES = pytest.mark.parametrize(
    "measured",
    [
        pytest.param((2_000, 8_000), id="8000", marks=pytest.mark.slow),
        pytest.param((4_000, 16_000), id="16000", marks=pytest.mark.prove),
    ],
    indirect=True,
)
RUNS_A_STACK = 20
# What an outcome may take of the driver's memory, the report of all of them included.
MOST_BYTES = 20_000


@pytest.fixture(scope="module")
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any], Path]:
    few, many = request.param
    results = tmp_path_factory.mktemp("many")
    of_few = measure(few, tmp_path_factory.mktemp("few"), runs_a_stack=RUNS_A_STACK)
    return of_few, measure(many, results, runs_a_stack=RUNS_A_STACK), results


@SIZES
@pytest.mark.alone
def test_every_outcome_is_stored_once_and_known_to_be_there(
    measured: tuple[dict[str, Any], dict[str, Any], Path], tmp_path: Path
) -> None:
    _, many, results = measured
    runs = many["runs"]
    assert many["stacks"] == runs // RUNS_A_STACK
    spec = yaml_reader.from_mapping(experiment(runs, "digits"))
    ids = grid.all_run_ids(spec)
    folder = results / "load"
    for table, rows in (("runs", 1), ("curves", 6), ("layers", 4), ("predictions", 1)):
        stored = pd.read_parquet(folder / table, columns=["run_id"])["run_id"]
        assert set(stored) == set(ids), table
        assert (stored.value_counts() == rows).all(), table
        assert len(list((folder / table).iterdir())) == 1, "compacted"
    path = tmp_path / "load.yaml"
    path.write_text(json.dumps(experiment(runs, "digits")))
    command = [sys.executable, "-m", "mlpbench", "run", str(path), "--results", str(results), "--no-report"]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"load: all {runs} runs are done\n" in again.stdout


@SIZES
@pytest.mark.alone
def test_an_outcome_costs_the_same_however_many_there_are(
    measured: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    few, many, _ = measured
    times = many["runs"] / few["runs"]

    def seconds(of: dict[str, Any]) -> float:
        return float(sum(s for part, s in of["seconds"].items() if part != "report"))

    print(few, many, sep="\n")
    assert seconds(many) < 1.5 * times * seconds(few)
    assert many["syncs"] < 1.2 * times * few["syncs"]
    assert (many["memory"] - few["memory"]) / (many["runs"] - few["runs"]) < MOST_BYTES


def test_the_page_on_scale_has_the_numbers_that_follow_from_what_was_measured() -> None:
    measured = json.loads(scale.COSTS.read_text())
    text = scale.PAGE.read_text()
    assert scale.page(text, scale.costs(measured), measured) == text
    assert max(m["runs"] for m in measured) >= 1_000_000


@pytest.mark.parametrize(
    ("number", "words"),
    [(0.0123, "0.012 s"), (119.6, "120 s"), (150, "2.5 min"), (7_300, "2 h"), (86_400 * 365, "360 days")],
)
def test_times_are_said_in_the_unit_of_which_there_are_at_least_two(number: float, words: str) -> None:
    assert scale.time(number) == words


def test_what_breaks_first_is_what_shows_first() -> None:
    bears: dict[str, Any] = {"cores": 2, "runs": 10, "train": 9.0, "drive": 1.0, "memory": 1.0, "disk": 1.0}
    assert scale.breaks(**bears) == "nothing"
    assert scale.breaks(**bears | {"drive": 10.0}).startswith("the driver")
    assert scale.breaks(**bears | {"memory": 2.0**40, "drive": 10.0}).startswith("memory")
    assert scale.breaks(**bears | {"train": 1e9}).startswith("patience")
    assert scale.breaks(**bears | {"disk": 1e15}).startswith("disk")
    assert scale.breaks(**bears | {"cores": 11}).startswith("too few runs")
