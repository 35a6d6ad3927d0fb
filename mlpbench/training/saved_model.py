"""From a trained run to a safetensors file, and from such a file to a plain `torch.nn.Sequential`.

Shapes: `I` inputs, `O` outputs of a layer. Names and orientation are those of torch.nn: `layers.0.weight` (O, I) and
`layers.0.bias` (O,) of each Linear; `convolutions.0.weight` (O, C, 3, 3), `.bias` and `convolution_activations.0.weight` of
convolutions in front, whose file says the shape of its images; `norms.0.weight`, `.bias`, and for batches
`.running_mean`, `.running_var`; `activations.0.weight` (1,), the slope of PReLU. The metadata has the run's identity, its settings and its digest, and how a target was scaled: layers are those of the scaled target.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mlpbench.base.environment import VERSION
from mlpbench.base.errors import InputError
from mlpbench.base.files import MOST_WEIGHTS, expanded, is_as_written, ordered_header, read_metadata, read_regular
from mlpbench.base.models import SHOWN
from mlpbench.data.dataset import DataFacts, TargetScale
from mlpbench.experiment.components.activations import ACTIVATIONS, activation
from mlpbench.experiment.components.own_pieces import PieceError, is_own, split_name
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plugins.piece_source import Piece
from mlpbench.experiment.plugins.plugin import Plugin, with_code
from mlpbench.experiment.value_types import entry_of
from mlpbench.training.measures.run_rows import Model
from mlpbench.training.pieces.load_pieces import load_pieces

POOLINGS: Mapping[str, Callable[[int], nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
# What the metadata may say.
KEYS = {
    "format", "mlpbench", "run_id", "condition", "replicate", "seed", "fold", "settings", "dataset", "dataset_fingerprint",
    "weights_sha256", "image_shape", "target_scale", "table", "class_names",
    "checksum",
}  # fmt: skip
NORMS: Mapping[str, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


class OwnUnits(nn.Module):
    """Numbers in the target's own units from outputs z of a network that was trained on a scaled target.

    y = sd z + mean, or exp(sd z + mean) where the logarithm was scaled.
    """

    def __init__(self, scale: TargetScale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, z: Tensor) -> Tensor:
        """Return y, of the shape of z."""
        y = z * self.scale.sd + self.scale.mean
        return y.exp() if self.scale.log else y

    def extra_repr(self) -> str:
        """Return mean and sd, as the module prints them."""
        return f"mean={self.scale.mean:g}, sd={self.scale.sd:g}" + ", log" * self.scale.log


class Residual(nn.Sequential):
    """A hidden layer with its residual connection: h + f(h), where f is the modules in turn."""

    def forward(self, h: Tensor) -> Tensor:
        """Return the sum, of the shape of h."""
        changed = h
        for module in self:
            changed = module(changed)
        return h + changed


@dataclass(frozen=True, kw_only=True)
class _Names:
    """Names of the arrays of a model in the order of `Model`: layers have a weight each, and a bias if the model has any."""

    layers: Sequence[str]
    others: Sequence[str]
    averages: Sequence[str]


def _names(settings: Mapping[str, Any], *, learnt: bool) -> _Names:
    """Return the names of the arrays of a model with these settings; `learnt` says whether activations have slopes."""
    convolved, hidden = range(len(settings["conv_channels"])), range(len(settings["hidden_sizes"]))
    normed = hidden if settings["norm"] != "none" else range(0)
    slopes = [*(f"convolution_activations.{i}" for i in convolved), *(f"activations.{i}" for i in hidden)]
    averaged = normed if settings["norm"] == "batch" else range(0)
    return _Names(
        layers=[*(f"convolutions.{i}" for i in convolved), *(f"layers.{i}" for i in range(len(hidden) + 1))],
        others=[f"{name}.weight" for name in slopes * learnt]
        + [f"norms.{i}.{kind}" for kind in ("weight", "bias") for i in normed],
        averages=[f"norms.{i}.running_{kind}" for i in averaged for kind in ("mean", "var")],
    )


def encoded(model: Model, run: Run, facts: DataFacts) -> bytes:
    """Return the bytes of a run's file, the same for the same weights."""
    s = run.settings
    tensors: dict[str, Tensor] = {}
    names = _names(asdict(s), learnt=activation(s.activation)[0].learnt is not None)
    for name, w_IO, b_O in zip(names.layers, model.weights, model.biases, strict=True):
        w_OI = w_IO.T.contiguous()
        of_taps = name.startswith("convolutions")
        tensors[f"{name}.weight"] = w_OI.view(len(w_OI), -1, 3, 3) if of_taps else w_OI
        if s.bias:
            tensors[f"{name}.bias"] = b_O
    tensors |= zip(names.others, model.others, strict=True)
    tensors |= zip(names.averages, model.averages, strict=True)
    metadata = {
        "format": "mlpbench 1",
        "mlpbench": VERSION,
        "run_id": run.run_id,
        "condition": run.condition.label,
        "replicate": str(run.replicate),
        "seed": str(run.seed),
        "fold": "" if run.fold is None else str(run.fold),
        "settings": json.dumps(asdict(s), sort_keys=True),
        "dataset": facts.name,
        "dataset_fingerprint": facts.fingerprint,
        "weights_sha256": model.digest,
    }
    if s.conv_channels:
        metadata["image_shape"] = json.dumps(facts.image_shape)
    if facts.target_scale is not None:
        metadata["target_scale"] = json.dumps(asdict(facts.target_scale), sort_keys=True)
    return ordered_header(save(tensors, metadata=metadata))


