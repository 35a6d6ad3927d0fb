"""The rates that the documentation has are those of stored counts, and the counts are those of the code as it is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from calibration_cases import CASES, LONG
from calibration_table import BEGINS, DOCS, ENDS, PAGE, STORED, Rates, page

COUNTED: dict[str, Any] = json.loads(STORED.read_text())


def test_the_page_has_the_tables_of_the_stored_counts() -> None:
    """`python tests/helpers/calibration_table.py` writes them."""
    text = PAGE.read_text()
    assert page(text, COUNTED) == text
    other = json.loads(json.dumps(COUNTED))
    other["top-up"]["counts"]["wrong"] += 100
    assert page(text, other) != text


def test_every_case_is_counted_to_its_end() -> None:
    assert list(COUNTED) == list(CASES)
    for name, case in CASES.items():
        assert COUNTED[name]["experiments"] == case.batch * case.batches
        assert set(COUNTED[name]["first_batch"]) <= set(COUNTED[name]["counts"])


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.prove] * (n in LONG)) for n in CASES])
def test_a_batch_is_counted_again_as_it_is_stored(name: str) -> None:
    """Where a rule of the package has changed: `python tests/helpers/calibration_table.py --count CASE`."""
    assert CASES[name].counted(list(CASES).index(name), 0) == COUNTED[name]["first_batch"]


def test_rates_are_shares_in_percent_from_the_smallest_to_the_largest() -> None:
    rates = Rates(200, {"a": 10, "b": 11, "c": 100})
    assert (rates.of("a"), rates.of("b", "a"), rates.of("c", "a"), rates.of("a", "a")) == (
        "5.0%",
        "5.0 to 5.5%",
        "5.0 to 50%",
        "5.0%",
    )
    assert rates.mean("c") == "0"


def test_no_page_has_rates_of_simulations_that_nobody_counts() -> None:
    """They stand in the tables alone, to which other pages refer."""
    for path in DOCS.glob("*.md"):
        text = path.read_text()
        written = re.sub(rf"{re.escape(BEGINS)}.*?{re.escape(ENDS)}", "", text, flags=re.DOTALL)
        sentences = re.split(r"(?<=[.:?])\s+|\n\n", written)
        rates = [s for s in sentences if re.search(r"simulat", s) and re.search(r"\d ?%", s)]
        assert rates == [], path.name


def test_what_pages_say_in_words_is_so() -> None:
    """Of top-ups, tuning and seeds (tuning.md), of typical replicates, data sets and skewed differences (claims.md)."""
    shares = {name: {k: n / case["experiments"] for k, n in case["counts"].items()} for name, case in COUNTED.items()}
    top_up, skewed, found = shares["top-up"], shares["skewed differences"], shares["typical"]
    assert 2.5 < top_up["each at 5%"] / top_up["wrong"] < 3.5, "about three times as often"
    assert 0 < top_up["found at once"] - top_up["found"] < 0.03, "nearly what 30 replicates at once find"
    assert shares["tuned"]["by all"] > 2 * shares["tuned"]["wrong"], "more than twice as many"
    assert 0.2 < shares["five seeds"]["each at 5%"] < 0.25, "nearly a quarter"
    assert min(skewed.values()) > 2 * 0.05, "several times higher"
    assert found["found by signs"] < found["found"] < found["found by t"], "more than the sign test, and less than t"
    assert shares["data sets"]["these"] > 0.6, "mostly finds"
