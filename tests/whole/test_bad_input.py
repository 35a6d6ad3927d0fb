"""Bad input, as a user gives it: one message with rule, value, place and suggestion; status 2; nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_specs import FILES, GOOD, HEAD, HERE, Bad, claim
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository import EXPERIMENTS, ROOT

from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader, yaml_source


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file and folder below, with what it holds."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one good experiment, and one of results where a file is in its way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "twin.yaml").write_text(GOOD)
    (tmp_path / "sheet.xlsx").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "bad").touch()
    (tmp_path / "taken" / "loop").symlink_to("loop")
    (tmp_path / "taken" / "dangling").symlink_to("nowhere")
    (tmp_path / "taken" / "a").mkdir()
    (tmp_path / "taken" / "a" / "runs").touch()
    (tmp_path / "taken" / "b" / "report.md").mkdir(parents=True)
    (tmp_path / "taken" / "c" / ".lock").mkdir(parents=True)
    return tmp_path


def refused(here: Path, *arguments: str, usage: bool = False) -> str:
    """Run the command line in this process; return its one message after checking all that holds of any refusal."""
    before = tree(here)
    began = time.process_time()
    result = CliRunner().invoke(main, arguments)
    assert time.process_time() - began < 5, "a refusal comes before any work"
    assert tree(here) == before, "nothing is written"
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if usage:
        assert result.stderr.startswith("Usage: ")
        return result.stderr
    assert result.stderr.startswith("mlpbench: ")
    lines = result.stderr.splitlines()
    if lines[-1].startswith("`mlpbench explain "):  # where it says more
        lines.pop()
    assert len(lines) in (1, 3)
    if len(lines) == 3:  # the line that is wrong, and a caret below it
        assert [line[:2] for line in lines[1:]] == ["  ", "  "]
        assert lines[2].strip() == "^"
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
    assert message.startswith(f"mlpbench: bad.yaml{given.place}: ")


def test_an_error_shows_its_line_with_a_caret_below_the_column(here: Path) -> None:
    (here / "bad.yaml").write_text(HEAD + "fixed:\n  learning_rate: 0.5\n")
    assert refused(here, "run", "bad.yaml") == (
        "mlpbench: bad.yaml:5:3: unknown setting 'learning_rate'; did you mean 'lr'?\n    learning_rate: 0.5\n    ^"
    )
    (here / "bad.yaml").write_text("{name: bad, question: 漢字?,\tdatset: mnist}")
    caret = "  " + " " * len("{name: bad, question: ") + "    " + "  \t^"  # wide characters take two columns
    assert refused(here, "run", "bad.yaml").splitlines()[2] == caret
    long = HEAD + f"fixed: {{lr: 1, {' ' * 300}dropout: 1.2, {' ' * 300}width: 8}}\n"
    (here / "bad.yaml").write_text(long)
    line, caret = refused(here, "run", "bad.yaml").splitlines()[1:3]
    assert len(line) == 2 + yaml_source.EXCERPT
    assert line[caret.index("^") :].startswith("1.2, ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "god.yaml"], "experiment file not found: god.yaml; did you mean 'good.yaml'?"),
        (["run", "xyzzy"], "experiment file not found: xyzzy; this folder has good.yaml, twin.yaml"),
        (["plan", "nowhere/good.yaml"], "experiment file not found: nowhere/good.yaml"),
        (["run", "good.yaml/x"], "good.yaml/x: an experiment file must be readable, got 'Not a directory'"),
        (["run", "x" * 300], "an experiment file must be readable, got 'File name too long'"),
        (["run", "."], "an experiment must be a file, got the folder ."),
        (["run", "good.yaml", "good.yaml"], "experiments of one command need different names, got 'bad' twice, both times from good.yaml: give it once"),
        (["plan", "good.yaml", "good.yaml"], "experiments of one command need different names, got 'bad' twice, both times from good.yaml: give it once"),
        (["run", "good.yaml", "twin.yaml"], "got 'bad' twice, from good.yaml and twin.yaml: leave one of them out, or change its `name`"),
        (["plan", "twin.yaml", "good.yaml"], "got 'bad' twice, from twin.yaml and good.yaml: leave one of them out, or change its `name`"),
        (["data", "describe", "sheet.xlsx", "--target", "y"], "got 'sheet.xlsx'; save the sheet as csv"),
        (["data", "describe", "sheet.xlsx"], "got no target for 'sheet.xlsx'; save the sheet as csv"),
        (["new", "n", "--data", "sheet.xlsx", "--target", "y"], "got 'sheet.xlsx'; save the sheet as csv"),
        (["export", "0123", "m.pt"], "got m.pt: give m.safetensors, or in Python torch.save(mlpbench.model('0123').state_dict(), 'm.pt')"),
        (["export", "0123", "m.ONNX"], "give m.safetensors, or in Python torch.onnx.export(mlpbench.model('0123'), (x,), 'm.ONNX'), with inputs x"),
        (["run", "good.yaml", "god.yaml"], "experiment file not found: god.yaml"),
        (["run", "good.yaml", "--workers", "0"], "--workers must be a whole number of at least 1, got 0"),
        (["run", "good.yaml", "--workers", "-2"], "--workers must be a whole number of at least 1, got -2"),
        (["run", "good.yaml", "--threads", "0"], "--threads must be a whole number of at least 1, got 0"),
        (["plan", "good.yaml", "--threads", "0"], "--threads must be a whole number of at least 1, got 0"),
        (["run", "good.yaml", "--device", "cuda:99"], "--device must be one of auto, cpu"),
        (["run", "good.yaml", "--device", "gpu"], "got 'gpu'"),
        (["plan", "good.yaml", "--device", "cuda:99"], "got 'cuda:99'"),
        (["run", "good.yaml", "--results", "good.yaml"], "--results must be a folder, got the file good.yaml"),
        (["plan", "good.yaml", "--results", "good.yaml"], "--results must be a folder, got the file good.yaml"),
        (["run", "good.yaml", "--set", "nonsense"], "--set nonsense: an override must be KEY=VALUE, got 'nonsense'"),
        (["run", "good.yaml", "--set", "=1"], "--set =1: an override must be KEY=VALUE, got '=1'"),
        (["run", "good.yaml", "--set", "widht=8"], "--set widht=8: unknown setting or key 'widht'; did you mean 'width'?"),
        (["run", "good.yaml", "--set", "lr=-1"], "--set lr=-1: lr must be a number above 0, got -1"),
        (["run", "good.yaml", "--set", "lr=[1, 1]"], "--set lr=[1, 1]: the levels of a factor must differ, got 1.0 twice for lr"),
        (["run", "good.yaml", "--set", "lr=[1"], "--set lr=[1: not YAML: expected ',' or ']'"),
        (["run", "good.yaml", "--set", "lr={"], "not YAML"),
        (["run", "good.yaml", "--set", "lr=*x"], "must not use anchors and aliases, got *x"),
        (["run", "good.yaml", "--set", "train_size=70000"], "--set train_size=70000: train_size must be at most 60000, what fashion_mnist has, got 70000"),
        (["plan", "good.yaml", "--set", "replicates=many"], "--set replicates=many: replicates must be a whole number, got 'many'"),
        (["run", "good.yaml", "--results", "taken"], "the results of bad need a folder, got the file taken/bad"),
        (["run", "good.yaml", "--results", "good.yaml/x"], "--results must be a folder, but good.yaml is a file: remove or rename it"),
        (["plan", "good.yaml", "--results", "good.yaml/x"], "--results must be a folder, but good.yaml is a file: remove or rename it"),
        (["run", "good.yaml", "--results", "taken/loop"], "--results must be a folder, but taken/loop is a symlink that leads to itself"),
        (["run", "good.yaml", "--results", "x" * 300], "of 300 bytes is longer than the 255 that the file system takes: choose a shorter one"),
        (["run", "good.yaml", "--results", "taken/dangling"], "the results of bad can't be written, as taken/dangling is a symlink to nowhere, which is not there: remove"),
        (["run", "good.yaml", "--results", "taken", "--set", "name=loop"], "the results of loop can't be written, as taken/loop is a symlink that leads to itself: remove or rename it"),
        (["run", "good.yaml", "--results", "taken", "--set", "name=a"], "the results of a can't be written, as taken/a/runs is a file: remove or rename it"),
        (["run", "good.yaml", "--results", "taken", "--set", "name=b"], "the results of b can't be written, as taken/b/report.md is a folder: remove or rename it"),
        (["run", "good.yaml", "--results", "taken", "--set", "name=c"], "the results of c can't be written, as taken/c/.lock is a folder: remove or rename it"),
        (["report", "."], ". is not a results folder (no spec.yaml); `mlpbench run SPEC` writes one"),
        (["report", "nowhere"], "nowhere is not a results folder (no spec.yaml); `mlpbench run SPEC` writes one"),
        (["report", "good.yaml"], "good.yaml is not a results folder (no spec.yaml); `mlpbench run SPEC` writes one"),
        (["claims", "."], ". is not a results folder (no spec.yaml)"),
        (["list", "nowhere"], "folder of experiments not found: nowhere"),
        (["list", "god.yaml"], "folder of experiments not found: god.yaml; did you mean 'good.yaml'?"),
        (["claims", "god"], "god is not a results folder (no spec.yaml); `mlpbench run SPEC` writes one"),
        (["plan", "good.yaml", "good.yaml", "--pilot", "taken"], "--pilot is about one experiment: give one SPEC with it, got 2"),
        (["data", "fetch", "fashion_mnst"], "a data set must be a name of `mlpbench data list`, got 'fashion_mnst'; did you mean 'fashion_mnist'?"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_refused(here: Path, arguments: list[str], says: str) -> None:
    assert says in refused(here, *arguments)


@pytest.mark.parametrize(("n", "says"), [(1, "did you mean of/a?"), (5, "did you mean of/a, of/b, of/c and 2 more?")])
def test_a_folder_of_results_folders_is_answered_with_those(here: Path, n: int, says: str) -> None:
    for name in "abcde"[:n]:
        (here / "of" / name).mkdir(parents=True)
        (here / "of" / name / "spec.yaml").write_text(GOOD)
    for other in (".a.tmp", ".damaged"):
        (here / "of" / other).mkdir()
        (here / "of" / other / "spec.yaml").write_text(GOOD)
    (here / "of" / "index.md").touch()
    assert f"of is not a results folder (no spec.yaml); {says}" in refused(here, "verify", "of")
    beside = "of/index.md is not a results folder (no spec.yaml); it is a file: `of/*/` matches the folders beside it"
    assert beside in refused(here, "claims", "of/index.md")
    assert "of/a/spec.yaml is not a results folder (no spec.yaml); did you mean of/a?" in refused(
        here, "claims", "of/a/spec.yaml"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Usage"),
        (["run"], "Missing argument 'SPEC...'"),
        (["plan"], "Missing argument 'SPEC...'"),
        (["rn", "good.yaml"], "No such command 'rn'"),
        (["run", "good.yaml", "--wrokers", "2"], "--wrokers"),
        (["run", "good.yaml", "--workers", "two"], "'two' is not a valid integer"),
        (["run", "good.yaml", "--rerun", "some"], "'some' is not one of 'failed', 'stale', 'all'"),
        (["report", "good.yaml", "good.yaml"], "unexpected extra argument"),
        (["report"], "Missing argument 'DIR'"),
    ],
)
def test_a_command_that_is_none_is_answered_with_its_usage(here: Path, arguments: list[str], says: str) -> None:
    assert says in refused(here, *arguments, usage=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "bad.yaml:1: an experiment file must be UTF-8, got byte 0x89"),
        (HEAD.encode() + "seed: é".encode("latin-1"), "bad.yaml:4: an experiment file must be UTF-8, got byte 0xe9; save it with the encoding UTF-8"),
        (GOOD.encode("utf-16") + b"x", "bad.yaml: an experiment file must be UTF-16 throughout where it begins with its mark; save it"),
        (GOOD.encode("utf-16-le"), "bad.yaml:1:2: an experiment file must be printable text, got '\\x00'"),
        (bytes(2_000_000), "an experiment file must have at most 1000000 bytes, got more"),
    ],
    ids=["png", "latin-1", "utf-16", "utf-16-le", "zeros"],
)  # fmt: skip
def test_a_file_that_is_no_text_is_refused(here: Path, content: bytes, says: str) -> None:
    (here / "bad.yaml").write_bytes(content)
    assert says in refused(here, "run", "bad.yaml")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without end")
def test_a_file_without_end_is_refused(here: Path) -> None:
    assert "/dev/zero: an experiment file must be readable, got 'it is not a regular file'" in refused(
        here, "plan", "/dev/zero"
    )


def test_a_file_that_is_no_specification_by_its_size_is_refused(here: Path) -> None:
    (here / "long.yaml").write_bytes(b" " * 1_000_001)
    assert "at most 1000000 bytes, got more" in refused(here, "plan", "long.yaml")


def test_a_bad_second_file_keeps_the_first_from_being_trained(here: Path) -> None:
    (here / "bad.yaml").write_text(HEAD + "replicates: 0\n")
    assert "replicates must be" in refused(here, "run", "good.yaml", "bad.yaml")


def test_a_results_folder_with_a_broken_spec_is_refused(here: Path) -> None:
    (here / "results" / "bad").mkdir(parents=True)
    (here / "results" / "bad" / "spec.yaml").write_text(HEAD + "fixed: {lr: -1}\n")
    for arguments in (["report", "results/bad"], ["claims", "results/bad"], ["claims"]):
        assert "results/bad/spec.yaml:4:13: lr must be a number above 0, got -1" in refused(here, *arguments)


def test_a_list_of_experiments_names_those_that_are_broken_and_has_the_others(here: Path) -> None:
    (here / "a.yaml").write_text(HEAD + "replicates: 0\n")
    (here / "z.yaml").write_text("name: [\n")
    result = CliRunner().invoke(main, ["list", "."])
    assert result.exit_code == 2
    assert "mlpbench: a.yaml:4:13: replicates must be greater than or equal to 1, got 0" in result.stderr
    assert "mlpbench: z.yaml:2:1: not YAML" in result.stderr
    assert result.stdout.split()[:3] == ["bad", "4", "runs"]


def test_what_is_wrong_with_several_files_is_said_of_all(here: Path) -> None:
    (here / "a.yaml").write_text(HEAD + "replicates: 0\n")
    (here / "b.yaml").write_text(HEAD + "fixed: {lr: -1}\n")
    for command in ("run", "plan"):
        result = CliRunner().invoke(main, [command, "a.yaml", "good.yaml", "b.yaml", "c.yaml"])
        assert (result.exit_code, result.stdout) == (2, "")
        for said in ("a.yaml:4:13: replicates", "b.yaml:4:13: lr", "experiment file not found: c.yaml"):
            assert said in result.stderr


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
        (["run", "bad.yaml"], "bad.yaml:4:18: dropout must be a number in [0, 1], or a list with one per hidden layer, got 1.2\n  fixed: {dropout: 1.2}\n                   ^\n`mlpbench explain dropout` says what it may be"),
        pytest.param(["plan", "deep.yaml"], "deep.yaml:4:27: an experiment must be nested at most 20 deep, got more\n  fixed: " + "[" * 93 + "\n                            ^", marks=pytest.mark.slow),
        pytest.param(["run", "good.yaml", "--set", "lr=\udcff"], "--set lr=\\xff: an experiment file must be printable text, got '\\udcff'\n  \ufffd\n  ^", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_shell_sees_the_message_and_status_2(here: Path, arguments: list[str], says: str) -> None:
    (here / "bad.yaml").write_text(HEAD + "fixed: {dropout: 1.2}\n")
    (here / "deep.yaml").write_text(HEAD + "fixed: " + "[" * 10_000 + "\n")
    before = tree(here)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
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


@pytest.mark.slow
@given(text=mutated())
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused_never_anything_else(tmp_path: Path, text: str) -> None:
    read_or_refused(tmp_path, text)


@pytest.mark.prove
@given(text=mutated())
@settings(max_examples=1_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_many_damaged_files_are_read_or_refused_never_anything_else(tmp_path: Path, text: str) -> None:
    read_or_refused(tmp_path, text)


def read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "damaged.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    refusal, experiment = "", None
    try:
        experiment = yaml_reader.read(path)
    except InputError as error:
        refusal = str(error)
    if experiment is None:
        lines = refusal.splitlines()
        assert lines[0].startswith(str(path))
        assert all(line.startswith((str(path), "  ", "`mlpbench explain ", "and ")) for line in lines)
    else:
        again = tmp_path / "again.yaml"
        again.write_text(yaml_reader.dump(experiment))
        ids = [[r.run_id for r in grid.runs(e)] for e in (experiment, yaml_reader.read(again))]
        assert ids[0] == ids[1]
