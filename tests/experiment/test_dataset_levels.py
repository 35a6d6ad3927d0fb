"""Data sets as levels of a factor: words, shared options, identity, the way back to YAML, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from problem_text import problem_text

from mlpbench.base.errors import InputError
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment

PLAIN = {"name": "sets", "question": "Does it depend on the data?", "fixed": {"epochs": 1, "width": 8}, "replicates": 2}
ROWS = "x,y,kind\n" + "".join(f"{i},{(7 * i) % 11},{'ab'[i % 2]}\n" for i in range(40))
NUMBERS = "x,y,kind\n" + "".join(f"{i},{(7 * i) % 11},{i / 3}\n" for i in range(40))


def made(**keys: Any) -> Experiment:
    return yaml_reader.from_mapping(PLAIN | keys)


def of_files(tmp_path: Path, **files: str) -> list[dict[str, Any]]:
    """Write tables and return what an experiment says of them."""
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return [{"file": str(tmp_path / f"{name}.csv"), "target": "kind"} for name in files]


def test_conditions_are_those_of_each_data_set_alone() -> None:
    """A run of a level is the run that it is where its data set is the only one."""
    names = ["digits", "mnist1d"]
    together = made(factors={"dataset": names, "depth": [0, 1]})
    conditions = grid.conditions(together)
    assert [c.label for c in conditions] == [f"dataset={n}, depth={d}" for n in names for d in (0, 1)]
    assert [c.data for c in conditions] == [DATA_SETS[n].facts for n in names for _ in (0, 1)]
    alone = [c for n in names for c in grid.conditions(made(dataset=n, factors={"depth": [0, 1]}))]
    assert [c.condition_id for c in conditions] == [c.condition_id for c in alone]
    ids = grid.all_run_ids(together)
    assert ids == [i for n in names for i in grid.all_run_ids(made(dataset=n, factors={"depth": [0, 1]}))]


def test_sizes_follow_from_each_data_set() -> None:
    both = grid.conditions(made(factors={"dataset": ["digits", "mnist1d"]}))
    assert [c.settings.train_size for c in both] == [1437, 4000]
    assert [c.settings.n_inputs(c.data) for c in both] == [64, 40]


@pytest.mark.parametrize(
    "factors",
    [
        {"dataset": ["digits", {"name": "mnist1d", "label": "signals"}]},
        {"zip": {"dataset": ["digits", "mnist1d"], "epochs": [1, 2]}},
        {"conditions": [{"label": "a", "dataset": "digits"}, {"label": "b", "dataset": "mnist1d", "epochs": 2}]},
    ],
)
def test_the_way_to_yaml_and_back_gives_the_same_runs(factors: dict[str, Any], tmp_path: Path) -> None:
    fixed = {"width": 8} | ({} if "epochs" in str(factors) else {"epochs": 1})
    experiment = made(factors=factors, fixed=fixed)
    (tmp_path / "spec.yaml").write_text(yaml_reader.dump(experiment, tmp_path))
    again = yaml_reader.read(tmp_path / "spec.yaml")
    assert grid.all_run_ids(again) == grid.all_run_ids(experiment)
    assert again.datasets == experiment.datasets
    assert again.factor_names == experiment.factor_names


def test_files_are_levels_by_their_names_and_share_what_is_stated_once(tmp_path: Path) -> None:
    one, other = of_files(tmp_path, one=ROWS, other=ROWS.replace("a\n", "c\n"))
    levels = [{"file": one["file"]}, {"file": other["file"], "test": 0.5}]
    experiment = made(dataset={"target": "kind", "test": 0.25}, factors={"dataset": levels})
    assert list(experiment.datasets) == ["one", "other"]
    assert [data.n_test for data in experiment.facts] == [10, 20]
    apart = made(factors={"dataset": [one | {"test": 0.25}, other | {"test": 0.5}]})
    assert grid.all_run_ids(apart) == grid.all_run_ids(experiment)
    (tmp_path / "spec.yaml").write_text(yaml_reader.dump(experiment, tmp_path))
    assert grid.all_run_ids(yaml_reader.read(tmp_path / "spec.yaml")) == grid.all_run_ids(experiment)


def test_one_file_with_two_targets_is_two_levels_where_one_has_a_label(tmp_path: Path) -> None:
    (file,) = of_files(tmp_path, one=ROWS)
    other = file | {"target": "y", "task": "classes"}
    with pytest.raises(
        InputError, match=r"data sets must differ in what they are called, got 'one' for two of them; name"
    ):
        made(factors={"dataset": [file, other]})
    experiment = made(factors={"dataset": [file, other | {"label": "one, of y"}]})
    assert list(experiment.datasets) == ["one", "one, of y"]
    assert len({data.fingerprint for data in experiment.facts}) == 2


@pytest.mark.parametrize("said", ["signals", "mnist1d"])
def test_claims_name_a_level_by_its_word_or_its_data_set(said: str) -> None:
    levels = ["digits", {"name": "mnist1d", "label": "signals"}]
    compare = {"metric": "test_accuracy", "a": {"dataset": said}, "b": {"dataset": "digits"}, "expect": "less"}
    experiment = made(
        factors={"dataset": levels}, claims=[{"id": "harder", "says": "Signals are harder.", "compare": compare}]
    )
    assert experiment.claims[0].as_written()["compare"]["a"] == {"dataset": "signals"}


def test_plans_know_each_data_set(tmp_path: Path) -> None:
    from mlpbench.experiment.plan import plan

    experiment = made(factors={"dataset": ["digits", "mnist1d"]})
    stacks = plan(grid.runs(experiment), workers=2, memory=2**33)
    assert {len({r.data.fingerprint for r in s.runs}) for s in stacks} == {1}
    assert {r.data.name for s in stacks for r in s.runs} == {"digits", "mnist1d"}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no-data-at-all", {"factors": {"depth": [0, 1]}}, "an experiment needs dataset, got none"),
    ("unknown", {"factors": {"dataset": ["digits", "mnst1d"]}}, r"got 'mnst1d'; did you mean 'mnist1d'\?"),
    ("twice", {"factors": {"dataset": ["digits", "digits"]}}, "the levels of a factor must differ, got 'digits' twice"),
    ("no-list", {"factors": {"dataset": "digits"}}, "the levels of factor dataset must be a list"),
    (
        "fixed",
        {"fixed": {"dataset": "digits"}},
        "dataset stands at the top of a file, or under factors where it varies",
    ),
    (
        "nuisance",
        {"dataset": "digits", "validation": 0.1, "nuisance": {"dataset": ["digits"]}},
        "dataset stands at the top of a file, or under factors",
    ),
    (
        "both",
        {"dataset": "digits", "factors": {"dataset": ["digits", "mnist1d"]}},
        "dataset must be left out, or hold the options that all share",
    ),
    (
        "two-roles",
        {"factors": {"dataset": ["digits"], "zip": {"dataset": ["mnist1d"]}}},
        "dataset has one role, but stands under",
    ),
    (
        "classes-and-numbers",
        {"factors": {"dataset": ["digits", "polynomial"]}},
        "must all have classes or all numbers as targets, got classes in digits and numbers in polynomial",
    ),
    ("label", {"factors": {"dataset": [{"name": "digits", "label": 3}]}}, "label must be words on one line, got 3"),
    (
        "too-large-for-one",
        {"factors": {"dataset": ["mnist1d", "digits"]}, "fixed": {"train_size": 2000}},
        "train_size must be at most 1437, what digits has",
    ),
    (
        "claim",
        {
            "factors": {"dataset": ["mnist1d", "digits"]},
            "claims": [
                {
                    "id": "a",
                    "says": "?",
                    "bound": {"metric": "test_accuracy", "where": {"dataset": "digit"}, "above": 0},
                }
            ],
        },
        r"names one of its levels \['mnist1d', 'digits'\], got 'digit'; did you mean 'digits'\?",
    ),
    (
        "options-of-none",
        {"dataset": {"test": 0.3}},
        r"a data set of your own is \{file: PATH, target: COLUMN\}, got",
    ),
]


@pytest.mark.parametrize(("keys", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_input_has_one_message(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        made(**keys)
    assert "\n" not in problem_text(raised.value)


def test_one_table_read_in_two_ways_is_no_sample_of_data_sets() -> None:
    names = [
        "iris",
        "wine",
        "penguins",
        "voting",
        "vehicle",
        "ionosphere",
        {"name": "iris", "test": 0.4, "label": "again"},
    ]
    compare = {"metric": "test_accuracy", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "greater"}
    claim = {"id": "a", "says": "?", "compare": compare}
    assert made(factors={"dataset": names, "depth": [0, 1]}, claims=[claim])
    with pytest.raises(InputError, match=r"must be different ones, got 'iris' and 'again', both iris\.csv"):
        made(factors={"dataset": names, "depth": [0, 1]}, claims=[claim | {"unit": "dataset"}])


@pytest.mark.parametrize("metric", ["test_rmse", "test_mae", "test_loss"])
def test_errors_in_different_units_are_not_put_together(metric: str) -> None:
    """Miles per gallon and dollars have no mean; r squared and logarithms of errors have."""
    factors = {"dataset": ["auto_mpg", "car_prices"], "depth": [0, 1]}

    def claims(name: str, **where: str) -> list[dict[str, Any]]:
        a, b = ({"depth": depth, **where} for depth in (1, 0))
        return [{"id": "a", "says": "?", "compare": {"metric": name, "a": a, "b": b, "expect": "less"}}]

    with pytest.raises(InputError, match="is in the unit of each target, which auto_mpg"):
        made(factors=factors, claims=claims(metric))
    for name, where in (("test_r2", {}), (f"log10_{metric}", {}), (metric, {"dataset": "auto_mpg"})):
        assert made(factors=factors, claims=claims(name, **where))


LOSSES = ["cross_entropy", "squared_error"]


@pytest.mark.parametrize(
    "metric", ["test_loss", "late_train_loss", "gap_loss", "log10_test_loss", "steps_to_train_loss_0.5"]
)
def test_losses_of_different_kinds_are_not_put_together(metric: str) -> None:
    """Half a squared distance is not below a cross-entropy, whatever the numbers: one loss, or what both are judged by."""

    def claims(name: str, a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"id": "a", "says": "?", "compare": {"metric": name, "a": a, "b": b, "expect": "less"}}]

    message = "is of the loss that a run is trained with, and .* have no common scale, got .* 'test_accuracy', or one"
    across = claims(metric, {"loss": LOSSES[0]}, {"loss": LOSSES[1]})
    averaged = claims(metric, {"depth": 1}, {"depth": 0})
    for wrong in (across, averaged):
        with pytest.raises(InputError, match=message):
            made(dataset="digits", factors={"loss": LOSSES, "depth": [0, 1]}, claims=wrong)
    of_one = claims(metric, *({"loss": LOSSES[1], "depth": depth} for depth in (1, 0)))
    assert made(dataset="digits", factors={"loss": LOSSES, "depth": [0, 1]}, claims=of_one)
    # Two ways to compute one loss.
    assert made(
        dataset="digits", factors={"loss": ["cross_entropy", "naive_cross_entropy"], "depth": [0, 1]}, claims=averaged
    )
    assert made(
        dataset="digits",
        factors={"loss": LOSSES, "depth": [0, 1]},
        claims=claims("test_accuracy", {"depth": 1}, {"depth": 0}),
    )
