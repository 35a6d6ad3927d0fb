"""Good files of the user's own data, ways to spoil them, and the spoilt ones: what must be said of each, and where."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HEAD = "name: own\nquestion: Is it?\n"
# Stands where the error should point, and is taken out before the experiment is written.
HERE = "§"
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


def packed(**given: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **given)
    return out.getvalue()


def stored(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="none", use_dictionary=False)
    return out.getvalue()


def array(values: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def headed(header: str, values: bytes = b"") -> bytes:
    """Return an array in npy format, version 1.0, whose header says what it likes."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + values


def shaped(shape: str, descr: str = "'<f8'") -> bytes:
    return headed(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}", bytes(480))


def edit_bytes(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) >= 1
    return content.replace(old, new)


def encrypted(content: bytes) -> bytes:
    """Set the bit that says `encrypted` in the entries of an archive's directory and before each of its members."""
    for mark, at in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        pieces = content.split(mark)
        changed = [p[: at - 4] + bytes([p[at - 4] | 1]) + p[at - 3 :] for p in pieces[1:]]
        content = mark.join([pieces[0], *changed])
    return content


def flipped(content: bytes) -> bytes:
    """Flip bits in the middle of the first compressed member."""
    start = 60
    return content[:start] + bytes(b ^ 0xFF for b in content[start : start + 20]) + content[start + 20 :]


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
    return Bad(name, content, says, f"bad.csv{place}: ", options=options)


def npz(name: str, content: bytes, place: str, *says: str, options: str = "scale: none") -> Bad:
    return Bad(name, content, says, f"bad.npz{place}: ", "bad.npz", options)


def parquet(name: str, content: bytes, place: str, *says: str, options: str = "target: kind") -> Bad:
    return Bad(name, content, says, f"bad.parquet{place}: ", "bad.parquet", options)


def spec(name: str, *says: str, options: str = "target: kind", file: str = "bad.csv") -> Bad:
    """An experiment that is wrong about a good file, at the mark, or at all it says of the data where there is none."""
    line = f"dataset: {{file: {file}, {options}}}"
    column = line.index(HERE if HERE in line else "{") + 1
    return Bad(name, CSV, says, f"own.yaml:3:{column}: ", file, options)


def numbered(values: list[Any]) -> str:
    return "a,kind\n" + "".join(f"{i % 5}.5,{v}\n" for i, v in enumerate(values))


def parted(values: list[str], name: str = "part", kinds: list[str] | None = None) -> str:
    """Return fifteen rows with a column of values in turn, before the target."""
    of = [*(kinds or ["no", "yes"]) * 8]
    return f"a,{name},kind\n" + "".join(f"{i % 5}.5,{values[i % len(values)]},{of[i]}\n" for i in range(15))


def labels(*some: str) -> np.ndarray[Any, Any]:
    """Return twenty labels: yes and no, then those given."""
    return np.array([*["yes", "no"] * 10][: 20 - len(some)] + list(some))


