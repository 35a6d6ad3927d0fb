"""Metrics that are worked out of tables, against pandas on the tables of a real training; what is read, and when."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import judged_table, make, replace_metric, spec
from scipy import stats

import mlpbench
from mlpbench.evidence.estimates.layer_estimates import at_layer
from mlpbench.evidence.estimates.observe import measure, observe
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.metrics import metric_names
from mlpbench.experiment.metrics.metric import WEIGHT_QUANTILES
from mlpbench.jobs.judge import Outcome, finish
from mlpbench.report.verdict_tables import terminal_table
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

DEEP, FLAT, WILD = "deep", "flat", "wild"
TREE: dict[str, Any] = {
    "name": "probed",
    "question": "What do layers do?",
    "dataset": "fashion_mnist",
    "fixed": {"train_size": 100, "batch_size": 32, "epochs": 3, "init": "he_normal"},
    "factors": {
        "conditions": [
            {"label": DEEP, "hidden_sizes": [7, 5, 6], "lr": 0.1},
            {"label": FLAT, "hidden_sizes": [], "lr": 0.1},
            {"label": WILD, "hidden_sizes": [5], "lr": 1e30},
        ]
    },
    "probes": ["start", 1.6, "end"],
    "replicates": 3,
}
START, MIDDLE, END = 0, 6, 12  # 1.6 epochs of 4 steps are 6.4 steps


def bound(name: str, where: str = DEEP, **keys: Any) -> dict[str, Any]:
    form = {"metric": name, "where": {"label": where}, "above": 0.0} | keys
    return {"id": "".join(c if c.isalnum() else "_" for c in f"{name}_{where}"), "says": "It is.", "bound": form}


# A claim, the metric, the layers by number, the step, and how layers are put together.
CASES: list[tuple[str, str, list[int], int, Any]] = [
    ("grad_norm[1]", "grad_norm", [1], END, np.sum),
    ("grad_norm[3,start]", "grad_norm", [3], START, np.sum),
    ("act_var[first, 1.6]", "act_var", [1], MIDDLE, np.sum),
    ("act_zero[last,end]", "act_zero", [3], END, np.sum),
    ("act_mean[out]", "act_mean", [4], END, np.sum),
    ("update_ratio[4,1.6]", "update_ratio", [4], MIDDLE, np.sum),
    ("act_saturated[mean,start]", "act_saturated", [1, 2, 3], START, np.mean),
    ("grad_norm[mean]", "grad_norm", [1, 2, 3], END, np.mean),
    ("forward_gain[all,start]", "forward_gain", [1, 2, 3], START, np.prod),
    ("backward_gain[all]", "backward_gain", [1, 2, 3], END, np.prod),
]


def run(tree: dict[str, Any], results: Path) -> Outcome:
    return mlpbench.run(tree, results=results, device="cpu", workers=1, report=False)


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("probed")
    run(TREE, results)
    return results


def judged(results: Path, *claims: dict[str, Any]) -> pd.DataFrame:
    """Return the verdicts over the runs that are there."""
    experiment = yaml_reader.from_mapping(TREE | {"claims": list(claims)})
    return finish(experiment, Store(results / "probed"), report=False).claims


def runs_of(results: Path, condition: int) -> pd.DataFrame:
    """Return the rows of a condition of `TREE` in the order of replicates."""
    runs = pd.read_parquet(results / "probed" / "runs")
    made = grid.conditions(yaml_reader.from_mapping(TREE))
    return runs[runs["condition_id"] == made[condition].condition_id].sort_values("replicate")


def by_hand(results: Path, metric: str, layers: list[int], step: int, together: Any) -> list[float]:
    """Return the metric of the deep condition in each replicate, read off the table row by row."""
    rows = pd.read_parquet(results / "probed" / "layers").set_index(["run_id", "step", "layer"])[metric]
    return [
        float(together([rows[run_id, step, layer] for layer in layers])) for run_id in runs_of(results, 0)["run_id"]
    ]


def test_layer_metrics_are_those_of_the_table(probed: Path) -> None:
    found = judged(probed, *(bound(name) for name, *_ in CASES))
    for row, (name, metric, layers, step, together) in zip(found.to_dict("records"), CASES, strict=True):
        values = by_hand(probed, metric, layers, step, together)
        assert np.isfinite(values).all()
        assert row["metric"] == name.replace(" ", "")
        assert row["n"] == 3
        assert row["estimate"] == pytest.approx(np.mean(values), rel=1e-12), name
        assert row["sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-9), name


def test_the_first_the_last_and_the_outputs_of_a_linear_model_are_its_only_layer(probed: Path) -> None:
    names = ["grad_norm[1]", "grad_norm[first]", "grad_norm[last]", "grad_norm[out]"]
    found = judged(probed, *(bound(name, FLAT) for name in names))
    assert found["estimate"].nunique() == 1
    assert (found["n"] == 3).all()


def test_the_whole_forward_gain_is_that_of_the_last_hidden_layer_over_the_input() -> None:
    """rms(a_3) / rms(x) is the product of rms(a_l) / rms(a_l-1): the table of a run made by hand."""
    rms = [2.0, 3.0, 0.5, 0.25, 7.0]  # input, three hidden layers, outputs
    rows = pd.DataFrame({"run_id": "a", "epoch": 1.0, "step": 4, "layer": range(1, 5), "steps": 4})
    rows["forward_gain"] = [b / a for a, b in itertools.pairwise(rms)]
    assert at_layer(rows, metric_names.of_layer("forward_gain[all]")).to_dict() == {"a": pytest.approx(0.25 / 2.0)}
    lacking = rows.assign(forward_gain=rows["forward_gain"].where(rows["layer"] != 2))
    assert at_layer(lacking, metric_names.of_layer("forward_gain[all]")).empty


def test_a_diverged_run_has_no_layers_and_is_left_out_as_diverged(probed: Path) -> None:
    (row,) = judged(probed, bound("grad_norm[1,start]", WILD)).to_dict("records")
    layers = pd.read_parquet(probed / "probed" / "layers")
    assert set(runs_of(probed, 2)["run_id"]) & set(layers["run_id"]), "it was measured at the start"
    assert row["n"] == 0
    assert "3 of 3 replicates diverged in wild." in row["note"]


def test_layers_are_read_where_a_claim_is_about_them_and_of_its_runs_alone(
    probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, set[str], set[str]]] = []
    original = Store.read

    def spy(self: Store, table: str, run_ids: Any = None, columns: Any = None, **more: Any) -> pd.DataFrame:
        read.append((table, set(run_ids or ()), set(columns or ())))
        return original(self, table, run_ids, columns, **more)

    monkeypatch.setattr(Store, "read", spy)
    judged(probed, bound("test_loss"))
    assert {table for table, *_ in read} == {"runs"}
    read.clear()
    judged(probed, bound("grad_norm[1]"), bound("log10_act_var[2,start]"))
    ((_, ids, columns),) = [r for r in read if r[0] == "layers"]
    assert ids == set(runs_of(probed, 0)["run_id"])
    assert columns == {"run_id", "epoch", "step", "layer", "grad_norm", "act_var"}


@pytest.mark.slow
def test_a_report_a_load_and_a_top_up_have_the_same_numbers(probed: Path, tmp_path: Path) -> None:
    claims = [bound("log10_forward_gain[all,start]"), bound("grad_norm[1]", below=0.0, above=None)]
    claims[1]["bound"].pop("above")
    more: dict[str, Any] = {"claims": claims, "until_decided": {"max_replicates": 4}}
    topped = mlpbench.run(TREE | more, results=tmp_path, device="cpu", workers=1)
    loaded = mlpbench.load(tmp_path / "probed").claims
    pd.testing.assert_frame_equal(topped.claims, loaded)
    text = (tmp_path / "probed" / "report.md").read_text()
    assert "log10 units" in text
    assert "`log10_forward_gain[all,start] at label=deep: above 0 in the mean`" in text
    assert "log10 units" in terminal_table(topped.context.verdicts)
    assert (loaded["look"] >= 1).all()


@pytest.mark.parametrize("of", ["loss", "accuracy"])
def test_steps_and_epochs_until_a_loss_or_an_accuracy_are_those_of_the_curves(probed: Path, of: str) -> None:
    curves = pd.read_parquet(probed / "probed" / "curves")
    deep = runs_of(probed, 0)["run_id"]
    train = curves[(curves["split"] == "train") & curves["run_id"].isin(deep)].sort_values("step")
    best = train.groupby("run_id")[of].min() if of == "loss" else train.groupby("run_id")[of].max()
    # One replicate just reaches it: the others do so at the same time, earlier, or not at all.
    threshold = float(f"{best.median():.3f}") + (1e-3 if of == "loss" else -1e-3)
    name = f"{of}_{threshold:.4f}"
    reached = train[
        train["loss"] <= float(f"{threshold:.4f}") if of == "loss" else train["accuracy"] >= float(f"{threshold:.4f}")
    ]
    first = reached.groupby("run_id")[["step", "epoch"]].first().reindex(deep)
    assert first["step"].notna().any()
    experiment = yaml_reader.from_mapping(TREE)
    observed = observe(experiment, grid.conditions(experiment), pd.read_parquet(probed / "probed" / "runs"))
    for unit, column in (("steps", "step"), ("epochs", "epoch")):
        found = measure(observed, curves, f"{unit}_to_train_{name}").iloc[:3]
        np.testing.assert_array_equal(found["value"], first[column])
        np.testing.assert_array_equal(found["censored"], first[column].isna())
        logs = measure(observed, curves, f"log10_{unit}_to_train_{name}").iloc[:3]
        np.testing.assert_allclose(logs["value"], np.log10(first[column]))
        np.testing.assert_array_equal(logs["censored"], found["censored"])


def test_what_is_short_of_an_accuracy_is_told_in_its_words(probed: Path) -> None:
    never, steps = judged(probed, bound("epochs_to_train_accuracy_1"), bound("steps_to_train_loss_0.0001")).to_dict(
        "records"
    )
    assert never["n"] == 0
    assert "3 of 3 replicates short of the accuracy in deep. How many epochs those need is not known" in never["note"]
    assert "Epochs are counted up to the first point of the curve that reaches the accuracy" in never["note"]
    assert "short of the loss in deep. How many steps those need" in steps["note"]


def test_a_logarithm_is_of_positive_numbers_and_leaves_others_out() -> None:
    claim = {"id": "c", "says": "c", "bound": {"metric": "log10_gap_loss", "above": -1}}
    made = make(spec(replicates=4, claims=[claim]))
    made = replace_metric(made, "gap_loss", {(0, 0): 0.1, (0, 1): 1.0, (0, 2): -0.5, (0, 3): 0.0})
    (row,) = judged_table(*made.parts).to_dict("records")
    assert row["n"] == 2
    assert row["estimate"] == pytest.approx(-0.5)
    assert "2 of 4 replicates without log10_gap_loss" in row["note"]
    assert "Only positive numbers have a logarithm" in row["note"]


def test_a_logarithm_of_an_accuracy_is_credited_with_the_spread_of_one_example() -> None:
    """d log10(x) = dx / (x ln 10): one of 10,000 test images at an accuracy of 0.8, where all replicates are equal."""
    claim = {"id": "c", "says": "c", "bound": {"metric": "log10_test_accuracy", "above": -1}}
    made = make(spec(replicates=3, claims=[claim]))
    made = replace_metric(made, "test_accuracy", {(0, r): 0.8 for r in range(3)})
    (row,) = judged_table(*made.parts).to_dict("records")
    assert row["sd"] == 0
    least = 1e-4 / (0.8 * math.log(10))
    assert row["high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.975, 2) * least / math.sqrt(3), rel=1e-9)
    assert f"the t test takes a standard deviation of {least:.2g}" in row["note"]


def test_claims_on_layers_without_their_table_are_refused() -> None:
    made = make(spec(replicates=3, claims=[{"id": "c", "says": "c", "bound": {"metric": "grad_norm[1]", "above": 0}}]))
    with pytest.raises(ValueError, match="claims on layers need the table of layers"):
        judged_table(*made.parts)


def test_layer_names_are_those_of_the_table() -> None:
    assert set(metric_names.LAYER_METRICS) | {"run_id", "epoch", "step", "layer", WEIGHT_QUANTILES} == set(
        SCHEMAS["layers"].names
    )
