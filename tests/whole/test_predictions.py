"""From a table to predictions for new rows, by the real commands: what is predicted again is what was stored in training."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from safetensors import safe_open
from sklearn.metrics import accuracy_score, r2_score

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.base.files import ordered_header
from mlpbench.cli.main import main
from mlpbench.training import table_model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_process", "blank_figures")]
GAPS = "gaps become the median of the training rows, or what gaps were among words"
CASES: dict[str, dict[str, Any]] = {
    "classes": {"target": "kind"},
    "numbers": {"target": "price"},
    "log": {"target": "price", "target_scale": "log"},
    "as they are": {"target": "kind", "scale": "none"},
    "quantiles": {"target": "price", "scale": "quantile"},
    "some inputs": {"target": "kind", "features": 3, "input_scale": 0.5},
}


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": rng.normal(3, 2, rows), "colour": rng.choice(["red", "green", "blue"], rows)})
    frame["price"] = np.exp(frame["size"] / 3) * np.where(frame["colour"] == "red", 40, 20) + 1
    frame["kind"] = np.where(frame["size"] + rng.normal(size=rows) > 3, "large", "small")
    frame.loc[rng.random(rows) < 0.1, "size"] = np.nan
    return frame


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


class Made:
    """A trained experiment on a table, and the model of its first run."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.folder, self.test = folder, table(60, 1)
        table(200, 0).to_csv(folder / "train.csv", index=False)
        self.test.to_csv(folder / "test.csv", index=False)
        settings = {k: options[k] for k in ("features", "input_scale", "loss") if k in options}
        dataset = {k: v for k, v in options.items() if k not in settings}
        self.spec: dict[str, Any] = {
            "name": "own",
            "question": "q",
            "dataset": {"file": folder / "train.csv", "test_file": folder / "test.csv", **dataset},
            "fixed": {"width": 8, "init": "he_normal", "batch_size": 16, "epochs": 4, **settings},
            "replicates": 2,
        }
        self.ran = mlpbench.run(self.spec, results=folder / "r", executor="inline", report=False)
        self.run_id = str(self.ran.runs["run_id"].iloc[0])
        self.model = folder / "m.safetensors"
        self.exported = command("export", self.run_id, self.model, "--results", folder / "r")

    @property
    def stored(self) -> bytes:
        rows = pd.read_parquet(self.ran.folder / "predictions")
        return bytes(rows.loc[rows["run_id"] == self.run_id, "predicted"].iloc[0])


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("own"), CASES[request.param])


def test_predictions_for_the_test_rows_are_those_that_were_stored(made: Made) -> None:
    assert (made.exported.exit_code, made.exported.stderr) == (0, "")
    done = command("predict", made.model, made.folder / "test.csv")
    assert done.exit_code == 0
    gaps = made.test["size"].isna().sum()
    assert done.stderr == f"mlpbench: test.csv: column 'size' ({gaps}): {GAPS}\n"
    rows = pd.read_csv(io.StringIO(done.stdout))
    of_frame = mlpbench.load_model(made.model).predict(made.test)
    if made.ran.experiment.facts[0].n_classes is None:
        assert list(rows.columns) == ["predicted"]
        np.testing.assert_allclose(rows["predicted"], np.frombuffer(made.stored, "<f4"), rtol=1e-5)
        np.testing.assert_allclose(of_frame, rows["predicted"], rtol=1e-6)
    else:
        names = np.array(["large", "small"])
        assert list(rows.columns) == ["predicted", "p(large)", "p(small)"]
        assert rows["predicted"].tolist() == names[np.frombuffer(made.stored, np.uint8)].tolist() == of_frame.tolist()
        np.testing.assert_allclose(rows[["p(large)", "p(small)"]].sum(axis=1), 1, rtol=1e-6)
        assert (rows["predicted"] == names[rows[["p(large)", "p(small)"]].to_numpy().argmax(1)]).all()


def test_a_model_is_an_estimator_of_scikit_learns_kind(made: Made) -> None:
    model = mlpbench.load_model(made.model)
    target = made.spec["dataset"]["target"]
    predicted = model.predict(made.test.drop(columns=target))
    other = "price" if target == "kind" else "kind"
    assert model.feature_names_in_.tolist() == ["size", "colour", other]
    assert model.n_features_in_ == 3
    if target == "kind":
        assert model.classes_.tolist() == ["large", "small"]
        assert model.predict_proba(made.test).shape == (60, 2)
        assert model.score(made.test, made.test[target]) == accuracy_score(made.test[target], predicted)
        assert model.score(made.test, made.test[["kind"]]) == model.score(made.test, made.test["kind"])
    else:
        assert not hasattr(model, "classes_")
        assert model.score(made.test, made.test[target]) == pytest.approx(r2_score(made.test[target], predicted))


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("classes"), CASES["classes"])


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_predictions_are_written_to_a_file_that_is_not_overwritten_unasked(
    of_classes: Made, name: str, tmp_path: Path
) -> None:
    arguments = ("predict", of_classes.model, of_classes.folder / "test.csv", "-o", tmp_path / name)
    assert command(*arguments).stdout == f"predictions: {tmp_path / name}\n"
    read = pd.read_csv if name.endswith("csv") else pd.read_parquet
    printed = pd.read_csv(io.StringIO(command(*arguments[:3]).stdout))
    pd.testing.assert_frame_equal(read(tmp_path / name), printed, rtol=1e-6)
    again = command(*arguments)
    assert (again.exit_code, again.stderr) == (
        2,
        f"mlpbench: the file exists: {tmp_path / name}; --force overwrites a file\n",
    )
    assert command(*arguments, "--force").exit_code == 0


