"""Figures of plugins in a results folder: what `run` kept is shown, drawn from its pixels; what is no picture is not."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arithmetic_tables import make, spec
from PIL import Image
from reports import report_of

from mlpbench.base.errors import InputError
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.report.diagnostics.plugin_sections import draw
from mlpbench.report.report import render
from mlpbench.results import seal
from mlpbench.results.folder_check import check_folder
from mlpbench.results.plugin_figures import StoredFigure, in_base64, read_figures, write_figures
from mlpbench.results.store import Store

DIGEST = "0123456789ab"
PIXELS = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def png(pixels: Any = PIXELS, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def huge(width: int, height: int) -> bytes:
    """Return a small PNG that says it has so many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def figure(content: bytes | None = None, **fields: Any) -> StoredFigure:
    return StoredFigure(called="scatter", digest=DIGEST, png=in_base64(content), **fields)


def test_figures_come_back_and_are_sealed(tmp_path: Path) -> None:
    figures = [figure(png(), text="So."), StoredFigure(called="words", digest=DIGEST, error="it raised")]
    assert read_figures(tmp_path) == []
    write_figures(tmp_path, figures)
    assert read_figures(tmp_path) == figures
    np.testing.assert_array_equal(read_figures(tmp_path)[0].pixels, PIXELS)
    record = tmp_path / seal.OWN_FIGURES
    record.write_bytes(record.read_bytes().replace(b"So.", b"No."))
    found = check_folder(Store(tmp_path), spec=False)
    assert "remove it; `mlpbench run` with the plugin draws it again" in found.records[record]


@pytest.mark.parametrize("content", ["[1]", '[{"called": "../x", "digest": "0123456789ab"}]', '{"a": 1}', "["])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / seal.OWN_FIGURES).write_text(content)
    with pytest.raises(InputError, match="own_figures.json"):
        read_figures(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        png()[:60],
        huge(2**31 - 1, 2**31 - 1),
        huge(6_001, 5),
        huge(10, 5_000),
        huge(40, 40),
        png(np.zeros((3, 6_001, 3), dtype=np.uint8)),
        png(np.zeros((40, 10, 3), dtype=np.uint8)),
        b"",
        base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
    ],
)
def test_what_is_no_picture_of_a_report_is_not_shown(content: bytes) -> None:
    assert figure(content).pixels is None


def test_a_picture_is_shown_on_white() -> None:
    clear = np.zeros((9, 9, 4), dtype=np.uint8)
    pixels = figure(png(clear)).pixels
    assert pixels is not None
    assert (pixels == 255).all()
    assert StoredFigure(called="a", digest=DIGEST, png="no base64!").pixels is None


PLUGIN = Plugin(name="pieces.py", pieces=(Piece(kind="figure", called="scatter_plot", digest=DIGEST),))


def shown(*stored: StoredFigure) -> tuple[str, set[str]]:
    """Return the section of a report of a folder that keeps these, and the paths of its pictures."""
    tables = make(spec(replicates=2))
    experiment = tables.experiment.model_copy(update={"plugins": (PLUGIN,)})
    context = report_of(replace(tables, experiment=experiment)).context
    assert context is not None
    report = render(replace(context, own_figures=stored))
    text = report.markdown.split("## Figures of plugins")[1].split("\n## ")[0]
    return text, {path for path in report.drawings if "own_" in path}


def test_the_report_has_a_part_for_each_figure() -> None:
    stored = StoredFigure(called="scatter_plot", digest=DIGEST, png=in_base64(png()), text="Wider is <b>better</b>.")
    text, paths = shown(stored)
    assert "### Scatter plot\n\nWider is \\<b>better\\</b>." in text
    assert paths == {"figures/own_scatter_plot.png"}
    for other, says in (
        (replace(stored, png=""), "Wider is"),
        (
            replace(stored, png="", error="figure scatter_plot raised <x>"),
            "It could not be made: figure scatter\\_plot raised \\<x>.",
        ),
        (replace(stored, png=in_base64(b"GIF")), "is no picture that a report can show."),
        (
            replace(stored, digest="0" * 12),
            "A figure of pieces.py: it is drawn by mlpbench run, which has not drawn it as its code is now.",
        ),
    ):
        text, paths = shown(other)
        assert says.replace("\\_", "_") in text.replace("\\_", "_")
        assert paths == set()


def test_a_picture_is_as_wide_as_a_report() -> None:
    drawn = draw(PIXELS)
    width, height = drawn.get_size_inches()
    assert height / width == pytest.approx(30 / 40)
