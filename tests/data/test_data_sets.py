"""The table of data sets: whatever has a name is found there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpbench.data.data_sets import DATA_SETS, lookup, read_dataset


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


@pytest.mark.parametrize("name", ["digits", "penguins", "linear"])
def test_a_data_set_that_is_sent_elsewhere_has_its_examples_with_it(name: str) -> None:
    data = lookup(name)
    sent = data.loaded()
    assert sent.facts == data.facts
    if data.facts.is_drawn_anew:
        assert sent is data
        return
    here, there = data.load(), sent.load()
    for part in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(here, part), getattr(there, part), strict=True)
        assert not getattr(there, part).flags.writeable
