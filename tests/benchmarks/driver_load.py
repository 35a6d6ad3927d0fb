"""What the process that plans, stores and reports costs for each run, fed with outcomes that nobody trained.

    python tests/benchmarks/driver_load.py                                        a million runs: some minutes, a few GB
    python tests/benchmarks/driver_load.py --runs 20000                           seconds

All of `mlpbench run` is real but the training: grid, plan, worker processes and their pipes, progress, store, journal, seal,
verdicts, report. Workers answer with the rows of a run that was trained once, under each run's own run_id and with numbers
of its own (simulated_worker.py). Prints one JSON object: seconds of this process by part, its largest memory, and how many
stacks, bytes and files it came to. `scale.py` makes the page docs/scale.md of such objects.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pty
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPLICATES, RUNS_A_STACK, WORKERS = 100, 100, 2
# Stands where a worker would import the module that trains (see executors/process_pool.py).
SITE = f"""\
import sys
sys.path.insert(0, {str(HERE)!r})
import simulated_worker
sys.modules["mlpbench.training.worker"] = simulated_worker
"""


def experiment(runs: int, dataset: str) -> dict[str, Any]:
    """Return an experiment of so many runs, a multiple of `REPLICATES`: learning rates, and a claim about two of them."""
    rates = [round(0.01 * 1.0005**i, 9) for i in range(max(2, runs // REPLICATES))]
    claim: dict[str, Any] = {"metric": "test_loss", "a": {"lr": rates[-1]}, "b": {"lr": rates[0]}, "expect": "less"}
    return {
        "name": "load",
        "question": "Does the driver bear it?",
        "dataset": dataset,
        "fixed": {"width": 8, "epochs": 2},
        "factors": {"lr": rates},
        "replicates": REPLICATES,
        "claims": [{"id": "faster", "says": "A larger rate learns faster.", "compare": claim}],
    }


def template(dataset: str) -> dict[str, Any]:
    """Train one run and return its rows, bytes in hex."""
    import torch

    from mlpbench.data.data_sets import lookup
    from mlpbench.experiment import grid
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.training.batches.device_data import DeviceData
    from mlpbench.training.engine import train_stack

    runs = grid.runs(yaml_reader.from_mapping(experiment(2, dataset)))[:1]
    trained = vars(train_stack(runs, DeviceData(lookup(dataset).load(), torch.device("cpu"))))
    return {table: [{k: _text(v) for k, v in row.items()} for row in rows] for table, rows in trained.items()}


def _text(value: Any) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


class Clock:
    """Seconds of a processor by part, whatever else the machine does; those of a part within another count for it alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        @functools.wraps(function)
        def timing(*arguments: Any, **options: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                whole, inner = time.process_time() - began, self._inner.pop()
                self._inner[-1] += whole
                self.seconds[part] = self.seconds.get(part, 0.0) + whole - inner

        return timing


def feed(runs: int, results: Path, dataset: str, runs_a_stack: int) -> dict[str, Any]:
    """Run the experiment in this process, which is changed for good, and return what it cost.

    Args:
        runs: how many outcomes.
        results: where the results folder goes.
        dataset: whose test set says how long predictions are.
        runs_a_stack: how many runs stand in a stack.

    """
    from mlpbench.base import files, machine
    from mlpbench.data.dataset import say_nothing
    from mlpbench.experiment import plan
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.jobs import run as runner
    from mlpbench.jobs.inventory import Inventory
    from mlpbench.jobs.options import Options
    from mlpbench.jobs.progress import Progress
    from mlpbench.results.store import Store

    clock, stacks = Clock(), []
    for owner, name, part in (
        (runner, "take_inventory", "inventory"),
        (Inventory, "todo", "grid"),
        (Inventory, "stacks", "plan"),
        (Progress, "update", "progress"),
        (Progress, "finish", "progress"),
        (Store, "add", "store"),
        (Store, "compact", "compact"),
        (runner, "finish", "report"),
    ):
        setattr(owner, name, clock.timed(part, getattr(owner, name)))
    plan._best = lambda *_: runs_a_stack
    add = Store.add

    def counted(store: Store, stem: str, rows: Any) -> None:
        stacks.append(stem)
        add(store, stem, rows)

    setattr(Store, "add", counted)  # noqa: B010
    true_sync, waits = machine.sync, [0, 0.0]

    def waited_for(handle: int) -> None:
        began = time.perf_counter()
        true_sync(handle)
        waits[:] = waits[0] + 1, waits[1] + time.perf_counter() - began

    setattr(files, "sync", waited_for)  # noqa: B010
    spec = yaml_reader.from_mapping(experiment(runs, dataset))
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    options = Options(results=results, device="cpu", workers=WORKERS, yes=True)
    outcome = clock.timed("rest", runner.run)(spec, options, say_nothing)
    whole, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    assert outcome.trained == runs
    written = [path for path in (results / "load").rglob("*") if path.is_file()]
    return {
        "runs": runs,
        "dataset": dataset,
        "stacks": len(stacks),
        "elapsed": round(whole, 2),
        "processor": round(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, 2),
        "seconds": {part: round(s, 3) for part, s in sorted(clock.seconds.items())},
        "syncs": waits[0],
        "waited_for_syncs": round(waits[1], 2),
        "memory": after.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "bytes": sum(path.stat().st_size for path in written),
        "files": len(written),
    }


def measure(runs: int, results: Path, dataset: str = "digits", runs_a_stack: int = RUNS_A_STACK) -> dict[str, Any]:
    """Return what the driver cost, in a process of its own; the results folder is `results/load`."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "sitecustomize.py").write_text(SITE)
        path = os.pathsep.join([place, str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        rows = Path(place) / "template.json"
        env = os.environ | {"PYTHONPATH": path, "DRIVER_LOAD_TEMPLATE": str(rows)}
        ask = [sys.executable, str(HERE / "driver_load.py"), "--dataset", dataset]
        trained = subprocess.run([*ask, "--template"], capture_output=True, text=True, check=True)
        rows.write_text(trained.stdout)
        fed = [*ask, "--feed", str(results), "--runs", str(runs), "--runs-a-stack", str(runs_a_stack)]
        terminal, line = pty.openpty()  # on which progress is shown
        shown = bytearray()
        threading.Thread(target=_drain, args=(terminal, shown), daemon=True).start()
        try:
            done = subprocess.run(fed, env=env, stdout=subprocess.PIPE, stderr=line, text=True, check=False)
        finally:
            os.close(line)
    assert done.returncode == 0, shown[-3000:].decode(errors="replace")
    cost: dict[str, Any] = json.loads(done.stdout)
    return cost


def _drain(terminal: int, into: bytearray) -> None:
    with suppress(OSError):  # when its other end is closed
        while some := os.read(terminal, 2**16):
            into += some
    os.close(terminal)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is asked for, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--runs-a-stack", type=int, default=RUNS_A_STACK)
    parser.add_argument("--results", type=Path, help="keep the results folder here (default: a temporary one)")
    parser.add_argument("--template", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--feed", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.template:
        print(json.dumps(template(chosen.dataset)))
    elif chosen.feed:
        print(json.dumps(feed(chosen.runs, chosen.feed, chosen.dataset, chosen.runs_a_stack)))
    elif chosen.results:
        print(json.dumps(measure(chosen.runs, chosen.results, chosen.dataset, chosen.runs_a_stack)))
    else:
        with tempfile.TemporaryDirectory() as results:
            print(json.dumps(measure(chosen.runs, Path(results), chosen.dataset, chosen.runs_a_stack)))


if __name__ == "__main__":
    main()
