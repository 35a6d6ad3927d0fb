"""Square roots that are those of IEEE 754 where bits are to carry to other processors.

MKL, whose vectorised roots torch takes, starts from the processor's own estimate (RSQRTPS), in double precision and, in mode
COMPATIBLE, in single precision too, and is off by one unit in the last place for some numbers; which ones depends on a table
that differs between processors. Of a processor that is not Intel's, bits of mode AVX2 (`portable`) carry to no other
kind, and roots are MKL's there.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from mlpbench.base import environment

# As MKL does, once, when it is loaded.
_MODE = os.environ.get("MKL_CBWR")
_EXACT = _MODE == "COMPATIBLE" or (_MODE == "AVX2" and "Intel" in environment.cpu())


def root(x: Tensor) -> Tensor:
    """Return the square roots of x, correctly rounded if numerics are universal, or portable on a processor of Intel."""
    return torch.from_numpy(np.sqrt(x.numpy())) if _EXACT and x.device.type == "cpu" else x.sqrt()
