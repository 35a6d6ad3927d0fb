"""Commands about data: list and fetch those that have a name, describe a table, and predict its rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mlpbench.base.errors import InputError
from mlpbench.cli.common_options import DATA_DIR, FOLDER, JSON, PLUGINS, warn

# Options whose values are marks.
MARKS = ("separator", "decimal", "comment")


@click.group()
def data() -> None:
    """List and fetch the data sets that have a name, and describe a table."""


@data.command(name="list")
@JSON
def data_list(as_json: bool) -> None:
    """List the data sets that have a name: size, whether they are on this machine, and where they come from."""
    from mlpbench.data.data_sets import DATA_SETS

    if as_json:
        keys = ("title", "n_train", "n_test", "n_features", "n_classes")
        rows = [
            {"name": name, **{key: getattr(source.facts, key) for key in keys}, "available": source.availability()}
            for name, source in DATA_SETS.items()
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
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


@data.command(name="describe")
@click.argument("table", type=FOLDER, metavar="TABLE")
@click.option("--target", help="The target column: a name, or a position such as -1, the last.")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of `dataset`, such as missing=drop_rows; repeatable.",
)
@JSON
def data_describe(table: Path, target: str | None, options: tuple[str, ...], as_json: bool) -> None:
    """Say how a table is read: rows, inputs, what each column becomes, classes, gaps, and rows that come again.

    TABLE is a file of your own, or the name of a table that comes with mlpbench, such as penguins. An experiment reads it so with
    `dataset: {file: TABLE, target: COLUMN}`, or `dataset: {name: TABLE}`, and the same options.
    """
    from mlpbench.base.models import SpecProblem
    from mlpbench.data.data_sets import table_of
    from mlpbench.data.table.description import lines

    written = [f"target={target}"] * (target is not None) + list(options)
    try:
        data = table_of(table, dict(map(_option, written)))
    except SpecProblem as problem:
        raise InputError(problem.message) from None
    facts = data.facts
    if as_json:
        keys = ("name", "n_train", "n_validation", "n_test", "n_features", "class_names")
        counts = {key: getattr(facts, key) for key in keys}
        profile = {} if facts.profile is None else facts.profile.model_dump()
        said = {"notes": facts.notes, "credits": data.credits()}
        click.echo(json.dumps(counts | profile | said, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join([*lines(facts), *data.credits()]))


@click.command()
@click.argument("model", type=FOLDER, metavar="MODEL.safetensors")
@click.argument("table", type=FOLDER, metavar="TABLE")
@click.option(
    "-o", "--output", type=FOLDER, metavar="FILE", help="Write to a .csv or .parquet file.  [default: print csv]"
)
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="How TABLE is written where that is not as in training: separator, decimal, encoding, header, comment, day_first, "
    "missing_values; repeatable.",
)
@PLUGINS
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def predict(
    model: Path,
    table: Path,
    output: Path | None,
    options: tuple[str, ...],
    plugin_files: tuple[Path, ...],
    force: bool,
) -> None:
    """Predict the rows of TABLE with a model that `mlpbench export` wrote of a run on a table of your own.

    TABLE is text, parquet or arrays of numpy with the columns that were learned from; the target may be absent. For each of its rows, in their
    order, there is the predicted class and the probability of each, or a number in the target's own units. How the table was read
    is said on standard error.
    """
    from mlpbench.base.models import SpecProblem
    from mlpbench.data.table.table_options import checked_reading
    from mlpbench.executors.prediction import predict

    try:
        reading = checked_reading(dict(map(_option, options)))
    except SpecProblem as problem:
        raise InputError(f"--set: {problem.message}") from None
    printed = predict(model, table, output, warn, force=force, reading=reading, plugins=plugin_files)
    if output is None:
        click.echo(printed, nl=False)
    else:
        click.echo(f"predictions: {output}")


def _option(written: str) -> tuple[str, Any]:
    """Return key and value of `KEY=VALUE`: a value in YAML, or a mark as it stands, which seldom is YAML: `,`, `#`, `%`."""
    from mlpbench.experiment.file.yaml_reader import parsed

    key, _, value = written.partition("=")
    if key in MARKS and "=" in written and value[:1] not in ("'", '"'):
        return key, value
    override = parsed(written)
    return override.key, override.value
