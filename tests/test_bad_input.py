"""Bad input, as a user gives it: one message with rule, value, place and suggestion; status 2; nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader

HEAD = "name: bad\nquestion: Is it?\ndataset: fashion_mnist\n"
GOOD = HEAD + "fixed: {train_size: 100, epochs: 1}\nfactors: {width: [4, 8]}\nreplicates: 2\n"
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
# Stands in a text where the error should point, and is taken out before the text is written.
HERE = "§"


def claim(form: str) -> str:
    return GOOD + f"claims:\n  - {{id: c, says: It is so., {form}}}\n"


@dataclass(frozen=True)
class Bad:
    """A text that is wrong, and what must be said of it."""

    name: str
    text: str
    says: tuple[str, ...]

    @property
    def place(self) -> str:
        """Line and column of the mark; the file alone where there is none."""
        if HERE not in self.text:
            return ""
        before = self.text[: self.text.index(HERE)]
        return f", line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def bad(name: str, text: str, *says: str) -> Bad:
    return Bad(name, text, says)


FILES = [
    bad("unknown-key", GOOD + "§replicate: 3", "a key here must be one of name, ", "got 'replicate'; did you mean 'replicates'?"),
    bad("unknown-setting", HEAD + "fixed: {§widht: 8}", "a setting must be one of", "got 'widht'; did you mean 'width'?"),
    bad("unknown-factor", HEAD + "factors:\n  lr: [1, 2]\n  §actvation: [relu]", "got 'actvation'; did you mean 'activation'?"),
    bad("misspelt-level", HEAD + "fixed: {activation: §rleu}", "activation must be one of identity, relu", "got 'rleu'; did you mean 'relu'?"),
    bad("dropout", HEAD + "fixed: {dropout: §1.2}", "dropout must be a number in [0, 1]", "got 1.2"),
    bad("width-0", HEAD + "factors: {width: [8, §0]}", "width must be a whole number of at least 1, got 0"),
    bad("depth", HEAD + "fixed: {depth: §-1}", "depth must be a whole number in [0, 10000], got -1"),
    bad("depth-huge", HEAD + "fixed: {depth: §100000000000000}", "depth must be a whole number of at most 10000"),
    bad("train-size", HEAD + "fixed: {train_size: §60001}", "train_size must be at most 60000, what fashion_mnist has, got 60001"),
    bad("batch-size-0", HEAD + "fixed: {batch_size: §0}", "batch_size must be a whole number of at least 1 or 'full', got 0"),
    bad("lr-word", HEAD + "fixed: {lr: §fast}", "lr must be a number above 0, got 'fast'"),
    bad("lr-inf", HEAD + "fixed: {lr: §.inf}", "lr must be a number above 0, got inf"),
    bad("decay-bias-no", HEAD + "fixed: {decay_bias: §no}", "decay_bias must be true or false, got 'no'"),
    bad("init-unparametrised", HEAD + "fixed: {init: §normal}", "init must be normal with its parameter, written {normal: number}"),
    bad("optimizer-misspelt", HEAD + "fixed: {optimizer: §adm}", "optimizer must be one of sgd, {momentum: number}, ", "got 'adm'; did you mean 'adam'?"),
    bad("momentum", HEAD + "fixed: {optimizer: §{momentum: 1.5}}", "optimizer must be momentum with a parameter that is a number in [0, 1], got {'momentum': 1.5}"),
    bad("schedule-unparametrised", HEAD + "fixed: {schedule: §step}", "schedule must be step with its parameters, written {step: {every: number, factor: number}}, got 'step'"),
    bad("schedule-key", HEAD + "fixed: {schedule: §{step: {evry: 5, factor: 0.5}}}", "schedule must be step with its parameters, written {step: {every: number, factor: number}}, got {'step': {'evry': 5"),
    bad("warmup-0", HEAD + "factors: {schedule: [constant, §{warmup: 0}]}", "schedule must be warmup with a parameter 'steps' that is a whole number of at least 1, got {'warmup': 0}"),
    bad("label-noise", HEAD + "fixed: {label_noise: §1.2}", "label_noise must be a number in [0, 1], got 1.2"),
    bad("input-noise", HEAD + "fixed: {input_noise: §-0.1}", "input_noise must be a number of at least 0, got -0.1"),
    bad("l1", HEAD + "fixed: {l1: §-1}", "l1 must be a number of at least 0, got -1"),
    bad("norm", HEAD + "fixed: {norm: §batchnorm}", "norm must be one of none, layer, batch, got 'batchnorm'; did you mean 'batch'?"),
    bad("clip-norm-0", HEAD + "fixed: {clip_norm: §0}", "clip_norm must be a number above 0, or none, got 0"),
    bad("loss-misspelt", HEAD + "fixed: {loss: §mes}", "loss must be one of cross_entropy, naive_cross_entropy, squared_error, mse, got 'mes'; did you mean 'mse'?"),
    bad("precision", HEAD + "fixed: {precision: §float16}", "precision must be one of float32, float64, ", "got 'float16'; did you mean "),
    bad("probes-negative", HEAD + "probes: §[-1]", "probes must be a list of epochs of at least 0, start or end, got [-1]"),
    bad("probes-inf", HEAD + "probes: §[.inf]", "probes must be a list of epochs of at least 0, start or end, got [inf]"),
    bad("probes-huge", HEAD + "probes: §[1" + "0" * 400 + "]", "probes must be a list of epochs of at least 0, start or end, got [1000"),
    bad("probes-word", HEAD + "probes: §start", "probes must be a list of epochs of at least 0, start or end, got 'start'"),
    bad("probes-misspelt", HEAD + "probes: §[strat, end]", "probes must be a list of epochs of at least 0, start or end, got ['strat', 'end']"),
    bad("vary-noise", HEAD + "vary: [init, §nois]", "must be 'init', 'order', 'dropout', 'split' or 'noise', got 'nois'; did you mean 'noise'?"),
    bad("repeated-level", HEAD + "factors: {lr: [0.1, §1e-1]}", "the levels of a factor must differ, got 0.1 twice for lr"),
    bad("two-roles", HEAD + "fixed: {lr: 1}\nfactors: {§lr: [1, 2]}", "a setting has one role, but lr stands under fixed and factors"),
    bad("two-ways", HEAD + "fixed: {§hidden_sizes: [8], depth: 1}", "hidden_sizes stands in place of depth: give one of them, got both"),
    bad("no-levels", HEAD + "factors: {lr: §[]}", "the levels of factor lr must be a list that is not empty, got []"),
    bad("same-run", HEAD + "fixed: {depth: 0}\nfactors: {width: [8, §16]}", "conditions must differ"),
    bad("top-level-conditions", GOOD + "§conditions: [{label: a, lr: 1}]", "a key here must be one of", "got 'conditions'"),
    bad("label-of-two-lines", HEAD + 'factors: {conditions: [{label: §"a\\nb", lr: 1}]}', "words on one line, got 'a\\nb'"),
    bad("name", HEAD.replace("bad", "§bad name"), "name must be a plain word of letters, digits, '_' and '-', got 'bad name'"),
    bad("name-is-a-path", HEAD.replace("bad", "§../bad"), "name must be a plain word", "got '../bad'"),
    bad("name-missing", "§question: Is it?\ndataset: fashion_mnist\n", "an experiment needs name, got none"),
    bad("validation", HEAD + "validation: §1.5", "validation must be less than 1, got 1.5"),
    bad("replicates-negative", HEAD + "replicates: §-3", "replicates must be greater than or equal to 1, got -3"),
    bad("replicates-true", HEAD + "replicates: §true", "replicates must be a whole number, got True"),
    bad("seed-text", HEAD + "seed: §'0'", "seed must be a whole number, got '0'"),
    bad("vary-nothing", HEAD + "vary: §[]", "vary must name a stream in which replicates differ"),
    bad("dataset", HEAD.replace("fashion_mnist", "§fashion_mist"), "got 'fashion_mist'; did you mean 'fashion_mnist'?"),
    bad("claim-metric", claim("bound: {metric: §test_acuracy, above: 1}"), "metric must be one of", "got 'test_acuracy'; did you mean 'test_accuracy'?"),
    bad("claim-factor", claim("trend: {metric: flops, factor: §wdith, expect: rises}"), "a claim here names a factor (width), got 'wdith'; did you mean 'width'?"),
    bad("claim-level", claim("bound: {metric: flops, where: {width: §16}, above: 1}"), "a claim about width names one of its levels [4, 8], got 16"),
    bad("claim-no-factor", claim("bound: {metric: flops, where: {§lr: 1}, above: 1}"), "a claim here names a factor (width), got 'lr'"),
    bad("validation-of-none", HEAD + "validation: §0.001\nfixed: {train_size: 100}", "validation must take an example of 100, got 0.001"),
    bad("claim-validation", claim("bound: {metric: §val_loss, above: 1}"), "a metric of validation examples needs validation", "got 'val_loss'"),
    bad("claim-condition", HEAD + "factors: {zip: {lr: [1, 2], width: [4, 8]}}\nclaims: [{id: c, says: so, bound: {metric: flops, where: §{lr: 1, width: 8}, above: 1}}]", "a claim names levels that stand together in a condition, got {'lr': 1.0, 'width': 8}"),
    bad("claim-margin", claim("compare: §{metric: flops, a: {width: 4}, b: {width: 8}, expect: equivalent}"), "equivalent on flops must state a margin"),
    bad("claim-sides", claim("bound: §{metric: flops, above: 1, below: 2}"), "a bound has exactly one of 'above' and 'below', got both"),
    bad("claim-nan", claim("bound: {metric: flops, above: §.nan}"), "above must be a finite number, got nan"),
    bad("claim-form", claim("§bond: {metric: flops, above: 1}"), "got 'bond'; did you mean 'bound'?"),
    bad("claim-twice", claim("bound: {metric: flops, above: 1}") + "  - {id: §c, says: so, bound: {metric: flops, above: 1}}", "claim ids must differ, got 'c' twice"),
    bad("empty", "", "an experiment needs at least name, question and dataset, got an empty file"),
    bad("comment", "# nothing\n", "got an empty file"),
    bad("list", "§- name: bad\n", "an experiment must be a mapping of keys to values, got [{'name': 'bad'}]"),
    bad("word", "§bad\n", "an experiment must be a mapping of keys to values, got 'bad'"),
    bad("tab", HEAD + "fixed:\n§\tlr: 1", "not YAML", "'\\t'", "indent with spaces, not tabs"),
    bad("unclosed", HEAD + "fixed: {lr: 1\nseed§: 3", "not YAML", "got ':'"),
    bad("duplicate-key", HEAD + "seed: 1\n§seed: 2", "a key stands once in a mapping, got 'seed' twice"),
    bad("alias-bomb", "a: §&a [x, x]\n" + "".join(f"{c}: &{c} [*{b}, *{b}, *{b}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)), "must not use anchors and aliases, got &a: write the value out"),
    bad("merge", HEAD + "fixed: {§<<: {lr: 1}}", "a setting must be one of", "got '<<'"),
    bad("tag", HEAD + "fixed: {lr: §!!python/name:os.system x}", "must not use tags"),
    bad("bool-tag", HEAD + "fixed: {decay_bias: §!!bool maybe}", "must not use tags"),
    bad("yaml-1.1", "%YAML 1.1\n§---\n" + HEAD, "an experiment must be YAML 1.2, got %YAML 1.1"),
    bad("two-documents", HEAD + "§---\n" + HEAD, "not YAML", "another document"),
    bad("brackets", HEAD + "fixed: " + "[" * 19 + "§" + "[" * 9981, "an experiment must be nested at most 20 deep"),
    bad("closed-brackets", HEAD + "fixed: " + "[" * 19 + "§" + "[" * 9981 + "]" * 10_000, "nested at most 20 deep"),
    bad("dashes", HEAD + "fixed:\n  " + "- " * 19 + "§" + "- " * 9981 + "x", "nested at most 20 deep"),
    bad("big-number", HEAD + "fixed: {lr: §1" + "0" * 400 + "}", "lr must be a number above 0, got 1000"),
    bad("bigger-number", HEAD + "seed: §1" + "0" * 5000, "a number must have at most 4300 digits, got '1000"),
    bad("hexadecimal", HEAD + "replicates: §0x" + "f" * 5000, "replicates must be less than or equal to 100000, got a number of very many digits"),
    bad("date", HEAD + "replicates: §2020-12-05", "replicates must be a whole number, got '2020-12-05'"),
    bad("impossible-date", HEAD + "fixed: {lr: §2020-13-45}", "lr must be a number above 0, got '2020-13-45'"),
    bad("null-value", HEAD + "fixed: {lr: §null}", "lr must be a number above 0, got None"),
    bad("null-claims", HEAD + "claims: §", "claims must be a list, got None"),
    bad("null-question", HEAD.replace("Is it?", "§~"), "question must be text, got None"),
    bad("null-key", HEAD + "§~: 1", "a key here must be one of", "got None"),
    bad("list-key", HEAD + "? §[a]\n: 1", "a key must be a word, got a list or a mapping"),
    bad("mapping-key", HEAD + "fixed: {§{a: 1}: 2}", "a key must be a word, got a list or a mapping"),
    bad("number-key", HEAD + "fixed: {§5: 1}", "a key must be a word, got 5"),
    bad("nul", HEAD + "seed: §\0", "an experiment file must be printable text, got '\\x00'"),
    bad("half-a-pair", HEAD.replace("Is it?", '§"\\ud800"'), "text must be made of whole characters, got '\\ud800'"),
    bad("grid", HEAD + "factors:\n  §width: &".replace("&", str(list(range(1, 1001)))) + f"\n  lr: {list(range(1, 1001))}", "at most 100000 conditions, got 1000000"),
    bad("too-long", HEAD + "#" * 1_000_000, "an experiment file must have at most 1000000 bytes, got more"),
]  # fmt: skip


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file and folder below, with what it holds."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one good experiment, and one of results where a file is in its way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "bad").touch()
    return tmp_path


def refused(here: Path, *arguments: str, usage: bool = False) -> str:
    """Run the command line in this process; return its one message after checking all that holds of any refusal."""
    before = tree(here)
    began = time.monotonic()
    result = CliRunner().invoke(main, arguments)
    assert time.monotonic() - began < 5, "a refusal comes before any work"
    assert tree(here) == before, "nothing is written"
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if usage:
        assert result.stderr.startswith("Usage: ")
        return result.stderr
    assert result.stderr.startswith("mlpbench: ")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 1000
    return result.stderr.rstrip("\n")


@pytest.mark.parametrize("given", FILES, ids=[b.name for b in FILES])
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_bad_file_is_refused(here: Path, given: Bad, command: str) -> None:
    assert given.text.count(HERE) <= 1
    (here / "bad.yaml").write_text(given.text.replace(HERE, ""))
    message = refused(here, command, "bad.yaml")
    for words in given.says:
        assert words in message
    assert message.endswith(f"(bad.yaml{given.place})")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "god.yaml"], "an experiment file must be there, got no file at god.yaml; did you mean 'good.yaml'?"),
        (["run", "xyzzy"], "an experiment file must be there, got no file at xyzzy; . has good.yaml"),
        (["plan", "nowhere/good.yaml"], "got no file at nowhere/good.yaml"),
        (["run", "good.yaml/x"], "an experiment file must be readable, got 'Not a directory' for good.yaml/x"),
        (["run", "x" * 300], "an experiment file must be readable, got 'File name too long'"),
        (["run", "."], "an experiment is a file, got the folder ."),
        (["run", "good.yaml", "good.yaml"], "experiments of one command need different names, got 'bad' twice"),
        (["run", "good.yaml", "god.yaml"], "got no file at god.yaml"),
        (["run", "good.yaml", "--workers", "0"], "--workers must be a whole number of at least 1, got 0"),
        (["run", "good.yaml", "--workers", "-2"], "--workers must be a whole number of at least 1, got -2"),
        (["run", "good.yaml", "--threads", "0"], "--threads must be a whole number of at least 1, got 0"),
        (["plan", "good.yaml", "--threads", "0"], "--threads must be a whole number of at least 1, got 0"),
        (["run", "good.yaml", "--device", "cuda:99"], "--device must be one of auto, cpu"),
        (["run", "good.yaml", "--device", "gpu"], "got 'gpu'"),
        (["plan", "good.yaml", "--device", "cuda:99"], "got 'cuda:99'"),
        (["run", "good.yaml", "--results", "good.yaml"], "--results must be a folder, got the file good.yaml"),
        (["plan", "good.yaml", "--results", "good.yaml"], "--results must be a folder, got the file good.yaml"),
        (["run", "good.yaml", "--set", "nonsense"], "an override must be KEY=VALUE, got 'nonsense' (--set nonsense)"),
        (["run", "good.yaml", "--set", "=1"], "an override must be KEY=VALUE, got '=1'"),
        (["run", "good.yaml", "--set", "widht=8"], "got 'widht'; did you mean 'width'? (--set widht=8)"),
        (["run", "good.yaml", "--set", "lr=-1"], "lr must be a number above 0, got -1 (--set lr=-1)"),
        (["run", "good.yaml", "--set", "lr=[1, 1]"], "the levels of a factor must differ, got 1.0 twice for lr (--set lr=[1, 1])"),
        (["run", "good.yaml", "--set", "lr=[1"], "not YAML: expected ',' or ']'"),
        (["run", "good.yaml", "--set", "lr={"], "not YAML"),
        (["run", "good.yaml", "--set", "lr=*x"], "must not use anchors and aliases, got *x"),
        (["run", "good.yaml", "--set", "train_size=70000"], "train_size must be at most 60000, what fashion_mnist has, got 70000 (--set train_size=70000)"),
        (["plan", "good.yaml", "--set", "replicates=many"], "replicates must be a whole number, got 'many' (--set replicates=many)"),
        (["run", "good.yaml", "--results", "taken"], "the results of bad go into a folder, got the file taken/bad"),
        (["report", "."], "a results folder has a spec.yaml, and . has none; it is made by `mlpbench run SPEC`"),
        (["report", "nowhere"], "a results folder has a spec.yaml, and nowhere has none; it is made by `mlpbench run SPEC`"),
        (["report", "good.yaml"], "a results folder has a spec.yaml, and good.yaml has none; it is made by `mlpbench run SPEC`"),
        (["claims", "."], "a results folder has a spec.yaml, and . has none"),
        (["list", "nowhere"], "the experiments must be in a folder, got no folder at nowhere"),
        (["list", "good.yaml"], "the experiments must be in a folder, got no folder at good.yaml"),
        (["data", "fetch", "fashion_mnst"], "a named data set must be one of fashion_mnist, mnist, kmnist, qmnist, emnist_balanced, emnist_letters, emnist_digits, cifar10, digits, mnist1d, linear, polynomial, got 'fashion_mnst'; did you mean fashion_mnist?"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_refused(here: Path, arguments: list[str], says: str) -> None:
    assert says in refused(here, *arguments)


@pytest.mark.parametrize(("n", "says"), [(1, "did you mean of/a?"), (5, "did you mean of/a, of/b, of/c and 2 more?")])
def test_a_folder_of_results_folders_is_answered_with_those(here: Path, n: int, says: str) -> None:
    for name in "abcde"[:n]:
        (here / "of" / name).mkdir(parents=True)
        (here / "of" / name / "spec.yaml").write_text(GOOD)
    for other in (".a.tmp", "damaged"):
        (here / "of" / other).mkdir()
        (here / "of" / other / "spec.yaml").write_text(GOOD)
    (here / "of" / "index.md").touch()
    assert f"of has none; {says}" in refused(here, "verify", "of")
    beside = "of/index.md has none; it is a file: `of/*/` names the folders beside it"
    assert beside in refused(here, "claims", "of/index.md")
    assert "of/a/spec.yaml has none; did you mean of/a?" in refused(here, "claims", "of/a/spec.yaml")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Usage"),
        (["run"], "Missing argument 'SPEC...'"),
        (["plan"], "Missing argument 'SPEC'"),
        (["rn", "good.yaml"], "No such command 'rn'"),
        (["run", "good.yaml", "--wrokers", "2"], "--wrokers"),
        (["run", "good.yaml", "--workers", "two"], "'two' is not a valid integer"),
        (["run", "good.yaml", "--rerun", "some"], "'some' is not one of 'failed', 'stale', 'all'"),
        (["plan", "good.yaml", "good.yaml"], "unexpected extra argument"),
        (["report"], "Missing argument 'DIR'"),
    ],
)
def test_a_command_that_is_none_is_answered_with_its_usage(here: Path, arguments: list[str], says: str) -> None:
    assert says in refused(here, *arguments, usage=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "an experiment file must be UTF-8, got byte 0x89 (bad.yaml, line 1)"),
        (HEAD.encode() + "seed: é".encode("latin-1"), "an experiment file must be UTF-8, got byte 0xe9 (bad.yaml, line 4)"),
        (GOOD.encode("utf-16"), "an experiment file must be UTF-8, got byte 0xff"),
        (GOOD.encode("utf-16-le"), "an experiment file must be printable text, got '\\x00' (bad.yaml, line 1, column 2)"),
        (bytes(2_000_000), "an experiment file must have at most 1000000 bytes, got more"),
    ],
    ids=["png", "latin-1", "utf-16", "utf-16-le", "zeros"],
)  # fmt: skip
def test_a_file_that_is_no_text_is_refused(here: Path, content: bytes, says: str) -> None:
    (here / "bad.yaml").write_bytes(content)
    assert says in refused(here, "run", "bad.yaml")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without end")
def test_a_file_without_end_is_refused(here: Path) -> None:
    assert "at most 1000000 bytes, got more" in refused(here, "plan", "/dev/zero")


def test_a_bad_second_file_keeps_the_first_from_being_trained(here: Path) -> None:
    (here / "bad.yaml").write_text(HEAD + "replicates: 0\n")
    assert "replicates must be" in refused(here, "run", "good.yaml", "bad.yaml")


def test_a_results_folder_with_a_broken_spec_is_refused(here: Path) -> None:
    (here / "results" / "bad").mkdir(parents=True)
    (here / "results" / "bad" / "spec.yaml").write_text(HEAD + "fixed: {lr: -1}\n")
    for arguments in (["report", "results/bad"], ["claims", "results/bad"], ["claims"]):
        assert "got -1 (results/bad/spec.yaml, line 4, column 13)" in refused(here, *arguments)


def test_a_list_of_experiments_with_a_broken_one_is_refused(here: Path) -> None:
    (here / "a.yaml").write_text(HEAD + "replicates: 0\n")
    assert "got 0 (a.yaml, line 4, column 13)" in refused(here, "list", ".")


def test_a_good_file_is_not_refused(here: Path) -> None:
    """What is refused above is refused for its fault: the same file without it is planned, and planning writes nothing."""
    before = tree(here)
    for text in (HEAD, GOOD, claim("bound: {metric: test_loss, above: 1}")):
        (here / "good.yaml").write_text(text)
        before["good.yaml"] = text.encode()
        result = CliRunner().invoke(main, ["plan", "good.yaml"])
        assert (result.exit_code, result.stderr) == (0, "")
    assert tree(here) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "bad.yaml"], "dropout must be a number in [0, 1], or a list with one per hidden layer, got 1.2 (bad.yaml, line 4, column 18)"),
        (["plan", "deep.yaml"], "an experiment must be nested at most 20 deep, got more (deep.yaml, line 4, column 27)"),
        (["run", "good.yaml", "--set", "lr=\udcff"], "an experiment file must be printable text, got '\\udcff' (--set lr=\\udcff, line 1, column 1)"),
    ],
)  # fmt: skip
def test_the_shell_sees_one_line_and_status_2(here: Path, arguments: list[str], says: str) -> None:
    (here / "bad.yaml").write_text(HEAD + "fixed: {dropout: 1.2}\n")
    (here / "deep.yaml").write_text(HEAD + "fixed: " + "[" * 10_000 + "\n")
    before = tree(here)
    environment = os.environ | {
        "PYTHONPATH": str(EXPERIMENTS.parent),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mlpbench", *arguments], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"mlpbench: {says}\n")
    assert tree(here) == before


# Whatever a hand or a broken editor leaves in a file.
PIECES = st.sampled_from(
    ["{", "}", "[", "]", ":", ": ", "- ", "? ", ",", "\n", "\n  ", "\t", "#", "&a ", "*a", "!!int ", "!x ", "|", ">", "%", "@", "`",
     "'", '"', "\\", "---\n", "...\n", "<<: ", "~", "null", "true", ".nan", "-.inf", "1e999", "0x", "0o9", "1_", "-", "_", "0" * 400,
     "2020-13-45", "\0", "\x85", "\u2028", "\ufeff", "é", "\U0001f642", "lr", "width: 0", "claims", "{}", "[]"]
)  # fmt: skip
SHIPPED = [path.read_text() for path in sorted(EXPERIMENTS.glob("*.yaml"))]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a shipped or a small experiment with spans deleted, doubled, moved or overwritten."""
    text = draw(st.sampled_from([GOOD, claim("bound: {metric: flops, where: {width: 4}, above: 1}"), *SHIPPED]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(PIECES | st.just("") | st.just(text[start:stop] * 2) | st.text(max_size=5))
        text = text[:start] + piece + text[stop:]
    return text


@given(text=mutated())
@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused_never_anything_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "damaged.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    refusal, experiment = "", None
    try:
        experiment = yaml_reader.read(path)
    except InputError as error:
        refusal = str(error)
    if experiment is None:
        assert "\n" not in refusal
        assert str(path) in refusal
    else:
        again = tmp_path / "again.yaml"
        again.write_text(yaml_reader.dump(experiment))
        ids = [[r.run_id for r in grid.runs(e)] for e in (experiment, yaml_reader.read(again))]
        assert ids[0] == ids[1]
