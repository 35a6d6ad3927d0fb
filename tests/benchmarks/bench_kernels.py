"""One phase of one implementation, ready to be called again and again, and what it should come to.

Shapes: `R` runs, `B` batch, `I` inputs, `O` outputs of a layer, `C` classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import backprop
import torch
from bench_cases import Case
from torch import Tensor, nn
from torch.nn import functional

from mlpbench.experiment.components.losses import LOSSES
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.grid import RunSettings, conditions
from mlpbench.training.batches.stacked_inputs import Inputs
from mlpbench.training.network.mlp_stack import Network, Workspace
from mlpbench.training.network.parameters import GradientTarget
from mlpbench.training.parameter_updates import OptimiserState, Parameter, Updates

RATE = 0.01
SEED = 20
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}
MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """`work` is what is timed; `seen`, of what it returned, is the result of the last run of the stack.

    A forward pass comes to its logits; a backward pass to the gradients, weights (I, O) first, then biases; update and
    step to the change of the parameters. `masks` are the scaled dropout masks in use, (B, O), layer by layer.
    """

    work: Callable[[], Any]
    seen: Callable[[Any], list[Tensor]]
    masks: Callable[[], list[Tensor]] = list


class Problem:
    """The numbers of a case: every run of every implementation has the same ones."""

    def __init__(self, case: Case, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(SEED)
        layers = list(itertools.pairwise(case.sizes))

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=rng).expand(case.stack, *shape).contiguous().to(device)

        self.case, self.device = case, device
        self.x_RBI = draw(case.batch, case.inputs) * 0.3
        self.y_RB = (draw(case.batch) * 1e4).long() % case.classes
        self.weights = [draw(i, o) * i**-0.5 for i, o in layers]
        self.biases = [draw(o) * 0.1 for _, o in layers]
        self.error_RBC = draw(case.batch, case.classes) / case.batch
        self.gradients = [draw(*p.shape[1:]) for p in self.parameters]

    @property
    def parameters(self) -> list[Tensor]:
        """Weights, then biases, run axis first."""
        return [*self.weights, *self.biases]

    def changes(self, after: Sequence[Tensor]) -> list[Tensor]:
        """Return how far the parameters of the last run have moved."""
        return [a - b[-1] for a, b in zip(after, self.parameters, strict=True)]


def expected(problem: Problem, masks: Sequence[Tensor]) -> list[Tensor]:
    """Return what a kernel should come to: the last run's, in float64, by autograd."""
    case = problem.case
    parameters = [p[-1].double().requires_grad_() for p in problem.parameters]
    if case.phase == "update":
        return [-RATE * g[-1].double() for g in problem.gradients]
    h = problem.x_RBI[-1].double()
    for layer in range(case.depth + 1):
        h = h @ parameters[layer] + parameters[case.depth + 1 + layer]
        if layer < case.depth:
            h = FUNCTIONS[case.activation](h) * (masks[layer].double() if masks else 1)
    if case.phase == "forward":
        return [h.detach()]
    if case.phase == "backward":
        return list(torch.autograd.grad(h, parameters, problem.error_RBC[-1].double()))
    gradients = torch.autograd.grad(functional.cross_entropy(h, problem.y_RB[-1]), parameters)
    return [-RATE * g for g in gradients]


def from_scratch(problem: Problem) -> Kernel:
    """Return the pass that is written out, for one run."""
    case = problem.case
    x_BI, y_B = problem.x_RBI[0], problem.y_RB[0]
    weights, biases = [w[0].clone() for w in problem.weights], [b[0].clone() for b in problem.biases]
    done = backprop.forward(x_BI, weights, biases, case.activation)
    error_BC, given = problem.error_RBC[0], [g[0] for g in problem.gradients]

    def update(gradients: Sequence[Tensor]) -> None:
        for p, g in zip([*weights, *biases], gradients):
            p.sub_(g, alpha=RATE)

    def step() -> None:
        own = backprop.forward(x_BI, weights, biases, case.activation)
        _, error = backprop.cross_entropy(own.logits, y_B)
        d_weights, d_biases = backprop.backward(own, error, weights, case.activation)
        update([*d_weights, *d_biases])

    def changes(_: object) -> list[Tensor]:
        return problem.changes([*weights, *biases])

    return {
        "forward": Kernel(
            work=lambda: backprop.forward(x_BI, weights, biases, case.activation), seen=lambda p: [p.logits]
        ),
        "backward": Kernel(
            work=lambda: backprop.backward(done, error_BC, weights, case.activation), seen=lambda g: [*g[0], *g[1]]
        ),
        "update": Kernel(work=lambda: update(given), seen=changes),
        "step": Kernel(work=step, seen=changes),
    }[case.phase]


