"""A name of the command line means a file here, one under experiments/, or an experiment that comes with mlpbench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from repository import EXPERIMENTS

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.experiment.file import shipped, yaml_reader
from mlpbench.report.summary import Summary
from mlpbench.results.folders import located_folder, read_folder

SPEC = "name: n\nquestion: Which?\ndataset: digits\nfactors: {width: [8, 16]}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(name: str) -> tuple[Path, list[str]]:
    said: list[str] = []
    return shipped.located(Path(name), said.append), said


def test_every_experiment_of_the_repository_comes_along_and_its_name_is_that_of_its_file() -> None:
    assert set(shipped.shipped_experiments().values()) == set(EXPERIMENTS.rglob("*.yaml"))
    for name, path in shipped.shipped_experiments().items():
        assert found(name) == (path, [f"{name}: the experiment that comes with mlpbench"])


def test_a_file_here_comes_before_one_under_experiments_and_that_before_what_comes_along() -> None:
    Path("experiments").mkdir()
    (under := Path("experiments/width.yaml")).write_text(SPEC)
    assert found("width") == (under, ["width: the experiment in experiments/width.yaml"])
    Path("width.yml").write_text(SPEC)
    assert found("width") == (Path("width.yml"), ["width: the experiment in width.yml"])
    Path("width.yaml").write_text(SPEC)
    assert found("width") == (Path("width.yaml"), ["width: the experiment in width.yaml"])
    Path("width").write_text(SPEC)
    assert found("width") == (Path("width"), [])


@pytest.mark.parametrize(
    "path", ["width.yaml", "experiments/width.yaml", "./sub/width", "/nowhere/width", "x" * 5000, "no such"]
)
def test_a_path_that_names_no_file_stays_as_it_is(path: str) -> None:
    assert found(path) == (Path(path), [])


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("width.yaml", "; width comes with mlpbench: give its name alone, as in `mlpbench run width`"),
        ("experiments/width.yaml", "; width comes with mlpbench: give its name alone, as in `mlpbench run width`"),
        ("widht", "; did you mean 'width', which comes with mlpbench?"),
        ("nothing_like_it", "; `mlpbench list` has those that come with mlpbench, `mlpbench new NAME` writes one"),
        ("nowhere/mine.yaml", ""),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_a_way_forward(path: str, way: str) -> None:
    with pytest.raises(InputError) as error:
        yaml_reader.read(Path(path))
    assert str(error.value) == f"experiment file not found: {path}{way}"


def test_a_file_that_is_not_like_it_does_not_hide_what_comes_along() -> None:
    Path("n.yaml").touch()
    with pytest.raises(InputError, match="width comes with mlpbench: give its name alone"):
        yaml_reader.read(Path("width.yaml"))


def test_what_is_here_is_nearer_than_what_comes_along() -> None:
    Path("wide.yaml").write_text(SPEC)
    assert shipped.hint(Path("widee.yaml")) == "; did you mean 'wide.yaml'?"
    assert shipped.hint(Path("zzzz.yaml")) == "; this folder has wide.yaml"


def test_list_shows_them_where_there_is_no_folder_and_says_so() -> None:
    Path("results").mkdir()
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 0
    assert (
        result.stderr
        == "mlpbench: there is no folder experiments here: these come with mlpbench, as in `mlpbench run width`\n"
    )
    for path in EXPERIMENTS.glob("*.yaml"):
        assert f"\n{path.stem} " in f"\n{result.stdout}"


def test_a_copy_without_experiments_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "CHECKOUT", Path("none"))
    monkeypatch.setattr(shipped, "INSTALLED", Path("none"))
    shipped.shipped_experiments.cache_clear()
    try:
        assert found("width") == (Path("width"), [])
        assert CliRunner().invoke(main, ["list"]).exit_code == 2
    finally:
        shipped.shipped_experiments.cache_clear()


def test_python_takes_a_name_too(in_process: None, blank_figures: None) -> None:
    outcome = mlpbench.run("penguins", replicates=2, epochs=1)
    assert outcome.experiment.name == "penguins"
    assert outcome.statuses == {"ok": 4}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rate: 0.1", "unknown key 'learning_rate'; did you mean the setting 'lr'? settings stand under fixed"),
        ("width: 8", "unknown key 'width'; width is a setting, and settings stand under fixed"),
        ("fixed: {num_epochs: 3}", "unknown setting 'num_epochs'; did you mean 'epochs'?"),
        ("fixed: {Dropout_Rate: 0.1}", "unknown setting 'Dropout_Rate'; did you mean 'dropout'?"),
        ("fixed: {init: kaiming_normal}", "; did you mean 'he_normal'?"),
        ("fixed: {optimizer: Adam}", "; did you mean 'adam'?"),
        ("fixed: {activation: swish}", "; did you mean 'silu'?"),
        ("n_seeds: 3", "unknown key 'n_seeds'; did you mean 'replicates'?"),
        ("claims: [{id: c, says: So., bound: {metric: acc, above: 0.5}}]", "got 'acc'; did you mean 'test_accuracy'?"),
        ("claims: [{id: c, statement: So., bound: {metric: flops, above: 0.5}}]", "did you mean 'says'?"),
    ],
)  # fmt: skip
def test_names_of_other_libraries_are_answered_with_ours(line: str, message: str, here: Path) -> None:
    Path("x.yaml").write_text(f"{SPEC.replace('width', 'depth').replace('8, 16', '0, 1')}{line}\n")
    result = CliRunner().invoke(main, ["plan", "x.yaml"])
    assert result.exit_code == 2
    assert message in result.stderr
    assert [p.name for p in here.iterdir()] == ["x.yaml"]


def test_a_results_folder_and_its_name_stand_for_the_experiment_in_it() -> None:
    folder = Path("results/mine")
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(SPEC)
    file = folder / "spec.yaml"
    assert found("mine") == (file, [f"mine: the experiment in {file}"])
    assert found("results/mine") == (file, [f"results/mine: the experiment in {file}"])
    (Path("results") / "width").mkdir()
    (Path("results/width/spec.yaml")).write_text(SPEC)
    assert found("width")[0] == shipped.shipped_experiments()["width"], "the file that a run of it was of"
    assert shipped.located(Path("mine"), results=Path("elsewhere")) == Path("mine")


@pytest.mark.parametrize(
    ("folders", "means"), [(["results/mine"], "results/mine"), (["results/a/mine"], "results/a/mine")]
)
def test_the_name_of_results_is_found_below_the_folder_of_results(folders: list[str], means: str) -> None:
    for folder in folders:
        Path(folder).mkdir(parents=True)
        (Path(folder) / "spec.yaml").write_text(SPEC)
    said: list[str] = []
    assert located_folder(Path("mine"), said.append) == Path(means)
    assert said == [f"mine: the results in {means}"]
    assert located_folder(Path("mines"), said.append) == Path("mines")
    with pytest.raises(InputError, match=r"mines is not a results folder \(no spec.yaml\); did you mean 'mine'\?"):
        read_folder(Path("mines"))
    Path("mine").mkdir()
    assert located_folder(Path("mine"), said.append) == Path("mine"), "what is there by that name comes first"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_results_folder_that_was_renamed_is_refused_before_its_runs_are_trained_anew(command: str) -> None:
    Path("results/renamed").mkdir(parents=True)
    Path("results/renamed/spec.yaml").write_text(SPEC)
    for name in ("renamed", "results/renamed"):
        result = CliRunner().invoke(main, [command, name])
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (
            2,
            "mlpbench: results/renamed has results of the experiment n, which would be trained anew into results/n: rename the "
            "folder to results/n to continue in it, or give --set name=renamed to continue under the name that the folder has now",
        )
    with pytest.raises(InputError, match="trained anew into results/n"):
        getattr(mlpbench, command)("renamed")
    Path("results/n").mkdir()
    with pytest.raises(InputError, match="trained anew into results/n: give --set name=renamed"):
        mlpbench.plan("renamed")
    assert CliRunner().invoke(main, ["plan", "renamed", "--set", "name=renamed"]).exit_code == 0
    assert CliRunner().invoke(main, ["plan", "results/renamed", "--results", "elsewhere"]).exit_code == 0


def test_a_folder_is_loaded_by_its_name_and_what_was_written_is_never_suggested() -> None:
    Path("results/mine").mkdir(parents=True)
    Path("results/mine/spec.yaml").write_text(SPEC)
    assert mlpbench.load("mine").folder == Path("results/mine")
    with pytest.raises(InputError, match="mines is not a results folder .*; did you mean 'mine'"):
        mlpbench.load("mines")
    Path("mine").mkdir()
    with pytest.raises(InputError, match="mine is not a results folder .*; did you mean results/mine"):
        mlpbench.load("mine")


def test_a_name_of_several_results_is_refused() -> None:
    for folder in ("results/a/mine", "results/b/mine"):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "spec.yaml").write_text(SPEC)
    with pytest.raises(InputError, match=r"mine may be any of results/a/mine, results/b/mine: give the path of one"):
        located_folder(Path("mine"), print)


def test_plans_of_several_end_with_a_line_for_each_and_one_for_all() -> None:
    claim = "claims: [{id: c, says: so, compare: {metric: test_loss, a: {width: 8}, b: {width: 16}, expect: less}}]\n"
    Path("one.yaml").write_text(SPEC.replace("name: n", "name: one") + claim + "replicates: 8\n")
    Path("two.yaml").write_text(SPEC.replace("name: n", "name: two"))
    result = CliRunner().invoke(main, ["plan", "one", "two"])
    *_, head, one, two, both = result.stdout.splitlines()
    alone = json.loads(CliRunner().invoke(main, ["plan", "one", "--json"]).stdout)
    assert head.split() == ["experiment", "runs", "done", "missing", "expected", "time", "replicates", "detects"]
    sd = f"{alone['detectable']['sd']['c']:.2g}"
    assert one.split() == ["one", "16", "0", "16", "about", "0", "s", "8", sd, "sd"]
    assert two.split() == ["two", "10", "0", "10", "about", "0", "s"]
    assert both.split()[:4] == ["together", "26", "0", "26"]
    of_both = json.loads(CliRunner().invoke(main, ["plan", "one", "two", "--json"]).stdout)
    assert [of["experiment"] for of in of_both] == ["one", "two"]
    assert of_both[0] == alone


def test_the_list_takes_single_experiments_and_shows_verdicts_of_the_folder_of_results() -> None:
    Path("mine.yaml").write_text(SPEC)
    Path("results/n").mkdir(parents=True)
    Path("results/n/summary.json").write_bytes(
        Summary.model_validate({"name": "n", "question": "Which?", "verdicts": {"refuted": 1}}).content
    )
    rows = json.loads(CliRunner().invoke(main, ["list", "mine", "width", "--json"]).stdout)
    assert [(row["name"], row["folder"], row["verdicts"]) for row in rows] == [
        ("n", "results/n", {"refuted": 1}), ("width", "results/reference/width", None)
    ]  # fmt: skip
