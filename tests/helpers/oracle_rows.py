"""The rows of the oracle test: settings beside `BASE`, each trained by the engine and by `torch.nn` (see torch_reference.py).

Together they have every level of every setting, every optimiser with whatever may stand beside it, and neighbours in one
stack that differ in everything in which neighbours may differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch_reference import INITIALISERS, LOSSES, MODULES, OPTIMISERS, SCHEDULES

from mlpbench.experiment.components import initialisers as components
from mlpbench.experiment.components.losses import losses_of
from mlpbench.experiment.value_types import entry_of

# 30 steps, of which every fifth is on a last batch that is not full.
BASE = {
    "hidden_sizes": [17, 9],
    "activation": "tanh",
    "init": {"normal": 0.3},
    "lr": 0.2,
    "batch_size": 64,
    "epochs": 6,
    "train_size": 300,
}


@dataclass(frozen=True)
class Row:
    """Settings beside `BASE`, keys of the experiment beside its settings, and how far float32 may be off.

    `numbers` rows learn numbers, `squared_error` unless told, from inputs that are no pixels; `images` rows see images.

    `drift` is how far the biases before batch norm may be off, with the running means that follow them and all that is
    evaluated with these.
    """

    fixed: Mapping[str, Any]
    keys: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 2e-4
    drift: float | None = None
    numbers: bool = False
    images: bool = False


def of_depth(depth: int, **more: Any) -> Row:
    """Return a row of equal widths."""
    return Row({"hidden_sizes": None, "width": 11, "depth": depth, "dropout": 0.3 if depth else 0.0, **more})


BIASED: dict[str, Any] = {"bias_init": {"normal": 1.0}}


def of_images(channels: list[int], hidden: list[int], tolerance: float = 2e-4, **more: Any) -> Row:
    """Return a row with convolutions."""
    fixed = {"conv_channels": channels, "hidden_sizes": hidden, "lr": 0.05, **BIASED, **more}
    return Row(fixed, tolerance=tolerance, images=True)


FOR_BIASES = [name for name in INITIALISERS if entry_of(components.INITIALISERS, name)[0].of_biases]
# A row for each name of a component, by its row in reference.py.
COMPONENT_ROWS: dict[str, Row] = {
    **{name: Row({"activation": name, "lr": 0.3}) for name in MODULES},
    **{name: Row({"init": name}) for name in INITIALISERS},
    **{f"bias {name}": Row({"bias_init": name, "lr": 0.15}) for name in FOR_BIASES},
    **{name: Row({"loss": name, "lr": 0.05}) for name in LOSSES},
    **{f"numbers, {name}": Row({"loss": name, "lr": 0.03}, numbers=True) for name in losses_of("numbers")},
    **{f"convolution, {name}": of_images([5], [7], activation=name) for name in MODULES},
    **{f"convolutions, {name}": of_images([3, 4], [], optimizer=name, lr=o.lr) for name, o in OPTIMISERS.items()},
    **{
        f"convolutions, {init}": of_images([8, 3], [5], init=init, bias_init=init, activation="relu")
        for init in FOR_BIASES
    },
}
PLAIN_ROWS: dict[str, Row] = {
    "base": Row({}),
    "normal 1": Row({"init": {"normal": 1.0}}),
    "constant 0.1": Row({"init": {"constant": 0.1}}),
    "bias normal 0.5": Row({"bias_init": {"normal": 0.5}}),
    "dropout 0": Row({"dropout": 0, "lr": 0.25}),
    "dropout 0.5": Row({"dropout": 0.5}),
    "dropout 1": Row({"dropout": 1}),
    "dropout per layer": Row({"dropout": [0.2, 0.5], "activation": "relu"}),
    "dropout in the second layer only": Row({"dropout": [0, 0.5], "activation": "gelu"}),
    "dropout 1 in the first layer only": Row({"dropout": [1, 0.1], "activation": "elu", "bias_init": "default"}),
    "weight decay": Row({"weight_decay": 0.3, "bias_init": {"normal": 1.0}}),
    "weight decay, biases too": Row({"weight_decay": 0.3, "decay_bias": True, "bias_init": {"normal": 1.0}}),
    "biases would decay, if anything did": Row({"decay_bias": True, "bias_init": {"normal": 1.0}}),
    "weight decay beyond 1 / lr": Row({"weight_decay": 7.0}),
    "lr": Row({"lr": 0.003}),
    "optimizer": Row({"optimizer": "sgd", "lr": 0.7}),
    "squared error": Row({"loss": "squared_error", "lr": 0.05}),
    "squared error, relu, dropout": Row(
        {"loss": "squared_error", "lr": 0.05, "activation": "relu", "dropout": [0.2, 0.5], "weight_decay": 0.01}
    ),
    "cross-entropy": Row({"loss": "cross_entropy", "lr": 0.22}),
    "depth 0": of_depth(0),
    "depth 0, squared error, decay": of_depth(0, loss="squared_error", lr=0.05, weight_decay=0.1),
    "depth 1": of_depth(1),
    "depth 2": of_depth(2),
    "depth 3": of_depth(3, activation="relu", init="he_normal"),
    "depth 4": of_depth(4, activation="silu", init="xavier_normal"),
    "hidden sizes": Row({"hidden_sizes": [3, 40, 1]}),
    "width": of_depth(1, width=1),
    "batch of 1": Row({"batch_size": 1, "epochs": 1, "train_size": 40}),
    "full batch": Row({"batch_size": "full", "epochs": 4}),
    "batch beyond the data": Row({"batch_size": 512, "epochs": 3}),
    "whole batches only": Row({"batch_size": 60}),
    "last batch of 1": Row({"batch_size": 23}),
    "0 epochs": Row({"epochs": 0}),
    "3 epochs": Row({"epochs": 3, "dropout": 0.2}),
    "fewer steps than an epoch": Row({"epochs": None, "steps": 3}),
    "an epoch and some steps": Row({"epochs": None, "steps": 7, "dropout": 0.2}),
    "all examples": Row({"train_size": "all", "batch_size": 1000, "epochs": 2}),
    "validation": Row({}, {"validation": 0.15}),
    "validation of all examples": Row({"train_size": "all", "batch_size": 1000, "epochs": 1}, {"validation": 0.1}),
    "another seed": Row({}, {"seed": 7}),
    "only init varies": Row({"dropout": 0.3}, {"vary": ["init"]}),
    "only order varies": Row({"dropout": 0.3}, {"vary": ["order"]}),
    "only dropout varies": Row({"dropout": 0.3}, {"vary": ["dropout"]}),
    "only split varies": Row({"dropout": 0.3}, {"vary": ["split"]}),
}

BESIDE: dict[str, dict[str, Any]] = {
    "alone": {},
    "weight decay": {"weight_decay": 0.1, **BIASED},
    "decay of biases": {"weight_decay": 0.1, "decay_bias": True, **BIASED},
    **{name: {"schedule": name} for name in SCHEDULES},
    "clipping": {"clip_norm": 0.3},
    "all of it": {
        "weight_decay": 0.05, "decay_bias": True, "schedule": "cosine", "clip_norm": 0.5, "l1": 0.01, "dropout": 0.2,
        "activation": "prelu", "input_noise": 0.1, "label_noise": 0.1, **BIASED,
    },
}  # fmt: skip
OPTIMISER_ROWS = {
    f"{name}, {what}": Row({"optimizer": name, "lr": optimiser.lr, **beside})
    for name, optimiser in OPTIMISERS.items()
    for what, beside in ({**BESIDE, "l1": {"l1": 0.005 / optimiser.lr}}).items()
}
# A bias before batch norm changes nothing: its gradient is rounding, about 1e-9 in float32, which these divide by its own
# size (eps is 1e-8). So the bias walks at random, in torch as here; nothing else in the row does.
WALKS = {name for name, optimiser in OPTIMISERS.items() if optimiser.normalises}


def of_norm(norm: str, tolerance: float = 2e-4, **more: Any) -> Row:
    """Return a row with normalisation."""
    walks = norm == "batch" and more.get("optimizer") in WALKS
    return Row({"norm": norm, **BIASED, **more}, tolerance=tolerance, drift=0.1 if walks else None)


BESIDE_NORM: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": [0.2, 0.5]},
    "relu, adam, dropout": {"activation": "relu", "optimizer": "adam", "lr": 0.01, "dropout": 0.2},
    "prelu": {"activation": "prelu"},
    "decay": {"weight_decay": 0.1, "decay_bias": True},
    "clipping, cosine": {"clip_norm": 0.5, "schedule": "cosine"},
    "last batch of 1": {"batch_size": 23, "epochs": 3},
    "last batch of 1, adam": {"batch_size": 23, "epochs": 3, "optimizer": "adam", "lr": 0.01},
    "last batch of 1, momentum": {"batch_size": 23, "epochs": 3, "optimizer": "momentum", "lr": 0.05},
    "batches of 1": {"batch_size": 1, "train_size": 40, "epochs": 1, "lr": 0.05},
    "deep": {"hidden_sizes": [6, 7, 8, 9], "activation": "silu", "lr": 0.02},
    "width 1": {"hidden_sizes": [5, 1], "activation": "sigmoid"},
    "no hidden layer": {"hidden_sizes": []},
}
NORM_ROWS = {
    f"{norm} norm, {name}": of_norm(norm, optimizer=name, lr=optimiser.lr)
    for norm in ("layer", "batch")
    for name, optimiser in OPTIMISERS.items()
} | {
    f"{norm} norm, {what}": of_norm(norm, **beside)
    for norm in ("layer", "batch")
    for what, beside in BESIDE_NORM.items()
    if (norm, what) != ("batch", "batches of 1")
}  # fmt: skip
# The first steps of rmsprop are 10 lr long whatever the gradient: where it is next to nothing, rounding has the say.
NORM_ROWS["layer norm, rmsprop"] = of_norm("layer", 5e-3, optimizer="rmsprop", lr=0.01)


def of_stopping(rule: object = 2, **more: Any) -> Row:
    """Return a row that may stop early."""
    return Row({"early_stopping": rule, "lr": 0.7, "epochs": 16, **more}, {"validation": 0.3})


STOPPING: dict[str, dict[str, Any]] = {
    "patience 2": {},
    "patience 1": {"rule": 1, "lr": 2.0},
    "patience beyond the end": {"rule": 100, "lr": 0.9},
    "min_delta": {"rule": {"patience": 2, "min_delta": 0.05}},
    "accuracy": {"rule": {"patience": 3, "metric": "val_accuracy"}},
    "dropout, relu, decay": {"lr": 1.5, "dropout": 0.3, "activation": "relu", "weight_decay": 0.01},
    "prelu, cosine": {"lr": 0.5, "activation": "prelu", "schedule": "cosine"},
    "steps": {"rule": 3, "epochs": None, "steps": 33},
    "0 epochs": {"epochs": 0},
    "adam": {"optimizer": "adam", "lr": 0.03},
    "adam, prelu": {"optimizer": "adam", "lr": 0.04, "activation": "prelu"},
    "adam, clipping": {"optimizer": "adam", "lr": 0.05, "clip_norm": 0.5, "input_noise": 0.1},
    "momentum": {"optimizer": "momentum", "lr": 0.2},
    "batch norm": {"norm": "batch", "lr": 1.0},
    "layer norm, adam": {"norm": "layer", "optimizer": "adam", "lr": 0.03},
    "class weights": {"class_weights": "balanced", "lr": 1.0},
}
OTHER_ROWS: dict[str, Row] = {
    "momentum 0": Row({"optimizer": {"momentum": 0}}),
    "momentum 0.5": Row({"optimizer": {"momentum": 0.5}, "lr": 0.1}),
    "nesterov 0.5": Row({"optimizer": {"nesterov": 0.5}, "lr": 0.1}),
    **{
        f"{name}, numbers of its own, {what}": Row({"optimizer": {name: numbers}, "lr": lr, **beside})
        for name, numbers, lr in (
            ("sgd", {"momentum": 0.9, "dampening": 0.3}, 0.05),
            ("rmsprop", {"alpha": 0.9, "eps": 1e-6}, 0.01),
            ("rmsprop", {"momentum": 0.8}, 0.003),
            ("adam", {"betas": [0.8, 0.98], "eps": 1e-6}, 0.01),
            ("adamw", {"betas": [0.5, 0.9]}, 0.01),
        )
        for what, beside in BESIDE.items()
        if what in ("alone", "weight decay", "all of it", "cosine")
    },
    "sgd of momentum 0.9": Row({"optimizer": {"sgd": {"momentum": 0.9}}, "lr": 0.04}),
    "sgd, nesterov": Row({"optimizer": {"sgd": {"momentum": 0.7, "nesterov": True}}, "lr": 0.05}),
    "adam of other betas, batch norm": Row(
        {"optimizer": {"adam": {"betas": [0.8, 0.9], "eps": 1e-3}}, "lr": 0.01, "norm": "layer"}
    ),
    "momentum, batch beyond the data": Row({"optimizer": "momentum", "lr": 0.05, "batch_size": 512}),
    "adam, depth 0": of_depth(0, optimizer="adam", lr=0.01),
    "adam, last batch of 1": Row({"optimizer": "adam", "lr": 0.01, "batch_size": 23, "epochs": 3}),
    "step that divides nothing": Row({"schedule": {"step": {"every": 1000, "factor": 0.1}}}),
    "step at every step": Row({"schedule": {"step": {"every": 1, "factor": 0.9}}, "weight_decay": 0.1}),
    "step that grows": Row({"schedule": {"step": {"every": 10, "factor": 1.5}}, "lr": 0.1}),
    "cosine in an epoch and some steps": Row({"epochs": None, "steps": 7, "schedule": "cosine"}),
    "warmup beyond the end": Row({"schedule": {"warmup": 100}, "lr": 1.0}),
    "warmup, then cosine": Row({"schedule": {"warmup": 9, "then": "cosine"}, "lr": 0.3}),
    "warmup of a share, then steps": Row(
        {"schedule": {"warmup": "25%", "then": {"step": {"every": "10%", "factor": 0.7}}}}
    ),
    "warmup of 1": Row({"schedule": {"warmup": 1}, "lr": 0.19}),
    "clipping that never acts": Row({"clip_norm": 1e6}),
    "clipping to next to nothing": Row({"clip_norm": 1e-3, "lr": 1.0}),
    "l1 beyond the weights": Row({"l1": 10.0}),
    "l1, schedule, relu": Row({"l1": 0.05, "schedule": {"warmup": 9}, "activation": "relu"}),
    "prelu": Row({"activation": "prelu"}),
    "prelu, dropout": Row({"activation": "prelu", "dropout": [0.2, 0.5]}),
    "prelu, decay": Row({"activation": "prelu", "weight_decay": 0.1, "decay_bias": True}),
    "prelu, depth 3": of_depth(3, activation="prelu", init="he_normal"),
    "prelu, batch of 1": Row({"activation": "prelu", "batch_size": 1, "epochs": 1, "train_size": 40}),
    "naive cross-entropy": Row({"loss": "naive_cross_entropy"}),
    "naive cross-entropy, adam": Row({"loss": "naive_cross_entropy", "optimizer": "adam", "lr": 0.01}),
    "naive cross-entropy, depth 0": of_depth(0, loss="naive_cross_entropy"),
    "naive cross-entropy, relu, dropout": Row({"loss": "naive_cross_entropy", "activation": "relu", "dropout": 0.2}),
    "mse": Row({"loss": "mse"}),
    "mse, nesterov, decay": Row({"loss": "mse", "optimizer": "nesterov", "lr": 0.05, "weight_decay": 0.01}),
    "mse, depth 0, l1": of_depth(0, loss="mse", l1=0.001),
    "label noise 0.3": Row({"label_noise": 0.3}),
    "label noise 1": Row({"label_noise": 1}),
    "label noise, validation": Row({"label_noise": 0.5}, {"validation": 0.2}),
    "label noise, mse": Row({"label_noise": 0.5, "loss": "mse"}),
    "input noise": Row({"input_noise": 0.3}),
    "input noise, dropout": Row({"input_noise": 0.1, "dropout": 0.3, "activation": "prelu"}),
    "input noise, depth 0, squared error": of_depth(0, input_noise=0.5, loss="squared_error", lr=0.05),
    "input noise, batch of 1": Row({"input_noise": 0.3, "batch_size": 1, "epochs": 1, "train_size": 40}),
    "covariate shift": Row({"train_shift": {"covariate": 1}}),
    "covariate shift, exact": Row({"train_shift": {"covariate": 1}, "weighting": "exact"}),
    "covariate shift, classifier, adam": Row(
        {"train_shift": {"covariate": 2}, "weighting": "classifier", "optimizer": "adam", "lr": 0.01}
    ),
    "covariate shift, exact, clipping, decay": Row(
        {"train_shift": {"covariate": 2}, "weighting": "exact", "clip_norm": 0.3, "weight_decay": 0.1}
    ),
    "label shift": Row({"train_shift": {"label": 2}}),
    "label shift, exact, validation": Row({"train_shift": {"label": 2}, "weighting": "exact"}, {"validation": 0.2}),
    "label shift, classifier, dropout": Row({"train_shift": {"label": 1}, "weighting": "classifier", "dropout": 0.3}),
    "label shift, bbse": Row({"train_shift": {"label": 1}, "weighting": "bbse"}),
    "label shift, bbse, squared error": Row(
        {"train_shift": {"label": 1}, "weighting": "bbse", "loss": "squared_error", "lr": 0.05}
    ),
    "label shift, exact, mse, batch of 23": Row(
        {"train_shift": {"label": 3}, "weighting": "exact", "loss": "mse", "batch_size": 23}
    ),
    "label shift, exact, naive cross-entropy": Row(
        {"train_shift": {"label": 1}, "weighting": "exact", "loss": "naive_cross_entropy"}
    ),
    "label smoothing": Row({"label_smoothing": 0.1}),
    "label smoothing of all": Row({"label_smoothing": 1.0, "activation": "tanh"}),
    "label smoothing, adam, clipping": Row({"label_smoothing": 0.3, "optimizer": "adam", "lr": 0.01, "clip_norm": 0.5}),
    "label smoothing, label noise, weight decay": Row(
        {"label_smoothing": 0.2, "label_noise": 0.3, "weight_decay": 0.05}
    ),
    "label smoothing, label shift, exact": Row(
        {"train_shift": {"label": 1}, "weighting": "exact", "label_smoothing": 0.2}
    ),
    "class weights": Row({"class_weights": {"0": 5, "3": 0.5}}),
    "class weights, balanced": Row({"class_weights": "balanced"}),
    "class weights, balanced, label noise": Row({"class_weights": "balanced", "label_noise": 0.4}, {"validation": 0.2}),
    "class weights, balanced, squared error": Row({"class_weights": "balanced", "loss": "squared_error", "lr": 0.05}),
    "class weights, naive cross-entropy, adam": Row(
        {"class_weights": {"1": 3}, "loss": "naive_cross_entropy", "optimizer": "adam", "lr": 0.01}
    ),
    "class weights, balanced, full batch": Row({"class_weights": "balanced", "batch_size": "full", "dropout": 0.3}),
    "class weights, label shift, exact": Row(
        {"train_shift": {"label": 1}, "weighting": "exact", "class_weights": {"2": 4}}
    ),
    **{f"early stopping, {what}": of_stopping(**more) for what, more in STOPPING.items()},
    "only noise varies": Row({"input_noise": 0.2, "label_noise": 0.2, "dropout": 0.3}, {"vary": ["noise"]}),
    "features": Row({"features": 7}),
    "features, one": Row({"features": 1, "input_noise": 0.2, "dropout": 0.2}),
    "features, depth 0": of_depth(0, features=5, loss="squared_error", lr=0.05),
    "input scale": Row({"input_scale": 3.0, "lr": 0.1}),
    "input scale, noise": Row({"input_scale": 0.25, "input_noise": 0.3, "activation": "relu"}),
    "input scale, features, validation": Row({"input_scale": 2.0, "features": 11}, {"validation": 0.15}),
    "noise does not vary": Row({"input_noise": 0.2, "label_noise": 0.2}, {"vary": ["init", "order"]}),
}


def of_numbers(tolerance: float = 2e-4, keys: Mapping[str, Any] | None = None, **more: Any) -> Row:
    """Return a row whose target is a number."""
    return Row({"lr": 0.05, **more}, keys or {}, tolerance, numbers=True)


NUMBER_ROWS: dict[str, Row] = {
    "numbers": of_numbers(),
    "numbers, mse": of_numbers(loss="mse", lr=0.03),
    "numbers, relu, dropout": of_numbers(activation="relu", dropout=[0.2, 0.5]),
    "numbers, sigmoid": of_numbers(activation="sigmoid", lr=0.1),
    "numbers, depth 0": Row({"hidden_sizes": [], "lr": 0.02}, numbers=True),
    "numbers, depth 0, mse, l1": Row({"hidden_sizes": [], "lr": 0.01, "loss": "mse", "l1": 0.01}, numbers=True),
    "numbers, depth 0, full batch": Row({"hidden_sizes": [], "batch_size": "full", "epochs": 9}, numbers=True),
    "numbers, width 1": of_numbers(hidden_sizes=[1]),
    "numbers, deep": of_numbers(hidden_sizes=[6, 7, 8, 9], activation="silu", init="he_normal"),
    "numbers, adam, decay": of_numbers(optimizer="adam", lr=0.01, weight_decay=0.1, decay_bias=True),
    "numbers, nesterov, cosine": of_numbers(optimizer="nesterov", schedule="cosine", lr=0.01),
    "numbers, clipping, mse": of_numbers(clip_norm=0.3, loss="mse"),
    "numbers, layer norm": of_numbers(norm="layer", **BIASED),
    "numbers, batch norm": of_numbers(norm="batch", **BIASED),
    "numbers, batch of 1": of_numbers(batch_size=1, train_size=40, epochs=1),
    "numbers, last batch of 1": of_numbers(batch_size=23, epochs=3),
    "numbers, validation": of_numbers(keys={"validation": 0.15}),
    "numbers, all examples": of_numbers(train_size="all", batch_size=1000, epochs=2),
    "numbers, input noise, prelu": of_numbers(input_noise=0.3, activation="prelu"),
    "numbers, features, input scale": of_numbers(features=4, input_scale=1.5),
    "numbers, covariate shift, exact": of_numbers(train_shift={"covariate": 1}, weighting="exact"),
    "numbers, covariate shift, classifier": of_numbers(train_shift={"covariate": 1}, weighting="classifier"),
    "numbers, only split varies": of_numbers(keys={"vary": ["split"]}, dropout=0.3),
}


CONVOLUTION_ROWS: dict[str, Row] = {
    "convolution of 1 channel": of_images([1], []),
    "convolution of 17 channels, average": of_images([17], [6], pooling="average"),
    "convolutions, average": of_images([3, 4], [6], pooling="average", activation="relu"),
    "convolutions, average, adam, gelu": of_images([4, 5], [], pooling="average", optimizer="adam", lr=0.01),
    "convolutions, two hidden layers": of_images([4, 5], [9, 6], dropout=[0.2, 0.5], activation="relu"),
    "convolutions, dropout": of_images([4, 5], [9], dropout=0.5, activation="silu"),
    "convolution, orthogonal": of_images([5], [7], init="orthogonal", activation="relu"),
    "convolution, input noise": of_images([5], [7], input_noise=0.3),
    "convolutions, decay": of_images([3, 4], [6], weight_decay=0.1, decay_bias=True),
    "convolution, clipping, cosine": of_images([3], [6], clip_norm=0.3, schedule="cosine"),
    "convolutions, l1": of_images([3, 4], [], l1=0.02),
    "convolutions, prelu, average": of_images([3, 4], [6], activation="prelu", pooling="average"),
    "convolution, batch of 1": of_images([3], [6], batch_size=1, epochs=1, train_size=40),
    "convolutions, last batch of 1": of_images([3, 4], [6], batch_size=23, epochs=3),
    "convolution, mse, label noise": of_images([3], [6], loss="mse", label_noise=0.2),
    "convolution, all examples": of_images([3], [], train_size="all", batch_size=1000, epochs=1),
}
MU = {"parametrization": {"mup": 4}, "init": "he_normal", **BIASED}
STRUCTURE_ROWS: dict[str, Row] = {
    "no bias": Row({"bias": False}),
    "no bias, depth 0": of_depth(0, bias=False),
    "no bias, depth 0, numbers": Row({"bias": False, "hidden_sizes": [], "lr": 0.02}, numbers=True),
    "no bias, decay, clipping": Row({"bias": False, "weight_decay": 0.1, "decay_bias": True, "clip_norm": 0.5}),
    "no bias, l1, relu, dropout": Row({"bias": False, "l1": 0.05, "activation": "relu", "dropout": 0.2}),
    "no bias, prelu, nesterov": Row({"bias": False, "activation": "prelu", "optimizer": "nesterov", "lr": 0.05}),
    "no bias, batch norm, adam": Row({"bias": False, "norm": "batch", "optimizer": "adam", "lr": 0.01}),
    "no bias, layer norm": Row({"bias": False, "norm": "layer"}),
    "no bias, convolutions": of_images([3, 4], [6], bias=False),
    "no bias, convolutions, adam": of_images([3, 4], [6], bias=False, optimizer="adam", lr=0.01),
    "residual": of_depth(3, residual=True, dropout=0),
    "residual, dropout": of_depth(4, residual=True, activation="gelu", lr=0.1),
    "residual, dropout in one layer": of_depth(3, residual=True, dropout=[0, 0.5, 0], activation="relu"),
    "residual, some widths": Row({"residual": True, "hidden_sizes": [7, 7, 9, 9, 9, 5], "lr": 0.1}),
    "residual, adam, clipping": of_depth(3, residual=True, optimizer="adam", lr=0.01, clip_norm=0.5),
    "residual, layer norm": of_depth(3, residual=True, norm="layer", activation="relu", init="he_normal", lr=0.05),
    "residual, batch norm, no bias": of_depth(3, residual=True, norm="batch", bias=False, init="he_normal", lr=0.05),
    "residual, prelu, decay": of_depth(3, residual=True, activation="prelu", weight_decay=0.1, decay_bias=True, lr=0.1),
    "residual, last batch of 1": of_depth(3, residual=True, batch_size=23, epochs=3, lr=0.05),
    "residual, convolution": of_images([3], [6, 6, 6], residual=True, activation="relu"),
    "residual, numbers": Row({"residual": True, "hidden_sizes": [8, 8, 8], "lr": 0.02}, numbers=True),
    "mup": Row({**MU, "lr": 0.1}),
    "mup, another base": Row({**MU, "parametrization": {"mup": 64}}),
    "mup, one hidden layer": of_depth(1, **MU, lr=0.05),
    "mup, deep, no bias": of_depth(4, **{**MU, "bias_init": "zeros"}, bias=False, lr=0.05),
    "mup, residual": of_depth(3, **MU, residual=True, lr=0.03),
    "mup, prelu, layer norm": Row({**MU, "activation": "prelu", "norm": "layer", "lr": 0.05}),
    "mup, batch norm, adam": of_norm("batch", **MU, optimizer="adam", lr=0.01),
    "mup, normal": Row({**MU, "init": {"normal": 0.3}, "bias_init": "default", "lr": 0.1}),
    "mup, xavier uniform": Row({**MU, "init": "xavier_uniform", "bias_init": "xavier_normal", "lr": 0.1}),
    "mup, numbers": Row({**MU, "lr": 0.01}, numbers=True),
    **{
        f"mup, {name}, {what}": Row({**MU, "optimizer": name, "lr": 0.5 * optimiser.lr, **beside})
        for name, optimiser in OPTIMISERS.items()
        for what, beside in (
            ("alone", {}),
            ("decay", {"weight_decay": 0.05, "decay_bias": True, "schedule": "cosine"}),
            ("clipping", {"clip_norm": 0.2, "dropout": 0.2, "weight_decay": 0.05}),
        )
    },
    "mup, adam with numbers of its own": Row(
        {**MU, "optimizer": {"adam": {"betas": [0.8, 0.9], "eps": 1e-6}}, "lr": 0.01, "weight_decay": 0.05}
    ),
}
ROWS = (
    STRUCTURE_ROWS
    | COMPONENT_ROWS
    | PLAIN_ROWS
    | OPTIMISER_ROWS
    | NORM_ROWS
    | OTHER_ROWS
    | NUMBER_ROWS
    | CONVOLUTION_ROWS
)
