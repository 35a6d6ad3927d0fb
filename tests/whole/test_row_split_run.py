"""The whole road of tables whose rows are split by a column, by the real commands; and what is left of it without the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import mlpbench
from mlpbench.cli.main import main

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SAYS = {
    "split": "column 'part' says which rows are for what, and is no input: 'fit' 120 training rows, 'dev' 60 validation rows",
    "groups": "column 'patient': 48 groups that stay whole, and no input: 38 with 190 rows to train on, 10 with 50 rows (21%)",
    "time": "column 'day': rows are split in time: 192 rows of 2004-03-01 to 2004-06-04 to train on, the latest of them",
}
CLAIM = {
    "id": "c",
    "says": "Depth helps.",
    "compare": {"metric": "test_accuracy", "a": {"depth": 1}, "b": {"depth": 0}, "expect": "greater"},
}


def run(*arguments: object) -> Result:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of 240 rows with a column for each way to split it; patients are told apart by what they have in common."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(48), 5)
    a = rng.normal(size=240) + rng.normal(size=48)[patient]
    days = pd.Timestamp("2004-03-01") + pd.to_timedelta(np.arange(240) // 2, "D")
    columns = {
        "a": a.round(3),
        "b": rng.normal(size=240).round(3),
        "patient": [f"p{p}" for p in patient],
        "day": days.strftime("%Y-%m-%d"),
        "part": np.array(["fit", "dev", "fit", "test"])[np.arange(240) % 4],
        "kind": np.where(a + rng.normal(size=240) > 0, "ill", "well"),
    }
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "column", "keys"),
    [
        ("split", "part", {"nuisance": {"lr": [0.03, 0.3]}}),
        ("groups", "patient", {"validation": {"folds": 4}, "nuisance": {"lr": [0.03, 0.3]}}),
        ("time", "day", {"validation": {"folds": 4}, "nuisance": {"lr": [0.03, 0.3]}}),
    ],
)
def test_a_table_is_run_reported_and_predicted_from(table: Path, way: str, column: str, keys: dict[str, Any]) -> None:
    dataset = {"file": "t.csv", "target": "kind", way: column, "drop": ["part", "patient", "day"]}
    fixed = {"width": 8, "init": "he_normal", "batch_size": 16, "epochs": 5}
    tree = {
        "name": way,
        "question": "Does depth help?",
        "dataset": dataset,
        "fixed": fixed,
        "factors": {"depth": [0, 1]},
    }
    Path("x.yaml").write_text(json.dumps(tree | {"replicates": 4, "claims": [CLAIM]} | keys))
    assert SAYS[way] in run("run", "x.yaml", "--workers", 1).stdout
    folder = Path("results") / way
    assert "3 identical" in run("verify", folder).output
    runs = mlpbench.load(folder).runs
    assert (runs["status"] == "ok").all()
    tuned = runs if way == "split" else runs[runs["fold"].notna()]
    assert (tuned["val_loss"] > 0).all()
    # What a run is fitted to is what its steps say.
    fitted = {"split": [120], "groups": [140, 145, 140, 145], "time": [40, 78, 116, 154]}[way]
    assert set(tuned["steps"]) == {5 * -(-n // 16) for n in fitted}
    model = Path("m.safetensors")
    run("export", runs[runs["fold"].isna()]["run_id"].iloc[0], model)
    rows = pd.read_csv(table)
    rows[["b", "a"]].to_csv("new.csv", index=False)
    predicted, same = (run("predict", model, name) for name in ("new.csv", "t.csv"))
    assert predicted.stdout == same.stdout
    assert (predicted.stderr, same.stderr) == ("", "")
    table.unlink()
    run("report", folder)
    report = (folder / "report.md").read_text()
    assert SAYS[way] in report
    sampled = "independent draws, and these are of groups, or follow one another in time" in report
    assert sampled == (way != "split")
    assert SAYS[way] in run("plan", folder / "spec.yaml").stderr
    run("claims", folder)
