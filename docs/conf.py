"""How the site is built: `make docs`, or `sphinx-build -W docs OUT`. Pages that nobody writes are made first, by `site_pages`."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from site_pages import pages  # noqa: E402
from site_pages.links import DOCS, MADE, relinked  # noqa: E402

from mlpbench.base.environment import VERSION  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "mlpbench"
author = "The mlpbench authors"
copyright = author
version = release = VERSION
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["site_pages"]
nitpicky = True
myst_enable_extensions = ["colon_fence"]
# Links to headings, as deep as reports have them.
myst_heading_anchors = 4
# Of experiment files, which Pygments knows as YAML, fragments of one key are no documents.
highlight_language = "text"
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = "mlpbench"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
# The same pages for the same checkout.
html_last_updated_fmt = None


def write_pages(_app: Sphinx) -> None:
    """Write the pages that are made, those that differ alone, and remove those that are no more."""
    folder = ROOT / MADE
    made = pages(ROOT)
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in made:
            path.unlink()


def relink(_app: Sphinx, name: str, source: list[str]) -> None:
    """Turn the links of a written page to files of the repository into those of the site."""
    page = DOCS / f"{name}.md"
    if not page.is_relative_to(MADE):
        source[0] = relinked(source[0], PurePosixPath(page), PurePosixPath(page), ROOT)


def setup(app: Sphinx) -> dict[str, Any]:
    """Have pages made before any is read."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", relink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
