"""The experiments that ship and what their reference results say, as the gallery and the course tell it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mlpbench.base.escapes import Markdown
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.spec import Experiment
from mlpbench.report.summary import Summary, read_summary
from mlpbench.report.topic_order import place, topic_of
from site_pages.prose import prose


@dataclass(frozen=True)
class Reference:
    """An experiment that ships, with the comment at the head of its file, and its results; None where there are none."""

    experiment: Experiment
    comment: str
    summary: Summary | None

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.experiment.name

    @property
    def question(self) -> Markdown:
        """Its question, as the file has it."""
        return prose(self.experiment.question)

    @property
    def takes(self) -> str:
        """How long it takes, as its file says; empty where it does not."""
        found = re.search(r"Run time: (.+?)\.(?:\s|$)", self.comment)
        return found[1] if found else ""

    @property
    def source(self) -> str:
        """Where the question comes from, as its file says; empty where it does not."""
        found = re.search(r"Source: (.+?)\.(?= Run time:|\n|$)", self.comment, flags=re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    @property
    def tally(self) -> str:
        """Return how many claims have which verdict, in words."""
        if self.summary is None:
            return "no reference results yet"
        counts = self.summary.verdicts
        said = ", ".join(f"{counts[v]} {v}" for v in get_args(Decision) if counts.get(v))
        return f"{said or 'no claims'}{', of an older file' if self.is_older else ''}"

    @property
    def is_older(self) -> bool:
        """Whether the results are of a file with other claims."""
        says = [claim.says for claim in self.experiment.claims]
        return self.summary is not None and [answer.says for answer in self.summary.answers] != says

    @property
    def report(self) -> str:
        """The page of its report, as seen from the folder of made pages; empty where there is none."""
        return f"reports/{self.name}.md" if self.summary is not None else ""


def by_topic(root: Path) -> Mapping[str, Sequence[Reference]]:
    """Return the experiments that ship under their topics, in the order of the course."""
    found: dict[str, list[Reference]] = {}
    for path in sorted((root / "experiments").glob("*.yaml")):
        experiment = yaml_reader.read(path)
        summary = read_summary(root / "results" / "reference" / experiment.name)
        found.setdefault(topic_of(experiment), []).append(Reference(experiment, _comment(path), summary))
    return {topic: found[topic] for topic in sorted(found, key=place)}


def _comment(path: Path) -> str:
    """Return the comment at the head of a file, a line of it a line of the text."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(_head(lines))


def _head(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("#"):
            return
        yield line.removeprefix("#").strip()
