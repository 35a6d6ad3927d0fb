"""Reading: YAML 1.2 words, errors that point at the very character, overrides, and a dump that reads as itself."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Any

import pytest
from drawn_specs import PLAIN, made, spec, trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.base.errors import InputError
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.yaml_text import MAX_BYTES
from mlpbench.experiment.spec import Experiment

HEAD = "name: read\nquestion: Is it?\ndataset: fashion_mnist\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "read.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes, *overrides: str) -> Experiment:
    return yaml_reader.read(write(folder, text), overrides)


def refusal(folder: Path, text: str | bytes, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text, *overrides)
    return str(caught.value)


def place(text: str, offending: str) -> str:
    """Return where the offending text stands, as errors print it."""
    assert text.count(offending) == 1, "the test must say which one"
    before = text[: text.index(offending)]
    return f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "


def same(a: Experiment, b: Experiment) -> bool:
    return [r.run_id for r in grid.runs(a)] == [r.run_id for r in grid.runs(b)] and a.claims == b.claims


@pytest.mark.parametrize(
    "word", ["no", "off", "yes", "on", "y", "N", "2020-12-05", "1:30", "<<", "=", "1e", "~x", "0b", "é", "🙂"]
)
def test_words_of_other_versions_are_words(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, HEAD.replace("Is it?", word)).question == word


@pytest.mark.parametrize(
    ("written", "value"), [("1e-3", 1e-3), ("1E2", 100.0), ("+.5", 0.5), ("0x10", 16.0), ("012", 12.0)]
)
def test_numbers_are_those_of_yaml_1_2(tmp_path: Path, written: str, value: float) -> None:
    assert read(tmp_path, HEAD + f"fixed: {{lr: {written}}}\n").fixed["lr"] == value


@pytest.mark.parametrize("written", ["true", "null", "5", "1.5", "", "[a]", "{a: 1}"])
def test_values_are_not_made_into_text(tmp_path: Path, written: str) -> None:
    assert "question must be text, got " in refusal(tmp_path, HEAD.replace("Is it?", written))


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode()) == read(tmp_path, HEAD)


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("fixed: {epochs: 1e3}", "fixed: {epochs: 1000}"),
        ("fixed: {batch_size: 1e2, hidden_sizes: [8.0, 1e1]}", "fixed: {batch_size: 100, hidden_sizes: [8, 10]}"),
        ("factors: {width: [8.0, 1e2], steps: [1e1]}", "factors: {width: [8, 100], steps: [10]}"),
        ("replicates: 1e1\nseed: 2.0\nvalidation: {folds: 5.0}", "replicates: 10\nseed: 2\nvalidation: {folds: 5}"),
        ("validation: 0.2\nfixed: {early_stopping: 5.0}", "validation: 0.2\nfixed: {early_stopping: 5}"),
        ("validation: 0.2\nnuisance: {lr: {uniform: [0.1, 1], levels: 1e1}}", "validation: 0.2\nnuisance: {lr: {uniform: [0.1, 1], levels: 10}}"),
        (
            "replicates: 3\nuntil_decided: {max_replicates: 1e1}\nclaims: [{id: a, says: b, bound: {metric: test_loss, above: 1}}]",
            "replicates: 3\nuntil_decided: {max_replicates: 10}\nclaims: [{id: a, says: b, bound: {metric: test_loss, above: 1}}]",
        ),
    ],
)  # fmt: skip
def test_whole_numbers_may_be_written_as_floats(tmp_path: Path, written: str, whole: str) -> None:
    """The experiment is that of the whole number, and so is each run."""
    texts = [yaml_reader.dump(read(tmp_path, HEAD + text)) for text in (written, whole)]
    assert texts[0] == texts[1]
    assert same(read(tmp_path, HEAD + written), read(tmp_path, HEAD + whole))


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf_16_with_its_mark_is_read(tmp_path: Path, mark: bytes) -> None:
    """PowerShell writes it: `mlpbench new ... > mine.yaml`."""
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    assert read(tmp_path, mark + HEAD.replace("\n", "\r\n").encode(encoding)) == read(tmp_path, HEAD)


def test_a_tab_behind_a_colon_or_a_value_is_a_space(tmp_path: Path) -> None:
    text = HEAD + "replicates: 2\nfixed:\n  lr: 0.2 # slow\n"
    tabs = HEAD + "replicates:\t2\nfixed:\n  lr:\t0.2\t# slow\n"
    assert read(tmp_path, tabs.encode()) == read(tmp_path, text)
    assert yaml_reader.from_text("x", HEAD, ["lr=\t0.2"]) == yaml_reader.from_text("x", HEAD, ["lr=0.2"])


@pytest.mark.parametrize(
    ("more", "offending", "rule"),
    [
        ("claims: ", "claims", "claims must be a list, got no value behind claims:"),
        ("seed:\n\n# next\nreplicates: 3\n", "seed", "seed must be a whole number, got no value behind seed:"),
        ("claims:\n  - id: a\n    says: b\n    compare:\n", "compare", "compare must be a mapping with metric, a, b, expect, got no value behind compare:"),
        ("vary:\n", "vary", "vary must be a list, got no value behind vary:"),
        ("fixde: {lr: 0.1}", "fixde", "unknown key 'fixde'; did you mean 'fixed'?"),
        ("fixed: {lr: 0.1, widht: 8}", "widht", "unknown setting 'widht'; did you mean"),
        ("fixed:\n  lr: 0.1\n  dropout:   1.2", "1.2", "dropout must be"),
        ("fixed:\n  hidden_sizes:\n    - 8\n    - 0", "- 8", "hidden_sizes must be"),
        ("factors:\n  lr: [0.1, 0.2,\n      -3]", "-3", "lr must be"),
        ("factors: {lr: [0.1, 0.2, 1e-1]}", "1e-1", "the levels of a factor must differ"),
        ("factors: {zip: {lr: [0.1, 0.2], width: [8, 1.5]}}", "1.5", "width must be"),
        ("factors: {zip: {lr: [0.1], width: [8, 9]}}", "{lr", "zipped factors must have equally many levels"),
        ("factors:\n  conditions:\n    - {label: a, lr: 0.1}\n    - {label: b, lr: zero}", "zero", "lr must be"),
        ("factors: {conditions: [{label: a, lr: 0.1}, {label: 'a', lr: 2}]}", "'a'", "a label of its own"),
        ("fixed: {lr: 0.1}\nfactors: {'lr': [1, 2]}", "'lr'", "a setting has one role"),
        ("fixed: {width: 8, 'hidden_sizes': [8]}", "'hidden_sizes'", "give one of them"),
        ("replicates: -1", "-1", "replicates must be greater than or equal to 1"),
        ("validation: 1.5", "1.5", "validation must be less than 1"),
        ("fixed: {train_size: 60_001}", "60_001", "train_size must be at most 60000"),
        ("factors: {train_size: [all, 60_001]}", "60_001", "train_size must be at most 60000"),
        ("fixed: {depth: 1}\nfactors: {dropout: [0.5, [0.25, 0.5]]}", "[0.25", "one number per hidden layer"),
        ("factors: {width: [8, 16]}\nfixed: {depth: 0}", "16", "conditions must differ"),
        ("fixed: {train_size: 1}\nvalidation: 0.6", "0.6", "validation must leave a training example"),
        ("vary: [init, ordr]", "ordr", "must be 'init', 'order', 'dropout', 'split' or 'noise'"),
        ("seed: 1\n'seed': 2", "'seed'", "a mapping must have a key once"),
        ("fixed: {lr: 1, 'lr': 2}", "'lr'", "a mapping must have a key once"),
        ("? [a, b]\n: 3", "[a", "a key must be a word"),
        ("fixed: {5: 1}", "5:", "a key must be a word"),
        ("claims:\n  - {id: a, says: b, bound: {metric: test_los, above: 1}}", "test_los", "metric must be one of"),
        ("claims:\n  - {id: a, says: b, bnd: {metric: test_loss, above: 1}}", "bnd", "unknown key 'bnd'; did you mean 'bound'?"),
        ("claims:\n  - {id: a, says: b, bound: {metric: test_loss, abov: 1}}", "abov", "unknown key 'abov'; did you mean 'above'?"),
        ("claims:\n  - {id: a b, says: b, bound: {metric: test_loss, above: 1}}", "a b", "id must be a plain word"),
        ("claims:\n  - {id: a, bound: {metric: test_loss, above: 1}}", "{id", "entry 1 of claims needs says"),
        ("claims:\n  - {id: a, says: b, bound: {metric: test_loss, above: 1, test: t}}", "test:", "'test' must stand beside bound, not in it: move it a level up"),
        ("claims: [5]", "5", "entry 1 of claims must be a mapping"),
        ("fixed: {lr: &rate 0.1}", "&rate", "must not use anchors and aliases"),
        ("fixed: {lr: *rate}", "*rate", "must not use anchors and aliases, got *rate"),
        ("fixed: {lr: !!float 1}", "!!float", "must not use tags"),
        ("fixed: !mine {lr: 1}", "!mine", "must not use tags"),
        ("fixed:\n\tlr: 0.1", "\tlr", "indent with spaces, not tabs"),
        ("fixed: {lr: 0.1\nseed: 3", ": 3", "not YAML"),
        ("fixed: " + "[" * 19 + "{a: 1}", "{a", "nested at most 20 deep"),
        ("---\nname: second", "---", "not YAML"),
        ("seed: \x00", "\x00", "must be printable text, got '\\x00'"),
        ('fixed: {lr: "\\ud800"}', '"\\ud', "whole characters"),
        (f"seed: 1{'0' * 5000}", "10", "a number must have at most 4300 digits"),
    ],
)  # fmt: skip
def test_an_error_points_at_the_offending_character(tmp_path: Path, more: str, offending: str, rule: str) -> None:
    text = HEAD + more + "\n"
    message = refusal(tmp_path, text)
    assert rule in message
    assert message.startswith(f"{tmp_path}/read.yaml{place(text, offending)}")


def test_a_line_is_counted_in_characters_not_bytes(tmp_path: Path) -> None:
    text = HEAD.replace("Is it?", "'é🙂'") + "fixed: {'lr': 0.1, é: 1}\n"
    assert place(text, "é: 1") in refusal(tmp_path, text)


def test_what_is_missing_is_said_of_what_lacks_it(tmp_path: Path) -> None:
    message = refusal(tmp_path, "name: x\ndataset: fashion_mnist\n")
    assert message.startswith(f"{tmp_path}/read.yaml:1:1: an experiment needs question, got none")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\n\n"])
def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, text: str) -> None:
    assert "got an empty file" in refusal(tmp_path, text)


@pytest.mark.parametrize("text", ["- a\n", "word\n", "5\n", "[a, b]\n"])
def test_a_file_holds_a_mapping(tmp_path: Path, text: str) -> None:
    assert ":1:1: an experiment must be a mapping of keys to values, got " in refusal(tmp_path, text)


def test_yaml_1_1_is_refused_since_it_reads_words_differently(tmp_path: Path) -> None:
    assert "must be YAML 1.2, got %YAML 1.1" in refusal(tmp_path, "%YAML 1.1\n---\n" + HEAD)
    assert read(tmp_path, "%YAML 1.2\n---\n" + HEAD) == read(tmp_path, HEAD)


def test_an_alias_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    assert "anchors and aliases, got &a0" in refusal(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("nested", ["[" * 10_000, "[" * 10_000 + "]" * 10_000, "{a: " * 10_000, "- " * 10_000 + "x"])
def test_deep_nesting_is_refused(tmp_path: Path, nested: str) -> None:
    message = refusal(tmp_path, f"{HEAD}fixed:\n  {nested}\n")
    assert ": an experiment must be nested at most 20 deep" in message


def test_bytes_that_are_no_text_are_refused_by_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEAD.encode() + b"seed: \xff\n")
    assert message.startswith(f"{tmp_path}/read.yaml:4: an experiment file must be UTF-8, got byte 0xff; save it")


def test_a_huge_file_is_refused_and_one_at_the_limit_is_read(tmp_path: Path) -> None:
    padding = "#" * (MAX_BYTES - len(HEAD))
    assert read(tmp_path, HEAD + padding).name == "read"
    assert f"at most {MAX_BYTES} bytes" in refusal(tmp_path, HEAD + padding + "#")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "read.yaml")
    with pytest.raises(
        InputError, match=r"read\.yaml: an experiment file must be readable, got 'it is not a regular file'"
    ):
        yaml_reader.read(tmp_path / "read.yaml")


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_what_a_shell_hands_over_is_read_up_to_a_bound(folder: str) -> None:
    ends = os.pipe()
    os.write(ends[1], HEAD.encode())
    os.close(ends[1])
    assert yaml_reader.read(Path(folder) / str(ends[0])).name == "read"
    os.close(ends[0])
    with open("/dev/zero", "rb") as zeros, pytest.raises(InputError, match="at most 1000000 bytes, got more"):
        yaml_reader.read(Path(folder) / str(zeros.fileno()))


def test_a_huge_grid_is_counted_not_made(tmp_path: Path) -> None:
    levels = ", ".join(str(i) for i in range(1, 2001))
    text = HEAD + f"factors:\n  width: [{levels}]\n  lr: [{levels}]\n  steps: [{levels}]\n"
    assert "at most 10000000 runs, got 40000000000\n" in refusal(tmp_path, text)


def test_as_many_runs_as_allowed_are_allowed(tmp_path: Path) -> None:
    text = HEAD + "replicates: 100000\nfactors: {lr: LEVELS}\n"
    made = read(tmp_path, text.replace("LEVELS", str(list(range(1, 101)))))
    assert len(made.factors["lr"]) * made.replicates == yaml_reader.MAX_RUNS
    assert "runs, got 10100000\n" in refusal(tmp_path, text.replace("LEVELS", str(list(range(1, 102)))))


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    for name in ("width.yaml", "depth.yaml"):
        (tmp_path / name).write_text(HEAD)
    with pytest.raises(InputError, match=r"not found: .*widht\.yaml; did you mean 'width\.yaml'\?$"):
        yaml_reader.read(tmp_path / "widht.yaml")
    with pytest.raises(InputError, match=r"has depth\.yaml, width\.yaml$"):
        yaml_reader.read(tmp_path / "xyzzy")
    with pytest.raises(InputError, match=r"not found: .*nowhere/x\.yaml$"):
        yaml_reader.read(tmp_path / "nowhere" / "x.yaml")


OVERRIDDEN = HEAD + "fixed: {lr: 0.1, width: 8}\nfactors: {epochs: [1, 2]}\n"


def roles(experiment: Experiment) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(experiment.fixed), dict(experiment.factors)


@pytest.mark.parametrize(
    ("overrides", "fixed", "factors"),
    [
        (["lr=0.5"], {"lr": 0.5, "width": 8}, {"epochs": (1, 2)}),
        (["lr=0.5", "lr=1"], {"lr": 1.0, "width": 8}, {"epochs": (1, 2)}),
        (["lr=[0.5, 1e0]"], {"width": 8}, {"epochs": (1, 2), "lr": (0.5, 1.0)}),
        (["epochs=3"], {"lr": 0.1, "width": 8, "epochs": 3}, {}),
        (["epochs=[3]"], {"lr": 0.1, "width": 8}, {"epochs": (3,)}),
        (["steps=30"], {"lr": 0.1, "width": 8, "steps": 30}, {}),
        (["hidden_sizes=[8, 4]"], {"lr": 0.1, "hidden_sizes": (8, 4)}, {"epochs": (1, 2)}),
        (["hidden_sizes=[[8, 4], [4]]"], {"lr": 0.1}, {"epochs": (1, 2), "hidden_sizes": ((8, 4), (4,))}),
        (["hidden_sizes=[4]", "width=9"], {"lr": 0.1, "width": 9}, {"epochs": (1, 2)}),
        (["dropout=[0.5]"], {"lr": 0.1, "width": 8, "dropout": (0.5,)}, {"epochs": (1, 2)}),
        (["dropout=[[0.5], [0]]"], {"lr": 0.1, "width": 8}, {"epochs": (1, 2), "dropout": ((0.5,), (0.0,))}),
        (["init={constant: 1}"], {"lr": 0.1, "width": 8, "init": "constant(1.0)"}, {"epochs": (1, 2)}),
        (["fixed.lr=2"], {"lr": 2.0, "width": 8}, {"epochs": (1, 2)}),
        (["fixed.hidden_sizes=[8, 4]"], {"lr": 0.1, "hidden_sizes": (8, 4)}, {"epochs": (1, 2)}),
        (["factors.lr=[0.5, 1]"], {"width": 8}, {"epochs": (1, 2), "lr": (0.5, 1.0)}),
        (["fixed.epochs=3"], {"lr": 0.1, "width": 8, "epochs": 3}, {}),
        (["fixed={lr: 2}"], {"lr": 2.0}, {"epochs": (1, 2)}),
        (["factors={}"], {"lr": 0.1, "width": 8}, {}),
    ],
)  # fmt: skip
def test_an_override_takes_the_role_its_value_asks_for(
    tmp_path: Path, overrides: list[str], fixed: dict[str, Any], factors: dict[str, Any]
) -> None:
    assert roles(read(tmp_path, OVERRIDDEN, *overrides)) == (fixed, factors)
    assert roles(yaml_reader.from_mapping(PLAIN | {"fixed": {"lr": 0.1, "width": 8}, "factors": {"epochs": [1, 2]}}, overrides)) == (fixed, factors)  # fmt: skip


def test_an_override_of_a_key_of_the_file(tmp_path: Path) -> None:
    experiment = read(tmp_path, HEAD, "replicates=2", "question=Is it, or not?", "seed=7", "name=no")
    assert (experiment.replicates, experiment.question, experiment.seed, experiment.name) == (
        2,
        "Is it, or not?",
        7,
        "no",
    )


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("lr", "an override must be KEY=VALUE, got 'lr'"),
        ("=3", "an override must be KEY=VALUE, got '=3'"),
        ("lrr=3", "unknown setting or key 'lrr'; did you mean 'lr'?"),
        ("lr=-1", "lr must be a number above 0, got -1"),
        ("lr=", "lr must be a number above 0, got null"),
        ("lr=1, width: 3", "lr must be a number above 0, got {'1, width': 3}"),
        ("lr=1}, {a: 1", "got {'1}, {a': 1}"),
        ("lr=0.1,0.2", "got '0.1,0.2'; several levels are a list in brackets: --set lr=[0.1,0.2]"),
        ("lr=[0.1, 0.1]", "got 0.1 twice for lr"),
        ("lr=*a", "anchors and aliases, got *a"),
        ("lr=!!int 3", "must not use tags"),
        ("lr=" + "[" * 10_000, "nested at most 20 deep"),
        ("replicates=0", "greater than or equal to 1, got 0"),
        ("zipped={}", "unknown setting or key 'zipped'; must be one of hidden_sizes, "),
        ("fixed=5", "fixed must be a mapping, got 5"),
        ("fixed.lr=[0.1, 1]", "fixed.lr must be one value, got [0.1, 1]"),
        ("fixed.lr={log_uniform: [0.1, 1]}", "fixed.lr must be one value, got"),
        ("factors.lr=0.1", "factors.lr must be a list of levels, got 0.1"),
        ("nuisance.lr=0.1", "nuisance.lr must be a list of levels or a range, got 0.1"),
        ("fixed.lrr=3", "unknown setting or key 'fixed.lrr'"),
        ("replicates.lr=3", "unknown setting or key 'replicates.lr'"),
    ],
)
def test_an_error_of_an_override_names_the_override(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        yaml_reader.from_mapping(PLAIN, [override])
    for message in (refusal(tmp_path, OVERRIDDEN, override), str(caught.value)):
        assert message.startswith(f"--set {override}: ")
        assert says in message


@pytest.mark.parametrize("key", ["fixed", "factors"])
@pytest.mark.parametrize("value", ["5", "[1, 2]", "text"])
def test_an_override_leaves_a_broken_file_to_be_reported(tmp_path: Path, key: str, value: str) -> None:
    text = f"{HEAD}{key}: {value}\n"
    assert refusal(tmp_path, text, "lr=0.5").startswith(f"{tmp_path}/read.yaml:4:{len(key) + 3}: ")


def test_an_override_that_takes_a_claim_its_factor_is_named(tmp_path: Path) -> None:
    claim = "claims:\n  - {id: a, says: b, trend: {metric: test_loss, factor: epochs, expect: falls}}\n"
    assert read(tmp_path, OVERRIDDEN + claim, "epochs=[1, 5]").claims[0].id == "a"
    assert "a claim here names a factor (this experiment has none), got 'epochs'" in refusal(
        tmp_path, OVERRIDDEN + claim, "epochs=3"
    )


def test_a_mapping_is_read_like_a_file_and_left_as_it_was(tmp_path: Path) -> None:
    tree = PLAIN | {"fixed": {"lr": 0.1}, "factors": {"width": [8, 16]}}
    experiment = yaml_reader.from_mapping(tree, ["lr=0.5", "seed=3"])
    assert tree == PLAIN | {"fixed": {"lr": 0.1}, "factors": {"width": [8, 16]}}
    text = (
        HEAD.replace("read", "made").replace("Is it?", PLAIN["question"])
        + "fixed: {lr: 0.5}\nfactors: {width: [8, 16]}\nseed: 3\n"
    )
    assert experiment == read(tmp_path, text)


def test_an_error_of_a_mapping_names_the_path() -> None:
    with pytest.raises(InputError, match=r"^factors\.width\.1: width must be .*, got 0\n`mlpbench explain width` says"):
        spec(factors={"width": [8, 0]})
    with pytest.raises(InputError, match=r"^replicates: .*got a number of very many digits\n"):
        spec(replicates=1 << 100_000)
    with pytest.raises(InputError, match=r"lr must be a number above 0, got 1000"):
        spec(fixed={"lr": 10**400})


@pytest.mark.slow
@given(tree=trees())
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_dump_reads_as_the_same_experiment(tmp_path: Path, tree: dict[str, Any]) -> None:
    experiment = made(tree)
    text = yaml_reader.dump(experiment)
    again = read(tmp_path, text)
    assert same(again, experiment)
    kept = (
        "name",
        "question",
        "datasets",
        "validation",
        "probes",
        "replicates",
        "seed",
        "vary",
        "factors",
        "zipped",
        "conditions",
    )
    assert [getattr(again, k) for k in kept] == [getattr(experiment, k) for k in kept]
    assert yaml_reader.dump(again) == text


@pytest.mark.slow
@given(tree=trees(claims=False), data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_dump_is_independent_of_what_was_left_out(tmp_path: Path, tree: dict[str, Any], data: st.DataObject) -> None:
    """A default that is written out, as any other spelling, changes no run."""
    experiment = made(tree)
    shuffled = dict(data.draw(st.permutations(list(tree.items()))))
    assert same(made(shuffled), experiment)
    written = read(tmp_path, yaml_reader.dump(experiment))
    assert {"lr", "batch_size", "optimizer"} <= {
        *written.fixed,
        *written.factor_names,
        *(k for c in written.conditions for k in c),
    }
