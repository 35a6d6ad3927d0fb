"""Identities written out: a change of any of these orphans the results that users have stored, and must be meant.

They were taken down once and are not computed here: whatever makes identities faster, or moves the code that does,
has to give these.
"""

from __future__ import annotations

from typing import Any

import pytest
from drawn_specs import spec
from single_runs import make_run

from mlpbench.experiment.grid import conditions, runs
from mlpbench.experiment.settings import SETTINGS

SPECS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "width and depth": {"fixed": {"width": 32, "depth": 3, "epochs": 3}},
    "a width for each layer": {"fixed": {"hidden_sizes": [512, 256], "dropout": [0.2, 0.4]}},
    "linear": {
        "fixed": {"depth": 0, "lr": 0.03, "batch_size": 10, "epochs": 7, "train_size": 500, "loss": "squared_error"}
    },
    "words with a parameter": {
        "fixed": {
            "activation": {"leaky_relu": 0.2},
            "init": {"constant": 0.5},
            "bias_init": {"normal": 1},
            "optimizer": {"nesterov": 0.8},
            "schedule": {"step": {"every": 100, "factor": 0.5}},
        }
    },
    "words without one": {
        "fixed": {
            "activation": "prelu",
            "init": "orthogonal",
            "bias_init": "default",
            "optimizer": "adamw",
            "schedule": "cosine",
            "norm": "batch",
            "loss": "mse",
            "precision": "bfloat16",
        }
    },
    "everything that regularises": {
        "fixed": {
            "weight_decay": 0.001,
            "decay_bias": True,
            "l1": 1e-05,
            "dropout": 0.5,
            "input_noise": 0.1,
            "clip_norm": 1,
            "label_noise": 0.25,
        }
    },
    "other inputs": {"fixed": {"features": 100, "input_scale": 255}},
    "the full batch": {
        "fixed": {"schedule": {"warmup": 50}, "batch_size": "full", "steps": 123, "train_size": 1000},
        "validation": 0.1,
    },
    "steps for epochs": {"fixed": {"steps": 2350, "train_size": "all", "precision": "float64", "norm": "layer"}},
    "nothing is trained": {"fixed": {"epochs": 0, "init": "he_normal", "activation": "tanh", "optimizer": "rmsprop"}},
    "a seed and some streams": {"seed": 2**63 - 1, "vary": ["order", "init"], "replicates": 3},
    "no stream varies": {"vary": [], "replicates": 1, "fixed": {"lr": 1e-300}},
    "a shift that is weighted back": {
        "fixed": {"train_size": 2000, "train_shift": {"label": 2}, "weighting": "bbse"},
    },
    "factors": {"factors": {"width": [8, 1024], "lr": [0.1, 1]}},
    "zipped factors": {"factors": {"zip": {"optimizer": ["sgd", "adam"], "lr": [0.1, 0.001]}}},
    "whole conditions": {
        "factors": {
            "conditions": [
                {"label": "plain"},
                {"label": "naïve", "loss": "naive_cross_entropy", "init": "xavier_uniform"},
            ],
            "activation": ["sigmoid", "gelu"],
        },
        "replicates": 1,
    },
    "many replicates": {"fixed": {"optimizer": "momentum", "activation": "elu"}, "replicates": 1001},
    "convolutions": {"fixed": {"conv_channels": [8, 16], "pooling": "average", "depth": 0}},
    "what came later": {
        "fixed": {
            "features": 100,
            "input_scale": 10,
            "train_size": 1000,
            "train_shift": {"label": 2},
            "weighting": "bbse",
        },
        "replicates": 1,
    },
    "an optimiser with numbers of its own": {
        "fixed": {"optimizer": {"adam": {"betas": [0.9, 0.98], "eps": 1e-6}}},
        "replicates": 1,
    },
    "another structure": {
        "fixed": {"depth": 2, "bias": False, "residual": True, "parametrization": {"mup": 128}},
        "replicates": 1,
    },
    "labels that are smoothed": {"fixed": {"label_smoothing": 0.1}, "replicates": 1},
    "classes that weigh differently": {"fixed": {"class_weights": {"Coat": 2, "Bag": 0.5}}, "replicates": 1},
    "runs that stop early": {
        "fixed": {"early_stopping": {"patience": 3, "min_delta": 0.01}},
        "validation": 0.2,
        "replicates": 1,
    },
}
# Condition: its runs, in the order of the grid.
IDS: dict[str, dict[str, list[str]]] = {
    "defaults": {"ef92bb7a8324": ["53ab81b9b133658b", "ebe89df731c28d4c"]},
    "width and depth": {"ef5e03145e36": ["53b0aff4e0a0d7be", "f9e40a90e47b9c5c"]},
    "a width for each layer": {"ca8f00123764": ["295f181b6e5cdb63", "08434648e02659e8"]},
    "linear": {"8fbf83cd3ede": ["db43d7aae243a19f", "664604e723038798"]},
    "words with a parameter": {"4f5bce13ceeb": ["4f5edd320ff29324", "43f5462b261b3ab7"]},
    "words without one": {"1537ceef07f7": ["e05e59f8839e7f7d", "d456594074ab8f4a"]},
    "everything that regularises": {"f51e24dfa911": ["1e2caa8b7e218a1b", "3200e072ddf2654b"]},
    "other inputs": {"c5777a104863": ["3dc70d8d34e5cb6f", "de07a118c5f58391"]},
    "the full batch": {"eb54ce1fa1e1": ["218845232882dcdb", "df69c5480238a3c8"]},
    "steps for epochs": {"52b7e71844d8": ["57d8de123820beb2", "0279e3785c69f0a1"]},
    "nothing is trained": {"606ec968ca57": ["0389c2bcaa210893", "052569a37cca7b85"]},
    "a seed and some streams": {"ef92bb7a8324": ["7c7a9c2e1a7f29a3", "03cd549d0bcde2b0", "0df76cda876def77"]},
    "no stream varies": {"e642bf9e4aa0": ["bbe974c1d6dae280"]},
    "a shift that is weighted back": {"9fbe37d7ecbc": ["0414e2b0a39f0eaa", "a45a9a9ab0205545"]},
    "factors": {
        "549263c00e7a": ["afc810b53bb028f8", "23419b44e9364d9c"],
        "c87e6e3c8e35": ["312c4f2cfecde96f", "2521313f1025d22b"],
        "48bea9fa9207": ["412812ff63c829ac", "93d9904d6780d53a"],
        "ff0c2ee50f16": ["010a339e1028a4bf", "398d9d800dc1d524"],
    },
    "zipped factors": {
        "ef92bb7a8324": ["53ab81b9b133658b", "ebe89df731c28d4c"],
        "340a45b52fc5": ["764a996b1a7d43f8", "1bba1c7824b2da32"],
    },
    "whole conditions": {
        "e9f6a7fa866b": ["1ad9e2e9e873c475"],
        "0c1bb172fb3c": ["293c830554bca04c"],
        "96ad98bd4d28": ["2daef0d4ea70752d"],
        "521f4a95e559": ["2b2e3623f3c670b2"],
    },
    "convolutions": {"6179afbc12bb": ["9033ce7102ed1c9f", "9097a170cd834bf8"]},
    "what came later": {"482ce1544b16": ["50f3b6aceeede608"]},
    "an optimiser with numbers of its own": {"f614ec7fafc1": ["ee4b00684818649f"]},
    "another structure": {"0f8ec8ceebd0": ["d0c8fa69864fa63b"]},
    "labels that are smoothed": {"9f4776968be3": ["d0d26a0e6c65038f"]},
    "classes that weigh differently": {"50b77fafcee3": ["bd83ffc9ae5c0aa0"]},
    "runs that stop early": {"ac768f872e9c": ["fbe8cfca1fbdea39"]},
    # Replicates 0, 10 and 1000.
    "many replicates": {"42223c1acbbe": ["9000282906a87ee1", "581f758b00eb1aae", "ca3e19e8d11a9501"]},
}


@pytest.mark.parametrize("name", SPECS)
def test_identities_are_those_written_out(name: str) -> None:
    experiment = spec(**{"replicates": 2} | SPECS[name])
    made = conditions(experiment)
    assert [c.condition_id for c in made] == list(IDS[name])
    replicates = (0, 10, 1000) if name == "many replicates" else range(experiment.replicates)
    found = {r.run_id: (r.condition.condition_id, r.replicate) for r in runs(experiment)}
    for condition in made:
        for replicate, run_id in zip(replicates, IDS[name][condition.condition_id], strict=True):
            assert found[run_id] == (condition.condition_id, replicate)
            assert make_run(experiment, condition, replicate).run_id == run_id


def test_every_setting_is_in_one_of_them() -> None:
    given = [s.get("fixed", {}) for s in SPECS.values()]
    assert {name for fixed in given for name in fixed} == set(SETTINGS)
