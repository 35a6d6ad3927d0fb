"""The summary of a report says what the report says, in keys that stay, and is not read where it is not one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from arithmetic_tables import make, spec, width_tables
from reports import report_of

from mlpbench.report.answer.claim_flags import would_decide
from mlpbench.report.answer.plain_words import plainly
from mlpbench.report.claim_answers import numbers_of
from mlpbench.report.summary import NAME, FirstFigure, Summary, read_summary
from mlpbench.report.topic_order import topic_of
from mlpbench.report.words import estimate_cell


def test_the_summary_has_the_verdicts_the_answers_the_runs_and_the_first_figure() -> None:
    report = report_of(width_tables())
    assert report.context is not None
    verdicts = report.context.verdicts
    content = json.loads(report.summary.content)
    keys = ["answers", "benchmarks", "figure", "format", "name", "question", "runs", "topic", "verdicts"]
    assert list(content) == keys
    assert content["format"] == 1
    assert (content["name"], content["question"]) == ("width", report.title)
    assert content["topic"] == topic_of(report.context.experiment)
    assert content["runs"] == {"ok": 40}
    assert sum(content["verdicts"].values()) == len(verdicts)
    assert content["answers"] == [
        {
            "estimate": estimate_cell(v),
            "id": v.claim.id,
            "n": v.n,
            "numbers": json.loads(numbers.model_dump_json()) if (numbers := numbers_of(v)) else None,
            "p": v.p,
            "plainly": plainly(v, "images"),
            "qualifiers": [],
            "says": v.claim.says,
            "source": v.claim.source,
            "units": "replicates",
            "verdict": v.decision,
            "would_decide": would_decide(v),
        }
        for v in verdicts
    ]
    assert {bool(a["would_decide"]) for a in content["answers"] if a["verdict"] == "undecided"} == {True}
    assert not any(a["would_decide"] for a in content["answers"] if a["verdict"] != "undecided")
    assert f"**Supported**: {content['answers'][0]['plainly']}." in report.markdown
    assert content["figure"]["file"] == "figures/claim_1.png"
    assert f"![{content['figure']['alt']}](figures/claim_1.png)" in report.markdown


def test_runs_are_counted_by_status_and_a_report_without_claims_has_no_answers() -> None:
    tables = make(spec(factors={"lr": [0.1, 1.0]}), status={(0, 0): "missing", (1, 1): "failed", (1, 2): "diverged"})
    content = json.loads(report_of(tables).summary.content)
    assert content["runs"] == {"ok": 7, "diverged": 1, "failed": 1}
    assert (content["verdicts"], content["answers"]) == ({}, [])
    assert content["figure"]["file"] == "figures/learning_curves.png"


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    summary = report_of(width_tables()).summary
    (tmp_path / NAME).write_bytes(summary.content)
    assert read_summary(tmp_path) == summary


def test_a_key_more_or_one_that_came_later_leaves_the_format_as_it_is(tmp_path: Path) -> None:
    summary = report_of(width_tables()).summary
    written = json.loads(summary.content)
    later = ("p", "n", "units", "source", "numbers")
    older = written | {"answers": [{k: v for k, v in a.items() if k not in later} for a in written["answers"]]}
    del older["topic"]
    for content in (older, written | {"later": 1}):
        (tmp_path / NAME).write_text(json.dumps(content))
        read = read_summary(tmp_path)
        assert read is not None
        assert [a.verdict for a in read.answers] == [a.verdict for a in summary.answers]


ANSWER = {"id": "a", "says": "b", "verdict": "supported", "estimate": "-"}
BARE: dict[str, Any] = {**Summary(name="n", question="q").model_dump(), "answers": []}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        json.dumps(BARE | {"format": 2}).encode(),
        json.dumps({k: v for k, v in BARE.items() if k != "name"}).encode(),
        json.dumps(BARE | {"verdicts": {"supported": -1}}).encode(),
        json.dumps(BARE | {"verdicts": {"supported": "1"}}).encode(),
        json.dumps(BARE | {"figure": {"file": "../../secret.png", "alt": "up"}}).encode(),
        json.dumps(BARE | {"answers": [{"id": "a"}]}).encode(),
        json.dumps(BARE | {"answers": [ANSWER | {"numbers": {"estimate": 1e301}}]}).encode(),
        json.dumps(BARE | {"answers": [ANSWER | {"numbers": {"estimate": math.nan}}]}).encode(),
        json.dumps(BARE | {"answers": [ANSWER | {"numbers": {"estimate": 1, "holds": [1]}}]}).encode(),
        json.dumps(BARE | {"answers": [ANSWER | {"n": -1}]}).encode(),
        json.dumps(BARE | {"verdicts": {"maybe": 1}}).encode(),
        json.dumps(BARE | {"answers": [{"id": "a", "says": "b", "verdict": "maybe", "estimate": "-"}]}).encode(),
    ],
)
def test_what_is_no_summary_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert read_summary(tmp_path) is None


def test_a_folder_without_one_has_none_and_the_smallest_one_is_read(tmp_path: Path) -> None:
    assert read_summary(tmp_path) is None
    (tmp_path / NAME).mkdir()
    assert read_summary(tmp_path) is None
    (tmp_path / NAME).rmdir()
    (tmp_path / NAME).write_text(json.dumps(BARE | {"figure": {"file": "figures/a.png", "alt": "A"}}))
    assert read_summary(tmp_path) == Summary(name="n", question="q", figure=FirstFigure(file="figures/a.png", alt="A"))
