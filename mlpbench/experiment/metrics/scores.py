"""What the outputs of a network for one example are worth: each score is one entry of `SCORES`.

From an entry follow four columns of the table `runs`, and as many metrics that claims may name: the mean over the training,
validation and test examples, `train_NAME`, `val_NAME` and `test_NAME`, and `gap_NAME`, by how much the test set is worse than
the training set. Curves have `CURVE_SCORES` alone.

Shapes: `R` runs, `B` examples, `C` classes or outputs. Of an example with outputs z and target y:

    accuracy  1 if argmax_c z_c = y, else 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlpbench.experiment.components.losses import Target

Tensor = Any  # torch.Tensor
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A number for each example, by its outputs and its target.

    Attributes:
        title: what a heading calls it, and a sentence too: `train accuracy`.
        unit: of one example; a `fraction` is 0 or 1 for each.
        better: which side is better.
        of_examples: `of_examples(torch, z, y)` returns the score of each example, of shape (R, B), and leaves z as it is; z are
            outputs (R, B, C), y classes (R, B, 1) or numbers (R, B, C). None of the loss, which a run's settings name. Where
            the mean is not finite there is none.
        targets: the targets it has a meaning for.

    """

    title: str
    unit: str
    better: Better
    of_examples: Callable[[Any, Tensor, Tensor], Tensor] | None
    targets: tuple[Target, ...] = ("classes",)


SCORES: Mapping[str, Score] = {
    "loss": Score(title="loss", unit="per example", better="lower", of_examples=None, targets=("classes", "numbers")),
    "accuracy": Score(
        title="accuracy",
        unit="fraction",
        better="higher",
        of_examples=lambda torch, z, y: z.argmax(2) == y.squeeze(2),
    ),
}
CURVE_SCORES = ("loss", "accuracy")
