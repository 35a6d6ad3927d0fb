"""From an empty folder with only the wheel: the experiments come along, and so do names, schema, templates and the demo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from repository import ROOT

pytestmark = pytest.mark.slow


def build(tree: Path, to: Path) -> Path:
    pytest.importorskip("hatchling", reason="what builds the package is installed by make")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = to.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def bare_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source without git and without results, as an archive of it may be."""
    tree = tmp_path_factory.mktemp("tree") / "mlpbench"
    kept = ("mlpbench", "experiments", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore")
    tree.mkdir()
    for name in kept:
        there = ROOT / name
        if there.is_dir():
            shutil.copytree(there, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(there, tree / name)
    return tree


@pytest.fixture(scope="module")
def site(bare_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel alone; what it needs is that of this environment."""
    wheel = build(bare_tree, tmp_path_factory.mktemp("dist"))
    to = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(to),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return to


def mlpbench(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "MPL"))} | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "mlpbench", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)


def test_it_is_the_installed_copy_that_runs_and_has_no_commit(site: Path, tmp_path: Path) -> None:
    done = mlpbench(site, tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, "mlpbench, version 0.1.0\n")


def test_list_shows_the_experiments_that_come_along(site: Path, tmp_path: Path) -> None:
    done = mlpbench(site, tmp_path, "list", "--json")
    assert done.returncode == 0
    assert done.stderr.startswith("mlpbench: there is no folder experiments here: these come with mlpbench")
    files = [Path(row["file"]) for row in json.loads(done.stdout)]
    assert {f.name for f in files} == {p.name for p in (ROOT / "experiments").glob("*.yaml")}
    assert all(f.is_relative_to(site) for f in files)


def test_an_experiment_is_planned_and_run_by_its_name(site: Path, tmp_path: Path) -> None:
    planned = mlpbench(site, tmp_path, "plan", "width")
    assert planned.returncode == 0
    assert planned.stderr == "mlpbench: width: the experiment that comes with mlpbench\n"
    assert "experiment          width" in planned.stdout
    done = mlpbench(site, tmp_path, "run", "penguins", "--set", "replicates=2", "--set", "epochs=1", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("penguins: the experiment that comes with mlpbench\n")
    assert (tmp_path / "results/penguins/report.md").is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"results"}


def test_the_first_minutes_need_nothing_but_the_wheel(site: Path, tmp_path: Path) -> None:
    """A file of each kind, the demonstration, and the words."""
    for template in ("compare", "own-data"):
        assert mlpbench(site, tmp_path, "new", template, "--template", template).returncode == 0
        assert mlpbench(site, tmp_path, "plan", template).returncode == 0
    assert json.loads((tmp_path / "mlpbench.schema.json").read_text())["title"] == "An experiment of mlpbench"
    assert mlpbench(site, tmp_path, "explain", "learning_rate").stdout.startswith("learning_rate: here lr\n")
    done = mlpbench(site, tmp_path, "demo", "--no-open")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "results/demo/report.html").is_file()
    looked = mlpbench(site, tmp_path, "doctor", "--no-test", "--json")
    assert json.loads(looked.stdout)["findings"][0]["seen"].startswith("0.1.0, Python ")


def test_what_is_not_there_is_answered_with_what_comes_along(site: Path, tmp_path: Path) -> None:
    for asked, way in (
        ("experiments/width.yaml", "width comes with mlpbench: give its name alone, as in `mlpbench run width`"),
        ("widht", "did you mean 'width', which comes with mlpbench?"),
        ("nothing_like_it", "`mlpbench list` has those that come with mlpbench, `mlpbench new NAME` writes one"),
    ):
        done = mlpbench(site, tmp_path, "run", asked)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"mlpbench: experiment file not found: {asked}; {way}\n"


def test_a_wheel_of_a_checkout_has_its_commit(tmp_path: Path, bare_tree: Path) -> None:
    tree = tmp_path / "checkout"
    shutil.copytree(bare_tree, tree)
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    for changed in (False, True):
        if changed:
            (tree / "mlpbench" / "api.py").write_text((tree / "mlpbench" / "api.py").read_text() + "\n# changed\n")
        to = tmp_path / f"dist{changed}"
        with zipfile.ZipFile(build(tree, to)) as file:
            file.extractall(to / "site")
        done = mlpbench(to / "site", tmp_path, "--version")
        assert done.stdout == f"mlpbench, version 0.1.0 ({head[:10]}{'+' * changed})\n"
    assert not (tree / "mlpbench" / "base" / "built_from.txt").exists()


def test_a_wheel_can_be_built_of_the_source_distribution(bare_tree: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=bare_tree, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    with zipfile.ZipFile(build(source, tmp_path / "dist")) as file:
        assert "mlpbench/shipped/width.yaml" in file.namelist()
