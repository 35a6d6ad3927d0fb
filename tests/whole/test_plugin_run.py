"""Plugins from the command line: which commands run their code, what they print, and what becomes of runs when the code changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from repository import EXPERIMENTS

import mlpbench
from mlpbench.base.errors import InputError
from mlpbench.cli.main import main
from mlpbench.executors.executor import EXECUTORS, Inline

pytestmark = pytest.mark.usefixtures("blank_figures")

# Whoever runs this leaves a mark.
SOURCE = """\
import mlpbench
import torch

with open({mark!r}, "a") as file:
    file.write("run")

@mlpbench.activation
def mine(z):
    return torch.sin(z)

@mlpbench.optimiser
def small(gradient, state, lr, step):
    return -lr * gradient, state
"""
SPEC = """\
name: own
question: Does it?
dataset: {dataset}
plugins: [pieces.py]
fixed: {{width: 8, epochs: 1, batch_size: 50, train_size: {size}, optimizer: small, init: he_normal}}
factors: {{activation: [relu, mine]}}
replicates: 2
claims:
  - {{id: c, says: So., compare: {{metric: test_loss, a: {{activation: mine}}, b: {{activation: relu}}, expect: less}}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment with a plugin that leaves a mark, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pieces.py").write_text(SOURCE.format(mark=str(tmp_path / "mark")))
    (tmp_path / "own.yaml").write_text(SPEC.format(dataset="digits", size=200))
    return tmp_path


def invoke(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == status, result.output + result.stderr
    return result


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "pieces.py").read_text()
    assert old in text
    (folder / "pieces.py").write_text(text.replace(old, new))


def marks(folder: Path) -> int:
    """Return how often the code was run since this was last asked."""
    mark = folder / "mark"
    times = mark.read_text().count("run") if mark.exists() else 0
    mark.unlink(missing_ok=True)
    return times


def run(*more: str, status: int = 0) -> str:
    return invoke("run", "own.yaml", "--executor", "inline", *more, status=status).output


def test_no_command_but_run_and_check_runs_the_code(folder: Path) -> None:
    assert "plugin              pieces.py: activation mine@" in invoke("plan", "own.yaml").output
    assert '"mine": "' in invoke("plan", "own.yaml", "--json").output
    invoke("list", ".")
    assert marks(folder) == 0
    output = run()
    assert f"own: plugin {Path('pieces.py')} (" in output
    assert "activation mine@" in output
    assert "own: pieces of plugins are called for one run after another" in output
    report = (folder / "results" / "own" / "report.md").read_text()
    assert "Pieces of plugins are called for one run after another" in report
    assert "| plugin | `pieces.py`: activation mine `" in report
    assert "mlpbench run spec.yaml --results again --plugins pieces.py" in report
    assert "mine@" not in report
    assert marks(folder) == 1
    run("--results", "again")
    marks(folder)
    ids = mlpbench.load("results/own").runs.sort_values("activation")["run_id"]
    for command in (
        ["plan", "own.yaml"], ["list", ".", "--results", "results"], ["claims", "results/own"], ["claims"], ["report", "results/own", "--html"],
        ["report", "results/own", "--check", "--html"], ["index", "results"], ["diff", "results/own", "again/own"], ["schema"],
        ["merge", "results/own", "again/own", "-o", "merged"], ["trim", "merged"],
    ):  # fmt: skip
        invoke(*command)
        assert marks(folder) == 0, command
    for command in (["verify", "results/own", "--all"], ["export", ids.iloc[0], "w.safetensors"]):
        assert (
            "name its file with --plugins FILE; a results folder has no code, and runs none"
            in invoke(*command, status=2).stderr
        )
        assert marks(folder) == 0, command
    mlpbench.load("results/own")
    assert marks(folder) == 0
    run()  # nothing is left to train
    assert marks(folder) == 0
    invoke("check", "pieces.py")
    assert marks(folder) >= 1
    assert not list((folder / "results").rglob("*.py"))
    for file in (f for f in (folder / "results").rglob("*") if f.is_file()):
        assert b"torch.sin" not in file.read_bytes(), file


def test_a_file_in_a_results_folder_is_never_run(folder: Path) -> None:
    run()
    marks(folder)
    shutil.copy("pieces.py", "results/own/pieces.py")
    spec = folder / "results" / "own" / "spec.yaml"
    text = spec.read_text()
    spec.write_text(text[: text.index("plugins:")] + "plugins: [pieces.py]\n")
    for command in (
        ["run", str(spec), "--results", "other"],
        ["verify", "results/own"],
        ["claims", "results/own"],
        ["report", "results/own"],
    ):
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        assert result.exit_code == 2, command
        assert marks(folder) == 0, command
    message = invoke("run", str(spec), "--results", "other", status=2).stderr
    assert "a results folder has no code, and runs none, got the plugin " in message


def test_workers_have_the_bits_and_numbers_of_this_process(measured: Path) -> None:
    invoke("run", "own.yaml", "--workers", "2", "--quiet")
    run("--results", "inline", "--quiet")
    assert "4 runs identical" in invoke("diff", "results/own", "inline/own").output


def test_changed_code_makes_runs_stale_by_name(folder: Path) -> None:
    run()
    change(folder, "torch.sin(z)", "torch.sin(z)  # a comment")
    assert "4" in next(line for line in invoke("plan", "own.yaml").output.splitlines() if line.startswith("done"))
    assert "stale: trained" not in invoke("plan", "own.yaml").output
    change(folder, "torch.sin(z)", "torch.cos(z)")
    line = "2 runs are stale: trained with another mine (activation of pieces.py), whose code has changed; kept, but the report leaves them out"
    planned = invoke("plan", "own.yaml").output
    assert line in planned
    assert "missing             2" in planned
    output = run()
    assert f"own: {line}" in output
    assert "not of this grid" not in output
    assert "4 runs, 2 trained now" in output
    change(folder, "torch.cos(z)", "torch.sin(z)")
    assert "missing             0" in invoke("plan", "own.yaml").output


def test_verify_and_export_take_code_of_equal_digest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXECUTORS, "local", Inline)
    run()
    shutil.copy("pieces.py", "copied.py")
    change(folder, "torch.sin(z)", "torch.cos(z)")
    assert (
        "4 runs trained again, alone: 4 identical"
        in invoke("verify", "results/own", "--all", "--plugins", "copied.py").output
    )
    message = invoke("verify", "results/own", "--all", "--plugins", "pieces.py", status=2).stderr
    assert "got one with" in message
    assert "in pieces.py:8: its code has changed since" in message
    rows = mlpbench.load("results/own").runs
    own = next(row for _, row in rows.iterrows() if row["activation"].startswith("mine@"))
    invoke("export", own["run_id"], "w.safetensors", "--plugins", "copied.py")
    from mlpbench.experiment.components.activations import ACTIVATIONS

    ACTIVATIONS._loaded.clear()  # as another process has it
    with pytest.raises(InputError, match="the network of w.safetensors needs the code of mine"):
        mlpbench.load_weights("w.safetensors")
    with pytest.raises(InputError, match="its code has changed since"):
        mlpbench.load_weights("w.safetensors", plugins=["pieces.py"])
    network = mlpbench.load_weights("w.safetensors", plugins=["copied.py"])
    x = torch.linspace(0, 1, 64)[None]
    hidden = torch.sin(network[0](x))
    assert torch.equal(network(x), network[2](hidden))
    again = mlpbench.model(own, plugin_files=["copied.py"], executor="inline")
    assert torch.equal(again(x), network(x))


def test_a_spec_of_a_results_folder_runs_with_the_code_it_is_given(folder: Path) -> None:
    run("--quiet")
    assert "run needs the code of" in invoke("run", "results/own/spec.yaml", "--results", "again", status=2).stderr
    invoke(
        "run",
        "results/own/spec.yaml",
        "--results",
        "again",
        "--plugins",
        "pieces.py",
        "--executor",
        "inline",
        "--quiet",
    )
    assert "4 runs identical" in invoke("diff", "results/own", "again/own").output


def test_predictions_take_the_code_of_the_activation(folder: Path) -> None:
    for name in ("iris.csv",):
        shutil.copy(EXPERIMENTS / "own_data" / name, name)
    (folder / "own.yaml").write_text(SPEC.format(dataset="{file: iris.csv, target: species}", size="all"))
    columns = (folder / "iris.csv").read_text().splitlines()[0]
    assert "species" in columns
    run("--set", "save_weights=true", "--quiet")
    rows = mlpbench.load("results/own").runs
    own = next(row for _, row in rows.iterrows() if row["activation"].startswith("mine@"))
    invoke("export", own["run_id"], "w.safetensors")  # its weights were saved: nothing is run
    from mlpbench.experiment.components.activations import ACTIVATIONS

    ACTIVATIONS._loaded.clear()
    assert "needs the code of mine" in invoke("predict", "w.safetensors", "iris.csv", status=2).stderr
    assert "predicted" in invoke("predict", "w.safetensors", "iris.csv", "--plugins", "pieces.py").output


def test_a_piece_that_raises_fails_its_runs_alone(folder: Path) -> None:
    change(folder, "    return torch.sin(z)", "    raise RuntimeError('out of tune')")
    output = run(status=1)
    assert output.count("PieceError: activation mine raised RuntimeError: out of tune (pieces.py:9)") == 2
    rows = mlpbench.load("results/own").runs.set_index("run_id")
    assert sorted(rows["status"]) == ["failed", "failed", "ok", "ok"]
    assert "run needs" not in run(status=1)


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("activation", "def p(z):\n    return z + 1e-3 * torch.rand_like(z)", "activation p must return the same each time, by its arguments alone"),
        ("activation", "def p(z):\n    return 1 / z", "activation p must return finite numbers, got inf"),
        ("activation", "def p(z):\n    return z.softmax(1)", "activation p must return f of each number by itself"),
        ("activation", "def p(z):\n    return z[0]", "of shape (7, 5), got shape (5,)"),
        ("activation", "def p(z):\n    return z * z.detach()", "activation p must return what has the slope of a function that autograd can derive"),
        ("activation", "def p(z):\n    return z**2\n@p.derivative\ndef _(z):\n    return z", "activation p must return what has the slope of its own derivative, got one that is"),
        ("loss", "def p(outputs, targets):\n    return outputs.sum(1) / outputs.std()", "loss p must return the loss of each example by itself"),
        ("loss", "def p(outputs, targets):\n    return outputs.sum()", "loss p must return the loss of each example, of shape (9,), got shape ()"),
        ("loss", "def p(outputs, targets):\n    return outputs.detach().square().sum(1)", "loss p must return what has the slope of"),
        ("optimiser", "def p(gradient, state, lr, step):\n    return torch.randn_like(gradient), state", "optimiser p must return the same each time"),
        ("optimiser", "def p(gradient, state, lr, step):\n    return gradient.sum(), state", "optimiser p must return an update, of shape (6, 4), got shape ()"),
        ("optimiser", "COUNT = [0]\ndef p(gradient, state, lr, step):\n    COUNT[0] += 1\n    return gradient * COUNT[0], state", None),
        ("initialiser", "def p(shape, fan_in, fan_out, generator):\n    return np.random.default_rng().normal(size=shape)", "initialiser p must return the same each time"),
        ("initialiser", "def p(shape, fan_in, fan_out, generator):\n    return generator.normal(size=(fan_in, fan_out))", "initialiser p must return an array of shape (20,), got shape (30, 20)"),
        ("schedule", "def p(share):\n    return 0.5 - share", "schedule p must return a number of at least 0, got -0.02 at 0.52"),
        ("schedule", "import time\ndef p(share):\n    return time.perf_counter()", "schedule p must return the same each time"),
        ("metric", "def p(outputs, targets):\n    return outputs.argmax(1) == targets", "metric p must return one number, got Tensor of shape (9,)"),
        ("metric", "def p(outputs, targets):\n    return float('nan')", "metric p must return a finite number, got one that is not, of classes"),
        ("metric", "def p(outputs, targets):\n    return torch.rand(())", "metric p must return the same each time, by its arguments alone"),
        ("metric", "def p(outputs, targets):\n    return outputs.exp_().sum()", "metric p must return a number and leave its arguments as they are"),
        ("metric", "def p(outputs, targets):\n    raise KeyError('x')", "metric p raised KeyError: 'x' (p.py:6)"),
        ("metric", "def p(outputs, targets):\n    if len(outputs) > 9:\n        raise KeyError('x')\n    return 1.0", "metric p raised KeyError: 'x' (p.py:7), so that the run has no test_p"),
        ("loss", "def p(outputs, targets):\n    return 1e30 * (outputs.square().sum(1) + outputs.sum(1))", "loss p must train a network, got one that diverged"),
    ],
)  # fmt: skip
def test_check_says_which_rule_is_broken_and_where(tmp_path: Path, kind: str, body: str, says: str | None) -> None:
    head = "import mlpbench\nimport numpy as np\nimport torch\n"
    decorator = f"@mlpbench.{kind}\n"
    body = body.replace("def p(", f"{decorator}def p(", 1)
    (tmp_path / "p.py").write_text(head + body + "\n")
    result = invoke("check", str(tmp_path / "p.py"), status=2)
    line = (head + body).split("\n").index(next(x for x in body.split("\n") if x.startswith("def p("))) + 1
    assert f"{tmp_path / 'p.py'}:{line}: " in result.stderr
    assert (says or "optimiser p must return the same each time") in result.stderr


