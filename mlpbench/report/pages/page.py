"""Pages put together: a template, a style and a script of the package, under a policy that admits nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from mlpbench.report.pages.markdown_html import VERDICTS, body

if TYPE_CHECKING:
    from mlpbench.report.pages.interactive import Interactive
    from mlpbench.report.report import Report

TEMPLATES = ("base.html", "report.html", "curves.html", "runs.html", "index.html")
SCRIPTS = ("vendor/sortable.min.js", "script.js")
CURVES = "figures/learning_curves.png"


def report_page(report: Report) -> str:
    """Return a report as one HTML file: its Markdown, and what it shows as `interactive`, to be looked into.

    The text is that of `report.md`; pictures are inside it; the table of runs sorts and filters, and the learning curves,
    drawn anew as SVG, highlight. The same report gives the same bytes.
    """
    shown = report.interactive
    more = {} if shown is None else _interactive(shown)
    chart = more.get("chart")
    instead = {} if chart is None else {CURVES: _render("curves.html", chart=chart)}
    text = body(report.markdown, report.files, instead)
    sections = [*text.sections, *([("runs", "Runs")] if "runs" in more else [])]
    return _page("report.html", _colours(chart), title=text.title, body=Markup(text.html), sections=sections, **more)


def index_page(**given: Any) -> str:
    """Return the index of a results folder as one HTML file."""
    return _page("index.html", "", **given)


def _interactive(shown: Interactive) -> dict[str, Any]:
    from mlpbench.report.pages.curves_svg import chart
    from mlpbench.report.pages.runs_table import run_table

    found: dict[str, Any] = {"runs": run_table(shown)}
    return found if shown.curves.empty else found | {"chart": chart(shown.curves, shown.look)}


def _page(template: str, colours: str, **given: Any) -> str:
    style = f"{_text('style.css')}{colours}"
    scripts = [_text(name) for name in SCRIPTS]
    # No address is admitted, and of inline code only what was hashed here: not even markup that slipped through runs.
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        "base-uri 'none'; form-action 'none'"
    )
    inline = {"style": Markup(style), "scripts": [Markup(s) for s in scripts], "policy": policy, "signs": VERDICTS}
    return _render(template, **inline, **given)


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


def _render(template: str, **given: Any) -> str:
    return _templates().get_template(template).render(**given) + "\n"
