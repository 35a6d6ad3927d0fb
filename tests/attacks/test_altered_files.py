"""No file of a results folder is altered in silence, whatever is done to it and whatever command reads it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from folder_attacks import COMMANDS, DAMAGES, HANG, SILENT, TRACEBACK, Target, attack, make_target

pytestmark = pytest.mark.usefixtures("in_process", "blank_figures")

ATTACKS = 2000
NEVER = (SILENT, HANG, TRACEBACK)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, in_process: None, blank_figures: None) -> Target:
    return make_target(tmp_path_factory.mktemp("target"))


def attacked(
    target: Target, root: Path, cases: list[tuple[str, str, str]]
) -> dict[str, list[tuple[str, str, str, int]]]:
    """Return the cases by what came of each."""
    came: dict[str, list[tuple[str, str, str, int]]] = {}
    for seed, case in enumerate(cases):
        place = root / str(seed)
        place.mkdir()
        came.setdefault(attack(target, place, *case, seed), []).append((*case, seed))
        shutil.rmtree(place)
    print({what: len(of) for what, of in came.items()}, Counter(c[2] for of in came.values() for c in of))
    return came


@pytest.mark.slow
def test_each_file_with_a_fifth_of_the_damages_is_named_by_a_command(target: Target, tmp_path: Path) -> None:
    """Commands take turns, but verify, which trains: it has its turn where all of them have it."""
    commands = [c for c in COMMANDS if c not in ("verify", "merge")]
    pairs = [(name, damage) for name in target.names for damage in DAMAGES][::5]
    came = attacked(target, tmp_path, [(*pair, commands[i % len(commands)]) for i, pair in enumerate(pairs)])
    assert {what: came[what] for what in NEVER if what in came} == {}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["list", "index", "report", "trim", "run", "quiet run"])
def test_a_deleted_file_is_named_by_commands_that_go_on_without_it(
    command: str, target: Target, tmp_path: Path
) -> None:
    some = [name for name in target.names if name.split("/")[0] in ("seal.json", "spec.yaml", "layers")]
    assert len(some) == 3
    came = attacked(target, tmp_path, [(name, "deleted", command) for name in some])
    assert {what: came[what] for what in NEVER if what in came} == {}


@pytest.mark.prove
def test_thousands_of_alterations_over_all_files_and_commands(target: Target, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names, damages, commands = target.names, list(DAMAGES), list(COMMANDS)
    grid = [(n, d, c) for n in names for d in damages for c in commands]
    cases = [grid[i] for i in rng.permutation(len(grid))] + [
        (str(rng.choice(names)), str(rng.choice(["flipped", "cut", "longer"])), str(rng.choice(commands)))
        for _ in range(max(0, ATTACKS - len(grid)))
    ]
    came = attacked(target, tmp_path, cases)
    assert sum(map(len, came.values())) >= ATTACKS
    assert {what: came[what] for what in NEVER if what in came} == {}
