"""The notebooks in `examples/` run from the first cell to the last, and show what they have on record."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from notebooks import executed, printed
from repository import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
MOST_BYTES = 400_000
NUMBER = re.compile(r"-?\d+\.\d+")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_has_its_outputs(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    notebook = json.loads(path.read_text())
    counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1)), "run from the first to the last, in order"
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert any("image/png" in output.get("data", ()) for output in outputs), "pyplot shows the figures"
    cards = [
        html
        for output in outputs
        if 'class="mlpbench"' in (html := "".join(output.get("data", {}).get("text/html", "")))
    ]
    assert cards
    assert all("<script" not in html for html in cards)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # those of the kernel's libraries are theirs
def test_a_notebook_shows_what_it_has_on_record(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are the same; numbers with decimals may differ a little from processor to processor."""
    pytest.importorskip("nbclient", reason="the development tools run notebooks")
    pytest.importorskip("ipykernel", reason="the development tools run notebooks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    then, now = printed(json.loads(path.read_text())), printed(executed(path, tmp_path))
    for (source, before), (_, after) in zip(then, now, strict=True):
        assert words(after) == words(before), source
        assert numbers(after) == pytest.approx(numbers(before), rel=0.05, abs=0.11), source
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == [path.stem]


def words(text: str) -> list[str]:
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]
