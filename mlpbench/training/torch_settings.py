"""Settings of torch and of random generators that hold for the whole process: pieces of plugins must leave them alone.

Bits of every run of a process depend on them. What is drawn from a generator of the process isn't the run's own: it would be another
number in other company, and the next time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mlpbench.experiment.components.own_pieces import PieceError

Settings = Mapping[str, tuple[Any, Callable[[Any], object]]]
_DRAWN = tuple(f"state of the random numbers of {of}" for of in ("torch", "numpy", "Python"))
REMEDY = "; of the pieces an initialiser alone draws, from the generator that it gets"


def settings_now() -> Settings:
    """Return what a plugin must not change when it is loaded, by name: the value, and the function that sets it."""
    smallest = torch.finfo(torch.float32).smallest_normal
    return {
        "number of threads": (torch.get_num_threads(), torch.set_num_threads),
        "default dtype": (torch.get_default_dtype(), torch.set_default_dtype),
        "default device": (torch.get_default_device(), torch.set_default_device),
        "precision of products": (torch.get_float32_matmul_precision(), torch.set_float32_matmul_precision),
        "mode of gradients": (torch.is_grad_enabled(), torch.set_grad_enabled),
        "mode of determinism": (torch.get_deterministic_debug_mode(), torch.set_deterministic_debug_mode),
        "treatment of denormal numbers": (
            bool(torch.tensor(smallest, dtype=torch.float32) / 2 == 0),
            torch.set_flush_denormal,
        ),
    }


def draws_now() -> Settings:
    """Return the states of the generators that a process has, by name: what a piece that draws from one would change."""
    of_torch, of_numpy = torch.get_rng_state(), np.random.get_state(legacy=False)
    return {
        _DRAWN[0]: (of_torch.numpy().tobytes(), lambda _: torch.set_rng_state(of_torch)),
        _DRAWN[1]: (_as_text(of_numpy), lambda _: np.random.set_state(of_numpy)),
        _DRAWN[2]: (random.getstate(), random.setstate),
    }


def _as_text(state: Mapping[str, Any]) -> str:
    """Return a state of numpy's generator as it can be compared; its numbers are shortened where an array is printed."""
    return repr({**state, "state": {name: np.asarray(of).tolist() for name, of in state["state"].items()}})


def restore_changed(before: Settings, now: Settings) -> str:
    """Set back what is another by now; return what the first of it was, in words, nothing where all is as it was."""
    changed = [name for name, (value, _) in before.items() if now[name][0] != value]
    for name in changed:
        value, restore = before[name]
        restore(value)
    if not changed:
        return ""
    name = changed[0]
    return f"another {name}{REMEDY if name in _DRAWN else f': {now[name][0]} instead of {before[name][0]}'}"


@contextmanager
def left_alone() -> Iterator[None]:
    """Raise PieceError where a piece has changed the settings of the process, or drawn from its generators; they are set back."""
    before = {**settings_now(), **draws_now()}
    try:
        yield
    except BaseException:
        restore_changed(before, {**settings_now(), **draws_now()})
        raise
    if said := restore_changed(before, {**settings_now(), **draws_now()}):
        raise PieceError(f"pieces of plugins must leave what holds for the whole process alone, got {said}")
