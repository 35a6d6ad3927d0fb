"""Pieces that are written from the documentation alone: those of its page keep their contract, train, and are judged."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from repository import ROOT

from mlpbench.cli.main import main

MOST_LINES = 15
SPEC = """\
name: from_readme
question: Do pieces of the documentation do what it says?
dataset: digits
plugins: [{plugins}]
fixed: {{width: 16, epochs: 2, init: he_normal, optimizer: {optimiser}, lr: 0.003}}
factors: {{activation: [relu, {activation}]}}
replicates: 2
claims:
  - id: own
    says: The metric of the documentation is measured.
    bound: {{metric: test_{metric}, above: 0.3}}
"""


def documented() -> dict[str, str]:
    """Return the plugins that the page shows, by the kind of their piece."""
    page = (ROOT / "docs" / "own_pieces.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return {re.findall(r"^@mlpbench\.(\w+)$", block, flags=re.MULTILINE)[0]: block for block in blocks}


def test_three_plugins_of_the_documentation_are_short_keep_their_contract_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins = documented()
    assert {"activation", "optimiser", "metric"} <= plugins.keys()
    monkeypatch.chdir(tmp_path)
    took: dict[str, float] = {}

    def timed(*arguments: str) -> str:
        began = time.perf_counter()
        result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        took[" ".join(arguments[:2])] = time.perf_counter() - began
        return result.output

    called: dict[str, str] = {}
    for kind, text in plugins.items():
        assert len(text.strip().splitlines()) < MOST_LINES, text
        Path(f"{kind}.py").write_text(text)
        (called[kind],) = re.findall(r"^def (\w+)\(", text, flags=re.MULTILINE)
        output = timed("check", f"{kind}.py")
        assert re.search(rf"^{kind} {called[kind]} [0-9a-f]{{12}}: ok \(.*alone as in company\)$", output, re.MULTILINE)
    named = ", ".join(f"{kind}.py" for kind in plugins)
    text = SPEC.format(plugins=named, **{kind: called[kind] for kind in ("activation", "optimiser", "metric")})
    Path("own.yaml").write_text(text)
    output = timed("run", "own.yaml", "--executor", "inline")
    assert re.search(r"^own  +(supported|refuted|undecided) ", output, re.MULTILINE)
    assert "4 runs, 4 trained now" in output
    report = Path("results/from_readme/report.md").read_text()
    for kind, name in called.items():
        assert f"{kind} {name} `" in report
    with capsys.disabled():
        print("\n" + ", ".join(f"mlpbench {command} {seconds:.1f} s" for command, seconds in took.items()))
