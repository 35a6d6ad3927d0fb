"""What is wrong with a data file, in one message: where, rule, value; and how much a file may come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlpbench.base.errors import InputError, MachineError
from mlpbench.base.escapes import printable
from mlpbench.base.models import shown

# Files, and what they contain once it is unpacked.
MAX_BYTES = 2 * 2**30
# A small file may come to this much once it is unpacked, a larger one to so many times its size: beyond are files made to
# fill a memory, and tables so regular that they can be written without compression.
SMALL_BYTES, MOST_TIMES = 2**28, 100


def file_error(
    message: str, file: str, *, line: int | None = None, column: str | None = None, row: int | None = None
) -> InputError:
    """Return the error of a data file: where, `own.csv:4: column 'age'`, then rule and value.

    Args:
        message: rule, value and way forward.
        file: what the file is called.
        line: the line that is wrong.
        column: the column that is wrong.
        row: the row that is wrong, where there are no lines.

    """
    place = [file if line is None else f"{file}:{line}"]
    if column is not None:
        place.append(f"column {column!r}" + (f", row {row}" if row is not None else ""))
    return InputError(printable(": ".join([*place, message])))


def reason(error: Exception) -> str:
    """Return what a library says is wrong, as errors print it; the type of the error where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return shown(next((line.rstrip(".") for line in lines if line), type(error).__name__))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what the machine says of a file, called `name`, into one message."""
    try:
        yield
    except OSError as error:
        why = repr(error.strerror.lower()) if error.strerror else reason(error)
        raise file_error(f"a data file must be readable, got {why}", name) from None
    except MemoryError:
        raise MachineError(f"{name}: own data must fit this machine's memory, got more") from None


def check_unpacked(unpacked: int, file_bytes: int, name: str) -> None:
    """Refuse a file that comes to much more than its size.

    Args:
        unpacked: bytes that it says it comes to, or has come to so far.
        file_bytes: its size.
        name: what it is called in errors.

    """
    most = max(SMALL_BYTES, MOST_TIMES * file_bytes)
    if unpacked > most:
        rule = f"a data file must come to at most {most} bytes once it is unpacked, {MOST_TIMES} times its size"
        raise file_error(f"{rule}, got {unpacked}; write it without compression", name)
