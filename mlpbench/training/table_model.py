"""A network that was trained on a table of the user's own, with all that it needs to predict new rows of such a table.

Shapes: `N` rows, `C` classes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from mlpbench.base.errors import InputError
from mlpbench.base.files import expanded
from mlpbench.base.models import SHOWN
from mlpbench.data.table.table_encoder import NewRows, TableEncoder
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.training.saved_model import decoded, metadata_of, read_weights

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
# Rows that are predicted at a time.
CHUNK = 8192


@dataclass(frozen=True, kw_only=True)
class TableModel:
    """A trained network with the columns, words, scales and classes of its table; its methods are those of scikit-learn.

    Attributes:
        network: the network, from inputs to logits or numbers in the target's own units.
        encoder: what makes inputs of rows.
        class_names: the name of each class, in order; none where the target is a number.
        features: how many inputs the network sees, the first ones; None for all.
        input_scale: the factor on inputs.
        has_probabilities: whether the softmax of the outputs are probabilities, as after training by cross-entropy.

    """

    network: nn.Sequential
    encoder: TableEncoder
    class_names: Sequence[str] = ()
    features: int | None = None
    input_scale: float = 1.0
    has_probabilities: bool = True

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The names of the classes, (C,), in the order of `predict_proba`; raises AttributeError where the target is a number."""
        if not self.class_names:
            raise AttributeError("classes_: the target is a number")
        return np.array(self.class_names)

    @property
    def feature_names_in_(self) -> NDArray[np.str_]:
        """The names of the columns that are needed."""
        return np.array([c.name for c in self.encoder.columns])

    @property
    def n_features_in_(self) -> int:
        """The number of columns that are needed."""
        return len(self.encoder.columns)

    def predict(self, rows: pd.DataFrame | NDArray[Any]) -> NDArray[Any]:
        """Return the class of each row by its name, (N,), or numbers in the target's own units.

        Args:
            rows: a DataFrame with the columns learned from, others and the target being passed over; or an array of just them.

        Raises InputError for rows that do not fit, or that can't be predicted because of gaps.

        """
        of_rows = self._all_known(rows)
        if not self.class_names:
            return self.numbers(of_rows)
        predicted: NDArray[np.str_] = self.classes_[self.probabilities(of_rows).argmax(1)]
        return predicted

    def predict_proba(self, rows: pd.DataFrame | NDArray[Any]) -> Floats:
        """Return the probability of each class, (N, C); raises what `predict` raises, AttributeError where the target is a number."""
        if not self.class_names:
            raise AttributeError("predict_proba: the target is a number")
        if not self.has_probabilities:
            raise AttributeError(
                "predict_proba: the network was trained by squared errors, its outputs are no probabilities"
            )
        return self.probabilities(self._all_known(rows))

    def score(self, rows: pd.DataFrame | NDArray[Any], target: Any) -> float:
        """Return the accuracy, or R^2 = 1 - sum (y - predicted)^2 / sum (y - mean y)^2 of numbers, as scikit-learn does."""
        predicted, y = self.predict(rows), np.asarray(target)
        if y.shape not in ((len(predicted),), (len(predicted), 1)):
            raise InputError(f"a target must have the shape ({len(predicted)},), one for each row, got {y.shape}")
        y = y.ravel()
        if self.class_names:
            return float((predicted == _spelt_as_classes(y)).mean())
        return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())

    def encoded(self, rows: pd.DataFrame | NDArray[Any]) -> NewRows:
        """Return the inputs of rows, with notes of how they were understood."""
        if not isinstance(rows, np.ndarray) and hasattr(rows, "columns"):
            return self.encoder.of_frame(rows)
        array = np.asarray(rows)
        if array.ndim != 2:
            columns = len(self.encoder.columns)
            raise InputError(
                f"rows must be a DataFrame, or of shape (N, {columns}), got {type(rows).__name__} of {array.shape}"
            )
        return self.encoder.of_array(array)

    def _all_known(self, rows: pd.DataFrame | NDArray[Any]) -> NewRows:
        of_rows = self.encoded(rows)
        if not of_rows.known.all():
            n = int((~of_rows.known).sum())
            raise InputError(
                f"all rows must have what is needed for a prediction, got {n} without: {'; '.join(of_rows.notes)}"
            )
        return of_rows

    def probabilities(self, of_rows: NewRows) -> Floats:
        """Return the softmax of the outputs, in double precision, (N, C)."""
        return torch.from_numpy(self._outputs(of_rows)).softmax(1).numpy()

    def numbers(self, of_rows: NewRows) -> Floats:
        """Return the outputs as numbers, (N,)."""
        return self._outputs(of_rows)[:, 0]

    def _outputs(self, of_rows: NewRows) -> Floats:
        x = torch.from_numpy(of_rows.x[:, : self.features])
        dtype = next(self.network.parameters()).dtype
        with torch.no_grad():
            parts = [self.network(x[at : at + CHUNK].to(dtype) * self.input_scale) for at in range(0, len(x), CHUNK)]
        outputs: Floats = torch.cat(parts).double().numpy()
        return outputs


