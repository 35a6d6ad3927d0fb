"""A table never shows a run twice, a file appears whole or not at all, and damage is named."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import write_whole
from mlpbench.results.folders import folders_below
from mlpbench.results.part_files import Journal
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.store import Store

IDS = [f"{i:016x}" for i in range(6)]


def rows_of(ids: list[str], loss: float) -> dict[str, list[dict[str, Any]]]:
    return {
        "runs": [{"run_id": i, "status": "ok", "test_loss": loss, "hidden_sizes": [3], "dropout": [0.5]} for i in ids],
        "curves": [{"run_id": i, "epoch": e, "step": e, "split": "test", "loss": loss} for i in ids for e in (0, 1)],
        "layers": [{"run_id": i, "epoch": 0, "step": 0, "layer": n, "act_mean": loss} for i in ids for n in (1, 2)],
        "predictions": [{"run_id": i, "predicted": bytes([1, 2])} for i in ids],
    }


def name_of(ids: list[str]) -> str:
    return "-".join(sorted(ids))


histories = given(
    stacks=st.lists(st.lists(st.sampled_from(IDS), min_size=1, unique=True), max_size=6),
    cut=st.integers(0, 3),
    compacted=st.sets(st.integers(0, 5)),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@histories
def test_every_table_has_the_last_rows_of_each_run_once(
    tmp_path_factory: pytest.TempPathFactory, stacks: list[list[str]], cut: int, compacted: set[int]
) -> None:
    assert_last_rows_once(tmp_path_factory.mktemp("store"), stacks, cut, compacted)


def assert_last_rows_once(folder: Path, stacks: list[list[str]], cut: int, compacted: set[int]) -> None:
    """Whatever was trained again in whatever stacks, and although one writer was killed between two tables."""
    store = Store(folder)
    with store.writing():
        orphans = rows_of(IDS[:2], -1.0)
        for table in ("predictions", "layers", "curves")[:cut]:
            rows = pa.Table.from_pylist(orphans[table], schema=SCHEMAS[table])
            pq.write_table(rows, store.folder / table / "cut-short.parquet")
    last: dict[str, float] = {}
    for loss, ids in enumerate(stacks):
        with store.writing():
            store.add(name_of(ids), rows_of(ids, float(loss)))
            if loss in compacted:
                store.compact()
                assert all(len(list((store.folder / table).iterdir())) == 1 for table in SCHEMAS)
        last |= dict.fromkeys(ids, float(loss))
    runs = store.read("runs")
    assert dict(zip(runs["run_id"], runs["test_loss"], strict=True)) == last
    assert len(runs) == len(last)
    curves = store.read("curves", list(last))
    assert sorted(curves["run_id"]) == sorted([*last, *last])
    assert all(curves["loss"] == curves["run_id"].map(last))
    assert sorted(store.read("layers", list(last))["run_id"]) == sorted([*last, *last])
    assert sorted(store.read("predictions", list(last))["run_id"]) == sorted(last)


def test_every_file_of_a_table_has_the_same_schema_even_where_columns_are_empty(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:1], 1.0))
        store.add(
            "b", {"runs": [{"run_id": IDS[1], "status": "failed"}], "curves": [], "layers": [], "predictions": []}
        )
    for table, schema in SCHEMAS.items():
        for path in (tmp_path / table).glob("*.parquet"):
            assert pq.read_schema(path).equals(schema)
    frame = pd.read_parquet(tmp_path / "runs")
    assert list(frame.columns) == SCHEMAS["runs"].names
    assert len(frame) == 2


READ = """\
import sys, pathlib, pyarrow
from mlpbench.results.store import Store
found = Store(pathlib.Path(sys.argv[1])).read("predictions", sys.argv[2:])
print(len(found), pyarrow.default_memory_pool().max_memory())
"""


@pytest.mark.slow
def test_predictions_of_a_few_runs_take_their_memory_and_not_that_of_all(tmp_path: Path) -> None:
    store, ids, examples = Store(tmp_path), [f"{i:016x}" for i in range(4_000)], 10_000
    draws = np.random.default_rng(0)
    rows = [{"run_id": i, "predicted": draws.integers(0, 10, examples, dtype=np.uint8).tobytes()} for i in ids]
    nothing: dict[str, list[dict[str, Any]]] = {table: [] for table in SCHEMAS}
    with store.writing():
        store.add("some", nothing | {"runs": rows_of(ids, 1.0)["runs"], "predictions": rows[::3] + rows[1::3]})
        store.add("others", nothing | {"predictions": rows[2::3]})
    wanted = [ids[9], ids[1], ids[-1], "f" * 16]
    found = store.read("predictions", wanted)
    stored = {row["run_id"]: row["predicted"] for row in rows}
    assert dict(zip(found["run_id"], found["predicted"], strict=True)) == {i: stored[i] for i in wanted[:3]}
    command = [sys.executable, "-c", READ, str(tmp_path), *wanted]
    n, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(n) == 3
    # Each file's dictionary has 10 MB; to read all rows takes twice their bytes.
    assert int(memory) < 1.5 * len(rows) * examples
    for empty in (store.read("predictions", wanted[3:]), store.read("predictions", [])):
        assert (len(empty), empty.columns.to_list()) == (0, SCHEMAS["predictions"].names)


@pytest.mark.parametrize("as_they_are", [None, pa.large_binary()], ids=str)
def test_predictions_that_someone_else_wrote_are_read_alike_of_some_runs_and_of_all(
    as_they_are: Any, tmp_path: Path
) -> None:
    """Other types of the same values, columns in another order, more of them, or none."""
    store = Store(tmp_path)
    with store.writing():
        store.add("ours", rows_of(IDS[:3], 1.0))
    theirs = pa.table({"extra": [1, 2], "predicted": pa.array([b"a", None], as_they_are), "run_id": IDS[3:5]})
    pq.write_table(theirs, tmp_path / "predictions" / "theirs.parquet")
    named = pa.table({"run_id": pa.array(IDS[5:], pa.large_string()).dictionary_encode()})
    pq.write_table(named, tmp_path / "predictions" / "named.parquet")
    found, every = (store.read("predictions", ids).sort_values("run_id") for ids in (IDS, None))
    assert found["run_id"].to_list() == every["run_id"].to_list() == IDS
    assert found["predicted"].isna().to_list() == every["predicted"].isna().to_list() == [False] * 4 + [True] * 2
    assert store.read("predictions", IDS[:1], ["predicted"])["predicted"].to_list() == [bytes([1, 2])]


def test_an_absent_table_reads_as_an_empty_one_with_its_columns(tmp_path: Path) -> None:
    assert list(Store(tmp_path).read("runs").columns) == SCHEMAS["runs"].names
    assert list(Store(tmp_path).read("runs", columns=["run_id", "status"]).columns) == ["run_id", "status"]


def part(folder: Path, table: str, stem: str = "") -> Path:
    """The one file of a table whose name begins so."""
    (path,) = (folder / table).glob(f"{stem}*.parquet")
    return path


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_file_with_any_one_bit_changed_is_named_set_aside_and_no_part_of_what_is_read(
    table: str, tmp_path: Path
) -> None:
    """A flipped bit in a footer leaves a file that parquet reads: a column is missing, or a page is another's."""
    store = Store(tmp_path)
    with store.writing():
        store.add("good", rows_of(IDS[:2], 1.0))
        store.add("bad", rows_of(IDS[2:4], 1.0))
    path = part(tmp_path, table, "bad")
    content = path.read_bytes()
    places = np.random.default_rng(0).permutation(8 * len(content))[:60]
    for place in places:
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)
        with pytest.raises(
            InputError, match=r"bad-\w+\.parquet .*`mlpbench run` moves it to `damaged/` and trains its runs again"
        ):
            Store(tmp_path).read(table)
        assert set(Store(tmp_path).read(table, sound=True)["run_id"]) == set(IDS[:2])
    for length in (0, 4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert list(Store(tmp_path).damaged()) == [path]
    with Store(tmp_path).writing() as damaged:
        assert list(damaged) == [path]
    assert not path.exists()
    assert [p.name for p in (tmp_path / "damaged" / table).iterdir()] == [path.name]
    assert len(Store(tmp_path).read(table)["run_id"].unique()) == 2


# Runs that are trained again, and how many file operations that takes with the compaction after it.
EXCHANGES = {"runs of two stacks": (IDS[2:4], 139), "all runs": (IDS, 43)}
# Every fifth in the quicker tests, the others in the slower ones.
CUTS = [
    pytest.param(name, number, id=f"{name}-{number}", marks=[pytest.mark.slow] * (number % 5 > 0))
    for name, (_, operations) in EXCHANGES.items()
    for number in range(operations)
]


def two_stacks(folder: Path) -> Store:
    store = Store(folder)
    with store.writing():
        store.add("first", rows_of(IDS[:3], 1.0))
        store.add("second", rows_of(IDS[3:], 1.0))
    return store


def train_again(store: Store, ids: list[str]) -> None:
    with store.writing():
        store.add("third", rows_of(ids, 2.0))
        store.compact()


@pytest.mark.parametrize(("exchange", "killed_at"), CUTS)
def test_an_exchange_that_is_cut_short_anywhere_leaves_the_old_rows_or_the_new_ones(
    exchange: str, killed_at: int, tmp_path: Path
) -> None:
    """Runs are trained again and the folder is compacted, but the process dies at some file operation."""
    store, (trained_again, _) = two_stacks(tmp_path), EXCHANGES[exchange]
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, killed_at)
        with pytest.raises(Killed):
            train_again(store, trained_again)
    seen = Store(tmp_path)
    whole(seen, trained_again)
    with seen.writing():
        pass
    whole(Store(tmp_path), trained_again)
    assert not list(tmp_path.rglob(".[!l]*"))
    assert len(pd.read_parquet(tmp_path / "runs")) == len(IDS)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_exchange_has_no_more_operations_than_it_is_cut_short_at(exchange: str, tmp_path: Path) -> None:
    store, (trained_again, operations) = two_stacks(tmp_path), EXCHANGES[exchange]
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, operations)
        train_again(store, trained_again)


