r"""Words as LaTeX: whatever they hold, they stand in the paper as they were written, and the file is plain ASCII.

What TeX takes for markup is escaped, letters with accents become commands, and common signs mathematics. Any other sign, as of another
script, is `\mlpbenchchar{1F642}`: XeLaTeX and LuaLaTeX print it, where the font has it, and pdfLaTeX, which can't, prints `[U+1F642]`.

Reference: LaTeX2e: An unofficial reference manual, "Reserved characters", "Accents".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from mlpbench.base.escapes import printable

# Defines what `latex` writes for signs that it has no command for.
DEFINITION = (
    r"\providecommand*{\mlpbenchchar}[1]{\ifdefined\XeTeXversion\symbol{"
    '"'
    r"#1}\else\ifdefined\directlua\symbol{"
    '"'
    r"#1}\else[U+#1]\fi\fi}"
)
# Braces by their names: BibTeX counts those behind a backslash too.
_RESERVED = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': "''", "`": r"\textasciigrave{}",
    # At the beginning of a row they would belong to the end of the row before.
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
_SIGNS = {
    "\u00a0": "~", "±": r"$\pm$", "\u00d7": r"$\times$", "÷": r"$\div$", "·": r"$\cdot$", "\u2212": "$-$", "≤": r"$\leq$", "≥": r"$\geq$",
    "≠": r"$\neq$", "≈": r"$\approx$", "∞": r"$\infty$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "\u2013": "--", "—": "---",
    "…": r"\ldots{}", "\u2018": "`", "\u2019": "'", "“": "``", "”": "''", "°": r"\textdegree{}", "µ": r"$\mu$", "§": r"\S{}",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "ø": r"\o{}", "Ø": r"\O{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ł": r"\l{}",
    "Ł": r"\L{}", "\u0131": r"\i{}",
    **{digit: rf"\textsuperscript{{{i}}}" for i, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}, "⁻": r"\textsuperscript{$-$}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".", "\u0308": '"',
    "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip
_GREEK = re.compile(
    "GREEK SMALL LETTER (ALPHA|BETA|GAMMA|DELTA|EPSILON|ZETA|ETA|THETA|IOTA|KAPPA|LAMDA|MU|NU|XI|PI|RHO|SIGMA|TAU|UPSILON|PHI|CHI|PSI|OMEGA)"
)
# Signs that TeX would join to another one: to dashes, to quotation marks.
_JOINED = re.compile(r"(?<=-)(?=-)|(?<=,)(?=,)|(?<=')(?=')")
_NEGATIVE = re.compile(r"(?<![\w.-])-(?=[\d.])")


def latex(text: object) -> str:
    r"""Return text as LaTeX that prints it, on one line.

    >>> print(latex("50% of f_1 & größer 🙂"))
    50\% of f\_1 \& gr\"{o}\ss{}er \mlpbenchchar{1F642}
    """
    return "".join(map(_sign, _JOINED.sub("\0", printable(text)))).replace("\0", "{}")


def latex_number(text: str) -> str:
    """Return a text of numbers as LaTeX, with minus signs for hyphens before them.

    >>> latex_number("-0.54 pp")
    '$-$0.54 pp'
    """
    return latex(_NEGATIVE.sub("\u2212", text))


def _sign(sign: str) -> str:
    if sign in _RESERVED or sign in _SIGNS:
        return _RESERVED.get(sign) or _SIGNS[sign]
    if sign.isascii():
        return sign
    apart = unicodedata.normalize("NFD", sign)
    if len(apart) == 2 and apart[1] in _ACCENTS and apart[0].isascii() and apart[0].isalpha():
        return rf"\{_ACCENTS[apart[1]]}{{{apart[0]}}}"
    if greek := _GREEK.fullmatch(unicodedata.name(sign, "")):
        return f"$\\{greek[1].lower().replace('lamda', 'lambda')}$"
    return rf"\mlpbenchchar{{{ord(sign):X}}}"


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], columns: str, between: str = "") -> str:
    """Return a table with the lines of the package booktabs.

    Args:
        head: cells, which are LaTeX already.
        rows: cells likewise.
        columns: how they are set, as LaTeX has it.
        between: what stands between two rows.

    """
    line, *lines = [" & ".join(cells) + r" \\" for cells in (head, *rows)]
    body = f"{line}\n\\midrule\n" + (f"\n{between}\n" if between else "\n").join(lines)
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}"
