"""What an experiment whose replicates draw their own test rows may ask for, and what it is told where it asks for more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.file.yaml_reader import dump, read

HEAD = "name: own\nquestion: Is it?\n"
DATA = "dataset: {file: own.csv, target: kind, resplit: true}\n"
PLAIN = "dataset: {file: own.csv, target: kind}\n"
REST = "fixed: {epochs: 1}\nfactors: {width: [4, 8]}\nreplicates: 30\n"
INSTEAD = (
    "; say `compare`, `contrast`, `trend`, `bound` or `matches` of a mean, or leave out `dataset: {resplit: true}`"
)
BY_T = "a claim must be judged by t where each replicate draws its own test rows (resplit), as other tests take replicates for independent, got "
SIDES = "metric: test_accuracy, a: {width: 8}, b: {width: 4}"


def claim(form: str) -> str:
    return REST + f"claims:\n  - {{id: c, says: so, {form}}}\n"


# What stands after the data, with the mark before what is at fault, and what is said of it; all are fine of one split.
REFUSED = {
    "each": ("vary: {each: [init, order]}\n" + REST, ":4:1:", "vary: {each: ...} must be left out"),
    "no split": ("vary: [init, order]\n" + REST, ":4:7:", "vary must name split where each replicate draws its own test rows (resplit): without it all of them have one split, got ['init', 'order']; leave out `vary`, or `resplit`"),
    "tuned by others": ("validation: 0.2\nnuisance: {lr: [0.1, 0.2]}\n" + REST, ":4:13:", "replicates before it have seen its test rows, got 0.2; say `validation: {folds: 5}`"),
    "anytime": ("until_decided: {anytime: true}\n" + claim(f"compare: {{{SIDES}, expect: greater}}"), ":4:1:", "e-processes take replicates for independent, got anytime; say `max_replicates` alone"),
    "sign flips": (claim(f"compare: {{{SIDES}, expect: greater}}, test: sign_flip"), ":8:", BY_T + "'sign_flip'; leave it out"),
    "signs": (claim(f"compare: {{{SIDES}, expect: greater}}, test: sign"), ":8:", BY_T + "'sign'; leave it out"),
    "bootstrap": (claim(f"compare: {{{SIDES}, expect: greater}}, interval: bca"), ":8:", "a bootstrap takes replicates for independent, got 'bca'; leave it out"),
    "typical": (claim(f"compare: {{{SIDES}, expect: greater, of: typical}}"), ":8:", BY_T + "sign flips of typical replicates" + INSTEAD),
    "every": (claim("bound: {metric: test_accuracy, above: 0.1, of: every}"), ":8:", BY_T + "every replicate" + INSTEAD),
    "median": (claim("bound: {metric: test_accuracy, above: 0.1, of: median}"), ":8:", BY_T + "signs" + INSTEAD),
    "wins": (claim("wins: {metric: test_accuracy, a: {width: 8}, b: {width: 4}, above: 0.5}"), ":8:", BY_T + "the share of replicates that are won" + INSTEAD),
    "fails": (claim("fails: {metric: test_accuracy, a: {width: 8}, b: {width: 4}, expect: less}"), ":8:", BY_T + "how often runs fail" + INSTEAD),
}  # fmt: skip


@pytest.fixture(autouse=True)
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=50), "kind": rng.permutation(["a", "b"] * 25)})
    table.to_csv(tmp_path / "own.csv", index=False)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_replicates_for_independent_is_refused_with_a_way_forward(name: str, tmp_path: Path) -> None:
    rest, place, says = REFUSED[name]
    read(written(tmp_path, HEAD + PLAIN + rest))
    with pytest.raises(InputError) as refused:
        read(written(tmp_path, HEAD + DATA + rest))
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'own.yaml'}{place}")
    assert says in message
    assert "resplit" in message


def test_best_levels_are_refused(tmp_path: Path) -> None:
    factors = REST.replace("[4, 8]", "[4, 8, 16]").replace("}\nrep", ", lr: [0.1, 0.2]}\nrep")
    best = "claims:\n  - {id: c, says: so, best: {metric: test_accuracy, over: width, where: {lr: 0.2}, and: {lr: 0.1}, expect: higher}}\n"
    read(written(tmp_path, HEAD + PLAIN + factors + best))
    with pytest.raises(InputError, match="a claim must be judged by t"):
        read(written(tmp_path, HEAD + DATA + factors + best))


@pytest.mark.parametrize(
    "rest",
    [
        claim(f"compare: {{{SIDES}, expect: equivalent, margin: 0.01}}"),
        claim("trend: {metric: test_loss, factor: width, expect: falls}"),
        claim("bound: {metric: flops, where: {width: 8}, above: 1}"),
        "vary: [split, init]\n" + REST,
        "validation: {folds: 5}\nnuisance: {lr: [0.1, 0.2]}\n" + REST,
        "until_decided: {max_replicates: 60}\n" + claim(f"compare: {{{SIDES}, expect: greater}}"),
        "validation: 0.2\n" + REST,
    ],
)
def test_what_is_judged_by_t_is_read_and_written_again(rest: str, tmp_path: Path) -> None:
    experiment = read(written(tmp_path, HEAD + DATA + rest))
    assert experiment.is_resplit
    again = tmp_path / "again"
    again.mkdir()
    other = read(written(again, dump(experiment, again)))
    assert other.datasets == experiment.datasets
    assert grid.all_run_ids(other, grid.conditions(other)) == grid.all_run_ids(experiment, grid.conditions(experiment))


@pytest.mark.parametrize(
    ("name", "why"),
    [("digits", "it has a test set of its own"), ("linear", "each replicate draws its own data anyway")],
)
def test_data_that_have_a_name_are_not_split_anew(name: str, why: str, tmp_path: Path) -> None:
    text = HEAD + f"dataset: {{name: {name}, resplit: true}}\n" + REST
    with pytest.raises(InputError) as refused:
        read(written(tmp_path, text))
    assert ":3:" in str(refused.value)
    assert f"resplit is for tables, such as {{file: PATH, target: COLUMN, resplit: true}}; of {name}, {why}" in str(
        refused.value
    )


def test_data_sets_are_all_split_anew_or_none(tmp_path: Path) -> None:
    """Where they are levels of a factor: said once for all, or of each; a mixture is refused."""
    (tmp_path / "other.csv").write_bytes((tmp_path / "own.csv").read_bytes() + b"0.5,a\n")
    own, other = "{file: own.csv, target: kind", "{file: other.csv, target: kind"

    def text(shared: str, first: str, second: str) -> str:
        levels = f"[{own}{first}}}, {other}{second}}}]"
        return HEAD + shared + f"fixed: {{epochs: 1}}\nfactors: {{width: [4, 8], dataset: {levels}}}\n"

    shared, each = (
        read(written(tmp_path, t))
        for t in (text("dataset: {resplit: true}\n", "", ""), text("", ", resplit: true", ", resplit: true"))
    )
    assert [facts.is_resplit for facts in shared.facts] == [True, True]
    assert [facts.fingerprint for facts in shared.facts] == [facts.fingerprint for facts in each.facts]
    with pytest.raises(
        InputError, match="resplit must be said of all data sets of an experiment or of none.* got own.csv without it"
    ):
        read(written(tmp_path, text("", "", ", resplit: true")))


def test_claims_over_data_sets_may_have_any_test(tmp_path: Path) -> None:
    """Tables are independent of each other, whatever replicates of one table are."""
    names = [f"t{i}" for i in range(8)]
    for i, name in enumerate(names):
        (tmp_path / f"{name}.csv").write_bytes((tmp_path / "own.csv").read_bytes() + f"{i}.5,a\n".encode())
    levels = ", ".join(f"{{file: {name}.csv, target: kind}}" for name in names)
    text = (
        HEAD
        + f"dataset: {{resplit: true}}\nfixed: {{epochs: 1}}\nfactors: {{width: [4, 8], dataset: [{levels}]}}\nreplicates: 6\n"
    )
    claims = f"claims:\n  - {{id: c, says: so, compare: {{{SIDES}, expect: greater}}, unit: dataset}}\n"
    experiment = read(written(tmp_path, text + claims))
    (claim,) = experiment.claims
    assert claim.hypothesis(experiment, grid.conditions(experiment)).datasets
    with pytest.raises(InputError, match="a claim must be judged by t"):
        read(written(tmp_path, text + claims.replace("unit: dataset", "test: sign_flip")))
