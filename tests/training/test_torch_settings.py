"""A piece of a plugin that changes what holds for the whole process fails its own runs, and moves no bit of others."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_sources import HEAD, loaded, plugin_of
from small_data import Made, made, runs

from mlpbench.experiment.components.own_pieces import PieceError
from mlpbench.training.engine import train_stack
from mlpbench.training.torch_settings import draws_now, settings_now
from mlpbench.training.worker import Worker
from mlpbench.training.worker_setup import Row, Setup

DATA: Made = made(n_train=90, n_test=31, features=9, classes=4)
FIXED: dict[str, Any] = {"hidden_sizes": [7, 5], "init": "he_normal", "batch_size": 32, "epochs": 2, "lr": 0.05}
MEDDLING = """
@mlpbench.activation
def p(z):
    {}
    return torch.tanh(z)
"""


def trained(does: str) -> list[Row]:
    """Return the rows of a run whose activation does this, and of one of a built-in activation in the same stack."""
    plugin = plugin_of(HEAD + MEDDLING.format(does))
    grid = runs(DATA, FIXED, [{"activation": "p"}, {"activation": "relu"}], plugins=[plugin.as_written()])
    setup = Setup(
        datasets=[DATA.source], device="cpu", threads=1, numerics="fast", data_dir=None, probes=None, plugins=[plugin]
    )
    worker = Worker(setup)
    worker._data[DATA.facts.fingerprint] = DATA.data
    rows = {row["run_id"]: row for row in worker.train(grid, lambda share: None).runs}
    return [rows[run.run_id] for run in grid]


@pytest.mark.parametrize(
    ("does", "changed"),
    [
        ("torch.set_num_threads(3)", "another number of threads: 3 instead of 1"),
        ("torch.set_default_dtype(torch.float64)", "another default dtype: torch.float64 instead of torch.float32"),
        ("torch.set_flush_denormal(False)", "another treatment of denormal numbers: False instead of True"),
        ("torch.set_deterministic_debug_mode('default')", "another mode of determinism: 0 instead of 2"),
        ("torch.set_float32_matmul_precision('medium')", "another precision of products: medium instead of highest"),
        ("torch.randn(3)", "another state of the random numbers of torch; of the pieces an initialiser alone draws"),
        ("np.random.rand()", "another state of the random numbers of numpy; of the pieces"),
        ("__import__('random').random()", "another state of the random numbers of Python; of the pieces"),
    ],
)
def test_its_run_fails_and_others_of_its_stack_have_their_bits(does: str, changed: str) -> None:
    good, usual = trained("pass")
    assert (good["status"], usual["status"]) == ("ok", "ok")
    own, other = trained(does)
    assert own["status"] == "failed"
    assert changed in own["error"]
    assert other["weights_sha256"] == usual["weights_sha256"]
    assert trained("pass")[0]["weights_sha256"] == good["weights_sha256"]


def test_what_it_changed_is_set_back() -> None:
    train_stack(runs(DATA, FIXED), DATA.data)  # which has the settings of training from now on
    before = {name: value for name, (value, _) in {**settings_now(), **draws_now()}.items()}
    plugins = loaded(HEAD + MEDDLING.format("torch.set_num_threads(3); np.random.rand(); torch.randn(3)"))
    with pytest.raises(PieceError, match="must leave what holds for the whole process alone, got another number of"):
        train_stack(runs(DATA, FIXED | {"activation": "p"}, **plugins), DATA.data)
    assert before == {name: value for name, (value, _) in {**settings_now(), **draws_now()}.items()}


def test_an_initialiser_draws_from_its_generator() -> None:
    source = (
        "@mlpbench.initialiser\ndef p(shape, fan_in, fan_out, generator):\n    return np.random.normal(0, 1, shape)\n"
    )
    with pytest.raises(PieceError, match="another state of the random numbers of numpy"):
        train_stack(runs(DATA, FIXED | {"init": "p"}, **loaded(HEAD + source)), DATA.data)
