"""Trimming drops what no report reads of predictions, curves and layers, and nothing else: no run, nothing compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.base.files import write_whole
from mlpbench.cli.main import main
from mlpbench.evidence.agreement import agreement
from mlpbench.experiment.metrics.metric_names import LAYER_METRICS
from mlpbench.jobs import trim
from mlpbench.jobs.merge import merge
from mlpbench.report.diagnostics.layer_signals import against_depth
from mlpbench.results.folders import IDENTICAL
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import DROPPABLE, KEYS, SCHEMAS, TABLES
from mlpbench.results.store import Store

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
    "probes": ["start"],
    "replicates": 2,
    "claims": [CLAIM],
}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_process")]


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
    assert "predictions: 6 kept, 0 removed;" in result.output
    assert "layers: 0 kept, 6 removed;" in result.output
    assert kept(copy) == {3: 2, 4: 0, 5: 2}
    for table in ("runs", "curves"):
        pd.testing.assert_frame_equal(pd.read_parquet(copy / table), pd.read_parquet(whole / table))
    layers, before = (pd.read_parquet(f / "layers") for f in (copy, whole))
    dropped = list(DROPPABLE["layers"])
    assert layers[dropped].isna().all(axis=None)
    assert before[["act_mean", "weight_quantiles"]].notna().all(axis=None)
    pd.testing.assert_frame_equal(layers.drop(columns=dropped), before.drop(columns=dropped))
    old, new = (Store(f).read("predictions").set_index("run_id")["predicted"] for f in (whole, copy))
    there = new[new.notna()]
    assert there.to_dict() == old[there.index].to_dict()
    assert invoke("report", copy, "--check").exit_code == 0


def test_trimming_again_changes_no_file(copy: Path) -> None:
    trim.trim(copy)
    before = {p: p.read_bytes() for p in copy.rglob("*.parquet")}
    again = trim.trim(copy)
    assert {table: (done.kept, done.removed) for table, done in again.items()} == {
        "runs": (6, 0),
        "curves": (6, 0),
        "predictions": (6, 0),
        "layers": (0, 6),
    }
    assert {p: p.read_bytes() for p in copy.rglob("*.parquet")} == before


def test_quantiles_that_a_figure_shows_are_kept(tmp_path: Path) -> None:
    """One run of each initialisation is drawn."""
    spec = SPEC | {"factors": {"init": ["he_normal", {"normal": 1}]}, "claims": []}
    folder = mlpbench.run(spec, results=tmp_path, workers=1).folder
    before = Store(folder).read("layers").set_index(["run_id", "layer"])["weight_quantiles"]
    shown = (folder / "figures" / "weights.png").read_bytes()
    trim.trim(folder)
    after = Store(folder).read("layers").set_index(["run_id", "layer"])["weight_quantiles"].dropna()
    assert after.index.get_level_values("run_id").nunique() == 2
    assert {key: list(q) for key, q in after.items()} == {key: list(before[key]) for key in after.index}
    assert invoke("report", folder).exit_code == 0
    assert (folder / "figures" / "weights.png").read_bytes() == shown


def test_numbers_of_layers_that_are_drawn_are_kept_and_only_those(tmp_path: Path) -> None:
    """Those of refits are drawn; runs on folds only choose the level. A claim's own metric is kept with all of its run."""
    varied = {"init": ["he_normal", {"normal": 1}]}
    spec = SPEC | {"fixed": SPEC["fixed"] | {"depth": 2, "width": 3}, "factors": varied, "claims": []}
    folder = mlpbench.run(spec | {"validation": {"folds": 2}, "nuisance": {"lr": [0.1, 0.5]}}, results=tmp_path).folder
    shown = (folder / "figures" / "signals.png").read_bytes()
    trim.trim(folder)
    layers, runs = Store(folder).read("layers"), mlpbench.load(folder).runs.set_index("run_id")
    of_fold = layers["run_id"].map(runs["fold"]).notna()
    assert of_fold.sum() == 2 * (~of_fold).sum() * 2
    assert layers.loc[of_fold, list(LAYER_METRICS)].isna().all(axis=None)
    assert layers.loc[~of_fold, "grad_norm"].notna().all()
    assert invoke("report", folder).exit_code == 0
    assert (folder / "figures" / "signals.png").read_bytes() == shown


