"""Bad files of the user's own data, by the real command line: one message with rule, value and place; nothing written."""

from __future__ import annotations

import csv as csv_module
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bad_tables import (
    CSV,
    FILES,
    HEAD,
    KINDS,
    Bad,
    X,
    Y,
    array,
    arrays,
    csv,
    edited,
    frame,
    npz,
    packed,
    spec,
    stored,
    zipped,
)
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problem_text import problem_text
from repository import ROOT

from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.data import file_errors
from mlpbench.data.formats import array_files
from mlpbench.experiment.file import yaml_reader


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("bad.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("sheet.XLSX", "table.json", "table.rds"):
        (tmp_path / name).touch()
    return tmp_path


def put(here: Path, bad: Bad) -> None:
    content = bad.content.encode() if isinstance(bad.content, str) else bad.content
    (here / (bad.file if bad.place.startswith("bad") else "bad.csv")).write_bytes(content)
    (here / "own.yaml").write_text(bad.spec)


def refused(here: Path, *arguments: str) -> str:
    """Run the command line; return its one message after checking all that holds of any refusal."""
    before = tree(here)
    result = CliRunner().invoke(main, arguments)
    assert tree(here) == before, "nothing is written"
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("mlpbench: ")
    assert problem_text(result.stderr).count("\n") in (0, 2)  # the line that is wrong, and a caret, below it
    assert len(result.stderr) < 1000
    return result.stderr.rstrip("\n")


@pytest.mark.parametrize("bad", FILES, ids=[b.name for b in FILES])
def test_a_bad_data_file_is_refused(here: Path, bad: Bad) -> None:
    put(here, bad)
    message = refused(here, "run", "own.yaml")
    for words in bad.says:
        assert words in message
    assert message.startswith(f"mlpbench: {bad.place}")


def test_names_of_cases_differ() -> None:
    assert len({b.name for b in FILES}) == len(FILES) >= 60


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("bad.csv", CSV.encode()),
        ("bad.csv", CSV.encode("utf-8-sig")),
        ("bad.csv", CSV.replace("\n", "\r\n").encode()),
        ("bad.csv", CSV.replace("\n", "\n\n").rstrip("\n").encode()),
        ("bad.csv", edited(3, "red", '"red\nish"').encode()),
        ("bad.parquet", frame()),
        ("bad.npz", arrays(x=X, kind=Y)),
        ("bad.npz", arrays(x_train=X, kind_train=Y, x_test=X, kind_test=Y)),
    ],
    ids=["csv", "bom", "crlf", "empty lines", "line break", "parquet", "npz", "npz with test"],
)
def test_a_good_data_file_is_not_refused(here: Path, file: str, content: bytes) -> None:
    """What is refused above is refused for its fault: without it the file is planned, and planning writes nothing."""
    (here / file).write_bytes(content)
    (here / "own.yaml").write_text(HEAD + f"dataset: {{file: {file}, target: kind}}\n")
    before = tree(here)
    result = CliRunner().invoke(main, ["plan", "own.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert tree(here) == before


PAIRS: list[tuple[str, tuple[str, ...], str]] = [
    (CSV.replace("colour", "color"), ("a test file must have the columns of bad.csv, got none named 'colour'; did you mean 'color'?",), "test.csv: "),
    (CSV.replace("colour,", "colour,size,").replace("red,", "red,1,").replace("blue,", "blue,2,"), ("a test file must have only the columns of bad.csv, got 'size' too",), "test.csv: "),
    (CSV.replace("red", "1").replace("blue", "2"), ("a column must hold text, as in bad.csv, got numbers",), "test.csv: column 'colour': "),
    (CSV.replace("no", "maybe"), ("every class must be among the training rows, got no row of 'maybe', all of them in test rows",), "bad.csv: column 'kind': "),
    ("", ("a data file must have a header and rows, got an empty file",), "test.csv: "),
    (edited(9, "red", "4"), ("a column must hold one kind of value, got '4' among text",), "test.csv:9: column 'colour': "),
]  # fmt: skip


@pytest.mark.parametrize(("content", "says", "place"), PAIRS)
def test_a_bad_test_file_is_refused(here: Path, content: str, says: tuple[str, ...], place: str) -> None:
    (here / "test.csv").write_text(content)
    put(here, csv("", CSV, "", options="target: kind, test_file: test.csv"))
    message = refused(here, "plan", "own.yaml")
    assert all(words in message for words in says)
    assert message.startswith(f"mlpbench: {place}")


def test_an_npz_with_test_arrays_takes_no_other_test(here: Path) -> None:
    put(here, npz("", arrays(x_train=X, y_train=Y, x_test=X, y_test=Y), "", options="test: 0.5"))
    message = refused(here, "run", "own.yaml")
    assert "test must be left out where the file has test arrays of its own, as bad.npz has, got 0.5" in message
    assert message.startswith("mlpbench: own.yaml:3:32: ")


def test_files_beyond_the_limit_are_refused_unread(here: Path) -> None:
    """The large one is a hole in the disk; the other unpacks to more than it shows."""
    put(here, spec(""))
    with (here / "bad.csv").open("r+b") as file:
        file.truncate(file_errors.MAX_BYTES + 1)
    before = (here / "bad.csv").stat().st_size
    result = CliRunner().invoke(main, ["run", "own.yaml"])
    assert result.exit_code == 2
    assert f"file must have at most {file_errors.MAX_BYTES} bytes, got {before}" in result.stderr
    (here / "bad.csv").unlink()


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(x=np.zeros((1000, 5000)), y=np.arange(1000) % 2)
    assert len(content) < 100_000
    monkeypatch.setattr(array_files, "MAX_BYTES", 1_000_000)
    put(here, npz("", content, ""))
    assert "an npz file must hold at most 1000000 bytes, got 4000" in refused(here, "run", "own.yaml")


def test_reading_a_csv_file_leaves_the_limit_of_the_csv_module(here: Path) -> None:
    (here / "bad.csv").write_text(CSV)
    (here / "own.yaml").write_text(HEAD + "dataset: {file: bad.csv, target: kind}\n")
    before = csv_module.field_size_limit(1000)
    try:
        assert CliRunner().invoke(main, ["plan", "own.yaml"]).exit_code == 0
        (here / "bad.csv").write_text(edited(4, ",4,", ",four,"))
        refused(here, "plan", "own.yaml")
        assert csv_module.field_size_limit() == 1000
    finally:
        csv_module.field_size_limit(before)


SETTINGS: list[tuple[str, tuple[str, ...], str]] = [
    ("fixed: {loss: cross_entropy}", ("loss must be one of squared_error, mse where the target is numbers, as in bad.csv, got 'cross_entropy'",), "4:15"),
    ("factors: {loss: [mse, naive_cross_entropy]}", ("where the target is numbers", "got 'naive_cross_entropy'"), "4:23"),
    ("fixed: {label_noise: 0.5}", ("label_noise must be 0 where the target is numbers, as in bad.csv, got 0.5",), "4:22"),
    ("claims: [{id: c, says: so, bound: {metric: test_accuracy, above: 0}}]", ("accuracy needs classes, and the target of bad.csv is numbers, got 'test_accuracy'; did you mean 'test_loss', or `task: classes` in dataset?",), "4:44"),
    ("fixed: {train_size: 17}", ("train_size must be at most 16, what bad.csv has, got 17",), "4:21"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "says", "place"), SETTINGS)
def test_what_numbers_can_not_have_is_refused(here: Path, line: str, says: tuple[str, ...], place: str) -> None:
    (here / "bad.csv").write_text(CSV)
    (here / "own.yaml").write_text(HEAD + f"dataset: {{file: bad.csv, target: length}}\n{line}\n")
    message = refused(here, "run", "own.yaml")
    assert all(words in message for words in says)
    assert message.startswith(f"mlpbench: own.yaml:{place}: ")


def shell(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    arguments = [sys.executable, "-m", "mlpbench", command, "own.yaml"]
    return subprocess.run(arguments, env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    "wanted", ["gap", *(pytest.param(w, marks=pytest.mark.slow) for w in ("ragged-short", "objects", "no-such-target"))]
)
def test_the_shell_sees_the_message_and_status_2(here: Path, wanted: str) -> None:
    (bad,) = (b for b in FILES if b.name == wanted)
    put(here, bad)
    before = tree(here)
    done = shell(here, "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mlpbench: ")
    assert done.stderr.count("\n") in (1, 3)
    assert bad.says[0] in done.stderr
    assert tree(here) == before


PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_path_that_the_locale_can_not_spell_is_refused_with_its_name(here: Path) -> None:
    (here / "größe.csv").write_text(CSV)
    (here / "own.yaml").write_text(HEAD + "dataset: {file: größe.csv, target: kind}\n", encoding="utf-8")
    before = tree(here)
    done = shell(here, "run", **PLAIN_C)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem_text(done.stderr).count("\n") == 2
    assert "file must be a path in the locale's encoding" in done.stderr
    assert "which is ascii; where that is not utf-8, set LC_ALL=C.UTF-8 or PYTHONUTF8=1" in done.stderr
    assert tree(here) == before


@pytest.mark.slow
def test_a_folder_that_the_locale_can_not_spell_does_no_harm(here: Path) -> None:
    folder = here / "größe"
    folder.mkdir()
    (folder / "bad.csv").write_text(CSV)
    (folder / "own.yaml").write_text(HEAD + "dataset: {file: bad.csv, target: kind}\n")
    done = shell(folder, "plan", **PLAIN_C)
    assert (done.returncode, done.stderr) == (0, "")
    shutil.move(folder / "bad.csv", folder / "good.csv")
    done = shell(folder, "plan", **PLAIN_C)
    assert done.returncode == 2
    assert "file not found: bad.csv" in done.stderr


PIECES = st.sampled_from(
    ["", ",", ",,", "\n", "\n\n", "\r", '"', '""', '"a,b"', "nan", "inf", "1e999", "-", ".", "é", "\ufeff", "\0", "true", "0x1", "1_0", ";", "\t"]
)  # fmt: skip
WORDY = pa.table({"length": [float(i % 7) for i in range(20)], "kind": KINDS})
SEEDS: list[tuple[str, bytes]] = [
    ("x.csv", CSV.encode()),
    ("x.parquet", frame()),
    ("x.parquet", stored(WORDY)),
    ("x.npz", arrays(x=X, kind=Y)),
    ("x.npz", packed(x=X, kind=np.array(KINDS))),
]
MEMBERS = {"x": array(X), "kind": array(np.array(KINDS))}


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """Overwrite spans of a file, cut them out or double them."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 30)))
        other: Callable[[], bytes] = lambda: draw(st.binary(max_size=8) | PIECES.map(lambda p: p.encode()))  # noqa: E731
        content = content[:start] + (draw(st.sampled_from([b"", content[start:stop] * 2])) or other()) + content[stop:]
    return content


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a spoilt file, or an archive that is whole around a spoilt array: its sums then do not give it away."""
    if draw(st.integers(0, len(SEEDS))):
        name, content = draw(st.sampled_from(SEEDS))
        return name, draw(spoilt(content))
    member = draw(st.sampled_from(sorted(MEMBERS)))
    return "x.npz", zipped(**MEMBERS | {member: draw(spoilt(MEMBERS[member]))})


@pytest.mark.slow
@given(made=damaged())
@settings(max_examples=1200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused_never_anything_else(tmp_path: Path, made: tuple[str, bytes]) -> None:
    name, content = made
    path = tmp_path / name
    path.write_bytes(content)
    tree = {"name": "own", "question": "Is it?", "dataset": {"file": path, "target": "kind"}}
    refusal, experiment = "", None
    try:
        experiment = yaml_reader.from_mapping(tree)
    except InputError as error:
        refusal = str(error)
    if experiment is None:
        assert "\n" not in problem_text(refusal)
        assert name in refusal or "dataset" in refusal
        return
    again = tmp_path / "again.yaml"
    again.write_text(yaml_reader.dump(experiment, tmp_path))
    assert yaml_reader.read(again).facts[0].fingerprint == experiment.facts[0].fingerprint
