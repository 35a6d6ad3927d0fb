"""A network without hidden layers on tables of the user's own is logistic or ridge regression: scikit-learn's, on the same rows.

mean loss + lambda/2 ||w||^2 is minimised where LogisticRegression with C = 1 / (lambda N), or Ridge with alpha = lambda N, is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

import mlpbench
from mlpbench.experiment.file import yaml_reader

DECAY = 0.01
Frame = Callable[[], pd.DataFrame]


def passengers() -> pd.DataFrame:
    """Return a table with words, flags, gaps and dates, of which the target follows."""
    rng = np.random.default_rng(1)
    n = 400
    frame = pd.DataFrame(
        {
            "age": rng.uniform(1, 80, n).round(),
            "fare": rng.lognormal(3, 1, n).round(2),
            "port": rng.choice(["C", "Q", "S"], n, p=[0.2, 0.1, 0.7]),
            "alone": rng.choice(["true", "false"], n),
            "day": (pd.Timestamp("1912-04-01") + pd.to_timedelta(rng.integers(0, 10, n), "D")).strftime("%Y-%m-%d"),
        }
    )
    score = 0.03 * (40 - frame["age"]) + 0.5 * np.log(frame["fare"]) - 1.5 * (frame["alone"] == "true")
    frame["target"] = np.where(score + rng.logistic(size=n) > 0.5, "survived", "died")
    frame.loc[rng.random(n) < 0.2, "age"] = np.nan
    return frame


def houses() -> pd.DataFrame:
    """Return a table of prices with a unit, words and gaps."""
    rng = np.random.default_rng(2)
    n = 300
    frame = pd.DataFrame({"rooms": rng.integers(1, 9, n), "area": rng.choice(["north", "south", "west"], n)})
    frame["tax"] = rng.uniform(100, 900, n).round(1)
    frame["target"] = 20_000 * frame["rooms"] + 30_000 * (frame["area"] == "west") - 50 * frame["tax"]
    frame["target"] += rng.normal(0, 15_000, n).round(2)
    frame.loc[rng.random(n) < 0.1, "tax"] = np.nan
    return frame


def wine_quality() -> pd.DataFrame:
    """Return the wines with an alcohol of their own as the target."""
    frame: pd.DataFrame = load_wine(as_frame=True).frame.drop(columns="target")
    return frame.rename(columns={"alcohol": "target"})


CLASSES: dict[str, Frame] = {
    "iris": lambda: load_iris(as_frame=True).frame,
    "wine": lambda: load_wine(as_frame=True).frame,
    "cancer": lambda: load_breast_cancer(as_frame=True).frame,
    "digits": lambda: load_digits(as_frame=True).frame,
    "passengers": passengers,
}
NUMBERS: dict[str, Frame] = {
    "diabetes": lambda: load_diabetes(as_frame=True).frame,
    "houses": houses,
    "alcohol": wine_quality,
}
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_process", "blank_figures")]


def trained(frame: pd.DataFrame, folder: Path, decay: float) -> mlpbench.Outcome:
    frame.to_csv(folder / "t.csv", index=False)
    fixed = {"depth": 0, "init": "zeros", "optimizer": "nesterov", "lr": 0.2, "batch_size": "full", "steps": 2000}
    tree = {
        "name": "t",
        "question": "q",
        "dataset": {"file": folder / "t.csv", "target": "target"},
        "fixed": fixed | {"weight_decay": decay, "precision": "float64"},
        "replicates": 1,
    }
    return mlpbench.run(tree, results=folder / "r", executor="inline", report=False)


def arrays(folder: Path) -> tuple[NDArray[np.float64], ...]:
    tree = {"name": "t", "question": "q", "dataset": {"file": folder / "t.csv", "target": "target"}}
    data = yaml_reader.from_mapping(tree).sources[0].load()
    return tuple(np.asarray(a, np.float64) for a in (data.x_train, data.y_train, data.x_test, data.y_test))


@pytest.mark.parametrize("name", CLASSES)
def test_without_hidden_layers_it_is_logistic_regression(name: str, tmp_path: Path) -> None:
    (row,) = trained(CLASSES[name](), tmp_path, DECAY).runs.to_dict("records")
    x_train, y_train, x_test, y_test = arrays(tmp_path)
    # Two outputs with weights w and -w are one with 2 w: as if it decayed half as much.
    outputs = 2 if len(np.unique(y_train)) == 2 else 1
    model = LogisticRegression(C=outputs / (DECAY * len(y_train)), max_iter=10_000, tol=1e-8).fit(x_train, y_train)
    assert row["test_accuracy"] == pytest.approx(model.score(x_test, y_test), abs=0.005)
    assert row["test_loss"] == pytest.approx(log_loss(y_test, model.predict_proba(x_test)), rel=0.01)
    assert row["train_loss"] == pytest.approx(log_loss(y_train, model.predict_proba(x_train)), rel=0.01)


@pytest.mark.parametrize("name", NUMBERS)
def test_without_hidden_layers_it_is_ridge_regression(name: str, tmp_path: Path) -> None:
    ran = trained(NUMBERS[name](), tmp_path, DECAY)
    (row,) = ran.runs.to_dict("records")
    x_train, y_train, x_test, y_test = arrays(tmp_path)
    model = Ridge(alpha=DECAY * len(y_train)).fit(x_train, y_train)
    scale = ran.experiment.sources[0].facts.target_scale
    assert scale is not None
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        loss = 0.5 * scale.sd**2 * np.mean((model.predict(x) - y) ** 2)
        assert row[f"{part}_loss"] == pytest.approx(loss, rel=0.01)
    assert row["test_r2"] == pytest.approx(model.score(x_test, y_test), abs=0.005)
