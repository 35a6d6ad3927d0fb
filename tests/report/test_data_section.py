"""The section "Data" says what became of a table, where the file is gone too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arithmetic_tables import make, spec
from reports import report_of, section_text

import mlpbench
from mlpbench.cli.main import main
from mlpbench.data.table.description import lines
from mlpbench.data.table.table_data import read_options
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import build


def cells(text: str) -> list[list[str]]:
    """Return the cells of the tables in a section, without lines that separate heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if not all(set(cell) <= set("-:") for cell in row)]


@pytest.fixture
def dataset(tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"id": range(200, 0, -1), "size": rng.normal(3, 2, 200).round(1), "colour": rng.choice(["red", "<b>"], 200)}
    )
    table["kind"] = np.where(table["size"] > 3, "large", "small")
    table.loc[:4, "size"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    return {"file": tmp_path / "t.csv", "target": "kind", "drop": ["id"]}


def experiment(dataset: dict[str, Any]) -> dict[str, Any]:
    fixed = {"width": 4, "epochs": 1, "init": "he_normal"}
    return {
        "name": "e",
        "question": "?",
        "dataset": dataset,
        "fixed": fixed,
        "factors": {"depth": [0, 1]},
        "replicates": 2,
    }


@pytest.mark.usefixtures("blank_figures")
def test_the_report_says_what_describe_says_where_the_file_is_gone(dataset: dict[str, Any], tmp_path: Path) -> None:
    said = lines(read_options(dataset, tmp_path).facts)
    mlpbench.run(experiment(dataset), results=tmp_path, executor="inline")
    dataset["file"].unlink()
    before = (tmp_path / "e" / "report.md").read_text()
    main(["report", str(tmp_path / "e")], standalone_mode=False)
    report = (tmp_path / "e" / "report.md").read_text()
    assert report == before
    text = report.split("## Data\n")[1].split("\n## ")[0]
    assert f"{said[0]}. Column 'id' is left out. " in text
    head, size, colour, class_head, *classes = cells(text)
    assert head == ["column", "kind", "gaps", "inputs", "becomes"]
    assert size[:4] == ["size", "numbers", "5", "2"]
    assert colour == ["colour", "words", "", "2", "0 or 1 for each of \\<b>, red"]
    assert class_head == ["class", "training rows", "test rows"]
    assert [row[0] for row in classes] == ["large", "small"]
    assert "- t.csv: column 'size' (5): gaps become the median, and an input says where they are" in text
    # The command for new rows names a run that is there.
    run_id = text.split("mlpbench export ")[1].split()[0]
    runs = mlpbench.load(tmp_path / "e").runs
    (run,) = runs[runs["run_id"].str.startswith(run_id)].to_dict("records")
    means = runs.groupby("depth")["test_accuracy"].mean()
    assert means[run["depth"]] == means.max()
    assert (
        f"With replicate {run['replicate']} of depth={run['depth']}, the condition with the best mean test accuracy"
        in text
    )


def test_folders_of_before_say_what_they_know(dataset: dict[str, Any], tmp_path: Path) -> None:
    written = yaml_reader.from_mapping(experiment(dataset)).sources[0].as_written(None)
    assert isinstance(written, dict)
    del written["facts"]["profile"]
    tables = make(spec(dataset=written, factors={"width": [4, 8]}))
    text = section_text(report_of(tables), "Data")
    assert text.strip().startswith("t.csv: 200 rows, 160 to train on and 40 to test on; 4 inputs.")
    assert "|" not in text
    assert "export" not in text


def test_data_with_a_name_need_no_section() -> None:
    assert "## Data" not in report_of(make(spec(factors={"width": [4, 8]}))).markdown


def test_of_very_many_columns_the_first_are_listed(tmp_path: Path) -> None:
    wide = pd.DataFrame(np.random.default_rng(3).normal(size=(20, 60)).round(3)).add_prefix("x")
    wide.assign(kind=["a", "b"] * 10).to_csv(tmp_path / "w.csv", index=False)
    tables = make(spec(dataset={"file": tmp_path / "w.csv", "target": "kind"}, factors={"width": [4, 8]}))
    rows = cells(section_text(report_of(tables), "Data"))
    assert len(rows) == 1 + 50 + 1 + 1 + 2
    assert rows[51] == ["10 more", "", "", "10", ""]


def test_more_than_three_tables_say_columns_and_classes_in_sentences() -> None:
    """Everything that `describe` says of each table is in the entry of its list, but for the alignment of its columns."""
    names = ["iris", "wine", "penguins", "voting"]
    fixed = {"width": 4, "depth": 1, "lr": 0.1, "init": "he_normal", "epochs": 1}
    tree = {"name": "e", "question": "?", "fixed": fixed, "factors": {"dataset": names}, "replicates": 2}
    made = make(build(tree))
    report = report_of(made)
    entries = section_text(report, "Data").strip().split("\n- ")
    assert len(entries) == len(names)
    assert cells(section_text(report, "Data")) == []
    for facts, entry in zip(made.experiment.facts, entries, strict=True):
        assert facts.profile is not None
        said = entry.replace("\\", "")
        for column in facts.profile.columns:
            assert f"{column.name}, {column.kind}" in said
            assert f": {column.becomes}" in said
        for name in facts.class_names:
            assert f"{name}: " in said
    assert next(s for s in report.sections if s.title == "Data").fold
