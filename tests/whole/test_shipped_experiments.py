"""What ships is whole: an experiment for each topic, each file readable, short and judged, each reference result its own."""

from __future__ import annotations

import functools
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from blank_figures import leave_blank
from click.testing import CliRunner
from repository import ROOT
from ruamel.yaml import YAML

from mlpbench.base import environment
from mlpbench.cli.main import main
from mlpbench.experiment import grid
from mlpbench.experiment.claims.claim import Claim
from mlpbench.experiment.claims.comparisons import Compare, Contrast
from mlpbench.experiment.claims.trend import Trend
from mlpbench.experiment.claims.value_claims import Bound
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.metrics.metric import metric
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs import listing, write_pages
from mlpbench.jobs.options import Options
from mlpbench.report.pages.page import contents
from mlpbench.results.folders import DIFFERENT, IDENTICAL

FILES = sorted((ROOT / "experiments").glob("*.yaml"))
REFERENCE = ROOT / "results" / "reference"
FOLDERS = sorted(p.parent for p in REFERENCE.glob("*/spec.yaml"))
TOPICS = (
    "linear_regression", "softmax", "softmax_stability", "baseline", "width", "depth", "learning_rate", "activation", "init",
    "signal_propagation", "dropout", "weight_decay", "l1_l2", "polynomial", "train_size", "k_fold", "random_labels",
    "regularisation", "width_lr", "batch_size", "optimizer", "input_noise", "shift", "variance", "mlp_and_cnn", "cost",
    "replication", "mup", "ablation", "tables", "early_stopping", "adam_or_sgd", "batch_size_steps", "clipping", "dead_units",
    "decay_and_norm", "double_descent", "dropout_or_stopping", "label_smoothing", "linear_scaling", "residual_depth", "warmup",
)  # fmt: skip
MOST_SECONDS = 600
LONGER = {"variance": 900}  # its claims are about variances, and take 60 replicates
FEWEST_REPLICATES = {"variance": 30}
MOST_BYTES = 25_000_000


@functools.cache
def experiment_of(path: Path) -> Experiment:
    """Return what a file says; each is read once."""
    return yaml_reader.read(path)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_its_file(topic: str) -> None:
    """A sibling, NAME_tuned for example, stands beside it and not in its place."""
    assert (ROOT / "experiments" / f"{topic}.yaml").is_file()


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_a_file_is_named_after_its_experiment_and_is_of_a_topic(path: Path) -> None:
    assert experiment_of(path).name == path.stem
    assert any(path.stem == topic or path.stem.startswith(f"{topic}_") for topic in TOPICS)


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_two_workers_need_less_than_ten_minutes(path: Path) -> None:
    assert listing.expected_seconds(experiment_of(path), Options(workers=2)) < LONGER.get(path.stem, MOST_SECONDS)


@pytest.mark.parametrize("name", [p.stem for p in FILES])
def test_the_head_says_where_it_is_from_and_how_long_it_takes(name: str) -> None:
    lines = (ROOT / "experiments" / f"{name}.yaml").read_text().splitlines()
    head = " ".join(line.lstrip("# ") for line in lines[: next(i for i, s in enumerate(lines) if s[:1] != "#")])
    assert re.search(r"\bSource: \S", head)
    assert re.search(r"\bRun time: .*\d+(\.\d+)? (seconds|minutes?)", head)


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_there_are_replicates_enough(path: Path) -> None:
    experiment = experiment_of(path)
    streams = len(experiment.vary) if experiment.one_at_a_time else 1
    assert experiment.replicates * streams >= FEWEST_REPLICATES.get(path.stem, 5)
    assert experiment.replicates >= 5


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_there_are_claims_and_each_could_come_out_either_way(path: Path) -> None:
    experiment = experiment_of(path)
    assert experiment.claims
    ids = [claim.id for claim in experiment.claims]
    assert len(set(ids)) == len(ids)
    assert len({claim.says for claim in experiment.claims}) == len(ids)
    for claim in experiment.claims:
        assert list(undecidable(claim, experiment)) == [], claim.id


def undecidable(claim: Claim, experiment: Experiment) -> Iterator[str]:
    """Yield why a claim would be undecided, or decided, whatever is measured."""
    form = claim.form
    if isinstance(form, Trend):
        levels = {c.levels[form.factor] for c in grid.conditions(experiment)}
        if len(levels) < 2:
            yield "a slope needs two levels"
    shares = metric(form.metric).unit in ("fraction", "0 or 1") and not form.metric.startswith("gap_")
    if isinstance(form, Bound) and shares:
        limit = form.above if form.above is not None else form.below
        assert limit is not None
        # What lies beyond the ends is refused where the file is read.
        if (form.above == 1) or (form.below == 0):
            yield f"a share lies in [0, 1], the bound at {limit}"
    if isinstance(form, Compare | Contrast) and shares and form.margin is not None and not form.margin < 1:
        yield f"shares differ by less than 1, the margin is {form.margin}"


def test_what_makes_a_claim_undecidable_is_found() -> None:
    def found(claim: str) -> list[str]:
        text = (
            "name: x\nquestion: Is it?\ndataset: fashion_mnist\nfactors: {width: [4, 8]}\n"
            f"claims: [{{id: c, says: so, {claim}}}]\n"
        )
        experiment = yaml_reader.from_mapping(YAML(typ="safe", pure=True).load(text))
        return list(undecidable(experiment.claims[0], experiment))

    sides = "a: {width: 4}, b: {width: 8}, expect: greater"
    assert found(f"compare: {{metric: test_accuracy, {sides}}}") == []
    assert found("bound: {metric: test_accuracy, above: 1}")
    assert found("bound: {metric: test_accuracy, above: 0.7}") == []
    assert found(f"compare: {{metric: test_accuracy, {sides}, margin: 1}}")


