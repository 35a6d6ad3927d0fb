"""The steps of an optimiser of a plugin: one array of parameters of one run after another, each in its own shape, with its own state.

Shapes: `R` runs, `I` inputs, `O` outputs of a layer, `N` and `M` whatever an array has.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mlpbench.experiment.components.optimisers import OPTIMISERS
from mlpbench.training.buffers import Stacked
from mlpbench.training.network.mlp_stack import Network

State = dict[Any, Any]


def own_shapes(network: Network, arrays: Mapping[tuple[str, int], Stacked]) -> list[Tensor]:
    """Return views of arrays without padding, in the shapes that a plugin sees: weights (R, I, O), all else (R, M)."""
    inputs = [i for i, _ in network.shapes]
    return [
        array.x_RNM[:, : inputs[number]] if kind == "weights" else array.x_RNM[:, 0]
        for (kind, number), array in arrays.items()
    ]


class OwnOptimiser:
    """An optimiser of a plugin for all parameters of a stack, with the state of each array of each run.

    It stands in the place of `OptimiserState`: weight decay is added to gradients before it is called.
    """

    is_kernel = False

    def __init__(
        self, name: str, values: Sequence[Tensor], gradients: Sequence[Tensor], decays: Sequence[Tensor | None]
    ) -> None:
        step = OPTIMISERS[name].own
        assert step is not None, "of a plugin"
        self._step, self._values, self._gradients, self._decays = step, values, gradients, decays
        self._states: list[list[State]] = [[{} for _ in value] for value in values]

    def step(self, rate_R1: Tensor, number: int | Tensor) -> None:
        """Take a step, counted from 1, with each run's learning rate."""
        rates, count = rate_R1[:, 0].tolist(), int(number)
        for value, gradient, decay_R1, states in zip(self._values, self._gradients, self._decays, self._states):
            for run, rate in enumerate(rates):
                w, g = value[run], gradient[run]
                if decay_R1 is not None:
                    g = g + w * decay_R1[run, 0]
                update, states[run] = self._step(g, states[run], rate, count)
                w.add_(update)

    def states_of(self, array: int) -> Sequence[State]:
        """Return the state of an array in each run."""
        return self._states[array]

    def take_over(self, array: int, before: Sequence[State], places: Sequence[int]) -> None:
        """Have, for an array, the states of runs in these places of another stack; a run that stands there twice has one for each."""
        self._states[array] = [copy.deepcopy(before[place]) for place in places]
