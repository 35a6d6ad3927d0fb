"""The text of a report as HTML: the same Markdown, with its pictures inside and nothing of a user's taken for markup."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

# A sign beside each word: colour alone says nothing to some.
VERDICTS = {"supported": "✓", "refuted": "✗", "at the margin": "≈", "undecided": "?"}
# Text of more letters needs a column of some width, or it stands in a narrow tower beside numbers that don't wrap.
LONG = 24
# Claims whose cards are open; of further ones a reader sees claim, verdict and estimate, and opens the rest.
OPEN_CARDS = 4
CARD, CLOSED_CARD = ("<section", "</div>\n</section>\n"), ("<details", "</div>\n</details>\n")
CARD_ENDS = (CARD[1], CLOSED_CARD[1])
EXPONENT = re.compile(r"[-+]?\b\d[\d.]*e-\d+\b")
NO_FOLDS: Mapping[int, Fold] = {}
ALIGNED = {"text-align:right": "number", "text-align:left": "", "text-align:center": ""}


@dataclass(frozen=True, kw_only=True)
class Body:
    """A rendered text: its title, its HTML below the title, and the sections that are seen as (id, title)."""

    title: str
    html: str
    sections: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Sections of which a page shows the first heading alone until a reader opens them: what is inside in a line, and how many."""

    inside: str
    sections: int


def body(
    text: str,
    pictures: Mapping[str, bytes],
    instead: Mapping[str, str],
    folds: Mapping[int, Fold] = NO_FOLDS,
    open_cards: int = OPEN_CARDS,
) -> Body:
    """Return Markdown as HTML; HTML in it is shown as text, and of pictures only those given are shown.

    Args:
        text: the Markdown.
        pictures: PNG by the address that the text has.
        instead: HTML that takes the place of a picture, by the picture's name.
        folds: by the place of their first section, counted from 0.
        open_cards: of how many claims the cards are open.

    """
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    tokens = parser.parse(text)
    title, at = "", 0
    every = _sections(tokens)
    passed, hidden = 0, range(0)  # sections so far; those inside the fold that was opened last
    cards = 0
    out = _Page()
    while at < len(tokens):
        token = tokens[at]
        if token.type == "heading_open":
            words = _plain(tokens[at + 1])
            if token.tag == "h1" and not title:
                title = words
                at += 3
                continue
            if token.tag == "h2":
                token.attrSet("id", every[passed][0])
                out.close(*CARD_ENDS if passed in hidden else ())
                passed += 1
                if fold := folds.get(passed - 1):
                    hidden = range(passed, passed + fold.sections - 1)
                    out.html("<details>\n<summary>")
                    out.tokens += tokens[at : at + 3]
                    out.html(f'<span class="inside">{escapeHtml(fold.inside)}</span></summary>\n', "</details>\n")
                    if hidden:
                        out.html(_links(words, [every[i] for i in hidden]))
                    at += 3
                    continue
            elif token.tag == "h3":
                out.close(*CARD_ENDS)
                if verdict := _verdict_of(tokens, at + 3):
                    cards += 1
                    out.card(verdict, tokens[at : at + 6], is_open=cards <= open_cards)
                    at += 6
                    continue
        elif token.type == "table_open":
            token.attrSet("aria-label", every[passed - 1][1] if passed else title)
        elif token.type == "paragraph_open" and (shown := _picture(tokens[at + 1], pictures, instead)):
            out.html(shown)
            at += 3
            continue
        elif token.type == "inline" and out.tokens and out.tokens[-1].type == "td_open":
            _mark_verdict(token.children or [])
        elif token.type == "inline" and not passed:
            _mark_first(token)  # in the answer
        out.tokens.append(token)
        at += 1
    out.close()
    html = str(parser.renderer.render(out.tokens, parser.options, {}))
    inside = {i for first, fold in folds.items() for i in range(first + 1, first + fold.sections)}
    return Body(title=title, html=html, sections=[names for i, names in enumerate(every) if i not in inside])


def _sections(tokens: Sequence[Token]) -> Sequence[tuple[str, str]]:
    """Return each section as (id, title)."""
    found: list[tuple[str, str]] = []
    for i, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            words = _plain(tokens[i + 1])
            found.append((_name(words, [name for name, _ in found]), words))
    return found


