"""What `mlpbench.Experiment` takes under fixed, factors, nuisance and claims, so that editors complete it.

Made of the settings and of the forms of claims by `tests/helpers/keyword_types.py`: change those, and write it anew. Beside these types the
keywords take any mapping: what is wrong with one is said when the experiment is made, as of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

HiddenSizes: TypeAlias = Sequence[int]
Width: TypeAlias = int
Depth: TypeAlias = int
Activation: TypeAlias = (
    Literal["identity", "relu", "leaky_relu", "prelu", "sigmoid", "tanh", "gelu", "silu", "elu"]
    | str
    | Mapping[Literal["leaky_relu"], Any]
)
Init: TypeAlias = (
    Literal["default", "xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "orthogonal", "zeros"]
    | str
    | Mapping[Literal["normal", "constant"], Any]
)
BiasInit: TypeAlias = (
    Literal["default", "xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "zeros"]
    | str
    | Mapping[Literal["normal", "constant"], Any]
)
Dropout: TypeAlias = float | Sequence[float]
InputNoise: TypeAlias = float
WeightDecay: TypeAlias = float
DecayBias: TypeAlias = bool
L1: TypeAlias = float
Optimizer: TypeAlias = (
    Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
    | str
    | Mapping[Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"], Any]
)
Lr: TypeAlias = float
Schedule: TypeAlias = Literal["constant", "cosine"] | str | Mapping[Literal["step", "warmup", "then"], Any]
BatchSize: TypeAlias = int | Literal["full"]
Epochs: TypeAlias = int
Steps: TypeAlias = int
TrainSize: TypeAlias = int | Literal["all"]
Loss: TypeAlias = Literal["cross_entropy", "naive_cross_entropy", "squared_error", "mse"] | str
LabelNoise: TypeAlias = float
Norm: TypeAlias = Literal["none", "layer", "batch"]
ClipNorm: TypeAlias = float | Literal["none", None]
Precision: TypeAlias = Literal["float32", "float64", "bfloat16", "tf32", "tf32x3"]
Features: TypeAlias = int | Literal["all"]
InputScale: TypeAlias = float
ConvChannels: TypeAlias = Sequence[int]
Pooling: TypeAlias = Literal["max", "average"]
TrainShift: TypeAlias = Literal["none"] | str | Mapping[Literal["covariate", "label"], Any]
Weighting: TypeAlias = Literal["none", "exact", "classifier", "bbse"]
LabelSmoothing: TypeAlias = float
ClassWeights: TypeAlias = Literal["none", "balanced"] | Mapping[str, Any] | str
Bias: TypeAlias = bool
Residual: TypeAlias = bool
Parametrization: TypeAlias = Literal["standard", "mup"] | str | Mapping[Literal["mup"], Any]
EarlyStopping: TypeAlias = Literal["none"] | int | str | Mapping[Literal["patience", "min_delta", "metric"], Any]
Metric: TypeAlias = (
    Literal[
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "test_loss",
        "test_accuracy",
        "gap_loss",
        "gap_accuracy",
        "weight_norm",
        "sparsity",
        "dead_units",
        "distinct_units",
        "param_error",
        "closed_form_gap",
        "diverged",
        "train_seconds",
        "flops",
        "train_bytes",
        "eval_bytes",
        "test_balanced_accuracy",
        "test_macro_f1",
        "test_roc_auc",
        "test_top_3_accuracy",
        "test_top_5_accuracy",
        "test_log_loss",
        "test_brier",
        "test_ece",
        "test_rmse",
        "test_mae",
        "test_r2",
        "constant_accuracy",
        "constant_loss",
        "constant_rmse",
        "epochs_taken",
        "best_epoch",
    ]
    | str
)


class Settings(TypedDict, total=False):
    """One value for each setting that is named."""

    hidden_sizes: HiddenSizes
    """Number of units of each hidden layer, instead of width and depth."""
    width: Width
    """Number of units of every hidden layer."""
    depth: Depth
    """Number of hidden layers; 0 is linear or softmax regression."""
    activation: Activation
    """Activation function of the hidden layers."""
    init: Init
    """Distribution of the initial weights."""
    bias_init: BiasInit
    """Distribution of the initial biases."""
    dropout: Dropout
    """Probability of zeroing a hidden unit."""
    input_noise: InputNoise
    """Standard deviation of the noise added to inputs in training."""
    weight_decay: WeightDecay
    """Lambda of (lambda/2)||w||^2 added to the loss; SGD: w *= 1 - lr*lambda."""
    decay_bias: DecayBias
    """Whether weight decay applies to biases too."""
    l1: L1
    """Lambda of lambda||w||_1, by soft threshold after each step."""
    optimizer: Optimizer
    """Rule by which gradients update parameters, with numbers of its own where they are not the defaults of torch."""
    lr: Lr
    """Learning rate."""
    schedule: Schedule
    """Schedule of the learning rate over gradient steps."""
    batch_size: BatchSize
    """Examples per gradient step; the smaller last batch of an epoch is kept."""
    epochs: Epochs
    """Passes over the training examples."""
    steps: Steps
    """Number of gradient steps, instead of epochs."""
    train_size: TrainSize
    """Number of training examples, those for validation included."""
    loss: Loss
    """Loss that training minimises."""
    label_noise: LabelNoise
    """Share of training labels replaced by a random class."""
    norm: Norm
    """Normalisation before each activation; before `batch`, biases do nothing, and `bias: false` leaves them out."""
    clip_norm: ClipNorm
    """Gradient clipping: largest norm of the gradient of all parameters."""
    precision: Precision
    """Floating-point precision of training; tf32 and tf32x3 need a GPU."""
    features: Features
    """Number of input features that are used, counted from the first."""
    input_scale: InputScale
    """Factor on all inputs, in training and in testing."""
    conv_channels: ConvChannels
    """Channels of each 3x3 convolution, each with a 2x2 pooling, before the hidden layers."""
    pooling: Pooling
    """What a pooling takes of its four values."""
    train_shift: TrainShift
    """Distribution shift of the training examples against the test examples."""
    weighting: Weighting
    """Importance weights of training examples that correct for the shift."""
    label_smoothing: LabelSmoothing
    """Share of each training label that is spread evenly over all classes, in cross_entropy."""
    class_weights: ClassWeights
    """Weight of each class in the loss of training; balanced: inverse to how frequent it is."""
    bias: Bias
    """Whether layers have biases, which are 0 otherwise; a normalisation keeps its shift."""
    residual: Residual
    """Whether a hidden layer adds what it is given to its output, h + f(h), behind one of the same width."""
    parametrization: Parametrization
    """How initial weights and learning rates follow from the width; mup: maximal update, from a base width of 64."""
    early_stopping: EarlyStopping
    """Patience in epochs: training ends where validation got no better for so long, and the best epoch is kept."""


class Levels(TypedDict, total=False):
    """Several values for each setting that is named."""

    hidden_sizes: Sequence[HiddenSizes]
    width: Sequence[Width]
    depth: Sequence[Depth]
    activation: Sequence[Activation]
    init: Sequence[Init]
    bias_init: Sequence[BiasInit]
    dropout: Sequence[Dropout]
    input_noise: Sequence[InputNoise]
    weight_decay: Sequence[WeightDecay]
    decay_bias: Sequence[DecayBias]
    l1: Sequence[L1]
    optimizer: Sequence[Optimizer]
    lr: Sequence[Lr]
    schedule: Sequence[Schedule]
    batch_size: Sequence[BatchSize]
    epochs: Sequence[Epochs]
    steps: Sequence[Steps]
    train_size: Sequence[TrainSize]
    loss: Sequence[Loss]
    label_noise: Sequence[LabelNoise]
    norm: Sequence[Norm]
    clip_norm: Sequence[ClipNorm]
    precision: Sequence[Precision]
    features: Sequence[Features]
    input_scale: Sequence[InputScale]
    conv_channels: Sequence[ConvChannels]
    pooling: Sequence[Pooling]
    train_shift: Sequence[TrainShift]
    weighting: Sequence[Weighting]
    label_smoothing: Sequence[LabelSmoothing]
    class_weights: Sequence[ClassWeights]
    bias: Sequence[Bias]
    residual: Sequence[Residual]
    parametrization: Sequence[Parametrization]
    early_stopping: Sequence[EarlyStopping]
    dataset: Sequence[str | Mapping[str, Any]]
    """Data sets, as names or with options."""
    zip: Mapping[str, Sequence[Any]]
    """Settings that vary together."""
    conditions: Sequence[Mapping[str, Any]]
    """Whole conditions, each with a label."""


class Selector(Settings, total=False):
    """Levels that tell which conditions are meant; of others the mean is taken."""

    label: str
    stream: str
    dataset: str


class Term(TypedDict):
    """One weighted condition of a contrast."""

    weight: float
    """By what the metric of these conditions is multiplied."""
    where: Selector
    """Levels of the conditions it is about; the mean is taken over what they leave open."""


class Compare(TypedDict):
    """Metric of condition a against condition b, paired by replicate."""

    metric: Metric
    """The number of a run that the claim is about."""
    a: Selector
    """Levels of the conditions on the first side."""
    b: Selector
    """Levels of the conditions on the second side."""
    expect: Literal["greater", "less", "equivalent"]
    """What a is expected to be against b."""
    margin: NotRequired[float]
    """By how much the numbers have to differ; 0.002 for accuracies and 0 for others if left out."""
    of: NotRequired[Literal["mean", "median", "typical"]]
    """What of the replicates' differences is judged."""


