"""A pretend GPU: `cuda:0` on a machine without one, to find out what would crash there, and what a step costs.

A tensor on it is an `OnDevice`: torch sees `cuda:0`, the numbers are in a CPU tensor that it holds, and every operation is
done on that. What CUDA refuses is refused: tensors of host and device in one operation (but for a number in an elementwise
one, and indices), `.numpy()` of a device tensor, a CPU generator for a draw on the device, an `out=` of another shape, and,
where `torch.use_deterministic_algorithms` is on, what has no deterministic CUDA implementation. Counted are kernels (one an
operation that is no view: a lower bound), times the host waits for the device, and bytes copied either way, each with the
line of the caller. Not seen: CUDA's own rounding, memory, speed, and kernels that choose by the number of runs.

    with pretend_gpu.gpu() as seen:
        train_stack(runs, DeviceData(data, torch.device("cuda:0")))
    print(seen.report())
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from mlpbench.training import gpu as training_gpu

GPU, CPU, NAME = torch.device("cuda:0"), torch.device("cpu"), "Pretend GPU"
# Where `torch.use_deterministic_algorithms` has CUDA raise (its docstring's list), and some more in `_refused`.
NONDETERMINISTIC = {
    *("histc", "put_", "put", "nll_loss2d_forward", "_ctc_loss_backward", "_adaptive_avg_pool2d_backward"),
    *("_adaptive_avg_pool3d_backward", "avg_pool3d_backward", "adaptive_max_pool2d_backward", "kthvalue"),
    *("fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "max_unpool2d", "max_unpool3d"),
    *("grid_sampler_2d_backward", "grid_sampler_3d_backward"),
    *("reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward"),
    *(f"upsample_{k}_backward" for k in ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d")),
}
# ... and these take a slow way there, by sorting (index_put_ with accumulate) or through index_put_.
BY_SORTING = {"scatter_add_", "scatter_add", "index_add_", "index_add", "index_put_", "index_copy_", "scatter_reduce_"}
# What makes the host wait for a number before it knows the shape, or the value, of the result.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive"}
# Indices may be on the host; a copy goes from one to the other.
MIXED = {"copy_", "_to_copy", "index", "index_put_", "index_put", "_index_put_impl_"}


class OnDevice(torch.Tensor):
    """A tensor that torch takes for one on `cuda:0`; `held` has the numbers."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Self:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=GPU
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError("a tensor of the pretend GPU is used outside `pretend.gpu()`")

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )

    __array__ = numpy

    def tolist(self) -> Any:
        return self.cpu().tolist()

    # Written out, as torch's own ask for a CUDA that a build for CPUs does not have.
    def __getitem__(self, index: Any) -> Any:
        view, indices = _viewed(self, index)
        return torch.ops.aten.index.Tensor(view, indices) if indices else view

    def __setitem__(self, index: Any, value: Any) -> None:
        view, indices = _viewed(self, index)
        if indices:
            value = value if isinstance(value, torch.Tensor) else torch.full((), value, dtype=self.dtype, device=GPU)
            torch.ops.aten.index_put_(view, indices, value)
        elif isinstance(value, torch.Tensor):
            view.copy_(value)
        else:
            view.fill_(value)

    def copy_(self, source: torch.Tensor, non_blocking: bool = False) -> Any:
        return torch.ops.aten.copy_(self, source, non_blocking)

    def contiguous(self, *args: Any, **kwargs: Any) -> Any:
        return torch.ops.aten.contiguous(self, *args, **kwargs)

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __invert__(self) -> Any:
        return torch.bitwise_not(self)

    def __repr__(self, **kwargs: Any) -> str:
        return f"OnDevice({self.held!r})"


