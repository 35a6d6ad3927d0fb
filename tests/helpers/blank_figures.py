"""Figures of reports that are left blank: to draw them takes most of the time of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from mlpbench.report.report import Report

# As wide as the figures of a report.
SIZE = (768, 30)


def blank_png() -> bytes:
    """Return a picture of nothing."""
    buffer = io.BytesIO()
    Image.new("P", SIZE).save(buffer, "PNG")
    return buffer.getvalue()


def leave_blank(report: Report) -> Report:
    """Fill in the files that a report would draw; its figures are never built."""
    vars(report)["pictures"] = dict.fromkeys(report.drawings, blank_png())
    return report
