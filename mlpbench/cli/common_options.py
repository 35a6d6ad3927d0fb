"""What several commands have: options, and the message about a report that is not whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from mlpbench.cli.terminal_output import PathArgument

FOLDER = PathArgument()

RESULTS = click.option(
    "--results", type=FOLDER, default=Path("results"), show_default=True, help="Folder that has the results folders."
)
DATA_DIR = click.option(
    "--data-dir", type=FOLDER, help="Folder that has the data files already (or set MLPBENCH_DATA)."
)
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting or a key of the file; repeatable."
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
EXECUTOR = click.option(
    "--executor",
    type=click.Choice(["local", "inline", "ray"]),
    default="local",
    show_default=True,
    help="local trains in worker processes; inline in this process, for debuggers; ray on a Ray cluster, or on this machine "
    "(pip install 'mlpbench[ray]').",
)
ADDRESS = click.option(
    "--address",
    metavar="HOST:PORT",
    help="Head of the Ray cluster (default: RAY_ADDRESS, else the cluster of this machine, else a new one).",
)
WORKERS = click.option("--workers", type=int, help="Number of worker processes (default: one per CPU core).")
THREADS = click.option(
    "--threads",
    type=int,
    default=1,
    show_default=True,
    help="Threads per worker (changing it changes the bits of results).",
)
NUMERICS = click.option(
    "--numerics",
    default="fast",
    show_default=True,
    help="Where results are the same bit for bit: fast, on this kind of processor; portable, on any Intel processor with "
    "AVX2 (up to 1.35 times slower); universal, on AMD too (2.4 to 4 times slower). Other processors have fast alone.",
)
PLUGINS = click.option(
    "--plugins",
    "plugin_files",
    type=FOLDER,
    multiple=True,
    metavar="FILE",
    help="Code of plugins that are on record, of equal digest: their file, or an installed one's name; repeatable.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def warn(line: str) -> None:
    """Say on standard error what is noticed of a results folder."""
    click.echo(f"mlpbench: {line}", err=True)


@contextmanager
def noting_unsealed(*folders: Path) -> Iterator[None]:
    """Say on standard error, once a command has read them, which results folders had no seal, and which have one now."""
    from mlpbench.results.seal import SPEC, is_sealed, sealed_now, unsealed

    bare = [folder for folder in folders if (folder / SPEC).exists() and not is_sealed(folder)]
    yield
    for note in (unsealed(bare), sealed_now(bare)):
        if note:
            warn(note)


def print_report_failures(folder: Path, failures: Mapping[str, str]) -> None:
    """Say on standard error which parts of a report could not be made, and why."""
    for part, why in failures.items():
        click.echo(f"mlpbench: {folder}: {part} could not be made: {why}", err=True)
