"""`python -m mlpbench`, and the command `mlpbench`: the command line, entered so that a signal ends it with one line.

This loads next to nothing: while modules load, and while the process ends, a signal would show where that was. A command
takes signals over in between (cli/endings.py).
"""

import os
import signal
import sys

from mlpbench import WINDOWS


def main() -> None:
    """Run the command line; on Windows, say where it can be run."""
    if os.name == "nt":
        os.write(2, f"mlpbench: {WINDOWS}\n".encode())
        sys.exit(3)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _end)
    try:
        from mlpbench.cli.main import main as command

        command(prog_name="mlpbench")
    except BaseException as error:
        from mlpbench.cli.endings import Interruption

        if isinstance(error, Interruption):
            _end(error.number, None)
        raise


def _end(number: int, _frame: object) -> None:
    words = {int(signal.SIGINT): "interrupted", int(signal.SIGTERM): "terminated"}
    how = words.get(number, "the terminal was closed")
    trains = sys.argv[1:2] == ["run"]
    kept = (
        "finished stacks are kept, run the same command again to continue" if trains else "run the same command again"
    )
    line = f"mlpbench: {how}; {kept}\n"
    try:
        os.write(2, line.encode())
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
