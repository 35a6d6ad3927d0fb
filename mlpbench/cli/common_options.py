"""Options that commands share."""

from __future__ import annotations

from pathlib import Path

import click

RESULTS = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Where results go."
)
DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="A folder that has the data already (or MLPBENCH_DATA)."
)
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting or a key of the file; repeatable."
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:i.")
EXECUTOR = click.option(
    "--executor",
    type=click.Choice(["local", "inline"]),
    default="local",
    show_default=True,
    help="local trains in worker processes; inline in this process, for debuggers.",
)
WORKERS = click.option("--workers", type=int, help="Worker processes; one a processor by default.")
THREADS = click.option(
    "--threads", type=int, default=1, show_default=True, help="Threads a worker; other counts give other bits."
)
NUMERICS = click.option(
    "--numerics",
    default="fast",
    show_default=True,
    help="How far the bits carry: fast, to this kind of processor; portable, to any Intel one with AVX2 (up to 1.35 "
    "times slower); universal, to AMD too (2.4 to 4 times slower).",
)
