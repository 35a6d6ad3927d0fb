"""What every key of an experiment file means, with an example: of the file, of claims and their forms, and of data sets.

`mlpbench explain` and the JSON Schema say it in these words. Settings have their meanings in `experiment.settings`; their
examples, and where they come from, are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Example = Any


@dataclass(frozen=True)
class KeyMeaning:
    """What a key means, examples of its values as a file has them, the range of numbers in words, and the default as written."""

    meaning: str
    examples: tuple[Example, ...]
    values: str = ""
    default: str = ""


def _key(meaning: str, *examples: Example, values: str = "", default: str = "") -> KeyMeaning:
    return KeyMeaning(meaning, examples, values, default)


NUMBER, POSITIVE, AT_LEAST_0 = "a number", "a number above 0", "a number of at least 0"
SHARE = "a number above 0 and below 1"
TRUTH = "true or false"


FILE: Mapping[str, KeyMeaning] = {
    "name": _key(
        "A plain word; names the folder of results.", "width", values="a word of letters, digits, '_' and '-'; needed"
    ),
    "question": _key(
        "What the experiment asks, in a sentence.",
        "Does a wider hidden layer generalise better?",
        values="text; needed",
    ),
    "topic": _key(
        "The heading under which an index lists the experiment; left out, it follows from what is varied.",
        "Capacity",
        values="words on one line, at most 60 letters",
    ),
    "dataset": _key(
        "A named data set (`mlpbench data list` has them), with options as a mapping, or a file of your own; or what several share that are levels of a factor.",
        "digits",
        {"name": "linear", "features": 20, "weights": 0.1},
        {"file": "mine.csv", "target": "price"},
        values="a name, {name: NAME, OPTION: ...} or {file: PATH, target: COLUMN}; needed, or levels under factors",
    ),
    "validation": _key(
        "A share of the training examples held out, or folds.",
        0.2,
        {"folds": 5},
        values="a share above 0 and below 1, or {folds: N}",
    ),
    "fixed": _key(
        "One value for each setting that is not varied; what is left out has its default.",
        {"width": 64, "optimizer": "adam", "lr": 0.001},
    ),
    "factors": _key(
        "Levels for each setting that is varied, or data sets: all combinations are trained.",
        {"width": [16, 64, 256], "dropout": [0, 0.5]},
    ),
    "ablate": _key(
        "An ablation: settings of the base, and for each piece its value where it is removed.",
        {"base": {"dropout": 0.2, "norm": "layer"}, "remove": {"dropout": 0, "norm": "none"}},
    ),
    "nuisance": _key(
        "Levels, or a range, of each setting that is tuned on validation, for each condition.",
        {"lr": [0.01, 0.1, 1.0]},
        {"lr": {"log_uniform": [0.001, 1.0], "levels": 12}},
    ),
    "replicates": _key(
        "How often every condition is repeated, each time with other random draws.",
        10,
        values="a whole number in [1, 100000]",
        default="5",
    ),
    "seed": _key("Where the random streams start.", 1, values="a whole number of at least 0", default="0"),
    "shifts": _key(
        "Severities of each kind of shift under which the test set is evaluated too.", {"noise": [0.1, 0.2]}
    ),
    "probes": _key(
        "Epochs at which layers are measured: numbers, start, end.",
        ["start", 1, "end"],
        values="numbers of at least 0, start or end, in a list",
        default="[start, end]",
    ),
    "vary": _key(
        "The random streams in which replicates differ, or, under `each`, streams that vary one at a time.",
        ["init", "order"],
        {"each": ["init", "order", "split"]},
        default="[init, order, dropout, split, noise]",
    ),
    "until_decided": _key(
        "Further replicates for claims that are undecided.", {"max_replicates": 30}, {"anytime": True}
    ),
    "plugins": _key(
        "Files with pieces of your own beside this one, or names of installed plugins.",
        ["pieces.py"],
        values="a file in the folder of this one, or the name of an installed package, or a list of them",
    ),
    "save_weights": _key(
        "Whether the weights of finished runs are kept, a safetensors file for each.",
        True,
        values=TRUTH,
        default="false",
    ),
    "claims": _key(
        "Stated hypotheses, to be judged.",
        [
            {
                "id": "wider-is-better",
                "says": "256 hidden units classify test images better than 16.",
                "compare": {"metric": "test_accuracy", "a": {"width": 256}, "b": {"width": 16}, "expect": "greater"},
            }
        ],
    ),
}

# The record of a plugin, as mlpbench writes it.
PLUGIN = _key("The file or the installed package that the pieces are of.", "pieces.py")
PIECES = _key("Pieces of this kind, each with the digest of its code.", {"mine": "0123456789ab"})

# Keys below keys of the file, by what they stand under.
BELOW: Mapping[str, Mapping[str, KeyMeaning]] = {
    "validation": {
        "folds": _key(
            "Number of folds: each replicate is validated on each of them in turn.",
            5,
            values="a whole number of at least 2",
        ),
        "refit": _key("Which tuned levels are trained again on all training examples.", "chosen", default="chosen"),
    },
    "factors": {
        "zip": _key(
            "Levels that go together, first with first: lists of one length.", {"width": [8, 16], "lr": [1, 0.5]}
        ),
        "conditions": _key(
            "Whole conditions, each with a label of its own.",
            [{"label": "small", "width": 8}, {"label": "large", "width": 64, "dropout": 0.5}],
        ),
        "label": _key("What a report calls a condition, or a data set that is a level.", "small"),
    },
    "ablate": {
        "base": _key("Settings of the whole, all pieces in place.", {"dropout": 0.2, "norm": "layer"}),
        "remove": _key("For each piece its value where it is removed: two or more.", {"dropout": 0, "norm": "none"}),
    },
    "nuisance": {
        "log_uniform": _key("The two ends of a range, evenly tried by ratio.", [0.001, 1.0]),
        "uniform": _key("The two ends of a range, evenly tried.", [0.1, 0.5]),
        "int": _key("The first and the last of whole numbers to try.", [1, 4]),
        "choice": _key("Values to choose from.", ["relu", "tanh"]),
        "levels": _key(
            "How many points are tried, the same for all ranges of a file.", 24, values="a whole number in [2, 10000]"
        ),
    },
    "vary": {"each": _key("Streams of which one varies at a time, so that each has its share.", ["init", "order"])},
    "until_decided": {
        "max_replicates": _key(
            "The largest number of replicates, declared before any result is known.",
            30,
            values="a whole number in [3, 100000]",
        ),
        "anytime": _key(
            "Whether verdicts hold however often one looks, so that no largest number is declared.",
            True,
            values=TRUTH,
            default="false",
        ),
    },
    "early_stopping": {
        "patience": _key(
            "Epochs without a better value after which training ends.",
            10,
            values="a whole number of at least 1",
            default="10",
        ),
        "min_delta": _key("By how much a value must be better to count.", 0.001, values=AT_LEAST_0, default="0"),
        "metric": _key("What is watched on the validation examples.", "val_loss", default="val_loss"),
    },
}

CLAIM: Mapping[str, KeyMeaning] = {
    "id": _key(
        "A plain word for the claim; names it in reports and commands.",
        "wider-is-better",
        values="a word of letters, digits, '_' and '-'; needed",
    ),
    "says": _key(
        "The claim in a sentence.", "256 hidden units classify test images better than 16.", values="text; needed"
    ),
    "source": _key(
        "Who makes the claim: a book, a paper, a rule of thumb.", "Dive into Deep Learning, section 5.2", values="text"
    ),
    "test": _key("The test that judges it.", "sign_flip", default="t; signed_rank over data sets"),
    "interval": _key("How the interval of the estimate is made.", "bca", default="t"),
    "unit": _key(
        "What it has one number of each of: replicates of these data sets, or data sets like these.",
        "dataset",
        default="replicate",
    ),
}

_SELECTED = "Levels of the conditions it is about; the mean is taken over what they leave open."
# Keys that mean the same in all forms of claim.
_SHARED: Mapping[str, KeyMeaning] = {
    "metric": _key("The number of a run that the claim is about.", "test_accuracy", "late_test_loss"),
    "a": _key("Levels of the conditions on the first side.", {"width": 256}),
    "b": _key("Levels of the conditions on the second side.", {"width": 16}),
    "where": _key(_SELECTED, {"width": 256}),
    "margin": _key(
        "By how much the numbers have to differ; 0.002 for accuracies and 0 for others if left out.",
        0.005,
        values=AT_LEAST_0,
    ),
}
FORMS: Mapping[str, Mapping[str, KeyMeaning]] = {
    "compare": {
        "expect": _key("What a is expected to be against b.", "greater"),
        "of": _key("What of the replicates' differences is judged.", "median", default="mean"),
    },
    "trend": {
        "factor": _key("The factor along whose levels the metric rises or falls.", "width"),
        "expect": _key("Which way the metric goes as the factor grows.", "rises"),
        "scale": _key("On which scale levels are placed.", "log", default="linear"),
        "shape": _key("monotone: every step has to go that way, not only the slope.", "monotone"),
        "margin": _key("By how much the slope has to exceed 0.", 0.001, values=AT_LEAST_0, default="0"),
    },
    "bound": {
        "above": _key("The number the metric is said to exceed.", 0.9, values=NUMBER),
        "below": _key("The number the metric is said to stay below.", 0.1, values=NUMBER),
        "of": _key("Of what the number is a bound.", "every", default="mean"),
    },
    "matches": {
        "value": _key("The published number.", 0.88, values=NUMBER),
        "tolerance": _key("How far from it the mean may lie.", 0.01, values=POSITIVE),
    },
    "contrast": {
        "terms": _key(
            "Conditions with their weights.",
            [{"weight": 1, "where": {"width": 64}}, {"weight": -1, "where": {"width": 8}}],
        ),
        "weight": _key("By what the metric of these conditions is multiplied.", -1, values=NUMBER),
        "expect": _key("What the weighted sum is expected to be.", "greater"),
        "margin": _key(
            "By how much the sum has to differ from 0; 0.002 for accuracies if left out.", 0.005, values=AT_LEAST_0
        ),
    },
    "best": {
        "over": _key("The factor whose best level is sought.", "lr"),
        "where": _key("Levels of the conditions among which the best level is compared.", {"width": 256}),
        "and": _key("Levels of the conditions it is compared with.", {"width": 16}),
        "expect": _key("Where the best level under `where` is expected, against that under `and`.", "lower"),
    },
    "share": {
        "stream": _key("The random stream whose variance is meant.", "init"),
        "expect": _key("What is expected of its variance.", "largest"),
        "among": _key("The streams it is compared with; all that vary if left out.", ["init", "order"]),
    },
    "wins": {
        "above": _key(
            "The share of replicates in which a has to be better, ties left out.", 0.75, values=SHARE, default="0.75"
        )
    },
    "fails": {
        "expect": _key("Whether runs of a are expected to fail more or less often than those of b.", "less"),
        "worse_than": _key("A run fails too where its metric is worse than this number.", 2.0, values=NUMBER),
    },
}
FORM_MEANINGS: Mapping[str, str] = {
    "compare": "Metric of condition a against condition b, paired by replicate.",
    "trend": "A metric rises or falls over the levels of a factor, by one slope of each replicate.",
    "bound": "A metric is above or below a number, in the mean, the median, the typical replicate or in every one.",
    "matches": "The mean of a metric is a published number, within a tolerance.",
    "contrast": "A weighted sum of conditions is above, below or about 0, paired by replicate.",
    "best": "The best level of a factor under `where` is higher, lower or the same as under `and`.",
    "share": "One random stream causes more of the variance among replicates than each other stream.",
    "wins": "Side a is better than b in more than a share of replicates, ties left out.",
    "fails": "Runs of a fail, by diverging or by a bad number, more or less often than those of b.",
}
# A claim of each form.
FORM_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "compare": {
        "metric": "test_accuracy",
        "a": {"width": 256},
        "b": {"width": 16},
        "expect": "greater",
        "margin": 0.005,
    },
    "trend": {"metric": "test_accuracy", "factor": "width", "expect": "rises", "scale": "log"},
    "bound": {"metric": "test_accuracy", "where": {"width": 256}, "above": 0.9},
    "matches": {"metric": "test_accuracy", "where": {"width": 256}, "value": 0.88, "tolerance": 0.01},
    "contrast": {"metric": "test_accuracy", **{"terms": FORMS["contrast"]["terms"].examples[0]}, "expect": "greater"},
    "best": {"metric": "test_loss", "over": "lr", "where": {"width": 256}, "and": {"width": 16}, "expect": "lower"},
    "share": {"metric": "test_accuracy", "stream": "init", "expect": "largest"},
    "wins": {"metric": "test_accuracy", "a": {"width": 256}, "b": {"width": 16}, "above": 0.75},
    "fails": {"metric": "test_loss", "a": {"lr": 1.0}, "b": {"lr": 0.1}, "expect": "greater"},
}

_COLUMN = "a name, or a position such as -1, the last"
DATA: Mapping[str, KeyMeaning] = {
    "name": _key("The name of a data set that `mlpbench data list` has.", "digits"),
    "label": _key("What reports and selectors call the data set where it is a level.", "flowers"),
    "file": _key(
        "A table of your own: text, parquet, npz or arrays; its path starts at the experiment file.", "mine.csv"
    ),
    "target": _key(f"The column to predict: {_COLUMN}.", "price", -1),
    "drop": _key("Columns that are no inputs.", ["id", "date"]),
    "columns": _key("The only columns that are inputs.", ["age", "income"]),
    "test": _key("The share of rows that are held out for testing.", 0.3, values=SHARE, default="0.2"),
    "test_file": _key("Another file with the rows to test on.", "mine_test.csv"),
    "resplit": _key("Whether each replicate draws its own test rows.", True, values=TRUTH, default="false"),
    "scale": _key("How columns of numbers are scaled, by the training rows.", "robust", default="standard"),
    "missing": _key("What is done about gaps.", "drop_rows", default="impute"),
    "missing_values": _key("What else is written for a gap.", [-999, "unknown"]),
    "words": _key("Columns of numbers that are names, such as postal codes.", ["zip"]),
    "day_first": _key("Whether 3/4/2024 is the third of April.", True, values=TRUTH),
    "task": _key("Whether the target is a class or a number, where that is not plain.", "classes"),
    "target_scale": _key("How a target that is a number is scaled for training.", "log"),
    "separator": _key("What stands between columns of text.", ";"),
    "decimal": _key("The mark before decimals.", ","),
    "encoding": _key("The encoding of text.", "latin-1"),
    "header": _key("Whether the first row has the names of columns, or the names themselves.", False, ["a", "b", "y"]),
    "comment": _key("What lines that are no rows begin with.", "#"),
    "split": _key(f"The column that says which rows are for training, validation and testing: {_COLUMN}.", "part"),
    "groups": _key(f"The column whose equal values stay on one side of every split: {_COLUMN}.", "patient"),
    "time": _key(f"The column in whose order rows are split, the latest for testing: {_COLUMN}.", "day"),
    "facts": _key("What mlpbench has written of the file; left out by people.", {}),
}
# Options of synthetic data.
SYNTHETIC: Mapping[str, KeyMeaning] = {
    "weights": _key(
        "The true weights, one for each input; with `features` one number for all.",
        [2.0, -3.4],
        0.01,
        default="[-6.0, 3.2, 10.5]",
    ),
    "features": _key(
        "How many inputs there are, beside one number for all weights.", 200, values="a whole number in [1, 10000]"
    ),
    "bias": _key("The true constant.", 4.2, values=NUMBER, default="1.7"),
    "coefficients": _key(
        "Of x^k / k!, the constant first; those left out are 0.", [5.0, 1.2, -3.4, 5.6], default="[5.0, 1.2, -3.4, 5.6]"
    ),
    "degree": _key("How many powers of x are inputs.", 20, values="a whole number in [1, 40]", default="20"),
    "noise": _key(
        "Standard deviation of the noise on the target.", 0.01, values=AT_LEAST_0, default="0.01; 0.1 of polynomial"
    ),
    "train": _key(
        "Number of training examples that each replicate draws.",
        1000,
        values="a whole number in [1, 1000000]",
        default="1000; 100 of polynomial",
    ),
    "test": _key(
        "Number of test examples that each replicate draws.",
        1000,
        values="a whole number in [1, 1000000]",
        default="1000; 100 of polynomial",
    ),
}

SETTINGS: Mapping[str, tuple[Example, ...]] = {
    "hidden_sizes": ([256, 64], []),
    "width": (256,),
    "depth": (2,),
    "activation": ("tanh", {"leaky_relu": 0.1}),
    "init": ("he_normal", {"normal": 0.01}),
    "bias_init": ("zeros",),
    "dropout": (0.5, [0.2, 0.5]),
    "input_noise": (0.1,),
    "weight_decay": (0.001,),
    "decay_bias": (True,),
    "l1": (0.0001,),
    "optimizer": ("adam", {"sgd": {"momentum": 0.9}}),
    "lr": (0.1,),
    "schedule": ("cosine", {"warmup": "10%", "then": "cosine"}),
    "batch_size": (256, "full"),
    "epochs": (10,),
    "steps": (2000,),
    "train_size": (1000, "all"),
    "loss": ("cross_entropy",),
    "label_noise": (0.2,),
    "norm": ("layer",),
    "clip_norm": (1.0, "none"),
    "precision": ("float32",),
    "features": (3, "all"),
    "input_scale": (10.0,),
    "conv_channels": ([8, 16],),
    "pooling": ("average",),
    "train_shift": ({"label": 3},),
    "weighting": ("classifier",),
    "label_smoothing": (0.1,),
    "class_weights": ("balanced", {"rare": 5}),
    "bias": (False,),
    "residual": (True,),
    "parametrization": ({"mup": 64},),
    "early_stopping": (10, {"patience": 10, "min_delta": 0.001}),
}
# The keys that each form shares with others.
SHARED_KEYS: Mapping[str, tuple[str, ...]] = {
    "compare": ("metric", "a", "b", "margin"),
    "trend": ("metric",),
    "bound": ("metric", "where"),
    "matches": ("metric", "where"),
    "contrast": ("metric", "where"),
    "best": ("metric",),
    "share": ("metric", "where"),
    "wins": ("metric", "a", "b"),
    "fails": ("metric", "a", "b"),
}


def of_form(form: str, key: str) -> KeyMeaning | None:
    """Return what a key of a form of claim means; None of a form that is described nowhere but in itself."""
    if form not in FORMS:
        return None
    return FORMS[form].get(key) or (_SHARED[key] if key in SHARED_KEYS[form] else None)


def keys_of(form: str) -> Mapping[str, KeyMeaning]:
    """Return what each key of a form of claim means."""
    return {key: _SHARED[key] for key in SHARED_KEYS[form]} | dict(FORMS[form])