def decoded(content: bytes, path: Path, plugins: Sequence[str | Path] = ()) -> nn.Sequential:
    """Return the network of a file, in evaluation mode; raise InputError where it is no whole file of weights.

    Of a network with an activation of a plugin, `plugins` are files that have its code, of equal digest: it is run here.

    Of convolutions, if there are any, Unflatten; of each Conv2d, the activation and the pooling; Flatten. Of each hidden layer
    Linear, the norm if there is one, the activation, Dropout where it is above 0, all of them in a `Residual` where a layer adds
    what it is given; then Linear, and `OwnUnits` where the target
    was scaled. Inputs are of shape (B, I), as the network saw them: for images pixels in [0, 1], row by row. Outputs are logits, or
    numbers in the target's own units.
    """
    try:
        metadata = metadata_of(content, path)
        if "checksum" in metadata and not is_as_written(content):
            raise ValueError("it is damaged: its bytes are not those that were written")
        if other := set(metadata) - KEYS:
            raise ValueError(f"its metadata have an unknown entry {min(other)[:SHOWN]!r}")
        settings, tensors = json.loads(metadata["settings"]), load(content)
        _load_activation(str(settings["activation"]), plugins, path)
        network = _network(settings, tensors, json.loads(metadata.get("image_shape", "[]")))
        if "target_scale" in metadata:
            network.append(OwnUnits(_target_scale(json.loads(metadata["target_scale"]))))
        if _digest(settings, tensors) != metadata["weights_sha256"]:
            raise ValueError("it is damaged: its weights are not those of its weights_sha256")
    except InputError:
        raise
    except (SafetensorError, struct.error, ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError,
            TypeError, ValueError) as error:  # fmt: skip
        why = (str(error).splitlines() or [type(error).__name__])[0][:SHOWN]
        raise InputError(f"a file of weights must be whole, as it was written, got {path} ({why})") from None
    return network.eval()


def _load_activation(name: str, plugins: Sequence[str | Path], path: Path) -> None:
    """Load the activation of a plugin; raise InputError where no file has it, or its code is another."""
    if not is_own(name) or ACTIVATIONS.is_loaded(name):
        return
    called, digest = split_name(name)
    wanted = Plugin(name="a plugin", pieces=(Piece(kind="activation", called=called, digest=digest),))
    try:
        load_pieces(with_code([wanted], [expanded(plugin) for plugin in plugins], f"the network of {path}"))
    except PieceError as error:
        raise InputError(f"{path}: {error}") from None


