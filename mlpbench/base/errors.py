"""What can go wrong, and the exit status that says so."""

from __future__ import annotations

import errno
import mmap
import re

# What libraries, and the loader of libraries, say where memory or address space is wanting.
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|failed to map segment|can't start new thread|bad_alloc|out of memory"
    r"|failed to launch worker thread",
    re.IGNORECASE,
)


class MlpbenchError(Exception):
    """Base of the errors that end a command with one message and no traceback.

    `status` is the exit status: 2 the input is wrong, 3 the machine could not.
    """

    status = 1


class InputError(MlpbenchError):
    """The user's input is wrong: the message names the place, the rule, the value and, where one is near, a suggestion."""

    status = 2


class MachineError(MlpbenchError):
    """The machine could not: disk full, data not to be had, folder locked. Finished work is kept."""

    status = 3


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that memory is wanting."""
    chain, seen = error, set[int]()
    while id(chain) not in seen:
        seen.add(id(chain))
        if isinstance(chain, MemoryError) or (isinstance(chain, OSError) and chain.errno == errno.ENOMEM):
            return True
        if not isinstance(chain, MlpbenchError) and _OUT_OF_MEMORY.search(str(chain)):
            return True
        chain = chain.__cause__ or chain.__context__ or chain
    return False


def lacks_address_space(size: int) -> bool:
    """Return whether this process may not take so many bytes of address space more."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, ValueError):
        return True
    return False
