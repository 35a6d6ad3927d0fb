"""verify, diff and merge say what is the same, what has moved and what is missing, and lose nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from sealed_folders import seal_again
from table_equality import same_tables

import mlpbench
from mlpbench.base.files import refused, write_whole
from mlpbench.cli.main import main
from mlpbench.evidence.agreement import agreement
from mlpbench.jobs import verify
from mlpbench.results.folders import DIFFERENT, IDENTICAL, WITHIN
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import SCHEMAS

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

SPEC: dict[str, Any] = {
    "name": "pairs",
    "question": "Do two widths and two rates differ?",
    "dataset": "fashion_mnist",
    "fixed": {"train_size": 500, "epochs": 1},
    "factors": {"width": [3, 5], "lr": [0.1, 1e30]},
    "replicates": 2,
}


def invoke(*arguments: str | Path) -> Result:
    if arguments[0] == "verify":
        arguments = (*arguments, "--workers", "1")
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def trained(results: Path, **overrides: Any) -> Path:
    return mlpbench.run(SPEC, results=results, report=False, workers=1, **overrides).folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight runs, of which those with a rate of 1e30 diverge."""
    folder = trained(tmp_path_factory.mktemp("whole"))
    assert set(pd.read_parquet(folder / "runs")["status"]) == {"ok", "diverged"}
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy" / "pairs"))


def altered(folder: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame], *, named: bool = False) -> None:
    """Write a table again with other values: under its old name, or `named` as one of ours, so that it is not damaged."""
    (path,) = (folder / table).glob("*.parquet")
    frame = change(pq.read_table(path).to_pandas())
    rows = pa.Table.from_pandas(frame, schema=SCHEMAS[table], preserve_index=False)
    if not named:
        pq.write_table(rows, path)
        return
    path.unlink()
    name, content = encoded("altered", rows)
    write_whole(folder / table / name, content)
    seal_again(folder)


def moved(frame: pd.DataFrame, column: str, row: int, by: float) -> pd.DataFrame:
    frame.loc[frame.index[row], column] += by
    return frame