def test_a_figure_and_a_claim_that_need_dropped_layers_say_so(tmp_path: Path) -> None:
    """Gains are products over layers: a run without numbers has none, not 1."""
    fixed = SPEC["fixed"] | {"width": 3}
    spec = SPEC | {"fixed": fixed | {"depth": 3}, "factors": {"lr": [0.1, 0.5]}, "claims": []}
    folder = mlpbench.run(spec, results=tmp_path, workers=1).folder
    assert trim.trim(folder)["layers"].removed == 4
    compared = {
        "metric": "grad_norm[first,start]",
        "a": {"lr": 0.1},
        "b": {"lr": 0.5},
        "expect": "less",
    }
    claimed = spec | {"claims": [{"id": "gradient", "says": "The gradient is smaller.", "compare": compared}]}
    assert mlpbench.run(claimed, results=tmp_path, workers=1).trained == 0
    assert "where `mlpbench trim` removed" in (folder / "report.md").read_text()
    deeper = spec | {"fixed": fixed | {"lr": 0.1}, "factors": {"depth": [2, 3, 4]}}
    context = mlpbench.run(deeper, results=tmp_path, workers=1, report=False).context
    assert set(context.layer_rows["depth"]) == {2, 4}
    assert context.runs_without_layers == "2 of 6 finished runs have no numbers of layers: this folder was trimmed."
    assert context.runs_without_layers in against_depth(context).sentences  # type: ignore[union-attr]


def test_what_is_dropped_comes_back_from_a_folder_that_has_it(whole: Path, copy: Path, tmp_path: Path) -> None:
    trim.trim(copy)
    merge([copy, whole], tmp_path / "joined")
    for table in DROPPABLE:
        joined, before = (Store(f).read(table).sort_values(list(KEYS[table])) for f in (tmp_path / "joined", whole))
        pd.testing.assert_frame_equal(joined.reset_index(drop=True), before.reset_index(drop=True), check_exact=True)


def test_curves_of_folds_are_dropped(tmp_path: Path) -> None:
    """Folds choose the level and are drawn nowhere: the report is that of before, and the runs are the same."""
    spec = SPEC | {"validation": {"folds": 2}, "nuisance": {"lr": [1e-6, 0.5]}}
    folder = mlpbench.run(spec, results=tmp_path / "whole", workers=1).folder
    copy = Path(shutil.copytree(folder, tmp_path / "trimmed" / folder.name))
    done = trim.trim(copy)["curves"]
    assert (done.kept, done.removed) == (3 * 2, 3 * 2 * 2 * 2)
    assert done.bytes_after < done.bytes_before
    on_fold = mlpbench.load(copy).runs.query("fold.notna()")["run_id"]
    left = Store(copy).read("curves").groupby("run_id")["loss"].count()
    assert set(left.index[left == 0]) == set(on_fold)
    assert invoke("report", copy, "--check").exit_code == 0
    assert invoke("diff", folder, copy).exit_code == 0
    assert mlpbench.run(spec, results=copy.parent, workers=1, report=False).trained == 0


def test_a_report_that_needs_curves_that_were_dropped_says_how_many(tmp_path: Path) -> None:
    """What was tuned is a factor now: the level that was not chosen was not drawn then, and is done."""
    spec = SPEC | {"fixed": SPEC["fixed"] | {"width": 3}, "factors": {}, "validation": 0.2, "claims": []}
    tuned = spec | {"nuisance": {"lr": [1e-6, 0.5]}}
    folder = mlpbench.run(tuned, results=tmp_path, workers=1).folder
    assert trim.trim(folder)["curves"].removed == 3  # those of the replicate that only tunes too
    again = mlpbench.run(spec | {"factors": {"lr": [1e-6, 0.5]}}, results=tmp_path, workers=1)
    assert again.trained == 0
    told = (folder / "report.md").read_text().partition("## Learning curves")[2].partition("![")[0]
    assert "3 of 4 finished runs have no curves: this folder was trimmed." in told
    assert "with lr=0.5" not in told, "of one level alone none is highest"


def test_nothing_is_taken_from_a_run_that_was_not_compared(whole: Path, copy: Path, tmp_path: Path) -> None:
    """A run whose predictions were lost is not finished there: its curves may be anything."""
    trim.trim(copy)
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    store = Store(other)
    runs = store.read("runs").set_index("run_id")
    run_id = store.read("predictions")["run_id"].iloc[0]
    quantiles = Store(copy).read("layers").set_index("run_id")["weight_quantiles"]
    assert quantiles[run_id].isna().all(), f"of {runs.at[run_id, 'width']!r} units, which no figure shows"
    (path,) = (other / "predictions").glob("*.parquet")
    left = pq.read_table(path).to_pandas().query("run_id != @run_id")
    name, content = encoded("left", pa.Table.from_pandas(left, schema=SCHEMAS["predictions"], preserve_index=False))
    path.unlink()
    write_whole(other / "predictions" / name, content)
    merge([copy, other], tmp_path / "joined")
    joined = Store(tmp_path / "joined").read("layers").set_index("run_id")["weight_quantiles"]
    assert joined[run_id].isna().all()
    assert joined.drop(run_id).notna().all()


