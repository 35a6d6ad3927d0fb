"""Notes on verdicts stand beside the verdict that they are on, and beside no other; what names nothing is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from repository import REFERENCE

from mlpbench.jobs.write_pages import read_index, write_index
from mlpbench.report.pages.verdict_notes import MOST_CHARACTERS, NAME, read_notes
from mlpbench.report.summary import Answer, Summary, read_summary

ANSWERS = (
    Answer(id="wider", says="Wider is better.", verdict="refuted", estimate="1"),
    Answer(id="later", says="Later is better.", verdict="undecided", estimate="2"),
)
SUMMARIES = {"width": Summary(name="width", question="Is wider better?", answers=ANSWERS)}


def read(folder: Path, written: Any) -> tuple[Any, list[str]]:
    (folder / NAME).write_text(written if isinstance(written, str) else json.dumps(written))
    said: list[str] = []
    return read_notes(folder, SUMMARIES, ["broken"], said.append, said.append), said


def test_a_note_is_shown_with_the_verdict_that_it_is_on_alone(tmp_path: Path) -> None:
    texts = {"wider": {"refuted": "It fits already.", "supported": "It is not large."}, "later": {"refuted": "Old."}}
    notes, said = read(tmp_path, {"width": texts})
    assert notes == {"width": {"wider": "It fits already."}}
    assert said == [
        f"{tmp_path / NAME}: the note on later of width is on refuted, and the claim is undecided: it is left out"
    ]


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_notes(tmp_path, SUMMARIES, [], pytest.fail, pytest.fail) == {}


def test_lines_are_joined_and_folders_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    notes, said = read(
        tmp_path, "broken: {any: {refuted: a}}\nwidth:\n  wider:\n    refuted: |\n      It fits\n      already.\n"
    )
    assert notes == {"width": {"wider": "It fits already."}}
    assert said == []


@pytest.mark.parametrize(
    ("written", "place", "what"),
    [
        ("[width]", "1:1", "notes must be a mapping of results folders to claims"),
        ("", "1:1", "got null"),
        ("width: no", "1:8", "notes on width must be a mapping of claims"),
        ("widht: {wider: {refuted: a}}", "1:1", "unknown results folder 'widht'; did you mean 'width'?"),
        ("width:\n  wide: {refuted: a}", "2:3", "unknown claim 'wide'; did you mean 'wider'?"),
        (
            "width:\n  wider: why",
            "2:10",
            "a note must have the verdict that it is on before it, one of supported, refuted",
        ),
        ("width:\n  wider: {refused: a}", "2:11", "unknown verdict 'refused'; did you mean 'refuted'?"),
        ("width:\n  wider: {refuted: 3}", "2:20", "a note must be text"),
        ("width:\n  wider: {refuted: ' '}", "2:20", "a note must be text"),
        (f"width:\n  wider: {{refuted: {'a' * (MOST_CHARACTERS + 1)}}}", "2:20", f"1 to {MOST_CHARACTERS} characters"),
        ("width: {wider: {refuted: a}}\nwidth: {}", "2:1", "a mapping must have a key once"),
        ("width: {wider: ", "", "not YAML"),
    ],
)
def test_what_names_nothing_is_refused_with_its_place(tmp_path: Path, written: str, place: str, what: str) -> None:
    notes, (problem,) = read(tmp_path, written)
    assert notes == {} or place == "2:1", "a key that is there twice counts once"
    assert f"{tmp_path / NAME}:{place}" in problem
    assert what in problem


def test_all_problems_are_named_at_once_and_stop_no_other_note(tmp_path: Path) -> None:
    notes, (problem,) = read(tmp_path, "a: {}\nb: {}\nwidth: {wide: {refuted: a}, wider: {refuted: It fits already.}}")
    assert [line.split(":")[1] for line in problem.splitlines() if NAME in line] == ["1", "2", "3"]
    assert notes == {"width": {"wider": "It fits already."}}


@pytest.mark.parametrize("content", [b"\xff", b"a: \x00", b"#" * 2_000_000])
def test_what_is_no_text_is_called_a_file_of_notes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    said: list[str] = []
    assert read_notes(tmp_path, SUMMARIES, [], said.append, said.append) == {}
    assert "a file of notes must" in said[0]


def test_the_index_shows_notes_escaped_and_is_written_without_those_of_a_damaged_file(tmp_path: Path) -> None:
    folder = tmp_path / "width"
    folder.mkdir()
    for name in ("spec.yaml", "summary.json", "report.md"):
        (folder / name).write_bytes((REFERENCE / "width" / name).read_bytes())
    summary = read_summary(folder)
    assert summary is not None
    claim = summary.answers[0]
    evil = "<b>wide</b> | *enough*"
    (tmp_path / NAME).write_text(json.dumps({"width": {claim.id: {claim.verdict: evil}}}))
    assert write_index(tmp_path)[1] == []
    assert r"\<b>wide\</b> \| \*enough\*" in (tmp_path / "index.md").read_text()
    page = (tmp_path / "index.html").read_text()
    assert '<em class="note">&lt;b&gt;wide&lt;/b&gt; | *enough*</em>' in page
    (tmp_path / NAME).write_text("width: 3")
    (problem,) = write_index(tmp_path)[1]
    assert "notes on width must be a mapping of claims" in problem
    assert "note" not in (tmp_path / "index.md").read_text().partition("## How")[0]


def test_every_refuted_claim_of_the_reference_results_has_a_note_and_no_note_is_left_out() -> None:
    said: list[str] = []
    index = read_index(REFERENCE, said.append, said.append)
    assert said == []
    lacking = [
        f"{entry.folder}: {row.answer.id}"
        for entry in index.entries
        for row in index.rows[entry.folder]
        if row.answer.verdict == "refuted" and not row.note
    ]
    assert lacking == []
