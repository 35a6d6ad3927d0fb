"""What runs predict for the test set, beside its targets, and what a prediction that looks at no input is worth there."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.experiment.components.losses import Loss
from mlpbench.experiment.grid import Run
from mlpbench.experiment.metrics.set_scores import TestOutputs, constant_loss, of_constant
from mlpbench.training.batches.device_data import DeviceData, Indices
from mlpbench.training.measures.evaluation import Evaluated


class TestSet:
    """The test examples of a stack's runs, which are trained by one loss; numbers in the target's own units."""

    __test__ = False  # for pytest, which takes the name for a test

    def __init__(self, data: DeviceData, loss: Loss) -> None:
        self._data, self._loss = data, loss

    def outputs(self, run: Run, i: int, test: Evaluated) -> TestOutputs:
        """Return what run i of an evaluation gave for the test examples."""
        return self._outputs(self._targets(run), i, test)

    def on_validation(self, labels: Tensor, chosen: Indices, i: int, evaluated: Evaluated | None) -> TestOutputs | None:
        """Return what run i of an evaluation gave for its validation examples; None where there are no predictions of them.

        Args:
            labels: what the run learns of each training example.
            chosen: which of them are its validation examples.
            i: the position of the run.
            evaluated: the evaluation, if there is one.

        """
        if evaluated is None or evaluated.predicted is None:
            return None
        return self._outputs(labels[torch.from_numpy(chosen).to(labels.device)].cpu().numpy(), i, evaluated)

    def _outputs(self, targets: NDArray[Any], i: int, evaluated: Evaluated) -> TestOutputs:
        assert evaluated.predicted is not None
        return TestOutputs(
            targets=self._own_units(targets),
            predicted=self._own_units(evaluated.predicted[i].cpu().numpy()),
            n_classes=self._data.n_classes,
            outputs=None if evaluated.outputs is None else evaluated.outputs[i].cpu().numpy(),
            are_logits=self._loss.of_softmax,
        )

    def constants(self, run: Run, fit: Indices, labels: Tensor) -> dict[str, float]:
        """Return what always predicting the most frequent class, or the mean, of a run's examples is worth.

        Args:
            run: whose draw of the test set is meant.
            fit: the examples that it was fitted to.
            labels: what it learnt of each training example.

        """
        chosen = torch.from_numpy(fit).to(self._data.device)
        fitted, targets = labels[chosen].cpu().numpy(), self._targets(run)
        found = of_constant(self._own_units(fitted), self._own_units(targets), self._data.n_classes)
        half_squares, scale = self._loss.half_squares, self._data.facts.target_scale
        # The mean of the logarithms is another prediction than the mean, of which RMSE speaks.
        is_log = scale is not None and scale.log
        if self._data.n_classes is None and half_squares is not None and len(targets) and not is_log:
            found["constant_loss"] = self._data.facts.squared_unit * constant_loss(fitted, targets, half_squares)
        return found

    def _targets(self, run: Run) -> NDArray[Any]:
        at = self._data.test_index([self._data.draw_of(run)])[0]
        targets: NDArray[Any] = self._data.y_test[at].cpu().numpy()
        return targets

    def _own_units(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return classes as they are, and numbers in the target's own units."""
        scale = self._data.facts.target_scale
        return numbers if scale is None else scale.own_units(numbers)
