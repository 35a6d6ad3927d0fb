"""The shapes of convolutions (3x3, padded by one) with their poolings (2x2, stride 2): by arithmetic alone.

A pooling floors: of an odd number of rows or columns the last is read by none. Positions that no pooling reads are not
computed, and not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TAPS = 9
POOLED = 4


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution with its pooling: rows, columns and channels of what goes in, and the channels that come out."""

    rows: int
    columns: int
    before: int
    channels: int

    @property
    def inputs(self) -> int:
        """Numbers that a position is computed from: the taps of each channel."""
        return TAPS * self.before

    @property
    def fan_out(self) -> int:
        """Outputs that a number goes into, but at the border: as `torch.nn.init` counts them."""
        return TAPS * self.channels

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns that come out."""
        return self.rows // 2, self.columns // 2

    @property
    def cells(self) -> int:
        """Positions that come out."""
        return self.pooled[0] * self.pooled[1]

    @property
    def positions(self) -> int:
        """Positions of the convolution that the pooling reads."""
        return POOLED * self.cells

    @property
    def framed(self) -> tuple[int, int]:
        """Rows and columns of what goes in with the border that the taps read."""
        return 2 * self.pooled[0] + 2, 2 * self.pooled[1] + 2

    @property
    def products(self) -> int:
        """Multiply-adds of an example on its way forward."""
        return self.taps * self.channels

    @property
    def taps(self) -> int:
        """Numbers that an example's positions are computed from, each counted where it is read."""
        return self.positions * self.inputs

    @property
    def units(self) -> int:
        """Numbers of an example before pooling."""
        return self.positions * self.channels

    @property
    def frame(self) -> int:
        """Numbers of what goes in with its border."""
        return self.before * self.framed[0] * self.framed[1]


def convolutions(channels: Sequence[int], image: tuple[int, int]) -> list[Convolution]:
    """Return the convolutions of an image of one channel, first to last; the last may shrink it to nothing."""
    layers = []
    (rows, columns), before = image, 1
    for after in channels:
        layers.append(Convolution(rows=rows, columns=columns, before=before, channels=after))
        (rows, columns), before = layers[-1].pooled, after
    return layers


def most_convolutions(image: tuple[int, int]) -> int:
    """Return how many poolings leave something of an image: each halves its sides."""
    return min(image).bit_length() - 1
