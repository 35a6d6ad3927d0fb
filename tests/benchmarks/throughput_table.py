"""Where a CPU's time goes at several widths and depths, with dropout and with Adam, and what stacked loops of others take.

    python tests/benchmarks/throughput_table.py            the table: widths 32, 256, 1024, depths 1 to 3
    python tests/benchmarks/throughput_table.py --peers    stacked loops by torch.func, and by JAX where it is installed

All is measured on one thread, in turn, in seconds of the processor; medians count, as a machine is seldom quiet. The table has the share of a step that its batched
products alone take, and their rate as a share of a square product's. Peers train one epoch of as many runs and then are
evaluated as ours are, on 10,000 training and 10,000 test images. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import itertools
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from throughput import BATCH, CURVE, LR
from torch import Tensor, nn

from mlpbench.data.data_sets import lookup
from mlpbench.experiment import grid
from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import Run
from mlpbench.experiment.plan import make_stack, plan
from mlpbench.training.batches.device_data import DeviceData, split
from mlpbench.training.batches.minibatches import Batches, Examples, noisy_labels
from mlpbench.training.batches.stacked_inputs import Group, Inputs
from mlpbench.training.measures.evaluation import Evaluator
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import initialise
from mlpbench.training.steps import Steps

CASES: Sequence[tuple[int, Mapping[str, Any]]] = [
    *((width, {"depth": depth}) for width, depth in itertools.product((32, 256, 1024), (1, 2, 3))),
    *((width, more) for width in (32, 256, 1024) for more in ({"dropout": 0.5}, {"optimizer": "adam", "lr": 0.001})),
]
SQUARE = 2048
ROUNDS = 15
# Work of about so many operations is timed at once.
AT_ONCE = 1e10


class Training:
    """A stack as the plan makes it, ready to take steps, with the products of a step on buffers of their own."""

    def __init__(self, width: int, settings: Mapping[str, Any], most: int | None = None) -> None:
        tree: dict[str, Any] = {"name": "x", "question": "?", "dataset": "fashion_mnist", "replicates": 8}
        rates = {} if "lr" in settings else {"factors": {"lr": [0.01 * 1.6**i for i in range(8)]}}
        tree |= {"fixed": {"width": width, "epochs": 10, **settings}, **rates}
        runs = grid.runs(yaml_reader.from_mapping(tree))
        self.members: Sequence[Run] = plan(runs, workers=2, memory=2**33)[0].runs[:most]
        self.data = DeviceData(lookup("fashion_mnist").load(), torch.device("cpu"))
        members = [r.settings for r in self.members]
        make: dict[str, Any] = {"dtype": torch.float32, "device": self.data.device}
        sizes = members[0].sizes(self.data.facts)
        self.network = Network(members, sizes, **make)
        initialise(self.network.parameters, self.network.shapes, sizes, self.members)
        fit, labels = [split(r, self.data.labels).fit for r in self.members], noisy_labels(self.members, self.data)
        self.steps = Steps(self.members, self.network, fit, labels, self.data)
        self.inputs, _ = Batches(self.members, fit, labels, self.data, dtype=torch.float32).at(0)
        alone = Network(members, sizes, **make)
        self._alone, self._work = alone, Workspace(alone, BATCH, backward=True)
        self.evaluator = Evaluator(self.network, LOSSES["cross_entropy"], self.data.n_features)
        self.flops = make_stack(self.members).flops / (10 * 60_000 / BATCH)
        self._step = itertools.count()

    def take(self) -> None:
        """Take the next step of a whole batch."""
        step, per_epoch = next(self._step), self.members[0].settings.steps_per_epoch
        self.steps.take(step + step // (per_epoch - 1))  # the last one of an epoch is smaller

    def products(self) -> None:
        """Do the batched products of a step, forward and backward, as they are where no first layers stand side by side."""
        p, work, inputs = self._alone.parameters, self._work, self.inputs
        left = [None, *(a.x_RNM for a in work.a)]
        last = len(left) - 1
        d = [*(of.wide_RNP for of in work.d), work.d_outputs.wide_RNP]
        z = [*(a.wide_RNP for a in work.a), work.outputs.wide_RNP]
        for layer, h in enumerate(left):
            for own, x_RBI in self._parts(h, inputs):
                w = p.weights[layer].wide_RNP[own, : x_RBI.shape[2]]
                torch.baddbmm(p.biases[layer].wide_RNP[own], x_RBI, w, out=z[layer][own])
        for layer in reversed(range(last + 1)):
            if layer > 0:
                right = work.d_outputs.x_RNM if layer == last else work.d[layer].x_RNM
                torch.bmm(right, p.weights[layer].x_RNM.transpose(1, 2), out=d[layer - 1])
            for own, x_RBI in self._parts(left[layer], inputs):
                w = p.weights[layer].wide_RNP[own, : x_RBI.shape[2]]
                w.baddbmm_(x_RBI.transpose(1, 2), d[layer][own], alpha=-1)

    @staticmethod
    def _parts(h: Tensor | None, inputs: Inputs) -> list[tuple[slice, Tensor]]:
        return list(inputs.parts()) if h is None else [(slice(None), h)]

    def epoch(self) -> None:
        """Train an epoch, and evaluate it as curves have it."""
        for step in range(self.members[0].settings.steps_per_epoch):
            self.steps.take(step)
        self.steps.settle()
        runs, data = len(self.members), self.data
        everyone, first = [Group(start=0, stop=runs, batch=0)], torch.arange(CURVE)[None]
        labelling = torch.zeros(runs, dtype=torch.int64)
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
            self.evaluator(Examples(x=x, labels=y[None], labelling=labelling, index_GN=first, groups=everyone)).means()


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int, number: int = 1) -> dict[str, float]:
    """Return the median processor time of each work, which are done one after the other, round by round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for name, work in itertools.chain.from_iterable(itertools.repeat(tuple(works.items()), rounds)):
        began = time.process_time()
        for _ in range(number):
            work()
        times[name].append((time.process_time() - began) / number)
    return {name: statistics.median(of) for name, of in times.items()}