# Results: of the files that ship, by a clean commit, small, and as their tables say.


@pytest.mark.parametrize("folder", FOLDERS, ids=[p.name for p in FOLDERS])
def test_reference_results_are_those_of_the_file(folder: Path) -> None:
    """Or of a file that was there before it: claims that were restated are for other draws, never for those looked at."""
    experiment, filed = (
        experiment_of(folder / "spec.yaml"),
        experiment_of(ROOT / "experiments" / f"{folder.name}.yaml"),
    )
    if filed.seed != experiment.seed:
        assert filed.claims != experiment.claims
        filed = experiment
    ids = grid.all_run_ids(filed)
    assert grid.all_run_ids(experiment) == ids
    assert experiment.claims == filed.claims
    stored = pd.concat([pq.read_table(p, columns=["run_id", "status"]).to_pandas() for p in runs_files(folder)])
    assert set(stored["run_id"]) <= set(ids)
    # Of a grid whose later runs follow from earlier ones, which those are is for `plan` to say.
    if filed.until_decided is None and not (filed.folds and filed.nuisance):
        assert len(stored) == len(ids)
    assert not (stored["status"] == "failed").any()


def runs_files(folder: Path) -> list[Path]:
    return sorted((folder / "runs").glob("*.parquet"))


def figures(folder: Path) -> set[str]:
    return {path.name for path in (folder / "figures").iterdir()}


def some_of_each_figure(number: int) -> list[Path]:
    """Return folders that between them have each kind of figure so often, or as often as there is one."""
    there = Counter(name for folder in FOLDERS for name in figures(folder))
    chosen: list[Path] = []
    while True:
        drawn = Counter(name for folder in chosen for name in figures(folder))
        lacking = {name for name, n in there.items() if drawn[name] < min(n, number)}
        if not lacking:
            return chosen
        chosen.append(max((f for f in FOLDERS if f not in chosen), key=lambda f: (len(lacking & figures(f)), f.name)))


# The figures of the other folders are drawn by `make prove`: of most of a report's time they take the most.
DRAWN = some_of_each_figure(1)


@pytest.mark.parametrize(
    "folder", [pytest.param(p, id=p.name, marks=pytest.mark.slow if p in DRAWN else pytest.mark.prove) for p in FOLDERS]
)
def test_the_reports_of_reference_results_are_what_their_tables_give(folder: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(folder), "--check"], catch_exceptions=False)
    assert result.exit_code == 0, result.output


SOON = ("weight_decay", "k_fold")  # the others are read by `make check`


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(p, id=p.name, marks=[pytest.mark.slow] * (p.name not in SOON))
        for p in FOLDERS
        if p not in DRAWN or p.name in SOON
    ],
)
def test_the_texts_of_reference_reports_are_what_their_tables_give(folder: Path) -> None:
    made = leave_blank(write_pages.render(folder))
    assert {f"figures/{name}" for name in figures(folder)} == set(made.drawings)
    texts = {name: text for name, text in contents(made, html=False).items() if not name.startswith("figures/")}
    assert "report.md" in texts
    assert [name for name, text in texts.items() if (folder / name).read_bytes() != text] == []


@pytest.mark.parametrize("name", [p.name for p in FOLDERS])
def test_reference_results_are_portable_and_of_a_clean_commit(name: str) -> None:
    columns = ["env_numerics", "env_dirty", "env_commit"]
    made = pd.concat([pq.read_table(p, columns=columns).to_pandas() for p in runs_files(REFERENCE / name)])
    assert set(made["env_numerics"]) == {"portable"}
    assert not made["env_dirty"].astype(bool).any()
    assert made["env_commit"].notna().all()


def test_reference_results_are_small_enough_to_be_cloned() -> None:
    assert sum(p.stat().st_size for p in REFERENCE.rglob("*") if p.is_file()) < MOST_BYTES


# Two runs of these, alone, take longer than ten seconds.
LONG = ("activation", "activation_identity", "baseline", "depth", "dropout", "input_noise", "l1_l2_images", "learning_rate",
        "mlp_and_cnn", "regularisation", "replication", "shift", "train_size", "variance", "width")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", [pytest.param(p, id=p.name, marks=[pytest.mark.prove] * (p.name in LONG)) for p in FOLDERS]
)
def test_reference_results_are_made_again_here(folder: Path, tmp_path: Path) -> None:
    """Two runs of each, drawn by a seed; in a copy, since what is verified goes on record, without a report to be written again."""
    copy = Path(shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("report.md", "figures")))
    result = CliRunner().invoke(main, ["verify", str(copy), "--sample", "2", "--workers", "1"], catch_exceptions=False)
    assert DIFFERENT not in result.output
    made_by = pd.concat([pq.read_table(p, columns=["env_cpu"]).to_pandas() for p in runs_files(copy)])["env_cpu"]
    if set(made_by) == {environment.environment()["env_cpu"]}:
        assert f"2 {IDENTICAL}" in result.output
    assert result.exit_code == 0
