"""The settings of a run, every one filled in, and how they follow from those of an experiment file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from mlpbench.base.models import Path, SpecProblem, Value, shown, suggestion
from mlpbench.data.dataset import DataFacts
from mlpbench.data.row_blocks import FoldPart
from mlpbench.experiment.components.initialisers import INITIALISERS
from mlpbench.experiment.components.losses import Target, losses_of
from mlpbench.experiment.components.optimisers import OPTIMISERS
from mlpbench.experiment.components.own_pieces import is_own, plain
from mlpbench.experiment.components.parametrizations import STANDARD, LayerScales, layer_scales
from mlpbench.experiment.components.schedules import in_steps
from mlpbench.experiment.components.stopping_rules import StoppingRule
from mlpbench.experiment.convolution_shapes import Convolution, convolutions, most_convolutions
from mlpbench.experiment.design import Design
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.value_types import class_weights, entry_of, parse_call, relative_weights

# Real data accept fewer examples than `accepted_share` expects of even ones: at most this share of that may be asked for.
SPARE_SHARE = 0.9
LARGE_STRENGTH = 20.0
# Classes that a message names.
MOST_NAMED = 12


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The resolved settings of a run: every setting has a value, and settings that restate others agree with them."""

    hidden_sizes: tuple[int, ...]
    width: int | None
    depth: int
    activation: str
    init: str
    bias_init: str
    dropout: tuple[float, ...]
    input_noise: float
    weight_decay: float
    decay_bias: bool
    l1: float
    optimizer: str
    lr: float
    schedule: str
    batch_size: int
    epochs: int | None
    steps: int
    train_size: int
    validation: float
    loss: str
    label_noise: float
    norm: str
    clip_norm: float | None
    precision: str
    features: int | None = None
    input_scale: float = 1.0
    conv_channels: tuple[int, ...] = ()
    pooling: str = "max"
    train_shift: str = "none"
    weighting: str = "none"
    class_weights: str = "none"
    label_smoothing: float = 0.0
    bias: bool = True
    residual: bool = False
    parametrization: str = STANDARD
    early_stopping: str = "none"
    folds: int | None = None
    in_fold: int | None = None
    validation_size: int | None = None
    fit_size: int | None = None

    @property
    def plain_sgd(self) -> bool:
        """Whether a step is w -= eta g, which training takes within the products of the backward pass."""
        linear = entry_of(OPTIMISERS, self.optimizer)[0].linear
        return linear and self.clip_norm is None and self.parametrization == STANDARD

    @property
    def stops_early(self) -> bool:
        """Whether training may end before all steps are taken."""
        return self.early_stopping != "none"

    @property
    def is_refit_of_stops(self) -> bool:
        """Whether training ends on all examples after the epochs at which runs on folds were at their best."""
        return self.stops_early and self.folds is not None and self.in_fold is None

    @property
    def weighs_examples(self) -> bool:
        """Whether training examples differ in their weight in the loss."""
        return self.weighting != "none" or self.class_weights != "none"

    @property
    def n_validation(self) -> int:
        """Examples for validation: a share of them, the run's fold, or what the data set gives or leaves whole."""
        if self.in_fold is not None:
            return self.in_fold
        return round(self.train_size * self.validation) if self.validation_size is None else self.validation_size

    @property
    def n_fit(self) -> int:
        """Examples the gradient sees."""
        return self.train_size - self.n_validation if self.fit_size is None else self.fit_size

    @property
    def steps_per_epoch(self) -> int:
        """Gradient steps of one pass, the last partial batch counted."""
        return math.ceil(self.n_fit / self.batch_size)

    @property
    def n_hidden(self) -> int:
        """Layers with an activation: convolutions, then hidden layers."""
        return len(self.conv_channels) + len(self.hidden_sizes)

    @property
    def n_layers(self) -> int:
        """Layers with weights: those with an activation and that of the outputs."""
        return self.n_hidden + 1

    def n_inputs(self, data: DataFacts) -> int:
        """Inputs of an example that the network sees."""
        return data.n_features if self.features is None else self.features

    def convolutions(self, data: DataFacts) -> list[Convolution]:
        """The convolutions before the affine layers, none in a multilayer perceptron."""
        if not self.conv_channels:
            return []
        assert data.image_shape is not None, "resolve() refuses convolutions of what is no image"
        return convolutions(self.conv_channels, data.image_shape)

    def sizes(self, data: DataFacts) -> list[int]:
        """Units of the input, or of what the last pooling leaves of it, of each hidden layer and of the output."""
        layers = self.convolutions(data)
        inputs = layers[-1].channels * layers[-1].cells if layers else self.n_inputs(data)
        return [inputs, *self.hidden_sizes, data.n_outputs]

    def layer_scales(self, sizes: Sequence[int]) -> tuple[LayerScales, ...] | None:
        """Factors of each affine layer of these sizes in the parametrisation; None in the standard one."""
        rule = entry_of(OPTIMISERS, self.optimizer)[0]
        return layer_scales(self.parametrization, sizes, normalises=rule.normalises, coupled=rule.coupled)

    def skips(self) -> tuple[bool, ...]:
        """Whether each hidden layer adds what it is given to its output: behind one of the same width."""
        pairs = itertools.pairwise(self.hidden_sizes)
        return (False, *(self.residual and a == b for a, b in pairs)) if self.hidden_sizes else ()

    def layer_shapes(self, data: DataFacts) -> list[tuple[int, int]]:
        """(inputs, outputs) of each convolution, 9 inputs a channel, then of each affine layer."""
        convolutions = ((c.inputs, c.channels) for c in self.convolutions(data))
        return [*convolutions, *itertools.pairwise(self.sizes(data))]


