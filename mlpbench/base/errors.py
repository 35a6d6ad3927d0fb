"""What can go wrong, and the exit status that says so."""


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