def test_trimmed_runs_are_done(copy: Path) -> None:
    trim.trim(copy)
    again = mlpbench.run(SPEC, results=copy.parent, report=False)
    assert again.trained == 0
    assert kept(copy) == {3: 2, 4: 0, 5: 2}


def test_runs_of_another_grid_go_from_every_table_and_the_register_keeps_that_they_were_looked_at(
    tmp_path: Path,
) -> None:
    draws = {**SPEC, "save_weights": True, "factors": {"width": [3, 5]}}
    first = mlpbench.run(draws, results=tmp_path, workers=1, report=False)
    second = mlpbench.run({**draws, "seed": 1}, results=tmp_path, workers=1)
    folder = second.folder
    assert first.folder == folder
    seen = invoke("claims", folder, "--json").output
    assert "4 runs of another grid would be removed" in invoke("trim", "--others", "--dry-run", folder).output
    assert set(pd.read_parquet(folder / "runs")["seed"]) == {0, 1}
    assert "4 runs of another grid removed" in invoke("trim", "--others", folder).output
    ids = set(second.runs["run_id"])
    for table in TABLES:
        assert set(Store(folder).read(table)["run_id"]) == ids
    assert {path.name[:16] for path in (folder / "weights").iterdir()} == ids
    assert invoke("claims", folder, "--json").output == seen
    again = mlpbench.run({**draws, "seed": 2}, results=tmp_path, workers=1)
    assert [v.seeds for v in again.context.verdicts] == [3]


def test_nothing_dropped_is_a_difference_and_a_changed_prediction_is(whole: Path, copy: Path) -> None:
    trim.trim(copy)
    assert invoke("diff", whole, copy).exit_code == 0
    assert invoke("diff", copy, whole).exit_code == 0
    store = Store(copy)
    with store.writing():
        store.rewrite("predictions", lambda rows: rows.set_column(1, "predicted", [[b"x"] * rows.num_rows]))
    assert invoke("diff", whole, copy).exit_code == 1


def test_a_training_that_no_longer_measures_is_different(whole: Path) -> None:
    """The stored side may have been trimmed; what was trained again has everything, or something is wrong."""
    tables = {t: Store(whole).read(t) for t in TABLES}
    for table, columns in DROPPABLE.items():
        for column in columns:
            lacks = tables | {table: tables[table].assign(**{column: None})}
            assert (agreement(lacks, tables, complete=True)["grade"] == IDENTICAL).all()
            if tables[table][column].notna().any():
                assert (agreement(tables, lacks, complete=True)["grade"] != IDENTICAL).all()


@pytest.mark.slow
def test_trimmed_runs_verify_as_identical(copy: Path) -> None:
    trim.trim(copy)
    assert invoke("verify", copy, "--all").output.endswith("6 identical\n")


def test_a_claim_that_comes_later_says_which_predictions_are_not_there(copy: Path) -> None:
    trim.trim(copy)
    later = {**CLAIM, "id": "later", "compare": CLAIM["compare"] | {"b": {"width": 4}}}  # type: ignore[operator]
    out = mlpbench.run(SPEC | {"claims": [CLAIM, later]}, results=copy.parent)
    assert out.trained == 0
    assert "2 of 4 runs have no predictions" in (copy / "report.md").read_text()


def test_without_test_labels_nothing_is_dropped(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which predictions are read would not show: the report says that the interval is not known, and reads none."""
    (labels,) = copy.glob("test_labels-*.npy")
    labels.unlink()
    monkeypatch.setattr("mlpbench.data.named.named_data.NamedData.is_cached", lambda self: False)
    before = {p: p.read_bytes() for p in copy.rglob("*.parquet")}
    with pytest.raises(InputError, match="labels"):
        trim.trim(copy)
    assert {p: p.read_bytes() for p in copy.rglob("*.parquet")} == before


def test_no_results_folder_and_a_damaged_one_are_refused(copy: Path, tmp_path: Path) -> None:
    assert invoke("trim", tmp_path).exit_code == 2
    (path,) = (copy / "predictions").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    result = invoke("trim", copy)
    assert result.exit_code == 2
    assert "is damaged" in result.output
    assert path.exists()
