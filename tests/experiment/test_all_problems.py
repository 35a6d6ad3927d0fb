"""All that is wrong with a file is said at once, and nothing that only follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_specs import FILES, GOOD, HEAD, HERE, Bad
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.base.errors import InputError
from mlpbench.experiment.file import yaml_reader

# One file, each part of which is right or wrong: what stands at its place, and what is wrong then.
PARTS = {
    "name: it": ("name: i t", "name must be a plain word"),
    "question: Is it?": ("question: 5", "question must be text, got 5"),
    "dataset: digits": ("dataset: digts", "got 'digts'; did you mean 'digits'?"),
    "fixed: {lr: 0.1": ("fixed: {learning_rate: 0.1", "unknown setting 'learning_rate'; did you mean 'lr'?"),
    ", dropout: 0.2": (", dropout: 1.2", "dropout must be a number in [0, 1]"),
    ", batch_size: 32}": (", batch_size: 0}", "batch_size must be a whole number of at least 1"),
    "factors: {width: [8, 16]": ("factors: {units: [8, 16]", "unknown setting 'units'; did you mean 'width'?"),
    ", depth: [1, 2]}": (", depth: [1, -2]}", "depth must be a whole number in [0, "),
    "replicates: 4": ("replicates: 0", "replicates must be greater than or equal to 1, got 0"),
    "seed: 1": ("seeed: 1", "unknown key 'seeed'; did you mean 'seed'?"),
    "save_weights: true": ("epochs: 3", "unknown key 'epochs'; epochs is a setting"),
    "claims: [{id: a, says: so, bound: {metric: test_loss": ("claims: [{id: a, says: so, bound: {metrik: test_loss", "unknown key 'metrik'"),
    ", above: 1}}": (", above: high}}", "above must be a number, got 'high'"),
    ", {id: b, says: so, trend: {metric: test_loss, factor: width": (", {id: b, says: so, trend: {metric: [], factor: width", "metric must be text, got []"),
    ", expect: rises}}": (", expect: increases}}", "got 'increases'; did you mean 'rises'?"),
    ", {id: c, says: so, wins: {metric: test_loss, a: {depth: 1}": (", {id: c, says: so, winz: {metric: test_loss, a: {depth: 1}", "unknown key 'winz'; did you mean 'wins'?"),
    ", b: {depth: 2}, above: 0.75}}]": (", b: {depth: 2}, above: much}}]", "above must be a number, got 'much'"),
}  # fmt: skip
ENDS = ("{lr: 0.1", "0.2", "[8, 16]", "test_loss", "1}}", "width", "rises}}", "{depth: 1}")


def problems(text: str) -> list[str]:
    """Return the lines that say what is wrong, of the message about a text; none where nothing is."""
    try:
        yaml_reader.from_text("x.yaml", text)
    except InputError as error:
        return [line for line in str(error).splitlines() if line.startswith("x.yaml:")]
    return []


def written(wrong: set[str]) -> str:
    """Return the file with the parts that are wrong."""
    text = ""
    for right, (broken, _) in PARTS.items():
        text += broken if right in wrong else right
        text += "" if right.endswith(ENDS) else "\n"
    return text


@pytest.mark.parametrize(
    "wrong",
    [
        "vary: {each: [init, nois]}",
        "vary: {each: [init, dropout]}\nfixed: {dropout: 0}",
        "vary: {each: []}",
        "factors: {dataset: digits}",
        "fixed: {dataset: digits}",
    ],
)
def test_what_mending_makes_of_a_file_is_not_wrong_with_it(wrong: str) -> None:
    """What is left of a list may be too short, and data may have stood where they were left out."""
    head = "name: it\nquestion: Is it?\nreplicates: 9\n"
    data = "" if "dataset" in wrong else "dataset: digits\n"
    assert len(problems(f"{head}{data}{wrong}\n")) == 1


def test_the_file_with_nothing_wrong_is_read() -> None:
    assert problems(written(set())) == []


@given(wrong=st.sets(st.sampled_from(list(PARTS)), min_size=1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_wrong_part_is_said_once_in_the_order_of_the_file(wrong: set[str]) -> None:
    said = problems(written(wrong))
    expected = [says for right, (_, says) in PARTS.items() if right in wrong]
    assert len(said) == len(expected), said
    for line, says in zip(said, expected, strict=True):
        assert says in line
    places = [tuple(map(int, line.split(":")[1:3])) for line in said]
    assert places == sorted(places)


@pytest.mark.parametrize("given", [b for b in FILES if b.name != "too-long"], ids=lambda b: b.name)
def test_one_thing_that_is_wrong_is_one_problem(given: Bad) -> None:
    """What is mended to look further makes nothing else wrong."""
    with pytest.raises(InputError) as caught:
        yaml_reader.from_text("x.yaml", given.text.replace(HERE, ""))
    assert len([line for line in str(caught.value).splitlines() if line.startswith("x.yaml:")]) == 1


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "factors: {width: [8, x]}\nclaims: [{id: a, says: b, bound: {metric: test_loss, where: {width: 16}, above: 1}}]",
        HEAD + "factors: {wxyz: [8, 16]}\nclaims: [{id: a, says: b, trend: {metric: test_loss, factor: width, expect: falls}}]",
        HEAD + "validation: 2\nnuisance: {lr: [1, 2]}",
        HEAD + "validation: {folds: 3, refit: all}\nnuisance: {lr: []}",
        HEAD + "fixed: {width: 8}\nreplicates: 3\nuntil_decided: {max_replicates: 9}\nclaims: [{id: a, says: b, x: 1}]",
        HEAD.replace("fashion_mnist", "[]") + "fixed: {conv_channels: [4]}",
        HEAD + "factors: {zip: {width: [8, x], depth: [1, 2]}}",
    ],
)  # fmt: skip
def test_what_follows_from_a_mistake_is_not_said(text: str) -> None:
    assert len(problems(text)) == 1


def test_options_and_the_file_are_said_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        yaml_reader.from_text("x.yaml", GOOD + "sed: 3\n", ["lrr=1", "dropout=2", "nonsense"])
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines if line[:1] in "-x"] == [
        "--set lrr=1", "--set nonsense", "--set dropout=2", "x.yaml:7:1",
    ]  # fmt: skip
    assert lines[-1] == "`mlpbench explain dropout` says what it may be"


def test_a_table_that_can_not_be_read_leaves_the_rest_to_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n")
    text = "name: x\nquestion: Is it?\ndataset: {file: t.csv, target: b}\nfixed: {lr: -1}\nfactors: {width: [1, 2]}\n"
    with pytest.raises(InputError) as caught:
        yaml_reader.from_text("x.yaml", text, folder=tmp_path)
    assert "t.csv" in str(caught.value).splitlines()[0]
    assert "x.yaml:4:13: lr must be a number above 0, got -1" in str(caught.value)


def test_a_mapping_has_all_its_problems_too() -> None:
    tree = {"name": "x", "question": "Is it?", "dataset": "digits", "fixed": {"lr": -1, "hidden": 3}, "seeds": 3}
    with pytest.raises(InputError) as caught:
        yaml_reader.from_mapping(tree)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()[:-1]] == [
        "seeds",
        "fixed.lr",
        "fixed.hidden",
    ]


def test_of_very_many_problems_a_screen_is_shown() -> None:
    rows = "\n".join(f"  s{i}: {i}" for i in range(200))
    lines = str(_refusal(HEAD + f"fixed:\n{rows}\n")).splitlines()
    assert len(lines) < 80
    assert len(str(_refusal(HEAD + f"fixed:\n{rows}\n"))) < 4000


def _refusal(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        yaml_reader.from_text("x.yaml", text)
    return caught.value
