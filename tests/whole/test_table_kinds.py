"""Tables of the kinds that people have, as public ones are written: each runs with `file` and `target`, or with one more option.

The option is the one that the refusal names. Every table here is made of random numbers and words, in the form of a well-known
one: its separator, its header or none, its quotes, gaps, ids, dates and marks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader

N = 90
RNG = np.random.default_rng(17)
START = RNG.bit_generator.state
Cells = list[str]


def real(low: float = 0, high: float = 50, digits: int = 2) -> Cells:
    return [f"{v:.{digits}f}" for v in RNG.uniform(low, high, N)]


def whole(low: int = 0, high: int = 90) -> Cells:
    return [str(v) for v in RNG.integers(low, high, N)]


def words(*some: str) -> Cells:
    """Return words, each of which stands there more than once."""
    return [str(v) for v in RNG.permutation(np.resize(some, N))]


def some(cells: Cells, other: str, step: int = 9) -> Cells:
    return [other if i % step == 3 else cell for i, cell in enumerate(cells)]


def quoted(cells: Cells) -> Cells:
    return [f'"{cell}"' for cell in cells]


def marked(cells: Cells) -> Cells:
    """Return numbers with a decimal comma, in quotes."""
    return quoted([cell.replace(".", ",") for cell in cells])


def lines(columns: Mapping[str, Cells] | list[Cells], separator: str = ",", end: str = "\n") -> str:
    """Return a table as text, with a header where columns have names."""
    cells = columns if isinstance(columns, list) else [[name, *column] for name, column in columns.items()]
    return "".join(separator.join(row) + end for row in zip(*cells, strict=True))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A table, its target, what is noted, and, where it is refused, what is said and the one option that it then runs with."""

    text: str
    target: str | int
    inputs: int
    file: str = "t.csv"
    notes: tuple[str, ...] = ()
    says: str = ""
    forward: Mapping[str, Any] = field(default_factory=dict)


COUNTED = [str(i + 1) for i in range(N)]
DAYS = [f"{10 + i // 10:02d}/03/2004" for i in range(N)]
NO_HEADER = "no header, line 1 {}: columns are named 1 to {} (where it has names, say `header: true`)"
IS_ROW, HAS_NUMBERS = "is a row", "has numbers and is taken for a row"
INDEX = "the first column, without a name, is an index and left out"
IMPUTED = "gaps become the median, and an input says where they are"
FOLLOW = "classes that are whole numbers must follow one another"
LONG_NAMES = [f"car {i % 80} of maker {i % 7}" for i in range(N)]
PADDED = [f"{i // 2:03d}" for i in range(N)]

