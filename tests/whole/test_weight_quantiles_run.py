"""The column `weight_quantiles` through the main job: read, compared, joined; folders from before it stay good."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlpbench
from mlpbench.base.files import write_whole
from mlpbench.experiment.file import yaml_reader
from mlpbench.jobs.diff import diff
from mlpbench.jobs.merge import merge
from mlpbench.jobs.options import Options
from mlpbench.jobs.verify import verify
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SPEC: dict[str, Any] = {
    "name": "quantiles",
    "question": "What do weights do?",
    "dataset": "fashion_mnist",
    "fixed": {"width": 4, "depth": 1, "train_size": 200, "batch_size": 64, "epochs": 1},
    "factors": {"l1": [0.0, 0.01]},
    "replicates": 2,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    mlpbench.run(SPEC, results=results, workers=1, report=False)
    return results / "quantiles"


def rewritten(folder: Path, to: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    copy = Path(shutil.copytree(folder, to))
    (path,) = (copy / "layers").glob("*.parquet")
    name, content = encoded("changed", change(pq.read_table(path)))
    path.unlink()
    write_whole(copy / "layers" / name, content)
    return copy


def before_the_column(table: pa.Table) -> pa.Table:
    return table.drop_columns(["weight_quantiles"])


def one_moved(table: pa.Table) -> pa.Table:
    rows = table.to_pylist()
    rows[3]["weight_quantiles"][7] += 1e-12
    return pa.Table.from_pylist(rows, schema=SCHEMAS["layers"])


def test_the_table_has_a_list_for_each_layer_and_probe(done: Path) -> None:
    rows = pd.read_parquet(done / "layers")
    assert rows["weight_quantiles"].map(len).tolist() == [21] * 16
    assert all((q[1:] >= q[:-1]).all() for q in rows["weight_quantiles"])


@pytest.mark.slow
def test_a_folder_from_before_the_column_reads_and_agrees(done: Path, tmp_path: Path) -> None:
    old = rewritten(done, tmp_path / "old", before_the_column)
    assert Store(old).read("layers")["weight_quantiles"].isna().all()
    assert diff(old, done).same
    assert diff(done, old).same
    joined = merge([old, done], tmp_path / "joined")
    assert joined.shared == 4
    assert (tmp_path / "joined" / "report.md").exists()


@pytest.mark.slow
def test_a_folder_from_before_the_column_is_verified(done: Path, tmp_path: Path) -> None:
    old = rewritten(done, tmp_path / "old", before_the_column)
    found = verify(yaml_reader.read(old / "spec.yaml"), Store(old), Options(results=tmp_path, workers=1), None)
    assert found.passed
    assert set(found.checked["grade"]) == {"identical"}


def test_a_quantile_that_was_altered_is_found(done: Path, tmp_path: Path) -> None:
    altered = rewritten(done, tmp_path / "altered", one_moved)
    both = diff(done, altered).both
    assert both.loc[both["grade"] != "identical", "differs"].tolist() == ["layers"]
