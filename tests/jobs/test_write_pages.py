"""Reports are written, checked and indexed from the tables of real folders; a check writes nothing."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from arithmetic_folders import make_folder
from click.testing import CliRunner, Result
from matplotlib.figure import Figure
from repository import ROOT

from mlpbench import api
from mlpbench.base.files import write_whole
from mlpbench.cli.main import main
from mlpbench.jobs import write_pages
from mlpbench.report import report
from mlpbench.report.answer import claim_cards
from mlpbench.report.context import Context
from mlpbench.report.figures import theme
from mlpbench.report.pages import index_page, page
from mlpbench.report.pages.index_page import PICTURES
from mlpbench.report.section import Section, figure_section
from mlpbench.report.sections import provenance
from mlpbench.results.part_files import encoded
from mlpbench.results.schemas import SCHEMAS
from mlpbench.results.seal import write_sealed

REFERENCE = ROOT / "results" / "reference" / "width"
TABLES = ("runs", "curves", "layers", "predictions")
WIDE = {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 1}, "expect": "greater"}
SMALL: dict[str, Any] = {
    "name": "small",
    "question": "Does it hold?",
    "dataset": "fashion_mnist",
    "factors": {"width": [1, 8], "lr": [0.1, 0.2]},
    "replicates": 5,
    "claims": [{"id": "wide", "says": "Wider is better.", "compare": WIDE}],
}
SECONDS = 15
# What a report says of test-set sampling takes the labels of the test set.
pytestmark = pytest.mark.usefixtures("fashion")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its report and its page."""
    folder = make_folder(SMALL, tmp_path_factory.mktemp("results"))
    result = invoke("report", folder, "--html")
    assert result.output == f"report: {folder / 'report.html'}\n"
    return folder


@pytest.fixture
def small(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "small"))


@pytest.mark.slow
def test_the_reference_report_is_what_its_tables_give() -> None:
    result = invoke("report", REFERENCE, "--check")
    assert result.output == f"{REFERENCE}: report is up to date\n"
    assert result.exit_code == 0


@pytest.mark.slow
def test_check_passes_on_what_was_written_and_writes_nothing(small: Path) -> None:
    before = content(small)
    assert {"report.md", "report.html", "summary.json", "figures/claim_1.png", "figures/learning_curves.png"} < set(
        before
    )
    result = invoke("report", small, "--check")
    assert result.exit_code == 0
    assert result.output.count("\n") == 1
    assert content(small) == before


@pytest.mark.slow
def test_check_names_each_file_that_differs_or_is_missing(small: Path) -> None:
    (small / "report.md").write_text("# another\n")
    (small / "figures" / "error.png").unlink()
    (small / "report.html").write_bytes((small / "report.html").read_bytes() + b" ")
    (small / "summary.json").write_text("{}\n")
    before = content(small)
    result = invoke("report", small, "--check")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{small / 'figures' / 'error.png'} is missing",
        f"{small / 'report.html'} differs",
        f"{small / 'report.md'} differs",
        f"{small / 'summary.json'} differs",
    ]
    assert content(small) == before


@pytest.mark.slow
def test_the_page_is_checked_where_it_is_or_is_wanted(small: Path) -> None:
    (small / "report.html").unlink()
    assert write_pages.check(small) == {}
    assert write_pages.check(small, html=True) == {"report.html": "is missing"}
    assert invoke("report", small, "--check", "--html").exit_code == 1


@pytest.mark.slow
def test_a_page_that_is_there_is_kept_up(small: Path) -> None:
    (small / "report.html").write_text("old")
    assert invoke("report", small).output == f"report: {small / 'report.md'}\n"
    assert write_pages.check(small) == {}
    assert (small / "report.html").read_text() != "old"


def shuffled(folder: Path, to: Path) -> Path:
    """Return a copy whose tables have other files, with the rows in another order."""
    copy = Path(shutil.copytree(folder, to / folder.name))
    for name in TABLES:
        old = sorted((copy / name).glob("*.parquet"))
        rows = pads.dataset([str(f) for f in old], schema=SCHEMAS[name], format="parquet").to_table().to_pandas()
        mixed = rows.sample(frac=1, random_state=3)
        for path in old:
            path.unlink()
        for i in range(3):
            part = pa.Table.from_pandas(mixed.iloc[i::3], schema=SCHEMAS[name], preserve_index=False)
            file, parquet = encoded(f"part{2 - i}", part)
            write_whole(copy / name / file, parquet)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("which", [pytest.param("reference", marks=pytest.mark.slow), "small"])