def row(width: int, settings: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """Measure the steps of a stack, its products alone and a square product."""
    training, square = Training(width, settings), torch.rand(SQUARE, SQUARE)
    out = torch.empty_like(square)
    works: dict[str, Callable[[], object]] = {"step": training.take, "products": training.products}
    works["square"] = lambda: torch.mm(square, square, out=out)
    in_turn(works, 1)
    seconds = in_turn(works, rounds, max(1, round(AT_ONCE / training.flops)))
    products, limit = training.flops / seconds["products"], 2 * SQUARE**3 / seconds["square"]
    return {
        "what": "step",
        "width": width,
        **settings,
        "stack": len(training.members),
        "milliseconds": round(1000 * seconds["step"], 2),
        "share_of_products_alone": round(seconds["products"] / seconds["step"], 3),
        "products_of_square_product": round(products / limit, 3),
        "gflops_of_square_product": round(limit / 1e9, 1),
    }


def arrays() -> list[tuple[Any, Any]]:
    """Return images, as numbers from 0 to 1, and classes, for training and of the test set."""
    data = lookup("fashion_mnist").load()
    parts = ((data.x_train, data.y_train), (data.x_test, data.y_test))
    return [(np.asarray(x, np.float32) / 255, np.asarray(y, np.int64)) for x, y in parts]


def by_torch_func(width: int, runs: int) -> Callable[[], object]:
    """Return an epoch of stacked modules by `torch.func`, all on the same batches."""
    (x, y), held = ((torch.from_numpy(a) for a in part) for part in arrays())
    parts = [(x[:CURVE], y[:CURVE]), tuple(held)]
    models = [nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10)) for _ in range(runs)]
    parameters, _ = torch.func.stack_module_state(models)
    parameters = {name: p.detach() for name, p in parameters.items()}
    base = copy.deepcopy(models[0]).to("meta")

    def outputs(p: Any, inputs: Tensor) -> Any:
        return torch.func.functional_call(base, p, (inputs,))

    def loss(p: Any, inputs: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs(p, inputs), labels)

    def scores(p: Any, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        z = outputs(p, inputs)
        return nn.functional.cross_entropy(z, labels), (z.argmax(1) == labels).float().mean()

    gradients, score = (torch.func.vmap(f, in_dims=(0, None, None)) for f in (torch.func.grad(loss), scores))

    def epoch() -> None:
        for index in torch.split(torch.randperm(len(x)), BATCH):
            for name, gradient in gradients(parameters, x[index], y[index]).items():
                parameters[name].sub_(gradient, alpha=LR)
        for inputs, labels in parts:
            for some in zip(torch.split(inputs, 1000), torch.split(labels, 1000)):
                _ = [of.tolist() for of in score(parameters, *some)]

    return epoch


def by_jax(width: int, runs: int) -> Callable[[], object]:
    """Return an epoch of stacked parameters by JAX's `vmap`, `scan` and `jit`, all on the same batches."""
    jax: Any = __import__("jax")
    (x, y), (u, v) = ((jax.numpy.asarray(a), jax.numpy.asarray(b.astype(np.int32))) for a, b in arrays())
    rng = np.random.default_rng(0)
    shapes = ((784, width), (width,), (width, 10), (10,))
    state = [tuple(jax.numpy.asarray(rng.normal(0, 0.01, (runs, *s)).astype(np.float32)) for s in shapes)]

    def losses(p: Any, inputs: Any, labels: Any) -> Any:
        z = jax.nn.relu(inputs @ p[0] + p[1]) @ p[2] + p[3]
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(z), labels[:, None], 1).mean(), (
            z.argmax(1) == labels
        ).mean()

    def step(p: Any, index: Any) -> Any:
        def one(q: Any) -> Any:
            gradient = jax.grad(lambda w: losses(w, x[index], y[index])[0])(q)
            return jax.tree.map(lambda w, g: w - LR * g, q, gradient)

        return jax.vmap(one)(p), None

    train = jax.jit(lambda p, order: jax.lax.scan(step, p, order)[0])
    score = jax.jit(jax.vmap(losses, in_axes=(0, None, None)))

    def epoch() -> None:
        order = rng.permutation(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH)
        state[0] = train(state[0], order)
        for inputs, labels in ((x[:CURVE], y[:CURVE]), (u, v)):
            jax.block_until_ready(score(state[0], inputs, labels))

    return epoch


