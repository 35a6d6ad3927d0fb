"""The files of a report, and its page: the text, a table of runs that sorts and filters, and curves to be highlighted.

A page is put together of a template, a style and a script, under a policy that admits nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlpbench.base.escapes import printable
from mlpbench.base.files import write_whole
from mlpbench.evidence.estimates.observe import OK
from mlpbench.evidence.frames import records
from mlpbench.experiment.grid import Condition, format_level
from mlpbench.report import summary
from mlpbench.report.context import Context
from mlpbench.report.diagnostics.training_failures import ending
from mlpbench.report.figures import theme
from mlpbench.report.number_text import TINY, brief, short_exponent
from mlpbench.report.pages.figure_svg import drawn_figure
from mlpbench.report.pages.markdown_html import VERDICTS, Fold, body
from mlpbench.report.pages.report_digest import HTML, MARKDOWN
from mlpbench.report.report import Report
from mlpbench.report.section import Section
from mlpbench.report.sections.conditions import HEADINGS, HUGE
from mlpbench.results.seal import forget_but, write_sealed

SCRIPTS = ("vendor/sortable.min.js", "script.js", "figures.js")
# The index has no figures and no runs: of the script of a report it takes the theme.
INDEX_SCRIPTS = ("script.js", "index.js")
# A figure that is larger than this as SVG stands as a picture.
MOST_SVG = 600_000
# A page with more rows than this takes long to open and to sort.
MOST_RUNS = 2_000


def contents(report: Report, *, html: bool) -> dict[str, bytes]:
    """Return every file of a report by its name."""
    page = {HTML: report_page(report).encode()} if html else {}
    return {**report.pictures, **page, summary.NAME: report.summary.content, MARKDOWN: report.as_drawn.encode()}


def write(report: Report, folder: Path, *, html: bool = False) -> Path:
    """Write a report, with `report.html` if it is wanted or there, and return the path of its text; raise MachineError.

    A first report is there with its text and summary before any figure is drawn.
    """
    if not (folder / MARKDOWN).exists():
        write_sealed(folder, {summary.NAME: report.summary.content})
        write_whole(folder / MARKDOWN, report.markdown.encode())
    wanted = contents(report, html=html or (folder / HTML).exists())
    first = report.summary.figure.file if report.summary.figure else None
    # What an index reads is sealed.
    write_sealed(folder, {name: content for name, content in wanted.items() if name in (summary.NAME, first)})
    # Another figure may have been the first one before: it is written again below, or not drawn any more.
    forget_but(folder, "figures/", first)
    for name, content in wanted.items():
        if name not in (summary.NAME, first):
            write_whole(folder / name, content)
    return folder / MARKDOWN


def report_page(report: Report) -> str:
    """Return a report as one HTML file: its Markdown with its figures as SVG, and a table of its runs that sorts and filters.

    The text is that of `report.md`. The same report gives the same bytes.
    """
    shown: dict[str, Any] = {} if report.context is None else {"runs": run_table(report.context)}
    text = body(report.as_drawn, report.pictures, _drawn(report), folds(report.sections))
    sections = [*text.sections, *([("runs", "Runs")] if "runs" in shown else [])]
    return _page("report.html", title=text.title, body=Markup(text.html), sections=sections, **shown)


def folds(sections: Sequence[Section]) -> dict[int, Fold]:
    """Return what a page folds, by the place of the section whose heading is seen."""
    found: dict[int, Fold] = {}
    first = 0
    for i, section in enumerate(sections):
        if not section.in_fold:
            first = i
        if section.fold:
            found[i] = Fold(inside=section.fold, sections=1)
        elif section.in_fold:
            found[first] = replace(found[first], sections=found[first].sections + 1)
    return found


def index_page(**content: Any) -> str:
    """Return the index of a results folder as one HTML file."""
    return _page("index.html", _text("index.css"), INDEX_SCRIPTS, **content)


def _drawn(report: Report) -> dict[str, str]:
    """Return the figures as HTML by path: those that could be drawn, and are no larger than a page can hold."""
    shown = {}
    for section in report.sections:
        for figure in section.every_figure:
            if figure.path in report.pictures:
                drawn = drawn_figure(figure.draw(), figure.name, figure.alt)
                if len(drawn.svg) + len(drawn.points) <= MOST_SVG:
                    given = {
                        "svg": Markup(drawn.svg),
                        "points": _quoted(drawn.points),
                        "entries": json.dumps(drawn.entries),
                    }
                    shown[figure.path] = _render("figure.html", name=figure.name, **given)
    return shown


def _quoted(text: str) -> Markup:
    """Return JSON for an attribute in single quotes: its many double ones would take six letters each."""
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&#39;"))


def _page(template: str, more_style: str = "", names: Sequence[str] = SCRIPTS, **content: Any) -> str:
    style = f"{_text('style.css')}{more_style}"
    scripts = [_text(name) for name in names]
    # No address is admitted, and of inline code only what was hashed here: not even markup that slipped through runs.
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        "base-uri 'none'; form-action 'none'"
    )
    inline = {"style": Markup(style), "scripts": [Markup(s) for s in scripts], "policy": policy, "signs": VERDICTS}
    return _render(template, **inline, **content)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (files("mlpbench.report.pages") / name).read_text(encoding="utf-8")


def _visible(value: Any) -> Any:
    """Return what a template shows: of text, what can be seen."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("mlpbench.report", "pages"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _render(template: str, **content: Any) -> str:
    return _templates().get_template(template).render(**content) + "\n"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading of the table, and whether its cells are numbers."""

    title: str
    is_number: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell: what it shows, and what it is sorted by where that differs."""

    text: str
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """The table: what it is about in a sentence, its columns, and its rows in the order of the grid."""

    about: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def run_table(context: Context) -> RunTable:
    """Return the runs with levels, status and main metrics; of more than `MOST_RUNS`, the first replicates of some."""
    rows, about = _excerpt(context)
    names = list(context.experiment.factor_names)
    metrics = [*(m for m in HEADINGS if m in set(context.estimates["metric"])), "train_seconds"]
    levels = [[_level_cell(c, n) for c in context.conditions] for n in names]
    numbers = [all(c.levels.get(n) is None or theme.is_number(c.levels[n]) for c in context.conditions) for n in names]
    columns = [Column(title=n, is_number=number) for n, number in zip(names, numbers, strict=True)]
    columns += [Column(title="replicate", is_number=True), Column(title="status", is_number=False)]
    columns += [Column(title=HEADINGS.get(m, "seconds"), is_number=True) for m in metrics]
    columns.append(Column(title="run", is_number=False))
    ended = records(context.runs.loc[context.runs["status"] != OK, ["run_id", "diverged_at_step", "error"]])
    reasons = {row["run_id"]: ending(row["diverged_at_step"], row["error"]) for row in ended}
    cells = [
        [
            *(level[row["position"]] for level in levels),
            Cell(text=str(row["replicate"])),
            Cell(text=f"{row['status']}{reasons.get(row['run_id'], '')}"),
            *(_number_cell(m, row[m]) for m in metrics),
            Cell(text=row["run_id"]),
        ]
        for row in records(rows)
    ]
    return RunTable(about=about, columns=columns, rows=cells)


