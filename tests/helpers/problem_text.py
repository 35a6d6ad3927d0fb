"""What a message says is wrong, without the line that says where more is explained."""

from __future__ import annotations

EXPLAINS = "`mlpbench explain "


def problem_text(message: object) -> str:
    """Return a message without its last line where that names what `mlpbench explain` says more about."""
    *problem, last = str(message).rstrip("\n").split("\n")
    return "\n".join(problem if problem and last.startswith(EXPLAINS) else [*problem, last])
