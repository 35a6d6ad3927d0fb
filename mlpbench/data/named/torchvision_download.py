"""torchvision's own download, as a program: `python -P torchvision_download.py FOLDER CLASS`.

A process of its own keeps torch out of the caller, the socket timeout out of its sockets, torchvision's progress bars
off its terminal, and can be ended when it takes too long. It imports nothing of the package: no path needs to be set.
"""

import importlib
import socket
import sys
from typing import Any

STALLED_AFTER_S = 20.0

_libraries: list[Any] = []


def import_torchvision() -> Any:
    """Return the torchvision module, also where a CPU-only torch stands beside the registry's torchvision.

    There torchvision's compiled operators do not load and its import ends with RuntimeError `operator torchvision::nms
    does not exist`, though its data sets need none of them. Defining the schemas it looks for is enough; calling them
    still fails. Raises what the import raises for any other reason.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    library = importlib.import_module("torch.library").Library("torchvision", "FRAGMENT")
    # Schemas go when their Library is collected.
    _libraries.append(library)
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")


def main(folder: str, name: str) -> None:
    """Download the data set of torchvision's class of that name into the folder; raise what torchvision raises."""
    socket.setdefaulttimeout(STALLED_AFTER_S)
    data_class = getattr(import_torchvision().datasets, name)
    # QMNIST gets each part when it is asked for.
    for train in (True, False):
        data_class(folder, train=train, download=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
