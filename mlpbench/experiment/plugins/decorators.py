"""The decorators of pieces: what a plugin writes. They mark a function and leave it as it is.

    import mlpbench
    from torch.nn.functional import softplus

    @mlpbench.activation
    def mish(z):
        return z * softplus(z).tanh()

The names of pieces are read from the source, which is not run for that (see piece_source.py). `mlpbench check pieces.py` proves
that pieces keep to what is said here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def activation(function: Function) -> Function:
    """Mark `f(z)` as an activation: of each number of a tensor for itself, of the shape and dtype of z.

    It gets what one run's layer has before the activation: a tensor of its own, (B, O) for B examples and O units, and may change it.
    Its derivative is that of autograd, or what `@NAME.derivative` returns: `f'(z)`, of the shape of z.
    """
    return _differentiated(function)


def initialiser(function: Function) -> Function:
    """Mark `f(shape, fan_in, fan_out, generator)` as a distribution of initial values: an array of that shape.

    Weights are of shape (I, O), of a convolution (9 C, O), biases of shape (O,), in double precision. All that is random must be
    drawn from the generator, a `numpy.random.Generator` whose draws are the run's own.
    """
    return function


def optimiser(function: Function) -> Function:
    """Mark `f(gradient, state, lr, step)` as an optimiser: it returns what is added to a parameter, and its state.

    It is called for each array of parameters of one run: weights (I, O), of a convolution (9 C, O), vectors such as biases (O,).
    The state is a dict, empty before the first step, and is handed on as it is returned; `lr` is the run's learning rate at this step,
    `step` counts from 1. Weight decay has been added to the gradient, and its norm been clipped, where the run has either.

    Reference: optax, `GradientTransformation`, whose updates are added to parameters too.
    """
    return function


def loss(function: Function) -> Function:
    """Mark `f(outputs, targets)` as a loss: that of each example of one run, of shape (B,).

    Outputs are (B, C); targets are classes, (B,), whole numbers from 0, or numbers, (B, C). What training minimises is their mean,
    weighted where examples have weights, and losses that are measured are means of it. The gradient is that of autograd, or what
    `@NAME.derivative` returns: of each example's loss by its outputs, (B, C).
    """
    return _differentiated(function)


def schedule(function: Function) -> Function:
    """Mark `f(share)` as a schedule: the factor of the learning rate, at least 0.

    The share, in [0, 1), is of all steps those that were taken before; after a warm-up, of those that follow it.
    """
    return function


def metric(function: Function) -> Function:
    """Mark `f(outputs, targets)` as a metric: one number for all examples of the test set, or of the validation examples, of one run.

    Outputs are (N, C), in double precision; targets are classes, (N,), whole numbers from 0, or numbers, (N, C), in their own units, as
    outputs are then. Its number is the metric `test_NAME`, and `val_NAME` where there are validation examples; NaN stands for none.
    Every metric of a plugin is measured.
    """
    return function


def dataset(function: Function) -> Function:
    """Mark `f()` as a data set: arrays x and y, or x_train, y_train, x_test and y_test, in a mapping or a tuple.

    An entry of x is an example: its numbers are inputs in a row. y has classes, whole numbers or words, or numbers. They are checked, split
    and scaled as an npz file of one's own is. The code is run once: `run` and `check` keep its arrays, until it changes.
    """
    return function


def figure(function: Function) -> Function:
    """Mark `f(context)` as a section of the report: a matplotlib figure, a sentence, or both, `(figure, text)`.

    The context has `name` and `question` of the experiment, and DataFrames: `runs`, the table with a `label` for each condition, levels and
    metrics, those of plugins too, by the names that claims have for them; and `curves`. It is called at the end of `run`, which keeps the
    picture; the report shows what is kept. Every figure of a plugin is drawn.
    """
    return function


def _differentiated(function: Function) -> Function:
    """Return a function with a decorator of its own, `derivative`, which keeps another function as its derivative."""

    def derivative(own: Callable[..., Any]) -> Function:
        function.own_derivative = own  # type: ignore[attr-defined]
        return function

    function.derivative = derivative  # type: ignore[attr-defined]
    return function