def test_a_table_that_is_written_otherwise_is_predicted_alike(of_classes: Made, tmp_path: Path) -> None:
    plain = command("predict", of_classes.model, of_classes.folder / "test.csv").stdout
    of_classes.test.to_csv(tmp_path / "other.csv", index=False, sep=";", decimal=",", encoding="utf-16-le")
    said = ("separator=;", "decimal=,", "encoding=utf-16-le")
    done = command("predict", of_classes.model, tmp_path / "other.csv", *(part for s in said for part in ("--set", s)))
    assert done.stdout == plain
    for wrong, message in (
        ("decimal=;", "decimal must be '.' or ',', got ';'"),
        ("seperator=;", "did you mean 'separator'?"),
        ("test=0.5", "unknown key 'test'"),
    ):
        refused = command("predict", of_classes.model, tmp_path / "other.csv", "--set", wrong)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert message in refused.stderr


def test_rows_that_were_not_trained_on_have_no_prediction_and_say_so(tmp_path: Path) -> None:
    made = Made(tmp_path, CASES["classes"] | {"missing": "drop_rows"})
    done = command("predict", made.model, made.folder / "test.csv")
    rows = pd.read_csv(io.StringIO(done.stdout))
    assert len(rows) == 60
    assert rows["predicted"].isna().tolist() == made.test["size"].isna().tolist()
    assert "rows with gaps have no prediction" in done.stderr
    n = made.test["size"].isna().sum()
    with pytest.raises(InputError, match=f"all rows must have what is needed for a prediction, got {n} without"):
        mlpbench.load_model(made.model).predict(made.test)


def test_without_its_table_a_run_is_exported_with_a_warning_and_can_t_predict(tmp_path: Path) -> None:
    made = Made(tmp_path, CASES["classes"])
    mlpbench.run(made.spec | {"save_weights": True}, results=tmp_path / "s", executor="inline", report=False)
    (tmp_path / "train.csv").unlink()
    done = command("export", made.run_id, tmp_path / "w.safetensors", "--results", tmp_path / "s")
    assert done.exit_code == 0
    assert "the file of weights has no columns, which `mlpbench predict` needs: " in done.stderr
    assert mlpbench.load_weights(tmp_path / "w.safetensors")
    refused = command("predict", tmp_path / "w.safetensors", made.folder / "test.csv")
    assert refused.exit_code == 2
    assert "predictions need a model of a run on a table of your own" in refused.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("table", "{}"),
        ("table", "null"),
        ("table", "{"),
        ("class_names", '{"a": 1}'),
        ("class_names", "[1, 2]"),
        ("settings", "{}"),
        ("class_names", '["large"]'),
        ("class_names", '["large", "large"]'),
        ("class_names", "[" * 5000),
    ],
)
def test_a_model_of_wrong_content_is_refused(of_classes: Made, key: str, value: str, tmp_path: Path) -> None:
    """Under a right checksum."""
    (tmp_path / "m.safetensors").write_bytes(ordered_header(of_classes.model.read_bytes(), {key: value}))
    done = command("predict", tmp_path / "m.safetensors", of_classes.folder / "test.csv")
    assert done.exit_code == 2
    assert "a file of weights must be whole" in done.stderr


def test_another_table_s_columns_do_not_pass(of_classes: Made, tmp_path: Path) -> None:
    """One column less makes another width than the network has."""
    with safe_open(of_classes.model, "pt") as opened:
        written = json.loads(opened.metadata()["table"])
    written["columns"] = written["columns"][1:]
    content = ordered_header(of_classes.model.read_bytes(), {"table": json.dumps(written)})
    (tmp_path / "m.safetensors").write_bytes(content)
    done = command("predict", tmp_path / "m.safetensors", of_classes.folder / "test.csv")
    assert (done.exit_code, "a file of weights must be whole" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("model", "rows", "output", "message"),
    [
        ("m.safetensors", "missing.csv", None, "table not found: "),
        (
            "missing.safetensors",
            "test.csv",
            None,
            "a file of weights must be readable, got 'No such file or directory'",
        ),
        ("test.csv", "test.csv", None, "weights must be in a safetensors file of mlpbench"),
        ("m.safetensors", "m.safetensors", None, "new rows must be in a file that ends in .csv"),
        (
            "m.safetensors",
            "test.csv",
            "out.xlsx",
            "predictions are written to a file that ends in .csv or .parquet, got 'out.xlsx'",
        ),
    ],
)
def test_what_can_t_be_predicted_is_one_message(
    of_classes: Made, model: str, rows: str, output: str | None, message: str, tmp_path: Path
) -> None:
    more = () if output is None else ("-o", tmp_path / output)
    done = command("predict", of_classes.folder / model, of_classes.folder / rows, *more)
    assert done.exit_code in (2, 3)
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_outputs_of_squared_errors_are_no_probabilities(tmp_path: Path) -> None:
    made = Made(tmp_path, CASES["classes"] | {"loss": "squared_error"})
    done = command("predict", made.model, made.folder / "test.csv")
    assert done.stdout.splitlines()[0] == "predicted"
    with pytest.raises(AttributeError, match="its outputs are no probabilities"):
        mlpbench.load_model(made.model).predict_proba(made.test)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (np.array([True, False]), ["true", "false"]),
        (np.array([0.0, 1.0]), ["0", "1"]),
        (np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_targets_are_spelt_as_classes_are(target: NDArray[Any], names: list[str]) -> None:
    assert table_model._spelt_as_classes(target).tolist() == names


def test_rows_of_another_shape_are_refused(of_classes: Made) -> None:
    model = mlpbench.load_model(of_classes.model)
    with pytest.raises(InputError, match="rows must be a DataFrame, or of shape"):
        model.predict(of_classes.test["size"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a target must have the shape"):
        model.score(of_classes.test, [1, 2])
