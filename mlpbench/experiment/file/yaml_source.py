"""The text of a YAML file as plain values, each with its place, and all that is wrong with them in one message."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path as FilePath
from typing import Any
from unicodedata import east_asian_width

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable, shortened
from mlpbench.base.models import Path, SpecProblem, shown
from mlpbench.experiment.file.all_problems import PlacedProblem, words_to_explain
from mlpbench.experiment.file.yaml_text import (
    ExtraError,
    PlainParser,
    PlainScanner,
    line_without_colon,
    text_of,
    yaml_hint,
)

# Of a longer line, an error shows this many characters.
EXCERPT = 100
# Letters of a message, most of which hold what stands in the file.
MOST_MESSAGE = 1000
# Letters of all messages about a file: a screen or two.
MOST_MESSAGES = 3000
# What a plain scalar can be; YAML 1.2 has no dates and no merge keys, though the parser knows them.
SCALARS = ("null", "bool", "int", "float")
# An option that has several values, and no list.
BARE_LIST = re.compile(r"(--set \w+=)([^\[\](){},]+(?:,[^\[\](){},]+)+)")
Place = tuple[int, int]


def problems_of(path: FilePath, what: str, check: Callable[[Any], Sequence[SpecProblem]]) -> InputError | None:
    """Return all that `check` finds wrong in what a file of other content holds, each at its place; None for nothing.

    Errors call the file `what`. Raises InputError where it is no YAML.
    """
    source = Source(str(path), text_of(path, what), what=what)
    found = check(source.value())
    return source.refusal(found, {}, []) if found or source.twice else None


def placed_by_path(problem: SpecProblem, set_by: Mapping[str, str]) -> str:
    """Return a message behind the option that made the problem, or behind its path."""
    if isinstance(problem, PlacedProblem):
        return problem.message
    option = cause(problem, set_by)
    if option is None:
        return f"{'.'.join(map(str, problem.path)) or 'experiment'}: {problem.message}"
    bare = BARE_LIST.fullmatch(option)
    hint = f"; several levels are a list in brackets: {bare[1]}[{bare[2]}]" if bare else ""
    return f"{option}: {problem.message}{hint}"


def together(messages: Sequence[str], problems: Sequence[SpecProblem]) -> str:
    """Return messages one below the other, as many as are read at once, and a line on what says more."""
    shown, n = list(messages[:1]), len(messages)
    for message in messages[1:]:
        if sum(map(len, shown)) + len(message) > MOST_MESSAGES:
            break
        shown.append(message)
    if n > len(shown):
        shown.append(f"and {n - len(shown)} more problems")
    if words := words_to_explain(problems):
        shown.append(f"`mlpbench explain {' '.join(words)}` says what {'it' if len(words) == 1 else 'they'} may be")
    return "\n".join(shown)


def cause(problem: SpecProblem, set_by: Mapping[str, str]) -> str | None:
    """Return the override that made a problem, where one did."""
    return next((set_by[str(part)] for part in problem.path if str(part) in set_by), None)


class Source:
    """The text of a file, its tree of plain values, and where each of them stands."""

    def __init__(self, name: str, text: str, *, is_file: bool = True, what: str = "an experiment file") -> None:
        self.name = name
        self._what = what
        self._is_file = is_file
        self._text = text
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        # What keys have that stand there without a value.
        self._empty: set[Path] = set()
        # Keys that are there twice: the first one counts, so that the rest is looked at too.
        self.twice: list[tuple[Place, str]] = []
        self._yaml = YAML(typ="safe", pure=True)
        self._yaml.Parser = PlainParser
        self._yaml.Scanner = PlainScanner

    def tree(self) -> dict[str, Any]:
        """Return the file's mapping; raise InputError where it holds something else."""
        tree = self.value()
        if tree is None:
            raise InputError(f"{self.name}: an experiment needs at least name, question and dataset, got an empty file")
        if not isinstance(tree, dict):
            raise self._wrong(f"an experiment must be a mapping of keys to values, got {shown(tree)}", self._values[()])
        return tree

    def value(self) -> Any:
        """Return whatever the text holds, None where it is empty; raise InputError."""
        node = self._compose()
        value = None if node is None else self._plain(node, ())
        if self.twice and not self._is_file:
            raise self._wrong(self.twice[0][1], self.twice[0][0])
        return value

    def refusal(self, problems: Sequence[SpecProblem], set_by: Mapping[str, str], flaws: Sequence[str]) -> InputError:
        """Return the error that has all problems, each with its place, in the order of the file.

        Args:
            problems: what is wrong with the tree.
            set_by: the options that have set keys: they are the place of what is wrong with those.
            flaws: what is wrong with options themselves.

        """
        of_options = [p for p in problems if isinstance(p, PlacedProblem) or cause(p, set_by)]
        of_file = sorted((p for p in problems if p not in of_options), key=self._place_of)
        placed = sorted([*self.twice, *((self._place_of(p), self._said(p)) for p in of_file)], key=itemgetter(0))
        messages = [*flaws, *(placed_by_path(p, set_by) for p in of_options)]
        messages += [self._message(message, place) for place, message in placed]
        return InputError(together(messages, [*of_options, *of_file]))

    def _said(self, problem: SpecProblem) -> str:
        """Return the message of a problem; of what is not there, not as if `null` had been written."""
        message = problem.message
        if problem.path in self._empty and message.endswith(", got null"):
            return f"{message.removesuffix('null')}no value behind {problem.path[-1]}:"
        return message

    def _place_of(self, problem: SpecProblem) -> Place:
        """Return where a problem is, or the nearest thing around it that is in the file."""
        path = problem.path
        if problem.key and path in self._keys:
            return self._keys[path]
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, (1, 1))

    def _wrong(self, message: str, place: Place) -> InputError:
        return InputError(self._message(message, place))

    def _message(self, message: str, place: Place) -> str:
        line, column = place
        where = f"{self.name}:{line}:{column}" if self._is_file else self.name
        return f"{where}: {shortened(printable(message), MOST_MESSAGE)}{self._excerpt(line, column)}"

    def _excerpt(self, line: int, column: int) -> str:
        """Return a line of the text, cut where it is long, with a caret under a column; nothing for an empty line."""
        lines = self._text.splitlines()
        text = lines[line - 1] if line <= len(lines) else ""
        start = max(0, column - 1 - EXCERPT // 2) if len(text) > EXCERPT else 0
        text = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text[start : start + EXCERPT])
        if not text.strip():
            return ""
        # Two spaces stand under a wide character, a tab under a tab.
        widths = {"\t": "\t"} | {c: "  " for c in text if east_asian_width(c) in "WF"}
        return f"\n  {text}\n  {''.join(widths.get(c, ' ') for c in text[: column - 1 - start])}^"

    def _compose(self) -> Node | None:
        try:
            node: Node | None = self._yaml.compose(self._text)
        except ExtraError as error:
            raise self._wrong(str(error.problem), _place(error.problem_mark)) from None
        except MarkedYAMLError as error:
            if (missing := line_without_colon(self._text, error)) is not None:
                line, column, message = missing
                raise self._wrong(f"not YAML: {message}", (line, column)) from None
            # A quote that nothing closes is found at the end of the text: what helps is where it opens.
            is_open = "unexpected end of stream" in str(error.problem)
            mark = (is_open and error.context_mark) or error.problem_mark or error.context_mark
            message = f"not YAML: {error.problem or error.context}{yaml_hint(error)}"
            raise (self._wrong(message, _place(mark)) if mark else InputError(f"{self.name}: {message}")) from None
        except ReaderError as error:
            before = self._text[: error.position]
            where = before.count("\n") + 1, len(before) - before.rfind("\n")
            message = f"{self._what} must be printable text, got {chr(error.character)!r}"
            raise self._wrong(message, where) from None
        except YAMLError as error:
            raise InputError(f"{self.name}: not YAML: {str(error).splitlines()[0]}") from None
        return node

    def _plain(self, node: Node, path: Path) -> Any:
        self._values[path] = _place(node.start_mark)
        if isinstance(node, SequenceNode):
            return [self._plain(child, (*path, i)) for i, child in enumerate(node.value)]
        if isinstance(node, MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, child in node.value:
                key, place = self._scalar(key_node), _place(key_node.start_mark)
                if key in mapping:
                    said = f"a mapping must have a key once, got {shown(key)} twice: take one of them out"
                    self.twice.append((place, said))
                    continue
                self._keys[(*path, key)] = place
                mapping[key] = self._plain(child, (*path, key))
                if isinstance(child, ScalarNode) and not child.value and child.start_mark.index == child.end_mark.index:
                    self._values[(*path, key)] = place
                    self._empty.add((*path, key))
            return mapping
        return self._scalar(node)

    def _scalar(self, node: Node) -> Any:
        place = _place(node.start_mark)
        if not isinstance(node, ScalarNode):
            raise self._wrong("a key must be a word, got a list or a mapping", place)
        if str(node.tag).rpartition(":")[2] in SCALARS:
            try:
                return self._yaml.constructor.construct_object(node)
            except ValueError:
                message = f"a number must have at most {sys.get_int_max_str_digits()} digits"
                raise self._wrong(f"{message}, got {shown(node.value)}", place) from None
        try:
            node.value.encode()
        except UnicodeEncodeError:
            raise self._wrong(f"text must be made of whole characters, got {shown(node.value)}", place) from None
        return node.value


def _place(mark: StreamMark) -> Place:
    return mark.line + 1, mark.column + 1
