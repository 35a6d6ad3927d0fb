"""Links of Markdown files of the repository, as they are in the site.

A page is read in the repository and in the site, and its links hold in both: in the repository they name files, in the site what
is a page of it is a page, a file is a file to be saved, and a folder, which a site has none of, is its name alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

DOCS = PurePosixPath("docs")
MADE = DOCS / "generated"
REFERENCE = PurePosixPath("results/reference")
# Files of the repository that are pages of the site, by what they are there.
PAGES = {
    "README.md": DOCS / "index.md",
    "CONTRIBUTING.md": MADE / "contributing.md",
    "CHANGELOG.md": MADE / "changelog.md",
    "SECURITY.md": MADE / "security.md",
    "mlpbench/data/table_pack/NOTICE.md": MADE / "table_notice.md",
    f"{REFERENCE}/index.md": MADE / "truth.md",
}
_FENCED = re.compile(r"(^```.*?^```$)", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:[^][]|\[[^][]*\](?:\([^)]*\))?)*)\]\((?!https?:|#|/|mailto:)([^)\s#]+)(#[^)\s]*)?\)")


def relinked(text: str, written: PurePosixPath, shown: PurePosixPath, root: Path) -> str:
    """Return the text of a file as that of a page of the site.

    Args:
        text: what the file has.
        written: where the file stands in the repository.
        shown: where the page stands in it, a file below `docs`.
        root: the checkout.

    """

    def link(match: re.Match[str]) -> str:
        words = _LINK.sub(link, match[1])
        there = PurePosixPath(os.path.normpath(written.parent / match[2]))
        if (root / there).is_dir():
            return words if words.startswith("`") else f"`{words}`"
        to = PurePosixPath(os.path.relpath(page_of(there), shown.parent))
        return f"[{words}]({to}{match[3] or ''})"

    parts = _FENCED.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def page_of(file: PurePosixPath) -> PurePosixPath:
    """Return the page that a file of the repository is in the site; the file itself where it is none.

    >>> print(page_of(PurePosixPath("results/reference/width/report.md")))
    docs/generated/reports/width.md
    """
    if file.name == "report.md" and file.parent.parent == REFERENCE:
        return MADE / "reports" / f"{file.parent.name}.md"
    return PAGES.get(file.as_posix(), file)
