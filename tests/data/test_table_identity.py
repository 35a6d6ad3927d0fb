"""Fingerprints of plain tables, written out: a change of any of these orphans the results that users have stored.

They were taken down before tables could have gaps, dates, options of columns and other scales, and are not computed here:
where a table has nothing that an option applies to, and the option is at its default, the data are what they were.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpbench.experiment.file import yaml_reader


def plain(n: int = 40) -> pd.DataFrame:
    """Return a table of numbers, true and false and words, by arithmetic alone; targets of every kind."""
    i = np.arange(n)
    return pd.DataFrame(
        {
            "length": (i * 7 % 11) / 4 + i / 64,
            "count": i * 5 % 13,
            "flag": i % 3 == 0,
            "colour": np.array(["red", "Blue", "green", "ärgerlich"])[i * 3 % 4],
            "kind": np.array(["yes", "no", "maybe"])[i * i % 3],
            "price": (i * 37 % 101) / 8 - 4.5,
            "stars": 1 + i * 3 % 5,
        }
    )


def write_csv(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def write_parquet(frame: pd.DataFrame, folder: Path) -> Path:
    frame.astype({"colour": "category"}).to_parquet(folder / "t.parquet", index=False)
    return folder / "t.parquet"


def write_npz(frame: pd.DataFrame, folder: Path) -> Path:
    x = frame[["length", "count", "price"]].to_numpy()
    np.savez(folder / "t.npz", x=x, y=frame["stars"].to_numpy(), kind=frame["kind"].to_numpy("U"))
    return folder / "t.npz"


Write = Callable[[pd.DataFrame, Path], Path]
CASES: list[tuple[Write, str, dict[str, Any], int, str]] = [
    (write_csv, "kind", {}, 9, "d26603213e3d64bc0c61498fbec22e7c56cdd7452d5f9330e4ce5df1fb56fe1e"),
    (write_parquet, "kind", {}, 9, "d26603213e3d64bc0c61498fbec22e7c56cdd7452d5f9330e4ce5df1fb56fe1e"),
    (write_csv, "kind", {"scale": "none"}, 9, "ee7e93d983fb704dfa6be340bf83099904cfda1b90c1113dd4d102724dd7f0c8"),
    (write_csv, "kind", {"test": 0.5}, 9, "1be4d9d012abdf30b2de55c0dcbce92aeac0c2b801ec49c47e5473d16dfa0ae3"),
    (
        write_csv,
        "price",
        {"target_scale": "none"},
        10,
        "04c60c159b645875770e08fb30f8a10e8768699879dc854dfbe108d6ae987158",
    ),
    (write_csv, "price", {}, 10, "c1d5bfb6f5a538af872ceb39d5458a3292d3ec02f8254e5c555cf6f1e50fc482"),
    (write_csv, "stars", {}, 10, "a00eeba5578bbedc8d215d99b9ad2b66d266ababcb88f92cd12d5129078b4959"),
    (
        write_csv,
        "stars",
        {"task": "number", "target_scale": "none"},
        10,
        "8cf72732576403484a5d715a1069ac78886d1c15bddbf88cb38e152801a5e746",
    ),
    (write_csv, "flag", {}, 10, "c3243352f319abc29ed596fe5859f5109bd37b5aae298dd561296960215dd67d"),
    (write_npz, "y", {}, 3, "709e8e48a50df8062bf3ee9ed18b10751659aa04a42b7a4aad35c74819386840"),
    (
        write_npz,
        "kind",
        {"scale": "none", "test": 0.3},
        3,
        "a082e5faaf7ec38ddaf35791b73479e2d680c57b70ca319f6aeb244272f0b6b9",
    ),
]


@pytest.mark.parametrize(("write", "target", "options", "inputs", "fingerprint"), CASES)
def test_a_plain_table_has_the_fingerprint_it_always_had(
    tmp_path: Path, write: Write, target: str, options: dict[str, Any], inputs: int, fingerprint: str
) -> None:
    dataset = {"file": write(plain(), tmp_path), "target": target, **options}
    data = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset}).facts[0]
    assert (data.n_features, data.fingerprint) == (inputs, fingerprint)


def test_a_plain_pair_of_files_has_the_fingerprint_it_always_had(tmp_path: Path) -> None:
    plain()[:30].to_csv(tmp_path / "a.csv", index=False)
    plain()[30:].to_csv(tmp_path / "b.csv", index=False)
    dataset = {"file": tmp_path / "a.csv", "target": "kind", "test_file": tmp_path / "b.csv"}
    data = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset}).facts[0]
    assert data.fingerprint == "6e8527ae0b6b257997f7f5b5c682c1d28e2bce6f2e8adb722797f7d0d8be9502"


def test_data_whose_inputs_are_others_now_have_another_fingerprint(tmp_path: Path) -> None:
    """A flag that is true in all training rows was 1 there and is 0 now: results of before are of other data."""
    plain()[:30].assign(flag=True).to_csv(tmp_path / "a.csv", index=False)
    plain()[30:].to_csv(tmp_path / "b.csv", index=False)
    dataset = {"file": tmp_path / "a.csv", "target": "kind", "test_file": tmp_path / "b.csv"}
    data = yaml_reader.from_mapping({"name": "own", "question": "?", "dataset": dataset}).facts[0]
    assert data.fingerprint != "761548e5d4343fd8009ddaaeee95f7369d453d461bf009b5ed3b48b78ade433e"
