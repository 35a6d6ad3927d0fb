"""The index lists every experiment by name, links to what is there, and is safe and the same twice."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from dataclasses import replace

import pytest
from PIL import Image

from mlpbench.report.pages.index_page import MOST_PICTURED, THUMB_HEIGHT, THUMB_WIDTH, Entry, Index, markdown, page
from mlpbench.report.summary import FirstFigure, Summary


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    picture = Image.new("RGB", (width, height), "white")
    picture.paste("red", (0, 0, width, height // 10))
    picture.save(buffer, "PNG")
    return buffer.getvalue()


EVIL = '<script>alert(1)</script> | "it"'
WIDTH = Entry(
    folder="reference/width",
    summary=Summary(
        name="width",
        question="Does a wider layer help?",
        verdicts={"undecided": 3, "supported": 1},
        runs={"ok": 39, "diverged": 1},
        figure=FirstFigure(file="figures/verdicts.png", alt='Each "claim".'),
    ),
    files=["report.html", "report.md", "spec.yaml"],
    picture=png(960, 400),
)
BARE = Entry(
    folder="a folder",
    summary=Summary(name="bare", question=EVIL, runs={"ok": 1}),
    files=["spec.yaml"],
)
INDEX = Index(entries=[BARE, WIDTH], unread=[("broken", f"name must be text, got {EVIL}")])


def test_markdown_has_a_row_for_each_experiment() -> None:
    text = markdown(INDEX)
    assert text.startswith("# Results\n\n2 experiments, 4 claims: 1 supported, 3 undecided.\n")
    assert (
        '| [<img src="reference/width/figures/verdicts.png" width="240" alt="Each &quot;claim&quot;.">]'
        "(reference/width/report.html) | [width](reference/width/report.html) | Does a wider layer help? "
        "| 1 **supported**, 3 **undecided** | 40 runs, 1 diverged |\n"
    ) in text
    assert "|  | [bare](a%20folder/spec.yaml) | " in text
    assert " | no claims | 1 run |\n" in text
    assert "\n## Could not be read\n\n- `broken`: name must be text, got " in text
    counts = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")}
    assert counts == {6}


def test_the_page_has_verdicts_with_signs_links_and_small_pictures() -> None:
    text = page(INDEX)
    assert '<strong class="verdict supported" data-sign="✓">1 supported</strong>' in text
    assert '<strong class="verdict undecided" data-sign="?">3 undecided</strong>' in text
    links = re.findall(r'<a href="([^"#]+)">', text)
    assert links == ["a%20folder/spec.yaml"] * 2 + [
        f"reference/width/{name}" for name in ("report.html", "report.html", "report.md", "spec.yaml")
    ]
    (source,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(source))) as small:
        assert small.size == (2 * THUMB_WIDTH, 2 * THUMB_WIDTH * 400 // 960)
    assert 'alt="Each &#34;claim&#34;."' in text


def test_of_a_tall_picture_the_upper_part_is_shown() -> None:
    text = page(Index(entries=[replace(WIDTH, picture=png(960, 9600))], unread=[]))
    (source,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(source))) as small:
        assert small.size == (2 * THUMB_WIDTH, 2 * THUMB_HEIGHT)
        assert small.convert("RGB").getpixel((240, 350)) == (255, 0, 0)


@pytest.mark.parametrize("content", [b"", b"no picture", png(96, 40)[:60]])
def test_a_picture_that_is_none_is_left_out(content: bytes) -> None:
    text = page(Index(entries=[replace(WIDTH, picture=content)], unread=[]))
    assert "<img" not in text
    assert ">width</a>" in text


@pytest.mark.parametrize("n", [MOST_PICTURED, MOST_PICTURED + 1])
def test_of_very_many_folders_neither_page_has_pictures_and_both_say_so(n: int) -> None:
    index = Index(entries=[replace(WIDTH, folder=f"e{i}") for i in range(n - 1)], unread=[("broken", "why")])
    pictured = n == MOST_PICTURED
    for text in (page(index), markdown(index)):
        assert text.count("<img") == (n - 1) * pictured
        assert ("With more than 100 folders, only the reports have pictures." in text) != pictured
        assert f"e{n - 2}/report.html" in text
    assert ('class="unpictured"' in page(index)) != pictured


def claimed(width: int, height: int) -> bytes:
    """Return a picture of some kilobytes that says it has so many points, and has them: all white."""
    rows = zlib.compressobj(9)
    line = bytes(1) + b"\xff" * -(-width // 8)
    pixels = b"".join([*(rows.compress(line) for _ in range(height)), rows.flush()])
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    parts = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    return b"".join([b"\x89PNG\r\n\x1a\n", *parts])


@pytest.mark.parametrize("side", [6_000, 10_000, 14_000])
def test_a_picture_of_more_points_than_any_figure_is_not_unpacked(side: int) -> None:
    content = claimed(side, side)
    assert len(content) < 50_000
    assert replace(WIDTH, picture=content).thumbnail is None
    assert replace(WIDTH, picture=claimed(600, 600)).thumbnail is not None


def test_what_users_wrote_is_text() -> None:
    text = page(INDEX)
    assert text.count("<script>") == 2
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2


def test_the_same_index_gives_the_same_bytes() -> None:
    assert page(INDEX) == page(INDEX)
    assert markdown(INDEX) == markdown(INDEX)


def test_an_index_of_nothing_says_so() -> None:
    empty = Index(entries=[], unread=[])
    assert markdown(empty) == "# Results\n\n0 experiments.\n"
    assert "0 experiments." in page(empty)