@pytest.mark.slow
def test_verify_all_says_identical_of_every_run_also_of_diverged_ones(copy: Path) -> None:
    result = invoke("verify", copy, "--all")
    assert result.output == "pairs: 8 of 8 runs trained again, alone: 8 identical\n"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("table", "column", "by", "named"),
    [
        ("runs", "test_accuracy", 1e-9, False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("curves", "loss", 1e-12, True),
                ("runs", "lr", 1e-9, True),
                ("layers", "act_var", 1e-12, True),
                ("curves", "loss", 1e-9, False),
            )
        ),
    ],
)
def test_verify_says_which_run_was_altered(table: str, column: str, by: float, named: bool, copy: Path) -> None:
    (path,) = (copy / table).glob("*.parquet")
    frame = pd.read_parquet(path)
    row = int((frame[column].notna()).to_numpy().nonzero()[0][-1])
    altered(copy, table, lambda f: moved(f, column, row, by), named=named)
    result = invoke("verify", copy, "--all", "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    wrong = [r for r in found["runs"] if r["grade"] != IDENTICAL]
    assert [(r["run_id"], r["grade"]) for r in wrong] == [(frame["run_id"].iloc[row], DIFFERENT)]
    assert (column if table == "runs" else table) in wrong[0]["differs"]
    assert bool(found["damaged"]) == (not named)


@pytest.mark.slow
def test_verify_says_which_predictions_were_altered(copy: Path) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        before = frame["predicted"].iloc[2]
        frame.at[frame.index[2], "predicted"] = bytes([before[0] ^ 1]) + before[1:]
        return frame

    run_id = pd.read_parquet(copy / "predictions")["run_id"].iloc[2]
    altered(copy, "predictions", change)
    result = invoke("verify", copy, "--all")
    assert result.exit_code == 1
    assert "7 identical, 1 different" in result.output
    assert f"({run_id}): different: predictions\n" in result.output


@pytest.mark.slow
def test_a_sample_takes_runs_that_were_not_verified_yet_and_all_are_covered_in_the_end(copy: Path) -> None:
    covered: set[str] = set()
    for _ in range(2):
        result = invoke("verify", copy, "--sample", "4")
        assert "4 of 8 runs trained again" in result.output
        covered |= set(json.loads((copy / "verified.json").read_text()))
    assert covered == set(pd.read_parquet(copy / "runs")["run_id"])


@pytest.mark.slow
def test_rows_of_another_environment_may_move_within_a_tolerance(copy: Path) -> None:
    """The same numbers with rounding differences, of a torch of another version: that is no failure, here it is one."""

    def drift(frame: pd.DataFrame, torch: str) -> pd.DataFrame:
        frame["weights_sha256"] = frame["weights_sha256"].where(frame["status"] != "ok", "0" * 64)
        return moved(frame, "test_loss", 0, 1e-7).assign(env_torch=torch)

    here = pd.read_parquet(copy / "runs")["env_torch"].iloc[0]
    altered(copy, "runs", lambda f: drift(f, "1.0.0"), named=True)
    result = invoke("verify", copy, "--all")
    assert "4 identical, 4 within tolerance" in result.output
    assert "trained with another torch than here: the bits may differ" in result.output
    assert result.exit_code == 0
    altered(copy, "runs", lambda f: f.assign(env_torch=here), named=True)
    assert invoke("verify", copy, "--all").exit_code == 1


@pytest.mark.slow
def test_the_report_counts_what_was_verified_while_the_table_has_the_weights_it_was_verified_with(copy: Path) -> None:
    invoke("verify", copy, "--sample", "2")
    runs = pd.read_parquet(copy / "runs").set_index("run_id")
    record = json.loads((copy / "verified.json").read_text())
    ok = next(i for i in runs.index[runs["status"] == "ok"])
    grade = {"grade": "identical", "cpu": "A CPU", "torch": "1.0"}
    gone = "f" * 16
    record |= {ok: grade | {"weights_sha256": "0" * 64}, gone: grade | {"weights_sha256": None}}
    (copy / "verified.json").write_text(json.dumps(record))
    seal_again(copy)
    assert invoke("report", copy).exit_code == 0
    told = (copy / "report.md").read_text()
    counted = len(set(record) - {ok, gone})
    assert f"Verified: {counted} of 8 runs were trained again, alone (" in told
    assert "A CPU" not in told
    for damaged in ("[", "[]", '{"gone": {"grade": "identical"}}', json.dumps({ok: grade | {"grade": "same"}})):
        (copy / "verified.json").write_text(damaged)
        result = invoke("report", copy)
        assert result.exit_code == 2
        assert f"{copy / 'verified.json'} is damaged (" in result.output
        assert "): remove it, and verify again" in result.output
    (copy / "verified.json").unlink()
    assert invoke("report", copy).exit_code == 0
    assert "No run has been verified yet" in (copy / "report.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("table", SCHEMAS)
def test_verify_names_what_a_flipped_bit_broke_and_the_runs_it_cannot_read(table: str, copy: Path) -> None:
    (path,) = (copy / table).glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # the length of the footer: nothing can be read
    path.write_bytes(content)
    result = invoke("verify", copy, "--sample", "1")
    assert result.exit_code == 1
    assert f"{path} is damaged: its bytes are not those that were written" in result.output
    if table == "runs":
        assert "0 of 0 runs trained again, alone: nothing to compare" in result.output
        assert all(result.output.count(run_id) == 1 for run_id in pd.read_parquet(copy / "curves")["run_id"].unique())
    else:
        assert f"different: {table}" in result.output


def test_a_damaged_file_is_in_the_plan_and_its_runs_are_in_the_report_of_the_repaired_folder(
    copy: Path, tmp_path: Path
) -> None:
    """Set aside, trained again to the same bytes, and reported on, by one command."""
    (path,) = (copy / "curves").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "pairs.json").write_text(json.dumps(SPEC))
    result = invoke("plan", tmp_path / "pairs.json", "--results", copy.parent)
    assert (
        f"{path} is damaged: its bytes are not those that were written: `mlpbench run` moves it to `damaged/`"
        in result.stderr
    )
    assert "missing             8" in result.stdout
    outcome = mlpbench.run(SPEC, results=copy.parent, workers=1)
    assert outcome.trained == 8
    assert outcome.report is not None
    assert path.exists()


def test_rows_of_an_old_version_without_an_environment_are_verified_all_the_same(copy: Path) -> None:
    (path,) = (copy / "runs").glob("*.parquet")
    rows = pq.read_table(path)
    path.unlink()
    old = rows.drop_columns([c for c in rows.column_names if c.startswith("env_")])
    pq.write_table(old, copy / "runs" / "old.parquet")
    assert "1 identical" in invoke("verify", copy, "--sample", "1").output


def test_verify_without_data_is_one_message_and_a_read_only_folder_is_verified_all_the_same(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = invoke("verify", copy, "--data-dir", tmp_path / "nowhere")
    assert (result.exit_code, "is not a folder" in result.output) == (2, True)

    def refuse(folder: Path, verified: object) -> None:
        raise refused(folder / "verified.json", OSError(errno.EROFS, os.strerror(errno.EROFS)))

    monkeypatch.setattr(verify, "write_verifications", refuse)
    result = invoke("verify", copy, "--sample", "1")
    assert "1 of 8 runs trained again, alone: 1 identical" in result.output
    assert "can't be written" in result.output
    assert result.exit_code == 3


def test_verify_of_a_folder_without_finished_runs_is_refused(tmp_path: Path, copy: Path) -> None:
    for table in SCHEMAS:
        shutil.rmtree(copy / table)
    result = invoke("verify", copy)
    assert result.exit_code == 2
    assert "verify needs finished runs" in result.output
    result = invoke("verify", tmp_path / "nowhere")
    assert (result.exit_code, "is not a results folder" in result.output) == (2, True)


def test_diff_counts_identical_and_changed_runs_and_those_of_one_folder_only(
    whole: Path, copy: Path, tmp_path: Path
) -> None:
    result = invoke("diff", whole, copy)
    assert result.exit_code == 0
    assert result.output.splitlines()[:2] == ["     8 runs identical", "     0 runs changed"]
    runs = pd.read_parquet(copy / "runs")
    row = int((runs["status"] == "ok").to_numpy().nonzero()[0][0])
    run_id = runs["run_id"].iloc[row]
    altered(copy, "runs", lambda f: moved(f, "test_accuracy", row, 0.5), named=True)
    less = trained(tmp_path / "less", width=[3])
    result = invoke("diff", less, copy)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    moved_ids = {run_id} & set(pd.read_parquet(less / "runs")["run_id"])
    assert lines[:4] == [
        f"     {4 - len(moved_ids)} runs identical",
        f"     {len(moved_ids)} runs changed",
        f"     0 runs only in {less}",
        f"     4 runs only in {copy}",
    ]
    assert sum("width=5" in line for line in lines) == 4
    found = json.loads(invoke("diff", whole, copy, "--json").output)
    assert [r["run_id"] for r in found["runs"] if r["grade"] == DIFFERENT] == [run_id]


@pytest.mark.slow
def test_merge_joins_what_two_machines_trained(whole: Path, tmp_path: Path) -> None:
    parts = [trained(tmp_path / "a", width=[3]), trained(tmp_path / "b", replicates=1)]
    to = tmp_path / "joined" / "pairs"
    result = invoke("merge", *parts, "-o", to)
    assert result.exit_code == 0, result.output
    assert f"     4 runs from {parts[0]}\n     2 runs from {parts[1]}\n     2 runs were in several" in result.output
    assert (to / "report.md").exists()
    again = mlpbench.run(SPEC, results=to.parent)
    assert again.trained == 2
    same_tables(again.folder, whole)
    result = invoke("merge", *parts, "-o", tmp_path / "x**[y]")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x**[y]" / "report.md").exists()


def test_merge_refuses_what_differs_and_writes_nothing(whole: Path, copy: Path, tmp_path: Path) -> None:
    altered(copy, "curves", lambda f: moved(f, "loss", 0, 1e-3), named=True)
    run_id = pd.read_parquet(copy / "curves")["run_id"].iloc[0]
    result = invoke("merge", whole, copy, "-o", tmp_path / "joined")
    assert result.exit_code == 1
    assert f"1 runs of {copy} differ from {whole}" in result.output
    assert f"({run_id}): different, curves" in result.output
    assert not (tmp_path / "joined").exists()
    assert not list(tmp_path.glob(".joined*"))


@pytest.mark.slow
def test_a_failed_run_gives_way_to_a_finished_one_from_either_side(whole: Path, copy: Path, tmp_path: Path) -> None:
    def fail(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[0], ["status", "error"]] = ["failed", "out of memory"]
        return frame

    altered(copy, "runs", fail, named=True)
    for i, order in enumerate([(copy, whole), (whole, copy)]):
        to = tmp_path / str(i)
        assert invoke("merge", *order, "-o", to).exit_code == 0
        same_tables(to, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["{whole}"], "at least two folders can be merged, got 1"),
        (["{whole}", "{whole}"], "folders to be merged must differ"),
        (["{whole}", "{other}"], "folders to be merged must be of one experiment, got other and pairs"),
        (["{whole}", "{nowhere}"], "is not a results folder (no spec.yaml)"),
    ],
)
def test_merge_refuses_what_cannot_be_joined(arguments: list[str], rule: str, whole: Path, tmp_path: Path) -> None:
    other = trained(tmp_path / "results", name="other", replicates=1, width=[3], lr=[0.1])
    places = {"whole": whole, "other": other, "nowhere": tmp_path / "nowhere"}
    result = invoke("merge", *(a.format(**places) for a in arguments), "-o", tmp_path / "to")
    assert result.exit_code == 2
    assert rule in result.output
    assert not (tmp_path / "to").exists()


