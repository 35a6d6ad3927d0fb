"""The settings of a run: name, meaning, range and default, once, for specs, help, schema and tables."""

from __future__ import annotations

from dataclasses import dataclass

from mlpbench.base.messages import shown
from mlpbench.base.models import Value
from mlpbench.experiment.value_types import DEEPEST, Count, Flag, Kind, Number, Parameters, PerLayer, Sizes, Word


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: what it is called, what it means, what it may be, and what it is by default."""

    name: str
    meaning: str
    kind: Kind
    default: Value = None

    def read(self, value: object) -> Value:
        """Return the canonical value; raise ValueError with rule, value and suggestion."""
        try:
            return self.kind.read(value)
        except ValueError as error:
            rule, mark, near = str(error).partition("; did you mean")
            raise ValueError(f"{self.name} must be {rule}, got {shown(value)}{mark}{near}") from None


def _one(limits: Number | Count) -> Parameters:
    return {"number": limits}


_INITS: dict[str, Parameters | None] = {
    "normal": _one(Number(low=0, open_low=True)),
    "default": None,
    "xavier_uniform": None,
    "xavier_normal": None,
    "he_uniform": None,
    "he_normal": None,
    "orthogonal": None,
    "constant": _one(Number()),
    "zeros": None,
}
_BIAS_INITS = {k: v for k, v in _INITS.items() if k != "orthogonal"}
_ACTIVATIONS: dict[str, Parameters | None] = {
    "identity": None,
    "relu": None,
    "leaky_relu": _one(Number(low=0, high=1)),
    "prelu": None,
    "sigmoid": None,
    "tanh": None,
    "gelu": None,
    "silu": None,
    "elu": None,
}
_OPTIMISERS: dict[str, Parameters | None] = {
    "sgd": None,
    "momentum": _one(Number(low=0, high=1)),
    "nesterov": _one(Number(low=0, high=1)),
    "rmsprop": None,
    "adam": None,
    "adamw": None,
}
_SCHEDULES: dict[str, Parameters | None] = {
    "constant": None,
    "step": {"every": Count(), "factor": Number(low=0, open_low=True)},
    "cosine": None,
    "warmup": {"steps": Count()},
}
_TRAIN_SHIFTS: dict[str, Parameters | None] = {
    "none": None,
    "covariate": _one(Number(low=0, open_low=True)),
    "label": _one(Number(low=0, open_low=True)),
}
_LOSSES = ("cross_entropy", "naive_cross_entropy", "squared_error", "mse")
_PRECISIONS = ("float32", "float64", "bfloat16", "tf32")


def _words(*names: str) -> Word:
    return Word(table=dict.fromkeys(names))


def _settings(*rows: tuple[str, Kind, Value, str]) -> dict[str, Setting]:
    return {
        name: Setting(name=name, kind=kind, default=default, meaning=meaning) for name, kind, default, meaning in rows
    }


SETTINGS = _settings(
    ("hidden_sizes", Sizes(), None, "units of each hidden layer; in place of width and depth"),
    ("width", Count(), 256, "units of every hidden layer"),
    ("depth", Count(low=0, high=DEEPEST), 1, "hidden layers; 0 is linear or softmax regression"),
    ("activation", Word(table=_ACTIVATIONS, defaults={"leaky_relu": 0.01}), "relu", "after each hidden layer"),
    ("init", Word(table=_INITS), "normal(0.01)", "distribution of the initial weights"),
    ("bias_init", Word(table=_BIAS_INITS), "zeros", "distribution of the initial biases"),
    ("dropout", PerLayer(each=Number(low=0, high=1)), 0.0, "probability of zeroing a hidden unit"),
    ("input_noise", Number(low=0), 0.0, "standard deviation of the noise added to inputs in training"),
    ("weight_decay", Number(low=0), 0.0, "lambda of (lambda/2)||w||^2 added to the loss; SGD: w *= 1 - lr*lambda"),
    ("decay_bias", Flag(), False, "whether weight decay applies to biases too"),
    ("l1", Number(low=0), 0.0, "lambda of lambda||w||_1, by soft threshold after each step"),
    (
        "optimizer",
        Word(table=_OPTIMISERS, defaults={"momentum": 0.9, "nesterov": 0.9}),
        "sgd",
        "how parameters follow the gradient",
    ),
    ("lr", Number(low=0, open_low=True), 0.1, "learning rate"),
    ("schedule", Word(table=_SCHEDULES), "constant", "the learning rate over gradient steps"),
    ("batch_size", Count(words=("full",)), 256, "examples a step; the last partial batch is kept"),
    ("epochs", Count(low=0), 10, "whole passes over the training examples"),
    ("steps", Count(low=0), None, "gradient steps; in place of epochs"),
    ("train_size", Count(words=("all",)), "all", "training examples, before validation is taken"),
    ("loss", _words(*_LOSSES), None, "what training minimises"),
    ("label_noise", Number(low=0, high=1), 0.0, "share of training labels replaced by a random class"),
    ("norm", _words("none", "layer", "batch"), "none", "normalisation before each activation"),
    ("clip_norm", Number(low=0, open_low=True, nothing=True), None, "largest norm of the whole gradient"),
    ("precision", _words(*_PRECISIONS), "float32", "arithmetic of training"),
    ("features", Count(words=("all",)), "all", "inputs of an example that the network sees: the first ones"),
    ("input_scale", Number(low=0, open_low=True), 1.0, "factor on the inputs, in training and in testing"),
    (
        "conv_channels",
        Sizes(),
        (),
        "channels of each convolution (3x3) with its pooling (2x2), before the hidden layers",
    ),
    ("pooling", _words("max", "average"), "max", "what a pooling takes of its four"),
    (
        "train_shift",
        Word(table=_TRAIN_SHIFTS),
        "none",
        "how training examples differ in distribution from test examples",
    ),
    (
        "weighting",
        _words("none", "exact", "classifier", "bbse"),
        "none",
        "weights of training examples against the shift",
    ),
)
