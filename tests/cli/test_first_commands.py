"""The first minutes: a file that `new` writes runs and says what is true, `doctor` finds what is wrong, `demo` is a real run."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from repository import ROOT
from ruamel.yaml import YAML
from windows_gpu import lend_gpu

from mlpbench.base.errors import InputError
from mlpbench.cli.common_options import find_browser, show_page
from mlpbench.cli.main import main
from mlpbench.data.data_sets import table_of
from mlpbench.data.named import cache
from mlpbench.data.named.catalogue import CATALOGUE
from mlpbench.executors.executor import EXECUTORS, Inline
from mlpbench.executors.process_pool import ProcessPool
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.json_schema import schema
from mlpbench.jobs.first_steps import TEMPLATES, doctor, self_test
from mlpbench.jobs.first_steps.doctor import Finding
from mlpbench.jobs.first_steps.self_test import SelfTest

PENGUINS = ROOT / "experiments" / "own_data" / "penguins.csv"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to begin in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(name: str, *arguments: str | Path) -> str:
    result = invoke("new", name, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return Path(f"{name}.yaml").read_text()


def tree(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


# A file of the user's own: the templates that take one, of classes and of numbers.
OF_DATA = [
    (template, target) for template in TEMPLATES if template != "replicate" for target in ("species", "body_mass_g")
]


@pytest.mark.parametrize(
    ("template", "target"), [*((t, None) for t in TEMPLATES), *OF_DATA], ids=lambda v: str(v or "as it is")
)
def test_a_new_file_is_valid_and_its_comments_are_true(template: str, target: str | None) -> None:
    data = ["--data", str(PENGUINS), "--target", target] if target else []
    text = new("mine", "--template", template, *data)
    assert text.splitlines()[0] == "# yaml-language-server: $schema=mlpbench.schema.json"
    assert "@" not in text
    of_editors = json.loads(Path("mlpbench.schema.json").read_text())
    assert of_editors == schema()
    assert list(jsonschema.Draft202012Validator(of_editors).iter_errors(tree(text))) == []
    experiment = yaml_reader.read(Path("mine.yaml"))
    runs = grid.count_runs(experiment)
    (said,) = re.findall(r"(\d+) networks", text)
    assert int(said) == runs
    (product,) = re.findall(r"((?:\d+ [a-z]+ x )+)(\d+) replicates are", text.replace("\n# ", " "))
    assert np.prod([int(n) for n in re.findall(r"\d+", product[0])]) * int(product[1]) == runs
    assert experiment.replicates == int(product[1])
    assert max(map(len, text.splitlines())) <= 130
    for command in re.findall(r"mlpbench ([a-z]+)[ `]", text):
        assert command in main.commands, command
    for condition in re.findall(r"`((?:base|without)[^`]*)`", text):
        assert condition in {c.label for c in grid.conditions(experiment)}
    if template == "tune":
        assert (experiment.set_aside, experiment.replicates - experiment.set_aside) == (1, 7)
        yaml_reader.from_text(
            "range", text.replace("lr: [0.01, 0.03, 0.1, 0.3]", "lr: {log_uniform: [0.01, 1.0], levels: 8}")
        )
    if target == "body_mass_g":
        assert {c.form.metric for c in experiment.claims} <= {"test_rmse", "train_loss"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_file_runs(template: str, in_process: None, blank_figures: None) -> None:
    new("mine", "--template", template)
    shorter = ["--set", "steps=20"] if template == "replicate" else ["--set", "epochs=1"]
    result = invoke("run", "mine.yaml", "--set", "replicates=3", *shorter, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert Path("results/mine/report.md").read_text().startswith("# ")


# Those of the many networks take long; that they run at all is seen above.
@pytest.mark.parametrize(
    "template",
    [pytest.param(t, marks=pytest.mark.prove if t in ("ablate", "tune") else pytest.mark.slow) for t in TEMPLATES],
)
def test_a_new_file_runs_as_it_is(template: str, in_process: None, blank_figures: None) -> None:
    new("mine", "--template", template)
    result = invoke("run", "mine")
    assert result.exit_code == 0
    assert result.stdout.startswith("mine: the experiment in mine.yaml\n")
    verdicts = json.loads(invoke("claims", "--json").stdout)["mine"]
    assert len(verdicts) == len(yaml_reader.read(Path("mine.yaml")).claims)
    if template == "replicate":  # what was published of perceptrons is what these settings reach
        assert {v["id"]: v["verdict"] for v in verdicts}["perceptron"] == "supported"


def test_comments_say_how_a_table_is_read() -> None:
    text = new("mine", "--data", PENGUINS, "--target", "body_mass_g")
    facts = table_of(PENGUINS, {"target": "body_mass_g"}).facts
    comments = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    assert f"{facts.n_train} to train on and {facts.n_test} to test on" in comments
    assert facts.profile is not None
    for column in facts.profile.columns:
        assert f"{column.name} ({column.kind}): {column.becomes}" in comments
    assert "2 rows without a target are left out" in comments
    assert tree(text)["dataset"] == {"file": str(PENGUINS), "target": "body_mass_g", "test": 0.2}


def test_a_table_that_comes_along_is_meant_by_its_name() -> None:
    assert tree(new("flowers", "--data", "iris", "--target", "species"))["dataset"] == {
        "name": "iris",
        "target": "species",
    }
    assert tree(new("wines", "--data", "wine"))["dataset"] == "wine"
    yaml_reader.read(Path("wines.yaml"))


HOSTILE = [
    "price: €",
    "a # b",
    "@name",
    "%",
    "yes",
    "{x}",
    "'quoted'",
    "new\nline",
    "\x1b[31m",
    "x" * 300,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_any_name_of_a_column_leads_to_a_file_that_is_read(name: str) -> None:
    """The target by its position, and as an input, whatever it is called."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=60), "@metric": rng.choice(["u", "v"], 60), "y": rng.normal(size=60)})
    frame.to_csv("t.csv", index=False)
    new("first", "--data", "t.csv", "--target", "-3")
    new("last", "--data", "t.csv", "--target", "y")
    for file in ("first.yaml", "last.yaml"):
        experiment = yaml_reader.read(Path(file))
        assert experiment.question.endswith("than a linear model?")
        assert Path(file).read_text().isprintable() or "\n" in Path(file).read_text()
        assert "\x1b" not in Path(file).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a/b"], "the name of an experiment must be a word of at most 100 letters, digits, '_' and '-', got 'a/b'"),
        ([""], "the name of an experiment must be a word"),
        (["x" * 101], "the name of an experiment must be a word of at most 100"),
        (["né"], "the name of an experiment must be a word"),
        (["m", "--template", "comapre"], "--template must be one of compare, tune, ablate, own-data, replicate, got 'comapre'; did you mean 'compare'?"),
        (["m", "--target", "y"], "--target names a column of --data FILE, got 'y' alone"),
        (["--", "-m"], "letters, digits, '_' and '-', the first of which is no '-', got '-m'"),
        (["m", "--data", "none.csv", "--target", "y"], "none.csv"),
        (["m", "--data", "none.csv"], "--data: file not found: none.csv"),
        (["m", "--data", str(PENGUINS)], f"--data {PENGUINS} needs --target, the column to predict: one of species, island, bill_length_mm"),
        (["m", "--data", str(PENGUINS), "--target", "specis"], "did you mean 'species'?"),
        (["m", "--data", str(PENGUINS), "--target", "species", "--template", "replicate"], "--data goes with the templates compare, tune, ablate, own-data"),
        (["m", "--data", "digits"], "a table must be a file or one of"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_message_and_nothing_is_written(arguments: list[str], message: str, here: Path) -> None:
    result = invoke("new", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.startswith("mlpbench: ")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("n", "named"),
    [(12, ", ".join(f"c{i}" for i in range(12))), (13, "c0, c1, c2, c3, c4, c5, c6, c7, c8, ..., c10, c11, c12")],
)
def test_of_many_columns_the_first_and_the_last_are_named(n: int, named: str, here: Path) -> None:
    rows = np.random.default_rng(0).random((30, n)).round(3).tolist()
    lines = [[f"c{i}" for i in range(n)], *rows]
    (here / "t.csv").write_text("\n".join(",".join(map(str, line)) for line in lines))
    result = invoke("new", "m", "--data", "t.csv")
    assert result.stderr == f"mlpbench: --data t.csv needs --target, the column to predict: one of {named}\n"


@pytest.mark.parametrize("name", ["7", "1e3", "0x10", "2024-01-01", "true", "null", "no", "_", "Mine.YAML"])
def test_any_word_may_be_the_name_of_a_file(name: str) -> None:
    assert invoke("new", name).exit_code == 0
    stem = name.removesuffix(".YAML")
    assert yaml_reader.read(Path(f"{stem}.yaml")).name == stem


@pytest.mark.parametrize("taken", ["m.yaml", "m.csv"])
def test_nothing_is_overwritten(taken: str, here: Path) -> None:
    Path(taken).write_text("mine")
    result = invoke("new", "m.yaml", "--template", "own-data")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"mlpbench: the file exists: {taken}; `mlpbench new` overwrites none: choose another name\n"
    assert [p.name for p in here.iterdir()] == [taken]
    assert Path(taken).read_text() == "mine"


def test_the_schema_of_another_release_is_replaced_and_a_file_of_the_user_is_not() -> None:
    new("a")
    result = invoke("new", "b")
    assert result.stdout == "experiment: b.yaml\nnext: mlpbench run b.yaml\n"
    Path("mlpbench.schema.json").write_text(json.dumps({"title": schema()["title"], "type": "object"}))
    new("c")
    assert json.loads(Path("mlpbench.schema.json").read_text()) == schema()
    Path("mlpbench.schema.json").write_text('{"mine": 1}')
    result = invoke("new", "d")
    assert (result.exit_code, Path("d.yaml").exists()) == (2, False)
    assert (
        result.stderr == "mlpbench: mlpbench.schema.json is needed for the schema, and is another file: move it away\n"
    )
    assert Path("mlpbench.schema.json").read_text() == '{"mine": 1}'


def looked(**changes: Any) -> list[Finding]:
    return list(doctor.findings(Path("results"), test=False))


def test_a_healthy_machine_is_called_so_and_every_finding_has_its_words() -> None:
    result = invoke("doctor", "--no-test", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["healthy"] else 1)
    assert told["healthy"] == all(f["state"] != "wrong" for f in told["findings"])
    whats = [f["what"] for f in told["findings"]]
    assert {"mlpbench", "processor", "memory", "results", "data", "torch", "GPU", "choice"} <= set(whats)
    assert all(f["seen"] and (f["state"] != "wrong" or f["way"]) for f in told["findings"])


def gpu_without_torch(patch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "driver").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\n")
    patch.setattr("mlpbench.base.environment.GPU_DRIVER", here / "driver")


def wsl_without_torch(patch: pytest.MonkeyPatch, here: Path) -> None:
    """Linux under Windows: no driver of its own, and a card that Windows lends."""
    patch.setattr("mlpbench.base.environment.GPU_DRIVER", here / "none")
    lend_gpu(patch, here)


def old_package(patch: pytest.MonkeyPatch, here: Path) -> None:
    patch.setattr(
        metadata, "requires", lambda name: ["numpy>=2", "click>=99", "no-such-package>=1", "x; extra == 'dev'"]
    )


def no_avx2(patch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "cpuinfo").write_text("model name : Old\nflags : fpu sse sse2\n")
    patch.setattr("mlpbench.base.machine.CPU_INFO", here / "cpuinfo")


def no_memory(patch: pytest.MonkeyPatch, here: Path) -> None:
    patch.setattr("mlpbench.base.machine.available_memory", lambda: 2**28)


def no_disk(patch: pytest.MonkeyPatch, here: Path) -> None:
    def refused(**_: Any) -> Any:
        raise OSError(30, "Read-only file system")

    patch.setattr(tempfile, "TemporaryFile", refused)


def no_cache(patch: pytest.MonkeyPatch, here: Path) -> None:
    patch.setenv("MLPBENCH_CACHE", "/proc/none")


def damaged_data(patch: pytest.MonkeyPatch, here: Path) -> None:
    patch.setenv("MLPBENCH_CACHE", str(here))
    (folder := cache.folder_of(CATALOGUE["fashion_mnist"])).mkdir()
    (folder / "meta.json").write_text("{}")


@pytest.mark.parametrize(
    ("break_it", "what", "seen", "way"),
    [
        (gpu_without_torch, "GPU", "there is a driver (550.54.15), and torch can't use a GPU", "--device cpu"),
        (wsl_without_torch, "GPU", "there is a driver (555.99), and torch can't use a GPU", "--device cpu"),
        (old_package, "packages", "is not >=99, no-such-package is missing", "make install"),
        (no_avx2, "vectors", "the processor has no AVX2", "--numerics fast"),
        (no_memory, "memory", "0.2 GiB free", "close other programs"),
        (no_disk, "results", "can't be written to: Read-only file system", "--results FOLDER"),
        (no_cache, "data cache", "/proc/none can't be written to: ", "MLPBENCH_CACHE names another folder"),
        (damaged_data, "data cache", "fashion_mnist: ", "mlpbench data fetch fashion_mnist"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_is_wrong_is_found_with_a_way_forward(
    break_it: Callable[[pytest.MonkeyPatch, Path], None],
    what: str,
    seen: str,
    way: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {f.what for f in looked() if f.state == "wrong"}
    break_it(monkeypatch, here)
    found = [f for f in looked() if f.what == what and f.state == "wrong"]
    assert what not in before
    assert found, looked()
    assert seen in found[0].seen
    assert way in found[0].way
    result = invoke("doctor", "--no-test")
    assert result.exit_code == 1
    assert "WRONG" in result.stdout
    assert "nothing is wrong" not in result.stdout


@pytest.mark.parametrize(
    ("test", "state", "seen"),
    [
        ({}, "fine", "those on record"),
        ({"unlike": None}, "note", "are of torch 1.0, so that they say nothing here"),
        ({"unlike": ["adam, replicate 1"]}, "wrong", "not those on record: adam, replicate 1"),
        ({"dependent": ["sgd, replicate 0"]}, "wrong", "weights depend on what else is trained: sgd, replicate 0"),
        ({"failed": ["RuntimeError: no"]}, "wrong", "a run failed: RuntimeError: no"),
    ],
)
def test_bits_are_judged(test: dict[str, Any], state: str, seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {"torch": "1.0", "unlike": (), "dependent": (), "failed": (), "flops_per_second": 1e9} | test
    monkeypatch.setattr(self_test, "self_test", lambda version: SelfTest(**made))
    found = list(doctor._trained())
    assert found[0].state == state
    assert seen in found[0].seen
    assert (invoke("doctor").exit_code == 0) == (state != "wrong")


@pytest.mark.slow
def test_the_weights_on_record_are_found_again_and_another_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version("torch")
    monkeypatch.setitem(EXECUTORS, "local", ProcessPool)  # modes are those of workers
    found = self_test.self_test(version)
    assert (found.dependent, found.failed) == ([], [])
    assert found.flops_per_second > 1e8
    if found.unlike is None:
        pytest.skip(f"the weights on record are of torch {found.torch}, this is {version}")
    assert found.unlike == []
    monkeypatch.setitem(EXECUTORS, "local", Inline)  # what is no weight on record is none, wherever it is trained
    monkeypatch.setitem(self_test.BITS, "seed", 1)
    assert len(self_test.self_test(version).unlike or ()) == 6
    assert self_test.self_test("0.0").unlike is None


def test_results_that_can_not_be_a_folder_are_refused() -> None:
    Path("results").write_text("")
    result = invoke("doctor")
    assert (result.exit_code, result.stderr) == (2, "mlpbench: --results must be a folder, got the file results\n")
    with pytest.raises(InputError):
        doctor.check_results(Path("results"))


def with_seconds(command: list[str]) -> tuple[subprocess.CompletedProcess[str], float]:
    """Return what a command printed, and how long processors worked for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, capture_output=True, text=True)
    return done, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


@pytest.mark.slow
@pytest.mark.alone
def test_the_demonstration_is_a_real_run_of_seconds(here: Path) -> None:
    """Its verdicts are those of its results folder; a second time nothing is trained.

    Loading the libraries says how fast the machine is at the moment: the demonstration takes four times as long, 15 s at most where that is 2.5.
    """
    loading = [sys.executable, "-c", "import torch, pandas, seaborn, scipy.stats"]
    _, loaded = with_seconds(loading)
    done, taken = with_seconds([sys.executable, "-m", "mlpbench", "demo", "--no-open"])
    assert (done.returncode, done.stderr) == (0, "")
    assert {p.name for p in here.iterdir()} == {"results"}
    assert "page: results/demo/report.html\n" in done.stdout
    assert "demo: 40 runs, 40 trained now" in done.stdout
    claims = json.loads(invoke("claims", "--json").stdout)["demo"]
    for claim in claims:
        assert re.search(rf"^{claim['id']} +{claim['verdict']} ", done.stdout, flags=re.MULTILINE)
    assert {c["verdict"] for c in claims} >= {"supported"}
    assert taken < 6 * max(loaded, with_seconds(loading)[1])
    again = invoke("demo", "--no-open").stdout
    assert "demo: all 40 runs are done" in again
    verdicts = re.compile(r"^claim .*?\n\n", flags=re.MULTILINE | re.DOTALL)
    assert verdicts.findall(again) == verdicts.findall(done.stdout)


def test_where_the_folder_can_not_be_written_to_the_demonstration_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlpbench.jobs.first_steps import demo

    assert demo.results_folder(Path("results")) == Path("results")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    elsewhere = demo.results_folder(Path("results"))
    assert elsewhere.is_absolute()
    assert elsewhere.is_dir()


@pytest.mark.parametrize("screen", [True, False])
def test_without_a_wish_a_page_is_opened_on_a_screen_alone(
    screen: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class Browser:
        def open(self, address: str) -> bool:
            opened.append(address)
            return True

    monkeypatch.setattr("webbrowser.get", Browser)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    if screen:
        monkeypatch.setenv("DISPLAY", ":0")
    show_page(find_browser(None, [Path("r")]), Path("r.html"))
    assert opened == [(here / "r.html").as_uri()] * screen
    assert find_browser(False, []) is None


def test_a_screen_without_a_browser_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise webbrowser.Error

    monkeypatch.setattr("webbrowser.get", none)
    monkeypatch.setenv("DISPLAY", ":0")
    assert find_browser(None, []) is None
    with pytest.raises(InputError, match="--open needs a browser"):
        find_browser(True, [Path("r")])
