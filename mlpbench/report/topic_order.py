"""The topics of an index, in the order of a course, and the one that an experiment falls under.

An experiment file names its topic (`topic: Width and depth`), a word of its own too, which stands behind those of the course. Where it
names none, the topic is that of the first setting, in the order of the file, that it varies and that belongs to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlpbench.base.models import DATASET
from mlpbench.experiment.spec import Experiment

# Each with the settings whose variation makes it the topic. `shifts`, `folds` and `stream` are no settings but parts of a file.
COURSE: Mapping[str, tuple[str, ...]] = {
    "Linear models": ("loss", "input_scale"),
    "Width and depth": ("width", "depth", "hidden_sizes", "residual", "bias"),
    "Optimisation": (
        "lr",
        "schedule",
        "batch_size",
        "optimizer",
        "clip_norm",
        "parametrization",
        "precision",
    ),
    "Activations": ("activation",),
    "Initialisation": ("init", "bias_init", "norm"),
    "Under- and overfitting": ("features", "train_size", "label_noise", "epochs", "steps"),
    "Regularisation": (
        "dropout",
        "weight_decay",
        "decay_bias",
        "l1",
        "input_noise",
        "label_smoothing",
        "early_stopping",
    ),
    "Model selection": ("folds",),
    "Distribution shift": ("shifts", "train_shift", "weighting", "class_weights"),
    "Convolution": ("conv_channels", "pooling"),
    "Variance and replication": ("stream",),
    "Cost": (),
    "Tables": (DATASET,),
}
OTHER = "Other"
# What measures machines rather than networks.
BENCHMARKS = "Kernel benchmarks"


def topic_of(experiment: Experiment) -> str:
    """Return the topic of an experiment: its own, in the spelling of the course, or that of what it varies.

    >>> from mlpbench.experiment.file.yaml_reader import from_mapping
    >>> tree = {"name": "x", "question": "Which?", "dataset": "digits", "factors": {"dropout": [0, 0.5]}}
    >>> topic_of(from_mapping(tree))
    'Regularisation'
    """
    if experiment.topic:
        spelt = {topic.casefold(): topic for topic in (*COURSE, OTHER)}
        return spelt.get(experiment.topic.casefold(), experiment.topic)
    by_setting = {name: topic for topic, names in COURSE.items() for name in names}
    return next((by_setting[name] for name in _varied(experiment) if name in by_setting), OTHER)


def place(topic: str) -> tuple[int, str]:
    """Return what topics are sorted by: the course, then those of users by name, then the rest."""
    last = {OTHER: len(COURSE) + 1, BENCHMARKS: len(COURSE) + 2}
    order = {name: i for i, name in enumerate(COURSE)} | last
    return order.get(topic, len(COURSE)), topic


def _varied(experiment: Experiment) -> Iterator[str]:
    """Yield what differs between conditions, in the order of the file, then what the experiment tests or tunes by."""
    if experiment.one_at_a_time:
        yield "stream"
    yield from experiment.factors
    yield from experiment.zipped
    for name in dict.fromkeys(key for condition in experiment.conditions for key in condition):
        if name != "label" and len({repr(condition.get(name)) for condition in experiment.conditions}) > 1:
            yield name
    if experiment.shifts:
        yield "shifts"
    if experiment.folds is not None:
        yield "folds"
    yield from experiment.nuisance
