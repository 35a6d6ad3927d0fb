"""Bad files of the user's own data, by the real command line: one message with rule, value and place; nothing written."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.cli import main
from mlpbench.errors import InputError
from mlpbench.experiment import own_data, own_files, reading

HEAD = "name: own\nquestion: Is it?\n"
# Stands where the error should point, and is taken out before the experiment is written.
HERE = "§"
ROOT = Path(__file__).parents[1]
ROWS = [[5.1 + 0.3 * i % 7, i * i % 11, "red" if i % 3 else "blue", "yes" if i % 2 else "no"] for i in range(20)]
CSV = "length,count,colour,kind\n" + "".join(f"{a:.2f},{b},{c},{d}\n" for a, b, c, d in ROWS)
X, Y = np.arange(60.0).reshape(20, 3) % 7, np.arange(20) % 2


def edited(line: int, old: str, new: str) -> str:
    """Return the good table with a piece of one line replaced, counted from 1."""
    lines = CSV.splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "".join(lines)


def frame(**columns: Any) -> bytes:
    table = pd.DataFrame(ROWS, columns=["length", "count", "colour", "kind"]).assign(**columns)
    return table.to_parquet()


def arrays(**given: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **given)
    return out.getvalue()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


@dataclass(frozen=True)
class Bad:
    """A file that is wrong, what the experiment says of it, and what must be said to that."""

    name: str
    content: str | bytes
    says: tuple[str, ...]
    place: str
    file: str = "bad.csv"
    options: str = "target: kind"

    @property
    def spec(self) -> str:
        return HEAD + f"dataset: {{file: {self.file}, {self.options}}}\nreplicates: 1\n".replace(HERE, "")


def csv(name: str, content: str | bytes, place: str, *says: str, options: str = "target: kind") -> Bad:
    return Bad(name, content, says, f"(bad.csv{place})", options=options)


def npz(name: str, content: bytes, place: str, *says: str, options: str = "scale: none") -> Bad:
    return Bad(name, content, says, f"(bad.npz{place})", "bad.npz", options)


def parquet(name: str, content: bytes, place: str, *says: str) -> Bad:
    return Bad(name, content, says, f"(bad.parquet{place})", "bad.parquet")


def spec(name: str, *says: str, options: str = "target: kind", file: str = "bad.csv") -> Bad:
    """An experiment that is wrong about a good file, at the mark, or at all it says of the data where there is none."""
    line = f"dataset: {{file: {file}, {options}}}"
    column = line.index(HERE if HERE in line else "{") + 1
    return Bad(name, CSV, says, f"(own.yaml, line 3, column {column})", file, options)


def numbered(values: list[Any]) -> str:
    return "a,kind\n" + "".join(f"{i % 5}.5,{v}\n" for i, v in enumerate(values))


NO_GAPS = "a table must have no gaps"
FILES = [
    csv("gap", edited(4, ",4,", ",,"), ", column 'count', line 4", NO_GAPS, "got an empty value"),
    csv("gap-in-text", edited(5, "blue", " "), ", column 'colour', line 5", NO_GAPS),
    csv("na", edited(4, ",4,", ",NA,"), ", column 'count', line 4", NO_GAPS, "got 'NA' among numbers"),
    csv("nan", edited(4, ",4,", ",nan,"), ", column 'count', line 4", NO_GAPS, "got 'nan' among numbers"),
    csv("question-mark", edited(4, ",4,", ",?,"), ", column 'count', line 4", NO_GAPS, "got '?' among numbers"),
    csv("inf", edited(4, ",4,", ",-inf,"), ", column 'count', line 4", "a number must be finite, got '-inf' among numbers"),
    csv("too-large", edited(4, ",4,", ",1e999,"), ", column 'count', line 4", "a number must be finite and fit 64 bits, got inf"),
    csv("mixed", edited(4, ",4,", ",four,"), ", column 'count', line 4", "a column must hold one kind of value, got 'four' among numbers"),
    csv("mixed-text", edited(4, "red", "3"), ", column 'colour', line 4", "a column must hold one kind of value, got '3' among text"),
    csv("after-a-quoted-line-break", edited(3, "red", '"red\nish"').replace(",9,", ",,", 1), ", column 'count', line 6", NO_GAPS),
    csv("gap-in-target", edited(4, "no", ""), ", column 'kind', line 4", NO_GAPS),
    csv("ragged-short", edited(7, ",red", ""), ", line 7", "a row must have 4 values, one a column, got 3 in '"),
    csv("ragged-long", edited(7, "red", "red,red"), ", line 7", "a row must have 4 values, one a column, got 5 in '"),
    csv("ragged-after-a-line-break", edited(3, "red", '"red\nish"').replace(",9,", ",9,9,", 1), ", line 6", "got 5 in '"),
    csv("columns-twice", edited(1, "count", "length"), "", "the columns of a table must have different names, got 'length' twice"),
    csv("no-name", edited(1, "count", ""), "", "a column must have a name of its own, got '' for column 2", "index=False"),
    csv("empty", "", "", "a data file must have a header and rows, got an empty file"),
    csv("blank", "\n\n", "", "a data file must have a header and rows, got an empty file"),
    csv("header-alone", "length,kind\n", "", "a data file must have rows, got a header alone"),
    csv("latin-1", CSV.replace("blue", "bleu é").encode("latin-1"), ", line 2", "a csv file must be UTF-8, got byte 0xe9"),
    csv("utf-16", CSV.encode("utf-16"), ", line 1", "a csv file must be UTF-8, got byte 0xff"),
    csv("zero-byte", edited(3, "red", "re\0d"), ", line 3", "a csv file must be text, got a zero byte"),
    csv("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ", line 1", "a csv file must be UTF-8, got byte 0x89"),
    csv("semicolons", CSV.replace(",", ";"), ", line 1", "must be separated by commas, got ';'"),
    csv("open-quote", edited(3, "red", '"red'), ", the last on line 3", "a quote must be closed"),
    csv("constant", edited(1, "count", "count,same").replace("red,", "7,red,").replace("blue,", "7,blue,"), ", column 'same'", "a column must vary for scale standard, got '7' in the training rows; take it out, or say `scale: none`"),
    csv("constant-text", CSV.replace("blue", "red"), ", column 'colour'", "a column must vary for scale standard, got 'red' in all rows"),
    csv("one-class", CSV.replace(",yes", ",no"), ", column 'kind'", "a target must have different values, got only 'no'"),
    csv("target-alone", "kind\nyes\nno\nyes\n", "", "a data file must have a column beside the target, got 'kind' alone"),
    csv("one-row", "a,kind\n1,yes\n", ", column 'kind'", "got only 'yes'"),
    csv("two-rows", "a,kind\n1,yes\n2,no\n", "", "test must take a row of a data file and leave two for training, got 0.2 of 2 rows"),
    csv("class-left-out", numbered(["no"] * 17 + ["yes"] * 2), ", column 'kind'", "every class must be among the training rows, got no row of 'yes', of 2 in all: give it more, or a smaller test", options="target: kind, test: 0.85"),
    csv("gap-in-classes", numbered([0, 1, 3] * 5), ", column 'kind'", "classes that are whole numbers must follow one another, got none with 2 between 0 and 3", "say `task: classes`"),
    csv("classes-of-fractions", numbered([0.5, 1, 2] * 5), ", column 'kind'", "classes must be text, true and false or whole numbers, got 0.5", options="target: kind, task: classes"),
    csv("numbers-of-text", CSV, ", column 'kind'", "a target of numbers must hold numbers, got text", options="target: kind, task: number"),
    csv("many-classes", numbered([f"id{i}" for i in range(300)]), ", column 'kind'", "a target must have at most 256 classes, got 300 different values; an identifier?"),
    csv("class-of-a-long-name", numbered(["x" * 300, "y"] * 5), ", column 'kind'", "a class must have a name of at most 200 characters"),
    csv("identifier", "who,kind\n" + "".join(f"p{i},{i % 2}\n" for i in range(1100)), ", column 'who'", "a column of text must have at most 1000 different values, got 1100; an identifier?"),
    csv("large-for-float32", numbered([0, 1] * 5).replace("1.5,", "1e39,"), ", column 'a'", "an input must fit float32, got 1e+39", options="target: kind, scale: none"),
    csv("large-for-a-deviation", numbered([0, 1] * 5).replace("1.5,", "1e300,"), ", column 'a'", "the standard deviation of a column must be finite, got numbers up to 1e+300"),
    csv("large-target", numbered([0.5, 1e39] * 5), ", column 'kind'", "a target must fit float32, got 1e+39"),
    csv("constant-target-of-numbers", numbered([0.5] * 10), ", column 'kind'", "a target must have different values, got only '0.5'"),
    parquet("not-parquet", CSV.encode(), "", "a parquet file must be readable as one"),
    parquet("cut-parquet", frame()[:-100], "", "a parquet file must be readable as one"),
    parquet("null", frame(count=[1, None] * 10), ", column 'count', row 2", NO_GAPS, "got a null"),
    parquet("parquet-inf", frame(length=[1.0, 2.0, np.inf] + [3.0] * 17), ", column 'length', row 3", "a number must be finite and fit 64 bits, got inf"),
    parquet("date", frame(when=pd.Timestamp(2020, 1, 1)), ", column 'when'", "a column must hold numbers, true and false or text, got timestamp"),
    parquet("lists", frame(many=[[1, 2]] * 20), ", column 'many'", "a column must hold numbers, true and false or text, got list"),
    parquet("index", pd.DataFrame({"a": [1.0, 2] * 9, "kind": [0, 1] * 9}, index=[0, 2, 1, *range(3, 18)]).to_parquet(), "", "got '__index_level_0__' for column 3", "index=False"),
    npz("objects", arrays(x=X, y=np.array(["a", None] * 10, dtype=object)), "", "must be plain numbers, true and false or text, got objects, which are never unpickled"),
    npz("no-y", arrays(x=X, labels=Y), "", "an npz file must have the arrays x, y, or x_train, y_train, x_test, y_test, got x, labels"),
    npz("no-y-test", arrays(x_train=X, y_train=Y, x_test=X, y_tst=Y), "", "got x_train, y_train, x_test, y_tst; did you mean 'y_tst'?"),
    npz("lengths", arrays(x=X, y=Y[:-1]), "", "y must be numbers, true and false or text of shape (20,), one a row of x, got int64 of shape (19,)"),
    npz("flat", arrays(x=Y, y=Y), "", "x must be numbers of shape (rows, columns), got int64 of shape (20,)"),
    npz("complex", arrays(x=X + 1j, y=Y), "", "x must be numbers of shape (rows, columns), got complex128"),
    npz("no-rows", arrays(x=X[:0], y=Y[:0]), "", "x must have rows and columns, got shape (0, 3)"),
    npz("npz-nan", arrays(x=np.where(X == 6, np.nan, X), y=Y), ", column 'x[:, 0]', row 3", NO_GAPS, "got nan"),
    npz("widths", arrays(x_train=X, y_train=Y, x_test=X[:, :2], y_test=Y), "", "x_train and x_test must have as many numbers a row, got 3 and 2"),
    npz("not-npz", b"PK\3\4 not a zip", "", "an npz file must be readable as one"),
    npz("not-arrays", zipped(x=b"nothing", y=b"either"), "", "x must be numbers of shape (rows, columns), got |S7 of shape ()"),
    npz("test-class", arrays(x_train=X, y_train=Y, x_test=X, y_test=Y + 1), ", column 'y_train'", "every class must be among the training rows, got no row of '2', all of them in test rows"),
    spec("no-such-target", "target must be a column of bad.csv (length, count, colour, kind), got 'knid'; did you mean 'kind'?", options="target: §knid"),
    spec("no-target", "a data set of your own is {file: PATH, target: COLUMN}, got no target for 'bad.csv'", options="scale: none"),
    spec("no-such-file", "file must be a data file, got no file at bda.csv; did you mean 'bad.csv'?", file="§bda.csv"),
    spec("folder", "file must be a data file, got the folder folder.csv", file="§folder.csv"),
    spec("suffix", "file must end in .csv, .parquet, .npz, got 'own.yaml'", file="§own.yaml"),
    spec("device", "file must be a data file, got what is no file, /dev/zero", file="§/dev/zero"),
    spec("unknown-option", "a key here must be one of file, target, test, test_file, scale, task, facts, got 'taget'; did you mean 'target'?", options="§taget: kind"),
    spec("share-of-1", "test must be less than 1, got 1", options="target: kind, test: §1.0"),
    spec("share-of-0", "test must be greater than 0, got 0", options="target: kind, test: §0"),
    spec("scale", "scale must be 'standard' or 'none', got 'standrd'; did you mean 'standard'?", options="target: kind, scale: §standrd"),
    spec("two-tests", "give one of them, got both", options="target: kind, test: 0.2, test_file: bad.csv"),
    spec("no-test-file", "test_file must be a data file, got no file at test.csv", options="target: kind, test_file: §test.csv"),
]  # fmt: skip


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


def put(here: Path, bad: Bad) -> None:
    content = bad.content.encode() if isinstance(bad.content, str) else bad.content
    (here / (bad.file if bad.place.startswith("(bad") else "bad.csv")).write_bytes(content)
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
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 1000
    return result.stderr.rstrip("\n")


@pytest.mark.parametrize("bad", FILES, ids=[b.name for b in FILES])
def test_a_bad_data_file_is_refused(here: Path, bad: Bad) -> None:
    put(here, bad)
    message = refused(here, "run", "own.yaml")
    for words in bad.says:
        assert words in message
    assert message.endswith(bad.place)


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
    (CSV.replace("colour", "color"), ("a test file must have the columns of bad.csv, got none named 'colour'; did you mean 'color'?",), "(test.csv)"),
    (CSV.replace("colour,", "colour,size,").replace("red,", "red,1,").replace("blue,", "blue,2,"), ("a test file must have only the columns of bad.csv, got 'size' too",), "(test.csv)"),
    (CSV.replace("red", "1").replace("blue", "2"), ("a column must hold text, as in bad.csv, got numbers",), "(test.csv, column 'colour')"),
    (CSV.replace("no", "maybe"), ("every class must be among the training rows, got no row of 'maybe', all of them in test rows",), "(bad.csv, column 'kind')"),
    ("", ("a data file must have a header and rows, got an empty file",), "(test.csv)"),
    (edited(9, "red", ""), (NO_GAPS,), "(test.csv, column 'colour', line 9)"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "says", "place"), PAIRS)
def test_a_bad_test_file_is_refused(here: Path, content: str, says: tuple[str, ...], place: str) -> None:
    (here / "test.csv").write_text(content)
    put(here, csv("", CSV, "", options="target: kind, test_file: test.csv"))
    message = refused(here, "plan", "own.yaml")
    assert all(words in message for words in says)
    assert message.endswith(place)


def test_an_npz_with_test_arrays_takes_no_other_test(here: Path) -> None:
    put(here, npz("", arrays(x_train=X, y_train=Y, x_test=X, y_test=Y), "", options="test: 0.5"))
    message = refused(here, "run", "own.yaml")
    assert "test must be left out where the file has test arrays of its own, as bad.npz has, got 0.5" in message
    assert message.endswith("(own.yaml, line 3, column 32)")


def test_files_beyond_the_limit_are_refused_unread(here: Path) -> None:
    """The large one is a hole in the disk; the other unpacks to more than it shows."""
    put(here, spec(""))
    with (here / "bad.csv").open("r+b") as file:
        file.truncate(own_data.MAX_BYTES + 1)
    before = (here / "bad.csv").stat().st_size
    result = CliRunner().invoke(main, ["run", "own.yaml"])
    assert result.exit_code == 2
    assert f"file must have at most {own_data.MAX_BYTES} bytes, got {before}" in result.stderr
    (here / "bad.csv").unlink()


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    np.savez_compressed(out, x=np.zeros((1000, 5000)), y=np.arange(1000) % 2)
    assert len(out.getvalue()) < 100_000
    monkeypatch.setattr(own_files, "MAX_BYTES", 1_000_000)
    put(here, npz("", out.getvalue(), ""))
    assert "an npz file must hold at most 1000000 bytes, got 4000" in refused(here, "run", "own.yaml")


SETTINGS: list[tuple[str, tuple[str, ...], str]] = [
    ("fixed: {loss: cross_entropy}", ("loss must be one of squared_error, mse where the target is numbers, as in bad.csv, got 'cross_entropy'",), "line 4, column 15"),
    ("factors: {loss: [mse, naive_cross_entropy]}", ("where the target is numbers", "got 'naive_cross_entropy'"), "line 4, column 23"),
    ("fixed: {label_noise: 0.5}", ("label_noise must be 0 where the target is numbers, as in bad.csv, got 0.5",), "line 4, column 22"),
    ("claims: [{id: c, says: so, bound: {metric: test_accuracy, above: 0}}]", ("an accuracy needs classes, and the target of bad.csv is numbers, got 'test_accuracy'; did you mean 'test_loss', or `task: classes` in dataset?",), "line 4, column 44"),
    ("fixed: {train_size: 17}", ("train_size must be at most 16, what bad.csv has, got 17",), "line 4, column 21"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "says", "place"), SETTINGS)
def test_what_numbers_can_not_have_is_refused(here: Path, line: str, says: tuple[str, ...], place: str) -> None:
    (here / "bad.csv").write_text(CSV)
    (here / "own.yaml").write_text(HEAD + f"dataset: {{file: bad.csv, target: length}}\n{line}\n")
    message = refused(here, "run", "own.yaml")
    assert all(words in message for words in says)
    assert message.endswith(f"(own.yaml, {place})")


@pytest.mark.parametrize("wanted", ["gap", "ragged-short", "objects", "no-such-target"])
def test_the_shell_sees_one_line_and_status_2(here: Path, wanted: str) -> None:
    (bad,) = (b for b in FILES if b.name == wanted)
    put(here, bad)
    before = tree(here)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "mlpbench", "run", "own.yaml"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mlpbench: ")
    assert done.stderr.count("\n") == 1
    assert bad.says[0] in done.stderr
    assert tree(here) == before


PIECES = st.sampled_from(
    ["", ",", ",,", "\n", "\n\n", "\r", '"', '""', '"a,b"', "nan", "inf", "1e999", "-", ".", "é", "\ufeff", "\0", "true", "0x1", "1_0", ";", "\t"]
)  # fmt: skip
SEEDS: list[tuple[str, bytes]] = [
    ("x.csv", CSV.encode()),
    ("x.parquet", frame()),
    ("x.npz", arrays(x=X, kind=Y)),
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a good file with spans overwritten, cut out or doubled."""
    name, content = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 30)))
        other: Callable[[], bytes] = lambda: draw(st.binary(max_size=8) | PIECES.map(lambda p: p.encode()))  # noqa: E731
        content = content[:start] + (draw(st.sampled_from([b"", content[start:stop] * 2])) or other()) + content[stop:]
    return name, content


@given(made=damaged())
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused_never_anything_else(tmp_path: Path, made: tuple[str, bytes]) -> None:
    name, content = made
    path = tmp_path / name
    path.write_bytes(content)
    tree = {"name": "own", "question": "Is it?", "dataset": {"file": path, "target": "kind"}}
    refusal, experiment = "", None
    try:
        experiment = reading.from_mapping(tree)
    except InputError as error:
        refusal = str(error)
    if experiment is None:
        assert "\n" not in refusal
        assert name in refusal or "dataset" in refusal
        return
    again = tmp_path / "again.yaml"
    again.write_text(reading.dump(experiment, tmp_path))
    assert reading.read(again).data.fingerprint == experiment.data.fingerprint
