"""What lines are, written at their ends: read at once, where a legend is looked up line by line."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlpbench.report.figures import theme
from mlpbench.report.figures.text_room import text_width

# Texts at line ends need so many points each, and so few lines; none is farther than this from its line, nor wider.
APART, MOST_NAMED_LINES, FARTHEST, WIDEST = 10.5, 6, 13.0, 110.0
# Ends are to the right of this share of the panel, or their texts would stand among the lines.
RIGHT = 0.9


def name_line_ends(figure: Figure, ax: Axes, ends: Sequence[tuple[str, float, float, str]]) -> bool:
    """Write what a line is at its end, where all texts find a place; return whether they do.

    Args:
        figure: the figure, with everything else in it.
        ax: the panel that is rightmost.
        ends: of each line its text, where it ends (x and y, as data), and its colour.

    """
    if not 0 < len(ends) <= MOST_NAMED_LINES or max(text_width(e[0], theme.SMALL) for e in ends) > WIDEST:
        return False
    figure.draw_without_rendering()  # constrained layout gives axes their size when it is drawn
    scale = 72 / figure.dpi
    ordered = sorted(ends, key=lambda end: end[2])
    places = [ax.transData.transform((x, y)) for _, x, y, _ in ordered]
    frame = ax.get_window_extent()
    if any(place[0] < frame.x0 + RIGHT * frame.width for place in places):
        return False
    heights = [float(place[1]) * scale for place in places]
    wanted = spread(heights, APART, frame.y0 * scale + 3, frame.y1 * scale + 2)
    if wanted is None or any(abs(a - b) > FARTHEST for a, b in zip(heights, wanted, strict=True)):
        return False
    right = max(float(place[0]) for place in places)
    for (text, x, y, colour), place, height, to in zip(ordered, places, heights, wanted, strict=True):
        beside = (7 + (right - float(place[0])) * scale, to - height)
        ax.annotate(text, (x, y), beside, textcoords="offset points", va="center", color=colour, fontsize=theme.SMALL,
                    annotation_clip=False)  # fmt: skip
    return True


def of_level(title: str, text: str) -> str:
    """Return a level as it stands alone: a number with what it is a number of.

    >>> of_level("width", "64"), of_level("init", "zeros")
    ('width=64', 'zeros')
    """
    return f"{title}={text}" if title and text[:1] in "0123456789(-." else text


def bare(texts: Sequence[str]) -> dict[str, str]:
    """Return texts without the name that they share, of words, which say what they are without it.

    >>> bare(["init=zeros", "init=default"]), bare(["width=8", "width=16"])
    ({'init=zeros': 'zeros', 'init=default': 'default'}, {'width=8': 'width=8', 'width=16': 'width=16'})
    """
    names = {text.partition("=")[0] for text in texts}
    rest = {text: text.partition("=")[2] for text in texts}
    words = len(names) == 1 and all(r and r[:1] not in "0123456789(-." for r in rest.values())
    return rest if words else {text: text for text in texts}


def spread(heights: Sequence[float], apart: float, low: float, high: float) -> list[float] | None:
    """Return heights, which ascend, moved as little as it takes to be so far apart and within ends; None where they have no room.

    >>> spread([1.0, 1.5, 9.0], 2.0, 0.0, 10.0)
    [0.25, 2.25, 9.0]
    """
    if apart * (len(heights) - 1) > high - low:
        return None
    # Each block stands about the mean of what it has; blocks that meet become one.
    blocks: list[list[float]] = []
    for height in heights:
        blocks.append([height])
        while (
            len(blocks) > 1 and _start(blocks[-1], apart, low, high) < _end(blocks[-2], apart, low, high) + apart - 1e-9
        ):
            last = blocks.pop()
            blocks[-1] += last
    return [_start(block, apart, low, high) + i * apart for block in blocks for i in range(len(block))]


def _start(block: Sequence[float], apart: float, low: float, high: float) -> float:
    whole = apart * (len(block) - 1)
    return min(max(sum(block) / len(block) - whole / 2, low), high - whole)


def _end(block: Sequence[float], apart: float, low: float, high: float) -> float:
    return _start(block, apart, low, high) + apart * (len(block) - 1)
