"""From a YAML 1.2 file to an experiment and back; an error names file, line and column, and shows the line.

Aliases, tags and deep nesting are refused: an experiment needs none, and they can stand for more values than fit in
memory, for values that are not what they look like, or end the reader itself.
"""

from __future__ import annotations

import errno
import io
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, NamedTuple
from unicodedata import east_asian_width

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.parser import Parser
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable, shortened
from mlpbench.base.files import read_regular
from mlpbench.base.models import DATASET, Path, SpecProblem, Value, shown, unknown
from mlpbench.experiment import shift_spec
from mlpbench.experiment.claims.claim import check_conditions
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.dataset_levels import DatasetMaker, written_level
from mlpbench.experiment.drawn_streams import check_streams
from mlpbench.experiment.file import shipped
from mlpbench.experiment.grid import conditions, count_conditions
from mlpbench.experiment.plugins.piece_kinds import kind_of_setting
from mlpbench.experiment.resplit_rules import check_resplit
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS, INSTEAD_OF, Experiment, build
from mlpbench.experiment.tuning_ranges import KINDS as RANGES

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
# Where an open file of this process has its name.
HANDED_OVER = (FilePath("/dev/fd"), FilePath("/proc/self/fd"))
# Of a longer line, an error shows this many characters.
EXCERPT = 100
# Letters of a message, most of which hold what stands in the file.
MOST_MESSAGE = 1000
# What fits into the memory of a small machine; a run of more than `runner.MOST_UNASKED` asks first.
MAX_CONDITIONS = 100_000
MAX_RUNS = 10_000_000
# What a plain scalar can be; YAML 1.2 has no dates and no merge keys, though the parser knows them.
SCALARS = ("null", "bool", "int", "float")

Place = tuple[int, int]


class Override(NamedTuple):
    """A setting or a key of the file that an option sets, and the name of that option in errors."""

    key: str
    value: Any
    place: str


Overrides = Sequence[str | Override]


def read(path: FilePath, overrides: Overrides = (), make: DatasetMaker | None = None) -> Experiment:
    """Return the checked experiment of a file, with `KEY=VALUE` overrides; raise InputError.

    Paths of own data start at the file's folder, and plugins are in it; of an override, the current one counts. `make` runs the code of
    data sets of plugins whose arrays are not known, where that is allowed.
    """
    return from_text(str(path), _text(path), overrides, path.parent, make)


def from_text(
    name: str, text: str, overrides: Overrides = (), folder: FilePath | None = None, make: DatasetMaker | None = None
) -> Experiment:
    """Return the checked experiment of the text of a file; raise InputError, which names the file.

    Args:
        name: of the file, in errors.
        text: what stands in it.
        overrides: as `read` has them.
        folder: where paths of own data start; the current one where none is given.
        make: as `read` has it.

    """
    source = _Source(name, text)
    tree = source.tree()
    set_by = _override(tree, overrides)
    try:
        here = FilePath()
        return _checked(tree, here if "dataset" in set_by else folder, here if "plugins" in set_by else folder, make)
    except SpecProblem as problem:
        cause = _cause(problem, set_by)
        raise (InputError(f"{cause}: {problem.message}") if cause else source.error(problem)) from None


def from_mapping(tree: Mapping[str, Any], overrides: Overrides = (), make: DatasetMaker | None = None) -> Experiment:
    """Return the checked experiment of a plain mapping, as Python code hands over; raise InputError. `make` is as `read` has it."""
    copied = dict(tree)
    set_by = _override(copied, overrides)
    try:
        return _checked(copied, make=make)
    except SpecProblem as problem:
        place = _cause(problem, set_by) or ".".join(map(str, problem.path)) or "experiment"
        raise InputError(f"{place}: {problem.message}") from None


def _checked(
    tree: Mapping[str, Any],
    base: FilePath | None = None,
    plugins_in: FilePath | None = None,
    make: DatasetMaker | None = None,
) -> Experiment:
    """Build the experiment and its grid, whose size is checked first."""
    experiment = build(tree, base, plugins_in=plugins_in, make=make)
    n = count_conditions(experiment)
    runs = n * experiment.most_replicates * (1 + (experiment.folds or 0))
    for what, count, most in (("runs", runs, MAX_RUNS), ("conditions", n, MAX_CONDITIONS)):
        if count > most:
            raise SpecProblem(("factors",), f"an experiment must have at most {most} {what}, got {count}")
    grid = conditions(experiment)
    check_streams(experiment, grid)
    check_conditions(experiment.claims, experiment, grid)
    check_resplit(experiment, experiment.claims, grid)
    return experiment


def _cause(problem: SpecProblem, set_by: Mapping[str, str]) -> str | None:
    """Return the override that made a problem, where one did."""
    return next((set_by[str(part)] for part in problem.path if str(part) in set_by), None)