KINDS: dict[str, Callable[[], Kind]] = {
    "rings, no header": lambda: Kind(text=lines([words("M", "F", "I"), real(0, 1, 3), real(0, 1, 4), words("4", "5", "9", "22")]), target=-1, inputs=5, notes=(NO_HEADER.format(IS_ROW, 4),), says=f"{FOLLOW}, got none with 6 between 4 and 22; say `task: classes` to take them as they are, or `task: number`", forward={"task": "number"}),
    "air, decimal commas": lambda: Kind(
        text=lines({"Date": DAYS, "Time": [f"{i % 24:02d}.00.00" for i in range(N)], "CO(GT)": marked(real(0, 9, 1)), "PT08.S1(CO)": whole(900, 1500), "T": marked(real(1, 30, 1))}),
        target="T", inputs=4, notes=("column 'Date': dates with the day first, as days since 1970-01-01", "column 'Time': times, as seconds since midnight", "columns 'CO(GT)', 'T': numbers with a decimal comma"),
    ),
    "air, -200 for gaps": lambda: Kind(
        text=lines({"Date": DAYS, "CO_GT": some(real(0, 9, 1), "-200", 7), "T": some(real(1, 30, 1), "-200")}), target="T", inputs=3, forward={"missing_values": [-200]},
        notes=("column 'Date': dates with the day first, as days since 1970-01-01", "10 rows without a target are left out", f"column 'CO_GT' ({{gaps}}): {IMPUTED}"),
    ),
    "bank, with an ID": lambda: Kind(text=lines({"ID": COUNTED, "age": whole(18, 90), "job": words("admin.", "unknown", "retired"), "pdays": ["-1"] * N, "y": words("yes", "no", "no")}), target="y", inputs=6, notes=("column 'ID': whole numbers, all different: an id? `drop` leaves out what is no input", "column 'pdays': one value in the training rows: its inputs are 0")),
    "bank, semicolons and quotes": lambda: Kind(text=lines({'"age"': whole(18, 90), '"job"': quoted(words("admin.", "unknown")), '"y"': quoted(words("yes", "no"))}, ";"), target="y", inputs=3, notes=("columns are separated by ';'",)),
    "prices": lambda: Kind(text=lines({"crim": real(0, 1, 5), "chas": words("0.0", "1.0"), "tax": real(200, 700, 1), "price": real(5, 50, 1)}), target="price", inputs=3),
    "tumours, with an id": lambda: Kind(text=lines({"id": [str(842302 + 977 * i) for i in range(N)], "Diagnosis": words("M", "B"), "radius_mean": real(7, 28), "concave_points_mean": real(0, 1, 5)}), target="Diagnosis", inputs=3, notes=("column 'id': whole numbers, all different: an id? `drop` leaves out what is no input",)),
    "churn, true words of several parts": lambda: Kind(text=lines({"gender": words("Female", "Male"), "SeniorCitizen": words("0", "1"), "MultipleLines": words("No phone service", "Yes", "No"), "PaymentMethod": words("Bank transfer (automatic)", "Mailed check"), "TotalCharges": real(18, 8000), "Churn": words("Yes", "No")}), target="Churn", inputs=9),
    "heights, an index of R and padded ids": lambda: Kind(
        text=lines({'""': quoted(COUNTED), '"family"': quoted([*PADDED[:-1], "136A"]), '"gender"': quoted(words("male", "female")), '"childHeight"': real(56, 79, 1)}),
        target="childHeight", inputs=-1, says="column 'family': a column must hold one kind of value, got '136A' among numbers; `missing_values: ['136A']` takes it for a gap, `words: [family]` takes all values for words", forward={"words": ["family"]}, notes=(INDEX,),
    ),
    "credit, codes without a header": lambda: Kind(text=lines([words("A11", "A12", "A14"), whole(4, 72), words("A34", "A32"), words("1", "2")]), target=-1, inputs=6, notes=(NO_HEADER.format(IS_ROW, 4),)),
    "flowers": lambda: Kind(text=lines({"sepal_length": real(4, 8, 1), "petal_width": real(0, 3, 1), "species": words("setosa", "virginica", "versicolor")}), target="species", inputs=2),
    "patients, an index of R": lambda: Kind(text=lines({'""': quoted(COUNTED), '"outcome"': quoted(words("live", "dead")), '"age"': whole(35, 70), '"smstat"': quoted(words("n", "x", "c", "nk"))}), target="outcome", inputs=5, notes=(INDEX,)),
    "digits, rows of commas at the end": lambda: Kind(
        text=lines([words("0", "1", "2", "4", "7"), *[some(["0"] * N, "255", 5) for _ in range(30)]], end="\r\n") + ",".join([""] * 31) + "\r\n", target=1, inputs=30, says=f"{FOLLOW}, got none with 3 between 0 and 7; say `task: classes`", forward={"task": "classes"}, notes=("1 line of separators alone is left out", NO_HEADER.format(HAS_NUMBERS, 31)),
    ),
    "cars, with names": lambda: Kind(text=lines({"mpg": real(9, 47, 1), "horsepower": some(real(40, 230, 1), ""), "origin": words("usa", "japan"), "name": LONG_NAMES}), target="mpg", inputs=4, says="column 'name': a column of text must have at most 50 different values, got", forward={"drop": ["name"]}, notes=(f"column 'horsepower' ({{gaps}}): {IMPUTED}",)),
    "mushrooms, one letter a word": lambda: Kind(text=lines({"class": words("e", "p"), "cap-shape": words("x", "b", "s"), "stalk-root": words("e", "?", "c"), "veil-type": ["p"] * N}), target="class", inputs=7, notes=("column 'stalk-root': '?' is read as a gap; where it is a word, name the column in `words`", "column 'stalk-root' (30): gaps are a word of their own", "column 'veil-type': one value in the training rows: its inputs are 0")),
    "penguins, rows without anything": lambda: Kind(text=lines({"species": words("Adelie", "Gentoo"), "island": words("Biscoe", "Dream"), "body_mass_g": some(whole(2700, 6300), ""), "sex": some(words("MALE", "FEMALE"), "")}), target="species", inputs=7, notes=(f"column 'body_mass_g' ({{gaps}}): {IMPUTED}", "column 'sex' (10): gaps are a word of their own")),
    "diabetes, numbers alone": lambda: Kind(text=lines([whole(0, 17), whole(44, 199), real(18, 60, 1), real(0, 2, 3), words("0", "1")]), target=-1, inputs=4, notes=(NO_HEADER.format(HAS_NUMBERS, 5),)),
    "sonar, a letter at the end": lambda: Kind(text=lines([*[real(0, 1, 4) for _ in range(6)], words("R", "M")]), target=-1, inputs=6, notes=(NO_HEADER.format(IS_ROW, 7),)),
    "tips, quotes": lambda: Kind(text=lines({'"total_bill"': real(3, 50), '"tip"': real(1, 10), '"smoker"': quoted(words("Yes", "No")), '"day"': quoted(words("Sun", "Sat", "Thur")), '"size"': whole(1, 7)}), target="tip", inputs=7),
    "passengers, true and false": lambda: Kind(text=lines({"survived": words("0", "1"), "sex": words("male", "female"), "age": some(real(1, 80, 1), ""), "adult_male": words("True", "False"), "deck": some(words("C", "B", "E"), "", 4)}), target="survived", inputs=-1, notes=(f"column 'age' ({{gaps}}): {IMPUTED}", "column 'deck' (22): gaps are a word of their own")),
    "tumours, spaces before names": lambda: Kind(text=lines({"ID number": [str(842302 + 977 * i) for i in range(N)], "diagnosis": words("M", "B"), "concave points": real(0, 1, 5), " symmetry": real(0, 1, 4)}), file="t.data", target="diagnosis", inputs=3, notes=("column 'ID number': whole numbers, all different: an id? `drop` leaves out what is no input",)),
}  # fmt: skip


