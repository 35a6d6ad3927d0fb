"""What a person should know of how their table was read: said by commands, kept in the folder, shown in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlpbench.cli.main import main
from mlpbench.data.table.table_data import TableData
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader

NOTE = "t.csv: the first row is | odd"
ROWS = "a,kind\n" + "".join(f"{i % 5}.5,{'yes' if i % 2 else 'no'}\n" for i in range(20))


def tree(notes: list[str], facts: dict[str, Any]) -> dict[str, Any]:
    known = {**facts, **({"notes": notes} if notes else {})}
    dataset = {"file": "t.csv", "target": "kind", **({"facts": known} if known else {})}
    fixed = {"width": 4, "init": "he_normal", "batch_size": 8, "steps": 2}
    return {"name": "noted", "question": "?", "dataset": dataset, "fixed": fixed, "replicates": 1}


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The facts of a plain table in this folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(ROWS)
    written = yaml_reader.from_mapping(tree([], {})).sources[0].as_written(None)
    assert isinstance(written, dict)
    assert "notes" not in written["facts"]
    return dict(written["facts"])


def test_notes_are_kept_and_are_no_part_of_what_the_data_are(facts: dict[str, Any]) -> None:
    plain, noted = (yaml_reader.from_mapping(tree(notes, facts)) for notes in ([], [NOTE]))
    assert noted.facts[0].notes == (NOTE,)
    assert [r.run_id for r in grid.runs(plain)] == [r.run_id for r in grid.runs(noted)]
    again = yaml_reader.from_mapping(tree([], {}) | {"dataset": noted.sources[0].as_written(None)})
    assert again.sources[0] == noted.sources[0]
    assert isinstance(noted.sources[0], TableData)
    assert len(noted.sources[0].load().y_test) == facts["n_test"]


@pytest.mark.usefixtures("in_process", "blank_figures")
def test_run_and_plan_say_each_note_once_and_the_report_has_it(facts: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "noted.yaml").write_text(yaml_reader.dump(yaml_reader.from_mapping(tree([NOTE], facts)), tmp_path))
    planned = CliRunner().invoke(main, ["plan", "noted.yaml"])
    assert (planned.exit_code, planned.stderr) == (0, NOTE + "\n")
    run = CliRunner().invoke(main, ["run", "noted.yaml", "--workers", "1"])
    assert run.exit_code == 0, run.output
    assert run.stdout.count(NOTE) == 1
    report = Path("results/noted/report.md").read_text()
    assert "- t.csv: the first row is | odd" in report.split("## Data\n")[1].split("\n## ")[0]
    quiet = CliRunner().invoke(main, ["run", "noted.yaml", "--workers", "1", "--quiet"])
    assert quiet.output == ""


@pytest.mark.parametrize(
    ("option", "column", "needs"),
    [
        ("day_first", "03/04/2004", True),
        ("day_first", "2004-04-03", False),
        ("decimal", '"1,5"', True),
        ("decimal", "3", False),
    ],
)
def test_an_option_that_does_nothing_is_noted(option: str, column: str, needs: bool, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{column},{'pq'[i % 2]}\n" for i in range(20)))
    dataset = {"file": tmp_path / "t.csv", "target": "y", option: True if option == "day_first" else ","}
    notes = yaml_reader.from_mapping({"name": "n", "question": "?", "dataset": dataset}).facts[0].notes
    what = "numbers" if option == "decimal" else "dates"
    assert (f"t.csv: {option}: no column has {what} that need it" in notes) != needs


def test_each_note_on_reading_has_the_name_of_the_file_that_it_is_of(tmp_path: Path) -> None:
    plain = "a,when,y\n" + "".join(f"{i % 7}.5,2004-03-0{i % 9 + 1},{'pq'[i % 2]}\n" for i in range(20))
    (tmp_path / "train.csv").write_text(plain)
    (tmp_path / "test.csv").write_text(
        plain.replace(",2004", ";2004")
        .replace(",p", ";p")
        .replace(",q", ";q")
        .replace(",when,", ";when;")
        .replace("-01;", "-01 12:00;")
    )
    dataset = {"file": tmp_path / "train.csv", "test_file": tmp_path / "test.csv", "target": "y"}
    notes = yaml_reader.from_mapping({"name": "n", "question": "?", "dataset": dataset}).facts[0].notes
    assert notes == (
        "train.csv: column 'when': dates, as seconds since 1970-01-01 (UTC)",
        "test.csv: columns are separated by ';'",
        "test.csv: column 'when': dates and times, as seconds since 1970-01-01 (UTC)",
    )


def test_ids_that_float64_makes_one_have_one_note(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,a,y\n" + "".join(f"{2**62 + i},{i % 7}.5,{'pq'[i % 2]}\n" for i in range(20)))
    dataset = {"file": tmp_path / "t.csv", "target": "y"}
    (note,) = yaml_reader.from_mapping({"name": "n", "question": "?", "dataset": dataset}).facts[0].notes
    assert note.startswith("t.csv: column 'id': whole numbers beyond 2^53, of which two may be read as one: an id?")


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        (["0.0", "1.0"], {}, "target 'y': 2 different whole numbers, written with a decimal mark, are numbers to predict"),
        (["0.0", "1.0"], {"task": "number"}, None),
        (["0.0", "1.0"], {"task": "classes"}, None),
        (["0.0", "1.5"], {}, None),
        ([f"{i}.0" for i in range(30)], {}, None),
        (["0", "1"], {}, None),
    ],
)  # fmt: skip
def test_few_whole_numbers_that_are_predicted_as_numbers_are_said(
    values: list[str], options: dict[str, Any], says: str | None, tmp_path: Path
) -> None:
    """Pandas writes 0.0 and 1.0 of classes where one is missing."""
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i}.5,{values[i % len(values)]}\n" for i in range(60)))
    (facts,) = yaml_reader.from_mapping(of_table(tmp_path, **options)).facts
    assert [n for n in facts.notes if "whole numbers" in n] == (
        [f"t.csv: {says}; `task: classes` takes them for classes"] if says else []
    )


def test_a_class_without_a_test_row_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "a,y\n" + "".join(f"{i}.5,{'no' if i % 2 else 'yes'}\n" for i in range(60)) + "3,rare\n"
    )
    (facts,) = yaml_reader.from_mapping(of_table(tmp_path)).facts
    assert "t.csv: no test row of class 'rare'" in facts.notes
    assert not any("training row" in n for n in facts.notes)


def of_table(folder: Path, **options: Any) -> dict[str, Any]:
    dataset = {"file": str(folder / "t.csv"), "target": "y", **options}
    return {
        "name": "noted",
        "question": "?",
        "dataset": dataset,
        "fixed": {"width": 4, "init": "he_normal", "steps": 2},
    }