# What follows from the data, `validation`, and the fold of a run: numbers of examples, which no identity restates.
SIZES = ("in_fold", "validation_size", "fit_size")
# Settings that came after the first identities, with their defaults: at these a run has the identity it had without them.
LATER: Mapping[str, Value] = {
    f.name: f.default for f in fields(RunSettings) if f.default is not MISSING and f.name not in ("folds", *SIZES)
}


def resolve(
    levels: Mapping[str, Value],
    experiment: Design,
    data: DataFacts,
    places: Mapping[str, Path],
    *,
    in_fold: FoldPart | None = None,
) -> RunSettings:
    """Return the settings of a run with these levels, defaults filled in; raise SpecProblem where they do not go together.

    Args:
        levels: settings of the condition, fixed ones included.
        experiment: for its validation.
        data: of the data set that the run learns.
        places: path of each level in the file, for errors.
        in_fold: numbers of examples that a run on a fold is fitted to and validated on; None for a run on all examples.

    """

    def problem(name: str, message: str) -> SpecProblem:
        return SpecProblem(places.get(name, ("fixed", name)), message)

    value: dict[str, Any] = {name: levels.get(name, s.default) for name, s in SETTINGS.items()}
    hidden = tuple(value["hidden_sizes"]) if value["hidden_sizes"] is not None else (value["width"],) * value["depth"]
    dropout = value["dropout"]
    if isinstance(dropout, tuple) and len(dropout) != len(hidden):
        message = f"dropout must have one number per hidden layer, got {len(dropout)} for {len(hidden)}: {dropout}"
        raise problem("dropout", message)
    train_size = data.n_train if value["train_size"] == "all" else value["train_size"]
    if train_size > data.n_train:
        message = f"train_size must be at most {data.n_train}, what {data.name} has, got {train_size}"
        raise problem("train_size", message)
    features = None if value["features"] in ("all", data.n_features) else value["features"]
    if features is not None and features > data.n_features:
        message = f"features must be at most {data.n_features}, what {data.name} has, got {features}"
        raise problem("features", message)
    if value["conv_channels"]:
        _check_convolutions(value, data, problem)
    target: Target = "numbers" if data.n_classes is None else "classes"
    losses = losses_of(target)
    loss = value["loss"] or losses[0]
    if loss not in losses and not is_own(loss):
        rule = f"loss must be one of {', '.join(losses)} where the target is {target}, as in {data.name}"
        raise problem("loss", f"{rule}, got {loss!r}")
    if data.n_classes is None and value["label_noise"] > 0:
        message = f"label_noise must be 0 where the target is numbers, as in {data.name}, got {value['label_noise']}"
        raise problem("label_noise", message)
    _check_shift(value, data, train_size, problem)
    _check_class_weights(value["class_weights"], data, problem)
    _check_parametrization(value, problem)
    if value["label_smoothing"] > 0 and loss != "cross_entropy":
        rule = f"label_smoothing must be 0 where the loss is {plain(loss)}: it is of cross_entropy"
        raise problem("label_smoothing", f"{rule}, got {value['label_smoothing']}")
    _check_blocks(value, data, train_size, problem)
    _check_early_stopping(value["early_stopping"], experiment, data, problem)
    validation = experiment.validation or (1 / experiment.folds if experiment.folds and in_fold is not None else 0.0)
    part = in_fold or _fit_and_validation(train_size, validation, data)
    n_fit = part.fit
    if n_fit < 1:
        raise SpecProblem(
            ("validation",), f"validation must leave a training example of {train_size}, got {validation}"
        )
    if validation and not part.validation:
        raise SpecProblem(("validation",), f"validation must take an example of {train_size}, got {validation}")
    is_plain = data.blocks is None and not data.n_validation
    batch = n_fit if value["batch_size"] == "full" else min(value["batch_size"], n_fit)
    if value["norm"] == "batch" and hidden and batch == 1:
        rule = "norm batch needs batches of at least 2 examples, since one alone normalised is 0 whatever it is"
        one = "batch_size" if value["batch_size"] == 1 else "train_size"
        raise problem(one, f"{rule}, got {one} {value[one]}; take a larger one, or norm layer")
    per_epoch = math.ceil(n_fit / batch)
    steps = value["steps"] if value["steps"] is not None else value["epochs"] * per_epoch
    resolved: dict[str, Any] = {
        "hidden_sizes": hidden,
        "width": hidden[0] if len(set(hidden)) == 1 else None,
        "depth": len(hidden),
        "activation": value["activation"] if hidden or value["conv_channels"] else "identity",
        "dropout": dropout if isinstance(dropout, tuple) else (dropout,) * len(hidden),
        "batch_size": batch,
        "epochs": steps // per_epoch if steps % per_epoch == 0 else None,
        "steps": steps,
        "schedule": in_steps(value["schedule"], steps),
        "class_weights": relative_weights(value["class_weights"], data.class_names),
        "train_size": train_size,
        "loss": loss,
        "norm": value["norm"] if hidden else "none",
        "bias_init": value["bias_init"] if value["bias"] else "zeros",
        "decay_bias": value["decay_bias"] and value["bias"],
        "residual": value["residual"] and any(a == b for a, b in itertools.pairwise(hidden)),
        "parametrization": value["parametrization"] if hidden else STANDARD,
        "features": features,
        "pooling": value["pooling"] if value["conv_channels"] else "max",
    }
    return RunSettings(
        **value | resolved,
        validation=validation,
        folds=None if in_fold is None and value["early_stopping"] == "none" else experiment.folds,
        in_fold=None if in_fold is None else in_fold.validation,
        validation_size=None if is_plain or in_fold is not None else part.validation,
        fit_size=None if is_plain else n_fit,
    )


