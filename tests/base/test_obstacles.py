"""What is in the way of a folder or a file is named, with what to do about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mlpbench.base import obstacles
from mlpbench.base.errors import MachineError
from mlpbench.base.files import write_whole


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file, a folder, a loop, and links to a folder and to nothing."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    for name, to in {"loop": "loop", "dangling": "nowhere", "link": "folder", "file_link": "file"}.items():
        os.symlink(to, name)
    return tmp_path


@pytest.mark.parametrize("path", ["new", "new/deep", "folder", "folder/new", "link", "link/new", ".", "../other"])
def test_nothing_is_in_the_way_of_what_can_be_made(here: Path, path: str) -> None:
    assert obstacles.of_folder(Path(path)) is None
    assert obstacles.of_file(Path(path) / "f") is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("file", "file is a file: remove or rename it"),
        ("file/x/y", "file is a file: remove or rename it"),
        ("file_link/x", "file_link is a symlink to a file: remove or rename it"),
        ("loop", "loop is a symlink that leads to itself: remove or rename it"),
        ("loop/x", "loop is a symlink that leads to itself: remove or rename it"),
        ("dangling/x", "dangling is a symlink to nowhere, which is not there: remove or rename it"),
        ("x" * 300, " of 300 bytes is longer than the 255 that the file system takes: choose a shorter one"),
        (
            f"new/{'x' * 300}/new",
            " of 300 bytes is longer than the 255 that the file system takes: choose a shorter one",
        ),
    ],
)
def test_what_is_in_the_way_is_named(here: Path, path: str, says: str) -> None:
    found = obstacles.of_folder(Path(path))
    assert found is not None
    assert found.refusal.endswith(says)
    assert obstacles.of_file(Path(path) / "f") == found
    with pytest.raises(MachineError) as raised:
        write_whole(Path(path) / "f", b"")
    assert found.refusal in str(raised.value)


def test_a_folder_is_in_the_way_of_a_file(here: Path) -> None:
    found = obstacles.of_file(Path("folder"))
    assert found is not None
    assert found.words == "folder is a folder"
    assert obstacles.of_file(Path("file")) is None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("folder", "folder can't be written: it is a folder: remove or rename it; finished work is kept"),
        ("file/x", "file/x can't be written: file is a file: remove or rename it; finished work is kept"),
        ("dangling/x", "can't be written: dangling is a symlink to nowhere, which is not there: remove or rename it"),
    ],
)
def test_a_writer_names_what_is_in_its_way(here: Path, path: str, says: str) -> None:
    """To run the same command again, as is said of a full disk, would not help."""
    with pytest.raises(MachineError) as raised:
        write_whole(Path(path), b"")
    assert says in str(raised.value)
    assert "run the same command again" not in str(raised.value)
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno in {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}
