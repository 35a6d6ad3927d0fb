"""Commands about experiment files and data: list the experiments, print the schema of a file, list and fetch data sets."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mlpbench.cli.common_options import DATA_DIR, FOLDER, JSON, WORKERS


@click.command(name="list")
@click.argument("folder", type=FOLDER, default=Path("experiments"))
@click.option(
    "--results",
    type=FOLDER,
    help="Folder that has the results folders (default: results/reference, if it exists).",
)
@WORKERS
@JSON
def list_(folder: Path, results: Path | None, workers: int | None, as_json: bool) -> None:
    """List the experiments of a folder: number of runs, expected time here, verdicts so far, question."""
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


@click.group()
def data() -> None:
    """List the data sets that have a name, and fetch them."""


@data.command(name="list")
def data_list() -> None:
    """List the data sets that have a name: size, whether they are on this machine, and where they come from."""
    from mlpbench.data.data_sets import DATA_SETS

    for name, source in DATA_SETS.items():
        facts = source.facts
        target = f"{facts.n_classes} classes" if facts.n_classes else "regression"
        click.echo(f"{name:<16}{facts.n_train} train, {facts.n_test} test, {target}  {source.availability()}")


@data.command(name="fetch")
@click.argument("name")
@DATA_DIR
def data_fetch(name: str, data_dir: Path | None) -> None:
    """Fetch a data set of `mlpbench data list`, check it by SHA-256 and cache it.

    --data-dir, or MLPBENCH_DATA, is a folder with the files as they are distributed, in it or in a sub-folder with the name
    of the data set.
    """
    from mlpbench.data.data_sets import lookup

    click.echo(f"{name}: {lookup(name).fetch(data_dir=data_dir, say=click.echo)}")
