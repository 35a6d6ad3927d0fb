"""Further metrics and class weights by the real command: a table of two classes, one of them rare, from file to verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sklearn.metrics as reference
from click.testing import CliRunner
from repository import ROOT

import mlpbench
from mlpbench.cli.main import main
from mlpbench.evidence.frames import records
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import CAME_LATER
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SPEC = """\
name: rare
question: Do class weights find the rare class?
dataset: {file: rare.csv, target: sick}
fixed: {depth: 0, epochs: 20, batch_size: 32, lr: 0.3}
factors:
  class_weights: [none, balanced, {"yes": 15}]
replicates: 5
claims:
  - id: finds
    says: Balanced weights raise balanced accuracy.
    compare: {metric: test_balanced_accuracy, a: {class_weights: balanced}, b: {class_weights: none}, expect: greater}
  - id: ranks-alike
    says: They rank examples as well.
    compare: {metric: test_roc_auc, a: {class_weights: balanced}, b: {class_weights: none}, expect: equivalent, margin: 0.02}
  - id: calibrated
    says: Unweighted probabilities are calibrated.
    bound: {metric: test_ece, where: {class_weights: none}, below: 0.05}
  - id: as-well
    says: Saying how much a class weighs is as good.
    compare: {metric: test_macro_f1, a: {class_weights: {"yes": 15}}, b: {class_weights: balanced}, expect: equivalent, margin: 0.1}
"""


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table, the experiment and its results: of 3,000 rows a twentieth is of class yes."""
    folder = tmp_path_factory.mktemp("rare")
    rng = np.random.default_rng(0)
    sick = rng.random(3_000) < 0.05
    x = rng.normal(0, 1, (3_000, 3)) + 1.5 * sick[:, None] * np.array([1, 1, 0])
    frame = pd.DataFrame(x.round(4), columns=["a", "b", "c"]).assign(sick=np.where(sick, "yes", "no"))
    frame.to_csv(folder / "rare.csv", index=False)
    (folder / "rare.yaml").write_text(SPEC)
    invoke("run", folder / "rare.yaml", "--results", folder, "--workers", 1, "--quiet")
    return folder


def test_claims_on_further_metrics_are_judged(folder: Path) -> None:
    rows = {row["id"]: row for row in json.loads(invoke("claims", folder / "rare", "--json"))["rare"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "finds": "supported",
        "ranks-alike": "supported",
        "calibrated": "supported",
        "as-well": "supported",
    }


def test_what_is_stored_is_what_scikit_learn_makes_of_stored_predictions(folder: Path) -> None:
    results = mlpbench.load(folder / "rare")
    store = Store(folder / "rare")
    runs = results.runs.set_index("run_id")
    predicted = store.read("predictions").set_index("run_id")["predicted"]
    y = results.experiment.sources[0].load().y_test
    for run_id, row in zip(map(str, runs.index), records(runs), strict=True):
        p = np.frombuffer(predicted[run_id], np.uint8)
        assert row["test_balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(y, p))
        assert row["test_macro_f1"] == pytest.approx(reference.f1_score(y, p, average="macro"))
        assert row["constant_accuracy"] == (y == 0).mean()


def test_the_report_says_what_always_predicting_no_is_worth(folder: Path) -> None:
    text = (folder / "rare" / "report.md").read_text()
    assert "Always predicting the most frequent class of the training examples has an accuracy of 0.9" in text
    assert "| class_weights | balanced accuracy | macro F1 | ROC AUC | Brier score | calibration error | n |\n" in text
    assert "No test-set-sampling interval: it is known for `test_accuracy` and `late_test_accuracy` only." in text
    invoke("report", folder / "rare", "--check")


def test_weights_read_back_from_the_folder_are_those_of_the_file(folder: Path) -> None:
    before = (folder / "rare" / "report.md").read_bytes()
    assert "0 trained now" in invoke("run", folder / "rare.yaml", "--results", folder, "--workers", 1)
    assert (folder / "rare" / "report.md").read_bytes() == before
    assert "identical" in invoke("verify", folder / "rare")


def test_a_class_that_the_table_lacks_is_refused_with_the_nearest(folder: Path) -> None:
    wrong = folder / "wrong.yaml"
    wrong.write_text(SPEC.partition("claims:")[0].replace('"yes"', '"yess"'))
    result = CliRunner().invoke(main, ["plan", str(wrong)])
    assert result.exit_code == 2
    assert "class_weights must name classes of rare.csv (no, yes), got 'yess'; did you mean 'yes'?" in result.output


@pytest.mark.slow
def test_an_older_folder_has_nothing_until_its_runs_are_trained_again(tmp_path: Path) -> None:
    """Its report can be made without them; trained again its runs keep their bits, and have the metrics."""
    folder = tmp_path / "input_noise_linear"
    shutil.copytree(ROOT / "results" / "reference" / folder.name, folder)
    (folder / "seal.json").unlink()
    for path in (folder / "runs").glob("*.parquet"):
        rows = pq.read_table(path)
        older = rows.drop_columns([name for name in CAME_LATER if name in rows.column_names])
        name, content = encoded(path.stem.partition("-")[0], older)
        path.unlink()
        (folder / "runs" / name).write_bytes(content)
    before = mlpbench.load(folder).runs.set_index("run_id")
    assert before["test_rmse"].isna().all()
    assert "Always predicting the mean" not in invoke("report", folder) + (folder / "report.md").read_text()
    invoke("run", folder / "spec.yaml", "--results", tmp_path, "--rerun", "all", "--workers", 1, "--quiet")
    after = mlpbench.load(folder).runs.set_index("run_id").loc[before.index]
    assert (after["weights_sha256"] == before["weights_sha256"]).all()
    ok = after[after["status"] == "ok"]
    half = np.where(ok["loss"] == "mse", 1, 2)
    assert np.allclose(ok["test_rmse"] ** 2, half * ok["test_loss"], rtol=1e-5)
    assert "Always predicting the mean of the training targets" in (folder / "report.md").read_text()
