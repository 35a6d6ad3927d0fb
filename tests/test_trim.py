"""Trimming drops predictions that no claim reads, and nothing else: not the report, not a run, not what is compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import mlpbench
from mlpbench import trimming
from mlpbench.cli import main
from mlpbench.errors import InputError
from mlpbench.store import Store

CLAIM = {
    "id": "wider",
    "says": "Five units are better than three.",
    "compare": {"metric": "test_accuracy", "a": {"width": 5}, "b": {"width": 3}, "expect": "greater"},
}
SPEC: dict[str, Any] = {
    "name": "trimmed",
    "question": "Which predictions are read?",
    "dataset": "fashion_mnist",
    "fixed": {"train_size": 200, "epochs": 1},
    "factors": {"width": [3, 4, 5]},
    "replicates": 2,
    "claims": [CLAIM],
}

pytestmark = pytest.mark.slow


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mlpbench.run(SPEC, results=tmp_path_factory.mktemp("whole"), workers=1).folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "trimmed"))


def kept(folder: Path) -> dict[int, int]:
    """How many runs of each width have predictions."""
    found = Store(folder).read("predictions").merge(mlpbench.load(folder).runs[["run_id", "width"]], on="run_id")
    return dict(found.groupby("width")["predicted"].count())


def test_what_no_claim_reads_is_dropped_and_the_rest_is_as_it_was(whole: Path, copy: Path) -> None:
    result = invoke("trim", copy)
    assert result.exit_code == 0
    assert "predictions of 4 runs kept, of 2 dropped" in result.output
    assert kept(copy) == {3: 2, 4: 0, 5: 2}
    for table in ("runs", "curves", "layers"):
        pd.testing.assert_frame_equal(pd.read_parquet(copy / table), pd.read_parquet(whole / table))
    old, new = (Store(f).read("predictions").set_index("run_id")["predicted"] for f in (whole, copy))
    there = new[new.notna()]
    assert there.to_dict() == old[there.index].to_dict()
    assert invoke("report", copy, "--check").exit_code == 0


def test_trimming_again_changes_no_file(copy: Path) -> None:
    trimming.trim(copy)
    before = {p: p.read_bytes() for p in copy.rglob("*.parquet")}
    again = trimming.trim(copy)
    assert (again.kept, again.dropped) == (4, 2)
    assert {p: p.read_bytes() for p in copy.rglob("*.parquet")} == before


def test_trimmed_runs_are_done(copy: Path) -> None:
    trimming.trim(copy)
    again = mlpbench.run(SPEC, results=copy.parent, report=False)
    assert again.trained == 0
    assert kept(copy) == {3: 2, 4: 0, 5: 2}


def test_nothing_dropped_is_a_difference_and_a_changed_prediction_is(whole: Path, copy: Path) -> None:
    trimming.trim(copy)
    assert invoke("diff", whole, copy).exit_code == 0
    assert invoke("diff", copy, whole).exit_code == 0
    store = Store(copy)
    with store.writing():
        store.rewrite("predictions", lambda rows: rows.set_column(1, "predicted", [[b"x"] * rows.num_rows]))
    assert invoke("diff", whole, copy).exit_code == 1


@pytest.mark.slow
def test_trimmed_runs_verify_as_identical(copy: Path) -> None:
    trimming.trim(copy)
    assert invoke("verify", copy, "--all").output.endswith("6 identical\n")


def test_a_claim_that_comes_later_says_which_predictions_are_not_there(copy: Path) -> None:
    trimming.trim(copy)
    later = {**CLAIM, "id": "later", "compare": CLAIM["compare"] | {"b": {"width": 4}}}  # type: ignore[operator]
    out = mlpbench.run(SPEC | {"claims": [CLAIM, later]}, results=copy.parent)
    assert out.trained == 0
    assert "2 of 4 runs have no predictions" in (copy / "report.md").read_text()


def test_without_test_labels_nothing_is_dropped(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which predictions are read would not show: the report says that the interval is not known, and reads none."""
    (labels,) = copy.glob("test_labels-*.npy")
    labels.unlink()
    monkeypatch.setattr("mlpbench.training.datasets.cached", lambda name: False)
    with pytest.raises(InputError, match="labels"):
        trimming.trim(copy)
    assert kept(copy) == {3: 2, 4: 2, 5: 2}


def test_no_results_folder_and_a_damaged_one_are_refused(copy: Path, tmp_path: Path) -> None:
    assert invoke("trim", tmp_path).exit_code == 2
    (path,) = (copy / "predictions").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    result = invoke("trim", copy)
    assert result.exit_code == 2
    assert "is damaged" in result.output
    assert path.exists()
