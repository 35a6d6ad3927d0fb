"""Commands about experiment files: what ships, and what a file may say."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mlpbench.cli.common_options import WORKERS


@click.command(name="list")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("experiments"))
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="Where results are, a folder for each experiment; results/reference by default, where it is there.",
)
@WORKERS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(folder: Path, results: Path | None, workers: int | None, as_json: bool) -> None:
    """List the experiments of a folder: runs, the time they are expected to take here, verdicts there are, question."""
    from mlpbench.jobs import listing
    from mlpbench.jobs.options import Options

    rows = listing.shipped(folder, results, Options(workers=workers))
    if as_json:
        click.echo(json.dumps([asdict(row) | {"file": str(row.file)} for row in rows], indent=2))
    elif rows:
        click.echo(listing.text(rows))


@click.command()
def schema() -> None:
    """Print the JSON Schema of an experiment file, with which editors complete keys and mark mistakes.

    \b
      mlpbench schema > experiment.schema.json
    and, as the first line of an experiment file:
      # yaml-language-server: $schema=experiment.schema.json
    """
    from mlpbench.experiment.file.json_schema import schema

    click.echo(json.dumps(schema(), indent=2))
