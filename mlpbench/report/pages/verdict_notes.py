"""What people write about verdicts: why a claim fell, say. It stands in `notes.yaml` of a folder of results, and the index shows it.

    width_tuned:                  a results folder, seen from the file
      wider-is-better:            a claim of it
        refuted: One sentence.    a verdict, and the note on it

A note is shown beside the verdict that it is about, and not beside another one that the claim has by now. It is an opinion, written
after the results: no test looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from mlpbench.base.models import SpecProblem, shown, unknown
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file.yaml_source import other_file
from mlpbench.report.summary import Summary

NAME = "notes.yaml"
# A note is read beside a claim, in a table.
MOST_CHARACTERS = 500
VERDICTS: tuple[Decision, ...] = get_args(Decision)
# The note on each claim, by folder.
Notes = Mapping[str, Mapping[str, str]]


def read_notes(folder: Path, summaries: Mapping[str, Summary], say: Callable[[str], None]) -> Notes:
    """Return the notes of a folder of results on the verdicts that claims have now, none where there is no `notes.yaml`.

    Args:
        folder: the folder of results.
        summaries: what the reports say, by their folder seen from that one; of folders that can't be read there is none.
        say: gets a line about each note on a verdict that a claim does not have.

    Raises InputError, with the place of each problem, where the file is not such a file, or names what there is not.

    """
    path = folder / NAME
    if not path.exists():
        return {}
    written = other_file(path, partial(_problems, summaries=summaries))
    notes: dict[str, dict[str, str]] = {}
    for name, of_claims in written.items():
        verdicts = {a.id: a.verdict for a in summaries[name].answers}
        for claim, texts in of_claims.items():
            if verdicts[claim] in texts:
                notes.setdefault(name, {})[claim] = texts[verdicts[claim]]
            else:
                of = " and ".join(texts)
                say(
                    f"{path}: the note on {claim} of {name} is on {of}, and the claim is {verdicts[claim]}: it is left out"
                )
    return notes


def _problems(written: Any, summaries: Mapping[str, Summary]) -> list[SpecProblem]:
    """Return what is wrong with the content of the file."""
    if not isinstance(written, dict):
        return [SpecProblem((), f"notes must be a mapping of results folders to claims, got {shown(written)}")]
    problems = []
    for name, of_claims in written.items():
        if name not in summaries:
            problems.append(SpecProblem((name,), unknown("results folder", name, summaries), key=True))
            continue
        if not isinstance(of_claims, dict):
            problems.append(
                SpecProblem((name,), f"notes on {name} must be a mapping of claims, got {shown(of_claims)}")
            )
            continue
        known = [a.id for a in summaries[name].answers]
        for claim, texts in of_claims.items():
            if claim not in known:
                problems.append(SpecProblem((name, claim), unknown("claim", claim, known), key=True))
            elif not isinstance(texts, dict) or not texts:
                rule = f"a note must have the verdict that it is on before it, one of {', '.join(VERDICTS)}"
                problems.append(SpecProblem((name, claim), f"{rule}, got {shown(texts)}"))
            else:
                problems += [p for verdict, text in texts.items() if (p := _of_note((name, claim, verdict), text))]
    return problems


def _of_note(path: tuple[str, str, str], text: Any) -> SpecProblem | None:
    """Return what is wrong with one note, None where nothing is."""
    if path[-1] not in VERDICTS:
        return SpecProblem(path, unknown("verdict", path[-1], VERDICTS), key=True)
    if not isinstance(text, str) or not text.strip() or len(text) > MOST_CHARACTERS:
        return SpecProblem(path, f"a note must be text of 1 to {MOST_CHARACTERS} characters, got {shown(text)}")
    return None
