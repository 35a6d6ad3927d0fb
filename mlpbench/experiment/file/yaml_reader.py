"""From a YAML 1.2 file to an experiment and back; an error names file, line and column, and shows the line.

Aliases, tags and deep nesting are refused: an experiment needs none, and they can stand for more values than fit in
memory, for values that are not what they look like, or end the reader itself.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path as FilePath
from typing import Any, NamedTuple
from unicodedata import east_asian_width

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable, shortened
from mlpbench.base.models import DATASET, Path, SpecProblem, Value, shown, unknown
from mlpbench.experiment import shift_spec
from mlpbench.experiment.claims.claim import check_conditions
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.dataset_levels import DatasetMaker, written_level
from mlpbench.experiment.drawn_streams import check_streams
from mlpbench.experiment.file.all_problems import PlacedProblem, all_problems, words_to_explain
from mlpbench.experiment.file.yaml_text import MAX_BYTES as MAX_BYTES
from mlpbench.experiment.file.yaml_text import ExtraError, PlainParser, text_of, yaml_hint
from mlpbench.experiment.grid import conditions, count_conditions
from mlpbench.experiment.plugins.piece_kinds import kind_of_setting
from mlpbench.experiment.resplit_rules import check_resplit
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS, INSTEAD_OF, Experiment, build
from mlpbench.experiment.tuning_ranges import KINDS as RANGES

# Of a longer line, an error shows this many characters.
EXCERPT = 100
# Letters of a message, most of which hold what stands in the file.
MOST_MESSAGE = 1000
# Letters of all messages about a file: a screen or two.
MOST_MESSAGES = 3000
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
    return from_text(str(path), text_of(path), overrides, path.parent, make)


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
    set_by, flaws = _override(tree, overrides)
    here = FilePath()
    base, plugins_in = (here if key in set_by else folder for key in (DATASET, "plugins"))
    found = _problems(
        tree, lambda copy: _checked(copy, base, plugins_in, make), is_alone=not flaws and not source.twice
    )
    if isinstance(found, Experiment):
        return found
    raise source.refusal(found, set_by, flaws)


def from_mapping(tree: Mapping[str, Any], overrides: Overrides = (), make: DatasetMaker | None = None) -> Experiment:
    """Return the checked experiment of a plain mapping, as Python code hands over; raise InputError. `make` is as `read` has it."""
    copied = dict(tree)
    set_by, flaws = _override(copied, overrides)
    found = _problems(copied, lambda copy: _checked(copy, make=make), is_alone=not flaws)
    if isinstance(found, Experiment):
        return found
    placed = [_placed_by_path(problem, set_by) for problem in found]
    raise InputError(_together([*flaws, *placed], found))


def other_file(path: FilePath, check: Callable[[Any], Sequence[SpecProblem]]) -> Any:
    """Return what a file of other content holds; raise InputError with all that `check` finds wrong in it, each at its place."""
    source = _Source(str(path), text_of(path))
    value = source.value()
    if (found := check(value)) or source.twice:
        raise source.refusal(found, {}, [])
    return value


def _problems(
    tree: dict[str, Any], check: Callable[[dict[str, Any]], Experiment], *, is_alone: bool
) -> Experiment | list[SpecProblem]:
    """Return the experiment of a tree, or all that is wrong with it; `is_alone` is false where something else is wrong too."""
    if not is_alone:
        return all_problems(tree, None, check)
    try:
        return check(tree)
    except (SpecProblem, InputError) as error:
        return all_problems(tree, error, check)


def _placed_by_path(problem: SpecProblem, set_by: Mapping[str, str]) -> str:
    """Return a message behind the option that made the problem, or behind its path."""
    if isinstance(problem, PlacedProblem):
        return problem.message
    return f"{_cause(problem, set_by) or '.'.join(map(str, problem.path)) or 'experiment'}: {problem.message}"


def _together(messages: Sequence[str], problems: Sequence[SpecProblem]) -> str:
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


class _Source:
    """The text of a file, its tree of plain values, and where each of them stands."""

    def __init__(self, name: str, text: str, *, is_file: bool = True) -> None:
        self.name = name
        self._is_file = is_file
        self._text = text
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        # Keys that are there twice: the first one counts, so that the rest is looked at too.
        self.twice: list[tuple[Place, str]] = []
        self._yaml = YAML(typ="safe", pure=True)
        self._yaml.Parser = PlainParser

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
        of_options = [p for p in problems if isinstance(p, PlacedProblem) or _cause(p, set_by)]
        of_file = sorted((p for p in problems if p not in of_options), key=self._place_of)
        placed = sorted([*self.twice, *((self._place_of(p), p.message) for p in of_file)], key=itemgetter(0))
        messages = [*flaws, *(_placed_by_path(p, set_by) for p in of_options)]
        messages += [self._message(message, place) for place, message in placed]
        return InputError(_together(messages, [*of_options, *of_file]))

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
            mark = error.problem_mark or error.context_mark
            message = f"not YAML: {error.problem or error.context}{yaml_hint(error)}"
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
                    said = f"a mapping must have a key once, got {shown(key)} twice: take one of them out"
                    self.twice.append((place, said))
                    continue
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


def _override(tree: dict[str, Any], overrides: Overrides) -> tuple[dict[str, str], list[str]]:
    """Put `KEY=VALUE` overrides into the tree: a setting takes the role its value asks for, a list makes it a factor.

    Return the option that has set each key, and what is wrong with those that set none.
    """
    set_by: dict[str, str] = {}
    flaws: list[str] = []
    for override in overrides:
        try:
            key, value, place = parsed(override) if isinstance(override, str) else override
        except InputError as error:
            flaws.append(str(error))
            continue
        if key not in SETTINGS and key not in FILE_KEYS:
            flaws.append(f"{place}: {unknown('setting or key', key, (*SETTINGS, *FILE_KEYS))}")
            continue
        set_by[key] = place
        if key not in SETTINGS:
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
    return set_by, flaws
