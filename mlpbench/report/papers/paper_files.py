"""What a report has for a paper, beside its pages: `report.tex`, and its figures as vectors, `figures/NAME.pdf` and `NAME.svg`.

They are written where they are asked for, and kept up to date with the report from then on. The same report gives the same bytes:
no dates, and names inside an SVG that follow from a fixed word.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import matplotlib as mpl
from matplotlib.figure import Figure

from mlpbench.base.errors import InputError
from mlpbench.base.files import write_whole
from mlpbench.base.models import suggestion
from mlpbench.report.figures import theme
from mlpbench.report.papers import latex_tables
from mlpbench.report.report import Report

LATEX = "report.tex"
FIGURES = "figures"
VectorFormat = Literal["pdf", "svg"]
FORMATS: tuple[VectorFormat, ...] = get_args(VectorFormat)
# What would say when and by what a file was made.
_UNDATED: Mapping[VectorFormat, Mapping[str, None]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


def read_formats(text: str) -> tuple[VectorFormat, ...]:
    """Return the formats of a list such as `pdf,svg`; raise InputError for another word.

    >>> read_formats("svg, pdf")
    ('pdf', 'svg')
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in FORMATS:
            every = f"--figures must be {', '.join(FORMATS)}, or both with a comma between them, got {word!r}"
            raise InputError(f"{every}{suggestion(word, FORMATS)}; figures are always drawn as PNG too")
    if not words:
        raise InputError(f"--figures must be {', '.join(FORMATS)}, or both with a comma between them, got {text!r}")
    return tuple(f for f in FORMATS if f in words)


def contents(
    report: Report, folder: Path, *, latex: bool = False, formats: Collection[VectorFormat] = ()
) -> dict[str, bytes]:
    """Return the files for a paper by name, those asked for and those that the folder has already.

    Args:
        report: the report of the folder.
        folder: where they are, or will be.
        latex: whether the tables are wanted.
        formats: of vector figures.

    Raises InputError for tables of kernel benchmarks.

    """
    files = {}
    if latex:
        check_tables(report)
    if report.context is not None and (latex or (folder / LATEX).exists()):
        files[LATEX] = latex_tables.tables(report.context).encode()
    for kind in FORMATS:
        if kind in formats or any((folder / FIGURES).glob(f"*.{kind}")):
            # Those that can't be drawn are not among the pictures, and the report says so.
            files |= {
                str(Path(path).with_suffix(f".{kind}")): vector(report.drawings[path](), kind)
                for path in report.pictures
            }
    return files


def check_tables(report: Report) -> None:
    """Raise InputError for a report without claims and conditions: that of kernel benchmarks."""
    if report.context is None:
        raise InputError(
            "tables in LaTeX are of claims and conditions, which kernel benchmarks have none of: leave --latex out"
        )


def write(report: Report, folder: Path, *, latex: bool = False, formats: Collection[VectorFormat] = ()) -> list[Path]:
    """Write the files for a paper, as `contents` has them, and return their paths; raise MachineError where the disk refuses."""
    files = contents(report, folder, latex=latex, formats=formats)
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


def vector(figure: Figure, kind: VectorFormat) -> bytes:
    """Return a figure as PDF or SVG, letters as outlines in SVG and as embedded fonts in PDF: it looks the same anywhere."""
    buffer = io.BytesIO()
    fixed: Any = {"svg.hashsalt": "mlpbench", "svg.fonttype": "path", "pdf.fonttype": 42}
    with theme.style(), mpl.rc_context(fixed):
        figure.savefig(buffer, format=kind, metadata=dict(_UNDATED[kind]))
    return buffer.getvalue()
