"""The index lists kernel benchmarks beside experiments, with their picture, and counts them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from arithmetic_folders import make_folder
from benchmark_session import benchmark_session

from mlpbench.jobs import write_pages
from mlpbench.report import kernel_benchmarks, kernel_report
from mlpbench.report.pages import index_page

SPEC = {
    "name": "zebra",
    "question": "Does it hold?",
    "dataset": "fashion_mnist",
    "factors": {"width": [1, 8]},
    "replicates": 2,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment, kernel benchmarks with a report and without, and broken ones."""
    root = tmp_path_factory.mktemp("results")
    make_folder(SPEC, root)
    for name in ("bench", "bare", "broken"):
        (root / name).mkdir()
        (root / name / kernel_benchmarks.FILE).write_text(json.dumps(benchmark_session()) if name != "broken" else "{")
    write_pages.write(root / "bench")
    return root


def test_kernel_benchmarks_are_listed_with_their_sentence_and_picture(results: Path) -> None:
    found = write_pages.read_index(results)
    assert [(e.summary.name, e.folder) for e in found.entries] == [
        ("Kernel benchmarks", "bare"),
        ("Kernel benchmarks", "bench"),
        ("zebra", "zebra"),
    ]
    bare, bench, _ = found.entries
    assert bench.summary.question == kernel_report.sentence(
        kernel_benchmarks.read(results / "bench" / kernel_benchmarks.FILE).kernels
    )
    assert bench.runs == "10 benchmarks"
    assert bench.files == ["report.md", kernel_benchmarks.FILE]
    assert bench.summary.figure is not None
    assert bench.summary.figure.file == "figures/roofline.png"
    assert bench.picture == (results / "bench" / "figures" / "roofline.png").read_bytes()
    assert (bare.files, bare.picture) == ([kernel_benchmarks.FILE], None)
    ((folder, why),) = found.unread
    assert folder == "broken"
    assert "must be JSON" in why
    assert found.about == "1 experiment; kernel benchmarks in 2 folders."


def test_pages_show_them_without_claims_and_runs(results: Path) -> None:
    found = write_pages.read_index(results)
    text = index_page.markdown(found)
    row = next(line for line in text.splitlines() if "(bench/report.md) | " in line)
    assert '<img src="bench/figures/roofline.png"' in row
    assert row.endswith(" |  | 10 benchmarks |")
    page = index_page.page(found)
    assert page.count("<span>no claims</span>") == 1, "that of the experiment"
    assert page.count("<span>10 benchmarks</span>") == 2
    assert page.count('src="data:image/png') == 1