def _fit_and_validation(train_size: int, validation: float, data: DataFacts) -> FoldPart:
    """Return how many examples a run on no fold is fitted to and validated on; raise SpecProblem where groups are too few."""
    if data.n_validation:
        return FoldPart(fit=train_size, validation=data.n_validation)
    size = round(train_size * validation)
    if validation and data.blocks is not None:
        try:
            size = data.blocks.validation_size(validation, train_size)
        except ValueError as error:
            raise SpecProblem(("validation",), f"{error} in {data.name}") from None
    return FoldPart(fit=train_size - size, validation=size)


def _check_blocks(
    value: Mapping[str, Any], data: DataFacts, train_size: int, problem: Callable[[str, str], SpecProblem]
) -> None:
    """Raise SpecProblem for a choice of training examples that the groups, times or validation rows of a table don't allow."""
    if data.blocks is None and not data.n_validation:
        return
    if value["train_shift"] != "none":
        rule = f"train_shift must be none where a column says how rows are split, as in {data.name}"
        raise problem("train_shift", f"{rule}, got {value['train_shift']!r}")
    if data.blocks is not None and not data.blocks.in_time and train_size < data.n_train:
        rule = f"train_size must be all where rows are in groups, which stay whole, as in {data.name}"
        hint = "a file without some of the groups has fewer rows"
        raise problem("train_size", f"{rule}, got {train_size} of {data.n_train}; {hint}")


def _check_shift(
    value: Mapping[str, Any], data: DataFacts, train_size: int, problem: Callable[[str, str], SpecProblem]
) -> None:
    """Raise SpecProblem for a shift of training examples that the data can't have, and for weights that correct for none."""
    shift, weighting = value["train_shift"], value["weighting"]
    kind, numbers = parse_call(shift)
    if weighting != "none" and kind == "none":
        rule = f"weighting {weighting} needs train_shift, {{covariate: s}} or {{label: s}}"
        raise problem("weighting", f"{rule}, got {shift!r}")
    if weighting == "bbse" and kind == "covariate":
        raise problem("weighting", f"weighting bbse is against a shift of labels, got train_shift {shift!r}")
    if weighting == "bbse" and value["label_noise"] > 0:
        message = f"weighting bbse takes labels as they are: label_noise must be 0, got {value['label_noise']}"
        raise problem("label_noise", message)
    if kind == "none":
        return
    if data.is_drawn_anew:
        rule = f"train_shift must be none where each replicate draws its own data, as in {data.name}"
        raise problem("train_shift", f"{rule}, got {shift!r}")
    if kind == "label" and data.n_classes is None:
        rule = f"train_shift label needs classes, and the target of {data.name} is numbers"
        raise problem("train_shift", f"{rule}, got {shift!r}; did you mean 'covariate'?")
    most = math.floor(SPARE_SHARE * accepted_share(kind, numbers[0], data.n_classes) * data.n_train)
    if train_size > most:
        rule = f"train_size must be at most {most} of {data.n_train} under train_shift {shift}, by what it accepts"
        raise problem("train_size", f"{rule}, got {train_size}")


