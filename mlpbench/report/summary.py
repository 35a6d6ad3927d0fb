"""The summary of a report, `summary.json`: what an index of results folders and a list of experiments say of it.

The file lies beside `report.md` and is written with it: a JSON object with sorted keys, the same bytes for the same results.

    answers      an object for each claim, in the order of the experiment file: `id`, `says`, `verdict` (supported, refuted, at
                 the margin, or undecided), `qualifiers`, words beside it (not robust, exploratory, anytime; none in older
                 files), and `estimate`, a text with unit and interval, `-` where there is none,
                 `plainly`, the same in plain words, empty where the number itself is plain, and in older files,
                 and `p`, uncorrected, null where the claim is not tested; `n` of `units` (replicates, data sets);
                 `source`, who makes the claim; `would_decide`, what would decide an undecided claim, in a sentence, empty of
                 others, and in older files; and `numbers`, what the text says as numbers in its unit: `estimate`, `low`
                 and `high` (null where that end is open), `interval`, whether there is one, `holds`, between which
                 numbers the claim holds (null where that end is open), `zero`, whether 0 is no difference, and `unit`;
                 null where nothing is estimated
    benchmarks   the number of kernel benchmarks; 0 for an experiment
    figure       the first figure of the report: `file`, its path seen from the report, and `alt`; null where there is none
    format       1, the version of these keys. Further keys leave it as it is: whoever reads it takes those they know, and
                 does without one that an older file lacks. A verdict that they do not know is none that they can count.
    name         the name of the experiment
    question     its question
    runs         the number of runs that the report rests on, by status: ok, diverged, failed
    topic        the heading under which an index lists it; empty in older files
    verdicts     the number of claims by verdict
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlpbench.base.files import read_regular
from mlpbench.experiment.claims.hypothesis import Decision

NAME = "summary.json"
Count = Annotated[int, Field(ge=0)]
# No picture has a place for larger numbers: their differences overflow.
LARGEST = 1e300
Drawable = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class DrawnNumbers(_Model):
    """The numbers of an estimate, in the unit of its text."""

    estimate: Drawable
    low: Drawable | None = None
    high: Drawable | None = None
    interval: bool = False
    holds: tuple[Drawable | None, Drawable | None] | None = Field(default=None, strict=False)
    zero: bool = False
    unit: str = ""


class Answer(_Model):
    """The verdict on one claim, with its estimate in words and, but of older reports, in numbers."""

    id: str
    says: str
    verdict: Decision
    qualifiers: tuple[str, ...] = Field(default=(), strict=False)
    estimate: str
    plainly: str = ""
    p: float | None = None
    n: Count | None = None
    units: Literal["replicates", "data sets"] = "replicates"
    source: str = ""
    would_decide: str = ""
    numbers: DrawnNumbers | None = None


class FirstFigure(_Model):
    """A figure: its path, seen from the report, and its alternative text."""

    file: str = Field(pattern=r"^figures/[\w.-]+\.png$")
    alt: str


class Summary(_Model):
    """What other pages say of a report; the module says what each field means."""

    format: Literal[1] = 1
    name: str
    question: str
    topic: str = ""
    verdicts: dict[Decision, Count] = {}
    runs: dict[str, Count] = {}
    answers: tuple[Answer, ...] = Field(default=(), strict=False)
    figure: FirstFigure | None = None
    benchmarks: Count = 0

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return (json.dumps(self.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_summary(folder: Path) -> Summary | None:
    """Return the summary that a results folder has; None where it has none, or one that is not of this format."""
    try:
        return Summary.model_validate_json(read_regular(folder / NAME))
    except (OSError, ValidationError):
        return None
