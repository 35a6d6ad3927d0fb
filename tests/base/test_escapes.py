"""Words of users are words wherever they are written: they read the same, and are neither markup nor signals."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mlpbench.base.escapes import Markdown, bullets, code, markdown, printable, shortened, terminal
from mlpbench.report.section import blocks, paragraph, table

# With HTML allowed and with what GitHub adds: whatever is taken for markup by one reader must not be.
READERS = [
    MarkdownIt("commonmark").enable("table"),
    MarkdownIt("commonmark", {"html": False}).enable("table"),
    MarkdownIt("js-default", {"html": True, "linkify": False, "typographer": False}),
]
PIECES = st.sampled_from(
    [
        *"\\`*_~$[]()<>&|!#-+=.:;\"'\n\t 0aé",
        "~~~", "```", "---", "===", "***", "1.", "2)", "- ", "# ", "> ", "    x", "<b>", "</b>", "<!--", "<http://e.example>",
        "<a@b.example>", "<1@b.example>", "&lt;", "&#42;", "](http://e.example)", "[x]: http://e.example", "![x](y)", "**supported**",
        '<strong class="verdict supported">', "| a |", "|---|", "\n\n", "  \n", "\\\n", "lr_0.1", "__init__", "C:\\x", "$5",
        "\x1b[31m", "\x07", "\u202e", "\u2066", "\udcff", "\0", "\x85", "\u2028", "\ufeff", "\u200d", "中", "👩\u200d🔬",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=8).map("".join), st.text(max_size=30))


def tokens_of(reader: MarkdownIt, text: str) -> list[Token]:
    return [t for t in reader.parse(text) if t.type != "inline"]


def words_of(reader: MarkdownIt, text: str) -> str:
    """Return the words of all paragraphs and cells, which must be text or line breaks alone."""
    said = []
    for token in reader.parse(text):
        if token.type == "inline":
            for child in token.children or []:
                assert child.type in ("text", "softbreak"), child.type
                said.append(child.content or " ")
    return "".join(said)


@given(TEXTS)
@example("lr_0.1 a*b <5 C:\\x $5 Does width help? normal(0.01) grad_norm[1] [32, 32] AT&T #1 1) 3.5 -0.1")
@example("~~~\n\n## Verdict\n\n**supported** <strong>x</strong>")
def test_any_text_is_one_paragraph_of_these_words(text: str) -> None:
    for reader in READERS:
        page = blocks(markdown("before"), text, markdown("after"))
        types = [t.type for t in tokens_of(reader, page)]
        expected = 3 if printable(text) else 2
        assert types == ["paragraph_open", "paragraph_close"] * expected
        assert words_of(reader, page) == f"before{printable(text)}after"


@given(TEXTS, TEXTS)
def test_any_text_is_one_cell_of_these_words(first: str, second: str) -> None:
    for reader in READERS:
        page = table(["a", "b"], [[first, second], [Markdown("x {} y").format(first), "z"]], "lr")
        cells = [t for t in reader.parse(page) if t.type in ("inline", "td_open", "th_open", "heading_open", "fence")]
        assert [t.type for t in cells[:4]] == ["th_open", "inline"] * 2
        assert [t.type for t in cells[4:]] == ["td_open", "inline"] * 4
        said = [words_of_cell(t) for t in cells[5::2]]
        assert said == [printable(first), printable(second), " ".join(f"x {printable(first)} y".split()), "z"]


def words_of_cell(inline: Token) -> str:
    assert all(child.type == "text" for child in inline.children or [])
    return "".join(child.content for child in inline.children or [])


@given(TEXTS)
def test_any_text_is_one_item_of_a_list_and_one_piece_of_a_sentence(text: str) -> None:
    for reader in READERS:
        types = [t.type for t in tokens_of(reader, bullets([text, "x"]))]
        item = ["list_item_open", "paragraph_open", "paragraph_close", "list_item_close"]
        if printable(text):
            assert types == ["bullet_list_open", *item * 2, "bullet_list_close"]
        page = Markdown("**{}**: ({}) and {}").format("claim", text, text)
        inline = next(t for t in reader.parse(page) if t.type == "inline")
        types = [child.type for child in inline.children or [] if child.type != "text"]
        assert types == ["strong_open", "strong_close"]
        said = "".join(child.content for child in inline.children or [])
        assert said == f"claim: ({printable(text)}) and {printable(text)}".rstrip()


@given(TEXTS)
def test_any_text_is_code_of_these_words(text: str) -> None:
    for reader in READERS[:2]:
        inline = next((t for t in reader.parse(Markdown("a {} b").format(code(text))) if t.type == "inline"), None)
        assert inline is not None
        if printable(text):
            assert [c.type for c in inline.children or [] if c.content] == ["text", "code_inline", "text"]
            assert next(c for c in inline.children or [] if c.type == "code_inline").content == printable(text)


@given(TEXTS)
def test_what_is_printed_moves_no_cursor_and_forges_no_line(text: str) -> None:
    line = printable(text)
    assert "\n" not in line
    assert not hidden(line)
    assert not hidden(terminal(text).replace("\n", "").replace("\t", ""))
    line.encode()
    terminal(text).encode()


def hidden(text: str) -> list[str]:
    bidi = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    return [
        c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in bidi
    ]


@pytest.mark.parametrize(
    "text",
    [
        "lr_0.1", "Does a wider hidden layer generalise better, and what does it cost?", "test_accuracy at width=8, depth=1",
        "p <0.001", "x < y", "normal(0.01)", "layer[1]", "shift_accuracy[translation,2]: +1.3 pp", "50% - 60%", "A/B", "\"quoted\"",
        "größe 中文 👩\u200d🔬", "a & b", "R&D (AT&T)", "e.g. 3.5, x^2", "https://d2l.ai/chapter_mlp/mlp.html", "-1.5", "#3 of 5 is (c)",
    ],
)  # fmt: skip
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    """A page reads the same in its source: only what would be markup is escaped."""
    assert re.sub(r"^\\#", "#", markdown(text)) == text
    assert printable(text) == terminal(text) == text


def test_markdown_is_escaped_once() -> None:
    once = markdown("a*b")
    assert markdown(once) == markdown(paragraph(once)) == Markdown("{}").format(once) == "a\\*b"
    assert paragraph("a*b", "c") == "a*b c", "text stays text until it is part of a page"
    assert paragraph("a*b", Markdown("`c`")) == "a\\*b `c`"


def test_long_text_is_cut_in_the_middle() -> None:
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("a" * 10**6 + "b", 10) == "aaaaa ... aaaab"