def _check_class_weights(weights: str, data: DataFacts, problem: Callable[[str, str], SpecProblem]) -> None:
    """Raise SpecProblem for weights of classes where there are none, or of one that the data lack."""
    if weights != "none" and data.n_classes is None:
        rule = f"class_weights must be none where the target is numbers, as in {data.name}"
        raise problem("class_weights", f"{rule}, got {weights}")
    for name in class_weights(weights):
        if name not in data.class_names:
            classes = ", ".join(data.class_names[:MOST_NAMED]) + ", ..." * (len(data.class_names) > MOST_NAMED)
            rule = f"class_weights must name classes of {data.name} ({classes})"
            raise problem("class_weights", f"{rule}, got {name!r}{suggestion(name, data.class_names)}")


def _check_parametrization(value: Mapping[str, Any], problem: Callable[[str, str], SpecProblem]) -> None:
    """Raise SpecProblem for what the maximal update parametrisation has no rule for."""
    chosen = value["parametrization"]
    if chosen == STANDARD:
        return
    if not entry_of(INITIALISERS, value["init"])[0].of_fans:
        names = ", ".join(name for name, i in INITIALISERS.items() if i.of_fans)
        rule = f"init must be one of {names} where parametrization is {chosen}"
        raise problem("init", f"{rule}, got {plain(value['init'])!r}")
    if is_own(value["optimizer"]):
        rule = f"optimizer must be one of mlpbench's own where parametrization is {chosen}, which goes by how it scales steps"
        raise problem("optimizer", f"{rule}, got {plain(value['optimizer'])!r}")
    if value["l1"] > 0:
        raise problem(
            "l1", f"l1 must be 0 where parametrization is {chosen}, which has no rule for it, got {value['l1']}"
        )
    if value["conv_channels"]:
        rule = "parametrization must be standard where conv_channels are given"
        raise problem("parametrization", f"{rule}, got {chosen!r}")


def _check_early_stopping(
    canonical: str, experiment: Design, data: DataFacts, problem: Callable[[str, str], SpecProblem]
) -> None:
    """Raise SpecProblem for early stopping without validation examples to go by, or by an accuracy of numbers."""
    rule = StoppingRule.of(canonical)
    if rule is None:
        return
    got = f"got {canonical}"
    if experiment.validation is None and experiment.folds is None and not data.n_validation:
        message = "early_stopping needs validation examples to go by, which this experiment does not have"
        raise problem("early_stopping", f"{message}: add validation: 0.2, for example; {got}")
    if rule.metric == "val_accuracy" and data.n_classes is None:
        message = f"early_stopping must go by val_loss where the target is numbers, as in {data.name}"
        raise problem("early_stopping", f"{message}, {got}")


def accepted_share(kind: str, strength: float, classes: int | None) -> float:
    """Return the share of training examples that a shift is expected to accept (see training/batches/biased_selection.py).

    covariate: E exp(-s max(0, 1 - z)) for z ~ N(0, 1); label: the mean of exp(-s c / (C - 1)) over classes, equally frequent.
    """
    if kind == "covariate":
        above = 0.5 * math.erfc(1 / math.sqrt(2))
        if strength > LARGE_STRENGTH:  # exp(s^2/2) leaves the range of floats: Phi(-t) = exp(-t^2/2) / (sqrt(2 pi) t)
            return above + math.exp(-0.5) / math.sqrt(2 * math.pi) / (strength - 1)
        return above + math.exp(strength**2 / 2 - strength) * 0.5 * math.erfc((strength - 1) / math.sqrt(2))
    n = classes or 1
    # Not `sum`, which rounds otherwise from Python 3.12 on.
    return math.fsum(math.exp(-strength * c / max(n - 1, 1)) for c in range(n)) / n


def _check_convolutions(value: Mapping[str, Any], data: DataFacts, problem: Callable[[str, str], SpecProblem]) -> None:
    """Raise SpecProblem for convolutions of other data than images, too many of them, or settings that exclude them."""
    channels, image = value["conv_channels"], data.image_shape
    if image is None:
        rule = f"conv_channels must be [] where examples are no images of one channel, as in {data.name}"
        raise problem("conv_channels", f"{rule}, got {list(channels)}")
    most = most_convolutions(image)
    if len(channels) > most:
        rule = f"conv_channels must be at most {most} for images of {image[0]} x {image[1]}, which each pooling halves"
        raise problem("conv_channels", f"{rule}, got {len(channels)}: {list(channels)}")
    if value["features"] not in ("all", data.n_features):
        raise problem(
            "features", f"features must be all of an image where conv_channels are given, got {value['features']}"
        )
    if value["norm"] != "none":
        raise problem("norm", f"norm must be none where conv_channels are given, got {shown(value['norm'])}")
