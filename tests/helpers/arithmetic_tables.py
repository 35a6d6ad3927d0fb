"""Tables of a whole experiment made by arithmetic: real specs, real grids and identities, seeded numbers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from single_runs import make_run

from mlpbench.evidence.judging.claim_verdicts import judge_claims
from mlpbench.evidence.judging.verdict import Interval, Verdict, claims_table
from mlpbench.evidence.statistics.effect_sizes import Sizes
from mlpbench.evidence.statistics.outlook import Outlook
from mlpbench.experiment import grid
from mlpbench.experiment.grid import Condition
from mlpbench.experiment.spec import Experiment, build
from mlpbench.results.schemas import SCHEMAS

FIXED = {"depth": 1, "activation": "relu", "optimizer": "sgd", "lr": 0.1, "batch_size": 256, "epochs": 10}
WIDTHS = [8, 16, 32, 64, 128, 256, 512, 1024]
WIDTH_CLAIMS = [
    {
        "id": "wider-is-better",
        "says": "1024 hidden units classify test images better than 256.",
        "source": "Dive into Deep Learning, MLP implementation, exercise 1",
        "compare": {"metric": "test_accuracy", "a": {"width": 1024}, "b": {"width": 256}, "expect": "greater"},
    },
    {
        "id": "accuracy-rises",
        "says": "Test accuracy rises with width.",
        "trend": {"metric": "test_accuracy", "factor": "width", "expect": "rises", "scale": "log"},
    },
    {
        "id": "wider-is-faster",
        "says": "A wider network needs fewer steps to a train loss of 0.5.",
        "trend": {"metric": "steps_to_train_loss_0.5", "factor": "width", "expect": "falls", "scale": "log"},
    },
    {
        "id": "gain-levels-off",
        "says": "The step from 512 to 1024 brings less than that from 8 to 16.",
        "contrast": {
            "metric": "test_accuracy",
            "terms": [
                {"weight": 1, "where": {"width": 16}},
                {"weight": -1, "where": {"width": 8}},
                {"weight": -1, "where": {"width": 1024}},
                {"weight": 1, "where": {"width": 512}},
            ],
            "expect": "greater",
        },
    },
    {
        "id": "wide-is-wide",
        "says": "512 and 1024 hidden units do equally well.",
        "compare": {"metric": "test_accuracy", "a": {"width": 1024}, "b": {"width": 512}, "expect": "equivalent"},
    },
    {
        "id": "reaches-bar",
        "says": "256 hidden units pass a test accuracy of 0.7 in every replicate.",
        "bound": {"metric": "test_accuracy", "where": {"width": 256}, "above": 0.7, "of": "every"},
    },
]


@dataclass(frozen=True)
class Tables:
    """An experiment and what a run of it would have stored."""

    experiment: Experiment
    conditions: list[Condition]
    runs: pd.DataFrame
    curves: pd.DataFrame

    @property
    def parts(self) -> tuple[Experiment, list[Condition], pd.DataFrame, pd.DataFrame]:
        """The arguments of `judge` and `render`."""
        return self.experiment, self.conditions, self.runs, self.curves


def spec(**keys: Any) -> Experiment:
    """Return an experiment on Fashion-MNIST with the baseline's settings."""
    factors = keys.get("factors", {})
    listed = {k for row in factors.get("conditions", []) for k in row}
    varied = {*factors, *factors.get("zip", {}), *listed}
    fixed = {k: v for k, v in FIXED.items() if k not in varied}
    tree = {"name": "made", "question": "Does it matter?", "dataset": "fashion_mnist", "fixed": fixed} | keys
    return build(tree)


def make(
    experiment: Experiment, *, status: Mapping[tuple[int, int], str] | None = None, spread: float = 0.001, seed: int = 0
) -> Tables:
    """Return tables in which larger networks do better; `status` of (condition, replicate): diverged, failed, missing.

    Replicates share a component, as common random numbers make them.
    """
    rng = np.random.default_rng(seed)
    conditions = grid.conditions(experiment)
    runs: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    common = rng.normal(0, spread, experiment.replicates)
    for i, condition in enumerate(conditions):
        for r in range(experiment.replicates):
            ended = (status or {}).get((i, r), "ok")
            if ended == "missing":
                continue
            run = make_run(experiment, condition, r)
            row = _identity(experiment, run) | {
                "status": ended,
                "train_seconds": 2.0 + i + 0.01 * r,
                "flops": 1e10 * (i + 1),
            }
            if ended == "failed":
                runs.append(row | {"error": "MemoryError: no room", "train_seconds": None, "flops": None})
                continue
            path = _path(i, condition, common[r] + rng.normal(0, spread), rng)
            if ended == "diverged":
                runs.append(row | {"diverged": 1.0, "diverged_at_step": 300, "n_parameters": 1000})
                curves += [{"run_id": run.run_id, **point} for point in path if point["step"] < 300]
                continue
            last = {p["split"]: p for p in path[-2:]}
            numbers = {f"{s}_{m}": last[s][m] for s in ("train", "test") for m in ("loss", "accuracy")}
            if experiment.validation:
                numbers |= {"val_loss": last["test"]["loss"] + 0.01, "val_accuracy": last["test"]["accuracy"] - 0.001}
            numbers["gap_loss"] = numbers["test_loss"] - numbers["train_loss"]
            numbers["gap_accuracy"] = numbers["train_accuracy"] - numbers["test_accuracy"]
            more = {"diverged": 0.0, "weight_norm": 9.0, "sparsity": 0.0, "dead_units": 0.0, "distinct_units": 8.0}
            runs.append(row | numbers | more | {"weights_sha256": f"{i:032d}{r:032d}", "n_parameters": 1000})
            curves += [{"run_id": run.run_id, **point} for point in path]
    return Tables(experiment, conditions, frame("runs", runs), frame("curves", curves))