def test_rows_shuffled_across_files_give_the_same_report(which: str, small: Path, tmp_path: Path) -> None:
    folder = REFERENCE if which == "reference" else small
    one, other = (write_pages.render(f) for f in (folder, shuffled(folder, tmp_path / "shuffled")))
    assert page.contents(one, html=True) == page.contents(other, html=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONHASHSEED": "0", "TZ": "America/St_Johns", "LC_ALL": "C"}, {"PYTHONHASHSEED": "9", "LC_ALL": "C.UTF-8"}],
)
def test_other_processes_check_the_same_without_torch(small: Path, environment: Mapping[str, str]) -> None:
    code = (
        "import sys; from pathlib import Path; from mlpbench.jobs import write_pages; "
        f"found = write_pages.check(Path({str(small)!r})); print(found, 'torch' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    assert ran.stdout == "{} False\n"


def test_no_folder_is_one_message(tmp_path: Path) -> None:
    for arguments in (
        ("report", tmp_path / "none", "--check"),
        ("report", tmp_path, "--html"),
        ("index", tmp_path / "none"),
    ):
        result = CliRunner().invoke(main, list(map(str, arguments)))
        assert result.exit_code == 2
        assert result.stderr.startswith("mlpbench: ")
        assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders at several depths, one of them broken."""
    results = tmp_path_factory.mktemp("several")
    for name, below in (("zebra", ""), ("ant", "deep er/still")):
        folder = make_folder(SMALL | {"name": name, "question": f"What of the {name}?"}, results / below)
        write_pages.write(folder, html=name == "ant")
    bare = make_folder({k: v for k, v in SMALL.items() if k != "claims"} | {"name": "bare"}, results)
    assert not (bare / "report.md").exists()
    broken = Path(shutil.copytree(bare, results / "broken"))
    write_sealed(broken, {"spec.yaml": b"name: 3\nquestion: Is it?\ndataset: digits\n"})
    hurt = Path(shutil.copytree(bare, results / "hurt"))
    (path,) = (hurt / "runs").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    write_whole(results / "zebra" / "damaged" / "spec.yaml", b"set aside")
    return results


@pytest.mark.slow
def test_the_index_has_every_experiment_by_name_and_says_what_can_not_be_read(several: Path) -> None:
    result = invoke("index", several)
    assert result.stdout == f"index: {several / 'index.html'}\nindex: {several / 'index.md'}\n"
    assert result.exit_code == 2
    assert f"{several / 'broken' / 'spec.yaml'}:1:7: name must be text, got 3" in result.stderr
    (hurt,) = (several / "hurt" / "runs").glob("*.parquet")
    assert f"{hurt} is damaged: its bytes are not those that were written" in result.stderr
    found = write_pages.read_index(several)
    assert [(e.summary.name, e.folder) for e in found.entries] == [
        ("ant", "deep er/still/ant"),
        ("bare", "bare"),
        ("zebra", "zebra"),
    ]
    ant, bare, zebra = found.entries
    assert ant.files == ["report.html", "report.md", "spec.yaml"]
    assert bare.files == ["spec.yaml"]
    assert (ant.topic, bare.topic, zebra.topic) == ("Width and depth",) * 3
    assert ant.summary.verdicts == {api.load(several / "zebra").claims["verdict"].iloc[0]: 1}
    assert zebra.summary.runs == {"ok": 20}
    assert zebra.summary.figure
    assert zebra.summary.figure.file == "figures/claim_1.png"
    assert [path.name for path in sorted((several / PICTURES).iterdir())] == ["deep-er-still-ant.svg", "zebra.svg"]
    assert [folder for folder, _ in found.unread] == ["broken", "hurt"]
    assert all(str(several) not in why for _, why in found.unread)
    assert found.unread[0][1] == "broken/spec.yaml:1:7: name must be text, got 3"
    assert "damaged" in found.unread[1][1]


@pytest.mark.slow
def test_whatever_is_wrong_with_one_folder_the_others_are_listed(
    several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = write_pages._entry

    def fails(path: Path, name: str, *rest: Any, **more: Any) -> Any:
        if "reference" in name or name == sorted(p.parent.name for p in several.glob("*/spec.yaml"))[0]:
            raise TypeError("'int' object is not iterable")
        return entry(path, name, *rest, **more)

    whole = write_pages.read_index(several)
    monkeypatch.setattr(write_pages, "_entry", fails)
    problems: list[str] = []
    index = write_pages.read_index(several, refuse=problems.append)
    assert len(index.unread) == len(whole.unread) + 1
    assert len(index.entries) == len(whole.entries) - 1 > 0
    assert any("TypeError: 'int' object is not iterable" in problem for problem in problems)


def test_links_of_the_index_are_there_and_it_is_the_same_twice(several: Path) -> None:
    write_pages.write_index(several)
    first = {name: (several / name).read_bytes() for name in ("index.md", "index.html")}
    for name, patterns in {
        "index.md": r"\]\((?!#)([^)]+)\)()",
        "index.html": r"href=\"(?!data:|#)([^\"]+)\"()",
    }.items():
        links = [unquote(a or b) for a, b in re.findall(patterns, first[name].decode())]
        assert len(links) >= 5
        assert [link for link in links if not (several / link).is_file()] == []
    write_pages.write_index(several)
    assert {name: (several / name).read_bytes() for name in first} == first


def test_pictures_of_experiments_that_are_gone_go_but_not_those_that_others_lie_behind(
    several: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(several, tmp_path / "several"))
    write_pages.write_index(folder)
    shutil.rmtree(folder / "zebra")
    write_pages.write_index(folder)
    assert [path.name for path in (folder / PICTURES).iterdir()] == ["deep-er-still-ant.svg"]
    shutil.rmtree(folder / PICTURES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.svg").write_text("mine")
    (folder / PICTURES).symlink_to(tmp_path / "mine")
    write_pages.write_index(folder)
    assert (tmp_path / "mine" / "mine.svg").read_text() == "mine"


def test_an_index_reads_summaries_of_older_reports(several: Path, tmp_path: Path) -> None:
    """Without what came later they have their topic by what they vary, and neither pictures nor n."""
    folder = Path(shutil.copytree(several, tmp_path / "several"))
    whole = write_pages.read_index(folder)
    for path in folder.rglob("summary.json"):
        tree = json.loads(path.read_bytes())
        later = ("n", "units", "source", "numbers")
        tree["answers"] = [{k: v for k, v in a.items() if k not in later} for a in tree["answers"]]
        del tree["topic"]
        write_sealed(path.parent, {"summary.json": json.dumps(tree).encode()})
    older = write_pages.read_index(folder)
    assert [(e.folder, e.topic, e.summary.verdicts) for e in older.entries] == [
        (e.folder, e.topic, e.summary.verdicts) for e in whole.entries
    ]
    assert len(index_page.pictures(whole)) == 2
    assert index_page.pictures(older) == {}
    assert "**, n = " not in index_page.markdown(older)
    assert "Wider is better. (`wide`)" in index_page.markdown(older)
    assert 'class="strip"' in index_page.page(whole)
    assert 'class="strip"' not in index_page.page(older)


def processor_seconds(command: list[str]) -> float:
    """Return the time of all cores that a process took: an upper limit of what it would on one, on a shared machine too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
def test_the_report_of_a_thousand_runs_takes_less_than_15_seconds_of_one_core(tmp_path: Path) -> None:
    factors = {"width": [2**i for i in range(10)], "lr": [0.1, 0.2, 0.3, 0.4, 0.5], "dropout": [0, 0.5]}
    steps = {"metric": "steps_to_train_loss_0.8", "a": {"width": 8}, "b": {"width": 1}, "expect": "less"}
    claims = [*SMALL["claims"], {"id": "fast", "says": "And faster.", "compare": steps}]
    folder = make_folder(SMALL | {"factors": factors, "replicates": 10, "claims": claims}, tmp_path)
    took = processor_seconds([sys.executable, "-m", "mlpbench", "report", str(folder), "--html"])
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "All 1,000 runs of the grid." in text
    assert text.count("<tr><td") >= 1000
    assert took < SECONDS


def failing_section(context: Context) -> Section:
    raise ZeroDivisionError("no number | of this kind")


def section_with_a_failing_figure(context: Context) -> Section:
    def draw() -> Figure:
        raise OverflowError("beyond\nany axis")

    return figure_section("Not drawn", "It is large.", figure="undrawn", alt="A figure.", draw=draw)


def test_what_can_not_be_made_is_said_in_its_place_and_nothing_else_is_lost(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "small"))
    whole = (folder / "report.md").read_text()
    made = (claim_cards.section, failing_section, section_with_a_failing_figure, provenance.section)
    monkeypatch.setattr(report, "SECTIONS", made)
    result = invoke("report", folder, "--html")
    assert result.exit_code == 1
    assert result.stdout == f"report: {folder / 'report.html'}\n"
    reasons = {
        "the section 'Failing section'": "ZeroDivisionError: no number | of this kind",
        "figures/undrawn.png": "OverflowError: beyond any axis",
    }
    said = [f"mlpbench: {folder}: {part} could not be made: {why}" for part, why in reasons.items()]
    assert result.stderr.splitlines() == said
    text = (folder / "report.md").read_text()
    for heading in ("## Verdicts", "## Provenance"):
        assert text.partition(heading)[2].partition("\n## ")[0] == whole.partition(heading)[2].partition("\n## ")[0]
    assert f"## Failing section\n\n*This section could not be made: {reasons[next(iter(reasons))]}*" in text
    assert "*The figure `figures/undrawn.png` could not be drawn: OverflowError: beyond any axis*" in text
    assert "could not be drawn" in (folder / "report.html").read_text()
    assert not (folder / "figures" / "undrawn.png").exists()
    refused = invoke("trim", folder)
    assert refused.exit_code == 2
    assert "trim needs a report whose every section can be made, got ZeroDivisionError" in refused.stderr


def test_a_first_report_has_its_text_before_a_figure_is_drawn(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "small"))
    whole = (folder / "report.md").read_text()
    for name in ("report.md", "report.html", "summary.json"):
        (folder / name).unlink()

    def killed(figure: Figure) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(theme, "png", killed)
    with pytest.raises(KeyboardInterrupt):
        write_pages.write(folder)
    assert (folder / "report.md").read_text() == whole
    assert (folder / "summary.json").exists()