def test_a_joined_folder_lies_outside_those_it_is_made_of(whole: Path, copy: Path) -> None:
    result = invoke("merge", whole, copy, "-o", copy / "runs" / "joined")
    assert (result.exit_code, "must lie outside those that are merged" in result.output) == (2, True)


@pytest.mark.slow
def test_runs_that_are_not_whole_give_way_to_those_that_are(whole: Path, copy: Path, tmp_path: Path) -> None:
    """As in a folder that was copied in part."""
    shutil.rmtree(copy / "curves")
    for i, order in enumerate([(copy, whole), (whole, copy)]):
        assert invoke("merge", *order, "-o", tmp_path / str(i)).exit_code == 0
        same_tables(tmp_path / str(i), whole)


def test_merge_removes_what_a_killed_one_left_and_takes_an_empty_folder(
    whole: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "empty"
    to.mkdir()
    left, young = (tmp_path / f".empty.{digit * 32}.tmp" for digit in "01")
    left.mkdir()
    young.mkdir()
    os.utime(left, (0, 0))
    monkeypatch.chdir(to)
    result = invoke("merge", whole, copy, "-o", ".")
    assert result.exit_code == 0, result.output
    assert (to / "report.md").exists()
    assert (left.exists(), young.exists()) == (False, True)


def test_merge_never_writes_over_a_folder(whole: Path, copy: Path, tmp_path: Path) -> None:
    before = sorted(p.name for p in copy.rglob("*"))
    assert invoke("merge", whole, copy, "-o", copy).exit_code == 2
    assert sorted(p.name for p in copy.rglob("*")) == before


def test_agreement_grades_by_weights_metrics_and_the_other_tables(whole: Path) -> None:
    tables = {t: pd.read_parquet(whole / t) for t in SCHEMAS}
    ok = tables["runs"]["status"] == "ok"
    lost = {**tables, "layers": tables["layers"].iloc[1:]}
    drifted = tables["runs"].assign(weights_sha256=tables["runs"]["weights_sha256"].where(~ok, "1" * 64))
    trained = tables["curves"]["run_id"].isin(set(tables["runs"].loc[ok, "run_id"]))
    apart = tables["curves"].assign(loss=tables["curves"]["loss"].mask(trained, 9.0))
    far = drifted.assign(test_accuracy=drifted["test_accuracy"] + 0.02)
    other_accuracy = tables["runs"].assign(test_accuracy=drifted["test_accuracy"] + 0.005)
    seconds = tables["runs"].assign(train_seconds=1.0, stack_size=99, env_commit="another")
    for other, expected in [
        (tables, {IDENTICAL}),
        ({**tables, "runs": seconds}, {IDENTICAL}),
        (lost, {IDENTICAL, DIFFERENT}),
        ({**tables, "runs": drifted}, {IDENTICAL, WITHIN}),
        # On their way two trainings may be further apart than at their ends.
        ({**tables, "runs": drifted, "curves": apart}, {IDENTICAL, WITHIN}),
        ({**tables, "runs": far}, {IDENTICAL, DIFFERENT}),
        ({**tables, "runs": other_accuracy}, {IDENTICAL, DIFFERENT}),
    ]:
        found = agreement(tables, other)
        assert set(found["grade"]) == expected
        assert set(found.loc[found["grade"] == IDENTICAL, "differs"]) <= {""}


def untrained(whole: Path) -> dict[str, pd.DataFrame]:
    """Tables as of runs of no steps."""
    tables = {t: pd.read_parquet(whole / t) for t in SCHEMAS}
    return {**tables, "runs": tables["runs"][tables["runs"]["status"] == "ok"].assign(epochs=0, steps=0)}


def with_bytes(frame: pd.DataFrame, n: int) -> pd.DataFrame:
    """Predictions of which the first n are other classes."""
    return frame.assign(predicted=[bytes(b ^ 1 for b in p[:n]) + p[n:] for p in frame["predicted"]])


@pytest.mark.parametrize(
    ("table", "off", "expected"),
    [
        ("runs", lambda f: f, IDENTICAL),
        ("runs", lambda f: f.assign(test_accuracy=f["test_accuracy"] + 0.005), WITHIN),
        ("runs", lambda f: f.assign(test_accuracy=f["test_accuracy"] + 0.02), DIFFERENT),
        ("curves", lambda f: f.assign(loss=f["loss"] * 1.01), WITHIN),
        ("curves", lambda f: f.assign(loss=f["loss"] * 1.1), DIFFERENT),
        ("curves", lambda f: f.assign(accuracy=f["accuracy"] + 0.005), WITHIN),
        ("curves", lambda f: f.assign(accuracy=f["accuracy"] + 0.02), DIFFERENT),
        ("curves", lambda f: f.iloc[:0], DIFFERENT),
        ("layers", lambda f: f.assign(act_var=f["act_var"] * 1.01), WITHIN),
        ("layers", lambda f: f.assign(act_var=f["act_var"] * 1.1), DIFFERENT),
        ("layers", lambda f: f.assign(act_zero=f["act_zero"] + 0.005), WITHIN),
        ("layers", lambda f: f.assign(act_zero=f["act_zero"] + 0.02), DIFFERENT),
        ("layers", lambda f: f.assign(weight_quantiles=[q * 1.01 for q in f["weight_quantiles"]]), WITHIN),
        ("layers", lambda f: f.assign(weight_quantiles=[q * 1.1 for q in f["weight_quantiles"]]), DIFFERENT),
        ("predictions", lambda f: with_bytes(f, 1), WITHIN),
        ("predictions", lambda f: with_bytes(f, len(f["predicted"].iloc[0]) // 10), DIFFERENT),
        ("predictions", lambda f: f.assign(predicted=[p[:-1] for p in f["predicted"]]), DIFFERENT),
        ("predictions", lambda f: f.iloc[:0], DIFFERENT),
    ],
)
def test_what_follows_from_weights_that_were_never_trained_may_be_rounded_differently(
    table: str, off: Callable[[pd.DataFrame], pd.DataFrame], expected: str, whole: Path
) -> None:
    """Their digest is the same on other processors, what they give is not."""
    tables = untrained(whole)
    found = agreement(tables, {**tables, table: off(tables[table])})
    assert set(found["grade"]) == {expected}


@pytest.mark.parametrize(("by", "expected"), [(1 + 1e-6, WITHIN), (1.1, DIFFERENT)])
def test_numbers_that_were_predicted_are_compared_as_numbers(by: float, expected: str, whole: Path) -> None:
    tables = untrained(whole)
    tables["runs"] = tables["runs"].assign(test_accuracy=np.nan)
    numbers = np.linspace(1, 2, 50, dtype=np.float32)
    one, other = (tables["predictions"].assign(predicted=(numbers * np.float32(f)).tobytes()) for f in (1, by))
    found = agreement({**tables, "predictions": one}, {**tables, "predictions": other})
    assert set(found["grade"]) == {expected}


def test_a_row_that_one_side_lacks_is_none_of_rounding(whole: Path) -> None:
    tables = {t: pd.read_parquet(whole / t) for t in SCHEMAS}
    ok = tables["runs"]["status"] == "ok"
    drifted = tables["runs"].assign(weights_sha256=tables["runs"]["weights_sha256"].where(~ok, "1" * 64))
    found = agreement(tables, {**tables, "runs": drifted, "layers": tables["layers"].iloc[:0]})
    assert set(found.set_index("run_id").loc[tables["runs"].loc[ok, "run_id"], "grade"]) == {DIFFERENT}
