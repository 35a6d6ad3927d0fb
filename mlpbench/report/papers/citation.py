"""How to cite results and the software, as entries of BibTeX.

Results are cited with what they were trained by and the digest of their seal, so that a reader can tell whether a folder is the one
that was meant. Who ran an experiment is known to nobody but them: an entry of results has no author until they add it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from mlpbench.base.environment import VERSION
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.report.papers.latex_text import DEFINITION, latex

AUTHORS = "The mlpbench authors"
ABOUT = "A reproducible benchmark and ablation suite for multilayer perceptrons: stacked training, paired evidence"
LICENCE = "MIT"
# Digits of a digest that tell folders apart: in a key, and in a printed note.
IN_KEY, IN_NOTE = 8, 16


@dataclass(frozen=True, kw_only=True)
class CitedResults:
    """What an entry says of a results folder.

    Attributes:
        name, question: of the experiment.
        data: the titles of its data sets.
        runs: the number of runs that are stored.
        versions: of mlpbench, by which they were trained.
        verdicts: the number of claims by verdict.
        digest: of the folder's seal, None where it has none.

    """

    name: str
    question: str
    data: Sequence[str]
    runs: int
    versions: Sequence[str]
    verdicts: Mapping[Decision, int]
    digest: str | None


def results_entry(results: CitedResults) -> str:
    """Return the entry of a results folder."""
    trained = f"trained with mlpbench {' and '.join(results.versions)}" if results.versions else "trained with mlpbench"
    verdicts = ", ".join(f"{n} {verdict}" for verdict in get_args(Decision) if (n := results.verdicts.get(verdict)))
    notes = [f"Data: {', '.join(results.data)}"]
    notes += [f"Claims: {verdicts}"] if verdicts else []
    notes += [f"Seal: SHA-256 {results.digest[:IN_NOTE]}"] if results.digest else []
    key = "-".join(["mlpbench", results.name, *([results.digest[:IN_KEY]] if results.digest else [])])
    stored = f"Results folder of {results.runs} run{'s' * (results.runs != 1)}, {trained}"
    return entry(
        key,
        {
            "title": f"{{{latex(results.question)}}} Results of the experiment \\texttt{{{latex(results.name)}}}",
            "howpublished": latex(stored),
            "note": latex(". ".join(notes)),
            "version": latex(", ".join(results.versions)),
            "sha256": results.digest or "",
        },
    )


def software_entry() -> str:
    """Return the entry of mlpbench itself, of the version that is installed.

    >>> print(software_entry().splitlines()[0])
    @misc{mlpbench,
    """
    return entry(
        "mlpbench",
        {
            "author": f"{{{AUTHORS}}}",
            "title": f"{{mlpbench}}: {ABOUT}",
            "howpublished": f"Software, version {VERSION}",
            "note": f"{LICENCE} licence",
            "version": VERSION,
        },
    )


def entry(key: str, fields: Mapping[str, str]) -> str:
    """Return an entry with the fields that are not empty, and what defines the signs that it has."""
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
    defines = f"@preamble{{{{{DEFINITION}}}}}\n" if r"\mlpbenchchar" in lines else ""
    return f"{defines}@misc{{{key},\n{lines}}}\n"
