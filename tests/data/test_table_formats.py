"""The formats of own data: one rule for text, gaps and whole numbers, whichever a table comes in."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository import ROOT

from mlpbench.base.errors import InputError
from mlpbench.data.table.table_data import TableData
from mlpbench.data.table.table_options import TableFacts, TableOptions
from mlpbench.data.text.value_kinds import MISSING, may_be_class
from mlpbench.experiment.file import yaml_reader


def facts(file: Path, **options: Any) -> TableFacts:
    """Return what is known of a file."""
    dataset = {"file": file, **({} if file.suffix == ".npz" else {"target": "kind"}), **options}
    experiment = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset})
    assert isinstance(experiment.sources[0], TableData)
    return experiment.sources[0].file_facts


WORDS = st.sampled_from(
    ["no", "yes", " yes", "no ", "\tyes", "\u2003no", "nope", "NA", " na ", "n/a", "<NA>", "nan", "NULL", "none", "None", "?", "-", "", " ", "é"]
)  # fmt: skip


@pytest.mark.slow
@given(words=st.lists(WORDS, min_size=1, max_size=4))
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_text_is_the_same_data_or_the_same_fault_in_every_format(tmp_path: Path, words: list[str]) -> None:
    """Gaps, spaces around words, words that spaces alone tell apart, and classes that are spelt like gaps."""
    rows = ["yes", "no", "nope"] * 3 + [w for w in words for _ in range(3)]
    frame = pd.DataFrame({"x": np.arange(len(rows)) % 7 * 0.5, "kind": rows})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", x=frame[["x"]].to_numpy(), kind=np.array(rows))
    found = []
    for name in ("t.csv", "t.parquet", "t.npz"):
        try:
            known = facts(tmp_path / name, target="kind")
            found.append((known.fingerprint, known.classes))
        except InputError as error:
            place = r"^\S+/t\.\w+(:\d+)?: (column 'kind')?(, row \d+)?: "
            found.append((re.sub(place, "", str(error)), None))
    assert found[0] == found[1] == found[2]
    refused = any(may_be_class(w.strip()) for w in words)
    classes = {"yes", "no", "nope", *(w.strip() for w in words if not re.fullmatch(MISSING, w.strip()) and w.strip())}
    assert (found[0][1] is None) == refused
    assert refused or set(found[0][1] or ()) == classes


def test_consistent_spaces_around_words_are_no_part_of_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(20.0) % 7, "kind": ["yes", "no"] * 10})
    prints = []
    for kind in (frame["kind"], " " + frame["kind"] + "  "):
        frame.assign(kind=kind).to_parquet(tmp_path / "t.parquet")
        prints.append(facts(tmp_path / "t.parquet"))
    assert prints[0] == prints[1]
    assert prints[0].classes == ("no", "yes")


@pytest.mark.parametrize("largest", [2**53 - 1, 1 - 2**53])
def test_whole_numbers_are_told_apart_up_to_what_a_float_can_tell(tmp_path: Path, largest: int) -> None:
    kind = [largest, largest - (1 if largest > 0 else -1)] * 10
    pd.DataFrame({"x": np.arange(20) % 7 * 0.5, "kind": kind}).to_csv(tmp_path / "t.csv", index=False)
    assert set(facts(tmp_path / "t.csv").classes or ()) == set(map(str, kind))


def test_fractions_may_be_as_large_as_they_like(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(20) % 7 * 2.0**60, "kind": ["yes", "no"] * 10}).to_csv(tmp_path / "t.csv", index=False)
    assert len(facts(tmp_path / "t.csv").classes or ()) == 2


def test_npz_files_of_python_2_are_read_without_a_word(tmp_path: Path) -> None:
    """Their headers write whole numbers with an L, which numpy reads with a warning: here an error, there a line more."""
    y = np.arange(20) % 2
    np.savez(tmp_path / "new.npz", x=np.arange(40.0).reshape(20, 2) % 7, y=y)
    np.savez(tmp_path / "part.npz", x=np.arange(40.0).reshape(20, 2) % 7)
    with zipfile.ZipFile(tmp_path / "part.npz") as part, zipfile.ZipFile(tmp_path / "old.npz", "w") as old:
        old.writestr("x.npy", part.read("x.npy").replace(b"(20, 2), }  ", b"(20L, 2L), }"))
        with zipfile.ZipFile(tmp_path / "new.npz") as new:
            old.writestr("y.npy", new.read("y.npy"))
    assert b"20L" in (tmp_path / "old.npz").read_bytes()
    prints = {facts(tmp_path / f"{name}.npz").fingerprint for name in ("new", "old")}
    assert len(prints) == 1


def test_a_path_that_is_no_text_is_not_dumped() -> None:
    """What a folder outside the locale's encoding looks like to Python: no reader of YAML would take it."""
    options = TableOptions(file="/data/x.csv", target="kind").model_copy(update={"file": "/data/\udcc3.csv"})
    known = TableFacts(fingerprint="0" * 64, n_train=2, n_test=1, n_features=1)
    with pytest.raises(InputError, match=r"file must be a path in the locale's encoding, got '/data/\\udcc3.csv'"):
        TableData(options=options, file_facts=known).as_written(None)


def test_the_readers_do_without_the_facts_that_are_made_of_them() -> None:
    code = "import sys; import mlpbench.data.formats.table_files, mlpbench.data.table.encode"
    check = f"{code}; sys.exit('mlpbench.data.table.table_data' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0
