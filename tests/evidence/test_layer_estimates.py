"""Estimates from layers: geometric means with intervals, products of gains, and what happens where a number is 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_layers import layer_rows, reads
from arithmetic_tables import Tables, make, spec
from scipy import stats

from mlpbench.evidence.estimates import layer_estimates, run_endings
from mlpbench.evidence.estimates.excerpt import MOST_DOTS
from mlpbench.evidence.estimates.observe import observe

DEEP = {"factors": {"activation": ["relu", "tanh"], "depth": [2, 5, 10]}, "replicates": 4}


def rows_of(tables: Tables, layers: pd.DataFrame, **options: bool) -> pd.DataFrame:
    seen = observe(tables.experiment, tables.conditions, tables.runs)
    columns = ["act_mean", "act_var", "grad_norm", "forward_gain", "backward_gain", "weight_quantiles"]
    return layer_estimates.measured(seen, tables.conditions, reads(layers), columns, **options)


def test_signals_are_geometric_means_with_t_intervals_of_logarithms() -> None:
    made = make(spec(**DEEP))
    layers = layer_rows(made)
    found = layer_estimates.signals(rows_of(made, layers))
    assert set(found["when"]) == {"start", "end"}
    ids = observe(made.experiment, made.conditions, made.runs).query("position == 1")["run_id"]
    raw = layers[layers["run_id"].isin(list(ids)) & (layers["step"] == 0) & (layers["layer"] == 3)]
    for measure, column in (("activation variance", "act_var"), ("gradient norm", "grad_norm")):
        (row,) = found[
            (found["position"] == 1)
            & (found["when"] == "start")
            & (found["measure"] == measure)
            & (found["layer"] == 3)
        ].to_dict("records")
        logs = np.log(raw[column].to_numpy(dtype=float))
        low, high = stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs))
        assert (row["n"], row["zeros"]) == (4, 0)
        assert [row["mean"], row["low"], row["high"]] == pytest.approx(np.exp([logs.mean(), low, high]), rel=1e-9)
    variance = found[(found["position"] == 0) & (found["measure"] == "activation variance")]
    assert sorted(set(variance["layer"])) == [1, 2], "hidden layers"
    assert sorted(set(found[found["position"] == 0]["layer"])) == [1, 2, 3], "gradients of the outputs' layer too"


def test_gains_are_products_over_hidden_layers() -> None:
    made = make(spec(**DEEP))
    layers = layer_rows(made, spread=0.0)
    found = layer_estimates.gains(rows_of(made, layers))
    for (position, measure), row in found.groupby(["position", "measure"]):
        condition = made.conditions[int(str(position))]
        gain = {"relu": 0.5, "tanh": 0.9}[condition.settings.activation]
        assert list(row["mean"]) == pytest.approx([gain**condition.settings.depth] * 2), measure


def test_a_gain_of_zero_or_none_makes_the_product_zero_and_the_mean_missing() -> None:
    """Behind a layer of zeros 0 / 0 is stored as null; a mean over the other replicates would be of the luckier ones."""
    made = make(spec(**DEEP))

    def dead(row: dict[str, object]) -> dict[str, object]:
        gone = row["replicate"] == 2 and row["layer"] == 2
        return {"forward_gain": 0.0, "backward_gain": None, "act_var": 0.0} if gone else {}

    rows = rows_of(made, layer_rows(made, dead))
    gains = layer_estimates.gains(rows)
    assert (gains["zeros"] == 1).all()
    assert gains[["mean", "low", "high"]].isna().all(axis=None)
    signals = layer_estimates.signals(rows).query(
        "position == 1 and when == 'start' and measure == 'activation variance'"
    )
    assert signals["mean"].isna().tolist() == [False, True, False, False, False]


def test_diverged_runs_count_at_the_start_and_not_at_the_end() -> None:
    made = make(spec(**DEEP), status={(0, 1): "diverged", (0, 2): "failed"})
    found = layer_estimates.signals(rows_of(made, layer_rows(made))).query("position == 0 and layer == 1")
    n = found.groupby("when")["n"].first()
    assert (n["start"], n["end"]) == (3, 2)


def test_the_end_is_there_only_where_it_was_measured() -> None:
    made = make(spec(**DEEP, probes=[0, 1, 2]))
    layers = layer_rows(made)
    assert set(layer_estimates.at_start_and_end(rows_of(made, layers, ends=False))["when"]) == {"start"}
    untrained = make(spec(fixed={"epochs": 0}, factors={"depth": [2, 3, 4]}, replicates=2))
    assert set(layer_estimates.signals(rows_of(untrained, layer_rows(untrained)))["when"]) == {"start"}


def test_rows_in_any_order_give_the_same_bits() -> None:
    made = make(spec(**DEEP, probes=[0, 1, "end"]))
    layers = layer_rows(made)
    one, other = (rows_of(made, rows) for rows in (layers, layers.sample(frac=1, random_state=2)))
    for make_frame in (layer_estimates.signals, layer_estimates.gains, layer_estimates.over_steps):
        pd.testing.assert_frame_equal(make_frame(one), make_frame(other), check_exact=True)


def test_no_more_replicates_are_read_than_have_dots() -> None:
    made = make(spec(factors={"init": ["he_normal"]}, fixed={"depth": 2}, replicates=MOST_DOTS + 30))
    assert rows_of(made, layer_rows(made))["replicate"].max() == MOST_DOTS - 1


def test_the_scale_is_the_root_mean_square_averaged_in_logarithms_within_the_replicate() -> None:
    made = make(spec(factors={"lr": [0.1, 0.2], "width": [8, 16, 32]}, replicates=3, probes=[0, 1, "end"]))

    def scaled(row: dict[str, object]) -> dict[str, object]:
        condition = row["condition"]
        width, lr = condition.levels["width"], condition.levels["lr"]  # type: ignore[attr-defined]
        return {"act_mean": 3.0 * width, "act_var": 16.0 * width**2 * (1 if lr == 0.1 else 16)}

    rows = rows_of(made, layer_rows(made, scaled))
    found = layer_estimates.scales(rows, dict.fromkeys(range(6), ""))
    both = np.sqrt(5 * np.sqrt(9 + 256))
    assert found["mean"].tolist() == pytest.approx(np.repeat([8, 16, 32], 3) * both)
    apart = layer_estimates.scales(rows, {i: f"lr={c.levels['lr']}" for i, c in enumerate(made.conditions)})
    assert apart[apart["group"] == "lr=0.1"]["mean"].tolist() == pytest.approx(np.repeat([8, 16, 32], 3) * 5)


def test_a_level_that_fails_at_some_width_is_in_the_mean_of_no_width() -> None:
    """Or the mean at one width would be over other levels than at the next: here the scale is the same at each, of any rate."""
    made = make(spec(factors={"lr": [0.1, 1.0, 9.0], "width": [8, 16, 32]}, replicates=3, probes=[0, 1, "end"]))

    def scaled(row: dict[str, object]) -> dict[str, object]:
        condition = row["condition"]
        levels = condition.levels  # type: ignore[attr-defined]
        dead = levels["lr"] == 1.0 and levels["width"] == 16 and row["replicate"] == 2 and row["epoch"]
        return {"act_mean": 0.0 if dead else levels["lr"], "act_var": 0.0}

    rows = rows_of(made, layer_rows(made, scaled))
    levels = {i: f"lr={c.levels['lr']}" for i, c in enumerate(made.conditions)}
    fails = (rows["position"].map(levels) == "lr=9.0") & (rows["width"] == 32) & (rows["replicate"] == 0)
    rows.loc[fails, "status"] = "diverged"
    groups = dict.fromkeys(range(9), "")
    assert layer_estimates.uneven(rows, groups, levels) == [("", "lr=1.0"), ("", "lr=9.0")]
    assert layer_estimates.scales(rows, groups, levels)["mean"].tolist() == pytest.approx([0.1] * 9)
    assert layer_estimates.uneven(rows[rows["position"].map(levels) == "lr=9.0"], groups, levels) == []


def test_dead_shares_are_of_the_hidden_units_and_stay_between_0_and_1() -> None:
    made = make(spec(factors={"depth": [0, 2], "width": [10]}, fixed={}, replicates=4))
    runs = made.runs.assign(dead_units=[0.0, 0, 0, 0, 20, 20, 20, 10])
    found, points = run_endings.dead_shares(observe(made.experiment, made.conditions, runs), made.conditions)
    (row,) = found.to_dict("records")
    assert (row["position"], row["mean"], row["high"]) == (1, 0.875, 1.0)
    assert row["low"] == pytest.approx(0.875 - stats.t.ppf(0.975, 3) * 0.25 / 2)
    assert points["value"].tolist() == [1, 1, 1, 0.5]


def test_channels_of_convolutions_are_hidden_units_and_their_layers_hidden_layers() -> None:
    made = make(spec(factors={"conv_channels": [[], [3, 2]]}, fixed={"hidden_sizes": [5]}, replicates=2))
    seen = observe(made.experiment, made.conditions, made.runs.assign(dead_units=[5.0, 5, 10, 5]))
    found, _ = run_endings.dead_shares(seen, made.conditions)
    assert found["mean"].tolist() == [1.0, 0.75]
    rows = layer_estimates.measured(seen, made.conditions, reads(layer_rows(made)), ["act_var", "grad_norm"])
    assert rows.groupby("position")["depth"].unique().map(list).tolist() == [[1], [3]]
    last = layer_estimates.over_steps(rows)
    assert set(last.loc[last["which"] == layer_estimates.LAST, "position"]) == {1}


def test_divergence_is_counted_over_the_two_factors_that_divide_it_most() -> None:
    factors = {"dropout": [0.0, 0.1], "init": ["zeros", "he_normal"], "lr": [3.0, 0.1, 1.0]}
    made = make(spec(factors=factors, replicates=2))
    wild = {i for i, c in enumerate(made.conditions) if c.levels["lr"] == 3.0 and c.levels["init"] == "he_normal"}
    made = make(made.experiment, status={(i, r): "diverged" for i in wild for r in range(2)} | {(0, 1): "failed"})
    seen = observe(made.experiment, made.conditions, made.runs)
    cells, names = run_endings.divergence(seen, made.conditions, list(factors))
    assert names == ["lr", "init"]
    assert cells.values.tolist() == [
        ["0.1", "zeros", 0, 4], ["1", "zeros", 0, 4], ["3", "zeros", 0, 3],
        ["0.1", "he_normal", 0, 4], ["1", "he_normal", 0, 4], ["3", "he_normal", 4, 4],
    ]  # fmt: skip


def test_densities_integrate_to_one_and_equal_quantiles_are_atoms() -> None:
    quantiles = np.sort(np.random.default_rng(0).normal(size=21))
    heights, atoms = layer_estimates.weight_density(quantiles)
    assert (heights * np.diff(quantiles)).sum() == pytest.approx(1)
    assert atoms == []
    quantiles[5:11] = 0.0
    heights, atoms = layer_estimates.weight_density(np.sort(quantiles))
    assert np.array(atoms) == pytest.approx(np.array([[0.0, 0.25]]))
    assert (heights * np.diff(np.sort(quantiles))).sum() == pytest.approx(0.75)
    heights, atoms = layer_estimates.weight_density(np.full(21, 0.5))
    assert not heights.any()
    assert np.array(atoms) == pytest.approx(np.array([[0.5, 1.0]]))


def test_distributions_are_of_first_middle_and_last_layer() -> None:
    made = make(spec(**DEEP))
    found = layer_estimates.weight_distributions(rows_of(made, layer_rows(made)).query("replicate == 0"))
    of = found[(found["position"] == 1) & (found["when"] == "start")]
    assert dict(zip(of["which"], of["layer"], strict=True)) == {"first layer": 1, "middle layer": 3, "last layer": 6}
    assert of["quantiles"].iloc[2][-1] == 6.0
    some = found[found["layer"] <= 3]
    assert layer_estimates.axis_scale(some[some["when"] == "start"]) == 0.0
    longer: list[Any] = [np.concatenate([q[:-1], [30 * q[-1]]]) for q in some["quantiles"]]
    long = some.assign(quantiles=longer)
    assert layer_estimates.axis_scale(long[long["when"] == "start"]) > 0, "tails far beyond the centre"
    wide = found.assign(quantiles=[q * 10**i for i, q in enumerate(found["quantiles"])])
    narrow = wide[wide["when"] == "start"]["quantiles"].iloc[0]
    assert layer_estimates.axis_scale(wide) == pytest.approx((narrow[-2] - narrow[1]) / 2)
