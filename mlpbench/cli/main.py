"""The command line: errors become a message and an exit status. Nothing imports this module."""

from __future__ import annotations

import os
import sys
from contextlib import chdir, suppress
from typing import Any

import click

from mlpbench.base.environment import version_line
from mlpbench.base.errors import MachineError, MlpbenchError
from mlpbench.cli import endings
from mlpbench.cli.data_commands import data, predict
from mlpbench.cli.experiment_commands import list_, run, schema
from mlpbench.cli.first_commands import demo, doctor, explain, new
from mlpbench.cli.folder_commands import cite, claims, diff, export, index, merge, report, trim, verify
from mlpbench.cli.piece_commands import check
from mlpbench.cli.plan_command import plan
from mlpbench.cli.terminal_output import escaped_output


class _Group(click.Group):
    """A group of commands whose errors are one message and an exit status."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        words = options.get("args") or next(iter(arguments), None) or sys.argv[1:]
        with endings.caught(next(iter(words), None)) as self._signals:
            try:
                return super().main(*arguments, **options)
            except OSError as error:  # click has ended quietly where the reader of our output has enough
                with suppress(OSError):
                    click.echo(f"mlpbench: system error: {error}", err=True)
                _drop_output()
                sys.exit(MachineError.status)
            except (
                SystemExit,
                click.Abort,
                endings.Interruption,
            ) as error:  # a signal that came before or after the command itself
                message, status = endings.interruption(self._signals)
                if self._signals.number is None or getattr(error, "code", None) == status:
                    raise
                click.echo(f"mlpbench: {message}", err=True)
                sys.exit(status)

    def invoke(self, ctx: click.Context) -> Any:
        _leave_matplotlib_alone()
        try:
            return super().invoke(ctx)
        except BaseException as error:
            number = self._signals.number
            if number is not None or isinstance(error, KeyboardInterrupt):
                endings.leave_in_peace()  # a second Ctrl-C must not cut this short
                message, status = endings.interruption(self._signals)
            elif isinstance(error, MlpbenchError):
                message, status = str(error), error.status
            elif out_of_memory := endings.memory_error(error, self._signals.command):
                message, status = str(out_of_memory), out_of_memory.status
            elif without_torch := endings.without_torch(error):
                message, status = str(without_torch), without_torch.status
            else:
                raise
        click.echo(f"mlpbench: {message}", err=True)
        ctx.exit(status)


# In the order of use, each with what fits its line on a terminal of 80 columns.
SECTIONS = {
    "Begin": {
        "demo": "show an experiment from end to end, in seconds",
        "new": "write an experiment file with comments",
        "explain": "say what a setting, a key or a word means",
        "doctor": "look whether all is well on this machine",
    },
    "Experiments": {
        "list": "list experiments with their time and verdicts",
        "plan": "say what would be trained, and how long",
        "run": "train what is missing, and write the report",
        "check": "try pieces of your own",
        "schema": "print what editors need",
    },
    "Results": {
        "claims": "print verdicts",
        "report": "write reports again, as pages and for papers too",
        "index": "write what is true, over many experiments",
        "cite": "print BibTeX entries",
        "verify": "train runs again, and compare bit for bit",
        "diff": "compare two results folders",
        "merge": "merge results of several machines",
        "trim": "remove what reports do not read",
    },
    "Networks and data": {
        "export": "write the weights of a run to a file",
        "predict": "predict new rows with them",
        "data": "list, fetch and describe data sets",
    },
}


class _Commands(_Group):
    """The group, with all that it prints escaped, usage errors too, and its commands in the order of use."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        with escaped_output():
            return super().main(*arguments, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, for help, completion and documentation."""
        return [name for section in SECTIONS.values() for name in section]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        widest = max(map(len, self.commands))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), says) for name, says in section.items()])


def _leave_matplotlib_alone() -> None:
    """Keep the import of matplotlib from settings of the user.

    A notebook hands down a backend that this process may not have, and the working folder may have a `matplotlibrc`, broken
    even, which is read before any other: the import would end with either, and figures need neither.
    """
    os.environ.update({"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull})
    if os.path.exists("matplotlibrc"):
        with chdir(os.path.dirname(__file__)):
            import matplotlib  # noqa: F401


def _drop_output() -> None:
    """Discard what is still to be printed: a second failure, at exit, would replace our exit status."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print version and commit; git is asked for it only here."""
    if wanted:
        click.echo(f"mlpbench, version {version_line()}")
        ctx.exit()


# A line of "\b" keeps the lines after it as they are.
HELP = """Benchmark multilayer perceptrons and judge claims about them.

An experiment is a YAML file: a question, the factors to vary, and the claims to judge. `mlpbench run` trains every
combination with replicates, stores all numbers in parquet and writes a report with a verdict, and its evidence, for each
claim.

\b
Start here:
  mlpbench demo                            an experiment from end to end, in seconds
  mlpbench new mine                        write mine.yaml, with comments, which runs as it is
  mlpbench run mine.yaml
  mlpbench plan width                      what would be trained, and how long
  mlpbench run width --set replicates=10   one of those that come along: mlpbench list
  mlpbench explain lr                      what a word means
  mlpbench doctor                          whether all is well on this machine

Exit status: 0 done, 1 some runs failed or a check found a difference, 2 bad input, 3 system error, 130 interrupted,
143 terminated.
"""


@click.group(cls=_Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Parse the options before the command; HELP documents the group."""


BEGINNING = (new, explain, doctor, demo)
OF_FOLDERS = (claims, report, cite, index, verify, diff, merge, trim, export)
for command in (run, plan, *OF_FOLDERS, predict, list_, data, schema, check):
    main.add_command(command)
for command in BEGINNING:
    main.add_command(command)
for command in (run, *OF_FOLDERS, predict, check, doctor, demo):
    assert command.callback is not None, "a command does something"
    command.callback = endings.with_memory(command.callback)
