"""What Linux sees of a GPU under Windows: a device without a maker, CUDA's library and an `nvidia-smi` that says the driver."""

from __future__ import annotations

from pathlib import Path

import pytest

SMI = "#!/bin/sh\necho 555.99\n"


def lend_gpu(patch: pytest.MonkeyPatch, folder: Path, *, maker: str = "nvidia", smi: str = SMI) -> None:
    """Lend a GPU.

    Args:
        patch: undoes it.
        folder: for its files.
        maker: of the card; those of others have the device and no CUDA.
        smi: the script that stands for `nvidia-smi`, none where it is empty.

    """
    (libraries := folder / "wsl").mkdir()
    (folder / "dxg").touch()
    if maker == "nvidia":
        (libraries / "libcuda.so.1").touch()
    if smi:
        (libraries / "nvidia-smi").write_text(smi)
        (libraries / "nvidia-smi").chmod(0o755)
    patch.setattr("mlpbench.base.environment.WSL_DEVICE", folder / "dxg")
    patch.setattr("mlpbench.base.environment.WSL_LIBRARIES", libraries)
