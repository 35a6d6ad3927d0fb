"""A report that stands as it was written, over the same files and by the same code, is not drawn again; any other is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from arithmetic_folders import make_folder

from mlpbench.jobs.judge import Outcome, finish
from mlpbench.report import report
from mlpbench.report.pages import report_digest
from mlpbench.report.pages.report_digest import is_standing
from mlpbench.report.section import Drawing
from mlpbench.results.folder_check import open_folder
from mlpbench.results.seal import PARTS, SPEC

TREE = {
    "name": "standing", "question": "Does it stand?", "dataset": "fashion_mnist", "fixed": {"epochs": 2}, "replicates": 5,
    "factors": {"width": [4, 8]},
    "claims": [
        {
            "id": "wider", "says": "Wider is better.",
            "compare": {"metric": "test_accuracy", "a": {"width": 8}, "b": {"width": 4}, "expect": "greater"},
        }
    ],
}  # fmt: skip


def finished(folder: Path) -> Outcome:
    experiment, store = open_folder(folder, lambda _: None)
    return finish(experiment, store, report=True, filed=experiment)


@pytest.fixture(scope="module", autouse=True)
def few_figures() -> Iterator[None]:
    """Leave out most figures: what is done with one is done with another."""
    every = report.Report.drawings
    assert isinstance(every, property)

    def some(of: report.Report) -> dict[str, Drawing]:
        drawings: dict[str, Drawing] = every.__get__(of)
        return {path: draw for path, draw in drawings.items() if Path(path).stem in ("claim_1", "error")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report.Report, "drawings", property(some))
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(TREE, tmp_path_factory.mktemp("standing"))
    finished(folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy elsewhere: where a folder lies changes nothing in its report."""
    return Path(shutil.copytree(written, tmp_path / "standing"))


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_report_that_stands_is_not_drawn_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(*_: object) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(report, "render", drawn)
    before = {path: path.read_bytes() for path in files(folder)}
    outcome = finished(folder)
    assert outcome.report == folder / "report.md"
    assert outcome.claims["id"].tolist() == ["wider"]
    assert {path: path.read_bytes() for path in files(folder)} == before


def test_no_file_can_be_altered_lost_or_added_unnoticed(folder: Path) -> None:
    assert is_standing(folder)
    seen = [path for path in files(folder) if path.name not in ("seal.json", ".lock")]
    assert {p.name for p in seen} >= {SPEC, "report.md", "summary.json", "looks.json", "error.png", report_digest.NAME}
    for path in seen:
        content = path.read_bytes()
        # The bytes of tables are compared with the checksum in their name, where they are read.
        path.write_bytes(content + b"!" if path.parent.name in PARTS else content[:-1] + bytes([content[-1] ^ 1]))
        assert not is_standing(folder), f"{path.name} altered"
        path.unlink()
        assert not is_standing(folder), f"{path.name} lost"
        path.write_bytes(content)
    assert is_standing(folder)
    (folder / "figures" / "another.png").write_bytes(b"")
    assert not is_standing(folder)


@pytest.mark.slow
def test_what_was_lost_is_made_again(folder: Path) -> None:
    for name in ("report.md", "figures/error.png", "summary.json", report_digest.NAME):
        before = (folder / name).read_bytes()
        (folder / name).unlink()
        finished(folder)
        assert (folder / name).read_bytes() == before
        assert is_standing(folder)


def test_another_version_of_a_library_or_of_the_code_draws_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = [*metadata.distributions()]
    others = [of for of in installed if of.name != installed[0].name]
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "distributions", lambda: others)
        assert not is_standing(folder)
    code = Path(
        shutil.copytree(report_digest.PACKAGE, folder.parent / "code", ignore=shutil.ignore_patterns("__pycache__"))
    )
    monkeypatch.setattr(report_digest, "PACKAGE", code)
    assert is_standing(folder)
    with (code / "report" / "pages" / "style.css").open("a") as style:
        style.write(" ")
    assert not is_standing(folder)


def test_a_report_with_failures_is_drawn_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "report.md").unlink()
    (folder / report_digest.NAME).unlink()

    def failing(_: object) -> None:
        raise ValueError("no axis holds these numbers")

    monkeypatch.setattr(report, "SECTIONS", [failing])
    assert finished(folder).report_failures
    assert not is_standing(folder)
