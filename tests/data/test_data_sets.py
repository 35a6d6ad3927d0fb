"""The table of data sets: whatever has a name is found there, and what CONTRIBUTING.md adds to it is found too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from repository import EXPERIMENTS, ROOT

from mlpbench.data.data_sets import DATA_SETS, lookup, read_dataset

USE = """
import json
import numpy as np
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.experiment.file import yaml_reader
for name in ("signs", "iris"):
    tree = {"name": name, "question": "?", "dataset": name, "fixed": {"width": 4, "epochs": 1, "lr": 0.1}}
    experiment = yaml_reader.from_mapping(tree)
    data, facts = experiment.dataset.load(), experiment.data
    assert data.x_train.shape == (facts.n_train, facts.n_features) and len(data.y_test) == facts.n_test
    assert sorted(set(data.y_test.tolist())) == list(range(facts.n_classes))
    print(name, DATA_SETS[name].availability(), yaml_reader.dump(experiment).count(f"dataset: {name}"))
"""


def examples_of(heading: str) -> list[str]:
    """Return the blocks of Python under a heading of CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_the_data_sets_of_the_contributors_guide_work_in_a_copy_of_the_package(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mlpbench", tmp_path / "mlpbench", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "mlpbench" / "data" / "bundled" / "bundled_data.py"
    shutil.copy(EXPERIMENTS / "own_data" / "iris.csv", module.parent)
    blocks = examples_of("Add a data set")
    assert len(blocks) == 2
    module.write_text("\n\n".join([module.read_text(), *blocks]))
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["signs here, generated in the package 1", "iris here, in the package 1"]


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_name_alone_is_what_a_file_says_and_finds_the_data_set(name: str) -> None:
    data = lookup(name)
    assert data.facts.name == name
    assert read_dataset(name, Path()) == read_dataset({"name": name}, Path()) == data
    assert read_dataset(data.as_written(None), Path()) == data


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_is_either_drawn_by_each_replicate_or_loaded_for_all(name: str) -> None:
    data = lookup(name)
    if data.facts.is_drawn_anew:
        with pytest.raises(TypeError, match=f"each replicate draws its own examples of {name}"):
            data.load()
        assert not np.array_equal(data.draw(0, 0).x_train, data.draw(0, 1).x_train)
    else:
        with pytest.raises(TypeError, match=f"all replicates share the examples of {name}"):
            data.draw(0, 0)
