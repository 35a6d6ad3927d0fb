"""How many bytes the buffers of one run hold, in training and in evaluation.

The engine's own objects are built for the run alone on torch's `meta` device, which has shapes and no numbers; then the
buffers they hold on to are counted, each once:

    train = parameters + gradients and optimiser state + batch + activations kept for the backward pass + their gradients
    eval  = parameters + batch + activations

In plain descent there are no gradients of parameters to keep: the product that computes one subtracts it. Both are for the
batch of the run. Rows are padded as in training (buffers.py). The data set, indices, random draws and what a kernel needs
in passing are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from mlpbench.experiment.convolution_shapes import Convolution
from mlpbench.experiment.grid import RunSettings
from mlpbench.training.batches.batches import DeviceData, Gather
from mlpbench.training.buffers import Stacked
from mlpbench.training.network.network import Network, Workspace
from mlpbench.training.parameter_updates import Updates

META = torch.device("meta")


def held_bytes(settings: RunSettings, data: DeviceData) -> Mapping[str, int]:
    """Return `train` and `eval`, in bytes, for the batch size of the run; the same in whatever stack it is trained."""
    # What changes no buffer is taken out, so that a sweep of it is counted once. How large a rate is does not matter.
    same = replace(settings, lr=1.0, init="zeros", bias_init="zeros", schedule="constant")
    convolutions = tuple(settings.convolutions(data.facts))
    return _held(same, tuple(settings.sizes(data.facts)), convolutions, data.n_features, data.x_train.dtype)


@functools.lru_cache(maxsize=10_000)
def _held(
    settings: RunSettings,
    sizes: tuple[int, ...],
    convolutions: tuple[Convolution, ...],
    features: int,
    source: torch.dtype,
) -> Mapping[str, int]:
    dtype = torch.float64 if settings.precision == "float64" else torch.float32
    batch = settings.batch_size
    found = {}
    for use in ("train", "eval"):
        network = Network([settings], sizes, dtype=dtype, device=META, convolutions=convolutions)
        gather = Gather(1, batch, features, dtype=dtype, device=META, source=source)
        work = Workspace(network, batch, backward=use == "train")
        if work.maps is not None:
            work.maps.room(1)
        held: list[object] = [network, gather, work]
        if use == "train":
            held.append(Updates(network, [settings]))
            if settings.input_noise > 0:
                held.append(Stacked.zeros(1, batch, features, dtype=dtype, device=META))
        storages = [buffer.untyped_storage() for buffer in _tensors(held)]
        found[use] = sum({s._cdata: s.nbytes() for s in storages}.values())
    return found


def _tensors(held: object) -> Iterator[Tensor]:
    """Yield the tensors that objects hold on to, through lists, mappings and attributes; some more than once."""
    if isinstance(held, Tensor):
        yield held
    elif isinstance(held, list | tuple | set):
        for item in held:
            yield from _tensors(item)
    elif isinstance(held, Mapping):
        yield from _tensors(list(held.values()))
    elif type(held).__module__.startswith("mlpbench."):
        yield from _tensors(list(vars(held).values()))
