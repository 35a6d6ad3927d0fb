"""Notebooks of the repository, executed anew: `python tests/helpers/notebooks.py examples/activations.ipynb` keeps the outputs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def executed(path: Path, folder: Path) -> dict[str, Any]:
    """Return a notebook with the outputs that its cells have now, run from the first to the last in a folder."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, record_timing=False
    )
    client.execute(env=os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    found: dict[str, Any] = json.loads(nbformat.writes(notebook))
    found["metadata"] = {"kernelspec": found["metadata"]["kernelspec"], "language_info": {"name": "python"}}
    return found


def printed(notebook: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what each cell of code prints and shows as text, beside its source."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # What is printed comes in one piece or in several, as it happens.
    texts = ["".join(map(_text, cell["outputs"])) for cell in cells]
    return [("".join(c["source"]), "\n".join(filter(None, t.splitlines()))) for c, t in zip(cells, texts, strict=True)]


def _text(output: dict[str, Any]) -> str:
    shown = output.get("text", output.get("data", {}).get("text/plain", ""))
    return "".join(shown) + "\n"


if __name__ == "__main__":
    for name in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as there:
            name.write_text(json.dumps(executed(name, Path(there)), indent=1, ensure_ascii=False) + "\n")
