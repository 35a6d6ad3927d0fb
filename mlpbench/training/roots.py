"""Square roots that are those of IEEE 754 where bits are to carry to processors of Intel and of AMD.

MKL, whose vectorised roots torch takes, starts from the processor's own estimate (RSQRTPS) in mode COMPATIBLE and is
off by one unit in the last place for one number in five; which ones depends on a table that each maker chose.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

# As MKL does, once, when it is loaded.
_COMPATIBLE = os.environ.get("MKL_CBWR") == "COMPATIBLE"


def root(x: Tensor) -> Tensor:
    """Return the square roots of x, correctly rounded if numerics are universal."""
    return torch.from_numpy(np.sqrt(x.numpy())) if _COMPATIBLE and x.device.type == "cpu" else x.sqrt()
