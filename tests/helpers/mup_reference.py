"""The maximal update parametrisation for the oracle: the published table, as parameter groups of `torch.optim`.

Reference: G. Yang et al., "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer", 2022,
Table 3; weight decay and clipping as the authors' package `mup` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from mlpbench.experiment.grid import RunSettings
from mlpbench.experiment.value_types import parse_call

Affine = nn.Linear | nn.Conv2d


class Layer(NamedTuple):
    """One layer in the maximal update parametrisation: its fans at base width, how it scales, and which of its fans grow.

    By Table 3 of Yang et al., "Tensor programs V", 2022, in units of the base width: `m_in` and `m_out` are fans over base fans.
    """

    fan_in: int
    fan_out: int
    m_in: float
    m_out: float
    is_output: bool

    @property
    def init(self) -> float:
        """Standard deviation over that of the network of base width: variance 1 / fan_in, of outputs 1 / fan_in^2."""
        return 1 / self.m_in if self.is_output else self.m_in**-0.5

    def rates(self, *, normalises: bool) -> tuple[float, float]:
        """Learning rates of weights and biases over those of the network of base width: of Adam, or of SGD."""
        if normalises:
            return 1 / self.m_in, 1.0
        return self.m_out / self.m_in, self.m_out


def layers(s: RunSettings, features: int, classes: int) -> list[Layer]:
    """Return each layer's place in the table, factors 1 in the standard parametrisation."""
    sizes = [features, *s.hidden_sizes, classes]
    word, base = parse_call(s.parametrization)
    based = sizes if word == "standard" else [features, *(int(base[0]) for _ in s.hidden_sizes), classes]
    return [
        Layer(based[i], based[i + 1], sizes[i] / based[i], sizes[i + 1] / based[i + 1], i == len(sizes) - 2)
        for i in range(len(sizes) - 1)
    ]


def groups(s: RunSettings, model: nn.Module, linear: Sequence[Affine], *, normalises: bool) -> list[dict[str, Any]]:
    """Return a group for each array, with the rate of the table and lambda as the package `mup` scales it.

    The package divides lambda by what the rate is multiplied by. Its output weights are m_in times as large and have the rate
    of a vector; in these, that is lambda m_in for a decay that follows the rate, m_in^2 for one that goes through Adam's root.
    """
    coupled = normalises and parse_call(s.optimizer)[0] != "adamw"
    table = layers(s, linear[0].weight.shape[1], len(linear[-1].weight))
    made: list[dict[str, Any]] = []
    for m, own in zip(linear, table, strict=True):
        rate, vector = own.rates(normalises=normalises)
        by = own.m_in**2 if own.is_output and coupled else 1 / rate
        made.append({"params": [m.weight], "lr": s.lr * rate, "weight_decay": s.weight_decay * by})
        if m.bias is not None:
            decay = s.weight_decay / vector if s.decay_bias else 0.0
            made.append({"params": [m.bias], "lr": s.lr * vector, "weight_decay": decay})
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm | nn.BatchNorm1d)]
    for norm, own in zip(norms, table, strict=False):
        rate = own.rates(normalises=normalises)[1]
        made.append({"params": [norm.weight, norm.bias], "lr": s.lr * rate, "weight_decay": 0.0})
    slopes = [m.weight for m in model.modules() if isinstance(m, nn.PReLU)]
    return made + [{"params": slopes, "weight_decay": 0.0}] * bool(slopes)


def clip(s: RunSettings, model: nn.Module, last: Tensor) -> None:
    """Clip the gradient; in the maximal update parametrisation that of the outputs counts as 1 / m_in of it, as in the package."""
    assert s.clip_norm is not None
    if s.parametrization == "standard":
        nn.utils.clip_grad_norm_(model.parameters(), s.clip_norm)
        return
    m_in = last.shape[1] / parse_call(s.parametrization)[1][0]
    assert last.grad is not None
    last.grad /= m_in
    nn.utils.clip_grad_norm_(model.parameters(), s.clip_norm)
    last.grad *= m_in
