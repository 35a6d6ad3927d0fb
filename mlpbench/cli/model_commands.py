"""Commands about trained networks: weights to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlpbench.cli.common_options import DATA_DIR, DEVICE


@click.command()
@click.argument("run")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.safetensors")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    multiple=True,
    default=(Path("results"),),
    show_default="results",
    help="Where to look for the run, at any depth; repeatable.",
)
@DEVICE
@DATA_DIR
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def export(run: str, file: Path, results: tuple[Path, ...], force: bool, **given: Any) -> None:
    """Write the weights of RUN, a run_id or how one begins, to a safetensors file.

    Where the experiment did not keep them (`save_weights: true`), the run is trained again, alone, and its weights are
    checked against the digest of its row: exit status 1 where they are others, as on another kind of processor.
    """
    from mlpbench.jobs import export as exporting
    from mlpbench.jobs.options import Options

    done = exporting.export(run, file, results, Options(quiet=True, **given), force=force)
    how = "trained again, alone, with the weights of its row" if done.trained else "saved when it was trained"
    click.echo(f"{done.stored.run_id} of {done.stored.folder}: {how}")
    click.echo(f"weights: {file}")
