"""Pictures in few colours: lines and large areas keep theirs, and every other pixel takes the nearest that there is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlpbench.report.figures import png_colours, theme

BYTE = st.integers(0, 255)
COLOUR = st.tuples(BYTE, BYTE, BYTE)


def drawn_of(seed: int, areas: list[tuple[int, int, int]], shades: int) -> png_colours.Bytes:
    """Return stripes of some colours, each larger than the next, and below them a row of many shades."""
    heights = range(3 * len(areas), 0, -3)
    stripes = [np.full((h, 40, 3), c, np.uint8) for h, c in zip(heights, areas, strict=True)]
    rest = np.random.default_rng(seed).integers(0, 256, (shades, 40, 3)).astype(np.uint8)
    return np.concatenate([*stripes, rest])


@settings(deadline=None)
@given(
    seed=st.integers(0, 99),
    areas=st.lists(COLOUR, min_size=1, max_size=8, unique=True),
    lines=st.lists(COLOUR, max_size=20, unique=True),
    colours=st.sampled_from([png_colours.OF_LINES, png_colours.OF_SHADES]),
)
def test_areas_and_lines_keep_their_colours_and_others_take_the_nearest(
    seed: int, areas: list[tuple[int, int, int]], lines: list[tuple[int, int, int]], colours: int
) -> None:
    drawn = drawn_of(seed, areas, 2)
    drawn[-1, : len(lines)] = np.array(lines, np.uint8).reshape(-1, 3)  # a pixel of each line
    few = png_colours.of_lines(drawn, lines, colours)
    found = np.asarray(few.convert("RGB"))
    palette = np.unique(found.reshape(-1, 3), axis=0)
    assert len(palette) <= colours
    large = sum(range(3 * len(areas), 0, -3))
    np.testing.assert_array_equal(found[:large], drawn[:large])
    kept = lines[: colours // 2]
    np.testing.assert_array_equal(found[-1, : len(kept)], np.array(kept, np.uint8).reshape(-1, 3))
    squares = ((drawn[:, :, None].astype(int) - palette.astype(int)) ** 2).sum(axis=3)
    reached = ((drawn.astype(int) - found.astype(int)) ** 2).sum(axis=2)
    np.testing.assert_array_equal(reached, squares.min(axis=2))


def test_a_picture_of_few_colours_is_left_as_it_is() -> None:
    drawn = drawn_of(0, [(255, 255, 255), (213, 94, 0), (222, 143, 5), (2, 158, 115)], 0)
    for colours in (png_colours.OF_LINES, png_colours.OF_SHADES):
        np.testing.assert_array_equal(np.asarray(png_colours.of_lines(drawn, [], colours).convert("RGB")), drawn)


@pytest.mark.parametrize(
    ("ordered", "n"), [(False, theme.MOST_COLOURS), (True, theme.MOST_COLOURS), (True, 16), (True, 30)]
)
def test_thin_lines_and_their_legend_have_the_colours_of_the_palette(ordered: bool, n: int) -> None:
    """Orange and red-orange lie near to each other: a median cut alone makes one of both where few pixels have them."""
    colours = theme.palette(n, ordered=ordered)
    with theme.style():
        figure, (ax,) = theme.new(3.0)
        x = np.linspace(0, 9, 200)
        for i, colour in enumerate(colours):
            ax.fill_between(x, np.sin(x + i) - 0.2, np.sin(x + i) + 0.2, color=colour, alpha=0.2, linewidth=0)
            ax.plot(x, np.sin(x + i), color=colour, linewidth=1, label=f"line {i}")
        ax.legend()
    drawn = np.asarray(Image.open(io.BytesIO(theme.png(figure))).convert("RGB"))
    found = {bytes(colour) for colour in drawn.reshape(-1, 3)}
    assert [colour for colour in colours if bytes.fromhex(colour[1:]) not in found] == []
    assert len(found) <= (png_colours.OF_LINES if n <= 16 else png_colours.OF_SHADES)


def test_colours_that_something_shines_through_are_no_colours_of_lines() -> None:
    with theme.style():
        figure, (ax,) = theme.new(2.0)
        ax.plot([0, 1], [0, 1], color="#d55e00", markerfacecolor="none")
        ax.plot([0, 1], [1, 0], color="#029e73", alpha=0.5)
        ax.plot([0, 1], [1, 1], color=(0, 0, 1, 0.5))
        ax.scatter([0, 1], [0.5, 0.5], color="#0173b2")
        ax.scatter([0, 1], [0.2, 0.2], color="#de8f05", alpha=0.3)
    found = png_colours.colours_of_lines(figure)
    assert set(found) == {(0xD5, 0x5E, 0x00), (0x01, 0x73, 0xB2)}
