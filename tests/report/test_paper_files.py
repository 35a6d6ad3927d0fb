"""Figures as vectors have the same bytes each time, and what a folder has for papers is kept up to date."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arithmetic_folders import make_folder
from benchmark_session import benchmark_session
from blank_figures import drawn_alone
from click.testing import CliRunner, Result
from repository import ROOT

from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.jobs import write_pages
from mlpbench.report import kernel_benchmarks
from mlpbench.report.papers.paper_files import read_formats
from mlpbench.results import seal

# Of the figures, those of a claim, of lines and of bands.
KEPT = ("claim_1", "error", "learning_curves")
WIDE = {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 1}, "expect": "greater"}
SMALL: dict[str, Any] = {
    "name": "small",
    "question": "Does $it$ hold?",
    "dataset": "fashion_mnist",
    "factors": {"width": [1, 8]},
    "replicates": 3,
    "claims": [{"id": "wide", "says": "Wider is better.", "compare": WIDE}],
}
pytestmark = pytest.mark.usefixtures("fashion", "blank_figures")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def for_papers(folder: Path) -> dict[str, bytes]:
    paths = [folder / "report.tex", *(folder / "figures").glob("*.pdf"), *(folder / "figures").glob("*.svg")]
    return {path.name: path.read_bytes() for path in sorted(paths)}


@pytest.fixture(scope="module", autouse=True)
def few_figures() -> Iterator[None]:
    """Leave out most figures: files are written of one as of another."""
    with drawn_alone(lambda report, name: name in KEPT or report.context is None):
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(SMALL, tmp_path_factory.mktemp("results"))
    result = invoke("report", folder, "--latex", "--figures", "svg,pdf")
    assert result.stdout.splitlines() == [
        f"report: {folder}/report.md",
        f"tables: {folder}/report.tex",
        f"figures: {folder}/figures/*.pdf",
        f"figures: {folder}/figures/*.svg",
    ]
    return folder


@pytest.fixture
def small(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "small"))


def test_every_figure_is_there_in_each_format_and_is_what_it_says(small: Path) -> None:
    pngs = {path.stem for path in (small / "figures").glob("*.png")}
    assert len(pngs) > 2
    for kind in ("pdf", "svg"):
        assert {path.stem for path in (small / "figures").glob(f"*.{kind}")} == pngs
    for path in (small / "figures").glob("*.svg"):
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    for path in (small / "figures").glob("*.pdf"):
        content = path.read_bytes()
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")


def test_no_file_says_when_it_was_made(small: Path) -> None:
    for name, content in for_papers(small).items():
        assert not re.search(rb"CreationDate|ModDate|dc:date|\b20[2-9]\d-\d\d-\d\d", content), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"PYTHONHASHSEED": "0", "TZ": "Asia/Tokyo"}, {"PYTHONHASHSEED": "7", "LC_ALL": "C"}]
)
def test_other_processes_write_the_same_bytes(small: Path, environment: dict[str, str]) -> None:
    before = for_papers(small)
    for name in before:
        (small / ("" if name == "report.tex" else "figures") / name).unlink()
    command = [sys.executable, "-m", "mlpbench", "report", str(small), "--latex", "--figures", "pdf,svg"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True)
    after = for_papers(small)  # and the other figures
    assert {name: after[name] for name in before} == before


def test_what_is_there_is_kept_up_to_date_and_checked(small: Path) -> None:
    before = for_papers(small)
    (small / "report.tex").write_text("old")
    (small / "figures" / "error.pdf").write_bytes(b"old")
    (small / "figures" / "error.svg").unlink()
    result = invoke("report", small, "--check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{small}/figures/error.pdf differs",
        f"{small}/figures/error.svg is missing",
        f"{small}/report.tex differs",
    ]
    assert invoke("report", small).exit_code == 0
    assert for_papers(small) == before
    assert invoke("report", small, "--check").exit_code == 0


def test_what_was_not_asked_for_is_not_written_and_is_missing_where_it_is_wanted(tmp_path: Path) -> None:
    folder = make_folder(SMALL, tmp_path)
    invoke("report", folder)
    assert set(for_papers(folder) if (folder / "report.tex").exists() else ()) == set()
    assert not list((folder / "figures").glob("*.pdf"))
    result = invoke("report", folder, "--check", "--latex", "--figures", "pdf")
    assert result.exit_code == 1
    assert f"{folder}/report.tex is missing" in result.stdout
    assert f"{folder}/figures/claim_1.pdf is missing" in result.stdout


@pytest.mark.parametrize("text", ["png", "pdf;svg", "pdf,eps", "", ",", "pd"])
def test_another_format_is_refused(text: str, written: Path) -> None:
    with pytest.raises(InputError, match="--figures must be pdf, svg, or both with a comma between them, got "):
        read_formats(text)
    result = CliRunner().invoke(main, ["report", str(written), "--figures", text])
    assert result.exit_code == 2
    assert result.stdout == ""


def test_kernel_benchmarks_have_figures_and_no_tables(tmp_path: Path) -> None:
    import json

    (tmp_path / kernel_benchmarks.FILE).write_text(json.dumps(benchmark_session()))
    refused = CliRunner().invoke(main, ["report", str(tmp_path), "--latex"])
    assert refused.exit_code == 2
    assert "which kernel benchmarks have none of: leave --latex out" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [kernel_benchmarks.FILE]
    assert invoke("report", tmp_path, "--figures", "svg").exit_code == 0
    assert (tmp_path / "figures" / "roofline.svg").exists()


def test_results_are_cited_with_the_digest_of_their_seal_and_mlpbench_beside_them(small: Path) -> None:
    sealed = seal.read(small)
    assert sealed is not None
    result = invoke("cite", small)
    assert result.exit_code == 0
    assert result.stdout.count("@misc{") == 2
    assert f"@misc{{mlpbench-small-{sealed.digest[:8]},\n" in result.stdout
    assert f"sha256 = {{{sealed.digest}}}" in result.stdout
    assert r"Does \$it\$ hold?" in result.stdout
    assert "Results folder of 6 runs" in result.stdout
    assert invoke("cite").stdout == result.stdout.partition("\n\n")[2]
    assert invoke("cite", small, small).stdout == result.stdout  # BibTeX refuses an entry that is there twice
    assert write_pages.citation(small) + "\n" + invoke("cite").stdout == result.stdout


def test_results_that_were_altered_are_not_cited(small: Path) -> None:
    with (small / "spec.yaml").open("a") as file:
        file.write("# another\n")
    result = CliRunner().invoke(main, ["cite", str(small)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "spec.yaml is damaged" in result.stderr


def test_results_without_a_seal_are_cited_without_a_digest_which_is_said(small: Path) -> None:
    (small / seal.NAME).unlink()
    result = CliRunner().invoke(main, ["cite", str(small)])
    assert result.exit_code == 0
    assert "has no seal" in result.stderr
    assert "@misc{mlpbench-small,\n" in result.stdout
    assert "sha256" not in result.stdout


def test_what_is_no_results_folder_is_not_cited(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["cite", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not a results folder" in result.stderr
