"""A claim over data sets, from tables of a person's own to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from scipy import stats

import mlpbench
from mlpbench.cli.main import main
from mlpbench.experiment.file.json_schema import schema

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

NAMES = [f"table_{i}" for i in range(7)]
SPEC = """
name: tables
question: Does a hidden layer help on tables like these?
dataset: {{target: kind, test: 0.3}}
fixed: {{width: 8, init: he_normal, lr: 0.2, batch_size: 16, epochs: 20}}
factors:
  dataset: [{files}]
  depth: [0, 1]
replicates: 3
claims:
  - id: over
    says: A hidden layer raises test accuracy on tables like these.
    compare: {{metric: test_accuracy, a: {{depth: 1}}, b: {{depth: 0}}, expect: greater}}
    unit: dataset
  - id: these
    says: A hidden layer raises test accuracy on these tables.
    compare: {{metric: test_accuracy, a: {{depth: 1}}, b: {{depth: 0}}, expect: greater}}
  - id: first
    says: A hidden layer raises test accuracy on the first.
    compare: {{metric: test_accuracy, a: {{depth: 1, dataset: table_0}}, b: {{depth: 0, dataset: table_0}}, expect: greater}}
"""


def tables(folder: Path) -> list[str]:
    """Write tables in which the class is the sign of a product, which a line can't tell, and return what YAML says of them."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        x = rng.normal(size=(120, 2))
        kinds = np.where(x[:, 0] * x[:, 1] < 0.3 * rng.normal(), "no", "yes")
        rows = "".join(f"{a:.4f},{b:.4f},{kind}\n" for (a, b), kind in zip(x, kinds, strict=True))
        (folder / f"{name}.csv").write_text(f"a,b,kind\n{rows}")
    return [f"{{file: {name}.csv}}" for name in NAMES]


def command(*words: str) -> Any:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results."""
    base = tmp_path_factory.mktemp("over")
    (base / "tables.yaml").write_text(SPEC.format(files=", ".join(tables(base))))
    ended = command("run", str(base / "tables.yaml"), "--quiet", "--workers", "1", "--results", str(base / "results"))
    assert ended.exit_code == 0, ended.output
    return base


def test_the_plan_says_over_how_many_data_sets_and_whether_they_are_enough(folder: Path) -> None:
    lines = {}
    for n in (6, 7):
        files = ", ".join(f"{{file: {name}.csv}}" for name in NAMES[:n])
        (folder / "fewer.yaml").write_text(SPEC.format(files=files))
        planned = command("plan", str(folder / "fewer.yaml"), "--results", str(folder / "none"))
        assert planned.exit_code == 0
        lines[n] = next(line for line in planned.output.splitlines() if line.startswith("claim over:"))
    formula = "test_accuracy: depth=1 minus depth=0, greater by 0.002 in the pseudo-median, over"
    assert lines[6] == f"claim over: {formula} 6 data sets; 6 data sets can't decide it (7 can)"
    assert lines[7] == f"claim over: {formula} 7 data sets"


@pytest.mark.parametrize(("said", "is_valid"), [("dataset", True), ("replicate", True), ("datasets", False)])
def test_the_schema_knows_units(said: str, is_valid: bool) -> None:
    text = SPEC.format(files="{file: a.csv}, {file: b.csv}").replace("unit: dataset", f"unit: {said}")
    tree = YAML(typ="safe", pure=True).load(text)
    assert jsonschema.Draft202012Validator(schema()).is_valid(tree) == is_valid


def test_the_verdict_is_over_means_of_data_sets(folder: Path) -> None:
    results = mlpbench.load(folder / "results" / "tables")
    runs = results.runs
    means = runs.groupby(["dataset", "depth"])["test_accuracy"].mean().unstack()
    claims = results.claims.set_index("id")
    over = claims.loc["over"]
    assert (over["unit"], over["n"], over["test"], over["interval"]) == ("dataset", 7, "signed_rank", "walsh")
    differences = (means[1] - means[0]).to_numpy() - 0.002
    assert over["p"] == pytest.approx(stats.wilcoxon(differences, zero_method="zsplit", method="exact").pvalue)
    assert claims.loc[["these", "first"], "n"].tolist() == [3, 3]


def test_the_report_ranks_and_draws(folder: Path) -> None:
    text = (folder / "results" / "tables" / "report.md").read_text()
    assert "## Data sets" in text
    assert "| data set | depth=0 | depth=1 |" in text
    assert "| mean rank |" in text
    assert (folder / "results" / "tables" / "figures" / "data_sets.png").read_bytes().startswith(b"\x89PNG")
    assert "it speaks of these, and not of data sets like them" in text
    printed = json.loads(command("claims", str(folder / "results" / "tables"), "--json").output)
    assert {c["id"]: c["unit"] for c in printed["tables"]} == {
        "over": "dataset",
        "these": "replicate",
        "first": "replicate",
    }
