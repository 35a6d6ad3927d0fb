"""What people write about verdicts: why a claim was refuted, say. It stands in `notes.yaml` of a folder of results, and the index shows it.

    width_tuned:                  a results folder, seen from the file
      wider-is-better:            a claim of it
        refuted: One sentence.    a verdict, and the note on it

A note is shown beside the verdict that it is about, and not beside another one that the claim has by now. It is an opinion, written
after the results: no test looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem, shown, unknown
from mlpbench.experiment.claims.hypothesis import Decision
from mlpbench.experiment.file.yaml_source import problems_of
from mlpbench.report.summary import Summary

NAME = "notes.yaml"
# A note is read beside a claim, in a table.
MOST_CHARACTERS = 500
VERDICTS: tuple[Decision, ...] = get_args(Decision)
# The note on each claim, by folder.
Notes = Mapping[str, Mapping[str, str]]


def read_notes(
    folder: Path,
    summaries: Mapping[str, Summary],
    unread: Collection[str],
    say: Callable[[str], None],
    refuse: Callable[[str], None],
) -> Notes:
    """Return the notes of a folder of results on the verdicts that claims have now, none where there is no `notes.yaml`.

    Args:
        folder: the folder of results.
        summaries: what the reports say, by their folder seen from that one.
        unread: folders that can't be read, whose notes are passed over.
        say: gets a line about each note on a verdict that a claim does not have.
        refuse: gets what is wrong with the file, each problem with its place: what names nothing does not stop the others.

    """
    path = folder / NAME
    if not path.exists():
        return {}
    problems: list[SpecProblem] = []
    notes: dict[str, dict[str, str]] = {}

    def check(written: Any) -> Sequence[SpecProblem]:
        for name, claim, texts in _by_claim(written, summaries, unread, problems):
            verdict = next(a.verdict for a in summaries[name].answers if a.id == claim)
            if verdict in texts:
                notes.setdefault(name, {})[claim] = texts[verdict]
            elif texts:
                of = f"the note on {claim} of {name} is on {' and '.join(texts)}, and the claim is {verdict}"
                say(f"{path}: {of}: it is left out")
        return problems

    try:
        wrong = problems_of(path, "a file of notes", check)
    except InputError as error:
        wrong = error
    if wrong is not None:
        refuse(str(wrong))
    return notes


def _by_claim(
    written: Any, summaries: Mapping[str, Summary], unread: Collection[str], problems: list[SpecProblem]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield each folder and claim with the texts on it by verdict; `problems` gets what is wrong with the others."""
    if not isinstance(written, dict):
        problems.append(SpecProblem((), f"notes must be a mapping of results folders to claims, got {shown(written)}"))
        return
    for name, of_claims in written.items():
        if name in unread:
            continue
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
                wrong = {verdict: _of_note((name, claim, verdict), text) for verdict, text in texts.items()}
                problems += [p for p in wrong.values() if p is not None]
                yield name, claim, {v: " ".join(text.split()) for v, text in texts.items() if wrong[v] is None}


def _of_note(path: tuple[str, str, str], text: Any) -> SpecProblem | None:
    """Return what is wrong with one note, None where nothing is."""
    if path[-1] not in VERDICTS:
        return SpecProblem(path, unknown("verdict", path[-1], VERDICTS), key=True)
    if not isinstance(text, str) or not 0 < len(" ".join(text.split())) <= MOST_CHARACTERS:
        return SpecProblem(path, f"a note must be text of 1 to {MOST_CHARACTERS} characters, got {shown(text)}")
    return None
