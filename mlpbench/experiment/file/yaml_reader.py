"""From a YAML 1.2 file to an experiment and back; an error names file, line and column, and shows the line.

Aliases, tags and deep nesting are refused: an experiment needs none, and they can stand for more values than fit in
memory, for values that are not what they look like, or end the reader itself.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from mlpbench.base.errors import InputError
from mlpbench.base.models import DATASET, SpecProblem, Value, shown, unknown
from mlpbench.experiment import shift_spec
from mlpbench.experiment.claims.claim import check_conditions
from mlpbench.experiment.components.own_pieces import plain
from mlpbench.experiment.dataset_levels import DatasetMaker, written_level
from mlpbench.experiment.drawn_streams import check_streams
from mlpbench.experiment.file.all_problems import all_problems
from mlpbench.experiment.file.shipped import check_own_folder
from mlpbench.experiment.file.yaml_source import Source, placed_by_path, together
from mlpbench.experiment.file.yaml_text import is_handed_over, text_of
from mlpbench.experiment.grid import conditions, count_conditions
from mlpbench.experiment.plugins.piece_kinds import kind_of_setting
from mlpbench.experiment.resplit_rules import check_resplit
from mlpbench.experiment.settings import SETTINGS
from mlpbench.experiment.spec import FILE_KEYS, INSTEAD_OF, Experiment, build
from mlpbench.experiment.tuning_ranges import KINDS as RANGES

# What fits into the memory of a small machine; a run of more than `runner.MOST_UNASKED` asks first.
MAX_CONDITIONS = 100_000
MAX_RUNS = 10_000_000
ROLES = ("fixed", "factors", "nuisance")


class Override(NamedTuple):
    """A setting or a key of the file that an option sets, and the name of that option in errors."""

    key: str
    value: Any
    place: str


Overrides = Sequence[str | Override]


def read(
    path: FilePath, overrides: Overrides = (), make: DatasetMaker | None = None, results: FilePath | None = None
) -> Experiment:
    """Return the checked experiment of a file, with `KEY=VALUE` overrides; raise InputError.

    Paths of own data start at the file's folder, and plugins are in it; of an override, and of what a shell hands over, the current one counts. `make` runs the code of
    data sets of plugins whose arrays are not known, where that is allowed. Of a folder in `results`, the name must be the experiment's.
    """
    folder = FilePath() if is_handed_over(path) else path.parent
    experiment = from_text(str(path), text_of(path), overrides, folder, make)
    if results is not None:
        check_own_folder(path, experiment.name, results)
    return experiment


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
    source = Source(name, text)
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
    placed = [placed_by_path(problem, set_by) for problem in found]
    raise InputError(together([*flaws, *placed], found))


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


def parsed(text: str) -> Override:
    """Return what `KEY=VALUE` sets, a value in YAML; raise InputError where it is no such text."""
    key, equals, written = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text}: an override must be KEY=VALUE, got {text!r}")
    return Override(key, Source(f"--set {text}", written.strip(" \t"), is_file=False).value(), f"--set {text}")


def _override(tree: dict[str, Any], overrides: Overrides) -> tuple[dict[str, str], list[str]]:
    """Put `KEY=VALUE` overrides into the tree: a setting takes the role its value asks for, a list makes it a factor.

    A setting may be named with its role, as in `fixed.lr`, where its value suits that role.

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
        role, _, setting = key.partition(".")
        asked = role if role in ROLES and setting in SETTINGS else None
        key = setting if asked else key
        if key not in SETTINGS and key not in FILE_KEYS:
            flaws.append(f"{place}: {unknown('setting or key', key, (*SETTINGS, *FILE_KEYS))}")
            continue
        set_by[key] = place
        if key not in SETTINGS:
            tree[key] = value
            continue
        roles = [{} if tree.get(role) is None else tree[role] for role in ROLES]
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
        nuisance_suits = is_range or (listed and (tuned or asked == "nuisance"))
        takes = "nuisance" if nuisance_suits and asked != "factors" else "factors" if listed else "fixed"
        if asked not in (None, takes):
            needs = {"fixed": "one value", "factors": "a list of levels", "nuisance": "a list of levels or a range"}
            flaws.append(f"{place}: {asked}.{key} must be {needs[str(asked)]}, got {shown(value)}")
            continue
        {"fixed": fixed, "factors": factors, "nuisance": nuisance}[takes][key] = value
        tree["fixed"], tree["factors"] = fixed, factors
        if tuned or takes == "nuisance" or "nuisance" in tree:
            tree["nuisance"] = nuisance
    return set_by, flaws
