"""What every word means that a key of an experiment file may have, and the words of results: verdicts, statistics, numerics.

`mlpbench explain` says it, and editors show it beside the words they offer.
"""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, str]

SETTINGS: Mapping[str, Words] = {
    "activation": {
        "identity": "z: no activation, the network is linear",
        "relu": "max(0, z)",
        "leaky_relu": "z where it is positive, else the number times z",
        "prelu": "leaky ReLU whose slope below 0 is learned, from 0.25",
        "sigmoid": "1 / (1 + exp(-z))",
        "tanh": "hyperbolic tangent",
        "gelu": "z times the normal distribution function at z",
        "silu": "z times the sigmoid of z; swish",
        "elu": "z where it is positive, else exp(z) - 1",
    },
    "init": {
        "normal": "normal with this standard deviation",
        "default": "uniform within 1 / sqrt(inputs), as torch's Linear",
        "xavier_uniform": "uniform within sqrt(6 / (inputs + outputs))",
        "xavier_normal": "normal with variance 2 / (inputs + outputs)",
        "he_uniform": "uniform within sqrt(6 / inputs)",
        "he_normal": "normal with variance 2 / inputs",
        "orthogonal": "orthogonal rows or columns",
        "constant": "all weights are this number",
        "zeros": "all weights are 0",
    },
    "optimizer": {
        "sgd": "stochastic gradient descent",
        "momentum": "gradient descent with momentum",
        "nesterov": "gradient descent with Nesterov's momentum",
        "rmsprop": "steps over the root of the running mean of squared gradients",
        "adam": "Adam: running means of gradients and of their squares",
        "adamw": "Adam with weight decay apart from the gradient",
    },
    "schedule": {
        "constant": "the same learning rate in every step",
        "step": "multiplied by the factor each time a number of steps has passed",
        "cosine": "half a cosine down to 0",
        "warmup": "rises evenly over the first steps; `then` says what follows",
    },
    "loss": {
        "cross_entropy": "-log of the softmax probability of the class",
        "naive_cross_entropy": "cross-entropy by exp and log as they stand, which overflows",
        "squared_error": "half the squared distance of outputs from the one-hot class, or from the target",
        "mse": "mean squared distance of outputs from the one-hot class, or from the target",
    },
    "norm": {
        "none": "no normalisation",
        "layer": "over the units of a layer, example by example",
        "batch": "over the examples of a batch, unit by unit",
    },
    "precision": {
        "float32": "single precision",
        "float64": "double precision",
        "bfloat16": "products of numbers rounded to bfloat16, all else in single precision",
        "tf32": "products in TensorFloat-32; needs a GPU",
        "tf32x3": "products of three TensorFloat-32 ones, about single precision; needs a GPU",
    },
    "pooling": {"max": "the largest of the four", "average": "the mean of the four"},
    "train_shift": {
        "none": "training and test examples are distributed alike",
        "covariate": "examples with some inputs are taken more often, by this strength",
        "label": "examples of some classes are taken more often, by this strength",
    },
    "weighting": {
        "none": "no weights",
        "exact": "by the known probabilities of the shift",
        "classifier": "by a classifier that tells training from test inputs",
        "bbse": "by the confusion matrix of a first network (black box shift estimation), against a shift of labels",
    },
    "class_weights": {"none": "every example counts the same", "balanced": "every class counts the same"},
    "parametrization": {
        "standard": "initial weights and learning rates as they are set",
        "mup": "maximal update: scaled with the width, from this base width",
    },
    "early_stopping": {"none": "all steps are taken"},
    "train_size": {"all": "all training examples"},
    "features": {"all": "all input features"},
    "batch_size": {"full": "all training examples in each step"},
    "clip_norm": {"none": "no clipping"},
}
# Numbers that a word takes, by their names.
PARAMETERS: Words = {
    "number": "the number of the word",
    "momentum": "share of the last step that is kept",
    "dampening": "share of the gradient that momentum leaves out",
    "nesterov": "whether the gradient is taken ahead",
    "alpha": "share of the running mean of squares that is kept",
    "betas": "shares of the running means that are kept: of gradients, and of their squares",
    "eps": "what is added to the root that a step is divided by",
    "every": "number of steps, or a share of all such as 10%, between changes",
    "factor": "what the learning rate is multiplied by each time",
    "steps": "number of steps, or a share of all such as 10%",
    "base_width": "width at which it is the standard parametrisation",
    "then": "the schedule that follows",
}
PARAMETER_EXAMPLES: Mapping[str, object] = {
    "number": 0.01,
    "momentum": 0.9,
    "dampening": 0.0,
    "nesterov": True,
    "alpha": 0.99,
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "every": 100,
    "factor": 0.5,
    "steps": "10%",
    "base_width": 64,
    "then": "cosine",
}
# What a word is written with, where its parameters are numbers of its own.
ARGUMENTS: Mapping[str, tuple[object, ...]] = {
    "leaky_relu": (0.01,),
    "normal": (0.01,),
    "constant": (0.1,),
    "sgd": ({"momentum": 0.9},),
    "momentum": (0.9,),
    "nesterov": (0.9,),
    "rmsprop": ({"alpha": 0.9},),
    "adam": ({"betas": [0.9, 0.98]},),
    "adamw": ({"betas": [0.9, 0.98]},),
    "step": ({"every": "30%", "factor": 0.5},),
    "warmup": ("10%",),
    "covariate": (2.0,),
    "label": (3.0,),
    "mup": (64,),
}
STREAMS: Words = {
    "init": "initial weights and biases",
    "order": "order of the training examples",
    "dropout": "units that dropout zeroes",
    "split": "choice of training, validation and folds, and of data that are drawn",
    "noise": "noise on inputs and labels",
}
_DIFFERENCE: Words = {
    "greater": "above by more than the margin",
    "less": "below by more than the margin",
    "equivalent": "within the margin of each other",
}
_OF: Words = {
    "mean": "the mean over replicates",
    "median": "the median, by the sign test",
    "typical": "the mean of the middle half (20 replicates or more)",
}
CLAIM: Mapping[str, Words] = {
    "test": {
        "t": "paired t test of the mean over replicates",
        "sign_flip": "signs of the replicates' differences are flipped: assumes that they are symmetric, not normal",
        "sign": "sign test of the median, with diverged runs as the worst",
        "signed_rank": "Wilcoxon's signed-rank test, of numbers of data sets",
    },
    "interval": {
        "t": "t interval of the mean",
        "bca": "bias-corrected and accelerated bootstrap (15 replicates or more)",
    },
    "unit": {
        "replicate": "one number of each replicate: a verdict about these data sets",
        "dataset": "one number of each data set: a verdict about data sets like these",
    },
}
FORMS: Mapping[str, Mapping[str, Words]] = {
    "compare": {"expect": _DIFFERENCE, "of": _OF},
    "contrast": {"expect": _DIFFERENCE},
    "bound": {"of": {**_OF, "every": "each single replicate, counted"}},
    "trend": {
        "expect": {"rises": "grows with the factor", "falls": "shrinks as the factor grows"},
        "scale": {
            "log": "by its logarithm: a slope per doubling",
            "linear": "as it is: a slope per unit",
            "rank": "by its place among the levels: a slope per step",
        },
        "shape": {"monotone": "every step goes as expected"},
    },
    "best": {
        "expect": {
            "same": "within half a level of that under `and`",
            "higher": "at a higher level than under `and`",
            "lower": "at a lower level than under `and`",
        }
    },
    "share": {"stream": STREAMS, "among": STREAMS, "expect": {"largest": "larger than that of every other stream"}},
    "fails": {"expect": {"greater": "more often than those of b", "less": "less often than those of b"}},
}
FILE: Mapping[str, Words] = {
    "refit": {
        "chosen": "the level that all folds together choose",
        "all": "every level, so that regret can be measured",
    },
    "probes": {"start": "before the first step", "end": "after the last step"},
    "vary": STREAMS,
    "each": STREAMS,
    "early_stopping.metric": {"val_loss": "loss on the validation examples", "val_accuracy": "accuracy on them"},
}
DATA: Mapping[str, Words] = {
    "scale": {
        "standard": "mean 0 and standard deviation 1",
        "robust": "median 0 and quartile range 1",
        "minmax": "from 0 to 1",
        "quantile": "normal deviates of ranks",
        "none": "as they are",
    },
    "missing": {
        "impute": "the median, marked by an input of its own; among words a word of its own",
        "drop_rows": "rows with a gap are left out",
        "refuse": "a gap is an error",
    },
    "task": {"classes": "classification", "number": "regression"},
    "target_scale": {
        "standard": "mean 0 and standard deviation 1; errors are reported in the target's own units",
        "log": "its logarithm, standardised",
        "none": "as it is",
    },
    "decimal": {".": "3.14", ",": "3,14"},
}