def _levels_of(name: str, experiment: Experiment) -> Any:
    """Return the levels of a nuisance setting as a file has them: its range, where it has one."""
    if name in experiment.ranges:
        written = experiment.ranges[name].written(experiment.n_points)
        return {k: [_plain(level, name) for level in v] if isinstance(v, list) else v for k, v in written.items()}
    return [_plain(level, name) for level in experiment.nuisance[name]]


def dump(experiment: Experiment, folder: FilePath | None = None) -> str:
    """Return an experiment as YAML, defaults filled in, such that reading it gives the same runs and claims.

    Of plugins it has the pieces that are used, each with the digest of its code, and no code.
    Paths of own data are relative to `folder`, the one the file is written to; without a folder they are absolute.
    """
    settled = {
        *experiment.fixed,
        *experiment.factor_names,
        *experiment.nuisance,
        *(k for c in experiment.conditions for k in c),
    }
    instead = {other for short, others in INSTEAD_OF.items() if short in settled for other in others}
    defaults = {s.name: s.default for s in SETTINGS.values() if s.default is not None}
    fixed = {k: v for k, v in defaults.items() if k not in settled | instead} | experiment.fixed

    def level(name: str, value: Value) -> Any:
        if name != DATASET:
            return _plain(value, name)
        return written_level(experiment.datasets[str(value)], str(value), folder)

    factors: dict[str, Any] = {k: [level(k, v) for v in levels] for k, levels in experiment.factors.items()}
    if experiment.zipped:
        factors["zip"] = {k: [level(k, v) for v in levels] for k, levels in experiment.zipped.items()}
    if experiment.conditions and experiment.ablate is None:
        factors["conditions"] = [{k: level(k, v) for k, v in c.items()} for c in experiment.conditions]
    tree: dict[str, Any] = {
        "name": experiment.name,
        "question": experiment.question,
        **({"topic": experiment.topic} if experiment.topic else {}),
        **({} if experiment.varies_data else {DATASET: experiment.sources[0].as_written(folder)}),
        "fixed": {k: _plain(fixed[k], k) for k in SETTINGS if k in fixed},
    }
    probes, until = experiment.probes, experiment.until_decided
    optional: dict[str, Any] = {
        "validation": experiment.validation_written,
        "factors": factors or None,
        "ablate": None if experiment.ablate is None else experiment.ablate.as_written(_plain),
        "nuisance": {k: _levels_of(k, experiment) for k in experiment.nuisance} or None,
        "probes": None if probes is None else ["end" if math.isinf(e) else e for e in probes],
        "shifts": shift_spec.plain(experiment.shifts) or None,
        "replicates": experiment.replicates,
        "seed": experiment.seed,
        "vary": experiment.vary_written,
        "until_decided": None if until is None else until.model_dump(exclude_defaults=True),
        "save_weights": experiment.save_weights or None,
        "plugins": [plugin.as_written() for plugin in experiment.used_plugins] or None,
        "claims": [_plain_tree(c.as_written()) for c in experiment.claims] or None,
    }
    tree |= {key: value for key, value in optional.items() if value is not None}
    out = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Representer
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 120
    writer.dump(tree, out)
    return out.getvalue()


class _Representer(SafeRepresenter):
    """Writes text that is not plain in double quotes: the emitter leaves some bare that does not read as itself."""

    def text(self, value: str) -> ScalarNode:
        plain = value[:1].isalnum() and value.isprintable()  # '?x' in a list is a key, U+0085 a line break
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Representer.add_representer(str, _Representer.text)


def _plain(value: Value, name: str) -> Any:
    """Return what a file says of a level of a setting, or of the metric of a claim."""
    if isinstance(value, str) and (kind_of_setting(name) is not None or name == "metric"):
        return plain(value)
    return list(value) if isinstance(value, tuple) else value


def _plain_tree(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _plain_tree(v, k) for k, v in value.items()}
    return [_plain_tree(v, name) for v in value] if isinstance(value, list | tuple) else _plain(value, name)


def _content(path: FilePath) -> bytes:
    """Return the bytes of a regular file, or of what a shell hands over, whose other end it holds: `mlpbench plan <(...)`."""
    if str(path) == "/dev/stdin" or path.parent in HANDED_OVER:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    return read_regular(path, MAX_BYTES)


def _text(path: FilePath) -> str:
    try:
        if path.is_dir():
            raise InputError(f"an experiment must be a file, got the folder {path}")
        content = _content(path)
    except FileNotFoundError:
        raise InputError(f"experiment file not found: {path}{shipped.hint(path)}") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise InputError(f"{path}: an experiment file must have at most {MAX_BYTES} bytes, got more") from None
        raise InputError(f"{path}: an experiment file must be readable, got '{error.strerror}'") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: an experiment file must have at most {MAX_BYTES} bytes, got more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise InputError(f"{path}:{line}: an experiment file must be UTF-8, got byte {byte:#04x}") from None


class _ExtraError(MarkedYAMLError):
    """YAML that an experiment needs none of."""