def test_a_new_stack_that_is_cut_short_anywhere_has_all_its_rows_or_no_run(tmp_path: Path) -> None:
    for killed_at in itertools.count():
        store = two_stacks(tmp_path / str(killed_at))
        new = [f"{i:016x}" for i in (8, 9)]
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, killed_at)
            with suppress(Killed), store.writing():
                store.add("third", rows_of(new, 2.0))
                break
        runs = Store(store.folder).read("runs")["run_id"]
        assert set(runs) in (set(IDS), {*IDS, *new})
        for table in set(SCHEMAS) - {"runs"}:
            assert set(runs) <= set(Store(store.folder).read(table)["run_id"])
    assert killed_at > 2 * len(SCHEMAS), "a file that is written takes an fsync and a replacement at least"


class Killed(BaseException):
    """What a process that is killed does not live to see."""


def killed(*_: Any) -> None:
    raise Killed


def die_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process die at a file operation, and every one that is tried after it."""
    count = itertools.count()

    def dying(operation: Callable[..., Any]) -> Callable[..., Any]:
        def done(*arguments: Any, **options: Any) -> Any:
            if next(count) >= number:
                raise Killed
            return operation(*arguments, **options)

        return done

    for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "replace")):
        patch.setattr(owner, name, dying(getattr(owner, name)))


def whole(store: Store, trained_again: list[str]) -> None:
    """Every table has each run once, and all tables have the same training of it."""
    runs = store.read("runs").set_index("run_id")["test_loss"]
    assert sorted(runs.index) == IDS
    assert set(runs[runs == 2.0].index) in (set(), set(trained_again))
    curves, layers = store.read("curves"), store.read("layers")
    assert len(curves) == len(layers) == 2 * len(IDS)
    assert all(curves["loss"] == curves["run_id"].map(runs))
    assert all(layers["act_mean"] == layers["run_id"].map(runs))
    assert sorted(store.read("predictions")["run_id"]) == IDS


def test_a_compacted_file_is_the_same_whatever_stacks_its_runs_were_trained_in(tmp_path: Path) -> None:
    for name, order in (("one", IDS), ("other", IDS[::-1])):
        store = Store(tmp_path / name)
        with store.writing():
            for i in order:
                store.add(i, rows_of([i], 1.0))
            store.compact()
    for table in SCHEMAS:
        assert part(tmp_path / "one", table).read_bytes() == part(tmp_path / "other", table).read_bytes()


def test_a_run_that_stands_in_two_files_is_an_error_that_says_how_folders_are_joined(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:1], 1.0))
    shutil.copy(part(tmp_path, "runs"), tmp_path / "runs" / "copy.parquet")
    with pytest.raises(InputError, match=f"{IDS[0]} twice .*mlpbench merge"):
        store.read("runs")


@pytest.mark.parametrize("table", ["curves", "layers", "predictions"])
def test_rows_that_a_copied_file_doubles_are_an_error_and_are_not_compacted(table: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:2], 1.0))
    before = part(tmp_path, table)
    shutil.copy(before, tmp_path / table / "zz.parquet")
    with pytest.raises(InputError, match=r"a row must be in a table once, .*mlpbench merge"):
        store.read(table)
    with pytest.raises(InputError, match=r"a run must be in one file of a table, .*zz\.parquet"), store.writing():
        pass
    assert before.exists()


def test_a_journal_whose_new_files_are_not_there_changes_nothing(tmp_path: Path) -> None:
    """As when a folder was copied in the middle of an exchange, without its hidden files."""
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:2], 1.0))
    old = part(tmp_path, "runs")
    listed = {"new": [f"runs/b-{'0' * 16}.parquet"], "old": [f"runs/{old.name}"]}
    for content in (None, b"half a file"):
        (tmp_path / ".journal.json").write_text(json.dumps(listed))
        if content is not None:
            (tmp_path / "runs" / f".b-{'0' * 16}.parquet").write_bytes(content)
        assert len(Store(tmp_path).read("runs")) == 2
        with Store(tmp_path).writing():
            assert not (tmp_path / ".journal.json").exists()
        assert [p.name for p in (tmp_path / "runs").iterdir()] == [old.name]


def test_files_of_the_user_are_left_alone_and_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    (folder / "mine").mkdir(parents=True)
    (folder / f".joined.{'0' * 32}.tmp").mkdir()
    mine = [folder / ".notes.tmp", folder / "mine" / ".backup.parquet", folder / "runs" / ".hidden"]
    with Store(folder).writing():
        pass
    for path in mine:
        path.write_text("mine")
    with Store(folder).writing():
        pass
    assert [path.read_text() for path in mine] == ["mine"] * 3
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(precious)
    with pytest.raises(MachineError, match="can't be written"), Store(folder).writing():
        pass
    assert precious.read_text() == "precious"


def test_a_file_that_is_trained_again_to_the_same_bytes_is_sound_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:1], 1.0))
    path = part(tmp_path, "curves")
    content = path.read_bytes()
    for time in (1, 2):
        path.write_bytes(content[:-time])
        with store.writing() as damaged:
            assert list(damaged) == [path]
            store.add("a", rows_of(IDS[:1], 1.0))
        assert len(store.read("curves")) == 2
    kept = sorted((tmp_path / "damaged" / "curves").iterdir())
    assert sorted(len(content) - len(p.read_bytes()) for p in kept) == [1, 2]


def test_what_is_no_regular_file_or_has_unknown_words_is_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("good", rows_of(IDS[:1], 1.0))
    runs = tmp_path / "runs"
    os.mkfifo(runs / "pipe.parquet")
    (runs / "link.parquet").symlink_to(tmp_path / "nowhere")
    (runs / "folder.parquet").mkdir()
    pd.DataFrame({"run_id": [IDS[1]]}).to_parquet(runs / "bare.parquet")
    pd.DataFrame({"run_id": [IDS[1]], "status": ["fine"]}).to_parquet(runs / "word.parquet")
    said = {path.stem: why for path, why in Store(tmp_path).damaged().items()}
    assert said == {
        "pipe": "is not a regular file",
        "link": "is not a regular file",
        "folder": "is not a regular file",
        "bare": "is not a file of this table, it has no status",
        "word": "is damaged: a status must be one of diverged, failed, ok, got 'fine'",
    }


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    for listed in (
        "{",
        "[]",
        '{"new": ["../../etc/passwd.parquet"], "old": []}',
        '{"new": ["runs/../x.parquet"]}',
        "[" * 200_000,
    ):
        (tmp_path / ".journal.json").write_text(listed)
        with pytest.raises(InputError, match=r"journal\.json is damaged .*remove it"):
            Store(tmp_path).read("runs")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ([], ["runs/first"]),
        ([], ["curves/first", "layers/second"]),
        (["runs/second"], ["runs/first"]),
        (["curves/first"], ["runs/first"]),
        (["runs/second"], ["curves/first"]),
        (["runs/first"], ["curves/first"]),
        (["runs/first"], ["curves/first", "layers/first", "predictions/first"]),
        (["runs/first", "curves/first"], ["runs/first", "runs/second"]),
    ],
)
def test_a_journal_that_would_remove_runs_and_add_none_of_them_is_refused(
    new: list[str], old: list[str], tmp_path: Path
) -> None:
    store = two_stacks(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    names = {f"{path.parent.name}/{path.name.partition('-')[0]}": path.relative_to(tmp_path) for path in before}
    listed = {"new": [str(names[n]) for n in new], "old": [str(names[n]) for n in old]}
    (tmp_path / ".journal.json").write_text(json.dumps(listed))
    damaged = r"journal\.json is damaged \(it would remove .*remove it and run again"
    with pytest.raises(InputError, match=damaged):
        Store(tmp_path).read("runs")
    with pytest.raises(InputError, match=damaged), store.writing():
        pass
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


def test_an_exchange_of_runs_that_fail_now_may_take_their_other_rows(tmp_path: Path) -> None:
    """Cut short after the journal is there, it is finished by the next command, though nothing new is in three tables."""
    store = two_stacks(tmp_path)
    failed: dict[str, list[dict[str, Any]]] = {table: [] for table in SCHEMAS}
    failed |= {"runs": [{"run_id": i, "status": "failed"} for i in IDS]}
    with pytest.MonkeyPatch.context() as patch, suppress(Killed), store.writing():
        patch.setattr(Journal, "finish", killed)
        store.add("third", failed)
    assert (tmp_path / ".journal.json").exists()
    with Store(tmp_path).writing():
        pass
    assert set(Store(tmp_path).read("runs")["status"]) == {"failed"}
    assert Store(tmp_path).read("curves").empty


def write_while_it_goes(store: Store, what: str, then: str) -> None:
    with store.writing():
        store.write_spec("name: removed")
        store.add("first", rows_of(IDS[:2], 1.0))
        if what == "a file":
            part(store.folder, "curves").unlink()
        elif what == "spec.yaml":
            (store.folder / what).unlink()
        else:
            shutil.rmtree(store.folder / what if what == "runs" else store.folder)
        if what == "another in its place":
            with Store(store.folder).writing():
                pass
        if then in ("add", "train again"):
            store.add("second", rows_of(IDS[2:] if then == "add" else IDS[:2], 1.0))
        elif then == "compact":
            store.compact()


@pytest.mark.parametrize("what", ["folder", "another in its place", "runs", "a file", "spec.yaml"])
@pytest.mark.parametrize("then", ["nothing", "add", "train again", "compact"])
def test_what_is_removed_under_a_writer_is_noticed(what: str, then: str, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    store = Store(folder)
    with pytest.raises(MachineError, match=r"was removed or moved while .* run the same command again"):
        write_while_it_goes(store, what, then)
    if what == "folder":
        assert not folder.exists()
    with store.writing():
        store.add("first", rows_of(IDS[:2], 1.0))
    assert set(IDS[:2]) <= set(store.read("curves")["run_id"])


def test_one_process_writes_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from mlpbench.results.store import Store\n"
        "with Store(Path(sys.argv[1])).writing(): print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(MachineError, match=rf"process {process.pid} is writing to"),
            Store(tmp_path).writing(),
        ):
            pass
    finally:
        process.kill()
        process.communicate()
    with Store(tmp_path).writing():
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    why = os.strerror(number).lower()
    message = f"{tmp_path} can't be locked ({why}): its file system may have no locks; choose a folder on another one"
    with pytest.raises(MachineError) as raised, Store(tmp_path).writing():
        pass
    assert str(raised.value).startswith(message)


def test_an_experiment_may_be_called_as_the_folder_of_damaged_files(tmp_path: Path) -> None:
    for name in ("damaged", "damaged/damaged", "other", "other/damaged", ".hidden"):
        write_whole(tmp_path / name / "spec.yaml", b"")
    assert set(folders_below(tmp_path)) == {tmp_path / "damaged", tmp_path / "other"}
    assert set(folders_below(tmp_path / "damaged")) == {tmp_path / "damaged"}


def test_leftovers_of_a_killed_writer_are_neither_read_nor_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("a", rows_of(IDS[:1], 1.0))
    left = tmp_path / "runs" / f".b.parquet.{'0123' * 8}.tmp"
    left.write_bytes(b"half a file")
    assert len(store.read("runs")) == 1
    with store.writing():
        assert not left.exists()


def test_a_refused_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "page.md", b"old")
    (tmp_path / "page.md").chmod(0o644)
    folder = tmp_path / "taken.md"
    folder.mkdir()
    with pytest.raises(MachineError, match=r"taken\.md can't be written"):
        write_whole(folder, b"new")
    write_whole(tmp_path / "page.md", b"new")
    assert (tmp_path / "page.md").read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.md", "taken.md"]


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writing():
        store.add("good", rows_of(IDS[:1], 1.0))
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "runs" / "foreign.parquet")
    with pytest.raises(InputError, match=r"foreign\.parquet is not a file of this table, it has no run_id"):
        store.read("runs")
    with store.writing() as damaged:
        assert [path.name for path in damaged] == ["foreign.parquet"]
    assert list(store.read("runs")["run_id"]) == IDS[:1]