def load_model(path: str | Path, plugins: Sequence[str | Path] = ()) -> TableModel:
    """Return the model in a file that `mlpbench export` wrote of a run on a table of the user's own.

    `plugins` are files with the code of its activation, where that is a plugin's.

    >>> import mlpbench
    >>> mlpbench.load_model("missing.safetensors")
    Traceback (most recent call last):
    mlpbench.base.errors.InputError: a file of weights must be readable, got 'No such file or directory' for missing.safetensors

    Raises InputError where it is no such file, is damaged, or has no table.
    """
    path = expanded(path)
    content = read_weights(path)
    network, metadata = decoded(content, path, plugins), metadata_of(content, path)
    if "table" not in metadata:
        rule = "predictions need a model of a run on a table of your own, exported where the table could be read"
        raise InputError(f"{rule}, got {path} of {metadata.get('dataset', 'other data')!r}")
    try:
        encoder = TableEncoder.model_validate_json(metadata["table"])
        class_names = json.loads(metadata["class_names"])
        settings = json.loads(metadata["settings"])
        if not (isinstance(class_names, list) and all(isinstance(name, str) for name in class_names)):
            raise ValueError(f"class_names must be a list of names, got {str(class_names)[:SHOWN]!r}")
        features, factor = settings.get("features"), float(settings.get("input_scale", 1.0))
        first = next(m for m in network if isinstance(m, nn.Linear))
        last = [m for m in network if isinstance(m, nn.Linear)][-1]
        if first.in_features != (features or encoder.width):
            raise ValueError(f"the network must have {features or encoder.width} inputs, got {first.in_features}")
        if last.out_features != (len(class_names) or 1) or len(set(class_names)) < len(class_names):
            raise ValueError(f"the network must have an output for each class, got {last.out_features}")
        if not math.isfinite(factor):
            raise ValueError(f"input_scale must be finite, got {factor}")
        of_softmax = LOSSES[settings["loss"]].of_softmax
    except ValidationError as error:
        first_error = error.errors()[0]
        why = f"its table: {'.'.join(map(str, first_error['loc']))}: {first_error['msg']}"[:SHOWN]
        raise InputError(f"a file of weights must be whole, as it was written, got {path} ({why})") from None
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:SHOWN]
        raise InputError(f"a file of weights must be whole, as it was written, got {path} ({why})") from None
    return TableModel(
        network=network,
        encoder=encoder,
        class_names=class_names,
        features=features,
        input_scale=factor,
        has_probabilities=of_softmax,
    )


def _spelt_as_classes(y: NDArray[Any]) -> NDArray[np.str_]:
    """Return targets as class names are spelt: whole numbers without a point, true and false in small letters."""
    if y.dtype.kind == "b" or all(isinstance(v, bool | np.bool_) for v in y):
        return np.array([str(bool(v)).lower() for v in y])
    if y.dtype.kind == "f" and (y == np.floor(y)).all():
        return y.astype(np.int64).astype(str)
    return y.astype(str)
