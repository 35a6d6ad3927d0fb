"""Few colours: what is drawn keeps its colour, edges move little, shades are kept, and the palette holds."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlpbench.report.figures import theme
from mlpbench.report.figures.flat import LEAST_SHARE, PALETTE, STEP, flat


def picture(pixels: npt.NDArray[np.int64]) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint8), "RGB")


def moved(before: Image.Image) -> npt.NDArray[np.int64]:
    """Return by how much the channel that moved most did, for each pixel."""
    after, drawn = (np.asarray(image, dtype=np.int64) for image in (flat(before).convert("RGB"), before))
    most: npt.NDArray[np.int64] = np.abs(after - drawn).max(axis=2)
    return most


def test_areas_keep_their_colours_and_edges_move_by_half_a_step_at_most() -> None:
    """Fifty colours that differ by as little as 1 cover most; pixels of random colours lie between."""
    rng = np.random.default_rng(0)
    areas = np.stack([np.arange(50) * 5, 255 - np.arange(50), np.full(50, 7)], axis=1)
    pixels = np.repeat(areas, 2000, axis=0).reshape(250, 400, 3)
    edges = rng.random((250, 400)) < 0.02
    pixels[edges] = rng.integers(0, 256, (int(edges.sum()), 3)) // 64 * 60
    distance = moved(picture(pixels))
    assert not distance[~edges].any()
    assert 0 < distance[edges].max() <= STEP // 2


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 16, 256]))
def test_any_picture_has_a_palette_and_its_size(seed: int, height: int, width: int, levels: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, levels, (height, width, 3)) * (255 // (levels - 1))
    made = flat(picture(pixels))
    assert made.mode == "P"
    assert made.size == (width, height)
    assert len(np.unique(np.asarray(made))) <= PALETTE


@pytest.mark.parametrize(("share", "kept"), [(2 * LEAST_SHARE, True), (LEAST_SHARE / 2, False)])
def test_a_colour_is_kept_if_it_covers_enough(share: float, kept: bool) -> None:
    pixels = np.full((100, 100, 3), 255)
    pixels.reshape(-1, 3)[: round(share * 10_000)] = (100, 50, 25)
    assert (moved(picture(pixels)).max() == 0) == kept


def test_a_colour_bar_keeps_its_shades() -> None:
    figure, (ax,) = theme.new(2.0)
    figure.colorbar(ax.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap="viridis"))
    with Image.open(io.BytesIO(theme.png(figure))) as shown:
        assert len(np.unique(np.asarray(shown))) > 150
