"""The device that runs are trained on: what `auto` stands for, and what to say of a GPU before it is used.

`auto` is a GPU where torch can use one. Whether a run has the same bits alone and in company is known of the kinds of cards that the
tests of `make gpu` have passed on (results/gpu has what they came to): of another kind, whoever trains on it is told so.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from mlpbench.base.environment import has_gpu_driver, version
from mlpbench.base.errors import InputError, MachineError

# Cards that `make gpu` has passed on, as torch names them, each with the torch it was: a file of results/gpu has its numbers.
TESTED: Mapping[str, str] = {"NVIDIA H100 80GB HBM3": "2.11.0"}


# What to do where it is not installed: plans, lists and reports need none.
TORCH_WAY = "`pip install torch torchvision` installs it, where there is a torch for this Python and machine (https://pytorch.org/get-started)"
WITHOUT_TORCH = f"torch is not installed, and nothing is trained or predicted without it: {TORCH_WAY}"


def check_torch() -> None:
    """Raise MachineError where torch is not installed; it is looked for, and not loaded."""
    if not has_torch():
        raise MachineError(WITHOUT_TORCH)


def has_torch() -> bool:
    """Return whether torch is installed; it is looked for, and not loaded."""
    try:
        return find_spec("torch") is not None
    except ValueError:  # of a module that a script has put in its place
        return True


def device_name(device: str) -> str:
    """Return the device that `auto` stands for; raise InputError for a device that is not there.

    Torch is loaded only where a GPU driver is present or a GPU was asked for by name.
    """
    if device == "cpu" or (device == "auto" and not has_gpu_driver()):
        return "cpu"
    from mlpbench.training.worker import gpus

    available = list(gpus())
    if device == "auto":
        return available[0] if available else "cpu"
    name = "cuda:0" if device == "cuda" else device
    if name not in available:
        names = ", ".join(["auto", "cpu", *available])
        raise InputError(f"--device must be one of {names} on this machine, got {device!r}")
    return name


def device_product(name: str) -> str:
    """Return the product name of a device from `device_name`, as rows of results have it: `cpu`, `NVIDIA H100`."""
    if name == "cpu":
        return "cpu"
    from mlpbench.training.worker import gpus

    return gpus()[name]


def gpu_words(name: str, product: str, *, is_chosen: bool) -> str:
    """Return which GPU runs are trained on, why, and what is not known of it: `cuda:0, NVIDIA H100 80GB HBM3`.

    Args:
        name: the device.
        product: its product name.
        is_chosen: whether `auto` stands for it, and nobody asked for it.

    """
    chosen = " (--device auto takes it; --device cpu trains on the processor)" if is_chosen else ""
    doubt = untested(product)
    return f"{name}, {product}{chosen}{f'; {doubt}' if doubt else ''}"


def untested(product: str) -> str:
    """Return that the GPU tests have not passed on this card with this torch; nothing where they have."""
    here = (version("torch") or "unknown").partition("+")[0]
    tested = TESTED.get(product)
    if tested == here:
        return ""
    on = ", ".join(f"{card} with torch {torch}" for card, torch in TESTED.items())
    which = "this card" if tested is None else f"this card with torch {here}"
    return (
        f"the GPU tests have passed on {on}, and have not been run on {which}: `mlpbench verify` trains runs again, alone, and "
        "compares their bits"
    )
