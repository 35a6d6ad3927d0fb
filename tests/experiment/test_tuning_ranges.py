"""Ranges of nuisance settings: quasi-random points that follow from the seed, the same for every condition."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_specs import PLAIN, spec
from scipy.stats import qmc

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import conditions, count_conditions, count_runs, count_tunings, runs
from mlpbench.experiment.spec import Experiment
from mlpbench.experiment.tuning_ranges import TuningRange, levels_of

RATE = {"log_uniform": [1e-4, 1], "levels": 24}


def tuned(nuisance: dict[str, Any], **keys: Any) -> Experiment:
    return spec(**{"validation": 0.1, "replicates": 2} | keys, nuisance=nuisance)


def test_the_levels_of_a_seed_are_these() -> None:
    """Identities of runs follow from them: no other version of a library may give others."""
    assert tuned({"lr": {"log_uniform": [1e-4, 1], "levels": 6}}).nuisance["lr"] == GOLDEN
    both = tuned({"lr": {"log_uniform": [1e-4, 1], "levels": 3}, "dropout": {"uniform": [0, 0.5]}}, seed=7).nuisance
    assert both == GOLDEN_BOTH


GOLDEN = (0.0005942, 0.05942, 0.5942, 0.005942, 0.001879, 0.1879)
GOLDEN_BOTH = {"lr": (0.02188, 0.0002188, 0.2188), "dropout": (0.4788, 0.2288, 0.1038)}


def test_every_condition_has_the_same_points() -> None:
    experiment = tuned({"lr": RATE, "weight_decay": {"log_uniform": [1e-6, 0.1]}}, factors={"width": [8, 16, 32]})
    grid = conditions(experiment)
    assert len(grid) == count_conditions(experiment) == 72
    assert count_tunings(experiment) == 24
    assert count_runs(experiment) == len(runs(experiment)) == 144
    of_width = [
        [(c.levels["lr"], c.levels["weight_decay"]) for c in grid if c.levels["width"] == w] for w in (8, 16, 32)
    ]
    assert of_width[0] == of_width[1] == of_width[2]
    assert len(set(of_width[0])) == 24, "points, not a product"
    other = tuned({"lr": RATE, "weight_decay": {"log_uniform": [1e-6, 0.1]}}, factors={"activation": ["relu", "tanh"]})
    assert other.nuisance == experiment.nuisance


def test_the_points_follow_from_the_seed_and_from_nothing_else() -> None:
    one = tuned({"lr": RATE, "dropout": {"uniform": [0, 0.5]}})
    turned = tuned(
        {"dropout": {"uniform": [0, 0.5], "levels": 24}, "lr": {"log_uniform": [1e-4, 1]}}, replicates=7, name="y"
    )
    assert one.nuisance == turned.nuisance
    assert [r.run_id for r in runs(one)] == [r.run_id for r in runs(turned) if r.replicate < 2]
    assert tuned({"lr": RATE}, seed=1).nuisance != tuned({"lr": RATE}).nuisance


def test_more_levels_keep_those_that_were_tried() -> None:
    few, many = (tuned({"lr": RATE | {"levels": n}}).nuisance["lr"] for n in (10, 40))
    assert many[:10] == few


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_points_lie_more_evenly_than_drawn_ones(seed: int, dimensions: int) -> None:
    """The centred discrepancy of 32 points is below that of nearly all sets of 32 uniform ones."""
    ranges = {f"{name}": TuningRange(kind="uniform", ends=(0.0, 1.0)) for name in NAMES[:dimensions]}
    points = np.array(list(levels_of(ranges, 32, seed).values())).T
    rng = np.random.default_rng(seed)
    drawn = [qmc.discrepancy(rng.random((32, dimensions))) for _ in range(100)]
    assert qmc.discrepancy(points) < np.quantile(drawn, 0.1)


NAMES = ("dropout", "input_noise", "l1", "label_noise", "weight_decay")


@pytest.mark.parametrize("n", [8, 16, 64])
def test_each_part_of_a_range_has_as_many_levels(n: int) -> None:
    """Of 2^k points each of 2^k equal parts has one: what makes the sequence better than a draw."""
    rates = np.log10(np.array(tuned({"lr": RATE | {"levels": n}}, seed=3).nuisance["lr"], dtype=float))
    assert sorted(np.floor((rates + 4) / 4 * n).astype(int)) == list(range(n))


def test_listed_levels_are_combined_with_the_points() -> None:
    experiment = tuned({"lr": RATE | {"levels": 5}, "optimizer": ["sgd", "adam"], "depth": {"int": [1, 9]}})
    grid = conditions(experiment)
    assert len(grid) == 10
    points = list(zip(experiment.nuisance["lr"], experiment.nuisance["depth"], strict=True))
    assert [(c.levels["lr"], c.levels["depth"]) for c in grid] == points * 2
    assert [c.levels["optimizer"] for c in grid] == ["sgd"] * 5 + ["adam"] * 5


@pytest.mark.parametrize("seed", range(5))
def test_whole_numbers_and_choices_are_all_there(seed: int) -> None:
    experiment = tuned({"depth": {"int": [1, 4], "levels": 8}, "activation": {"choice": ["relu", "tanh"]}}, seed=seed)
    points = set(zip(experiment.nuisance["depth"], experiment.nuisance["activation"], strict=True))
    assert points == {(d, a) for d in range(1, 5) for a in ("relu", "tanh")}


def test_ends_and_types_are_kept() -> None:
    levels = tuned({"width": {"int": [3, 5], "levels": 3}, "lr": {"uniform": [0.1, 0.2]}}, seed=9).nuisance
    assert all(isinstance(w, int) and 3 <= w <= 5 for w in levels["width"])
    assert all(isinstance(r, float) and 0.1 <= r <= 0.2 and float(f"{r:.4g}") == r for r in levels["lr"])
    at = TuningRange(kind="log_uniform", ends=(1e-4, 1.0)).at
    assert at(0.0) == 1e-4
    assert at(0.5) == 0.01
    assert at(math.nextafter(1, 0)) == 1.0


def test_a_resolved_file_keeps_the_ranges_and_gives_the_same_runs(tmp_path: Path) -> None:
    experiment = tuned({"lr": RATE, "dropout": {"uniform": [0, 0.5]}, "optimizer": ["sgd", "adam"]}, seed=4)
    written = yaml_reader.dump(experiment)
    assert "log_uniform: [0.0001, 1.0]" in written
    (tmp_path / "spec.yaml").write_text(written)
    again = yaml_reader.read(tmp_path / "spec.yaml")
    assert (again.nuisance, again.ranges) == (experiment.nuisance, experiment.ranges)
    assert [r.run_id for r in runs(again)] == [r.run_id for r in runs(experiment)]


def test_a_range_is_set_from_the_command_line() -> None:
    experiment = yaml_reader.from_mapping(
        PLAIN | {"validation": 0.1, "fixed": {"lr": 0.1}}, ["lr={log_uniform: [0.01, 1], levels: 4}"]
    )
    assert len(experiment.nuisance["lr"]) == 4
    assert "lr" not in experiment.fixed


def test_a_level_is_a_level_of_an_experiment_that_lists_it() -> None:
    """A run of a point is the run of its settings, whatever they came from."""
    points = tuned({"lr": RATE | {"levels": 4}})
    listed = tuned({"lr": list(points.nuisance["lr"])})
    assert [r.run_id for r in runs(points)] == [r.run_id for r in runs(listed)]


def test_what_is_wrong_with_a_range_needs_validation_too() -> None:
    with pytest.raises(InputError, match="nuisance settings are tuned on validation"):
        spec(nuisance={"lr": RATE})
