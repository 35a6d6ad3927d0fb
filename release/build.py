"""Make what is released: source distribution and wheel, their digests, and the section of the changelog; nothing is uploaded.

`python release/build.py [--draft] [--python PYTHON]...` builds into `dist/`, twice, compares the bytes, and tries the wheel with each Python.
A release is made of a commit, whose changelog has a section of its version; a draft is made of what there is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNRELEASED = "Unreleased"
# What a wheel must have beside the modules.
NEEDED = ("mlpbench/py.typed", "mlpbench/shipped/width.yaml", "mlpbench/report/pages/style.css")


class Refusal(Exception):
    """Why there is no release, and what to do."""


def version_of(root: Path) -> str:
    """Return the version of the package."""
    found = re.search(r'^VERSION = "([^"]+)"', (root / "mlpbench/base/environment.py").read_text(), flags=re.MULTILINE)
    assert found, "the version stands where the build takes it from"
    return str(found[1])


def changelog_section(text: str, heading: str) -> str:
    """Return what a changelog says below the heading of a version; nothing where it has none."""
    parts = re.split(r"^## +(.+?)(?: +-.*)?\n", text, flags=re.MULTILINE)
    sections = {name: part.strip() + "\n" for name, part in zip(parts[1::2], parts[2::2], strict=True)}
    return sections.get(heading, "")


def notes(root: Path, version: str, *, draft: bool) -> str:
    """Return the section of the version; of a draft, where there is none, what is not released yet. Raise Refusal."""
    text = (root / "CHANGELOG.md").read_text()
    section = changelog_section(text, version)
    if not section and not draft:
        way = f"rename '## {UNRELEASED}', begin a new one above it, and commit"
        raise Refusal(f"CHANGELOG.md must have a section '## {version}', got none: {way}")
    return section or changelog_section(text, UNRELEASED)


def check_tree(root: Path, version: str, *, draft: bool) -> None:
    """Refuse a release of what no commit has, or whose version is not said alike; raise Refusal."""
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(), flags=re.MULTILINE)
    if cited is None or cited[1] != version:
        got = "none" if cited is None else cited[1]
        raise Refusal(f"CITATION.cff must have the version of the package, {version}, got {got}")
    changed = git(root, "status", "--porcelain")
    if changed and not draft:
        raise Refusal(
            f"a release is made of a commit, got changes that none has:\n{changed}\ncommit them, or give --draft"
        )


def git(root: Path, *arguments: str) -> str:
    """Return what git says."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.rstrip()


def built(root: Path, to: Path) -> dict[str, bytes]:
    """Build into a folder and return the files by name; their times are that of the commit."""
    env = os.environ | {"SOURCE_DATE_EPOCH": git(root, "log", "-1", "--format=%ct")}
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(to)]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    if done.returncode:
        raise Refusal(f"the package must build:\n{done.stderr}")
    return {path.name: path.read_bytes() for path in sorted(to.iterdir())}


def release(root: Path, dist: Path, *, draft: bool) -> Path:
    """Write both distributions, their digests and the notes into an empty folder, and return the wheel; raise Refusal."""
    version = version_of(root)
    check_tree(root, version, draft=draft)
    section = notes(root, version, draft=draft)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        files = built(root, Path(one))
        if files != built(root, Path(other)):
            raise Refusal("two builds of a tree must have the same bytes, got others")
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    for name, content in files.items():
        (dist / name).write_bytes(content)
    digests = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()]
    (dist / "SHA256SUMS").write_text("".join(digests))
    (dist / "NOTES.md").write_text(f"# mlpbench {version}\n\n{section}")
    (wheel,) = dist.glob("*.whl")
    return wheel


def check_wheel(wheel: Path, version: str) -> None:
    """Refuse a wheel that lacks what it is to have, or has what is none of its business; raise Refusal."""
    import zipfile

    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = next(file.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    if lacking := [name for name in NEEDED if name not in names]:
        raise Refusal(f"the wheel must have {', '.join(lacking)}, got none")
    if strange := [n for n in names if not n.startswith(("mlpbench/", f"mlpbench-{version}.dist-info/"))]:
        raise Refusal(f"the wheel must have the package alone, got {strange[0]}")
    if f"\nVersion: {version}\n" not in metadata:
        raise Refusal(f"the wheel must be of version {version}, got another")


def main() -> int:
    """Make a release, or a draft of one, and say what is left to do by hand."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draft", action="store_true", help="of what there is, whatever the changelog has")
    parser.add_argument("--python", action="append", default=[], help="try the wheel with this Python too")
    chosen = parser.parse_args()
    dist, version = ROOT / "dist", version_of(ROOT)
    try:
        wheel = release(ROOT, dist, draft=chosen.draft)
        check_wheel(wheel, version)
    except Refusal as refusal:
        print(f"release: {refusal}", file=sys.stderr)
        return 2
    print((dist / "SHA256SUMS").read_text(), end="")
    if chosen.python:
        import smoke

        if smoke.main(wheel, chosen.python):
            return 1
    left = f"by hand: git tag v{version}, git push origin v{version}, and the upload of dist/*.whl and dist/*.tar.gz"
    print(f"{dist / 'NOTES.md'} has what changed; nothing was uploaded" + ("" if chosen.draft else f"\n{left}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
