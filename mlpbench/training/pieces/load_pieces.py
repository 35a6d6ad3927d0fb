"""Load the code of plugins into this process: run it once, and put its pieces into the tables of components.

What is run is the text that was read with the experiment, whatever the file has by now. A plugin is a module of its own, whose name
has the digest of its text: two texts are two modules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from mlpbench.experiment.components.activations import ACTIVATIONS, own_activation
from mlpbench.experiment.components.initialisers import INITIALISERS, own_initialiser
from mlpbench.experiment.components.losses import LOSSES, own_loss
from mlpbench.experiment.components.optimisers import OPTIMISERS, own_optimiser
from mlpbench.experiment.components.own_pieces import Components, PieceError
from mlpbench.experiment.components.schedules import SCHEDULES, Schedule
from mlpbench.experiment.metrics.own_metrics import OWN_METRICS
from mlpbench.experiment.plugins.plugin import Plugin
from mlpbench.training.pieces.own_functions import OwnActivation, OwnLoss, own_draw, own_factors, own_number, own_step
from mlpbench.training.pieces.piece_calls import PieceCall, error_text
from mlpbench.training.torch_settings import restore_changed, settings_now

TABLES: Mapping[str, Components[Any]] = {
    "activation": ACTIVATIONS,
    "initialiser": INITIALISERS,
    "optimiser": OPTIMISERS,
    "loss": LOSSES,
    "schedule": SCHEDULES,
    "metric": OWN_METRICS,
}


def load_pieces(plugins: Iterable[Plugin]) -> None:
    """Load the pieces of plugins that this process lacks; raise PieceError where the code of one can't be run."""
    for plugin in plugins:
        missing = [p for p in plugin.pieces if p.kind in TABLES and not TABLES[p.kind].is_loaded(p.name)]
        if missing:
            functions = run_code(plugin)
            for piece in missing:
                TABLES[piece.kind].load(piece.name, entry(PieceCall.of(piece, functions)))


def run_code(plugin: Plugin) -> Mapping[str, Any]:
    """Run the code of a plugin, and return the names it has then; raise PieceError where it raises, or changes torch's settings."""
    assert plugin.code is not None, "what is on record alone is given its code, or refused"
    code = plugin.code
    name = f"mlpbench_plugin_{code.digest}"
    module = ModuleType(f"{code.package}.{name}" if code.package else name)
    module.__file__ = str(code.path)
    module.__dict__["__mlpbench_plugin__"] = plugin.name
    if code.package:
        module.__package__ = code.package
    before = settings_now()
    sys.modules[module.__name__] = module  # dataclasses look there
    try:
        exec(compile(code.text, plugin.name, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        hint = ""
        if isinstance(error, ImportError):
            hint = "; a plugin is one file: it can import installed packages, not the files beside it"
        raise PieceError(f"{plugin.name} raised {error_text(error)}{hint}") from error
    if changed := restore_changed(before, settings_now()):
        raise PieceError(f"{plugin.name} must leave torch's settings alone, got {changed}")
    return module.__dict__


def entry(piece: PieceCall) -> Any:
    """Return the entry of a piece for the table of its kind."""
    if piece.kind == "activation":
        own = OwnActivation(piece)
        return own_activation(piece.name, own.forward, own.backward, lambda nn: own.module())
    if piece.kind == "loss":
        loss = OwnLoss(piece)
        return own_loss(loss.forward, loss.gradient)
    if piece.kind == "optimiser":
        return own_optimiser(piece.name, own_step(piece))
    if piece.kind == "initialiser":
        return own_initialiser(own_draw(piece))
    if piece.kind == "metric":
        return own_number(piece)
    assert piece.kind == "schedule", "tables have these kinds"
    return Schedule(factor=own_factors(piece))