def frame(table: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as the store would: through the table's Arrow schema."""
    return pa.Table.from_pylist([dict(r) for r in rows], schema=SCHEMAS[table]).to_pandas()


def _identity(experiment: Experiment, run: grid.Run) -> dict[str, Any]:
    settings = {name: getattr(run.settings, name) for name in vars(run.settings)}
    environment = {
        "env_python": "3.11.9", "env_torch": "2.12.0", "env_numpy": "2.4.0", "env_mlpbench": "0.1.0",
        "env_commit": "0123456789abcdef0123456789abcdef01234567", "env_dirty": False, "env_cpu": "Some CPU @ 2.0 GHz",
        "env_capability": "AVX512", "env_threads": 1, "env_numerics": "fast", "env_device": "cpu",
        "env_dataset": experiment.facts[0].fingerprint,
    }  # fmt: skip
    return settings | environment | {
        "run_id": run.run_id, "condition_id": run.condition.condition_id, "replicate": run.replicate,
        "seed": run.seed, "dataset": experiment.facts[0].name, "stack_size": experiment.replicates,
    }  # fmt: skip


def _path(i: int, condition: Condition, luck: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    size = math_log2(sum(condition.settings.hidden_sizes) + 1)
    epochs = condition.settings.steps // condition.settings.steps_per_epoch
    points = []
    for epoch in range(epochs + 1):
        share = 1 - np.exp(-epoch * (0.4 + 0.05 * size))
        best = 0.80 + 0.075 * (1 - np.exp(-size / 4)) + 0.0005 * i + luck * share
        test = round(10_000 * (0.1 + (best - 0.1) * share + rng.normal(0, 2e-4))) / 10_000
        train = round(10_000 * (test + 0.002 * size * share)) / 10_000
        loss = 2.3 - (1.85 + 0.01 * size) * share - luck * share
        where = {"epoch": float(epoch), "step": epoch * condition.settings.steps_per_epoch}
        points.append({**where, "split": "train", "loss": loss - 0.004 * size * share, "accuracy": train})
        points.append({**where, "split": "test", "loss": loss + rng.normal(0, 5e-4), "accuracy": test})
    return points


def math_log2(value: float) -> float:
    """Return log2 as a float, not a numpy scalar."""
    return float(np.log2(value))


@functools.cache
def width_tables() -> Tables:
    """The `width` experiment, finished."""
    question = "Does a wider hidden layer generalise better, and what does it cost?"
    return make(spec(name="width", question=question, factors={"width": WIDTHS}, claims=WIDTH_CLAIMS))


def replace_metric(tables: Tables, metric: str, values: Mapping[tuple[int, int], float]) -> Tables:
    """Return the tables with a metric of (condition, replicate) set to given numbers."""
    position = {c.condition_id: i for i, c in enumerate(tables.conditions)}
    keys = zip(tables.runs["condition_id"].map(position), tables.runs["replicate"], strict=True)
    new = [values.get((int(i), int(r)), old) for (i, r), old in zip(keys, tables.runs[metric], strict=True)]
    return replace(tables, runs=tables.runs.assign(**{metric: new}))


def judged_table(*parts: Any, **more: Any) -> pd.DataFrame:
    """Return the public table of claims of what `judge` says about some tables."""
    return claims_table(judge_claims(*parts, **more))


COMPARED: dict[str, Any] = {"a": {"width": 16}, "b": {"width": 8}, "expect": "greater", "margin": 0.002}


def verdict_with(
    form: str = "compare",
    fields: Mapping[str, Any] = COMPARED,
    *,
    metric: str = "test_accuracy",
    test: str = "t",
    **changes: Any,
) -> Verdict:
    """Return a supported verdict on a claim of some form, on widths 8 and 16, with some fields of the verdict changed.

    `low` and `high` are the ends of its interval, `detectable`, `more_replicates` and `more_for_even` its outlook.
    """
    keys: dict[str, Any] = {"low": 0.0131, "high": 0.0173, "detectable": None} | changes
    low, high, detectable = (keys.pop(k) for k in ("low", "high", "detectable"))
    more = {k: keys.pop(k, None) for k in ("more_replicates", "more_for_even")}
    written = {"id": "c", "says": "so", form: {"metric": metric, **fields}, "test": test}
    experiment = spec(factors={"width": [8, 16]}, replicates=15, claims=[written])
    (claim,) = experiment.claims
    usual: dict[str, Any] = {"decision": "supported", "n": 5, "planned": 5, "estimate": 0.0152, "p": 0.0004,
                             "p_corrected": 0.012, "sizes": Sizes(sd=0.0017, iqm=0.015)}  # fmt: skip
    return Verdict(
        claim=claim,
        hypothesis=claim.hypothesis(experiment, grid.conditions(experiment)),
        interval=None if low is None else Interval(low=low, high=high),
        outlook=Outlook(detectable=detectable, **more),
        **usual | keys,
    )
