"""On a terminal verdicts have colours and lines fit its width; the words are those that a pipe gets, and a pipe gets no colour."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import pytest
from arithmetic_folders import make_folder
from click.testing import CliRunner
from repository import ROOT
from rich.style import Style

from mlpbench.cli import styled_output
from mlpbench.cli.main import main
from mlpbench.cli.terminal_output import escaped_output
from mlpbench.evidence.judging.registered_verdict import FurtherSeed
from mlpbench.jobs.judge import Outcome, load
from mlpbench.report.verdict_tables import terminal_table

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202e [bold]"
TREE: dict[str, Any] = {
    "name": "d",
    "question": f"Which of two widths is better on digits, if either of them is, and by how much {HOSTILE}?",
    "dataset": "digits",
    "factors": {"width": [8, 16]},
    "replicates": 8,
    "claims": [
        {"id": "accuracy-is-above-a-half", "says": "a", "bound": {"metric": "test_accuracy", "above": 0.5}},
        {"id": "b", "says": "b", "bound": {"metric": "test_accuracy", "above": 0.95}},
        {"id": "e", "says": "e", "bound": {"metric": "test_accuracy", "above": 0.1, "of": "every"}},
        {"id": "c", "says": "c", "compare": {"metric": "test_accuracy", "a": {"width": 16}, "b": {"width": 8}, "expect": "greater", "margin": 0.0008}},
    ],
}  # fmt: skip
CODES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return load(make_folder(TREE, tmp_path_factory.mktemp("results")))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for cached in (Style.parse, Style._add):  # which keep the codes of the first terminal
        cached.cache_clear()


def shown(call: Callable[[], None], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a call prints on a terminal of some width."""
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    with redirect_stdout(stream), escaped_output():
        call()
    return stream.getvalue()


def words(text: str) -> set[str]:
    """Return the words and numbers of a text."""
    return set(re.findall(r"[\w.+<>-]*\w", text))


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_table_fits_and_says_what_a_pipe_gets(outcome: Outcome, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CODES.sub("", shown(lambda: styled_output.print_verdicts(outcome.context.verdicts), width, monkeypatch))
    assert max(map(len, text.splitlines())) <= width
    plain = terminal_table(outcome.context.verdicts)
    heading, *rows = plain.splitlines()
    assert words("\n".join(rows)) <= words(text)
    assert "n 8/8; kept 8 of 8" in " ".join(text.split()) or width == 200
    if width == 200:
        assert text.splitlines() == [heading, *rows]


@pytest.mark.parametrize("name", ["width", "activation"])
@pytest.mark.parametrize("width", [None, 50, 120])
def test_what_is_to_be_known_of_every_claim_is_said_once(
    width: int | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a second seed each claim of the reference results of `width` has the same lower level; of `activation` one has no p."""
    verdicts = load(ROOT / "results" / "reference" / name).context.verdicts
    (said,) = (c.sentence for c in verdicts[0].caveats if isinstance(c, FurtherSeed))
    assert [v.observed for v in verdicts if said not in v.note] == [True] * (name == "activation")
    text = terminal_table(verdicts)
    if width is not None:
        text = CODES.sub("", shown(lambda: styled_output.print_verdicts(verdicts), width, monkeypatch))
    table, _, last = text.rstrip().rpartition("\n\n")
    assert " ".join(last.split()) == said
    assert "looked at" not in table
    assert terminal_table(verdicts[:1]).endswith("\n    " + said)


@pytest.mark.parametrize(
    ("term", "codes"),
    [("xterm-256color", ("38;5;28", "38;5;160", "38;5;130")), ("xterm", ("32", "31", "3[13]"))],
)
def test_each_verdict_has_its_colour(
    term: str, codes: tuple[str, ...], outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that the terminal has."""
    monkeypatch.setenv("TERM", term)
    text = shown(lambda: styled_output.print_verdicts(outcome.context.verdicts), 120, monkeypatch)
    assert {v.decision for v in outcome.context.verdicts} == {"supported", "refuted", "undecided"}
    for word, code in zip(("supported", "refuted", "undecided"), codes, strict=True):
        assert re.search(f"\x1b\\[1;{code}m{word}", text), text


@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_colours_stand_out_from_a_dark_ground_and_from_a_light_one(ground: float) -> None:
    """By the ratio of contrast of WCAG 2.1, which asks for 3 of bold words and for 4.5 of small ones."""
    ratios = []
    for style in set(styled_output.COLOURS.values()):
        colour = Style.parse(style).color
        assert colour is not None
        parts = [c / 255 for c in colour.get_truecolor()]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        low, high = sorted((luminance, ground))
        ratios.append((high + 0.05) / (low + 0.05))
    assert min(ratios) >= 3.5


def test_counts_of_verdicts_have_their_colours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """In lists, where a verdict is behind how many there are of it."""
    text = shown(lambda: styled_output.print_marked("a: 1 supported, 12 at the margin"), 80, monkeypatch)
    assert len(CODES.findall(text)) == 4
    assert CODES.sub("", text) == "a: 1 supported, 12 at the margin\n"
    assert "m12 at the margin\x1b" in text


def test_no_color_leaves_colours_out_and_still_fits(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(lambda: styled_output.print_verdicts(outcome.context.verdicts), 60, monkeypatch)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", text)
    assert max(map(len, CODES.sub("", text).splitlines())) <= 60


def test_no_word_of_a_user_is_a_signal_or_markup(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(lambda: styled_output.print_paragraph(f"d: {outcome.experiment.question}"), 60, monkeypatch)
    assert "\x1b]" not in text
    assert "\x1b[31m" not in text
    assert "\u202e" not in text
    assert "[bold]" in text


def test_a_pipe_gets_plain_text_unless_colour_is_asked_for(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CliRunner().invoke(main, ["claims", str(outcome.folder)]).stdout
    assert "\x1b" not in plain
    table = terminal_table(outcome.context.verdicts)
    assert table in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = CliRunner().invoke(main, ["claims", str(outcome.folder)]).stdout
    assert "\x1b[1;38;5;28msupported" in coloured
    assert table in CODES.sub("", coloured)


def test_a_plan_is_wrapped_below_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "with 80% power by 12 replicates, at level 0.0304 / 4"
    first, *rest = shown(lambda: styled_output.print_filled("detectable", said, 20), 50, monkeypatch).splitlines()
    assert first.startswith("detectable          with 80% power")
    assert rest
    assert all(line.startswith(" " * 20) and len(line) <= 50 for line in rest)
    assert " ".join(" ".join([first, *rest]).split()) == f"detectable {said}"
