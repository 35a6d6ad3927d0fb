"""Values as YAML has them on one line, for examples, without the writer of files, which takes a while to load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Words that YAML 1.2 reads as they are written, inside braces too.
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./ %()'?-]*")
_OTHER_THAN_TEXT = re.compile(r"(true|false|null|~|[-+.]?[0-9][0-9_.eE+-]*|\.(inf|nan))?", re.IGNORECASE)


def flow(value: Any) -> str:
    """Return a value as YAML has it on one line.

    >>> flow({"warmup": "10%", "then": ["cosine", 0.5, True, "1"]})
    "{warmup: 10%, then: [cosine, 0.5, true, '1']}"
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return value if is_plain(value) else "'" + value.replace("'", "''") + "'"
    return _number(value)


def is_plain(text: str) -> bool:
    """Return whether text may stand without quotes.

    >>> is_plain("price"), is_plain("a, b"), is_plain("12"), is_plain("no")
    (True, False, False, True)
    """
    return _PLAIN.fullmatch(text) is not None and _OTHER_THAN_TEXT.fullmatch(text) is None and text == text.strip()


def _number(value: float) -> str:
    """Return a number; YAML 1.2 wants a point in what has an exponent no more than Python does, but reads 1e-08 as text.

    >>> _number(1e-8), _number(0.1), _number(3)
    ('1.0e-08', '0.1', '3')
    """
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text