def torch_nn(problem: Problem) -> Kernel:
    """Return modules, autograd and `torch.optim.SGD`, for one run; compiled where the case says so."""
    case = problem.case
    x_BI, y_B = problem.x_RBI[0], problem.y_RB[0]
    modules: list[nn.Module] = []
    for w_RIO, b_RO in zip(problem.weights, problem.biases):
        _, i, o = w_RIO.shape
        linear = nn.Linear(i, o, device=problem.device)
        linear.weight.data, linear.bias.data = w_RIO[0].T.contiguous(), b_RO[0].clone()
        modules += [linear, MODULES[case.activation](), nn.Dropout(case.dropout)]
    hidden = [m for m in modules[:-2] if case.dropout or not isinstance(m, nn.Dropout)]
    model: Callable[[Tensor], Tensor] = nn.Sequential(*hidden)
    linears = [m for m in hidden if isinstance(m, nn.Linear)]
    parameters = [*(m.weight for m in linears), *(m.bias for m in linears)]
    optimiser = torch.optim.SGD(parameters, lr=RATE)
    if case.implementation == "torch.compile":
        model = torch.compile(model)

    def as_ours(found: Sequence[Tensor]) -> list[Tensor]:
        return [g.detach().T if g.dim() == 2 else g.detach() for g in found]

    def masks() -> list[Tensor]:
        torch.manual_seed(SEED)
        ones = torch.ones(case.batch, case.width, device=problem.device)
        return [functional.dropout(ones, case.dropout) for _ in range(case.depth)]

    def step() -> None:
        loss = functional.cross_entropy(model(x_BI), y_B)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    def changes(_: object) -> list[Tensor]:
        return problem.changes(as_ours(parameters))

    torch.manual_seed(SEED)  # nn.Dropout draws from the global generator only
    if case.phase == "forward":
        return Kernel(work=lambda: model(x_BI), seen=lambda z: [z.detach()], masks=masks)
    if case.phase == "backward":
        z_BC, error_BC = model(x_BI), problem.error_RBC[0]
        return Kernel(
            work=lambda: torch.autograd.grad(z_BC, parameters, error_BC, retain_graph=True), seen=as_ours, masks=masks
        )
    if case.phase == "step":
        return Kernel(work=step, seen=changes, masks=masks)
    for p, g_R in zip(parameters, problem.gradients, strict=True):
        p.grad = g_R[0].T.contiguous() if p.dim() == 2 else g_R[0].clone()
    return Kernel(work=optimiser.step, seen=changes)


def stacked(problem: Problem) -> Kernel:
    """Return the engine's passes for a stack whose runs have a batch each; a step takes its update in the products."""
    case = problem.case
    settings = [_settings(case)] * case.stack
    network = Network(settings, case.sizes, dtype=torch.float32, device=problem.device)
    arrays = network.parameters
    for weight, w_RIO, bias, b_RO in zip(arrays.weights, problem.weights, arrays.biases, problem.biases):
        weight.x_RNM[:, : w_RIO.shape[1]] = w_RIO
        bias.x_RNM[:, 0] = b_RO
    inputs, y_RB1 = Inputs(x_GBI=problem.x_RBI), problem.y_RB[:, :, None]
    work = Workspace(network, case.batch, backward=True)
    noise = [Inputs(x_GBI=torch.empty(case.stack, case.batch, o, device=problem.device)) for o in case.sizes[1:-1]]
    rng = torch.Generator(problem.device).manual_seed(SEED)
    loss, updates = LOSSES["cross_entropy"], Updates(network, settings)

    def forward() -> None:
        for layer, drops in enumerate(network.drops):
            if drops:
                noise[layer].x_GBI.uniform_(generator=rng)
                network.set_mask(layer, noise[layer], work)
        network.forward(inputs, work, train=True)

    def step() -> None:
        forward()
        loss.forward(torch, work.outputs, y_RB1, work.losses)
        loss.gradient(torch, work.outputs, y_RB1, updates.output_factor() / case.batch, work.d_outputs)
        updates.apply(inputs, work)

    def last(weights: Sequence[Any], biases: Sequence[Any]) -> list[Tensor]:
        return [*(w.x_RNM[-1, :i] for w, i in zip(weights, case.sizes)), *(b.x_RNM[-1, 0] for b in biases)]

    def changes(_: object) -> list[Tensor]:
        return problem.changes(last(arrays.weights, arrays.biases))

    def masks() -> list[Tensor]:
        return [m.x_RNM[-1] for m in work.mask if m is not None]

    if case.phase == "forward":
        return Kernel(work=forward, seen=lambda _: [work.outputs.x_RNM[-1]], masks=masks)
    if case.phase == "step":
        return Kernel(work=step, seen=changes, masks=masks)
    into = network.layers()
    if case.phase == "backward":
        forward()
        work.d_outputs.x_RNM.copy_(problem.error_RBC)
        target = GradientTarget(into=into, subtracts=False)
        return Kernel(
            work=lambda: network.backward(inputs, work, target),
            seen=lambda _: last(into.weights, into.biases),
            masks=masks,
        )
    pairs = [Parameter(value=v, gradient=g) for v, g in zip(arrays.all, into.all)]
    for layer, weight in enumerate(into.weights):
        weight.x_RNM[:, : case.sizes[layer]] = problem.gradients[layer]
        into.biases[layer].x_RNM[:, 0] = problem.gradients[case.depth + 1 + layer]
    rate_R1 = torch.full((case.stack, 1), RATE, device=problem.device)
    optimiser = OptimiserState("sgd", pairs, torch.zeros_like(rate_R1))
    return Kernel(work=lambda: optimiser.step(rate_R1, 1), seen=changes)


IMPLEMENTATIONS: dict[str, Callable[[Problem], Kernel]] = {
    "from scratch": from_scratch,
    "torch.nn": torch_nn,
    "stacked": stacked,
    "torch.compile": torch_nn,
}


def _settings(case: Case) -> RunSettings:
    """Return the settings of a run of the case, by way of the real spec and grid."""
    shape = {"width": case.width, "depth": case.depth, "activation": case.activation, "dropout": case.dropout}
    fixed = shape | {"batch_size": case.batch, "steps": 1, "lr": RATE}
    spec = {"name": "kernels", "question": "How fast?", "dataset": "fashion_mnist", "fixed": fixed}
    (condition,) = conditions(yaml_reader.from_mapping(spec))
    return condition.settings
