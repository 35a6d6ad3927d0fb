"""The cases of the kernel benchmarks, and how much work each one is, by arithmetic.

Symbols: `R` runs of the stack, `B` batch, `I` and `O` inputs and outputs of a layer, layers l = 1 ... L, h_0 = x.

    phase      what is timed                                                    FLOPs of a layer and run
    forward    z_l = h_{l-1} W_l + b_l, h_l = f(z_l) * m_l, with what the       2 B I O
               way back needs kept
    backward   dW_l = h_{l-1}^T dz_l, db_l, dz_{l-1} from dz_l W_l^T; no        4 B I O, 2 B I O for l = 1
               gradient of the inputs
    update     w -= eta g of every parameter                                    2 (I + 1) O
    step       forward, cross-entropy, backward, update                         the sum

FLOPs are those of the products, a multiply-add counted as two; elementwise work counts in the update alone, which has
nothing else. Bytes are the least traffic with memory, as float32: a layer reads each operand once and writes each result
once, activation, mask and derivative ride along with the product, and nothing stays in cache from one layer to the next.
A step writes its new weights where the backward pass would write their gradient. Padding counts for nothing: it is the
implementation's choice.

Reference: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", 2009.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

FLOAT = 4
LABEL = 8
# Their derivative is taken at z: h alone does not give it.
NEED_Z = ("gelu",)
EAGER = ("from scratch", "torch.nn", "stacked")
STACK = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """One benchmark: a phase of an implementation at a shape; `stack` runs are computed at once."""

    phase: str
    implementation: str
    width: int
    depth: int = 1
    activation: str = "relu"
    dropout: float = 0.0
    stack: int = 1
    batch: int = 256
    inputs: int = 784
    classes: int = 10

    def __str__(self) -> str:
        """Return the name of the case, without spaces."""
        shape = f"{self.width}x{self.depth}-{self.activation}-p{self.dropout:g}-stack{self.stack}"
        return f"{self.phase}-{self.implementation.replace(' ', '_')}-{shape}"

    @property
    def sizes(self) -> list[int]:
        """Units of each layer, inputs and classes included."""
        return [self.inputs, *[self.width] * self.depth, self.classes]

    @property
    def flops(self) -> int:
        """Operations of the whole stack."""
        layers = list(itertools.pairwise(self.sizes))
        product = [2 * self.batch * i * o for i, o in layers]
        of = {
            "forward": sum(product),
            "backward": 2 * sum(product) - product[0],
            "update": 2 * self.parameters,
        }
        return self.stack * (of[self.phase] if self.phase in of else sum(of.values()))

    @property
    def bytes(self) -> int:
        """Least traffic of the whole stack."""
        forward = sum(self._forward_elements())
        backward = sum(self._backward_elements())
        logits = self.batch * self.classes
        of = {
            "forward": FLOAT * forward,
            "backward": FLOAT * backward,
            "update": FLOAT * 3 * self.parameters,
            # Beyond both passes: the loss reads z_L and labels and writes dz_L, and the weights to be changed are read.
            "step": FLOAT * (forward + backward + 2 * logits + self.parameters) + LABEL * self.batch,
        }
        return self.stack * of[self.phase]

    @property
    def parameters(self) -> int:
        """Weights and biases of one run."""
        return sum((i + 1) * o for i, o in itertools.pairwise(self.sizes))

    def _kept(self) -> int:
        """Return arrays of a hidden layer's size that the forward pass keeps beside h, for the way back: z, mask."""
        return (self.activation in NEED_Z) + (self.dropout > 0)

    def _forward_elements(self) -> Iterator[int]:
        for layer, (i, o) in enumerate(itertools.pairwise(self.sizes), start=1):
            yield self.batch * i + (i + 1) * o
            yield self.batch * o * (1 + (self._kept() if layer <= self.depth else 0))

    def _backward_elements(self) -> Iterator[int]:
        for layer, (i, o) in enumerate(itertools.pairwise(self.sizes), start=1):
            yield self.batch * o + self.batch * i + (i + 1) * o
            if layer > 1:
                yield i * o + self.batch * i * (1 + self._kept())


def _every(phases: str, implementations: tuple[str, ...], stack: int = STACK, **shape: int | str | float) -> list[Case]:
    """Return a case for each phase and implementation of one shape."""
    return [
        Case(phase=p, implementation=i, stack=stack if i == "stacked" else 1, **shape)  # type: ignore[arg-type]
        for p, i in itertools.product(phases.split(), implementations)
    ]


# Around one shape, 256 units in one layer with ReLU in stacks of 8, one thing is varied at a time.
CASES: list[Case] = [
    *_every("forward backward update step", EAGER, width=32),
    *_every("forward backward update step", EAGER, width=256),
    *_every("forward backward update step", EAGER, width=1024),
    *_every("forward backward", EAGER, width=256, depth=3),
    *_every("forward backward", EAGER, width=64, depth=6),
    *_every("forward backward", EAGER, width=256, activation="tanh"),
    *_every("forward backward", EAGER, width=256, activation="gelu"),
    *_every("forward backward", ("torch.nn", "stacked"), width=256, dropout=0.5),
    *_every("forward backward", ("stacked",), stack=2, width=32),
    *_every("forward backward update step", ("stacked",), stack=32, width=32),
    *_every("forward backward", ("stacked",), stack=2, width=256),
    *_every("forward backward", ("stacked",), stack=32, width=256),
]
# A minute of compiling between them.
COMPILED: list[Case] = [
    *_every("forward backward", ("torch.compile",), width=32),
    *_every("forward backward", ("torch.compile",), width=256, depth=3),
]
SQUARES = (512, 1024, 2048)
COPIED = 2**28
