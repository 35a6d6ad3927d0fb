"""Tables of other content under right checksums and a right seal are refused or read: no command ends in a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from folder_attacks import HANG, HOSTILE, NAMED, TRACEBACK, Target, attack_content, make_target

from mlpbench.results.schemas import SCHEMAS

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

CONTENTS = 500
COMMANDS = ("claims", "report", "diff", "trim", "merge", "load", "index", "run")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, in_process: None, blank_figures: None) -> Target:
    return make_target(tmp_path_factory.mktemp("target"))


def attacked(target: Target, root: Path, n: int, seed: int) -> dict[str, list[tuple[str, str, str, str, int]]]:
    """Return drawn cases by what came of each."""
    rng = np.random.default_rng(seed)
    came: dict[str, list[tuple[str, str, str, str, int]]] = {}
    for i in range(n):
        table = str(rng.choice(list(SCHEMAS)))
        column = str(rng.choice(SCHEMAS[table].names))
        case = (table, column, str(rng.choice(list(HOSTILE))), str(rng.choice(COMMANDS)), i)
        place = root / str(i)
        place.mkdir()
        came.setdefault(attack_content(target, place, *case), []).append(case)
        shutil.rmtree(place)
    print({what: len(of) for what, of in came.items()})
    return came


@pytest.mark.slow
@pytest.mark.parametrize("how", ["absent", "nested", "structs", "untyped"])
def test_another_type_is_named(how: str, target: Target, tmp_path: Path) -> None:
    assert attack_content(target, tmp_path, "runs", "test_accuracy", how, "claims", 0) == NAMED


@pytest.mark.slow
def test_some_contents(target: Target, tmp_path: Path) -> None:
    came = attacked(target, tmp_path, 15, 0)
    assert {what: came[what] for what in (HANG, TRACEBACK) if what in came} == {}


@pytest.mark.prove
def test_hundreds_of_contents(target: Target, tmp_path: Path) -> None:
    came = attacked(target, tmp_path, CONTENTS, 1)
    assert {what: came[what] for what in (HANG, TRACEBACK) if what in came} == {}
