"""Legal experiments at the ends of what is allowed: each is trained and reported, or refused by a message.

None ends in silence (status 0 without a verdict on each claim), hangs, or shows a traceback.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlpbench.cli.main import main

pytestmark = pytest.mark.usefixtures("in_process")
IN_ALL, IN_SAMPLE = 300, 4
# What a setting may be at its ends, beside its default.
ENDS: dict[str, list[Any]] = {
    "activation": ["identity", "relu", "prelu", "gelu", "sigmoid", {"leaky_relu": 0}],
    "init": ["zeros", "orthogonal", {"normal": 1e-30}, {"normal": 1e6}, {"constant": -1e3}],
    "bias_init": ["zeros", {"constant": 1e10}],
    "dropout": [0, 1, 0.999999, 1e-300],
    "input_noise": [0, 1e6, 1e-38],
    "weight_decay": [0, 1e6],
    "l1": [0, 1e6],
    "optimizer": ["sgd", "adam", "rmsprop", {"momentum": 0.999999}],
    "lr": [1e-38, 0.1, 1e5, 1e30],
    "schedule": ["constant", "cosine", {"warmup": 1}],
    "batch_size": [1, 7, "full"],
    "epochs": [0, 1, 2],
    "loss": ["cross_entropy", "naive_cross_entropy", "squared_error"],
    "label_noise": [0, 1],
    "norm": ["none", "layer", "batch"],
    "clip_norm": [1e-30, 1e30],
    "precision": ["float32", "float64"],
    "width": [1, 3, 65],
    "depth": [0, 1, 5],
    "input_scale": [1e-30, 1e30],
}
# Columns of a table of people's own.
COLUMNS: dict[str, Callable[[int, random.Random], str]] = {
    "zeros": lambda i, rng: "0",
    "huge": lambda i, rng: f"{rng.gauss(0, 1) * 10.0 ** rng.randint(30, 37)!r}",
    "tiny": lambda i, rng: f"{rng.random() * 1e-310!r}",
    "near": lambda i, rng: f"{1 + i * 1e-16!r}",
    "words": lambda i, rng: rng.choice(["$x^2$", "<b>", "| a |", "\u202ealb", "~~~", "naïve"]),
    "plain": lambda i, rng: f"{rng.gauss(0, 1)!r}",
    "$\\frac{1}$ *a* | <i>": lambda i, rng: f"{rng.random()!r}",
}


def drawn(rng: random.Random, folder: Path) -> dict[str, Any]:
    """Return an experiment, with its table if it has one of its own."""
    regression = False
    own = rng.random() < 0.5
    if own:
        regression = rng.random() < 0.5
        columns = rng.sample(sorted(COLUMNS), rng.randint(1, 5))
        targets = [f"{10.0 ** rng.randint(-40, 30)!r}" if regression else rng.choice(["a", "b*"]) for _ in range(40)]
        rows = [[*(COLUMNS[c](i, rng) for c in columns), targets[i]] for i in range(rng.choice([12, 40]))]
        quoted = [",".join(f'"{cell}"' for cell in row) for row in [[*columns, "y"], *rows]]
        (folder / "own.csv").write_text("\n".join(quoted) + "\n")
        scale = "none" if {"zeros", "near"} & set(columns) else rng.choice(["none", "standard"])
        task = "number" if regression else "classes"
        data: Any = {"file": "own.csv", "target": "y", "task": task, "scale": scale}
    else:
        data = "digits"
    names = [n for n in ENDS if not (regression and n in ("loss", "label_noise"))]
    fixed = {n: rng.choice(ENDS[n]) for n in rng.sample(names, rng.randint(0, 6))} | {"epochs": rng.choice([0, 1, 2])}
    if not own:
        fixed["train_size"] = rng.choice([1, 2, 40])
    varied = rng.sample([n for n in names if n not in fixed], rng.randint(1, 2))
    factors = {n: rng.sample(ENDS[n], min(2, len(ENDS[n]))) for n in varied}
    first, levels = next(iter(factors.items()))
    metric = "test_loss" if regression else rng.choice(["test_loss", "test_accuracy", "weight_norm"])
    sides = {"a": {first: levels[0]}, "b": {first: levels[1]}}
    claims = [
        {"id": "one", "says": "$1 < $2 `~~~`.", "compare": {"metric": metric, **sides, "expect": "less"}},
        {"id": "two", "says": "It ends.", "bound": {"metric": "diverged", "below": 0.5}},
    ]
    tree = {"name": f"e-{rng.randrange(1000)}", "question": "~~~\n# Which of $a$ | <b>b</b>?", "dataset": data}
    return tree | {"fixed": fixed, "factors": factors, "replicates": rng.choice([1, 2]), "claims": claims}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "seed",
    [pytest.param(i, marks=pytest.mark.slow if i < IN_SAMPLE else pytest.mark.prove) for i in range(IN_ALL)],
)
def test_an_extreme_experiment_is_reported_or_refused(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = drawn(random.Random(seed), tmp_path)
    Path("extreme.yaml").write_text(json.dumps(tree))
    done = CliRunner().invoke(main, ["run", "extreme.yaml", "--device", "cpu", "--results", "results"])
    assert done.exception is None or isinstance(done.exception, SystemExit), (tree, done.exception)
    assert "Traceback" not in done.output
    if done.exit_code == 2:
        assert "extreme.yaml" in done.stderr or "own.csv" in done.stderr, (tree, done.stderr)
        assert not Path("results").exists()
        return
    assert done.exit_code in (0, 1), (tree, done.output)
    folder = Path("results") / tree["name"]
    assert [a["id"] for a in json.loads((folder / "summary.json").read_text())["answers"]] == ["one", "two"]
    text = (folder / "report.md").read_text()
    assert "\n## Claims\n" in text or "\n## Verdicts\n" in text
    if done.exit_code == 1:
        assert "failed" in done.output or "can't be" in done.stderr or "could not be" in done.stderr, done.output
    numbers = [a["estimate"] for a in json.loads((folder / "summary.json").read_text())["answers"]]
    assert all("nan" not in n and "inf" not in n for n in numbers), numbers
    assert len(text) < 200_000
