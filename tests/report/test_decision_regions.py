"""Decision regions: points and crosses are what is stored, shades what networks in NumPy say, which are those of torch."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from arithmetic_tables import Tables, make, spec
from reports import context_of, picture, report_of, section_failures

from mlpbench.base.files import ordered_header
from mlpbench.data.dataset import Dataset
from mlpbench.experiment.grid import Run, runs_of
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.topics import decision_regions
from mlpbench.report.topics.decision_regions import region_colours
from mlpbench.results.examples import TestSet
from mlpbench.results.stored_network import StoredNetwork, decoded_network

# Two columns of a table of the package, and the line between classes that a made network draws.
TWO: dict[str, Any] = {"name": "iris", "columns": ["petal_length", "petal_width"]}
FIXED: dict[str, Any] = {"epochs": 1}


class Made:
    """Runs that misclassify chosen numbers of test points, with networks or without."""

    def __init__(self, wrong: Any, *, weights: bool = True, dataset: Any = None, **keys: Any) -> None:
        experiment = spec(dataset=dataset or TWO, **({"fixed": FIXED, "replicates": 3} | keys))
        made = make(experiment)
        (source,) = experiment.sources
        self.data: Dataset = source.load()
        self.weights, self.predicted, accuracy = weights, dict[str, Any](), dict[str, float]()
        for i, condition in enumerate(made.conditions):
            for run in runs_of(experiment, condition, range(experiment.replicates)):
                classes = self.data.y_test.copy()
                n = wrong(i, run.replicate)
                classes[:n] = (classes[:n] + 1) % 3
                self.predicted[run.run_id] = classes
                accuracy[run.run_id] = float((classes == self.data.y_test).mean())
        self.tables = replace(made, runs=made.runs.assign(test_accuracy=made.runs["run_id"].map(accuracy)))
        self.test_set = TestSet(
            predictions=lambda ids: pd.DataFrame(
                {"run_id": list(ids), "predicted": [self.predicted[i].tobytes() for i in ids]}
            ),
            labels=lambda _data: None,
            arrays=lambda _data, _seed, _replicate: self.data,
            network=self.network,
        )

    def network(self, run_id: str) -> StoredNetwork | None:
        """Return a network that predicts the first class where the first input is below a number, else the second."""
        if not self.weights:
            return None
        replicates: Any = self.tables.runs.set_index("run_id")["replicate"]
        at = int(replicates[run_id]) / 10
        arrays = {
            "layers.0.weight": np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]),
            "layers.0.bias": np.array([at, -at, -99.0]),
        }
        return StoredNetwork(settings={"activation": "relu", "hidden_sizes": [], "norm": "none"}, arrays=arrays)

    @property
    def context(self) -> Context:
        return context_of(self.tables, test_set=self.test_set)


def test_points_are_the_test_examples_and_crosses_the_misclassified_ones() -> None:
    made = Made(lambda i, r: 2 + 5 * i + r, factors={"width": [4, 8]})
    found = decision_regions.section(made.context)
    assert found is not None
    n = len(made.data.y_test)
    assert f"The first replicate of 4 misclassifies 2 of {n} test points, that of 8 7." in found.sentences
    axes = [ax for ax in found.figures[0].draw().axes if ax.lines]
    for ax, wrong in zip(axes, (2, 7), strict=True):
        *points, crosses = ax.lines
        assert len(crosses.get_xdata()) == wrong  # type: ignore[arg-type]
        assert np.allclose(np.stack(crosses.get_data()).T, made.data.x_test[:wrong])
        for c, line in enumerate(points):
            assert np.allclose(np.stack(line.get_data()).T, made.data.x_test[made.data.y_test == c])


def test_shades_follow_the_networks_and_pale_where_they_disagree() -> None:
    made = Made(lambda i, r: 1)
    found = decision_regions.section(made.context)
    assert found is not None
    (ax,) = [ax for ax in found.figures[0].draw().axes if ax.lines]
    (image,) = ax.images
    rgb = np.asarray(image.get_array())
    low, high = image.get_extent()[:2]
    x = np.linspace(low, high, rgb.shape[1])
    between = ((x > 0.02) & (x < 0.18)).nonzero()[0]
    assert (rgb[:, between].sum(axis=2) > rgb[:, :1].sum(axis=2)).all(), (
        "paler where one network of three says otherwise"
    )
    assert len({tuple(colour) for colour in rgb[:, x < 0].reshape(-1, 3).round(6).tolist()}) == 1
    share = float(((x < 0) | (x >= 0.2)).mean())
    assert f"Replicates agree on {share:.0%} of the plane drawn." in found.sentences


def test_without_weights_there_are_points_and_the_way_to_regions() -> None:
    found = decision_regions.section(Made(lambda i, r: 1, weights=False).context)
    assert found is not None
    assert "With `save_weights: true` the figure has regions too" in found.sentences
    assert not [ax.images for ax in found.figures[0].draw().axes if ax.images]


@pytest.mark.parametrize(
    "n", [pytest.param(n, marks=[pytest.mark.prove] * (n not in (1, 2, 5, 12))) for n in range(1, 13)]
)
def test_one_to_twelve_conditions(n: int) -> None:
    made = Made(lambda i, r: i, factors={"lr": [0.01 * (i + 1) for i in range(n)]}, replicates=2)
    found = decision_regions.section(made.context)
    assert found is not None
    assert len([ax for ax in found.figures[0].draw().axes if ax.lines]) == n
    assert len(theme.png(found.figures[0].draw())) < 60_000


def test_nothing_is_drawn_of_other_data_or_of_predictions_that_do_not_fit() -> None:
    made = Made(lambda i, r: 1)
    other = replace(made.tables, runs=made.tables.runs.assign(test_accuracy=0.5))
    assert decision_regions.section(context_of(other, test_set=made.test_set)) is None
    assert decision_regions.section(Made(lambda i, r: 1, dataset="iris").context) is None
    assert decision_regions.section(context_of(made.tables)) is None
    pixels: Tables = make(spec(factors={"width": [4, 8]}, replicates=2))
    assert decision_regions.section(context_of(pixels, test_set=made.test_set)) is None


def test_the_report_has_the_same_bytes_again() -> None:
    one, other = (report_of(m.tables, test_set=m.test_set) for m in (Made(lambda i, r: 1), Made(lambda i, r: 1)))
    assert picture(one, "decision_regions") == picture(other, "decision_regions")
    assert not section_failures(one)


def test_colours_mix_with_white() -> None:
    shares = np.array([[[1.0, 0.5]], [[0.0, 0.5]]])
    pure, half = region_colours(shares, ["#000000", "#ff0000"])[0]
    assert np.allclose(pure, decision_regions.LIGHT)
    assert (half > pure).all()


NETWORKS: list[dict[str, Any]] = [
    {"activation": name, "hidden_sizes": [5, 5], **more}
    for name in ("relu", "leaky_relu(0.3)", "prelu", "sigmoid", "tanh", "gelu", "silu", "elu")
    for more in ({}, {"norm": "layer", "residual": True}, {"norm": "batch", "bias": False})
] + [{"hidden_sizes": []}, {"hidden_sizes": [4], "features": 1, "input_scale": 0.5}]


@pytest.mark.parametrize("settings", NETWORKS, ids=lambda s: ",".join(map(str, s.values())))
def test_networks_in_numpy_are_those_of_torch(settings: dict[str, Any]) -> None:
    from mlpbench.training.measures.run_rows import Model
    from mlpbench.training.saved_model import decoded, encoded

    experiment = spec(dataset=TWO, fixed={"epochs": 1} | settings, replicates=1)
    (condition,) = make(experiment).conditions
    (run,) = runs_of(experiment, condition, [0])
    content = random_file(run, condition.data, encoded, Model)
    stored = decoded_network(content, Path("x"))
    assert stored is not None
    x = np.random.default_rng(0).normal(size=(20, 2))
    s = asdict(run.settings)
    given = torch.tensor(x[:, : s["features"]] * s["input_scale"], dtype=torch.float32)
    with torch.no_grad():
        expected = decoded(content, Path("x"))(given).numpy()
    assert np.allclose(stored.outputs(x), expected, atol=1e-4)


def random_file(run: Run, facts: Any, encoded: Any, model: Any) -> bytes:
    """Return a file of random weights of a run's shape."""
    rng, s = np.random.default_rng(1), run.settings
    sizes = [s.features or facts.n_features, *s.hidden_sizes, 3]

    def numbers(*shape: int, low: float = -1.0) -> torch.Tensor:
        return torch.tensor(rng.uniform(low, 1.5, shape), dtype=torch.float32)

    hidden = list(s.hidden_sizes)
    slopes = [numbers(1) for _ in hidden] if s.activation == "prelu" else []
    scales = [numbers(u) for _ in range(2) for u in hidden] if s.norm != "none" else []
    averages = [t for u in hidden for t in (numbers(u), numbers(u, low=0.1))] if s.norm == "batch" else []
    made = model(
        weights=[numbers(a, b) for a, b in itertools.pairwise(sizes)],
        biases=[numbers(b) if s.bias else torch.zeros(b) for b in sizes[1:]],
        others=[*slopes, *scales],
        averages=averages,
        has_biases=s.bias,
    )
    return bytes(encoded(made, run, facts))


def test_a_file_with_other_bytes_has_no_network() -> None:
    from mlpbench.training.measures.run_rows import Model
    from mlpbench.training.saved_model import encoded

    experiment = spec(dataset=TWO, fixed=FIXED, replicates=1)
    (condition,) = make(experiment).conditions
    (run,) = runs_of(experiment, condition, [0])
    content = random_file(run, condition.data, encoded, Model)
    assert decoded_network(content, Path("x")) is not None
    assert decoded_network(content[:-1] + bytes([content[-1] ^ 1]), Path("x")) is None
    assert ordered_header(content)