class Contrast(TypedDict):
    """A weighted sum of conditions, paired by replicate."""

    metric: Metric
    """The number of a run that the claim is about."""
    terms: Sequence[Term]
    """Conditions with their weights."""
    expect: Literal["greater", "less", "equivalent"]
    """What the weighted sum is expected to be."""
    margin: NotRequired[float]
    """By how much the sum has to differ from 0; 0.002 for accuracies if left out."""


class Trend(TypedDict):
    """Slope of a metric over the levels of a factor, one slope per replicate, and the steps from each level to the next."""

    metric: Metric
    """The number of a run that the claim is about."""
    factor: str
    """The factor along whose levels the metric rises or falls."""
    expect: Literal["rises", "falls"]
    """Which way the metric goes as the factor grows."""
    scale: NotRequired[Literal["log", "linear", "rank"]]
    """On which scale levels are placed."""
    margin: NotRequired[float]
    """By how much the slope has to exceed 0."""
    shape: NotRequired[Literal["monotone"]]
    """Monotone: every step has to go that way, not only the slope."""


class Bound(TypedDict):
    """A metric above or below a number, in the mean, in the median, in the typical replicate or in every one."""

    metric: Metric
    """The number of a run that the claim is about."""
    where: NotRequired[Selector]
    """Levels of the conditions it is about; the mean is taken over what they leave open."""
    above: NotRequired[float]
    """The number the metric is said to exceed."""
    below: NotRequired[float]
    """The number the metric is said to stay below."""
    of: NotRequired[Literal["mean", "every", "median", "typical"]]
    """Of what the number is a bound."""


