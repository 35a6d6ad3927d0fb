"""Everything that needs a GPU, cheapest first, each part in a process of its own: one JSON object with all of it.

python tests/benchmarks/gpu_session.py                 all parts; the JSON goes to the standard output
python tests/benchmarks/gpu_session.py company steps   these alone

facts     the card, its driver, torch, and the card's products of square float32, tf32 and bfloat16 matrices
tests     the tests that are marked `gpu`
company   runs alone against the same runs among 1 to 256, bit by bit, with all that runs of one stack may differ in
products  batched products of a layer by the number of runs
steps     a step of the engine, recorded and not, against its products alone and against the card's square product
commands  `mlpbench run width` with the committed runs beside it, `verify` of its runs, and `run` of plugins
peers     what a user would run instead: a plain loop, and `torch.func` over a stack
thousand  `mlpbench run` of 1,000 baseline runs, 10 epochs each
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before torch is loaded: cuBLAS takes other kernels from one time to the next without it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import torch
from torch import nn

from mlpbench.base import environment
from mlpbench.data.data_sets import lookup
from mlpbench.experiment import grid
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run
from mlpbench.training.batches.device_data import DeviceData, split
from mlpbench.training.batches.minibatches import noisy_labels
from mlpbench.training.engine import train_stack
from mlpbench.training.gpu import Recorded
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import initialise
from mlpbench.training.steps import Steps

GPU = torch.device("cuda:0")
BATCH, LR, EXAMPLES = 256, 0.1, 60_000
COMPANIES = (1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 64, 256)
ALONE = 3
WIDTHS = (32, 256, 1024)


def runs_of(fixed: dict[str, Any], **keys: Any) -> list[Run]:
    """Return the runs of an experiment on Fashion-MNIST."""
    tree = {"name": "gpu", "question": "?", "dataset": "fashion_mnist", "fixed": fixed, "replicates": 1} | keys
    return grid.runs(yaml_reader.from_mapping(tree))


def milliseconds(work: Callable[[], object], number: int = 100, rounds: int = 5) -> float:
    """Return the median time of one call, the device's work included, over rounds of a number of them."""
    for _ in range(3):
        work()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(number):
            work()
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - began) / number)
    return statistics.median(times)


def square_gflops(dtype: torch.dtype = torch.float32, precision: str = "highest", n: int = 8192) -> float:
    """Return the rate of a square product on random numbers."""
    torch.set_float32_matmul_precision(precision)
    a, b = (torch.randn(n, n, device=GPU).to(dtype) for _ in range(2))
    return 2 * n**3 / milliseconds(lambda: a @ b, number=4) / 1e6


