"""Figures of reports that are left blank: to draw them takes most of the time of a report."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from repository import HELPERS, ROOT

if TYPE_CHECKING:
    from mlpbench.report.report import Report
    from mlpbench.report.section import Drawing

# As wide as the figures of a report.
SIZE = (672, 30)
SITE = HELPERS / "blank_site.py"


def blank_path(folder: Path) -> str:
    """Return a PYTHONPATH with which commands leave figures blank: the folder, which is written to, comes first in it."""
    (folder / "sitecustomize.py").write_text(SITE.read_text())
    return os.pathsep.join([str(folder), str(ROOT), str(HELPERS), os.environ.get("PYTHONPATH", "")])


@functools.cache
def blank_png() -> bytes:
    """Return a picture of nothing."""
    buffer = io.BytesIO()
    Image.new("P", SIZE).save(buffer, "PNG")
    return buffer.getvalue()


def blank_drawn(report: Report) -> dict[str, bytes | str]:
    """Return a blank picture for each that a report would draw, each another one; its figures are never built."""
    return {path: blank_png() + path.encode() for path in report.drawings}


@contextmanager
def drawn_alone(wanted: Callable[[Report, str], bool]) -> Iterator[None]:
    """Leave out figures that are not wanted, by the report and their name: to draw them takes most of the time of a report."""
    import pytest  # commands load this file, too

    from mlpbench.report.report import Report

    every = Report.drawings
    assert isinstance(every, property)

    def some(report: Report) -> dict[str, Drawing]:
        drawings: dict[str, Drawing] = every.__get__(report)
        return {path: draw for path, draw in drawings.items() if wanted(report, Path(path).stem)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Report, "drawings", property(some))
        yield


def leave_blank(report: Report) -> Report:
    """Fill in the files that a report would draw; its figures are never built."""
    vars(report)["pictures"] = blank_drawn(report)
    return report
