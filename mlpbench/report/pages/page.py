"""Files of a report, and pages put together of a template, a style and a script, under a policy that admits nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from mlpbench.base.atomic_files import write_whole
from mlpbench.report import summary
from mlpbench.report.context import Context
from mlpbench.report.pages.curves_svg import chart
from mlpbench.report.pages.markdown_html import VERDICTS, body
from mlpbench.report.pages.runs_table import run_table
from mlpbench.report.report import Report
from mlpbench.report.sections.learning_curves import has_curves

MARKDOWN, HTML = "report.md", "report.html"
TEMPLATES = ("base.html", "report.html", "curves.html", "runs.html", "index.html")
SCRIPTS = ("vendor/sortable.min.js", "script.js")
CURVES = "figures/learning_curves.png"


def contents(report: Report, *, html: bool) -> dict[str, bytes]:
    """Return every file of a report by its name; the text comes last, so that whoever sees it finds what it links to."""
    page = {HTML: report_page(report).encode()} if html else {}
    return {**report.pictures, **page, summary.NAME: report.summary.content, MARKDOWN: report.markdown.encode()}


def write(report: Report, folder: Path, *, html: bool = False) -> Path:
    """Write a report, with `report.html` if it is wanted or there, and return the path of its text; raise MachineError."""
    for name, content in contents(report, html=html or (folder / HTML).exists()).items():
        write_whole(folder / name, content)
    return folder / MARKDOWN


def report_page(report: Report) -> str:
    """Return a report as one HTML file: its Markdown, a table of its runs that sorts and filters, and its learning curves.

    The text is that of `report.md`; pictures are inside the file; the learning curves are drawn again as SVG, to be
    highlighted. The same report gives the same bytes.
    """
    shown = _of_runs(report.context)
    curves = shown.get("chart")
    instead = {} if curves is None else {CURVES: _render("curves.html", chart=curves)}
    text = body(report.markdown, report.pictures, instead)
    sections = [*text.sections, *([("runs", "Runs")] if "runs" in shown else [])]
    return _page("report.html", _colours(curves), title=text.title, body=Markup(text.html), sections=sections, **shown)


def index_page(**content: Any) -> str:
    """Return the index of a results folder as one HTML file."""
    return _page("index.html", "", **content)


def _of_runs(context: Context | None) -> dict[str, Any]:
    """Return what a page shows of the runs of an experiment, beyond the text of its report."""
    if context is None:
        return {}
    runs = {"runs": run_table(context)}
    if not has_curves(context):
        return runs
    return {**runs, "chart": chart(context.curve_estimates, context.colours)}


def _page(template: str, colours: str, **content: Any) -> str:
    style = f"{_text('style.css')}{colours}"
    scripts = [_text(name) for name in SCRIPTS]
    # No address is admitted, and of inline code only what was hashed here: not even markup that slipped through runs.
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        "base-uri 'none'; form-action 'none'"
    )
    inline = {"style": Markup(style), "scripts": [Markup(s) for s in scripts], "policy": policy, "signs": VERDICTS}
    return _render(template, **inline, **content)


def _colours(chart: Any) -> str:
    entries = () if chart is None else chart.entries
    return "".join(f".c{e.key} {{ --curve: light-dark({e.light}, {e.dark}); }}\n" for e in entries)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (files("mlpbench.report.pages") / name).read_text(encoding="utf-8")


@functools.cache
def _templates() -> Environment:
    loader = DictLoader({name: _text(name) for name in TEMPLATES})
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _render(template: str, **content: Any) -> str:
    return _templates().get_template(template).render(**content) + "\n"