def test_check_proves_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    output = invoke("check", str(EXPERIMENTS / "own_pieces" / "pieces.py")).output
    kept = [line for line in output.splitlines() if ": ok (" in line]
    assert [line.split()[:2] for line in kept] == [["activation", "mish"], ["loss", "focal"], ["optimiser", "lion"], ["optimiser", "muon"], ["metric", "top_2"]]  # fmt: skip
    assert all("alone as in company" in line for line in kept)


def test_check_refuses_what_is_no_plugin(tmp_path: Path) -> None:
    (tmp_path / "relu.py").write_text("import mlpbench\n@mlpbench.activation\ndef relu(z):\n    return z\n")
    assert (
        "relu.py:3: mlpbench has activation 'relu' itself"
        in invoke("check", str(tmp_path / "relu.py"), status=2).stderr
    )
    assert "file of plugins not found" in invoke("check", str(tmp_path / "no.py"), status=2).stderr
    (tmp_path / "bad.py").write_text("import mlpbench\n1 / 0\n@mlpbench.activation\ndef f(z):\n    return z\n")
    message = invoke("check", str(tmp_path / "bad.py"), status=2).stderr
    assert "bad.py raised ZeroDivisionError: division by zero (bad.py:2)" in message


METRIC = """
@mlpbench.metric
def hits(outputs, targets):
    return (outputs.topk(2, 1).indices == targets[:, None]).any(1).double().mean()
"""


