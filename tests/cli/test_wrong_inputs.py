"""Forty wrong files and arguments are each answered with place, value and a way forward, in one message."""

from __future__ import annotations

import pytest
from wrong_inputs import FILES, FORTY, PAGE, WrongInput, page


@pytest.mark.parametrize("given", FORTY, ids=lambda g: f"{g.value} {g.way}")
def test_what_is_wrong_is_answered_with_place_value_and_a_way_forward(given: WrongInput) -> None:
    result = given.answer()
    assert (result.exit_code, result.stdout) == (2, "")
    assert given.where
    for words in (given.where, given.value, given.way):
        assert words in result.stderr


@pytest.mark.parametrize("given", FILES, ids=lambda g: f"{g.value} {g.way}")
def test_what_is_wrong_in_a_file_is_shown_with_a_caret_below_it(given: WrongInput) -> None:
    message, line, caret, *more = given.answer().stderr.splitlines()
    number, column = map(int, given.where.split(":")[1:])
    assert message.startswith(f"mlpbench: {given.where}: ")
    assert line[2:] == given.file.replace("§", "").splitlines()[number - 1]
    assert len(caret.expandtabs(1)) == 2 + column
    assert more == [] or (len(more) == 1 and more[0].startswith("`mlpbench explain "))


def test_there_are_forty_and_the_page_has_what_is_printed() -> None:
    assert len({(g.file, g.command) for g in FORTY}) == 40
    assert PAGE.read_text() == page()
