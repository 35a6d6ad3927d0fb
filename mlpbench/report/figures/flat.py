"""Few colours for a figure of flat areas, lines and letters: what is flat keeps its own, smooth edges are rounded.

Colours that cover much of it are what is drawn; the thousands of others stand at edges, where an eye sees no step of 32 in
256, and they take most of the bytes of a picture. Figures with shades, as of images and colour bars, need another way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

# A colour is kept as it is if it covers this share of the picture, of so many colours at most.
LEAST_SHARE = 1 / 1000
MOST_KEPT = 200
# All others are rounded to whole steps in red, green and blue.
STEP = 32
PALETTE = 256

Colours = npt.NDArray[np.int64]


def flat(image: Image.Image) -> Image.Image:
    """Return an RGB image with a palette: no channel of a pixel moves by more than half a step, unless colours are too many."""
    drawn = _packed(np.asarray(image, dtype=np.int64))
    own, place, count = np.unique(drawn, return_inverse=True, return_counts=True)
    common = np.lexsort((own, -count))[:MOST_KEPT]
    common = common[count[common] >= LEAST_SHARE * drawn.size]
    colours = _channels(own)
    rounded = np.minimum((colours + STEP // 2) // STEP * STEP, 255)
    if len(common):
        kept = colours[common]
        apart = np.abs(colours[:, None] - kept).max(axis=2)
        near = apart.min(axis=1) <= STEP // 2
        rounded[near] = kept[apart.argmin(axis=1)[near]]
        rounded[common] = kept
    left, of_own = np.unique(_packed(rounded), return_inverse=True)
    most = np.lexsort((left, -np.bincount(of_own, weights=count)))[:PALETTE]
    palette = _channels(left[most])
    nearest = ((_channels(left)[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    made = Image.fromarray(nearest[of_own][place].reshape(drawn.shape), "P")
    made.putpalette(palette.astype(np.uint8).tobytes())
    return made


def _packed(rgb: Colours) -> Colours:
    """Return colours, channels last, as one number each."""
    return (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]


def _channels(packed: Colours) -> Colours:
    return np.stack([(packed >> shift) & 255 for shift in (16, 8, 0)], axis=-1)