def _viewed(x: torch.Tensor, index: Any) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Return x after the parts of an index that make views, and the tensors that are left of it, axis by axis."""
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(p is not None and p is not Ellipsis for p in parts)
    axis = 0
    indices: list[torch.Tensor | None] = []
    for part in parts:
        if part is Ellipsis:
            axis += x.ndim - axis - (taken - sum(p is not None for p in parts[: parts.index(Ellipsis)]))
        elif part is None:
            x, axis = x.unsqueeze(axis), axis + 1
        elif isinstance(part, int):
            x = x.select(axis, part)
        elif isinstance(part, slice):
            start, stop, step = part.indices(x.shape[axis])
            x, axis = torch.ops.aten.slice.Tensor(x, axis, start, max(start, stop), step), axis + 1
        else:
            indices += [None] * (axis - len(indices)) + [torch.as_tensor(part)]
            axis += 1
    return x, indices


@dataclass
class Seen:
    """What was done on the pretend GPU: name of an operation, or `file:line` of the caller, -> how often, or how many bytes."""

    kernels: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    to_device: Counter[str] = field(default_factory=Counter)
    to_host: Counter[str] = field(default_factory=Counter)
    by_sorting: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        for counter in vars(self).values():
            counter.clear()

    def report(self, most: int = 12) -> str:
        lines = []
        for name, counter in vars(self).items():
            lines.append(f"{name}: {sum(counter.values()):,}")
            lines += [f"    {n:>14,}  {key}" for key, n in counter.most_common(most)]
        return "\n".join(lines)


class _Gpu(TorchDispatchMode):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
        on_device = [t for t in flat if isinstance(t, OnDevice)]
        asked = kwargs.get("device")
        to_gpu = asked is not None and torch.device(asked).type == "cuda"
        if not on_device:  # only a driver pins memory, which a build of torch for CUDA would load
            kwargs.pop("pin_memory", None)
        if not on_device and not to_gpu:
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        others = [t for t in flat if not isinstance(t, OnDevice) and t.device.type != "meta"]
        self._refuse(func, name, args, kwargs, others if on_device else [])
        held_by = {id(t.held): t for t in on_device}
        shapes = [(t, t.held.shape) for t in on_device]
        held_args, held_kwargs = tree_map(lambda t: t.held if isinstance(t, OnDevice) else t, (args, kwargs))
        if asked is not None and (to_gpu or name == "_to_copy"):
            held_kwargs["device"] = CPU
        found = func(*held_args, **held_kwargs)
        if any(t.held.shape != shape for t, shape in shapes):
            raise RuntimeError(f"{name}: an output was resized")
        self._count(func, name, args, kwargs, others, bool(on_device), to_gpu)
        if name == "_to_copy" and asked is not None and not to_gpu:
            return found.clone() if any(found is t.held for t in on_device) else found

        def wrapped(t: Any) -> Any:
            if not isinstance(t, torch.Tensor):
                return t
            return held_by[id(t)] if id(t) in held_by else OnDevice(t)

        return tree_map(wrapped, found)

    def _refuse(self, func: Any, name: str, args: Any, kwargs: Any, others: list[torch.Tensor]) -> None:
        numbers_fit = torch.Tag.pointwise in func.tags or name in ("where", "fill_")
        strangers = [t for t in others if not (t.ndim == 0 and numbers_fit)]
        if strangers and name not in MIXED:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
                f"{strangers[0].device}! (in {name})"
            )
        if name in ("index", "index_put_") and strangers:
            indices = [t for t in args[1] if t is not None]
            if any(all(t is not i for i in indices) for t in strangers):
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but found cuda:0 and cpu (in {name})"
                )
        made_by = kwargs.get("generator")
        if made_by is not None and made_by.device.type != "cuda":
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        if torch.get_deterministic_debug_mode() == 2 and _refused(func, name, args, kwargs):
            raise RuntimeError(f"{name} does not have a deterministic implementation on CUDA")

    def _count(
        self, func: Any, name: str, args: Any, kwargs: Any, others: list[torch.Tensor], there: bool, to_gpu: bool
    ) -> None:
        seen, place = self.seen, _caller()
        if name in ("copy_", "_to_copy"):
            # Of memory that is not pinned, either way: the host waits.
            source, target = (args[1], args[0]) if name == "copy_" else (args[0], None)
            up = isinstance(target, OnDevice) or to_gpu
            if not isinstance(source, OnDevice) and up:
                seen.to_device[place] += source.numel() * source.element_size()
                seen.waits[f"{place} to device"] += 1
                return
            if isinstance(source, OnDevice) and not up and (target is not None or kwargs.get("device") is not None):
                seen.to_host[place] += source.numel() * source.element_size()
                seen.waits[f"{place} to host"] += 1
                return
        for t in others:  # a number that is no Python number (where's, say) or indices
            if there and not (name == "fill_" or torch.Tag.pointwise in func.tags):
                seen.to_device[place] += t.numel() * t.element_size()
                seen.waits[f"{place} {name}, to device"] += 1
        by_mask = name in ("index", "index_put_") and any(t is not None and t.dtype == torch.bool for t in args[1])
        if name in WAITS or by_mask:
            seen.waits[f"{place} {name}"] += 1
            seen.to_host[place] += 8
            if name == "_local_scalar_dense":
                return
        if func.is_view or name.startswith("empty") or name in ("detach", "alias", "lift_fresh"):
            return
        if name in BY_SORTING and torch.get_deterministic_debug_mode() == 2:
            seen.by_sorting[place] += 1
        seen.kernels[name] += 1


def _refused(func: Any, name: str, args: Any, kwargs: Any) -> bool:
    """Return whether CUDA has no deterministic implementation of this."""
    of = args[0] if args and isinstance(args[0], torch.Tensor) else None
    if name in ("cumsum", "cumsum_"):
        return of is not None and of.is_floating_point()
    if name in ("median", "nanmedian"):
        return "dim" in func._overloadname
    if name == "bincount":
        return len(args) > 1 or kwargs.get("weights") is not None
    if name == "scatter_reduce_":
        return "prod" in (*args, *kwargs.values())
    return name in NONDETERMINISTIC


def _caller() -> str:
    """Return the line that asked for an operation: the nearest one that is neither torch's nor ours."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        path = frame.f_code.co_filename
        if path != __file__ and "/torch/" not in path and not path.startswith("<"):
            break
        frame = frame.f_back
    return f"{'/'.join(frame.f_code.co_filename.split('/')[-2:])}:{frame.f_lineno}"