def facts() -> dict[str, Any]:
    """Return what the machine has."""
    x = torch.empty(2**30, dtype=torch.uint8, device=GPU)
    y = torch.empty_like(x)
    return {
        "card": torch.cuda.get_device_name(GPU),
        "bytes": torch.cuda.get_device_properties(GPU).total_memory,
        "driver": environment.gpu_driver(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "gflops_float32": round(square_gflops()),
        "gflops_tf32": round(square_gflops(precision="high")),
        "gflops_bfloat16": round(square_gflops(torch.bfloat16)),
        "gbytes_per_s_copy": round(2 * x.numel() / milliseconds(lambda: y.copy_(x)) / 1e6),
    }


def tests() -> dict[str, Any]:
    """Run the tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-o", "filterwarnings=", "-p", "no:cacheprovider"]
    command += ["-n", "8"]  # most of the time is compiling kernels
    done = subprocess.run([*command, "tests/training"], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    return {
        "status": done.returncode,
        "summary": lines[-1:],
        "failed": [x for x in lines if x.startswith("FAILED")][:40],
    }


def company() -> dict[str, Any]:
    """Train runs among others and alone; return which differ, and in what."""
    data = DeviceData(lookup("fashion_mnist").load(), GPU)
    differing: list[str] = []
    compared = 0
    shared: list[dict[str, Any]] = [
        {"width": 65, "train_size": 1500},
        {"hidden_sizes": [40, 24], "train_size": 1000, "norm": "batch", "optimizer": "adam"},
        {"width": 64, "train_size": 1000, "clip_norm": 0.5, "optimizer": {"momentum": 0.9}, "l1": 1e-4},
    ]
    factors = {"activation": ["relu", "prelu", "gelu", "tanh"], "lr": [0.1, 0.01], "weight_decay": [0, 0.01]}
    for fixed in shared:
        everyone = runs_of({"epochs": 1} | fixed, factors=factors, replicates=16, validation=0.1)
        # Neighbours differ: the order is that of a walk through all of them.
        walk = [everyone[i * 97 % len(everyone)] for i in range(len(everyone))]
        alone: dict[str, Any] = {}
        for count in COMPANIES:
            members = walk[:count]
            together = rows_by_run(members, data)
            for run in members[:: max(1, count // ALONE)]:
                if run.run_id not in alone:
                    alone |= rows_by_run([run], data)
                compared += 1
                if together[run.run_id] != alone[run.run_id]:
                    differing.append(f"{fixed} among {count}: {run.settings.activation}")
    return {"compared": compared, "differing": len(differing), "examples": differing[:20]}


def rows_by_run(members: list[Run], data: DeviceData) -> dict[str, Any]:
    """Return all rows of each run but what it cost."""
    rows = train_stack(members, data, probes=[0.5, 1])
    cost = {"train_seconds", "stack_size"}
    found: dict[str, Any] = {run.run_id: [] for run in members}
    for table in (rows.runs, rows.curves, rows.layers, rows.predictions):
        for row in table:
            found[row["run_id"]].append({k: v for k, v in row.items() if k not in cost})
    return found


def products() -> dict[str, Any]:
    """Time the products of the first layer, forward and of the gradient, by the number of runs."""
    torch.set_float32_matmul_precision("highest")
    rates: dict[str, Any] = {}
    for width in WIDTHS:
        for runs in (1, 2, 4, 8, 16, 32, 64, 128):
            x = torch.randn(runs, BATCH, 784, device=GPU)
            w, b = torch.randn(runs, 784, width, device=GPU), torch.randn(runs, 1, width, device=GPU)
            z = torch.empty(runs, BATCH, width, device=GPU)
            flops = 2 * runs * BATCH * 784 * width
            forward = milliseconds(functools.partial(torch.baddbmm, b, x, w, out=z))
            gradient = milliseconds(functools.partial(w.baddbmm_, x.transpose(1, 2), z, alpha=-1e-9))
            rates[f"{width} x {runs}"] = [round(flops / t / 1e9, 1) for t in (forward, gradient)]
    return {"tflops of forward and gradient, by width and runs": rates}


def steps() -> dict[str, Any]:
    """Time the steps of a brick."""
    data = DeviceData(lookup("fashion_mnist").load(), GPU)
    square = square_gflops()
    found: dict[str, Any] = {"square_gflops": round(square)}
    for width, fixed in step_cases():
        members = runs_of({"width": width, **fixed}, replicates=32)
        settings = [r.settings for r in members]
        torch.set_float32_matmul_precision("highest")
        network = Network(settings, settings[0].sizes(data.facts), dtype=torch.float32, device=GPU)
        initialise(network.parameters, network.fans, network.sizes, members)
        fit, labels = [split(r, data.labels).fit for r in members], noisy_labels(members, data)
        with torch.no_grad():
            stepped = Steps(members, network, fit, labels, data)
            counter = iter(range(10**9))
            full_steps = (n for n in counter if n % 235 != 234)  # the last batch of an epoch is a smaller one
            take = functools.partial(_take_next, stepped, full_steps)
            recorded = milliseconds(take, number=40)
            assert isinstance(stepped._work_of, Recorded)
            stepped._work_of = stepped._descend
            plain = milliseconds(take, number=20, rounds=3)
            alone = milliseconds(recorded_products(network), number=20)
        sizes = settings[0].sizes(data.facts)
        forward = sum(i * o for i, o in itertools.pairwise(sizes))
        flops = 2 * BATCH * 32 * (3 * forward - sizes[0] * sizes[1])
        found[f"{width} {fixed}"] = {
            "ms_recorded": round(recorded, 3),
            "ms_not_recorded": round(plain, 3),
            "ms_products_alone": round(alone, 3),
            "share_of_square_product": round(flops / recorded / 1e6 / square, 3),
        }
    return found


def step_cases() -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield widths with other settings."""
    for width in WIDTHS:
        yield width, {}
    yield 256, {"optimizer": "adam", "lr": 0.001}
    yield 256, {"dropout": 0.5}
    yield 256, {"depth": 3}
    yield 256, {"precision": "tf32x3"}
    yield 256, {"precision": "bfloat16"}
    yield 256, {"input_noise": 0.1}


def _take_next(steps: Steps, numbers: Iterator[int]) -> None:
    steps.take(next(numbers))


def recorded_products(network: Network) -> Callable[[], object]:
    """Return the batched products of a step on buffers of their own, as one graph."""
    work, x = Workspace(network, BATCH, backward=True), torch.randn(network.runs, BATCH, network.sizes[0], device=GPU)
    weights, biases = network.parameters.weights, network.parameters.biases

    def multiply() -> None:
        h = x
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = work.outputs if i == len(weights) - 1 else work.a[i]
            torch.baddbmm(b.wide_RNP, h, w.wide_RNP[:, : network.sizes[i]], out=z.wide_RNP)
            h = z.x_RNM
        d = work.d_outputs
        for i in reversed(range(len(weights))):
            if i:
                torch.bmm(d.x_RNM, weights[i].x_RNM.transpose(1, 2), out=work.d[i - 1].wide_RNP)
            left = x if i == 0 else work.a[i - 1].x_RNM
            weights[i].wide_RNP[:, : network.sizes[i]].baddbmm_(left.transpose(1, 2), d.wide_RNP, alpha=-1e-9)
            d = work.d[i - 1] if i else d

    multiply()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        multiply()
    return graph.replay


def peers() -> dict[str, Any]:
    """Time an epoch of a plain loop and of `torch.func` over a stack of 32, in seconds per run."""
    from torch.func import functional_call, grad, stack_module_state, vmap

    torch.set_float32_matmul_precision("highest")
    data = lookup("fashion_mnist").load()
    x = (torch.from_numpy(np.array(data.x_train)).float() / 255).to(GPU)
    y = torch.from_numpy(np.array(data.y_train)).long().to(GPU)
    found: dict[str, Any] = {}

    def modules(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10)).to(GPU)

    for width in WIDTHS:
        model = modules(width)
        optimiser, loss_of = torch.optim.SGD(model.parameters(), lr=LR), nn.CrossEntropyLoss()

        def plain(model: nn.Module = model, optimiser: Any = optimiser, loss_of: Any = loss_of) -> None:
            for index in torch.split(torch.randperm(len(x), device=GPU), BATCH):
                optimiser.zero_grad()
                torch.autograd.backward(loss_of(model(x[index]), y[index]))
                optimiser.step()

        networks = [modules(width) for _ in range(32)]
        parameters = {k: v.detach() for k, v in stack_module_state(networks)[0].items()}
        base = modules(width).to("meta")

        def loss(p: Any, a: Any, b: Any, base: nn.Module = base) -> Any:
            return nn.functional.cross_entropy(functional_call(base, p, (a,)), b)

        gradient = vmap(grad(loss), in_dims=(0, 0, 0))

        def stacked(parameters: Any = parameters, gradient: Any = gradient) -> None:
            orders = torch.stack([torch.randperm(len(x), device=GPU) for _ in range(32)])
            for start in range(0, len(x), BATCH):
                index = orders[:, start : start + BATCH]
                for name, d in gradient(parameters, x[index], y[index]).items():
                    parameters[name].sub_(d, alpha=LR)

        found[str(width)] = {"plain": seconds(plain), "torch.func": seconds(stacked) / 32}
    return {"seconds per run and epoch": found}