def peers(width: int, rounds: int) -> dict[str, Any]:
    """Measure an epoch with its evaluation, ours and that of others, in turn: seconds per run."""
    ours = Training(width, {}, most=8)
    runs = len(ours.members)
    works: dict[str, Callable[[], object]] = {"ours": ours.epoch, "torch_func": by_torch_func(width, runs)}
    if importlib.util.find_spec("jax") is not None:
        works["jax"] = by_jax(width, runs)
    in_turn(works, 1)  # compiles
    seconds = {name: round(t / runs, 4) for name, t in in_turn(works, rounds).items()}
    return {"what": "epoch", "width": width, "runs": runs, **seconds} | ({} if "jax" in works else {"jax": None})


def main() -> None:
    """Parse arguments and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--width", type=int, choices=[32, 256, 1024], help="this one alone")
    parser.add_argument("--rounds", type=int, default=0, help=f"by default {ROUNDS}, of peers 3")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if a.peers:
        for width in [a.width] if a.width else (32, 256):
            print(json.dumps(peers(width, a.rounds or 3)), flush=True)
        return
    with torch.no_grad():
        for width, settings in CASES:
            if a.width in (None, width):
                print(json.dumps(row(width, settings, a.rounds or ROUNDS)), flush=True)


if __name__ == "__main__":
    main()
