"""A file appears whole or not at all, whatever ends its writer."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.files import UNFINISHED, read_record, read_regular, sweep, write_record, write_whole


class Killed(BaseException):
    """What a process that is killed does not live to see."""


def failing_with(error: BaseException) -> Any:
    def failing(*_: Any) -> None:
        raise error

    return failing


@pytest.mark.parametrize("operation", ["fsync", "replace"])
@pytest.mark.parametrize("before", [b"old", None])
def test_a_killed_writer_leaves_what_was_there(
    operation: str, before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(os, operation, failing_with(Killed()))
    with pytest.raises(Killed):
        write_whole(path, b"new" * 100_000)
    assert (path.read_bytes() if path.exists() else None) == before
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert [name for name in left if not UNFINISHED.fullmatch(name)] == []


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_what_was_there_and_nothing_beside_it(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, operation, failing_with(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(MachineError, match="can't be written: the disk is full"):
        write_whole(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}


def test_what_was_written_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noting(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            done.append("fsync of a folder" if folder else name)
            return operation(*arguments)

        return noted

    for name in ("mkdir", "fsync", "replace"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    write_whole(tmp_path / "new folder" / "file", b"new")
    assert done == ["mkdir", "fsync of a folder", "fsync", "replace", "fsync of a folder"]
    assert (tmp_path / "new folder" / "file").read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_syncs_no_folders_is_written_to_all_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def of_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    write_whole(tmp_path / "folder" / "file", b"new")
    assert (tmp_path / "folder" / "file").read_bytes() == b"new"


def test_a_sweep_removes_what_is_left_and_leaves_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep comes just before the file gets its name, as that of a `run` beside a `report` does."""
    left = tmp_path / f".file.{'0' * 32}.tmp"
    left.write_bytes(b"half")
    replace = os.replace

    def swept(source: Path, to: Path) -> None:
        for path in tmp_path.glob(".*.tmp"):
            sweep(path)
        replace(source, to)

    monkeypatch.setattr(os, "replace", swept)
    write_whole(tmp_path / "file", b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"new"}
    sweep(left)  # gone already: another process may sweep too


def test_a_file_that_is_swept_away_before_it_is_locked_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, swept = fcntl.flock, list[Path]()

    def late(handle: Any, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(".*.tmp"))
            swept[0].unlink()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write_whole(tmp_path / "file", b"new")
    assert swept
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"new"}


RECORD = TypeAdapter(dict[str, list[float] | None])


def test_a_record_is_read_as_it_was_written_and_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert read_record(path, RECORD, "write it again") is None
    write_record(path, {"b": [1, 2.5], "a": None})
    assert read_record(path, RECORD, "write it again") == {"a": None, "b": [1, 2.5]}
    assert path.read_text().index('"a"') < path.read_text().index('"b"')


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Invalid JSON: EOF while parsing a value"),
        (b'{"a": [1', "Invalid JSON: EOF while parsing a list"),
        (b'{"a": [1, "x"]}', "a.1: Input should be a valid number"),
        (b"[]", "Input should be"),
        (b'{"a": \xff}', "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON: recursion limit exceeded"),
    ],
)
def test_a_record_that_is_there_and_can_not_be_read_is_an_error(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_record(path, RECORD, "write it again")
    assert str(raised.value).startswith(f"{path} is damaged ({why}")
    assert str(raised.value).endswith("): write it again")


def test_nothing_but_a_regular_file_of_some_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(OSError, match="is not a regular file"):
            read_regular(tmp_path / name)
        with pytest.raises(InputError, match=r"is damaged \(it is not a regular file\): write it again"):
            read_record(tmp_path / name, RECORD, "write it again")
    (tmp_path / "file").write_bytes(bytes(11))
    assert read_regular(tmp_path / "file", most=11) == bytes(11)
    with pytest.raises(OSError, match="it has more than 10 bytes"):
        read_regular(tmp_path / "file", most=10)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")