def _excerpt(context: Context) -> tuple[pd.DataFrame, str]:
    """Return the rows of the table, and which runs they are in a sentence."""
    every, n_stored, listed = context.observed, len(context.runs), list(context.excerpt.listed)
    total = len(every)
    also = ""
    if n_stored > total:
        also = (
            f" They are those of {n_stored:,} runs that represent a condition in a replicate: runs with the chosen settings, not "
            "runs on single folds. The others are in the table of runs of the results folder."
        )
    if total <= MOST_RUNS:
        what = f"All {total:,} runs of the grid." if not also else f"{total:,} runs.{also}"
        return every, what if total > 1 else "The run of the grid."
    first = every[every["position"].isin(listed)].groupby("position", sort=False).head(max(1, MOST_RUNS // len(listed)))
    each = int(first.groupby("position").size().max())
    which = "each condition"
    if len(listed) < len(context.conditions):
        which = f"the {len(listed)} conditions listed above"
    most = f"the first {each} replicates" if each > 1 else "the first replicate"
    return first, f"These are {most} of {which}, {len(first):,} of {total:,} runs.{also}"


def _level_cell(condition: Condition, name: str) -> Cell:
    if name not in condition.levels:
        return Cell(text="-", key="")
    value = condition.levels[name]
    key = "" if value is None else repr(value) if isinstance(value, float) else None
    return Cell(text=format_level(value), key=key)


def _number_cell(metric: str, value: float) -> Cell:
    if math.isnan(value):
        return Cell(text="-", key="")
    # Decimals rather than digits where numbers are of usual size, so that a column can be read down.
    plain = "accuracy" in metric or value == 0 or 0.01 <= abs(value) < 100
    text = brief(value) if metric == "train_seconds" else f"{value:.4f}" if plain else _four_digits(value)
    return Cell(text=text, key=repr(float(value)))


def _four_digits(value: float) -> str:
    """Return a number with four digits, zeros at its end too: those of a column have one length."""
    return short_exponent(f"{value:.3e}") if abs(value) >= HUGE or abs(value) < TINY else f"{value:#.4g}".rstrip(".")
