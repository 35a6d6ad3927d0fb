"""Check the pieces of a plugin in this process, and say of each what was tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlpbench.base.errors import InputError
from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin, read_file
from mlpbench.experiment.spec import package_words

if TYPE_CHECKING:
    import pandas as pd

    from mlpbench.training.pieces.own_figures import DrawnPiece


def check_file(path: Path, say: Callable[[str], None]) -> list[str]:
    """Try each piece of a plugin, `say` what was tried of it, and return a line about each that breaks its contract.

    Raises InputError for a file that is no plugin, has a piece with a name of the package's own, or can't be run.
    """
    plugin = read_file(path)
    assert plugin.code is not None, "it was read from a file"
    _check_names(plugin, path)
    say(f"plugin {plugin.code.path} ({plugin.code.digest})")
    from mlpbench.training.piece_contract import check_pieces  # torch takes a while to load

    try:
        checks = check_pieces(plugin)
    except PieceError as error:
        raise InputError(f"{plugin.code.path}: {error}") from None
    broken = []
    for check in checks:
        piece = check.piece
        tried = "; ".join(check.passed) or "nothing"
        if check.broken is None:
            say(f"{piece.kind} {piece.called} {piece.digest}: ok ({tried})")
        else:
            say(f"{piece.kind} {piece.called} {piece.digest}: broken (kept until then: {tried})")
            broken.append(f"{plugin.code.path}:{piece.line}: {check.broken}")
    return broken


def make_dataset(plugin: Plugin, piece: Piece) -> None:
    """Run the code of a data set of a plugin, and keep its arrays in the cache; raise InputError where that goes wrong."""
    from mlpbench.training.piece_contract import made_dataset  # torch takes a while to load

    assert plugin.code is not None, "what is on record alone has facts, and is not made"
    try:
        made_dataset(plugin, piece)
    except PieceError as error:
        raise InputError(f"{plugin.code.path}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class FigureTables:
    """What figures of plugins get: name and question of an experiment, and its tables."""

    name: str
    question: str
    runs: pd.DataFrame
    curves: pd.DataFrame


def draw_figures(plugins: Sequence[Plugin], tables: FigureTables) -> list[DrawnPiece]:
    """Return what each figure of some plugins comes to; what goes wrong in one is said of that one."""
    from mlpbench.training.piece_contract import drawn_figures  # torch takes a while to load
    from mlpbench.training.pieces.own_figures import FigureContext

    context = FigureContext(**vars(tables))
    return [figure for plugin in plugins for figure in drawn_figures(plugin, context)]


def _check_names(plugin: Plugin, path: Path) -> None:
    """Raise InputError for a piece that has the name of one of the package's own."""
    for piece in plugin.pieces:
        if piece.called in package_words(piece.kind):
            rule = f"mlpbench has {piece.kind} {piece.called!r} itself, which can't be redefined"
            raise InputError(f"{path}:{piece.line}: {rule}; give yours another name")
