"""A picture in few colours, which PNG stores in fewer bytes, and of a figure without images one whose lines and areas keep their own.

    place of a pixel = argmin over the palette of |its colour - c|^2, in red, green and blue

Reference: Heckbert, Color image quantization for frame buffer display, 1982, of the median cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

Bytes = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
# Colours of a figure with images, of one with many lines, or with shades and a bar that explains them, and of any other.
OF_IMAGES, OF_SHADES, OF_LINES = 256, 128, 32
# The share of a picture from which pixels of one colour are an area.
AREA = 0.001


def of_images(drawn: Bytes) -> Image.Image:
    """Return a picture with images in a median cut of 256 colours; the paper, at the corner, keeps its own.

    Shape: drawn (height, width, 3), red, green and blue.
    """
    few = _cut(Image.fromarray(drawn), OF_IMAGES)
    palette = np.array(few.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette[np.asarray(few)[0, 0]] = drawn[0, 0]
    few.putpalette(palette.tobytes())
    return few


def of_lines(drawn: Bytes, lines: Sequence[Colour], colours: int = OF_LINES) -> Image.Image:
    """Return a picture of lines, areas and text in few colours, of which some are those of areas and of `lines` exactly.

    At most three quarters of the palette are kept for them: first the most frequent colour, then those of `lines`, at most half of
    the palette, then those of areas, the largest first. The rest follows from an octree, which puts alike colours together, and a
    median cut: each is the colour that most of its pixels had.

    Shape: drawn (height, width, 3), red, green and blue.
    """
    pixels = _packed(drawn)
    keys, places, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    order = np.lexsort((keys, -counts))
    ground, *areas = keys[order[counts[order] >= min(AREA * places.size, counts.max())]].tolist()
    marked = _packed(np.array(lines, dtype=np.uint8).reshape(-1, 3))
    marked = marked[np.isin(marked, keys)][: colours // 2]
    kept = list(dict.fromkeys([ground, *marked.tolist(), *areas]))[: colours * 3 // 4]
    alike = Image.fromarray(drawn).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    boxes = np.asarray(_cut(alike.convert("RGB"), colours - len(kept)))
    palette = np.array(list(dict.fromkeys([*kept, *_most_common(boxes, pixels)])))
    squares = ((_unpacked(keys)[:, None] - _unpacked(palette)[None]) ** 2).sum(axis=2)
    few = Image.fromarray(squares.argmin(axis=1).astype(np.uint8)[places].reshape(drawn.shape[:2]), mode="P")
    few.putpalette(_unpacked(palette).astype(np.uint8).tobytes())
    return few


def colours_of_lines(figure: Figure) -> list[Colour]:
    """Return the colours of lines and dots that nothing shines through, those of most of them first; not of ticks or grids."""
    found: Counter[Colour] = Counter()
    lines = [line for ax in figure.axes for line in ax.lines if line.get_alpha() in (None, 1)]
    dots = [dots for ax in figure.axes for dots in ax.collections if dots.get_alpha() in (None, 1)]
    colours: list[Any] = [colour for line in lines for colour in (line.get_color(), line.get_markerfacecolor())]
    colours += [colour for of in dots for colour in (*np.asarray(of.get_facecolor()), *np.asarray(of.get_edgecolor()))]
    for colour in colours:
        if mpl.colors.is_color_like(colour):
            red, green, blue, alpha = mpl.colors.to_rgba(colour)
            found[round(255 * red), round(255 * green), round(255 * blue)] += alpha == 1
    return [colour for colour, n in found.most_common() if n]


def _cut(picture: Image.Image, colours: int) -> Image.Image:
    return picture.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _most_common(boxes: Bytes, packed: npt.NDArray[np.int64]) -> list[int]:
    """Return the colour that most pixels of each box have; of equally many that with the least red."""
    keys, counts = np.unique((boxes.astype(np.int64).ravel() << 24) | packed, return_counts=True)
    ordered = keys[np.lexsort((keys, -counts, keys >> 24))]
    first = np.unique(ordered >> 24, return_index=True)[1]
    return [int(key) & 0xFFFFFF for key in ordered[first]]


def _packed(colours: Bytes) -> npt.NDArray[np.int64]:
    """Return each colour as one number, of the last axis."""
    red, green, blue = (colours[..., i].astype(np.int64).ravel() for i in range(3))
    return (red << 16) | (green << 8) | blue


def _unpacked(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([(keys >> shift) & 255 for shift in (16, 8, 0)], axis=-1)
