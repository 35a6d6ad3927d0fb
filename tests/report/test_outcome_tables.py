"""Tables for people: the numbers of a folder's tables, in the units of the report, with the factors joined."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from arithmetic_tables import FIXED, Tables, make, spec, width_tables
from plugin_sources import TWINS, plugin_of
from reports import context_of

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.evidence.judging.verdict import claims_table
from mlpbench.experiment import grid
from mlpbench.report.notebook.outcome_tables import tidy_curves, tidy_runs, verdict_table
from mlpbench.report.words import estimate_cell

TWO = {"width": [64, 8], "activation": ["tanh", "relu"]}


@pytest.fixture(scope="module")
def two() -> Tables:
    """Two factors, one of words, with runs that diverged, failed and are missing."""
    return make(spec(factors=TWO, replicates=3), status={(0, 1): "diverged", (1, 0): "failed", (3, 2): "missing"})


def test_verdicts_are_the_claims_in_the_unit_that_reports_print() -> None:
    context = context_of(width_tables())
    shown, claims = verdict_table(context.verdicts), claims_table(context.verdicts)
    assert shown["claim"].tolist() == claims["id"].tolist()
    for (_, row), (_, claim), verdict in zip(shown.iterrows(), claims.iterrows(), context.verdicts, strict=True):
        factor = verdict.hypothesis.quantity.factor
        for name in ("estimate", "low", "high"):
            same = row[name] == factor * claim[name] or (math.isnan(row[name]) and not math.isfinite(claim[name]))
            assert same, (claim["id"], name)
        if verdict.hypothesis.quantity.unit:
            assert row["unit"]
            assert row["unit"] in estimate_cell(verdict)
        assert (row["verdict"], row["n"]) == (claim["verdict"], claim["n"])
        assert row["p"] == claim["p_holm"] or math.isnan(claim["p_holm"])
    assert {"pp"} < set(shown["unit"])


def test_no_claims_are_a_table_without_rows() -> None:
    empty = verdict_table([])
    assert len(empty) == 0
    assert "verdict" in empty


def test_each_run_has_its_levels_and_its_metrics(two: Tables) -> None:
    tidy = tidy_runs(two.experiment, two.runs)
    assert len(tidy) == len(two.runs) == 11
    stored = {row["run_id"]: row for row in two.runs.to_dict("records")}
    for row in tidy.to_dict("records"):
        run = stored[row["run_id"]]
        assert [row[n] for n in ("width", "activation", "replicate")] == [
            run[n] for n in ("width", "activation", "replicate")
        ]
        assert row["condition"] == f"width={run['width']}, activation={run['activation']}"
        assert row["test_accuracy"] == run["test_accuracy"] or math.isnan(run["test_accuracy"])


def test_rows_stand_in_the_order_of_the_grid_whatever_that_of_the_folder(two: Tables) -> None:
    shuffled = two.runs.sample(frac=1, random_state=0)
    tidy = tidy_runs(two.experiment, shuffled)
    order = {run.run_id: i for i, run in enumerate(grid.runs(two.experiment))}
    assert [order[str(i)] for i in tidy["run_id"]] == sorted(order[str(i)] for i in two.runs["run_id"])
    pd.testing.assert_frame_equal(tidy, tidy_runs(two.experiment, two.runs))


def test_columns_begin_with_what_was_asked_and_end_with_what_it_cost(two: Tables) -> None:
    columns = tidy_runs(two.experiment, two.runs).columns.tolist()
    assert columns[:7] == ["condition", "width", "activation", "replicate", "status", "test_accuracy", "test_loss"]
    assert columns[-3:] == ["train_seconds", "flops", "run_id"]
    assert not {"lr", "env_cpu", "fold", "diverged", "position"} & set(columns)


def test_points_of_curves_have_the_levels_of_their_run(two: Tables) -> None:
    tidy = tidy_curves(two.experiment, two.runs, two.curves)
    assert tidy.columns.tolist() == [
        "condition", "width", "activation", "replicate", "split", "epoch", "step", "loss", "accuracy", "run_id",
    ]  # fmt: skip
    assert len(tidy) == len(two.curves)
    ends = tidy[(tidy["split"] == "test") & (tidy["epoch"] == FIXED["epochs"])].set_index("run_id")["accuracy"]
    done = two.runs[two.runs["status"] == "ok"].set_index("run_id")["test_accuracy"]
    assert ends.sort_index().to_dict() == done.sort_index().to_dict()
    levels = two.runs.set_index("run_id")["width"]
    assert (tidy["width"] == tidy["run_id"].map(levels)).all()


@pytest.mark.parametrize(
    ("factors", "columns"),
    [
        ({"dropout": [0, [0.1]]}, {"dropout": [0, "(0.1)"]}),
        (
            {"conditions": [{"label": "a", "width": 8}, {"label": "b", "lr": 0.2}]},
            {"width": [8, None], "lr": [None, 0.2]},
        ),
        ({"zip": {"width": [8, 16], "lr": [0.1, 0.2]}}, {"width": [8, 16], "lr": [0.1, 0.2]}),
    ],
)
def test_levels_are_numbers_or_words(factors: dict[str, Any], columns: dict[str, list[Any]]) -> None:
    made = make(spec(factors=factors, replicates=2))
    tidy = tidy_runs(made.experiment, made.runs)
    assert "label" not in tidy
    for name, levels in columns.items():
        found = [None if v is None or v != v else v for v in tidy[name].tolist()]
        assert found == [level for level in levels for _ in range(2)]


def test_conditions_that_are_tuned_have_their_label_beside_the_levels() -> None:
    """`condition` is then "base, lr=0.1": what claims name is `label`."""
    ablate = {"base": {"dropout": 0.2, "norm": "layer"}, "remove": {"dropout": 0, "norm": "none"}}
    made = make(spec(fixed={"epochs": 2}, ablate=ablate, nuisance={"lr": [0.1, 0.2]}, validation=0.2, replicates=2))
    tidy = tidy_runs(made.experiment, made.runs)
    assert tidy.columns.tolist()[:2] == ["condition", "label"]
    labels = ("base", "without dropout", "without norm", "without all")
    assert tidy.groupby("label").size().to_dict() == dict.fromkeys(labels, 4)
    assert all(row["condition"].startswith(f"{row['label']}, lr=") for row in tidy.to_dict("records"))


def test_metrics_of_plugins_are_columns_by_the_names_that_files_give_them() -> None:
    plugin = plugin_of(TWINS)
    hits, other = (next(p.name for p in plugin.pieces if p.called == c) for c in ("own_accuracy", "own_log_loss"))
    made = make(spec(factors={"width": [8, 16]}, replicates=2))
    experiment = made.experiment.model_copy(update={"plugins": (plugin,)})
    stored = [[(f"test_{hits}", 0.1 * i), (f"val_{hits}", None), (f"test_{other[:-1]}0", 9.0)] for i in range(4)]
    column: list[Any] = [*stored[:3], None]
    tidy = tidy_runs(experiment, made.runs.assign(own_metrics=column))
    found = dict(zip(tidy["run_id"], tidy["test_own_accuracy"], strict=True))
    for run_id, numbers in zip(made.runs["run_id"], stored[:3], strict=False):
        assert found[run_id] == numbers[0][1]
    assert math.isnan(found[made.runs["run_id"].iloc[3]])
    # Nothing of what no run has, nor of what another code has measured.
    assert not {"val_own_accuracy", "test_own_log_loss"} & set(tidy)


def test_another_table_is_refused_with_those_there_are(tmp_path: Any) -> None:
    outcome = mlpbench.run(
        {"name": "t", "question": "q?", "dataset": "linear", "fixed": {"depth": 0, "epochs": 0}, "replicates": 1},
        results=tmp_path, executor="inline", report=False,
    )  # fmt: skip
    assert len(outcome.tidy()) == 1
    assert "accuracy" not in outcome.tidy("curves")
    with pytest.raises(InputError, match="unknown table 'run'; did you mean 'runs'"):
        outcome.tidy("run")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="curves need a run that was trained"):
        outcome.plot.curves()
