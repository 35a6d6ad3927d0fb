"""The command about pieces of the user's own: whether they keep their contract."""

from __future__ import annotations

from pathlib import Path

import click

from mlpbench.base.errors import InputError
from mlpbench.cli.common_options import FOLDER

# A line of "\b" keeps the lines after it as they are.
HELP = """Run the pieces of your own in FILE, a plugin, and prove of each that it keeps its contract.

A piece is a plain function on tensors with a bare decorator:

\b
  @mlpbench.activation   f(z)                                   -> f(z), number by number
  @mlpbench.initialiser  f(shape, fan_in, fan_out, generator)   -> an array
  @mlpbench.optimiser    f(gradient, state, lr, step)           -> (update, state)
  @mlpbench.loss         f(outputs, targets)                    -> the loss of each example
  @mlpbench.schedule     f(share)                               -> the factor of lr
  @mlpbench.metric       f(outputs, targets)                    -> one number for all examples
  @mlpbench.dataset      f()                                    -> arrays x and y
  @mlpbench.figure       f(context)                             -> a matplotlib figure

Each is tried on a few numbers: its shape, that it is finite, and the same each time; of activations and losses the gradient is
compared with differences, and of metrics is said whether the order of examples matters. A data set is
made twice, read as a table of your own is, and kept; a figure is drawn of a few runs. Then networks are trained with it, alone and in company, and their bits compared. An experiment beside
FILE uses it with `plugins: [FILE]`. FILE may be the name of an installed plugin, too.

Exit status 2 where a piece breaks a rule: the line says which, and where.
"""


@click.command(help=HELP)
@click.argument("file", type=FOLDER, metavar="FILE")
def check(file: Path) -> None:
    """Run the pieces of a plugin and say of each whether it keeps its contract; HELP documents the command."""
    from mlpbench.executors.piece_check import check_file

    broken = check_file(file, click.echo)
    if broken:
        raise InputError("\n".join(broken))
