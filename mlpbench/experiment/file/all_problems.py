"""All that is wrong with an experiment, instead of the first thing alone: each is mended in a copy, which is then read again.

What is found in a mended copy may follow from the mending. So a further problem counts only where it is certain: where all before it
were mended by the word that was meant, or where it is local and wrong whatever the rest of the file says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.base.models import DATASET, Path, SpecProblem, is_slip
from mlpbench.experiment.file import key_meanings
from mlpbench.experiment.settings import SETTINGS

Check = Callable[[dict[str, Any]], object]
# More than a person mends before the file is read again; each takes a look at the whole file.
MOST_PROBLEMS = 20
# Containers that are deeper than what a file may nest are never mended.
DEEPEST = 20
CLAIMS = "claims"
# What stands in for a part of a file that has no say in whether others are right, and the data set that all machines have.
STAND_INS = {"name": "name", "question": "Is it?", "topic": "topic", DATASET: "digits"}
# Names in a path of which `mlpbench explain` says more: not roles, and not what a user calls so.
EXPLAINED = {
    *SETTINGS,
    *key_meanings.FILE,
    *(key for keys in key_meanings.BELOW.values() for key in keys),
    *key_meanings.CLAIM,
    *key_meanings.FORM_MEANINGS,
    *(key for form in key_meanings.FORM_MEANINGS for key in key_meanings.keys_of(form)),
    *key_meanings.DATA,
    *key_meanings.SYNTHETIC,
}.difference(("fixed", "nuisance"))
_MEANT = re.compile(r"; did you mean (the setting )?'([^']+)'\?")


class PlacedProblem(SpecProblem):
    """What is wrong with a file that an experiment names: its message has the place."""

    is_local = True

    def __init__(self, message: str) -> None:
        super().__init__((DATASET,), message)


class _FoundProblem(SpecProblem):
    """A problem at its place in the tree, and what `mlpbench explain` says more about: of `learning_rate: -1` that is `lr`."""

    def __init__(self, path: Path, problem: SpecProblem) -> None:
        super().__init__(path, problem.message, key=problem.key)
        parts = [problem.missing] if problem.missing else reversed(problem.path)
        named = [str(part) for part in parts if part in EXPLAINED]
        self.about = named[0] if named and meant(problem) is None else ""


def all_problems(tree: Mapping[str, Any], first: SpecProblem | InputError | None, check: Check) -> list[SpecProblem]:
    """Return all that is certainly wrong with a tree, in the order in which it was found.

    Args:
        tree: what a file says.
        first: what `check` has raised of it; None where something outside of the tree is wrong, so that only what is local counts.
        check: raises SpecProblem, or InputError for what is wrong inside a data file.

    """
    copy = _MendedCopy(tree)
    copy.is_certain = first is not None
    found: dict[tuple[Path, str], SpecProblem] = {}
    error = _raised(check, copy.tree) if first is None else first
    for _ in range(MOST_PROBLEMS):
        if error is None:
            break
        problem = error if isinstance(error, SpecProblem) else PlacedProblem(str(error))
        at_once = [problem, *(other for other in problem.beside if _same_claim(other, problem))]
        certain = [(copy.original(p.path), p) for p in at_once if copy.is_sure_of(problem)]
        news = {(path, p.message): _found(p, path) for path, p in certain if (path, p.message) not in found}
        if found and copy.is_sure_of(problem) and not news:
            break  # the mending did not help
        found |= news
        if not copy.mend(problem):
            break
        error = _raised(check, copy.tree)
    return list(found.values())


def meant(problem: SpecProblem) -> str | None:
    """Return the word that a message says may have been meant, None where it names none."""
    match = _MEANT.search(problem.message)
    return None if match is None else match[2]


def _raised(check: Check, tree: dict[str, Any]) -> SpecProblem | InputError | None:
    try:
        check(tree)
    except (SpecProblem, InputError) as error:
        return error
    return None


def _found(problem: SpecProblem, path: Path) -> SpecProblem:
    return problem if isinstance(problem, PlacedProblem) else _FoundProblem(path, problem)


def _same_claim(other: SpecProblem, problem: SpecProblem) -> bool:
    """Return whether another complaint is of the same claim, and not that the key lacks which was misspelt."""
    is_claim = problem.path[:1] == (CLAIMS,) and other.path[:2] == problem.path[:2]
    return is_claim and meant(problem) is None and not (problem.key and other.missing)


def _is_inside(path: Path, other: Path) -> bool:
    """Return whether one of two places in a tree is inside the other, or is the other."""
    n = min(len(path), len(other))
    return n > 0 and path[:n] == other[:n]


class _MendedCopy:
    """A copy of a tree in which what is wrong is mended, and which knows where each part stands in the tree.

    Attributes:
        tree: the copy.
        is_certain: whether all that was mended became what was meant: what is found wrong then is wrong in the tree too.

    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree: dict[str, Any] = _copied(tree, DEEPEST)
        self.is_certain = True
        self._lost_claims = False
        self._mended_data = False
        self._dropped: dict[Path, list[int]] = {}
        self._renamed: dict[Path, Path] = {}
        self._changed: list[Path] = []

    def is_sure_of(self, problem: SpecProblem) -> bool:
        """Return whether a problem of the copy is one of the tree."""
        if isinstance(problem, PlacedProblem) and self._mended_data:
            return False  # of another table
        if problem.missing == DATASET and not self.is_certain:
            return False  # what was left out may have had it
        if any(_is_inside(self.original(problem.path), path) for path in self._changed):
            return False  # of what mending made of it
        follows = self._lost_claims and problem.path[:1] == ("until_decided",)
        return problem.is_local or (self.is_certain and not follows)

    def original(self, path: Path) -> Path:
        """Return the path of the tree that has become this one: keys were renamed, and entries before it dropped."""
        back: Path = ()
        for part in path:
            if isinstance(part, int):
                for dropped in sorted(self._dropped.get(back, ())):
                    part += dropped <= part
            back = self._renamed.get((*back, part), (*back, part))
        return back

    def mend(self, problem: SpecProblem) -> bool:
        """Mend what is wrong, by what was meant or by leaving it out; return False where neither is possible."""
        path = problem.path
        if problem.missing and not path:
            self._stand_in(str(problem.missing))
            return str(problem.missing) in STAND_INS
        if not path or (path[0] == DATASET and self._varies_data()):
            return False
        self._mended_data = self._mended_data or path[0] == DATASET
        if not (problem.key and meant(problem)):
            self._changed.append(self.original(path))
        if self._take_what_was_meant(problem):
            return True
        if path[0] in STAND_INS and path[0] in self.tree:
            self._stand_in(str(path[0]))
            return True
        if path[0] == CLAIMS and len(path) > 1:
            self._lost_claims = True
            return self._drop(path[:2])
        self.is_certain = False
        return self._drop(path[: self._parts_that_go_together(path)])

    def _parts_that_go_together(self, path: Path) -> int:
        """Return of how many parts the path is whose thing is left out: what is left of it would make no sense without the rest."""
        if path[0] == "ablate":
            return 1
        if path[:2] == ("factors", "zip") or (
            path[0] in ("fixed", "nuisance") and isinstance(self._at(path[:2]), dict)
        ):
            return 2
        return 3 if path[:2] == ("factors", "conditions") else len(path)

    def _varies_data(self) -> bool:
        """Return whether data sets are levels, of which `dataset` has what they share."""
        factors = self.tree.get("factors")
        listed = factors if isinstance(factors, dict) else {}
        rows = listed.get("conditions")
        return any(
            DATASET in of
            for of in (listed, listed.get("zip"), *(rows if isinstance(rows, list) else ()))
            if isinstance(of, dict)
        )

    def _stand_in(self, key: str) -> None:
        self.tree[key] = STAND_INS.get(key)
        self.is_certain = self.is_certain and key != DATASET

    def _take_what_was_meant(self, problem: SpecProblem) -> bool:
        path, word = problem.path, None if isinstance(problem, PlacedProblem) else meant(problem)
        parent = self._at(path[:-1])
        if word is None or not isinstance(parent, dict | list):
            return False
        if not problem.key:
            if not isinstance(self._at(path), str):
                return False
            parent[path[-1]] = word  # type: ignore[index]
            return True
        if not isinstance(parent, dict) or word in parent or path[-1] not in parent:
            return False
        if not is_slip(str(path[-1]), word):
            return False  # read as another key, its value would be wrong in words that nobody wrote
        if len(path) == 1 and word in SETTINGS:
            return self._move_to_role(str(path[0]), word)
        items = [(word if key == path[-1] else key, value) for key, value in parent.items()]
        parent.clear()
        parent.update(items)
        self._renamed[(*self.original(path[:-1]), word)] = self.original(path)
        return True

    def _move_to_role(self, key: str, setting: str) -> bool:
        """Put a setting that stands at the top where settings stand."""
        role = "factors" if isinstance(self.tree[key], list) else "fixed"
        if not isinstance(self.tree.get(role) or {}, dict) or setting in (self.tree.get(role) or {}):
            return False
        self.tree[role] = {**(self.tree.get(role) or {}), setting: self.tree.pop(key)}
        self._renamed[(role, setting)] = (key,)
        return True

    def _drop(self, path: Path) -> bool:
        """Leave out what stands at a path, or the nearest thing around it that can be left out."""
        while path:
            parent, last = self._at(path[:-1]), path[-1]
            if isinstance(parent, dict) and last in parent:
                del parent[last]
                return True
            can_lose = isinstance(parent, list) and (len(parent) > 1 or path[0] == CLAIMS)
            if isinstance(parent, list) and can_lose and isinstance(last, int) and last < len(parent):
                was = self.original(path)
                self._dropped.setdefault(was[:-1], []).append(int(was[-1]))
                del parent[last]
                return True
            path = path[:-1]
        return False

    def _at(self, path: Path) -> object:
        """Return what stands at a path of the copy, None where nothing does."""
        value: Any = self.tree
        for part in path:
            is_key = isinstance(value, dict) and part in value
            if not is_key and not (isinstance(value, list) and isinstance(part, int) and part < len(value)):
                return None
            value = value[part]
        return value


def _copied(value: Any, depth: int) -> Any:
    if depth and isinstance(value, Mapping):
        return {key: _copied(of, depth - 1) for key, of in value.items()}
    if depth and isinstance(value, list):
        return [_copied(of, depth - 1) for of in value]
    return value


def words_to_explain(problems: Sequence[SpecProblem]) -> list[str]:
    """Return the names of which `mlpbench explain` says more, of what is wrong without a word that was meant, each once."""
    return list(dict.fromkeys(p.about for p in problems if isinstance(p, _FoundProblem) and p.about))