@pytest.fixture
def measured(folder: Path) -> Path:
    """The experiment with a metric of its own, and a claim about it."""
    with (folder / "pieces.py").open("a") as file:
        file.write(METRIC)
    text = (folder / "own.yaml").read_text().replace("metric: test_loss", "metric: test_hits")
    (folder / "own.yaml").write_text(text.replace("expect: less", "expect: greater"))
    return folder


def test_a_metric_is_measured_claimed_and_reported(measured: Path) -> None:
    assert "metric hits@" in invoke("plan", "own.yaml").output
    assert marks(measured) == 0
    run()
    assert marks(measured) == 1
    report = (measured / "results" / "own" / "report.md").read_text()
    assert "`test_hits: activation=mine minus activation=relu, greater`" in report
    assert "| hits |" in report
    assert "- Hits: a metric of pieces.py." in report
    for file in (measured / "results" / "own").rglob("*"):
        if file.suffix in (".md", ".html", ".yaml", ".json"):
            assert "hits@" not in file.read_text(), file
    assert '"metric": "test_hits"' in invoke("claims", "results/own", "--json").output
    run("--results", "again", "--quiet")
    invoke("merge", "results/own", "again/own", "-o", "merged")
    marks(measured)
    run()  # nothing is left to train
    invoke("report", "results/own", "--check")
    assert marks(measured) == 0
    assert "name its file with --plugins FILE" in invoke("verify", "merged", "--all", status=2).stderr
    verified = invoke("verify", "merged", "--all", "--plugins", "pieces.py").output
    assert "4 runs trained again, alone: 4 identical" in verified