KINDS = ["yes", "no"] * 10
NO_GAPS = "a table must have no missing values where `missing: refuse` says so"
MERGED = [2**53 + i % 3 for i in range(20)]
WITHIN = "a whole number must lie within 2^53, so that no two become one, got "
FILES = [
    csv("gap", edited(4, ",4,", ",,"), ":4: column 'count'", NO_GAPS, "got a gap", options="target: kind, missing: refuse"),
    csv("gap-in-text", edited(5, "blue", " "), ":5: column 'colour'", NO_GAPS, options="target: kind, missing: refuse"),
    csv("none-in-text", edited(5, "blue", "None"), ":5: column 'colour'", NO_GAPS, options="target: kind, missing: refuse"),
    csv("named-gap", edited(4, ",4,", ",-999,"), ":4: column 'count'", NO_GAPS, options="target: kind, missing: refuse, missing_values: [-999]"),
    csv("gap-in-target", edited(4, "no", ""), ":4: column 'kind'", NO_GAPS, options="target: kind, missing: refuse"),
    csv("gaps-everywhere", "a,kind\n" + ",yes\n,no\n" * 5, "", "a data file must have rows without gaps", options="target: kind, missing: drop_rows"),
    csv("class-that-is-a-gap", CSV.replace(",yes", ",None"), ": column 'kind'", "it must be certain whether 'None' is a class or a gap of the target; `words: ['kind']` takes it for a class, `missing_values: ['None']` for a gap"),
    csv("class-that-is-no-answer", CSV.replace(",yes", ",?"), ": column 'kind'", "got only 'no'; 10 rows without a target are left out; '?' is read as a gap; where it is a word, name the column in `words`"),
    csv("target-of-gaps", CSV.replace(",yes", ",").replace(",no", ",?"), "", "a data file must have rows with a target, got none in 20 rows"),
    csv("inf", edited(4, ",4,", ",-inf,"), ":4: column 'count'", "a number must be finite, got '-inf' among numbers"),
    csv("too-large", edited(4, ",4,", ",1e999,"), ":4: column 'count'", "a number must be finite and fit 64 bits, got inf"),
    csv("mixed", edited(4, ",4,", ",four,"), ":4: column 'count'", "a column must hold one kind of value, got 'four' among numbers"),
    csv("mixed-text", edited(4, "red", "3"), ":4: column 'colour'", "a column must hold one kind of value, got '3' among text"),
    csv("after-a-quoted-line-break", edited(3, "red", '"red\nish"').replace(",9,", ",,", 1), ":6: column 'count'", NO_GAPS, options="target: kind, missing: refuse"),
    csv("ragged-short", edited(7, ",red", ""), ":7", "a row must have 4 values, one per column, got 3 in '"),
    csv("ragged-long", edited(7, "red", "red,red"), ":7", "a row must have 4 values, one per column, got 5 in '"),
    csv("ragged-after-a-line-break", edited(3, "red", '"red\nish"').replace(",9,", ",9,9,", 1), ":6", "got 5 in '"),
    csv("columns-twice", edited(1, "count", "length"), "", "the columns of a table must have different names, got 'length' twice"),
    csv("no-name", edited(1, "count", ""), "", "a column must have a name of its own, got '' for column 2; `header: [...]` gives names, `drop: [2]` leaves it out"),
    csv("empty", "", "", "a data file must have a header and rows, got an empty file"),
    csv("blank", "\n\n", "", "a data file must have a header and rows, got an empty file"),
    csv("header-alone", "length,kind\n", "", "a data file must have rows, got a header alone"),
    csv("two-encodings", CSV.replace("blue", "bleu é").encode() + "1.5,2,gelé,no\n".encode("latin-1"), ":22", "a text file must have one encoding, got byte 0xe9, which is no UTF-8, beside letters in UTF-8; mend it, or say which one it is"),
    csv("encoding-of-east", CSV.replace("blue", "бяЁ").encode("cp866").replace(b"\xef", b"\x81"), ":2", "the encoding of a text file must be known, got byte 0xa1, which is no UTF-8, Latin-1 or Windows-1252; say which one it is"),
    csv("not-the-encoding", CSV.replace("blue", "bleu é").encode("latin-1"), ":2", "a text file must be utf-8 throughout, got byte 0xe9", options="target: kind, encoding: utf-8"),
    csv("utf-16-without-a-mark", CSV.encode("utf-16-le"), ":1", "a text file must be text, got a zero byte; if it is UTF-16, say `encoding: utf-16-le` or `utf-16-be`"),
    csv("zero-byte", edited(3, "red", "re\0d"), ":3", "a text file must be text, got a zero byte"),
    csv("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ":2", "a text file must be text, got byte 0x1a"),
    csv("open-quote", edited(3, "red", '"red'), ":3", "a quote must be closed"),
    csv("header-without-line-break", "a,kind", "", "a data file must have rows, got a header alone"),
    csv("header-and-blank-lines", "a,kind\n\n\n", "", "a data file must have rows, got a header alone"),
    csv("inf-alone", CSV.replace("red", "inf").replace("blue", "inf"), ":2: column 'colour'", "a number must be finite, got 'inf'"),
    csv("spaces-make-two-columns", edited(1, "count", " length "), "", "the columns of a table must have different names, got 'length' twice"),
    csv("merged-classes", numbered(MERGED), ":2: column 'kind'", f"{WITHIN}'9007199254740992'; an identifier? take it out, or write it as text"),
    csv("merged-classes-below-zero", numbered([-v for v in MERGED[1:]]), ":2: column 'kind'", f"{WITHIN}'-9007199254740993'"),
    csv("whole-number-beyond-64-bits", numbered([10**30, 0, 1] * 5), ":2: column 'kind'", f"{WITHIN}'1{'0' * 30}'"),
    csv("one-class", CSV.replace(",yes", ",no"), ": column 'kind'", "a target must have different values, got only 'no'"),
    csv("target-alone", "kind\nyes\nno\nyes\n", "", "a data file must have a column beside the target, got 'kind' alone"),
    csv("one-row", "a,kind\n1,yes\n", ": column 'kind'", "got only 'yes'"),
    csv("two-rows", "a,kind\n1,yes\n2,no\n", "", "test must hold out a row of a data file and leave two for training, got 0.2 of 2 rows"),
    csv("class-left-out", numbered(["no"] * 17 + ["yes"] * 2), ": column 'kind'", "every class must be among the training rows, got no row of 'yes', of 2 in all: give it more, or a smaller test", options="target: kind, test: 0.85"),
    csv("gap-in-classes", numbered([0, 1, 3] * 5), ": column 'kind'", "classes that are whole numbers must follow one another, got none with 2 between 0 and 3", "say `task: classes`"),
    csv("classes-of-fractions", numbered([0.5, 1, 2] * 5), ": column 'kind'", "classes must be text, true and false or whole numbers, got 0.5", options="target: kind, task: classes"),
    csv("numbers-of-text", CSV, ": column 'kind'", "regression needs a target of numbers, got text", options="target: kind, task: number"),
    csv("many-classes", numbered([f"id{i}" for i in range(300)]), ": column 'kind'", "a target must have at most 256 classes, got 300 different values; an identifier?"),
    csv("class-of-a-long-name", numbered(["x" * 300, "y"] * 5), ": column 'kind'", "a class must have a name of at most 200 characters"),
    csv("identifier", "who,kind\n" + "".join(f"p{i},{i % 2}\n" for i in range(1100)), ": column 'who'", "a column of text must have at most 50 different values, got 1100 in 1100 rows; a name, an id or free text? `drop: [who]` leaves it out, `words: [who]` makes 1100 inputs of it"),
    csv("names", "who,kind\n" + "".join(f"p{i},{i % 2}\n" for i in range(20)), ": column 'who'", "the values of a column of text must come again, got 20 different ones in 20 rows"),
    csv("marks-among-text", edited(4, "red", "12%"), ":4: column 'colour'", "a column must hold one kind of value, got '12%' among text; `words: [colour]` takes all values for words"),
    csv("two-units", numbered([0, 1] * 10).replace("1.5,", "$5,").replace("2.5,", "€6,"), ":3: column 'a'", "numbers of a column must have one unit, here that of '0.5', got '$5'"),
    csv("day-or-month", edited(1, "count", "when").replace(",4,", ",03/04/2004,"), ":4: column 'when'", "a column must hold one kind of value, got '03/04/2004' among numbers"),
    csv("day-and-month", numbered([0, 1] * 10).replace(".5,", "/3/2004,").replace("0/", "5/"), ":2: column 'a'", "a date must show which number is the day, got '5/3/2004'; say `day_first: true`, or `day_first: false` where it is the second"),
    csv("no-such-day", numbered([0, 1] * 10).replace(".5,", "0-feb-2004,"), ":2: column 'a'", "a date must be one of the calendar, and a time one of the clock, got '00-feb-2004'"),
    csv("dates-of-two-forms", numbered([0, 1] * 10).replace("0.5,", "2004-03-01,").replace(".5,", " Mar 2004,"), ": column 'a'", "dates and times of a column must have one form, got '2004-03-01' and '4 Mar 2004'"),
    csv("date-among-dates", numbered([0, 1] * 10).replace(".5,", " Mar 2004,").replace("0 Mar", "later in"), ":2: column 'a'", "got 'later in 2004' among dates and times; `missing_values: ['later in 2004']` takes it for a gap"),
    csv("large-for-float32", numbered([0, 1] * 5).replace("1.5,", "1e39,"), ": column 'a'", "an input must fit float32, got 1e+39", options="target: kind, scale: none"),
    csv("large-for-a-deviation", numbered([0, 1] * 5).replace("1.5,", "1e300,"), ": column 'a'", "the standard deviation of a column must be finite, got numbers up to 1e+300"),
    csv("large-target", numbered([0.5, 1e39] * 5), ": column 'kind'", "a target must fit float32, got 1e+39"),
    csv("constant-target-of-numbers", numbered([0.5] * 10), ": column 'kind'", "a target must have different values, got only '0.5'"),
    csv("split-of-an-unknown-word", parted(["train", "test", "trian"]), ":4: column 'part'", "a split column must say in each row train, validation or test, got 'trian'; did you mean 'train'?", options="target: kind, split: part"),
    csv("split-of-numbers", parted(["0", "1", "0"]), ":2: column 'part'", "a split column must say in each row train, validation or test, got '0'; 1 and 0, or true and false, are understood where its name says of what, as is_test or is_train", options="target: kind, split: part"),
    csv("split-of-two-flags", parted(["true", "false", "true"], "test_or_train"), ":3: column 'test_or_train'", "got 'false'; 1 and 0, or true and false, are understood where", options="target: kind, split: test_or_train"),
    csv("split-without-test-rows", parted(["fit", "dev", "fit"]), ": column 'part'", "a split column must have rows for training and for testing, got none for test: 'dev', 'fit'", options="target: kind, split: part"),
    csv("split-with-one-training-row", parted(["test"] * 14 + ["fit"]), ": column 'part'", "split must leave two rows for training, got 1 row", options="target: kind, split: part"),
    csv("split-that-leaves-a-class-out", parted(["dev", "fit", "test", "fit"] * 4), ": column 'kind'", "every class must be among the training rows, got no row of 'no', all of them in test or validation rows", options="target: kind, split: part"),
    csv("split-of-gaps", parted(["", "?", "NA"]), ": column 'part'", "the column of a split must have values, got none in 15 rows", options="target: kind, split: part"),
    csv("split-alone", "kind,part\n" + "no,fit\nyes,fit\nno,test\n" * 4, "", "a data file must have an input beside 'kind' and 'part'", options="target: kind, split: part"),
    csv("one-group", parted(["p1"] * 15), ": column 'part'", "rows must be of two groups at least, so that some can be tested on, got one, 'p1'", options="target: kind, groups: part"),
    csv("groups-of-one-class", parted(["p1", "p2", "p1"], kinds=["no", "yes", "no"]), ": column 'kind'", "training rows must be of two classes at least, got only 'no'", options="target: kind, groups: part, test: 0.3"),
    csv("one-time", parted(["2004-03-01"] * 15), ": column 'part'", "time must have two values at least, so that the latest rows can be tested on, got only 2004-03-01", options="target: kind, time: part"),
    csv("time-of-words", parted(["soon", "late", "now"]), ": column 'part'", "time must be dates or numbers, got text; a date is written as 2004-03-10, `missing_values` says which values are gaps", options="target: kind, time: part"),
    csv("time-that-leaves-one-row", parted(["1"] + ["2"] * 14), ": column 'part'", "time must leave two rows for training, got 1 row", options="target: kind, time: part"),
    parquet("not-parquet", CSV.encode(), "", "a parquet file must be readable as one"),
    parquet("cut-parquet", frame()[:-100], "", "a parquet file must be readable as one"),
    parquet("null", frame(count=[1, None] * 10), ": column 'count', row 2", NO_GAPS, "got a gap", options="target: kind, missing: refuse"),
    parquet("parquet-inf", frame(length=[1.0, 2.0, np.inf] + [3.0] * 17), ": column 'length', row 3", "a number must be finite and fit 64 bits, got inf"),
    parquet("lists", frame(many=[[1, 2]] * 20), ": column 'many'", "a column must hold numbers, dates, true and false or text, got list"),
    parquet("no-utf-8", edit_bytes(stored(pa.table({"a": [1.5, 2.5] * 10, "kind": KINDS})), b"yes", b"y\xffs"), ": column 'kind'", "a column must hold what its type says, text in UTF-8, got 'Invalid UTF8"),
    parquet("no-rows-parquet", frame()[:0] + stored(pa.table({"a": pa.array([], pa.float64()), "kind": pa.array([], pa.string())})), "", "a data file must have rows, got a header alone"),
    parquet("spaces-make-two-columns-parquet", frame(**{"length ": 1.0}), "", "the columns of a table must have different names, got 'length' twice"),
    parquet("merged-parquet", frame(kind=MERGED), ": column 'kind', row 1", f"{WITHIN}9007199254740992"),
    parquet("merged-parquet-unsigned", frame(kind=np.array([0, 2**64 - 1] * 10, np.uint64)), ": column 'kind', row 2", f"{WITHIN}18446744073709551615"),
    parquet("merged-decimals", stored(pa.table({"a": KINDS, "kind": pa.array([1, 2**60] * 10, pa.decimal128(30, 0))})), ": column 'kind', row 2", f"{WITHIN}Decimal('1152921504606846976')"),
    npz("half-a-pair", arrays(x=X, y=labels("\ud800")), ": column 'y', row 20", "text must be of Unicode characters, got 0xd800"),
    npz("beyond-unicode", zipped(x=array(X), y=headed("{'descr': '<U1', 'fortran_order': False, 'shape': (20,)}", struct.pack("<20I", *[65] * 19, 0x110000))), ": column 'y', row 20", "text must be of Unicode characters, got 0x110000"),
    npz("no-text-at-all", zipped(x=array(X), y=shaped("(20,)", "'<U0'")), "", "a data file must have rows with a target, got none in 20 rows"),
    npz("na-label", arrays(x=X, y=labels("n/a")), ": column 'y', row 20", NO_GAPS, "got a gap", options="missing: refuse"),
    npz("merged", arrays(x=X, y=np.array(MERGED)), ": column 'y', row 1", f"{WITHIN}9007199254740992"),
    npz("encrypted", encrypted(arrays(x=X, y=Y)), "", "an npz file must not be encrypted, got x with a password"),
    npz("flipped-bytes", flipped(packed(x=X, y=Y)), "", "an npz file must be readable as one, got 'Error -3 while decompressing data"),
    npz("wrong-sum", edit_bytes(arrays(x=X, y=Y), array(Y), array(1 - Y)), "", "an npz file must be readable as one, got \"Bad CRC-32"),
    npz("terabytes", zipped(x=shaped("(20, 10**12)".replace("10**12", "1000000000000")), y=array(Y)), "", "x must have the bytes that its header asks for, got 480 for float64 of shape (20, 1000000000000)"),
    npz("one-row-too-many", zipped(x=shaped("(21, 3)"), y=array(Y)), "", "x must have the bytes that its header asks for, got 480 for float64 of shape (21, 3)"),
    npz("rows-below-zero", zipped(x=shaped("(-20, -3)"), y=array(Y)), "", "x must have the bytes that its header asks for, got 480 for float64 of shape (-20, -3)"),
    npz("many-rows-of-nothing", zipped(x=array(X), y=shaped("(1000000000000,)", "'<U0'")), "", "y must be numbers, true and false or text of shape (20,), one per row of x, got <U0 of shape (1000000000000,)"),
    npz("open-brackets", zipped(x=headed("(" * 100), y=array(Y)), "", "must be plain numbers, true and false or text, got a header of x that says \""),
    npz("header-of-minuses", zipped(x=headed("-" * 9000 + "1"), y=array(Y)), "", "got a header of x that says '"),
    npz("type-of-nothing", zipped(x=shaped("(20, 3)", "()"), y=array(Y)), "", "got a header of x that says '"),
    npz("later-version", zipped(x=array(X).replace(b"NUMPY\1", b"NUMPY\7"), y=array(Y)), "", "got a header of x that says 'version 7.0'"),
    npz("no-values", zipped(x=b"", y=array(Y)), "", "got a header of x that says '"),
    npz("names-of-many-lines", zipped(**{"x": array(X), "a\nb": array(Y)}), "", "got x, a\\nb"),
    npz("objects", arrays(x=X, y=np.array(["a", None] * 10, dtype=object)), "", "must be plain numbers, true and false or text, got objects, which are never unpickled"),
    npz("no-y", arrays(x=X, labels=Y), "", "an npz file must have the arrays x, y, or x_train, y_train, x_test, y_test, got x, labels"),
    npz("no-y-test", arrays(x_train=X, y_train=Y, x_test=X, y_tst=Y), "", "got x_train, y_train, x_test, y_tst; did you mean 'y_tst'?"),
    npz("lengths", arrays(x=X, y=Y[:-1]), "", "y must be numbers, true and false or text of shape (20,), one per row of x, got int64 of shape (19,)"),
    npz("flat", arrays(x=Y, y=Y), "", "x must be numbers of shape (rows, columns), got int64 of shape (20,)"),
    npz("complex", arrays(x=X + 1j, y=Y), "", "x must be numbers of shape (rows, columns), got complex128"),
    npz("no-rows", arrays(x=X[:0], y=Y[:0]), "", "x must have rows and columns, got shape (0, 3)"),
    npz("npz-nan", arrays(x=np.where(X == 6, np.nan, X), y=Y), ": column 'x[:, 0]', row 3", NO_GAPS, "got a gap", options="missing: refuse"),
    npz("widths", arrays(x_train=X, y_train=Y, x_test=X[:, :2], y_test=Y), "", "x_train and x_test must have equally many numbers per row, got 3 and 2"),
    npz("not-npz", b"PK\3\4 not a zip", "", "an npz file must be readable as one"),
    npz("not-arrays", zipped(x=b"nothing", y=b"either"), "", "must be plain numbers, true and false or text, got a header of x that says '"),
    npz("test-class", arrays(x_train=X, y_train=Y, x_test=X, y_test=Y + 1), ": column 'y_train'", "every class must be among the training rows, got no row of '2', all of them in test rows"),
    spec("no-such-target", "target must be a column of bad.csv (length, count, colour, kind), got 'knid'; did you mean 'kind'?", options="target: §knid"),
    spec("no-target", "a data set of your own is {file: PATH, target: COLUMN}, got no target for 'bad.csv'", options="scale: none"),
    spec("no-such-file", "file not found: bda.csv; did you mean 'bad.csv'?", file="§bda.csv"),
    spec("folder", "file must be a regular file, got a folder, folder.csv", file="§folder.csv"),
    spec("suffix", "file must end in .csv, .tsv, .txt, .data, .dat, which .gz or .bz2 or .xz or .zip may follow, or in .parquet, .npz, .npy, got 'own.yaml'", file="§own.yaml"),
    spec("spreadsheet", "got 'sheet.XLSX'; save the sheet as csv", file="§sheet.XLSX"),
    spec("spreadsheet-without-target", "got no target for 'sheet.XLSX'; save the sheet as csv", file="sheet.XLSX", options="scale: none"),
    spec("json", "got 'table.json'; pandas writes it as parquet: pandas.read_json('table.json').to_parquet('table.parquet')", file="§table.json"),
    spec("r", "got 'table.rds'; R writes it as csv: write.csv(readRDS('table.rds'), 'table.csv', row.names = FALSE)", file="§table.rds"),
    spec("device", "file must be a regular file, got a device, /dev/zero", file="§/dev/zero"),
    spec("pipe", "file must be a regular file, got a pipe, pipe.csv", file="§pipe.csv"),
    spec("pipe-to-test-with", "test_file must be a regular file, got a pipe, pipe.csv", options="target: kind, test_file: §pipe.csv"),
    spec("test-file-is-file", "test_file must be another file than file, got 'bad.csv'; leave it out to hold out a share", options="target: kind, test_file: §bad.csv"),
    spec("test-file-is-file-by-another-path", "test_file must be another file than file, got 'folder.csv/../bad.csv'", options="target: kind, test_file: §folder.csv/../bad.csv"),
    spec("test-file-is-a-link-to-file", "test_file must be another file than file, got 'link.csv'", options="target: kind, test_file: §link.csv"),
    spec("fingerprint", "fingerprint must be 64 hex digits, got 'abc'", options="target: kind, facts: {fingerprint: §abc, n_train: 9, n_test: 3, n_features: 2}"),
    spec("zero-byte-in-path", "file must be a path without null characters", file='§"a\\0.csv"'),
    spec("unknown-option", "unknown key 'taget'; did you mean 'target'?", options="§taget: kind"),
    spec("share-of-1", "test must be less than 1, got 1", options="target: kind, test: §1.0"),
    spec("share-of-0", "test must be greater than 0, got 0", options="target: kind, test: §0"),
    spec("scale", "scale must be 'standard', 'robust', 'minmax', 'quantile' or 'none', got 'standrd'; did you mean 'standard'?", options="target: kind, scale: §standrd"),
    spec("missing", "missing must be 'impute', 'drop_rows' or 'refuse', got 'drop'; did you mean 'drop_rows'?", options="target: kind, missing: §drop"),
    spec("words-of-no-column", "words must be a column of bad.csv (length, count, colour, kind), got 'color'; did you mean 'colour'?", options="target: kind, words: [§color]"),
    spec("words-of-a-number", "a position must be from 1 to 4, or from -4 to -1, which is the last, in bad.csv, got 9", options="target: kind, words: [§9]"),
    spec("no-missing-values", "missing_values must have at least 1 item", options="target: kind, missing_values: §[]"),
    spec("day-first", "day_first must be true or false, got 'yes'", options='target: kind, day_first: §"yes"'),
    spec("two-tests", "give one of them, got both", options="target: kind, test: 0.2, test_file: bad.csv"),
    spec("no-test-file", "test_file not found: test.csv", options="target: kind, test_file: §test.csv"),
    spec("groups-of-no-column", "groups must be a column of bad.csv (length, count, colour, kind), got 'color'; did you mean 'colour'?", options="target: kind, groups: §color"),
    spec("time-of-no-position", "a position must be from 1 to 4, or from -4 to -1, which is the last, in bad.csv, got 9", options="target: kind, time: §9"),
    spec("split-by-the-target", "split must be another column than the target, got 'kind'", options="target: kind, split: §kind"),
    spec("groups-as-an-input", "columns must leave out that of groups, which is no input, got 'colour'", options="target: kind, groups: colour, columns: [length, §colour]"),
    spec("groups-that-are-a-list", "groups must be the name of a column, or its position as a whole number, got ['colour']", options="target: kind, groups: §[colour]"),
    spec("groups-and-time", "split, groups and time each name the column that says how rows are split: give one of them, got groups and time", options="target: kind, groups: colour, time: count"),
    spec("split-and-test", "split names a column that says which rows are for testing, test is a share, test_file another file: give one of them, got split and test", options="target: kind, split: colour, test: 0.2"),
    spec("split-and-test-file", "give one of them, got split and test_file", options="target: kind, split: colour, test_file: link.csv"),
    spec("odd-blocks", "blocks must be pairs of numbers, got 3 numbers", options=f"target: kind, groups: colour, facts: §{{fingerprint: {'a' * 64}, n_train: 9, n_test: 3, n_features: 2, blocks: [3, 3, 1]}}"),
    spec("blocks-of-other-rows", "blocks must have the rows to train on, 9, got 8", options=f"target: kind, groups: colour, facts: §{{fingerprint: {'a' * 64}, n_train: 9, n_test: 3, n_features: 2, blocks: [2, 4]}}"),
]  # fmt: skip
