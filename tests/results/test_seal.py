"""What is sealed is what was written, whenever its writer is killed; what was altered is named."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.report.report import Report
from mlpbench.results import seal
from mlpbench.results.folders import read_interim_analyses
from mlpbench.results.seal import ALTERED, MISSING, NAME, flaws, write_sealed


class Killed(BaseException):
    """What a process that is killed does not live to see."""


def die_at(patch: pytest.MonkeyPatch, number: int) -> None:
    count = itertools.count()

    def dying(operation: Callable[..., Any]) -> Callable[..., Any]:
        def done(*arguments: Any, **options: Any) -> Any:
            if next(count) >= number:
                raise Killed
            return operation(*arguments, **options)

        return done

    for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink")):
        patch.setattr(owner, name, dying(getattr(owner, name)))


STEPS: list[dict[str, bytes | None]] = [
    {"spec.yaml": b"name: d"},
    {"looks.json": b"[]", "summary.json": b"{}"},
    {"looks.json": b"[1]", "summary.json": None},
]


@pytest.mark.parametrize("batched", [False, True])
def test_a_writer_killed_at_any_file_operation_leaves_files_that_their_seal_allows(
    batched: bool, tmp_path: Path
) -> None:
    """Old or new, never damaged; and what is written next is sealed."""
    for killed_at in itertools.count():
        folder = tmp_path / f"{killed_at}"
        folder.mkdir()
        done = False
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, killed_at)
            with suppress(Killed), seal.under_way(folder) if batched else nullcontext():
                for step in STEPS:
                    write_sealed(folder, step)
                done = True
        assert flaws(folder) == {}
        looks = (folder / "looks.json").read_bytes() if (folder / "looks.json").exists() else None
        assert looks in (None, b"[]", b"[1]")
        write_sealed(folder, {"verified.json": b"{}"})
        assert flaws(folder) == {}
        after = seal.read(folder)
        assert after is not None
        assert after.pending == {}
        assert set(after.files) == {p.name for p in folder.iterdir() if not p.name.startswith(".")} - {NAME}
        if done:
            break
    assert killed_at > 20


def test_what_was_altered_or_deleted_is_named_and_what_was_written_again_is_not(tmp_path: Path) -> None:
    write_sealed(tmp_path, {"spec.yaml": b"a", "looks.json": b"[]"})
    (tmp_path / "spec.yaml").write_bytes(b"b")
    (tmp_path / "looks.json").unlink()
    assert flaws(tmp_path) == {"spec.yaml": f"is damaged ({ALTERED})", "looks.json": MISSING}
    write_sealed(tmp_path, {"spec.yaml": b"a", "looks.json": b"[]"})
    assert flaws(tmp_path) == {}
    (tmp_path / "looks.json").unlink()
    os.mkfifo(tmp_path / "looks.json")
    assert flaws(tmp_path) == {"looks.json": "is damaged (it is not a regular file)"}


def test_no_bit_of_the_seal_is_flipped_unseen(tmp_path: Path) -> None:
    write_sealed(tmp_path, {"spec.yaml": b"a", "looks.json": b"[]"})
    content = (tmp_path / NAME).read_bytes()
    for place in range(len(content)):
        hurt = bytearray(content)
        hurt[place] ^= 1 << place % 7
        (tmp_path / NAME).write_bytes(hurt)
        if json.loads(content) == parsed(bytes(hurt)):
            continue  # white space between values is another
        with pytest.raises(InputError, match=r"seal\.json is damaged \("):
            seal.read(tmp_path)


def parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_a_folder_without_a_seal_gets_one_of_all_it_has(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(b"a")
    assert flaws(tmp_path) == {}
    assert "has no seal" in seal.unsealed([tmp_path])
    write_sealed(tmp_path, {"looks.json": b"[]"})
    assert seal.unsealed([tmp_path]) == ""
    (tmp_path / "spec.yaml").write_bytes(b"b")
    assert list(flaws(tmp_path)) == ["spec.yaml"]


def test_a_seal_that_lists_files_elsewhere_is_refused(tmp_path: Path) -> None:
    content = seal.Content.of(b"")
    listed = seal.Seal.model_construct(files={"../spec.yaml": content}, pending={}, parts=[])
    (tmp_path / NAME).write_text(json.dumps(listed.sealed.model_dump()))
    with pytest.raises(InputError, match=r"seal\.json is damaged"):
        flaws(tmp_path)


def test_a_figure_that_is_no_longer_the_first_one_is_no_longer_sealed(
    tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a claim another figure comes first, and the one before it is drawn anew with each run."""
    number = itertools.count()

    def drawn(report: Report) -> dict[str, bytes]:
        return {path: b"picture %d" % next(number) for path in report.drawings}

    monkeypatch.setattr(Report, "_drawn", property(drawn))
    spec: dict[str, Any] = {
        "name": "firsts",
        "question": "Which figure is first?",
        "dataset": "mnist1d",
        "fixed": {"epochs": 1, "train_size": 50},
        "factors": {"width": [3, 5]},
        "replicates": 2,
    }
    claim = {
        "id": "wider",
        "says": "Wider is better.",
        "compare": {"metric": "test_accuracy", "a": {"width": 5}, "b": {"width": 3}, "expect": "greater"},
    }
    for changes in ({}, {"claims": [claim]}, {"claims": [claim], "factors": {"width": [3, 5, 7]}}):
        mlpbench.run(spec | changes, results=tmp_path)
        assert seal.flaws(tmp_path / "firsts") == {}
    sealed = seal.read(tmp_path / "firsts")
    assert sealed is not None
    assert [name for name in sealed.files if name.startswith("figures/")] == ["figures/claim_1.png"]


@pytest.mark.parametrize(
    "change",
    [
        {"replicates": -5},
        {"replicates": 10**30},
        {"more": 1},
        {"declared": {"replicates": 0, "max_replicates": None}},
        {"seed": "x"},
    ],
)
def test_a_record_of_analyses_that_says_what_none_can_is_damaged(change: dict[str, Any], tmp_path: Path) -> None:
    """Under a right seal."""
    told = {
        "replicates": 5,
        "declared": {"replicates": 5, "max_replicates": None},
        "seed": 0,
        "conditions": ["a"],
        "claims": {},
    }
    write_sealed(tmp_path, {"looks.json": json.dumps([told]).encode()})
    (analysis,) = read_interim_analyses(tmp_path)
    assert analysis.replicates == 5
    write_sealed(tmp_path, {"looks.json": json.dumps([told | change]).encode()})
    with pytest.raises(InputError, match=r"looks\.json is damaged"):
        read_interim_analyses(tmp_path)
