"""What is released is made of a commit, says what changed, and is the same bytes every time."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repository import ROOT


def module(name: str) -> ModuleType:
    """Return a script of the folder `release`, which is no package."""
    spec = importlib.util.spec_from_file_location(f"release_{name}", ROOT / "release" / f"{name}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


BUILD, SMOKE = module("build"), module("smoke")
VERSIONS = st.lists(st.from_regex(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}", fullmatch=True), min_size=1, unique=True)
LINES = st.lists(st.sampled_from(["### Added", "- one", "", "- `## 9.9.9` in code", "text - 2026"])).map("\n".join)


@given(VERSIONS, st.data())
def test_a_section_is_what_stands_below_its_heading(versions: list[str], data: st.DataObject) -> None:
    bodies = [data.draw(LINES) for _ in versions]
    dates = [data.draw(st.sampled_from(["", " - 2026-11-28"])) for _ in versions]
    text = "# Changelog\n\nWords.\n\n" + "".join(
        f"## {version}{date}\n\n{body}\n\n" for version, date, body in zip(versions, dates, bodies, strict=True)
    )
    for version, body in zip(versions, bodies, strict=True):
        assert BUILD.changelog_section(text, version) == body.strip() + "\n"
    assert BUILD.changelog_section(text, "Unreleased") == ""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with all that a build needs."""
    tree = tmp_path / "tree"
    tree.mkdir()
    kept = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore", "CHANGELOG.md", "CITATION.cff")
    for name in kept:
        shutil.copy(ROOT / name, tree)
    for name in ("mlpbench", "experiments"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(tree, "init", "-q")
    commit(tree)
    return tree


def git(tree: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(tree), *who, *arguments], check=True, capture_output=True)


def commit(tree: Path) -> None:
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "all")


def changed(tree: Path, name: str, old: str, new: str) -> None:
    text = (tree / name).read_text()
    assert old in text
    (tree / name).write_text(text.replace(old, new, 1))


def test_what_is_not_ready_is_refused_with_a_way_forward(tree: Path, tmp_path: Path) -> None:
    version = BUILD.version_of(tree)
    with pytest.raises(BUILD.Refusal, match=rf"must have a section '## {version}', got none: rename '## Unreleased'"):
        BUILD.release(tree, tmp_path / "dist", draft=False)
    changed(tree, "CHANGELOG.md", "## Unreleased\n", f"## Unreleased\n\n## {version} - 2026-11-28\n")
    with pytest.raises(BUILD.Refusal, match=r"a release is made of a commit(.|\n)* M CHANGELOG\.md"):
        BUILD.release(tree, tmp_path / "dist", draft=False)
    changed(tree, "CITATION.cff", f"version: {version}", "version: 0.0.9")
    with pytest.raises(BUILD.Refusal, match=rf"must have the version of the package, {version}, got 0\.0\.9"):
        BUILD.release(tree, tmp_path / "dist", draft=True)
    assert not (tmp_path / "dist").exists()


@pytest.mark.slow
def test_a_release_has_both_distributions_their_digests_and_what_changed(tree: Path, tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="what builds the package is installed by make")
    version, dist = BUILD.version_of(tree), tmp_path / "dist"
    changed(tree, "CHANGELOG.md", "## Unreleased\n", f"## Unreleased\n\n- Later.\n\n## {version} - 2026-11-28\n")
    commit(tree)
    wheel = BUILD.release(tree, dist, draft=False)
    BUILD.check_wheel(wheel, version)
    assert sorted(p.name for p in dist.iterdir()) == sorted(
        ["NOTES.md", "SHA256SUMS", f"mlpbench-{version}-py3-none-any.whl", f"mlpbench-{version}.tar.gz"]
    )
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    notes = (dist / "NOTES.md").read_text()
    assert notes.startswith(f"# mlpbench {version}\n\n### Added\n\n- ")
    assert "Later." not in notes
    with pytest.raises(BUILD.Refusal, match="must be of version 9, got another|must have the package alone"):
        BUILD.check_wheel(wheel, "9")


def test_what_only_an_extra_asks_for_has_leaked() -> None:
    run = sorted(SMOKE.locked("run.txt"))
    assert SMOKE.leaked([*run, "pip", "mlpbench", "nvidia-cublas"]) == []
    for extra in ("ray", "pytest", "Hypothesis", "ipykernel", "hatchling"):
        assert SMOKE.leaked([*run, extra]) == [extra.lower()]


def test_the_readme_of_make_says_what_release_does() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert "make release" in text
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.split("\nrelease:")[1].split("\n\n")[0]
    assert "release/build.py" in recipe
    assert not re.search(r"upload|twine|push", recipe.split("\n", 1)[1])
