"""How fast runs are trained, as ratios taken in one go, in turn: against the products alone and against a plain loop.

    python tests/benchmarks/throughput.py phase  --width 256            training phase over its batched products alone
    python tests/benchmarks/throughput.py loop   --width 256            the plain loop: seconds per run and epoch
    python tests/benchmarks/throughput.py whole  --width 256 --runs 64  `mlpbench run`, all of it, against that loop

The plain loop is what a user would write: tensors in memory, `torch.nn`, `torch.optim.SGD`, and after each epoch loss and
accuracy on 10,000 training and 10,000 test images, as mlpbench's curves have them. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mlpbench.data.data_sets import lookup
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.plan import make_stack, plan
from mlpbench.training.batches.device_data import DeviceData, split
from mlpbench.training.batches.minibatches import Batches, noisy_labels
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.steps import Steps

BATCH, LR, CURVE = 256, 0.1, 10_000
PASSES = 5


def experiment(width: int, runs: int, epochs: int) -> dict[str, Any]:
    """The grid of the comparison: learning rates x replicates, eight of each where there are 64 runs."""
    rates = [0.01 * 1.6**i for i in range(max(1, runs // 8))]
    return {
        "name": f"throughput{width}",
        "question": "How long does it take?",
        "dataset": "fashion_mnist",
        "fixed": {"width": width, "epochs": epochs},
        "factors": {"lr": rates},
        "replicates": min(8, runs),
    }


def phase(width: int, runs: int) -> dict[str, Any]:
    """Time steps of a stack as the plan makes it, and its batched products alone, in turn; the best of each counts.

    Where first layers stand side by side (see fused.py), the steps' own products are fewer and wider than those.
    """
    torch.set_num_threads(1)
    spec = yaml_reader.from_mapping(experiment(width, runs, 10))
    members = plan(grid.runs(spec), workers=2, memory=2**33)[0].runs
    data = DeviceData(lookup("fashion_mnist").load(), torch.device("cpu"))
    settings = [r.settings for r in members]
    network = Network(settings, [784, width, 10], dtype=torch.float32, device=data.device)
    fit, labels = [split(r, data.labels).fit for r in members], noisy_labels(members, data)
    with torch.no_grad():
        steps = Steps(members, network, fit, labels, data)
        inputs, _ = Batches(members, fit, labels, data, dtype=torch.float32).at(0)
        work = Workspace(network, BATCH, backward=True)
        number = max(3, int(0.5 * 90e9 / (make_stack(members).flops / (10 * 235))))
        counter = iter(range(10**9))
        ours, alone = [], []
        for _ in range(PASSES):
            ours.append(seconds(lambda: steps.take(next(counter)), number))
            alone.append(seconds(lambda: products(network, inputs, work), number))
    flops = make_stack(members).flops / (10 * 234.375)
    return {
        "what": "phase",
        "width": width,
        "stack": len(members),
        "share_of_products_alone": round(min(alone) / min(ours), 3),
        "gflops": round(flops / min(ours) / 1e9, 1),
        "gflops_alone": round(flops / min(alone) / 1e9, 1),
    }


def products(network: Network, inputs: Inputs, work: Workspace) -> None:
    """Do the batched matrix products of a step, forward and backward, on the engine's own buffers."""
    (w1, w2), (b1, b2) = (
        [p.wide_RNP for p in group] for group in (network.parameters.weights, network.parameters.biases)
    )
    h, d, z, dz = work.a[0], work.d[0], work.outputs.wide_RNP, work.d_outputs
    hidden, features = network.sizes[1], network.sizes[0]
    for own, x_RBI in inputs.parts():
        torch.baddbmm(b1[own], x_RBI, w1[own, :features], out=h.wide_RNP[own])
    torch.baddbmm(b2, h.x_RNM, w2[:, :hidden], out=z)
    torch.bmm(dz.x_RNM, network.parameters.weights[1].x_RNM.transpose(1, 2), out=d.wide_RNP)
    w2[:, :hidden].baddbmm_(h.x_RNM.transpose(1, 2), dz.wide_RNP, alpha=-1)
    for own, x_RBI in inputs.parts():
        w1[own, :features].baddbmm_(x_RBI.transpose(1, 2), d.wide_RNP[own], alpha=-1)


def seconds(work: Callable[[], object], number: int) -> float:
    """Return the time of one call, over a number of them."""
    began = time.perf_counter()
    for _ in range(number):
        work()
    return (time.perf_counter() - began) / number


def loop(width: int, epochs: int, threads: int) -> dict[str, Any]:
    """Train one network by the plain loop, evaluated each epoch; return seconds per epoch, evaluation included."""
    torch.set_num_threads(threads)
    data = lookup("fashion_mnist").load()
    x, x_test = (torch.from_numpy(np.array(p)).float() / 255 for p in (data.x_train, data.x_test))
    y, y_test = (torch.from_numpy(np.array(p)).long() for p in (data.y_train, data.y_test))
    model = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
    optimiser, loss_of = torch.optim.SGD(model.parameters(), lr=LR), nn.CrossEntropyLoss()
    times = []
    for _ in range(epochs):
        began = time.perf_counter()
        for index in torch.split(torch.randperm(len(x)), BATCH):
            loss = loss_of(model(x[index]), y[index])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        with torch.no_grad():
            for inputs, labels in ((x[:CURVE], y[:CURVE]), (x_test, y_test)):
                z = model(inputs)
                _ = float(loss_of(z, labels)), float((z.argmax(1) == labels).float().mean())
        times.append(time.perf_counter() - began)
    return {
        "what": "loop",
        "width": width,
        "threads": threads,
        "seconds_per_run_epoch": round(float(np.median(times)), 4),
    }


def whole(width: int, runs: int, epochs: int) -> dict[str, Any]:
    """Time the whole command, and the plain loop before and after it: one process of two threads, two of one."""
    before = loops(width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(json.dumps(experiment(width, runs, epochs)))
        command = [sys.executable, "-m", "mlpbench", "run", str(path), "--results", folder, "--no-report", "--quiet"]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        ours = (time.perf_counter() - began) / (runs * epochs)
    after = loops(width)
    theirs = {kind: (before[kind] + after[kind]) / 2 for kind in before}
    times = {f"faster_than_{kind}": round(t / ours, 2) for kind, t in theirs.items()}
    return {"what": "whole", "width": width, "runs": runs, "seconds_per_run_epoch": round(ours, 4)} | times


def loops(width: int) -> dict[str, float]:
    """Seconds per run and epoch of the plain loop, by throughput: the processes train at the same time."""

    def start(threads: int) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, "loop", "--width", str(width), "--threads", str(threads), "--epochs", "3"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    found = {}
    for kind, processes, threads in (("one_process_of_two_threads", 1, 2), ("two_processes_of_one_thread", 2, 1)):
        printed = [p.communicate()[0] for p in [start(threads) for _ in range(processes)]]
        found[kind] = float(np.mean([json.loads(t)["seconds_per_run_epoch"] for t in printed])) / processes
    return found


def main() -> None:
    """Parse arguments and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["phase", "loop", "whole"])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    if a.what == "phase":
        found = phase(a.width, a.runs)
    elif a.what == "loop":
        found = loop(a.width, a.epochs, a.threads)
    else:
        found = whole(a.width, a.runs, a.epochs)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
