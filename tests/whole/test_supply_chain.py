"""What `make` installs has a version and a digest, and what is built of the repository is all of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from repository import ROOT

LOCKS = ROOT / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def plain(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name)[0]).lower()


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and digests of each package in a file of `locks/`."""
    blocks = (LOCKS / name).read_text().replace("\\\n", " ").splitlines()
    packages = {}
    for block in blocks:
        pin, *options = block.split(" --hash=")
        package, _, version = pin.partition(";")[0].strip().partition("==")
        packages[plain(package)] = version, [option.strip() for option in options]
    return packages


def constrained() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {plain(name): version for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("name", sorted(path.name for path in LOCKS.iterdir()))
def test_a_lock_has_versions_of_the_constraints_and_digests_of_their_files(name: str) -> None:
    for package, (version, digests) in locked(name).items():
        assert digests, package
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests), package
        # Torch names the exact versions of its CUDA libraries.
        named_by_torch = name == "cuda.txt" and package not in constrained()
        assert named_by_torch or version.removesuffix("+cpu") == constrained()[package], package


def test_everything_that_is_asked_for_is_locked() -> None:
    run, dev, build = (locked(f"{name}.txt") for name in ("run", "dev", "build"))
    assert {plain(d) for d in PROJECT["project"]["dependencies"]} <= set(run)
    assert {plain(d) for d in PROJECT["project"]["optional-dependencies"]["dev"]} <= set(run) | set(dev)
    assert set(constrained()) <= set(run) | set(dev) | set(build) | set(locked("cuda.txt"))
    for requirement in PROJECT["build-system"]["requires"]:
        name, _, version = requirement.partition("==")
        assert build[name][0] == version


def test_make_installs_by_digest_alone_unless_it_is_told_not_to() -> None:
    """The installer of the lock itself is no part of what is installed."""
    makefile = (ROOT / "Makefile").read_text()
    with_digests = re.sub(r"\nelse\n.*?\nendif\n", "\nendif\n", makefile, flags=re.DOTALL)
    installs = [line for line in with_digests.splitlines() if re.search(r"\$\(PIP\) install|pip install", line)]
    assert len(installs) == 3
    assert [line for line in installs if "--require-hashes" in line] == installs[:1]
    assert "--no-deps --no-build-isolation -e ." in installs[1]
    assert "uv==$(UV)" in installs[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="what builds the package is installed by make")
    to = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(to)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return to


@pytest.mark.slow
def test_the_source_distribution_has_all_that_git_has(built: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert set(listed.stdout.splitlines()) - names == set()
    assert names - set(listed.stdout.splitlines()) == {"PKG-INFO"}


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_the_experiments(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if name.startswith("mlpbench/")}
    there = {p.relative_to(ROOT).as_posix() for p in files_below(ROOT / "mlpbench")}
    there |= {f"mlpbench/shipped/{p.relative_to(ROOT / 'experiments')}" for p in files_below(ROOT / "experiments")}
    # The commit, of a checkout.
    assert packed - {"mlpbench/base/built_from.txt"} == there


def files_below(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
