"""A table whose test rows each replicate draws, the whole road: trained by workers, judged, reported, verified, exported, predicted with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import mlpbench
from mlpbench.cli.main import main

# Pictures of such tables are drawn where the reference results are compared: `tables` is one of them.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]

ROWS = 160


def table() -> pd.DataFrame:
    """Return rows of two classes, with a target that is a number, gaps, and words that come seldom."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(ROWS, 3))
    frame = pd.DataFrame(np.where(rng.random(x.shape) < 0.1, np.nan, x), columns=list("uvw"))
    frame["word"] = np.where(np.arange(ROWS) % 25 == 3, [f"w{i}" for i in range(ROWS)], rng.choice(["x", "z"], ROWS))
    frame["kind"] = np.where(x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=ROWS) > 0, "same", "other")
    frame["price"] = 300 + 40 * x[:, 0] + 10 * rng.normal(size=ROWS)
    return frame


def tree_of(target: str, file: Path) -> dict[str, Any]:
    metric = "test_accuracy" if target == "kind" else "test_rmse"
    sense = "greater" if target == "kind" else "less"
    return {
        "name": target,
        "question": "Does a hidden layer help?",
        "dataset": {"file": str(file), "target": target, "drop": ["price" if target == "kind" else "kind"], "resplit": True},
        "fixed": {"width": 16, "init": "he_normal", "lr": 0.1, "batch_size": 16, "epochs": 10},
        "factors": {"depth": [0, 1]},
        "replicates": 3,
        "save_weights": target == "kind",
        "claims": [{"id": "deeper", "says": "It helps.", "compare": {"metric": metric, "a": {"depth": 1}, "b": {"depth": 0}, "expect": sense}}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, blank_figures: None) -> Path:
    """The finished folders of both targets, and the table beside them."""
    folder = tmp_path_factory.mktemp("results")
    file = folder / "own.csv"
    table().to_csv(file, index=False)
    mlpbench.run(tree_of("kind", file), results=folder, workers=2)
    mlpbench.run(tree_of("price", file), results=folder, executor="inline")
    return folder


def said(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize("target", ["kind", "price"])
def test_the_numbers_of_a_replicate_are_those_of_its_own_test_rows(results: Path, target: str) -> None:
    found = mlpbench.load(results / target)
    packed = pd.read_parquet(results / target / "predictions").set_index("run_id")["predicted"]
    data = found.experiment.sources[0]
    scale = data.facts.target_scale
    for row in found.runs.itertuples():
        y = data.draw(int(str(row.seed)), int(str(row.replicate))).y_test
        if target == "kind":
            predicted = np.frombuffer(packed.loc[str(row.run_id)], np.uint8)
            assert row.test_accuracy == pytest.approx((predicted == y).mean())
        else:
            assert scale is not None
            predicted = np.frombuffer(packed.loc[str(row.run_id)], "<f4")
            assert row.test_rmse == pytest.approx(np.sqrt(((predicted - scale.own_units(y)) ** 2).mean()), rel=1e-4)
    assert len(set(found.runs["run_id"])) == 6


@pytest.mark.parametrize("target", ["kind", "price"])
def test_an_exported_run_predicts_its_own_test_rows_as_it_did(
    results: Path, in_process: None, target: str, tmp_path: Path
) -> None:
    """From saved weights and from training again; each run has the scales and medians of its own replicate."""
    found = mlpbench.load(results / target)
    packed = pd.read_parquet(results / target / "predictions").set_index("run_id")["predicted"]
    encoders = set()
    for row in found.runs[found.runs["depth"] == 1].itertuples():
        path = tmp_path / f"{row.replicate}.safetensors"
        said("export", str(row.run_id), path, "--results", results)
        model = mlpbench.load_model(path)
        encoders.add(model.encoder.model_dump_json())
        x = model.encoder.of_frame(table().drop(columns=["kind", "price"])).x
        own = found.experiment.sources[0].draw(int(str(row.seed)), int(str(row.replicate)))
        # Which rows of the table are the test rows, in their order: those with the same inputs.
        at = [int(np.flatnonzero((x == test).all(1))[0]) for test in own.x_test]
        predicted = model.predict(table().drop(columns=["kind", "price"]).iloc[at])
        stored = packed.loc[str(row.run_id)]
        if target == "kind":
            assert list(predicted) == [("other", "same")[c] for c in np.frombuffer(stored, np.uint8)]
        else:
            np.testing.assert_allclose(predicted, np.frombuffer(stored, "<f4"), rtol=1e-5)
    assert len(encoders) == 3


def test_reports_say_what_is_spoken_of_and_show_nothing_of_a_shared_test_set(results: Path) -> None:
    for target in ("kind", "price"):
        text = (results / target / "report.md").read_text()
        assert "Verdicts apply to tables like this one, not to one split of it" in text
        assert re.search(r"corrected for overlapping training rows \\?\(Nadeau and Bengio 2003\\?\)", text)
        assert "own.csv: resplit: each replicate tests on 32 of the 160 rows that it draws" in text
        assert "onfusion" not in text
        assert "test-set sampling" not in text
        assert not list((results / target).glob("test_labels-*"))
        for name in re.findall(r"\]\((figures/[^)]+)\)", text):
            assert (results / target / name).exists()


def test_every_command_knows_them(results: Path, in_process: None) -> None:
    for target in ("kind", "price"):
        assert "report is up to date" in said("report", results / target, "--check")
        assert "6 runs trained again, alone: 6 identical" in said("verify", results / target, "--all").replace(
            "6 of ", ""
        )
    assert "deeper" in said("claims", results / "kind")
    file, options = results / "own.csv", ("--set", "resplit=true", "--set", "drop=[price]")
    described = said("data", "describe", file, "--target", "kind", *options)
    assert "160 rows, 128 to train on and 32 to test on" in described
    assert "each replicate tests on 32 of the 160 rows" in described


def test_reports_need_no_table_and_training_does(results: Path, tmp_path: Path) -> None:
    file = results / "own.csv"
    content = file.read_bytes()
    try:
        file.unlink()
        assert "report is up to date" in said("report", results / "kind", "--check")
        assert "file not found" in said("verify", results / "kind", "--all", code=2)
    finally:
        file.write_bytes(content)
