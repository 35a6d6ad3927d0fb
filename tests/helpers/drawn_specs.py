"""Experiments made by hypothesis: every setting in every role, spelt in every way a file may spell it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from mlpbench.base.errors import InputError
from mlpbench.base.models import DATASET, STREAMS
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.settings import GPU_PRECISIONS, SETTINGS
from mlpbench.experiment.spec import INSTEAD_OF, Experiment

# Training in this process leaves the processor flushing subnormal numbers: no test may depend on whether it has.
floats = functools.partial(st.floats, allow_nan=False, allow_infinity=False, allow_subnormal=False)

PLAIN: dict[str, Any] = {"name": "made", "question": "Does it matter?", "dataset": "fashion_mnist"}
SHARES = floats(0, 1)
POSITIVE = floats(1e-6, 10)
PLAIN_INITS = ["default", "xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "zeros"]
SPELT_INITS = (
    POSITIVE.map(lambda v: {"normal": v})
    | POSITIVE.map(lambda v: f"normal({v!r})")
    | floats(-2, 2).map(lambda v: {"constant": v})
)
MOMENTA = st.sampled_from(["momentum", "nesterov"])
ADAMS = st.sampled_from(["adam", "adamw"])
# What a file may say for each setting: tests fail where a setting has no entry.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "hidden_sizes": st.lists(st.integers(1, 64), max_size=3),
    "width": st.integers(1, 2048),
    "depth": st.integers(0, 4),
    "activation": st.sampled_from(["identity", "relu", "leaky_relu", "prelu", "sigmoid", "tanh", "gelu", "silu", "elu"])
    | SHARES.map(lambda v: {"leaky_relu": v}),
    "init": st.sampled_from([*PLAIN_INITS, "orthogonal"]) | SPELT_INITS,
    "bias_init": st.sampled_from(PLAIN_INITS) | SPELT_INITS,
    "dropout": SHARES | st.sampled_from([0, 1]),
    "input_noise": floats(0, 3) | st.integers(0, 2),
    "weight_decay": floats(0, 5) | st.integers(0, 3),
    "decay_bias": st.booleans(),
    "l1": floats(0, 5) | st.integers(0, 3),
    "optimizer": st.sampled_from(["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
    | st.builds(lambda name, v: {name: v}, MOMENTA, SHARES)
    | st.builds(lambda name, v: f"{name}({v!r})", MOMENTA, SHARES)
    | st.builds(lambda name, b, e: {name: {"betas": [b, 0.98], "eps": e}}, ADAMS, floats(0, 0.99), floats(1e-12, 1))
    | st.builds(lambda name, e: {name: {"eps": e}}, st.sampled_from(["adam", "adamw", "rmsprop"]), floats(1e-12, 1))
    | st.builds(lambda name, b: f"{name}(0.9,{b!r},1e-06)", ADAMS, floats(0, 0.99))
    | st.builds(lambda a, m: {"rmsprop": {"alpha": a, "momentum": m}}, SHARES, SHARES)
    | st.builds(lambda m, d: {"sgd": {"momentum": m, "dampening": d}}, floats(0.01, 1), SHARES)
    | st.builds(lambda m, n: {"sgd": {"momentum": m, "nesterov": n}}, floats(0.01, 1), st.booleans())
    | st.sampled_from([{"sgd": {}}, {"adam": {}}, "momentum(0.9,0.1)", {"sgd": {"momentum": 0}}]),
    "lr": POSITIVE | st.integers(1, 3),
    "schedule": st.sampled_from(["constant", "cosine"])
    | st.builds(lambda k, f: {"step": {"every": k, "factor": f}}, st.integers(1, 10_000), POSITIVE)
    | st.builds(lambda k, f: {"step": {"factor": f, "every": k}}, st.integers(1, 10_000), st.integers(1, 3))
    | st.builds(lambda k, f: f"step({k},{f!r})", st.integers(1, 10_000), POSITIVE)
    | st.integers(1, 10_000).map(lambda k: {"warmup": k})
    | st.integers(1, 10_000).map(lambda k: f"warmup({k})"),
    "batch_size": st.integers(1, 70_000) | st.just("full"),
    "epochs": st.integers(0, 20),
    "steps": st.integers(0, 5_000),
    "train_size": st.integers(10, 60_000) | st.just("all"),
    "loss": st.sampled_from(["cross_entropy", "naive_cross_entropy", "squared_error", "mse"]),
    "label_noise": SHARES | st.sampled_from([0, 1]),
    "norm": st.sampled_from(["none", "layer", "batch"]),
    "clip_norm": POSITIVE | st.integers(1, 3) | st.sampled_from([None, "none"]),
    "precision": st.sampled_from(["float32", "float64", "bfloat16", *GPU_PRECISIONS]),
    "features": st.integers(1, 784) | st.just("all"),
    "input_scale": POSITIVE | st.integers(1, 3),
    "train_shift": st.just("none")
    | st.builds(lambda kind, s: {kind: s}, st.sampled_from(["covariate", "label"]), POSITIVE)
    | st.builds(lambda kind, s: f"{kind}({s!r})", st.sampled_from(["covariate", "label"]), POSITIVE),
    "weighting": st.sampled_from(["none", "exact", "classifier", "bbse"]),
    "label_smoothing": SHARES | st.sampled_from([0, 1]),
    "class_weights": st.sampled_from(
        ["none", "balanced", {"Coat": 2, "Bag": 0.5}, '{"Bag": 0.5, "Coat": 2.0}', {"Coat": 3.0}]
    ),
    "bias": st.booleans(),
    "residual": st.booleans(),
    "parametrization": st.just("standard")
    | st.sampled_from(["mup", "mup(64)", {"mup": 64}])
    | st.builds(lambda w: {"mup": w}, st.integers(1, 4096)),
    "early_stopping": st.integers(1, 30)
    | st.builds(
        lambda p, d, m: {"patience": p, "min_delta": d, "metric": m},
        st.integers(1, 30),
        SHARES,
        st.sampled_from(["val_loss", "val_accuracy"]),
    ),
    "conv_channels": st.lists(st.integers(1, 64), max_size=4),
    "pooling": st.sampled_from(["max", "average"]),
}
# Settings that hang together: what one may be follows from the others, so that trees have them as a whole.
# Of one shape and size, as their levels are written.
DATA_LEVELS: tuple[Any, ...] = ("fashion_mnist", "mnist", {"name": "kmnist", "label": "old characters"})
TOGETHER: tuple[dict[str, Any], ...] = (
    {"train_size": 500, "train_shift": {"covariate": 2}, "weighting": "classifier"},
    {"train_size": 500, "train_shift": {"label": 0.5}, "weighting": "bbse", "label_noise": 0},
    {"train_size": 1_000, "train_shift": "covariate(1.0)", "weighting": "exact"},
    {"train_size": 1_000, "train_shift": {"label": 3}, "weighting": "none"},
    {"loss": "cross_entropy", "label_smoothing": 0.1},
    {"parametrization": {"mup": 32}, "init": "he_normal", "l1": 0, "conv_channels": []},
    {"parametrization": "mup", "init": {"normal": 0.1}, "l1": 0, "conv_channels": []},
)
NOT_ALONE = ("train_shift", "weighting", "label_smoothing", "parametrization", "early_stopping")
# What does not stand beside convolutions.
BARS_MAPS = ("norm", "features")
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300).filter(lambda t: bool(t.strip()))
LABELS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda t: t.isprintable() and t.strip())


def made(tree: Mapping[str, Any]) -> Experiment:
    """Return the checked experiment; an example in which two conditions are one run, or a batch norm has one example, is none."""
    try:
        return yaml_reader.from_mapping(tree)
    except InputError as error:
        assume("are the same run" not in str(error) and "norm batch needs" not in str(error))
        raise


def spec(**keys: Any) -> Experiment:
    """Return a checked experiment with these keys beside name, question and data set."""
    return yaml_reader.from_mapping(PLAIN | keys)


@st.composite
def trees(draw: st.DrawFn, *, claims: bool = True) -> dict[str, Any]:
    """Draw the plain tree of a valid experiment: at most 60 conditions."""
    apart = [name for name in VALUES if name not in NOT_ALONE]
    chosen = draw(st.lists(st.sampled_from(apart), unique=True, max_size=6))
    for short, others in INSTEAD_OF.items():
        if short in chosen:
            chosen = [name for name in chosen if name not in others]
    if "conv_channels" in chosen:
        chosen = [name for name in chosen if name not in BARS_MAPS]
    fixed: dict[str, Any] = {}
    factors: dict[str, Any] = {}
    zipped: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    n_zipped, n_rows = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    for name in chosen:
        role = draw(st.sampled_from(["fixed", "factor", "zip", "row"]))
        if role == "fixed":
            fixed[name] = draw(VALUES[name])
        elif role == "factor" and len(factors) < 2:
            read = SETTINGS[name].read
            factors[name] = draw(st.lists(VALUES[name], min_size=1, max_size=3, unique_by=read))
        elif role == "zip":
            zipped[name] = draw(st.lists(VALUES[name], min_size=n_zipped, max_size=n_zipped))
        elif role == "row":
            rows = rows or [{"label": v} for v in draw(st.lists(LABELS, unique=True, min_size=n_rows, max_size=n_rows))]
            for row in rows:
                row[name] = draw(VALUES[name])
    data = draw(st.sampled_from(["shared", "shared", "factor", "zip", "row"]))
    if "class_weights" in chosen:  # which name classes of one of them
        data = "shared"
    if data == "factor":
        factors[DATASET] = draw(st.lists(st.sampled_from(DATA_LEVELS), min_size=1, max_size=3, unique_by=str))
    elif data == "zip" and zipped:
        zipped[DATASET] = draw(st.lists(st.sampled_from(DATA_LEVELS), min_size=n_zipped, max_size=n_zipped))
    elif data == "row" and rows:
        for row in rows:
            row[DATASET] = draw(st.sampled_from(DATA_LEVELS))
    together = draw(st.sampled_from([{}, {}, *TOGETHER]))
    if not together.keys() & set(chosen):
        fixed |= together
    if "hidden_sizes" in fixed and "dropout" in fixed:
        n = len(fixed["hidden_sizes"])
        fixed["dropout"] = draw(st.lists(SHARES, min_size=n, max_size=n))
    tree: dict[str, Any] = {"name": draw(NAMES), "question": draw(WORDS)}
    if not any(DATASET in levels for levels in (factors, zipped, *rows)):
        tree[DATASET] = "fashion_mnist"
    tree |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "replicates": st.integers(1, 4),
                "seed": st.integers(0, 2**63 - 1),
                "validation": floats(0.01, 0.9),
                "vary": st.lists(st.sampled_from(STREAMS), min_size=1, unique=True),
                "shifts": st.dictionaries(
                    st.sampled_from(["noise", "blur", "brightness", "contrast"]),
                    st.lists(st.sampled_from([0.1, 0.25, 0.5, 1]), min_size=1, max_size=3, unique=True),
                    max_size=3,
                ),
                "probes": st.lists(floats(0, 20) | st.integers(0, 20) | st.sampled_from(["start", "end"]), max_size=4),
            },
        )
    )
    if "validation" in tree and draw(st.booleans()):
        fixed["early_stopping"] = draw(VALUES["early_stopping"])
    if claims:
        tree["claims"] = draw(_claims(factors, rows))
    grid = factors | ({"zip": zipped} if zipped else {}) | ({"conditions": rows} if rows else {})
    return tree | ({"fixed": fixed} if fixed else {}) | ({"factors": grid} if grid else {})


@st.composite
def _claims(draw: st.DrawFn, factors: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw claims of every form that the factors allow."""
    words = [level if isinstance(level, str) else level["label"] for level in factors.get(DATASET, ())]
    axes = {**factors, **({DATASET: words} if words else {}), **({"label": [r["label"] for r in rows]} if rows else {})}
    forms: list[dict[str, Any]] = [{"bound": {"metric": "test_accuracy", "above": draw(SHARES), "of": "every"}}]
    for name, levels in axes.items():
        forms.append({"bound": {"metric": "steps_to_train_loss_0.5", "where": {name: levels[0]}, "below": 3}})
        if len(levels) < 2:
            continue
        one, other = {name: levels[0]}, {name: levels[-1]}
        compare = {"metric": "test_loss", "a": one, "b": other, "expect": "equivalent", "margin": draw(SHARES)}
        terms = [{"weight": draw(st.integers(1, 3)), "where": one}, {"weight": -draw(POSITIVE), "where": other}]
        forms += [{"compare": compare}, {"contrast": {"metric": "flops", "terms": terms, "expect": "less"}}]
        if name not in ("label", DATASET):
            forms.append({"trend": {"metric": "gap_loss", "factor": name, "expect": "falls", "scale": "rank"}})
    picked = draw(st.lists(st.sampled_from(forms), max_size=3))
    return [{"id": f"claim-{i}", "says": draw(WORDS), **form} for i, form in enumerate(picked)]