def seconds(work: Callable[[], object]) -> float:
    """Return the shorter time of two calls, the device's included."""
    times = []
    for _ in range(2):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return round(min(times), 4)


def commands() -> dict[str, Any]:
    """Run the commands on the GPU: an experiment, a second look at its runs, and an experiment of plugins."""
    import pandas as pd

    root = Path(__file__).parents[2]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:

        def said(*words: str) -> dict[str, Any]:
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "mlpbench", *words], capture_output=True, text=True)
            elapsed = round(time.perf_counter() - began, 1)
            return {"status": done.returncode, "seconds": elapsed, "said": (done.stdout + done.stderr)[-1200:]}

        for path in ("experiments/width.yaml", "experiments/own_pieces/own_pieces.yaml"):
            name = Path(path).stem
            found[f"run {name}"] = said(
                "run", str(root / path), "--device", "cuda", "--results", folder, "--no-report", "--quiet"
            )
            plugins = [w for plugin in sorted((root / path).parent.glob("*.py")) for w in ("--plugins", str(plugin))]
            found[f"verify {name}"] = said("verify", f"{folder}/{name}", "--device", "cuda", "--sample", "4", *plugins)
            found[f"claims {name}"] = said("claims", f"{folder}/{name}")
        rows = pd.read_parquet(f"{folder}/width/runs")
        found["accuracy by width"] = rows.groupby("width")["test_accuracy"].mean().round(4).to_dict()
        found["train_seconds by stack"] = (
            rows.groupby("width")["train_seconds"].agg(["min", "max"]).round(3).values.tolist()
        )
    return found


