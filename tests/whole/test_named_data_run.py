"""Named data through the main job: small ones in the place of those of the catalogue, in the parent and in workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from repository import HELPERS, ROOT
from small_archives import N_TEST, small

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.spec import build

# One of each format.
NAMES = ("kmnist", "qmnist", "emnist_balanced", "cifar10")
SHIFTS = {"noise": [0.1], "blur": [1], "translation": [2], "brightness": [0.2], "contrast": [0.5], "labels": [1]}
WEIGHTED = {"train_shift": {"covariate": 1}, "weighting": "classifier"}
# Workers import the main module, and so have the small data too.
MAIN = f"""
import sys
sys.path.insert(0, {str(HELPERS)!r})
from small_archives import small
from mlpbench.data.data_sets import DATA_SETS
DATA_SETS |= {{name: small(name).source for name in {NAMES!r}}}
if __name__ == "__main__":
    from blank_figures import blank_drawn
    from mlpbench.cli.main import main
    from mlpbench.report.report import Report
    Report._drawn = property(blank_drawn)
    main()
"""


def spec(name: str) -> dict[str, Any]:
    conditions = [{"label": "plain"}, {"label": "weighted", "train_size": 40} | WEIGHTED]
    return {
        "name": name,
        "question": "Is it told?",
        "dataset": name,
        "fixed": {"width": 64, "init": "he_normal", "lr": 0.3, "batch_size": 16, "epochs": 30},
        "factors": {"conditions": conditions},
        "shifts": SHIFTS,
        "replicates": 2,
        "claims": [
            {
                "id": "told",
                "says": "Prototypes are told apart.",
                "bound": {"metric": "test_accuracy", "where": {"label": "plain"}, "above": 0.8},
            }
        ],
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    (folder / "main.py").write_text(MAIN)
    for name in NAMES:
        small(name).put(folder / "mine" / name)
        (folder / f"{name}.yaml").write_text(json.dumps(spec(name)))
    return folder


def command(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {k: v for k, v in os.environ.items() if k != "MLPBENCH_DATA"}
    env |= {"MLPBENCH_CACHE": str(place / "cache"), "PYTHONPATH": path}
    program = [sys.executable, "main.py", *arguments]
    return subprocess.run(program, cwd=place, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def done(place: Path) -> Path:
    """Planned without the data, then trained from one folder that has them all."""
    planned = command(place, "plan", "cifar10.yaml", "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["missing"] == 4
    assert not (place / "cache").exists()
    specs = [f"{name}.yaml" for name in NAMES]
    ran = command(place, "run", *specs, "--workers", "1", "--data-dir", "mine")
    assert (ran.returncode, ran.stderr) == (0, "")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_format_is_trained_on_shifted_and_reported(name: str, done: Path) -> None:
    made, folder = small(name), done / "results" / name
    runs = pd.read_parquet(folder / "runs")
    assert runs["status"].tolist() == ["ok"] * 4
    assert set(runs["env_dataset"]) == {made.source.facts.fingerprint}
    assert runs.loc[runs["train_shift"] == "none", "test_accuracy"].min() > 0.8
    curves = pd.read_parquet(folder / "curves")
    shifts = curves[curves["split"].str.startswith("shift:")].groupby("split")["accuracy"].mean()
    assert len(shifts) == len(SHIFTS)
    assert shifts["shift:labels:1"] < 0.3 < shifts["shift:brightness:0.2"]
    predicted = pd.read_parquet(folder / "predictions")["predicted"]
    assert {len(p) for p in predicted} == {N_TEST}
    right = [(np.frombuffer(p, np.uint8) == made.arrays["y_test"]).mean() for p in predicted]
    assert sorted(right) == pytest.approx(sorted(runs["test_accuracy"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_images_of_a_report_are_upright_and_have_the_names_of_classes(name: str, done: Path) -> None:
    made, folder = small(name), done / "results" / name
    assert {"confusion.png", "test_images.png"} <= {p.name for p in (folder / "figures").iterdir()}
    (kept,) = folder.glob("test_examples-*.npz")
    with np.load(kept) as held:
        assert np.array_equal(held["images"], made.arrays["x_test"].reshape(N_TEST, -1)[held["at"]])
        first = int(held["at"][0])
    report = (folder / "report.md").read_text()
    assert f"class: {made.source.class_names[made.arrays['y_test'][first]]}, predicted" in report


@pytest.mark.slow
def test_the_cache_does_for_a_second_run(done: Path) -> None:
    again = command(done, "run", "qmnist.yaml", "--set", "replicates=3", "--workers", "1", "--no-report")
    assert (again.returncode, again.stderr) == (0, "")
    assert "qmnist: 6 runs, 2 trained now" in again.stdout
    listed = command(done, "data", "list").stdout.splitlines()
    assert {line.split()[0] for line in listed if " here, from http" in line} == set(NAMES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"fixed": {"conv_channels": [8]}},
            "conv_channels must be [] where examples are no images of one channel, as in cifar10, got [8]",
        ),
        (
            {"shifts": {"translation": [32]}},
            "images must be moved by less than their side, 32 pixels in cifar10, got 32",
        ),
        (
            {"shifts": {"labels": [10]}},
            "labels must be moved by fewer than all classes, of which cifar10 has 10, got 10",
        ),
        ({"fixed": {"train_size": 50_001}}, "train_size must be at most 50000, what cifar10 has, got 50001"),
    ],
)
def test_what_colour_images_cannot_have_is_refused_before_they_are_fetched(change: dict[str, Any], says: str) -> None:
    with pytest.raises((InputError, ValueError)) as error:
        grid.runs(build({"name": "x", "question": "?", "dataset": "cifar10"} | change))
    assert says in str(error.value)
