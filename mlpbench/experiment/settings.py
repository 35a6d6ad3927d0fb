"""The settings of a run: name, meaning, range and default, once, for specs, help, schema and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from mlpbench.base.models import Value, shown
from mlpbench.experiment.components.activations import ACTIVATIONS
from mlpbench.experiment.components.initialisers import INITIALISERS
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.components.optimisers import OPTIMISERS, OptimiserWord
from mlpbench.experiment.components.own_pieces import plain_value, with_digests
from mlpbench.experiment.components.parametrizations import PARAMETRIZATIONS, STANDARD
from mlpbench.experiment.components.schedules import SCHEDULES
from mlpbench.experiment.components.stopping_rules import EarlyStopping
from mlpbench.experiment.value_types import (
    DEEPEST,
    Chain,
    ClassWeights,
    Count,
    Flag,
    Number,
    Parameters,
    PerLayer,
    Sizes,
    ValueType,
    Word,
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its name, what it means, the type of its values, and its default."""

    name: str
    meaning: str
    value_type: ValueType | EarlyStopping
    default: Value = None

    def read(self, value: object, words: Mapping[str, str] = MappingProxyType({})) -> Value:
        """Return the canonical value; raise ValueError with rule, value and suggestion.

        `words` are pieces of plugins that it may be too: the canonical name of each by what it is called.
        """
        try:
            if words and isinstance(self.value_type, Word | Chain):
                read = self.value_type.with_words(words).read(plain_value(value, words))
                own: Value = with_digests(read, words)
                return own
            return self.value_type.read(value)
        except ValueError as error:
            rule, mark, near = str(error).partition("; did you mean")
            raise ValueError(f"{self.name} must be {rule}, got {shown(value)}{mark}{near}") from None


class Component(Protocol):
    """An entry of a table of components: it says which parameters its name takes."""

    @property
    def parameters(self) -> Parameters:
        """Name, range and default of each parameter."""


_STRENGTH: Parameters = {"number": Number(low=0, open_low=True)}
_TRAIN_SHIFTS: dict[str, Parameters] = {"none": {}, "covariate": _STRENGTH, "label": _STRENGTH}
# Those in which a GPU alone trains.
GPU_PRECISIONS = ("tf32", "tf32x3")
_PRECISIONS = ("float32", "float64", "bfloat16", *GPU_PRECISIONS)


def _one_of(table: Mapping[str, Component]) -> Word:
    return Word(table={name: component.parameters for name, component in table.items()})


def _words(*names: str) -> Word:
    return Word(table={name: {} for name in names})


def _settings(*rows: tuple[str, ValueType | EarlyStopping, Value, str]) -> dict[str, Setting]:
    return {
        name: Setting(name=name, value_type=value_type, default=default, meaning=meaning)
        for name, value_type, default, meaning in rows
    }


SETTINGS = _settings(
    ("hidden_sizes", Sizes(), None, "number of units of each hidden layer, instead of width and depth"),
    ("width", Count(), 256, "number of units of every hidden layer"),
    ("depth", Count(low=0, high=DEEPEST), 1, "number of hidden layers; 0 is linear or softmax regression"),
    ("activation", _one_of(ACTIVATIONS), "relu", "activation function of the hidden layers"),
    ("init", _one_of(INITIALISERS), "normal(0.01)", "distribution of the initial weights"),
    (
        "bias_init",
        _one_of({n: i for n, i in INITIALISERS.items() if i.of_biases}),
        "zeros",
        "distribution of the initial biases",
    ),
    ("dropout", PerLayer(each=Number(low=0, high=1)), 0.0, "probability of zeroing a hidden unit"),
    ("input_noise", Number(low=0), 0.0, "standard deviation of the noise added to inputs in training"),
    ("weight_decay", Number(low=0), 0.0, "lambda of (lambda/2)||w||^2 added to the loss; SGD: w *= 1 - lr*lambda"),
    ("decay_bias", Flag(), False, "whether weight decay applies to biases too"),
    ("l1", Number(low=0), 0.0, "lambda of lambda||w||_1, by soft threshold after each step"),
    (
        "optimizer",
        OptimiserWord(table=_one_of(OPTIMISERS).table),
        "sgd",
        "rule by which gradients update parameters, with numbers of its own where they are not the defaults of torch",
    ),
    ("lr", Number(low=0, open_low=True), 0.1, "learning rate"),
    (
        "schedule",
        Chain(word=_one_of(SCHEDULES), first="warmup"),
        "constant",
        "schedule of the learning rate over gradient steps",
    ),
    (
        "batch_size",
        Count(words=("full",)),
        256,
        "examples per gradient step; the smaller last batch of an epoch is kept",
    ),
    ("epochs", Count(low=0), 10, "passes over the training examples"),
    ("steps", Count(low=0), None, "number of gradient steps, instead of epochs"),
    ("train_size", Count(words=("all",)), "all", "number of training examples, those for validation included"),
    ("loss", _words(*LOSSES), None, "loss that training minimises"),
    ("label_noise", Number(low=0, high=1), 0.0, "share of training labels replaced by a random class"),
    (
        "norm",
        _words("none", "layer", "batch"),
        "none",
        "normalisation before each activation; before `batch`, biases do nothing, and `bias: false` leaves them out",
    ),
    (
        "clip_norm",
        Number(low=0, open_low=True, or_none=True),
        None,
        "gradient clipping: largest norm of the gradient of all parameters",
    ),
    ("precision", _words(*_PRECISIONS), "float32", "floating-point precision of training; tf32 and tf32x3 need a GPU"),
    ("features", Count(words=("all",)), "all", "number of input features that are used, counted from the first"),
    ("input_scale", Number(low=0, open_low=True), 1.0, "factor on all inputs, in training and in testing"),
    (
        "conv_channels",
        Sizes(),
        (),
        "channels of each 3x3 convolution, each with a 2x2 pooling, before the hidden layers",
    ),
    ("pooling", _words("max", "average"), "max", "what a pooling takes of its four values"),
    (
        "train_shift",
        Word(table=_TRAIN_SHIFTS),
        "none",
        "distribution shift of the training examples against the test examples",
    ),
    (
        "weighting",
        _words("none", "exact", "classifier", "bbse"),
        "none",
        "importance weights of training examples that correct for the shift",
    ),
    (
        "label_smoothing",
        Number(low=0, high=1),
        0.0,
        "share of each training label that is spread evenly over all classes, in cross_entropy",
    ),
    (
        "class_weights",
        ClassWeights(),
        "none",
        "weight of each class in the loss of training; balanced: inverse to how frequent it is",
    ),
    ("bias", Flag(), True, "whether layers have biases, which are 0 otherwise; a normalisation keeps its shift"),
    (
        "residual",
        Flag(),
        False,
        "whether a hidden layer adds what it is given to its output, h + f(h), behind one of the same width",
    ),
    (
        "parametrization",
        Word(table=PARAMETRIZATIONS),
        STANDARD,
        "how initial weights and learning rates follow from the width; mup: maximal update, from a base width of 64",
    ),
    (
        "early_stopping",
        EarlyStopping(),
        "none",
        "patience in epochs: training ends where validation got no better for so long, and the best epoch is kept",
    ),
)
