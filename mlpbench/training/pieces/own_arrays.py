"""The arrays that a data set of a plugin returns, as an npz file, which is then read and checked as one of the user's own.

It returns a mapping of arrays, `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`; or a tuple of two or four, in that order.
Tensors count as arrays. The first axis of each is examples; what is behind it becomes the inputs of one, in a row.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlpbench.training.pieces.piece_calls import PieceCall

FORMS = (("x", "y"), ("x_train", "y_train", "x_test", "y_test"))
RULE = "arrays x and y, or x_train, y_train, x_test and y_test, in a mapping or in that order"
# Numbers, true and false, and text; no objects, which would be pickled.
PLAIN = "biufU"
Arrays = Mapping[str, NDArray[np.generic]]


def made_arrays(piece: PieceCall) -> Arrays:
    """Return the arrays of a data set by name; raise PieceError where it raises, or returns something else."""
    returned = piece()
    if isinstance(returned, tuple) and len(returned) in (2, 4):
        returned = dict(zip(FORMS[len(returned) // 4], returned))
    if not isinstance(returned, Mapping):
        raise piece.wrong(RULE, type(returned).__name__)
    if set(returned) not in map(set, FORMS):
        raise piece.wrong(RULE, f"a mapping with {', '.join(map(str, returned)) or 'nothing'}")
    return {name: _array(piece, name, returned[name]) for form in FORMS if set(form) == set(returned) for name in form}


def _array(piece: PieceCall, name: str, returned: object) -> NDArray[np.generic]:
    plain = returned.detach().cpu().numpy() if isinstance(returned, Tensor) else returned
    try:
        array: NDArray[np.generic] = np.asarray(plain)
    except ValueError as error:
        raise piece.wrong(f"{name} as an array", f"{type(returned).__name__}: {error}") from None
    if array.dtype.kind not in PLAIN or array.ndim == 0:
        got = f"{type(returned).__name__} of {array.dtype}" if array.ndim else f"{type(returned).__name__}, one number"
        raise piece.wrong(f"{name} as an array of numbers, true and false or text, an entry for each example", got)
    return array


def npz_of(arrays: Arrays) -> bytes:
    """Return arrays as the bytes of an npz file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return file.getvalue()


def are_equal(one: Arrays, other: Arrays) -> bool:
    """Return whether arrays have the same names, types and entries."""
    return list(one) == list(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(one.values(), other.values())
    )
