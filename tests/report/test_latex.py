"""Tables and citations for papers: words of any kind stand as they were written, in plain ASCII that every TeX engine compiles."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make, spec, width_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import context_of
from repository import ROOT
from ruamel.yaml import YAML

from mlpbench.base.environment import VERSION
from mlpbench.base.escapes import printable
from mlpbench.report.papers import citation, latex_tables
from mlpbench.report.papers.citation import CitedResults, results_entry, software_entry
from mlpbench.report.papers.latex_text import latex, latex_number, tabular
from mlpbench.report.words import Digits, probability

# What a command of ours stands for, read back from what was written.
COMMANDS = {
    r"\textbackslash{}": "\\", r"\textbraceleft{}": "{", r"\textbraceright{}": "}", r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^", r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", r"\textasciigrave{}": "`",
    r"\$": "$", r"\&": "&", r"\#": "#", r"\%": "%", r"\_": "_", r"\ldots{}": "…", r"\textdegree{}": "°", r"\S{}": "§",
    r"\ss{}": "ß", r"\ae{}": "æ", r"\AE{}": "Æ", r"\o{}": "ø", r"\O{}": "Ø", r"\oe{}": "œ", r"\OE{}": "Œ", r"\l{}": "ł",
    r"\L{}": "Ł", r"\i{}": "\u0131", "{[}": "[", "{]}": "]", "{*}": "*", "{}": "", "---": "—", "--": "\u2013", "``": "“",
    "''": '"', "`": "\u2018", r"\textsuperscript{$-$}": "⁻", "$-$": "\u2212",
}  # fmt: skip
MARKS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304", "u": "\u0306", ".": "\u0307", '"': "\u0308",
         "r": "\u030a", "H": "\u030b", "v": "\u030c", "c": "\u0327"}  # fmt: skip
TOKENS = re.compile(
    r"\\mlpbenchchar\{(?P<code>[0-9A-F]+)\}|\\(?P<mark>[`'^~=u.\"rHvc])\{(?P<base>[A-Za-z])\}"
    r"|\\textsuperscript\{(?P<raised>\d)\}|\$\\(?P<maths>[a-z]+)\$|"
    + "|".join(map(re.escape, COMMANDS))
    + r"|(?P<plain>[^\\{}$&#%_~^<>|`\[\]*])"
)
MATHS = {"pm": "±", "times": "\u00d7", "div": "÷", "cdot": "·", "leq": "≤", "geq": "≥", "neq": "≠", "approx": "≈", "infty": "∞",
         "rightarrow": "→", "leftarrow": "←", "mu": "µ"}  # fmt: skip
# Two signs of a text that print alike in TeX.
ALIKE = str.maketrans({"”": '"', "\u2019": "'", "μ": "µ", "\u00a0": " "})
LETTERS = "".join(
    c for c in map(chr, [*range(0x20, 0x180), *range(0x370, 0x400), *range(0x2010, 0x2030)]) if c.isprintable()
)
TEXTS = st.text() | st.text(st.sampled_from(LETTERS + "$_<>{}\\%&#~^|*[]-,'\"`🙂中±\u2212→"), max_size=30)


def read_back(text: str) -> str:
    """Return what LaTeX prints, and fail at anything that is not a whole command or a plain sign."""
    out, at = [], 0
    while at < len(text):
        match = TOKENS.match(text, at)
        assert match, f"{text[at:]!r} is no text of ours"
        found = match.groupdict()
        if found["code"]:
            out.append(chr(int(found["code"], 16)))
        elif found["mark"]:
            out.append(unicodedata.normalize("NFC", found["base"] + MARKS[found["mark"]]))
        elif found["raised"]:
            out.append("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(found["raised"])])
        elif found["maths"]:
            greek = found["maths"].upper().replace("LAMBDA", "LAMDA")
            out.append(MATHS.get(found["maths"]) or unicodedata.lookup(f"GREEK SMALL LETTER {greek}"))
        else:
            out.append(found["plain"] or COMMANDS[match[0]])
        at = match.end()
    return "".join(out)


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_any_text_is_plain_ascii_and_reads_back_as_it_was_written(text: str) -> None:
    written = latex(text)
    assert written.isascii()
    assert written.isprintable()
    expected = unicodedata.normalize("NFC", printable(text)).translate(ALIKE).replace("''", '"')
    assert unicodedata.normalize("NFC", read_back(written)).translate(ALIKE).replace("''", '"') == expected


@given(TEXTS)
def test_braces_balance_also_for_bibtex_which_counts_escaped_ones(text: str) -> None:
    depth = 0
    for sign in latex(text):
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0.54 pp", "$-$0.54 pp"),
        ("-2.8 to -0.2", "$-$2.8 to $-$0.2"),
        ("1e-5", "1e-5"),
        ("t-test -3", "t-test $-$3"),
        ("<0.001", r"\textless{}0.001"),
        ("at most -235 steps", "at most $-$235 steps"),
    ],
)
def test_a_hyphen_before_a_number_is_a_minus(text: str, expected: str) -> None:
    assert latex_number(text) == expected


def test_the_table_of_claims_has_estimate_interval_n_and_p_of_each_verdict() -> None:
    context = context_of(width_tables())
    text = latex_tables.tables(context)
    assert text.isascii()
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    for verdict in context.verdicts:
        (row,) = (line for line in text.splitlines() if line.startswith(latex(verdict.claim.says)))
        cells = row.removesuffix(r" \\").split(" & ")
        digits = Digits(verdict)
        assert verdict.estimate is not None
        assert verdict.interval is not None
        p = "kept 5 of 5" if verdict.observed else latex_number(probability(verdict.p_corrected or math.nan))
        assert cells[1].startswith(verdict.decision)
        assert cells[2:] == [
            latex_number(digits.full(verdict.estimate) + digits.per),
            latex_number(digits.interval(verdict.interval)),
            str(verdict.n),
            p,
        ]


def test_the_table_of_conditions_has_mean_interval_and_n_of_each() -> None:
    context = context_of(width_tables())
    text = latex_tables.conditions(context)
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == len(context.conditions)
    wanted = context.estimates[context.estimates["metric"] == context.outcome].set_index("position")
    for position, line in enumerate(body):
        label, mean, interval, _, _, n = line.removesuffix(r" \\").split(" & ")
        assert label == context.short_label(position)
        low, high = map(float, interval.split(" to "))
        row = wanted.loc[position]
        half = float(np.asarray(row["high"] - row["low"])) / 2
        assert float(mean) == pytest.approx(row["mean"], abs=half / 10)
        assert (low, high) == pytest.approx((row["low"], row["high"]), abs=half / 10)
        assert n == str(row["n"])


def test_an_experiment_without_claims_has_the_table_of_conditions_alone() -> None:
    text = latex_tables.tables(context_of(make(spec(factors={"lr": [0.1, 1.0]}))))
    assert text.count(r"\begin{table}") == 1
    assert "-conditions}" in text


ODD = "50% of $x_1$ & {größer} ~ #1 \\ ^ <b> 🙂 中文 [5] *"


def odd_context() -> Any:
    factors = {"conditions": [{"label": ODD, "width": 8}, {"label": "[5, 3]", "width": 16}, {"label": "*", "width": 4}]}
    compare = {"metric": "test_accuracy", "a": {"label": ODD}, "b": {"label": "*"}, "expect": "greater"}
    claims = [{"id": "odd", "says": ODD, "source": ODD, "compare": compare}]
    return context_of(make(spec(question=ODD, factors=factors, claims=claims)))


def test_cells_are_as_many_as_columns_whatever_is_in_them() -> None:
    text = latex_tables.tables(odd_context())
    for table in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, flags=re.DOTALL):
        counts = {len(re.findall(r"(?<!\\)&", line)) for line in table.splitlines() if line.endswith(r"\\")}
        assert len(counts) == 1
    assert tabular(["a"], [["b"]], "l").splitlines()[0] == r"\begin{tabular}{l}"


RESULTS = CitedResults(
    name="width",
    question=ODD,
    data=["Fashion-MNIST"],
    runs=64,
    versions=["0.1.0", "0.2.0"],
    verdicts={"undecided": 2, "refuted": 0, "supported": 4},
    digest="0123456789abcdef" * 4,
)


def test_an_entry_of_results_has_versions_verdicts_and_digest() -> None:
    text = results_entry(RESULTS)
    assert "@misc{mlpbench-width-01234567,\n" in text
    assert f"sha256 = {{{RESULTS.digest}}}" in text
    assert "Seal: SHA-256 0123456789abcdef}" in text
    assert "version = {0.1.0, 0.2.0}" in text
    assert "Claims: 4 supported, 2 undecided." in text
    assert "64 runs, trained with mlpbench 0.1.0 and 0.2.0" in text
    assert "author" not in text, "whose results they are is not known"
    assert text.isascii()
    assert text.startswith("@preamble{{"), "it has signs that need a definition"


def test_the_software_is_cited_as_the_package_and_the_citation_file_say() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cff = YAML(typ="safe", pure=True).load((ROOT / "CITATION.cff").read_text())
    assert (
        [author["name"] for author in project["authors"]] == [citation.AUTHORS] == [a["name"] for a in cff["authors"]]
    )
    assert project["description"] == citation.ABOUT
    assert cff["title"] == f"mlpbench: {citation.ABOUT}"
    assert (cff["version"], cff["license"], cff["keywords"]) == (VERSION, project["license"], project["keywords"])
    assert f"version = {{{VERSION}}}" in software_entry()
    assert f"author = {{{{{citation.AUTHORS}}}}}" in software_entry()


PAPER = r"""\documentclass{article}
\usepackage{array,booktabs}
\begin{document}
\cite{mlpbench} and \cite{mlpbench-width-01234567}.
\input{report.tex}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["pdflatex", "lualatex", "xelatex"])
def test_a_paper_with_tables_of_odd_words_and_citations_compiles(engine: str, tmp_path: Path) -> None:
    if shutil.which(engine) is None or shutil.which("bibtex") is None:
        pytest.skip(f"no {engine} and bibtex on PATH (on Debian: apt install texlive-latex-recommended)")
    for name, content in {
        "paper.tex": PAPER,
        "report.tex": latex_tables.tables(odd_context()) + latex_tables.tables(context_of(width_tables())),
        "references.bib": software_entry() + "\n" + results_entry(RESULTS),
    }.items():
        (tmp_path / name).write_text(content, encoding="ascii")
    for command in ([engine], ["bibtex"], [engine], [engine]):
        options = [] if command == ["bibtex"] else ["-interaction=nonstopmode", "-halt-on-error"]
        done = subprocess.run(
            [*command, *options, "paper"], cwd=tmp_path, capture_output=True, text=True, errors="replace"
        )
        assert done.returncode == 0, done.stdout[-3000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert not re.search(r"(Citation|Reference|control sequence)\W.*undefined|Undefined control", log)
    assert not [line for line in log.splitlines() if line.startswith("Overfull \\hbox") and "alignment" in line]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
