"""From a YAML 1.2 file to an experiment; every error names file, line and column.

Aliases are refused: an experiment needs none, and nested ones can stand for more values than fit in memory.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mlpbench.errors import InputError
from mlpbench.experiment.grid import conditions
from mlpbench.experiment.settings import SETTINGS, Value, suggestion
from mlpbench.experiment.spec import FILE_KEYS, INSTEAD_OF, Experiment, Path, SpecProblem, build

MAX_BYTES = 1_000_000

Place = tuple[int, int]


def read(path: FilePath, overrides: Sequence[str] = ()) -> Experiment:
    """Return the checked experiment of a file, with `KEY=VALUE` overrides; raise InputError."""
    source = _Source(str(path), _text(path))
    tree = source.tree()
    set_by = _override(tree, overrides)
    try:
        experiment = build(tree)
        conditions(experiment)
    except SpecProblem as problem:
        raise InputError(f"{problem.message} ({source.place(problem, set_by)})") from None
    return experiment


def from_mapping(tree: Mapping[str, Any], overrides: Sequence[str] = ()) -> Experiment:
    """Return the checked experiment of a plain mapping, as Python code hands over; raise InputError."""
    copied = dict(tree)
    set_by = _override(copied, overrides)
    try:
        experiment = build(copied)
        conditions(experiment)
    except SpecProblem as problem:
        path = ".".join(map(str, problem.path)) or "experiment"
        raise InputError(f"{problem.message} ({set_by.get(path, path)})") from None
    return experiment


def dump(experiment: Experiment) -> str:
    """Return an experiment as YAML, defaults filled in, such that reading it gives the same runs and claims."""
    given = {*experiment.fixed, *experiment.factor_names, *(k for c in experiment.conditions for k in c)}
    instead = {other for short, others in INSTEAD_OF.items() if short in given for other in others}
    defaults = {s.name: s.default for s in SETTINGS.values() if s.default is not None}
    fixed = {k: v for k, v in defaults.items() if k not in given | instead} | experiment.fixed
    factors: dict[str, Any] = {k: list(map(_plain, v)) for k, v in experiment.factors.items()}
    if experiment.zipped:
        factors["zip"] = {k: list(map(_plain, v)) for k, v in experiment.zipped.items()}
    if experiment.conditions:
        factors["conditions"] = [{k: _plain(v) for k, v in c.items()} for c in experiment.conditions]
    tree: dict[str, Any] = {
        "name": experiment.name,
        "question": experiment.question,
        "dataset": experiment.dataset,
        "fixed": {k: _plain(fixed[k]) for k in SETTINGS if k in fixed},
    }
    if experiment.validation is not None:
        tree["validation"] = experiment.validation
    if factors:
        tree["factors"] = factors
    tree |= {"replicates": experiment.replicates, "seed": experiment.seed, "vary": list(experiment.vary)}
    if experiment.claims:
        dumped = [c.model_dump(exclude_none=True) for c in experiment.claims]
        tree["claims"] = [_plain_tree(c) for c in dumped]
    out = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 120
    writer.dump(tree, out)
    return out.getvalue()


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _plain_tree(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain_tree(v) for k, v in value.items()}
    return [_plain_tree(v) for v in value] if isinstance(value, list | tuple) else value


def _text(path: FilePath) -> str:
    try:
        if path.is_dir():
            raise InputError(f"an experiment is a file, got the folder {path}")
        content = path.read_bytes()
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        there = f"; {path.parent} has {', '.join(near)}" if near else ""
        raise InputError(f"an experiment file must be there, got no file at {path}{there}") from None
    except OSError as error:
        raise InputError(f"an experiment file must be readable, got '{error.strerror}' for {path}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"an experiment file has at most {MAX_BYTES} bytes, got {len(content)} ({path})")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"an experiment file must be UTF-8, got byte {error.object[error.start]:#04x} ({path}, line {line})"
        ) from None


class _Source:
    """The text of a file, its tree of plain values, and where each of them stands."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        self._yaml = YAML(typ="safe", pure=True)

    def tree(self) -> dict[str, Any]:
        try:
            node = self._yaml.compose(self._text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            hint = "; indent with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
            raise InputError(f"not YAML: {error.problem or error.context}{hint} ({self.name}{place})") from None
        except YAMLError as error:
            raise InputError(f"not YAML: {str(error).splitlines()[0]} ({self.name})") from None
        if node is None:
            raise InputError(
                f"an experiment needs at least name, question and dataset, got an empty file ({self.name})"
            )
        if not isinstance(node, MappingNode):
            raise InputError(f"an experiment must be a mapping of keys to values ({self.name}, {_where(_start(node))})")
        tree = self._plain(node, (), set())
        assert isinstance(tree, dict)
        return tree

    def _plain(self, node: Node, path: Path, seen: set[int]) -> Any:
        self._values[path] = _start(node)
        if id(node) in seen:
            raise InputError(
                f"an experiment must not use aliases: write the value out ({self.name}, {_where(_start(node))})"
            )
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            return [self._plain(child, (*path, i), seen) for i, child in enumerate(node.value)]
        if isinstance(node, MappingNode):
            made: dict[Any, Any] = {}
            for key_node, child in node.value:
                key = self._scalar(key_node)
                if key in made:
                    message = f"a key stands once in a mapping, got {key!r} twice"
                    raise InputError(f"{message} ({self.name}, {_where(_start(key_node))})")
                self._keys[(*path, key)] = _start(key_node)
                made[key] = self._plain(child, (*path, key), seen)
            return made
        return self._scalar(node)

    def _scalar(self, node: Node) -> Any:
        if not isinstance(node, ScalarNode):
            raise InputError(f"a key must be a word ({self.name}, {_where(_start(node))})")
        try:
            return self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or error
            raise InputError(f"not a value: {problem} ({self.name}, {_where(_start(node))})") from None

    def place(self, problem: SpecProblem, set_by: Mapping[str, str]) -> str:
        """Return `file, line, column` of a problem, or the override that made it."""
        for part in problem.path:
            if str(part) in set_by:
                return set_by[str(part)]
        found = self._keys if problem.key else self._values
        path = problem.path
        while path and path not in found:
            path = path[:-1]
        return f"{self.name}, {_where(found.get(path, (1, 1)))}"


def _start(node: Node) -> Place:
    mark = node.start_mark
    return mark.line + 1, mark.column + 1


def _where(place: Place) -> str:
    return f"line {place[0]}, column {place[1]}"


def _override(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, str]:
    """Put `KEY=VALUE` overrides into the tree: a setting takes the role its value asks for, a list makes it a factor."""
    set_by: dict[str, str] = {}
    for text in overrides:
        key, equals, written = text.partition("=")
        if not equals or not key:
            raise InputError(f"an override must be KEY=VALUE, got {text!r} (--set {text})")
        value = _Source(f"--set {key}", f"{{value: {written}}}").tree()["value"]
        set_by[key] = f"--set {text}"
        if key not in SETTINGS:
            if key not in FILE_KEYS:
                near = suggestion(key, (*SETTINGS, *FILE_KEYS))
                raise InputError(
                    f"an override must name a setting or a key of the file, got {key!r}{near} (--set {text})"
                )
            tree[key] = value
            continue
        fixed, factors = dict(tree.get("fixed") or {}), dict(tree.get("factors") or {})
        for name in (key, *INSTEAD_OF.get(key, ()), *(s for s, others in INSTEAD_OF.items() if key in others)):
            fixed.pop(name, None)
            factors.pop(name, None)
        listed = isinstance(value, list) and (
            key not in ("hidden_sizes", "dropout") or any(isinstance(v, list) for v in value)
        )
        (factors if listed else fixed)[key] = value
        tree["fixed"], tree["factors"] = fixed, factors
    return set_by