# Words of results, by kind: what `mlpbench explain` says of them beside the words of a file.
VERDICTS: Words = {
    "supported": "The replicates show what the claim says, at a corrected p of at most its level.",
    "refuted": "The replicates show that what the claim says is false, at its margin, at a corrected p of at most its level.",
    "undecided": "The replicates show neither; the report says how many more would decide it.",
    "at the margin": "The difference lies so near to the margin that it is neither beyond it nor clearly short of it.",
}
STATISTICS: Words = {
    "claim": "A stated hypothesis: a sentence, and a form in which it is judged, replicate by replicate.",
    "condition": "One combination of levels of all factors.",
    "factor": "A setting that is varied; its values are levels.",
    "level": "A value of a factor. Of a test: the p at which a claim is decided, 5% shared by seeds and claims.",
    "replicate": "A repetition of every condition with its own random streams; conditions of one replicate share theirs.",
    "run": "One condition in one replicate: one network, one row of results.",
    "stack": "Runs of one shape that are trained together; each has the bits it would have alone.",
    "run_id": "The checksum of a run's settings, data and seed: the same run has the same one in every folder.",
    "stale": "A stored run whose bits may differ from those of a run here, as of another numerics mode: kept, not judged with others; "
    "`run --rerun stale` trains it again.",
    "top-up": "More replicates for claims that are undecided, by `until_decided`, up to `max_replicates`.",
    "fingerprint": "The checksum of a data set: a run belongs to the data it was trained on.",
    "seal": "The checksums of a results folder's files, in `seal.json`: what was altered by hand is named. Not a signature.",
    "paired": "Conditions are compared within each replicate, which shares its random draws; this removes what they share.",
    "margin": "By how much a difference has to exceed 0 to count; 0.2 percentage points for accuracies.",
    "p": "How likely evidence at least as strong is where the true number lies exactly at the margin; small is evidence.",
    "p (Holm)": "p after Holm's correction for the other claims of the report.",
    "p (corrected)": "p after the correction for interim analyses, and Holm's for the other claims of the report.",
    "q": "The smallest false discovery rate, over all tested claims of an index, at which a claim counts as found.",
    "holm": "Holm's method: p values of all claims of a report are corrected so that in 5% at most any verdict is wrong.",
    "verdict": "What the replicates say of a claim: supported, refuted, undecided or at the margin.",
    "estimate": "The mean over replicates of what the claim is about, such as a difference of two conditions, with its interval.",
    "interval": "Where the true value lies, with 95% confidence; it is not corrected for other claims.",
    "power": "The chance to decide a claim at a given true effect; plans are for 80%.",
    "assurance": "The chance to decide a claim, averaged over what the effect may be after a pilot.",
    "sd": "Standard deviation over replicates, the unit in which `plan` says what can be detected.",
    "pp": "Percentage points: 84% is 4 pp more than 80%.",
    "n": "The number of replicates, or of data sets, that a verdict rests on: 18/40 where 40 are planned.",
    "interim analysis": "Judging before all replicates are trained; each spends a share of the level.",
    "e-value": "Evidence against a hypothesis that may be looked at whenever one likes; 20 is as strong as p = 0.05.",
    "register": "What a folder records of its claims before training: those stated later are exploratory.",
    "exploratory": "A claim that was stated, or changed, when its runs had been looked at: a verdict to be tested at a new seed.",
    "anytime": "Stated after its runs had been looked at, and decided by replicates trained since, however often these are looked at.",
    "pilot": "A first look without verdicts, which spends no seed: `mlpbench run --pilot`.",
    "not robust": "Another test set could have led to another verdict.",
    "diverged": "A run whose loss or weights became infinite or not a number: a result, not an error.",
}

# Terms of the field that are neither keys nor results, and where they are met here.
FIELD: Words = {
    "overfitting": "The training examples are predicted better than the test examples: `gap_accuracy` and `gap_loss` say by how much.",
    "softmax": "exp(z) of each output z over the sum of all: outputs as probabilities of classes, as `cross_entropy` takes them.",
    "calibration": "Whether predicted probabilities are as large as the share of right predictions: `test_ece` says by how much they "
    "differ, and `test_brier` and `test_log_loss` depend on it too.",
    "stratify": "To draw a part of the data with the same share of each class as the whole. Validation examples are drawn so, by themselves.",
    "recall": "The share of the examples of a class that are predicted right; `test_balanced_accuracy` is its mean over classes.",
    "resume": "`mlpbench run SPEC` again trains the runs that are missing in the results folder, and no other.",
}


def of_setting(name: str) -> Words:
    """Return the meaning of each word that a setting may have; none of one without words."""
    return SETTINGS.get("init" if name == "bias_init" else name, {})