def thousand(workers: int | None = None) -> dict[str, Any]:
    """Time the whole command on 1,000 baseline runs."""
    rates = [round(0.01 * 1.12**i, 5) for i in range(25)]
    spec = {
        "name": "thousand",
        "question": "How long does it take?",
        "dataset": "fashion_mnist",
        "fixed": {"width": 256, "epochs": 10},
        "factors": {"lr": rates},
        "replicates": 40,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(json.dumps(spec))
        command = [sys.executable, "-m", "mlpbench", "run", str(path), "--results", folder, "--no-report", "--quiet"]
        command += ["--device", "cuda", *(["--workers", str(workers)] if workers else [])]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        elapsed = time.perf_counter() - began
        import pandas as pd

        parts = [pd.read_parquet(p) for p in Path(folder).glob("thousand/runs/*.parquet")]
        rows = pd.concat(parts) if parts else pd.DataFrame({"status": [], "test_accuracy": [], "train_seconds": []})
    return {
        "workers": workers,
        "status": done.returncode,
        "said": done.stderr[-1500:],
        "seconds": round(elapsed, 1),
        "rows": rows["status"].value_counts().to_dict(),
        "best_mean_accuracy": round(float(rows.groupby("lr")["test_accuracy"].mean().max()), 4) if len(rows) else None,
        "train_seconds": round(float(rows["train_seconds"].sum()), 1),
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    part.__name__: part for part in (facts, tests, company, commands, products, steps, peers, thousand)
}


def main() -> None:
    """Run the parts and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--here", action="store_true", help="in this process, one part")
    parser.add_argument("--workers", type=int)
    a = parser.parse_args()
    if a.here:
        part = a.parts[0]
        print(json.dumps(thousand(a.workers) if part == "thousand" else PARTS[part]()))
        return
    found: dict[str, Any] = {}
    for part in a.parts or PARTS:
        began = time.perf_counter()
        command = [sys.executable, __file__, "--here", part, *(["--workers", str(a.workers)] if a.workers else [])]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        found[part] = json.loads(lines[-1]) if done.returncode == 0 and lines else {"error": done.stderr[-1500:]}
        print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
