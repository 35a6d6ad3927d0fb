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
    assert bare.files == [kernel_benchmarks.FILE]
    ((folder, why),) = found.unread
    assert folder == "broken"
    assert "must be JSON" in why
    assert found.about == "1 experiment; kernel benchmarks in 2 folders."


def test_pages_show_them_last_without_claims_and_runs(results: Path) -> None:
    found = write_pages.read_index(results)
    assert [group.title for group in found.groups] == ["Width and depth", "Kernel benchmarks"]
    text = index_page.markdown(found)
    part = text.partition("### [Kernel benchmarks](bench/report.md)")[2].partition("\n#")[0]
    assert found.entries[1].summary.question.partition(" by ")[0] in part
    assert part.endswith("\n\n10 benchmarks.\n")
    page = index_page.page(found)
    assert page.count("no claims") == 1, "that of the experiment"
    assert page.count("<span>10 benchmarks</span>") == 2
    assert index_page.pictures(found) == {}