def test_a_changed_metric_makes_runs_stale_by_name_and_they_are_measured_again(measured: Path) -> None:
    (measured / "pieces.py").write_text((measured / "pieces.py").read_text().replace(METRIC, ""))
    spec = (measured / "own.yaml").read_text()
    (measured / "own.yaml").write_text(spec.replace("test_hits", "test_loss"))
    run("--quiet")
    (measured / "own.yaml").write_text(spec)
    with (measured / "pieces.py").open("a") as file:
        file.write(METRIC)
    line = "4 runs are not measured by hits (metric of pieces.py) yet; they are trained again to be measured"
    assert line in invoke("plan", "own.yaml").output
    first = mlpbench.load("results/own").runs.set_index("run_id")
    assert "4 runs, 4 trained now" in run()
    change(measured, "topk(2, 1)", "topk(3, 1)")
    line = "4 runs are stale: measured with another hits (metric of pieces.py), whose code has changed; they are trained again to be measured"
    planned = invoke("plan", "own.yaml").output
    assert line in planned
    assert "missing             4" in planned
    output = run()
    assert f"own: {line}" in output
    assert "4 runs, 4 trained now" in output
    again = mlpbench.load("results/own").runs.set_index("run_id")
    assert again["weights_sha256"].to_dict() == first["weights_sha256"].to_dict()
    assert "stale" not in run()


def test_a_metric_that_raises_costs_no_run(measured: Path) -> None:
    change(measured, "topk(2, 1)", "topk(20, 1)")
    output = run()
    assert "4 runs, 4 trained now" in output
    said = "metric hits raised RuntimeError: selected index k out of range (pieces.py:17), so that the run has no test_hits"
    assert output.count(said) == 4
    report = (measured / "results" / "own" / "report.md").read_text()
    assert f"- M{said[1:]} (4 runs).".replace("_", "\\_") in report or f"- M{said[1:]} (4 runs)." in report
    assert "stale" not in run()


def test_the_examples_run(tmp_path: Path) -> None:
    results: Callable[..., Any] = mlpbench.run
    outcome = results(EXPERIMENTS / "own_pieces" / "own_pieces.yaml", results=tmp_path, executor="inline")
    assert outcome.statuses == {"ok": 25}
    pieces = (EXPERIMENTS / "own_pieces" / "pieces.py").read_text()
    for function in pieces.split("\n\n\n")[1:]:
        assert len(function.strip().splitlines()) < 15
