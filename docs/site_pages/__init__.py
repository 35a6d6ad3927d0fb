"""The pages of the site that nobody writes: the reference, and what the reference results say.

`pages()` makes all of them, the same for the same checkout, and `docs/conf.py` writes them where the site is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def pages(root: Path) -> Mapping[str, str]:
    """Return the text of every page that is made, by its path below the folder of such pages.

    Args:
        root: the checkout, which has `experiments` and `results/reference`.

    """
    from site_pages import command_pages, course_pages, reference_pages, result_pages

    return {
        **reference_pages.pages(),
        "commands.md": command_pages.page(),
        **result_pages.pages(root),
        "course.md": course_pages.page_of_course(root),
    }
