"""Files of named data that are damaged, other than the catalogue has them, or out to do harm: one message, nothing kept."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_archives import N_TEST, Small, as_idx, as_tar, as_zip, in_place, same, untarred, unzipped

from mlpbench.base.errors import InputError
from mlpbench.data.data_sets import lookup
from mlpbench.data.named.catalogue import CATALOGUE


@pytest.fixture(autouse=True)
def no_user_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPBENCH_DATA", raising=False)


@pytest.fixture(params=CATALOGUE)
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Small:
    """Each data set of the catalogue, small, in its place."""
    return in_place(request.param, monkeypatch)


def refused(made: Small, tmp_path: Path) -> str:
    """Return what is said of the files of a data set in a folder, of which nothing is kept."""
    name, mine = made.source.name, made.put(tmp_path / "mine")
    with pytest.raises(InputError) as error:
        lookup(name).load(data_dir=mine, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    message = str(error.value)
    assert error.value.status == 2
    assert "\n" not in message
    assert made.source.home in message
    assert all(file in message for file in made.source.files)
    return message


@pytest.mark.parametrize("how", ["cut short", "altered", "longer", "missing", "empty"])
def test_files_that_are_not_those_of_the_catalogue_are_refused(how: str, made: Small, tmp_path: Path) -> None:
    name = list(made.source.files)[-1]
    content = made.files.pop(name)
    spoilt = {
        "cut short": content[:-9],
        "altered": content[:40] + bytes([content[40] ^ 1]) + content[41:],
        "longer": content + b"x",
        "empty": b"",
    }
    if how in spoilt:
        made.files[name] = spoilt[how]
        assert f"{name} is not the {name} of {made.source.title}: SHA-256 of the" in refused(made, tmp_path)
    else:
        lacks = "has none of the files" if len(made.source.files) == 1 else f"lacks {name}"
        assert f"mine {lacks}" in refused(made, tmp_path)


def members(made: Small) -> dict[str, bytes]:
    """Return the members of the only file."""
    ((name, content),) = made.files.items()
    return unzipped(content) if name.endswith(".zip") else untarred(content)


def repacked(made: Small, inside: Mapping[str, Any]) -> Small:
    (name,) = made.files
    return made.with_files({name: (as_zip if name.endswith(".zip") else as_tar)(inside)})


def without_last(made: Small) -> Small:
    return repacked(made, dict(list(members(made).items())[:-1]))


def cut(made: Small) -> Small:
    return made.with_files({name: content[: len(content) // 2] for name, content in made.files.items()})


def last_cut(made: Small) -> Small:
    *rest, (name, content) = members(made).items()
    return repacked(made, {**dict(rest), name: content[:-9]})


def last_a_link(made: Small) -> Small:
    *rest, (name, _) = members(made).items()
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return repacked(made, {**dict(rest), name: link})


def nonsense(made: Small) -> Small:
    return made.with_files(dict.fromkeys(made.files, b"no archive at all"))


def gzipped(content: bytes) -> Callable[[Small], Small]:
    """Return what puts a content in the place of the last file's."""
    return lambda made: made.with_files({**made.files, list(made.files)[-1]: gzip.compress(content)})


def fewer(made: Small) -> Small:
    return replace(made, source=replace(made.source, n_test=N_TEST + 1))


CORRUPT = [
    ("emnist_digits", without_last, "gzip.zip is corrupt: an archive must have gzip/emnist-digits-test-labels"),
    ("emnist_digits", cut, "gzip.zip is corrupt: damaged archive (File is not a zip file)"),
    ("emnist_digits", last_cut, "gzip.zip is corrupt: damaged gzip stream"),
    ("emnist_digits", nonsense, "gzip.zip is corrupt: damaged archive"),
    ("cifar10", without_last, "tar.gz is corrupt: an archive must have cifar-10-batches-bin/test_batch.bin"),
    ("cifar10", last_a_link, "tar.gz is corrupt: an archive must have cifar-10-batches-bin/test_batch.bin"),
    ("cifar10", cut, "tar.gz is corrupt: damaged archive"),
    ("cifar10", last_cut, "cannot be read as CIFAR-10: cannot reshape"),
    ("cifar10", nonsense, "tar.gz is corrupt: damaged archive (not a gzip file)"),
    ("cifar10", fewer, "cannot be read as CIFAR-10: x_test must have shape (61, 90), got (60, 90)"),
    ("kmnist", cut, "train-images-idx3-ubyte.gz is corrupt: damaged gzip stream"),
    ("kmnist", fewer, "cannot be read as KMNIST: x_test must have shape (61, 30), got (60, 30)"),
    ("kmnist", gzipped(as_idx(np.full(N_TEST, 10, np.uint8))), "classes must be 0 to 9, got 10 to 10 in t10k-labels"),
    ("kmnist", gzipped(as_idx(np.zeros(9, np.uint8))), "y_test must have shape (60,), got (9,)"),
    ("kmnist", gzipped(as_idx(np.zeros(9, np.uint8))[:-1]), "got 16: truncated"),
    ("qmnist", gzipped(as_idx(np.full((N_TEST, 8), -1, ">i4"))), "classes must be 0 to 9, got -1 to -1 in qmnist-test"),
    ("emnist_letters", lambda made: replace(made, source=replace(made.source, first_class=0)), "0 to 25, got 1 to 26"),
    ("emnist_letters", lambda made: replace(made, source=replace(made.source, sideways=False)), "of shape (6, 5), got uint8 of shape (5, 6)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "says"), CORRUPT)
def test_what_the_right_checksum_does_not_save_is_one_message_too(
    name: str, change: Callable[[Small], Small], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert says in refused(in_place(name, monkeypatch, change), tmp_path)


@pytest.mark.parametrize("name", ["emnist_digits", "cifar10"])
def test_no_member_of_an_archive_is_ever_written_to_its_path(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outside = [str(tmp_path / "absolute"), "../beside", "../../above", "gzip/../../up"]

    def add(made: Small) -> Small:
        return repacked(made, dict.fromkeys(outside, b"evil") | members(made))

    made = in_place(name, monkeypatch, add)
    mine = made.put(tmp_path / "deep" / "er" / "mine")
    before = set(tmp_path.rglob("*"))
    assert same(lookup(name).load(data_dir=mine, cache_dir=tmp_path / "cache"), made)
    assert {p for p in set(tmp_path.rglob("*")) - before if not p.is_relative_to(tmp_path / "cache")} == set()
