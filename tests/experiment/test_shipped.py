"""A name of the command line means a file here, one under experiments/, or an experiment that comes with mlpbench."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from repository import EXPERIMENTS

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.experiment.file import shipped, yaml_reader

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


def test_what_is_here_is_nearer_than_what_comes_along() -> None:
    Path("wide.yaml").write_text(SPEC)
    assert shipped.hint(Path("widee.yaml")) == "; did you mean 'wide.yaml'?"
    assert shipped.hint(Path("zzzz.yaml")) == "; . has wide.yaml"


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