class _PlainParser(Parser):
    """A parser that refuses, before anything is built of it, what an experiment needs none of."""

    _depth = 0

    @property  # type: ignore[override]
    def current_event(self) -> Event | None:
        """The event that was parsed and not yet taken."""
        return self._event

    @current_event.setter
    def current_event(self, event: Event | None) -> None:
        self._event = event
        if event is not None and (extra := self._extra(event)):
            raise _ExtraError(problem=extra, problem_mark=event.start_mark)

    def _extra(self, event: Event) -> str | None:
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            sign = "*" if isinstance(event, AliasEvent) else "&"
            return f"an experiment must not use anchors and aliases, got {sign}{event.anchor}: write the value out"
        tag = getattr(event, "tag", None)
        if tag is not None:
            return f"an experiment must not use tags, got {tag}: write the plain value"
        if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
            return f"an experiment must be YAML 1.2, got %YAML {'.'.join(map(str, event.version))}"
        self._depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        return f"an experiment must be nested at most {MAX_DEPTH} deep, got more" if self._depth > MAX_DEPTH else None


class _Source:
    """The text of a file, its tree of plain values, and where each of them stands."""

    def __init__(self, name: str, text: str, *, is_file: bool = True) -> None:
        self.name = name
        self._is_file = is_file
        self._text = text
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        self._yaml = YAML(typ="safe", pure=True)
        self._yaml.Parser = _PlainParser

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
        return None if node is None else self._plain(node, ())

    def error(self, problem: SpecProblem) -> InputError:
        """Return the error that points at a problem, or at the nearest thing around it that is in the file."""
        path = problem.path
        if problem.key and path in self._keys:
            return self._wrong(problem.message, self._keys[path])
        while path and path not in self._values:
            path = path[:-1]
        return self._wrong(problem.message, self._values.get(path, (1, 1)))

    def _wrong(self, message: str, place: Place) -> InputError:
        line, column = place
        where = f"{self.name}:{line}:{column}" if self._is_file else self.name
        return InputError(f"{where}: {shortened(printable(message), MOST_MESSAGE)}{self._excerpt(line, column)}")

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
        except _ExtraError as error:
            raise self._wrong(str(error.problem), _place(error.problem_mark)) from None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            hint = "; indent with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
            if "but got '['" in str(error.problem):
                hint = "; put text with brackets in quotes inside {...}, as in 'grad_norm[1]'"
            message = f"not YAML: {error.problem or error.context}{hint}"
            raise (self._wrong(message, _place(mark)) if mark else InputError(f"{self.name}: {message}")) from None
        except ReaderError as error:
            before = self._text[: error.position]
            where = before.count("\n") + 1, len(before) - before.rfind("\n")
            message = f"an experiment file must be printable text, got {chr(error.character)!r}"
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
                    raise self._wrong(f"a mapping must have a key once, got {shown(key)} twice", place)
                self._keys[(*path, key)] = place
                mapping[key] = self._plain(child, (*path, key))
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


def parsed(text: str) -> Override:
    """Return what `KEY=VALUE` sets, a value in YAML; raise InputError where it is no such text."""
    key, equals, written = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text}: an override must be KEY=VALUE, got {text!r}")
    return Override(key, _Source(f"--set {text}", written, is_file=False).value(), f"--set {text}")


def _override(tree: dict[str, Any], overrides: Overrides) -> dict[str, str]:
    """Put `KEY=VALUE` overrides into the tree: a setting takes the role its value asks for, a list makes it a factor."""
    set_by: dict[str, str] = {}
    for override in overrides:
        key, value, place = parsed(override) if isinstance(override, str) else override
        set_by[key] = place
        if key not in SETTINGS:
            if key not in FILE_KEYS:
                raise InputError(f"{place}: {unknown('setting or key', key, (*SETTINGS, *FILE_KEYS))}")
            tree[key] = value
            continue
        roles = [{} if tree.get(role) is None else tree[role] for role in ("fixed", "factors", "nuisance")]
        if not all(isinstance(role, Mapping) for role in roles):
            continue  # build says what is wrong with it
        fixed, factors, nuisance = map(dict, roles)
        tuned = key in nuisance
        for name in (key, *INSTEAD_OF.get(key, ()), *(s for s, others in INSTEAD_OF.items() if key in others)):
            fixed.pop(name, None)
            factors.pop(name, None)
            nuisance.pop(name, None)
        listed = isinstance(value, list) and (
            key not in ("hidden_sizes", "dropout") or any(isinstance(v, list) for v in value)
        )
        is_range = isinstance(value, Mapping) and any(kind in value for kind in RANGES)
        (nuisance if (listed and tuned) or is_range else factors if listed else fixed)[key] = value
        tree["fixed"], tree["factors"] = fixed, factors
        if tuned or is_range or "nuisance" in tree:
            tree["nuisance"] = nuisance
    return set_by
