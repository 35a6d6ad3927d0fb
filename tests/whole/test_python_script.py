"""Python as people run it: a script with or without a guard, from standard input, in a worker of their own, with types."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from repository import ROOT

import mlpbench
from mlpbench import api
from mlpbench.base.errors import InputError
from mlpbench.executors.process_pool import _without_script
from mlpbench.jobs.options import Options

SCRIPT = ROOT / "examples" / "widths.py"
# Enough to start workers twice: of each level a stack, and of no replicate much work.
BRIEF = (
    "import mlpbench, sys\n"
    "print('once')\n"
    "outcome = mlpbench.run({'name': 'lines', 'question': 'Is it?', 'dataset': 'linear', 'factors': {'input_noise': [0, 0.1]}},\n"
    "                       depth=0, epochs=1, replicates=2, workers=2, report=False)\n"
    "print(outcome, sys.modules['__main__'].__spec__)\n"
)


def python(*arguments: str | Path, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, input=given, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "stdin", "command"])
def test_a_script_needs_no_guard_and_no_file(way: str, tmp_path: Path) -> None:
    """Workers run nothing of it: it is run once."""
    (tmp_path / "script.py").write_text(BRIEF)
    how: dict[str, list[str]] = {"file": ["script.py"], "stdin": ["-"], "command": ["-c", BRIEF]}
    done = python(*how[way], folder=tmp_path, given=BRIEF if way == "stdin" else "")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "once\nOutcome(lines: 4 runs, no claims, in results/lines) None\n"


def test_what_is_hidden_of_the_script_comes_back() -> None:
    script = sys.modules["__main__"]
    before = dict(vars(script))
    with _without_script():
        assert script.__spec__ is None
        assert not hasattr(script, "__file__")
    assert dict(vars(script)) == before


@pytest.mark.slow
def test_a_worker_of_the_user_s_own_is_told_what_to_do(tmp_path: Path) -> None:
    text = (
        "import multiprocessing, mlpbench\n"
        "def work(how):\n"
        "    spec = {'name': how, 'question': 'Is it?', 'dataset': 'linear', 'fixed': {'depth': 0, 'epochs': 0}, 'replicates': 1}\n"
        "    try:\n"
        "        return repr(mlpbench.run(spec, executor=how, report=False))\n"
        "    except mlpbench.InputError as error:\n"
        "        return str(error)\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(*pool.map(work, ['local', 'inline']), sep='\\n')\n"
    )
    (tmp_path / "script.py").write_text(text)
    done = python("script.py", folder=tmp_path)
    refused, ran = done.stdout.splitlines()
    assert refused.startswith("executor='local' starts worker processes, which a worker of multiprocessing must not: ")
    assert ran == "Outcome(inline: 1 run, no claims, in results/inline)"


@pytest.mark.slow
def test_the_script_in_examples_does_what_it_says(tmp_path: Path) -> None:
    """Its types are checked with those of the package (`make types`)."""
    shutil.copy(SCRIPT, tmp_path)
    done = python(SCRIPT.name, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Outcome(widths: 24 runs, 1 supported, in results/widths)"
    assert lines[2].split() == ["wider-is-better", "supported", "8"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "results" / "widths" / "report.md").is_file()


def test_options_of_run_are_those_of_the_command_with_their_defaults() -> None:
    """All but quiet: Python prints nothing unless it is asked to."""
    named = {n: p.default for n, p in inspect.signature(mlpbench.run).parameters.items() if p.kind is p.KEYWORD_ONLY}
    options = {field.name: field.default for field in fields(Options)}
    assert {n: Path(d) if n == "results" else d for n, d in named.items()} == options | {"quiet": True}
    planned = inspect.signature(mlpbench.plan).parameters
    assert {n: p.default for n, p in planned.items() if p.kind is p.KEYWORD_ONLY}.items() <= named.items()
    described = str(inspect.getdoc(mlpbench.run))
    assert [name for name in named if f"\n    {name}: " not in described] == []


def test_a_plan_writes_nothing_and_says_what_run_trains(tmp_path: Path) -> None:
    spec = {"name": "w", "question": "q?", "dataset": "digits", "factors": {"width": [8, 16]}, "claims": [CLAIM]}
    plan = mlpbench.plan(spec, results=tmp_path, replicates=3, workers=2)
    assert (plan.summary.runs, plan.summary.missing, plan.summary.workers) == (6, 6, 2)
    assert plan.conditions["width"].tolist() == [8, 16]
    (claim,) = plan.claims.to_dict("records")
    assert claim["formula"] == "test_accuracy: width=16 minus width=8, greater by 0.002"
    assert claim["detects"] > 0
    assert repr(plan).startswith("Plan(w: 6 of 6 runs to train, about ")
    assert "width=16 minus width=8" in plan._repr_html_()
    assert list(tmp_path.iterdir()) == []
    two = mlpbench.plan(spec, results=tmp_path, replicates=2, seed=1).claims
    assert two["fewest"].isna().all() or two["fewest"].item() > 2


CLAIM = {
    "id": "wide",
    "says": "Wider is <b>better</b>.",
    "compare": {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater"},
}


def test_words_of_users_are_no_markup_in_a_plan(tmp_path: Path) -> None:
    spec = {"name": "w", "question": "q?", "dataset": "digits", "factors": {"width": [8, 16]}, "claims": [CLAIM]}
    assert "<b>" not in mlpbench.plan(spec, results=tmp_path)._repr_html_()


def test_until_decided_is_an_option_or_a_key(tmp_path: Path) -> None:
    spec = {"name": "w", "question": "q?", "dataset": "digits", "factors": {"width": [8, 16]}, "claims": [CLAIM]}
    with pytest.raises(InputError, match="max_replicates must be above replicates, 5, got 4"):
        mlpbench.run(spec, results=tmp_path, until_decided={"max_replicates": 4})
    with pytest.raises(InputError, match="--until-decided needs --max-replicates N"):
        mlpbench.run(spec, results=tmp_path, until_decided=True)
    assert list(tmp_path.iterdir()) == []


def test_the_package_is_light_until_it_is_used_and_lists_its_names() -> None:
    code = (
        "import sys, mlpbench\n"
        "heavy = {'numpy', 'pandas', 'torch', 'pydantic', 'ruamel', 'matplotlib', 'click', 'scipy', 'pyarrow'} & set(sys.modules)\n"
        "print(sorted(heavy), set(mlpbench.__all__) <= set(dir(mlpbench)), mlpbench.InputError.status)\n"
        "print('matplotlib' in sys.modules, 'torch' in sys.modules)\n"
    )
    done = python("-c", code, folder=ROOT)
    assert done.stdout == "[] True 2\nFalse False\n"


def test_every_public_name_is_there_and_typed() -> None:
    assert [name for name in mlpbench.__all__ if not hasattr(mlpbench, name)] == []
    assert set(api.__all__) <= set(mlpbench.__all__)
    assert (ROOT / "mlpbench" / "py.typed").read_bytes() == b""
