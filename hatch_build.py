"""What is built into a wheel beside the modules: the commit it was built from, where there is one, for `mlpbench --version`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Where `mlpbench.base.environment` reads it.
PLACE = "mlpbench/base/built_from.txt"


class CommitHook(BuildHookInterface[Any]):
    """Writes the commit into the wheel, with a `+` behind it where the package differs from that commit."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add a file with the commit to a wheel that is installed; an editable one asks git itself."""
        self._file: Path | None = None
        root = Path(self.root)
        if self.target_name != "wheel" or version == "editable" or not (root / ".git").exists():
            return
        commit = _git(root, "rev-parse", "HEAD")
        if commit is None:
            return
        changed = _git(root, "status", "--porcelain", "--", "mlpbench", "experiments")
        handle, name = tempfile.mkstemp()
        with os.fdopen(handle, "w") as file:
            file.write(commit + ("+" if changed else "") + "\n")
        self._file = Path(name)
        build_data["force_include"][name] = PLACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file that was packed."""
        if self._file is not None:
            self._file.unlink()


def _git(root: Path, *arguments: str) -> str | None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, env=own, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