def _target_scale(written: Mapping[str, Any]) -> TargetScale:
    """Return how a target was scaled, from the metadata; raise ValueError where it is no scale."""
    scale = TargetScale(mean=float(written["mean"]), sd=float(written["sd"]), log=bool(written["log"]))
    if not (math.isfinite(scale.mean) and 0 < scale.sd < math.inf and set(written) == {"mean", "sd", "log"}):
        raise ValueError(f"a target scale must have a mean and a positive sd, got {str(written)[:SHOWN]!r}")
    return scale


def _digest(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the digest of the weights of a file, as the row of their run has it."""
    names = _names(settings, learnt=entry_of(ACTIVATIONS, settings["activation"])[0].learnt is not None)
    weights, has_biases = [tensors[f"{name}.weight"] for name in names.layers], settings.get("bias", True)
    return Model(
        weights=[w.flatten(1).T.contiguous() for w in weights],
        biases=[
            tensors[f"{name}.bias"] if has_biases else torch.zeros(len(w)) for name, w in zip(names.layers, weights)
        ],
        has_biases=has_biases,
        others=[tensors[name] for name in names.others],
        averages=[tensors[name] for name in names.averages],
    ).digest


def _network(settings: Mapping[str, Any], tensors: Mapping[str, Tensor], image: Sequence[int]) -> nn.Sequential:
    """Build the modules and fill them; every tensor of the file is used, and every parameter is filled."""
    convolved, hidden = len(settings["conv_channels"]), len(settings["hidden_sizes"])
    has_biases, sizes = settings.get("bias", True), settings["hidden_sizes"]
    f, parameters = entry_of(ACTIVATIONS, settings["activation"])
    modules: list[nn.Module] = []
    left = dict(tensors)

    def add(kind: str, layer: int, module: nn.Module) -> None:
        names = {n: f"{kind}.{layer}.{n}" for n in module.state_dict() if n != "num_batches_tracked"}
        values = {n: left.pop(name) for n, name in names.items()}
        counts = {n: t for n, t in module.state_dict().items() if n not in names}
        module.to(tensors["layers.0.weight"].dtype).load_state_dict(values | counts)
        modules.append(module)

    if convolved:
        rows, columns = image
        modules.append(nn.Unflatten(1, (1, rows, columns)))
    for layer in range(convolved):
        channels, before, *_ = tensors[f"convolutions.{layer}.weight"].shape
        add("convolutions", layer, nn.Conv2d(before, channels, 3, padding=1, bias=has_biases))
        add("convolution_activations", layer, f.module(nn, *parameters))
        modules.append(POOLINGS[settings["pooling"]](2))
    if convolved:
        modules.append(nn.Flatten())
    for layer in range(hidden + 1):
        outputs, inputs = tensors[f"layers.{layer}.weight"].shape
        first = len(modules)
        add("layers", layer, nn.Linear(inputs, outputs, bias=has_biases))
        if layer == hidden:
            break
        if settings["norm"] != "none":
            add("norms", layer, NORMS[settings["norm"]](outputs))
        add("activations", layer, f.module(nn, *parameters))
        if settings["dropout"][layer] > 0:
            modules.append(nn.Dropout(settings["dropout"][layer]))
        if settings.get("residual", False) and layer > 0 and sizes[layer] == sizes[layer - 1]:
            modules[first:] = [Residual(*modules[first:])]
    if left:
        raise ValueError(f"nothing has the name {min(left)}")
    return nn.Sequential(*modules)


def metadata_of(content: bytes, path: Path) -> dict[str, str]:
    """Return the metadata of a file of weights; raise InputError, or struct.error, where there are none of ours."""
    (length,) = struct.unpack_from("<Q", content)
    return read_metadata(content[8 : 8 + length], path)


def load_weights(path: str | Path, plugins: Sequence[str | Path] = ()) -> nn.Sequential:
    """Return the network of a file of weights, as `mlpbench.model` does; raise InputError where it is none.

    `plugins` are files with the code of its activation, where that is a plugin's.
    """
    path = expanded(path)
    return decoded(read_weights(path), path, plugins)


def read_weights(path: Path) -> bytes:
    """Return the bytes of a file of weights; raise InputError where it can't be read."""
    try:
        return read_regular(path, MOST_WEIGHTS)
    except OSError as error:
        raise InputError(f"a file of weights must be readable, got '{error.strerror}' for {path}") from None
