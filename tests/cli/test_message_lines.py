"""Messages fit a terminal: words are whole, and carets point where they did."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import string
import struct
import subprocess
import sys
import termios
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mlpbench.cli.message_lines import CUT, fitted, width_of

WORDS = st.lists(st.text(string.ascii_letters + ":,'`-/.", min_size=1, max_size=12), min_size=1, max_size=40)


@given(WORDS, st.integers(30, 120))
def test_words_stay_whole_and_lines_fit(words: list[str], width: int) -> None:
    text = " ".join(words)
    lines = fitted(text, width).split("\n")
    assert " ".join(line.strip() for line in lines) == text
    assert max(map(len, lines)) <= width
    assert all(line.startswith("    ") for line in lines[1:])


@given(st.text(string.ascii_letters + " :{},", min_size=1, max_size=300), st.data(), st.integers(30, 120))
def test_a_caret_points_at_the_same_letter(line: str, data: st.DataObject, width: int) -> None:
    at = data.draw(st.integers(0, len(line) - 1))
    excerpt, caret = fitted(f"said\n  {line}\n  {' ' * at}^\nend", width).split("\n")[1:3]
    assert max(len(excerpt), len(caret)) <= width
    assert caret.strip() == "^"
    assert (excerpt.ljust(len(caret)))[caret.index("^")] == line[at]
    kept = excerpt.removesuffix(CUT)[2:].removeprefix(CUT)
    assert kept in line
    assert len(line) + 2 > width or excerpt == f"  {line}"


def test_what_is_laid_out_and_what_fits_stays() -> None:
    for text in ("", "short", "  a table   of " + "columns " * 20, "one\n\n  two\n"):
        assert fitted(text, 40) == text


def test_a_file_has_no_width() -> None:
    assert width_of(io.StringIO()) is None


def test_a_terminal_gets_lines_that_fit_and_a_pipe_gets_them_whole(tmp_path: Path) -> None:
    """Of a message longer than the terminal is wide, with an excerpt that is wider still."""
    (tmp_path / "a.yaml").write_text(
        "name: a\nquestion: What?\ndataset: digits\nfixed: {lr: 0.1, width: 16, depth: 2, batch_size: 32, epochs: 3, activation: relux}\n"
    )
    command = [sys.executable, "-m", "mlpbench", "plan", "a.yaml"]
    piped = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stderr
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    read = b""
    try:
        while part := os.read(ours, 4096):
            read += part
    except OSError:  # the other end is closed
        pass
    process.wait()
    os.close(ours)
    shown = read.decode().replace("\r\n", "\n")
    assert max(map(len, piped.splitlines())) > 50 >= max(map(len, shown.splitlines()))
    excerpt, caret = next(
        pair for pair in zip(shown.splitlines(), shown.splitlines()[1:], strict=False) if pair[1].strip() == "^"
    )
    assert excerpt[caret.index("^") :].startswith("relux")
