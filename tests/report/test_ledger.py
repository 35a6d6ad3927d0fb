"""The ledger: all claims of all folders, as a table, as Markdown, as JSON."""

from __future__ import annotations

import json

import pytest
from arithmetic_tables import WIDTH_CLAIMS, width_tables
from click.testing import CliRunner
from repository import ROOT

from mlpbench.cli.main import main
from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.report.verdict_tables import ledger

WIDTH = "results/reference/width"


def printed(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["claims", *arguments])
    assert result.exit_code == status
    return result.output


def test_every_claim_of_every_experiment_has_a_row() -> None:
    found = judge_claims(*width_tables().parts)
    lines = ledger([("one", found), ("other", found[:2]), ("none", ())]).splitlines()
    assert len(lines) == 2 + len(WIDTH_CLAIMS) + 2
    assert all(line.count(" | ") == 6 for line in lines)
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == ["one"] * len(WIDTH_CLAIMS) + [
        "other"
    ] * 2
    first, p = found[0], found[0].p_corrected
    assert p is not None
    assert f"(`{first.claim.id}`) | {first.decision} | " in lines[2]
    assert lines[2].endswith(f"| > 0.2 pp | 5 | {p:.2g} |" if p >= 0.001 else "| <0.001 |")


def test_markdown_and_json_have_the_verdicts_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    told = printed(WIDTH)
    rows = json.loads(printed(WIDTH, "--json"))["width"]
    lines = printed(WIDTH, "--markdown").splitlines()
    assert len(lines) == 2 + len(rows)
    for row, line in zip(rows, lines[2:], strict=True):
        assert f"(`{row['id']}`) | {row['verdict']} |" in line
        assert f"{row['id']}" in told
    assert {"low_test", "high_test", "wins", "ties", "effect", "iqm", "sd", "test", "interval"} <= set(rows[0])


def test_one_format_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = printed(WIDTH, "--markdown", "--json", status=2)
    assert said == "mlpbench: claims are printed in one format, got --markdown and --json\n"