def _links(label: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return links to sections."""
    items = "".join(f'<li><a href="#{name}">{escapeHtml(words)}</a></li>\n' for name, words in sections)
    return f'<nav aria-label="{escapeHtml(label)}">\n<ul>\n{items}</ul>\n</nav>\n'


class _Page:
    """The tokens of a page so far, and the elements of it that are open."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.open: list[str] = []

    def html(self, content: str, end: str = "") -> None:
        """Add HTML; `end` closes what it opens."""
        self.tokens.append(Token("html_block", "", 0, content=content))
        if end:
            self.open.append(end)

    def card(self, verdict: str, tokens: Sequence[Token], *, is_open: bool) -> None:
        """Begin the card of a claim: its heading and its verdict, and the box of what is behind them.

        Args:
            verdict: after which it is coloured.
            tokens: heading and verdict.
            is_open: whether what is behind them is seen at once.

        """
        start, end = CARD if is_open else CLOSED_CARD
        self.html(f'{start} class="card {verdict.replace(" ", "-")}">\n' + "<summary>\n" * (not is_open))
        self.tokens += tokens
        self.html("</summary>\n" * (not is_open) + '<div class="evidence">\n', end)

    def close(self, *ends: str) -> None:
        """Close everything that is open, or the innermost where it has one of these ends."""
        while self.open and (not ends or self.open[-1] in ends):
            self.html(self.open.pop())


def _verdict_of(tokens: Sequence[Token], at: int) -> str:
    """Return the verdict that the paragraph there begins with, and mark it; nothing where it begins with none."""
    if at + 1 >= len(tokens) or tokens[at].type != "paragraph_open":
        return ""
    return _mark_first(tokens[at + 1])


def _mark_first(inline: Token) -> str:
    """Mark the verdict that a text begins with, and return it; nothing where it begins with none."""
    words = [token for token in inline.children or [] if token.type != "text" or token.content]
    return _mark(words) if len(words) > 2 else ""


def data_uri(content: bytes) -> str:
    """Return a PNG as an address that needs no network."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def picture_size(content: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, from where such a file has them: nothing is unpacked."""
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _plain(inline: Token) -> str:
    return "".join(t.content for t in inline.children or [])


def _words(image: Token) -> str:
    """Return the alternative text of a picture as its reader has it: without the signs of Markdown."""
    return "".join(t.content for t in image.children or [])


def _name(words: str, taken: Sequence[str]) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "section"
    return name if name not in taken else f"{name}-{len(taken)}"


def _picture(inline: Token, pictures: Mapping[str, bytes], instead: Mapping[str, str]) -> str:
    children = inline.children or []
    if len(children) != 1 or children[0].type != "image":
        return ""
    source = str(children[0].attrs["src"])
    if source in instead:
        return instead[source]
    if source not in pictures:
        return ""
    content = pictures[source]
    width, height = picture_size(content)
    return (
        f'<figure class="picture"><img src="{data_uri(content)}" width="{width}" height="{height}" '
        f'alt="{escapeHtml(_words(children[0]))}"></figure>\n'
    )


def _mark_verdict(cell: Sequence[Token]) -> None:
    """Mark the verdict that is all of a cell; words of users are never strong, so that none of them looks like one."""
    tokens = [token for token in cell if token.type != "text" or token.content]
    if len(tokens) == 3:
        _mark(tokens)


def _mark(tokens: Sequence[Token]) -> str:
    """Mark the verdict that strong words begin with, and return it; nothing where they begin with none."""
    verdict = tokens[1].content.partition(",")[0].partition(" (")[0].lower()
    if tokens[0].type != "strong_open" or verdict not in VERDICTS:
        return ""
    tokens[0].attrSet("class", f"verdict {verdict.replace(' ', '-')}")
    tokens[0].attrSet("data-sign", VERDICTS[verdict])
    return verdict


class _Renderer(RendererHTML):
    """HTML that a policy without inline styles admits, and that loads nothing."""

    def text(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        # A line would break behind the hyphen of 3.1e-5.
        return EXPONENT.sub(r'<span class="whole">\g<0></span>', escapeHtml(tokens[index].content))

    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return escapeHtml(_words(tokens[index]))

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        label = escapeHtml(str(tokens[index].attrGet("aria-label")))
        return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return _cell("th", tokens[index], "", ' scope="col"')

    def td_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return _cell("td", tokens[index], _plain(tokens[index + 1]))


def _cell(tag: str, token: Token, text: str, more: str = "") -> str:
    kind = ALIGNED[str(token.attrs.get("style", "text-align:left"))] or ("long" if len(text) > LONG else "")
    return f'<{tag}{more} class="{kind}">' if kind else f"<{tag}{more}>"
