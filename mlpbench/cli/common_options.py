"""What several commands have: options, and the message about a report that is not whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlpbench.base.errors import InputError, MachineError
from mlpbench.cli.terminal_output import PathArgument

if TYPE_CHECKING:
    import webbrowser

    from mlpbench.experiment.dataset_levels import DatasetMaker
    from mlpbench.experiment.spec import Experiment

FOLDER = PathArgument()
# The page of a report.
PAGE = "report.html"

RESULTS = click.option(
    "--results", type=FOLDER, default=Path("results"), show_default=True, help="Folder that has the results folders."
)
DATA_DIR = click.option(
    "--data-dir", type=FOLDER, help="Folder that has the data files already (or set MLPBENCH_DATA)."
)
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting or a key of the file: lr=0.1, lr=[0.1,0.3] as a factor, replicates=20; repeatable.",
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
    "AVX2 where one trained it (up to 1.35 times slower); universal, on AMD too (2.4 to 4 times slower). Other processors "
    "have fast alone.",
)
PLUGINS = click.option(
    "--plugins",
    "plugin_files",
    type=FOLDER,
    multiple=True,
    metavar="FILE",
    help="Code of plugins that are on record, of equal digest: their file, or an installed one's name; repeatable.",
)
OPEN = click.option("--open", "opens", is_flag=True, help="Show the page in a browser at the end; implies --html.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
NOTHING_WRITTEN = "nothing was written (--dry-run)"
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def warn(line: str) -> None:
    """Say on standard error what is noticed of a results folder."""
    click.echo(f"mlpbench: {line}", err=True)


def located_folders(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return the results folders that names of the command line mean; which one is another than was written is said."""
    from mlpbench.results.folders import located_folder

    return tuple(located_folder(folder, warn) for folder in folders)


def read_experiments(
    specs: Sequence[Path],
    overrides: Sequence[str],
    results: Path,
    say: Callable[[str], None],
    make: DatasetMaker | None = None,
) -> list[Experiment]:
    """Return the experiments of files and names; raise InputError for what is wrong with all.

    Args:
        specs: files and names.
        overrides: `KEY=VALUE` for each of them.
        results: the folder whose experiments have names too.
        say: is told which files names mean.
        make: makes the arrays of data sets of plugins, where their code may run.

    """
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.experiment.file.shipped import located
    from mlpbench.experiment.file.yaml_text import STANDARD_INPUT

    named: dict[str, Path] = {}
    experiments, wrong = [], []
    for spec in specs:
        try:
            file = STANDARD_INPUT if str(spec) == "-" else located(spec, say, results)
            experiment = yaml_reader.read(file, overrides, make, results)
            if experiment.name in named:
                wrong.append(_same_name(experiment.name, named[experiment.name], spec))
            named.setdefault(experiment.name, spec)
            experiments.append(experiment)
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))
    return experiments


def _same_name(name: str, one: Path, other: Path) -> str:
    """Return what to say of two experiments of one name, whose results would be in one folder."""
    rule = f"experiments of one command need different names, got {name!r} twice"
    if one == other:
        return f"{rule}, both times from {one}: give it once"
    return f"{rule}, from {one} and {other}: leave one of them out, or change its `name`"


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


def find_browser(option: bool | None, folders: Sequence[Path]) -> webbrowser.BaseBrowser | None:
    """Return the browser that is to show pages, None where none is asked for; raise InputError where there is none.

    Args:
        option: whether `--open` was given; None for a browser on a screen, if there is one: one in the terminal would take it over.
        folders: the folders whose pages are to be shown, which the message names.

    """
    if option is False or (option is None and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))):
        return None
    import webbrowser

    try:
        return webbrowser.get()
    except webbrowser.Error:
        if option is None:
            return None
        pages = " and ".join(str(folder / PAGE) for folder in folders)
        raise InputError(
            "--open needs a browser, and none was found: there is no screen, or none of the usual ones is installed (the variable "
            f"BROWSER may name one); give --html instead, and open {pages} where there is one"
        ) from None


def show_page(browser: webbrowser.BaseBrowser | None, page: Path) -> None:
    """Show a page in a browser, if there is one; raise MachineError where the browser says that it could not."""
    if browser is not None and not browser.open(page.resolve().as_uri()):
        raise MachineError(f"the browser did not open {page}, which is written: open it by hand")
