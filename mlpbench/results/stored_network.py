"""A network of a file of weights as a function in NumPy, for figures that ask it about more than the test set: no torch is loaded.

Of safetensors: 8 bytes of length, a header in JSON with type, shape and place of each array, the numbers. Names and orientation
are those of `training.saved_model`. Computed in double precision: what is near a boundary may fall on its other side.

Shapes: `N` examples, `I` inputs, `O` outputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.base.files import LENGTH_BYTES, MOST_RECORD, is_as_written, read_metadata, read_regular
from mlpbench.experiment.components.activations import ACTIVATIONS
from mlpbench.experiment.value_types import entry_of
from mlpbench.results import weight_files

Floats = NDArray[np.float64]
EPS = 1e-5  # of torch's normalisations
_TYPES = {"F32": "<f4", "F64": "<f8"}


@dataclass(frozen=True, kw_only=True)
class StoredNetwork:
    """A network of fully connected layers: its settings, and its arrays by name."""

    settings: Mapping[str, Any]
    arrays: Mapping[str, Floats]

    def outputs(self, x_NI: Floats) -> Floats:
        """Return the outputs for inputs as the data set has them, (N, O): logits, or numbers as the target was scaled."""
        s = self.settings
        h = x_NI[:, : s.get("features")] * s.get("input_scale", 1.0)
        f, parameters = entry_of(ACTIVATIONS, s["activation"])
        sizes = s["hidden_sizes"]
        for layer in range(len(sizes)):
            z = self._normalised(self._linear(h, layer), layer)
            a = float(self.arrays[f"activations.{layer}.weight"][0]) if f.learnt else (parameters or [0.0])[0]
            changed = f.function(z, a)
            is_residual = s.get("residual", False) and layer > 0 and sizes[layer] == sizes[layer - 1]
            h = h + changed if is_residual else changed
        return self._linear(h, len(sizes))

    def _linear(self, h: Floats, layer: int) -> Floats:
        z = h @ self.arrays[f"layers.{layer}.weight"].T
        return np.asarray(z + self.arrays[f"layers.{layer}.bias"] if f"layers.{layer}.bias" in self.arrays else z)

    def _normalised(self, z: Floats, layer: int) -> Floats:
        kind = self.settings["norm"]
        if kind == "none":
            return z
        if kind == "layer":
            mean, variance = z.mean(axis=1, keepdims=True), z.var(axis=1, keepdims=True)
        else:
            mean, variance = (self.arrays[f"norms.{layer}.running_{name}"] for name in ("mean", "var"))
        gamma, beta = (self.arrays[f"norms.{layer}.{name}"] for name in ("weight", "bias"))
        return np.asarray((z - mean) / np.sqrt(variance + EPS) * gamma + beta)


def read_network(folder: Path, run_id: str) -> StoredNetwork | None:
    """Return the network that a results folder keeps of a run; None where it keeps none, or one with convolutions, or damaged."""
    for path in weight_files.files(folder):
        if path.name.startswith(run_id) and weight_files.damage(path) is None:
            return decoded_network(read_regular(path, MOST_RECORD), path)
    return None


def decoded_network(content: bytes, path: Path) -> StoredNetwork | None:
    """Return the network of the bytes of a file; None of one with convolutions; raise InputError where it is none of ours."""
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    metadata = read_metadata(content[LENGTH_BYTES:end], path)
    header: dict[str, Any] = json.loads(content[LENGTH_BYTES:end])
    settings = json.loads(metadata["settings"])
    if settings["conv_channels"] or not is_as_written(content):
        return None
    arrays = {}
    for name, of in header.items():
        if name != "__metadata__":
            start, stop = (end + int(at) for at in of["data_offsets"])
            numbers = np.frombuffer(content[start:stop], dtype=_TYPES[of["dtype"]])
            arrays[name] = numbers.reshape(of["shape"]).astype(np.float64)
    return StoredNetwork(settings=settings, arrays=arrays)