class Matches(TypedDict):
    """The mean of a metric is a published number, within a tolerance."""

    metric: Metric
    """The number of a run that the claim is about."""
    where: NotRequired[Selector]
    """Levels of the conditions it is about; the mean is taken over what they leave open."""
    value: float
    """The published number."""
    tolerance: float
    """How far from it the mean may lie."""


# The place of the best level of a factor under `where`, against the place it has under `and`.
Best = TypedDict(
    "Best",
    {
        "metric": "Metric",
        "over": "str",
        "where": "Selector",
        "and": "Selector",
        "expect": "Literal['same', 'higher', 'lower']",
    },
)


class Share(TypedDict):
    """The variance that one random stream makes among replicates, against that of each other stream, or of those in `among`."""

    metric: Metric
    """The number of a run that the claim is about."""
    where: NotRequired[Selector]
    """Levels of the conditions it is about; the mean is taken over what they leave open."""
    stream: Literal["init", "order", "dropout", "split", "noise"]
    """The random stream whose variance is meant."""
    expect: Literal["largest"]
    """What is expected of its variance."""
    among: NotRequired[Sequence[Literal["init", "order", "dropout", "split", "noise"]]]
    """The streams it is compared with; all that vary if left out."""


class Wins(TypedDict):
    """Side a is better than b in more than a share of replicates, ties left out: P(a > b) above 0.75."""

    metric: Metric
    """The number of a run that the claim is about."""
    a: Selector
    """Levels of the conditions on the first side."""
    b: Selector
    """Levels of the conditions on the second side."""
    above: NotRequired[float]
    """The share of replicates in which a has to be better, ties left out."""


class Fails(TypedDict):
    """Runs of a fail more often than those of b, or less often: they diverge, or their metric is worse than a number."""

    metric: Metric
    """The number of a run that the claim is about."""
    a: Selector
    """Levels of the conditions on the first side."""
    b: Selector
    """Levels of the conditions on the second side."""
    worse_than: NotRequired[float]
    """A run fails too where its metric is worse than this number."""
    expect: Literal["greater", "less"]
    """Whether runs of a are expected to fail more or less often than those of b."""


class Claim(TypedDict):
    """A stated hypothesis, the form in which it is judged, and the test, the interval and the unit."""

    id: str
    """A plain word for the claim; names it in reports and commands."""
    says: str
    """The claim in a sentence."""
    source: NotRequired[str]
    """Who makes the claim: a book, a paper, a rule of thumb."""
    compare: NotRequired[Compare]
    """Metric of condition a against condition b, paired by replicate."""
    contrast: NotRequired[Contrast]
    """A weighted sum of conditions is above, below or about 0, paired by replicate."""
    trend: NotRequired[Trend]
    """A metric rises or falls over the levels of a factor, by one slope of each replicate."""
    bound: NotRequired[Bound]
    """A metric is above or below a number, in the mean, the median, the typical replicate or in every one."""
    matches: NotRequired[Matches]
    """The mean of a metric is a published number, within a tolerance."""
    best: NotRequired[Best]
    """The best level of a factor under `where` is higher, lower or the same as under `and`."""
    share: NotRequired[Share]
    """One random stream causes more of the variance among replicates than each other stream."""
    wins: NotRequired[Wins]
    """Side a is better than b in more than a share of replicates, ties left out."""
    fails: NotRequired[Fails]
    """Runs of a fail, by diverging or by a bad number, more or less often than those of b."""
    test: NotRequired[Literal["t", "sign_flip", "sign", "signed_rank"]]
    """The test that judges it."""
    interval: NotRequired[Literal["t", "bca"]]
    """How the interval of the estimate is made."""
    unit: NotRequired[Literal["replicate", "dataset"]]
    """What it has one number of each of: replicates of these data sets, or data sets like these."""