def _patches(seen: Seen) -> Iterator[Any]:
    def synchronize(device: Any = None) -> None:
        seen.waits[f"{_caller()} synchronize"] += 1

    facts = SimpleNamespace(name=NAME, total_memory=80 * 2**30, multi_processor_count=132, major=9, minor=0)
    fakes: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "synchronize": synchronize,
        "get_device_name": lambda device=None: NAME,
        "get_device_properties": lambda device=None: facts,
        "get_device_capability": lambda device=None: (9, 0),
        "mem_get_info": lambda device=None: (70 * 2**30, 80 * 2**30),
        "empty_cache": lambda: None,
        "set_device": lambda device: None,
        "_lazy_init": lambda: None,
    }
    for name, fake in fakes.items():
        yield mock.patch.object(torch.cuda, name, fake)
    # A build of torch for CUDA has graphs and Triton, which need a driver: the device is that of a build without.
    yield mock.patch.object(torch.version, "cuda", None)
    yield mock.patch.object(training_gpu, "_kernels", return_value=None)


@contextmanager
def gpu() -> Iterator[Seen]:
    """Pretend that there is a GPU, in this thread; what is done on it is counted."""
    seen = Seen()
    patches = list(_patches(seen))
    for patch in patches:
        patch.start()
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # so that torch.tensor(.., device="cuda") comes by here
    torch._C._ensureCUDADeviceGuardSet()
    try:
        with _Gpu(seen):
            yield seen
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        for patch in patches:
            patch.stop()