def experiment(file: Path, kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    fixed = {"width": 4, "init": "he_normal", "epochs": 1}
    dataset = {"file": file, "target": kind.target, **options}
    return {
        "name": "kind",
        "question": "?",
        "dataset": dataset,
        "fixed": fixed,
        "factors": {"depth": [0, 1]},
        "replicates": 2,
    }


def test_there_is_a_table_of_each_kind() -> None:
    assert len(KINDS) == 21


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_table_of_a_kind_runs_with_at_most_one_option(make: Callable[[], Kind], tmp_path: Path) -> None:
    RNG.bit_generator.state = START  # the same table whichever tests ran before
    kind = make()
    file = tmp_path / kind.file
    file.write_text(kind.text)
    if kind.says:
        with pytest.raises(InputError) as refused:
            yaml_reader.from_mapping(experiment(file, kind, {}))
        assert kind.says in str(refused.value)
    done = mlpbench.run(experiment(file, kind, kind.forward), results=tmp_path, executor="inline", report=False)
    assert done.statuses == {"ok": 4}
    data = done.experiment.facts[0]
    gaps = {c.name: c.gaps for c in data.profile.columns if c.gaps} if data.profile else {}
    expected = [f"{kind.file}: {note.replace('{gaps}', str(next(iter(gaps.values()), 0)))}" for note in kind.notes]
    assert [note for note in data.notes if "that no training row has" not in note] == expected
    assert kind.inputs in (-1, data.n_features)
