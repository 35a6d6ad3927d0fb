"""Frozen models of an experiment: what the file says, in canonical form and checked.

`build` turns the plain tree of a YAML file into an `Experiment`; what is wrong with it is raised as `SpecProblem`, which
knows the path of the offending value, so that `reading` can name file, line and column.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from pydantic import InstanceOf, ValidationError

from mlpbench.base.models import (
    DATASET,
    Levels,
    Path,
    SpecProblem,
    Value,
    entry,
    first_problem,
    local_problems,
    meaning,
    other_name,
    shown,
    suggestion,
    unknown,
    unknown_key,
    whole,
)
from mlpbench.data.data_sets import DATA_SETS
from mlpbench.data.dataset import DataSource
from mlpbench.experiment import shift_spec as shifting
from mlpbench.experiment.ablation import Ablation, read_ablation
from mlpbench.experiment.claims.claim import Claim, checked_claims, read_claims
from mlpbench.experiment.dataset_levels import DatasetLevels, DatasetMaker
from mlpbench.experiment.design import Design
from mlpbench.experiment.design import UntilDecided as UntilDecided
from mlpbench.experiment.metrics import own_metrics
from mlpbench.experiment.metrics.metric import METRICS
from mlpbench.experiment.plugins.piece_kinds import KINDS
from mlpbench.experiment.plugins.plugin import read_plugins, words_of
from mlpbench.experiment.settings import SETTINGS, Setting
from mlpbench.experiment.tuning_ranges import TuningRange, budget_of, levels_of, read_range
from mlpbench.experiment.value_types import Chain, Word

# A setting that says in another way what others say.
CONDITIONS = "factors.conditions"
INSTEAD_OF = {"hidden_sizes": ("width", "depth"), "steps": ("epochs",)}


class Experiment(Design):
    """One experiment: its design and its claims."""

    claims: tuple[InstanceOf[Claim], ...] = ()


# Zipped factors and whole conditions stand under `factors` in a file, folds under `validation`, `each` under `vary`, ranges in
# the place of the levels of `nuisance`.
WITHIN = ("zipped", "conditions", "folds", "refit", "one_at_a_time", "ranges")
FILE_KEYS = tuple(DATASET if k == "datasets" else k for k in Experiment.model_fields if k not in WITHIN)
# How keys are written that stand below another one, for those who look for them at the top.
STAND_BELOW = {
    "zip": ("factors", "factors: {zip: {width: [8, 16], lr: [0.1, 0.2]}}"),
    "conditions": ("factors", "factors: {conditions: [{label: small, width: 8}, {label: large, width: 64}]}"),
    "folds": ("validation", "validation: {folds: 5}"),
    "refit": ("validation", "validation: {folds: 5, refit: all}"),
    "each": ("vary", "vary: {each: [init, order]}"),
    "max_replicates": ("until_decided", "until_decided: {max_replicates: 40}"),
    "anytime": ("until_decided", "until_decided: {anytime: true}"),
}


def build(
    tree: Mapping[str, Any],
    base: pathlib.Path | None = None,
    *,
    plugins_in: pathlib.Path | None = None,
    make: DatasetMaker | None = None,
) -> Experiment:
    """Check a plain tree and return the experiment in canonical form.

    `base` is where paths of own data start, by default the current folder, and `plugins_in` the folder of plugins, by default
    that one; `make` makes the arrays of a data set of a plugin, where that is allowed. Raises SpecProblem, and InputError for what is wrong inside a file of own data.
    """
    if not tree:
        raise SpecProblem((), "an experiment needs at least name, question and dataset; the file is empty")
    with local_problems():
        for key in tree:
            if key not in FILE_KEYS:
                raise _unknown_file_key(key)
    canonical = {key: value for key, value in tree.items() if key != "claims"}
    with local_problems():
        canonical["plugins"] = read_plugins(
            canonical.pop("plugins", None), plugins_in or base or pathlib.Path(), package_words
        )
    datasets = DatasetLevels(canonical.pop(DATASET, None), base or pathlib.Path(), canonical["plugins"], make)
    with local_problems():
        roles = _Roles(canonical, datasets)
    if isinstance(canonical.get("validation"), Mapping):
        canonical |= _folds(canonical.pop("validation"), has_nuisance=bool(roles.nuisance))
    with local_problems():
        if isinstance(canonical.get("vary"), Mapping):
            canonical |= {"vary": _each(canonical["vary"]), "one_at_a_time": True}
        if "shifts" in canonical:
            canonical["shifts"] = shifting.read(canonical["shifts"])
        if not datasets.sources and DATASET in tree:
            datasets.read_only()
    _check_targets(datasets.sources)
    with local_problems():
        try:
            experiment = Experiment.model_validate(
                canonical | roles.fields() | ({"datasets": datasets.sources} if datasets.sources else {})
            )
        except ValidationError as error:
            raise _as_in_file(first_problem(error, _known_keys), canonical) from None
    _check_validation(experiment)
    if "claims" in tree:
        with local_problems():
            experiment = experiment.model_copy(update={"claims": read_claims(tree["claims"])})
    if not experiment.vary and experiment.replicates > 1:
        message = f"vary must name a stream in which replicates differ, got [] for {experiment.replicates} replicates"
        raise SpecProblem(("vary",), message)
    _check_top_up(experiment)
    for data in experiment.facts:
        shifting.check(experiment.shifts, data)
    experiment = experiment.model_copy(update={"claims": checked_claims(experiment.claims, experiment)})
    if experiment.is_anytime:
        _check_anytime(experiment)
    return experiment


def package_words(kind: str) -> set[str]:
    """Return the names that pieces of a kind have in the package."""
    if kind == DATASET:
        return set(DATA_SETS)
    if kind == own_metrics.KIND:
        return {name.partition("_")[2] for name in METRICS if name.partition("_")[0] in own_metrics.PARTS}
    types = (SETTINGS[name].value_type for name in KINDS[kind].settings)
    return {word for values in types if isinstance(values, Word | Chain) for word in values.table}


def _unknown_file_key(key: object) -> SpecProblem:
    """Return the problem of a key that no file has: what was meant may be a setting, which stands elsewhere."""
    word = str(key)
    if word in STAND_BELOW:
        above, written = STAND_BELOW[word]
        return SpecProblem((word,), f"unknown key {word!r}; it stands under {above}: `{written}`", key=True)
    setting = None if other_name(word, FILE_KEYS) else other_name(word, SETTINGS)
    if word not in SETTINGS and setting is None:
        return unknown_key((word,) if isinstance(key, str) else (key,), FILE_KEYS)  # type: ignore[arg-type]
    where = "settings stand under fixed, or where they are varied under factors"
    meant = f"{word} is a setting, and" if word in SETTINGS else meaning(word, str(setting), "the setting ")
    return SpecProblem((word,), f"unknown key {shown(key)}; {meant} {where}", key=True)


def _check_targets(sources: Mapping[str, DataSource]) -> None:
    """Refuse data sets of which some have classes and others numbers: no metric would speak of all."""
    by_kind = {source.facts.n_classes is None: name for name, source in sources.items()}
    if len(by_kind) > 1:
        rule = "the data sets of an experiment must all have classes or all numbers as targets"
        got = f"got classes in {by_kind[False]} and numbers in {by_kind[True]}"
        raise SpecProblem(("factors",), f"{rule}, {got}; an experiment for each kind compares them", key=True)


def _check_validation(experiment: Experiment) -> None:
    """Refuse nuisance settings without validation, and validation beside the rows that the data set gives for it."""
    if experiment.nuisance and not experiment.validates:
        rule = "nuisance settings are tuned on validation, which this experiment does not have"
        raise SpecProblem(("nuisance",), f"{rule}, got {shown(list(experiment.nuisance))}", key=True)
    written = experiment.validation_written
    data = next((data for data in experiment.facts if data.n_validation), None)
    if data is not None and written is not None:
        rule = (
            f"validation must be left out where a column says which rows are for it, {data.n_validation} of {data.name}"
        )
        raise SpecProblem(("validation",), f"{rule}, got {shown(written)}", key=True)


def _known_keys(path: Path) -> list[str]:
    return list(UntilDecided.model_fields) if "until_decided" in path[:-1] else list(FILE_KEYS)


def _each(vary: Mapping[str, Any]) -> list[Any]:
    """Return the streams of `vary: {each: [...]}`, which vary one at a time."""
    for key in vary:
        if key != "each":
            raise unknown_key(("vary", key), ["each"])
    streams = vary.get("each")
    if not isinstance(streams, list) or len(streams) < 2:
        rule = "each must be a list of two streams or more, which vary one at a time"
        raise SpecProblem(("vary", "each"), f"{rule}, got {shown(streams)}")
    for i, stream in enumerate(streams):
        if stream in streams[:i]:
            raise SpecProblem(("vary", "each", i), f"the streams of each must differ, got {shown(stream)} twice")
    return streams


def _as_in_file(problem: SpecProblem, canonical: Mapping[str, Any]) -> SpecProblem:
    """Return a problem with a stream, or a lack of data, where the file has it."""
    if not problem.path and problem.message.startswith("an experiment needs datasets"):
        lacking = SpecProblem((), problem.message.replace("datasets", DATASET, 1))
        lacking.missing = DATASET
        return lacking
    if problem.path[:1] != ("vary",) or not canonical.get("one_at_a_time"):
        return problem
    message = problem.message.replace(" of vary ", " of each ")
    return SpecProblem(("vary", "each", *problem.path[1:]), message, key=problem.key)


def _folds(validation: Mapping[str, Any], *, has_nuisance: bool) -> dict[str, Any]:
    for key in validation:
        if key not in ("folds", "refit"):
            raise unknown_key(("validation", key), ["folds", "refit"])
    number = whole(validation.get("folds"))
    if not isinstance(number, int) or isinstance(number, bool) or number < 2:
        raise SpecProblem(("validation", "folds"), f"folds must be a whole number of at least 2, got {shown(number)}")
    refit = validation.get("refit", "chosen")
    if refit not in ("chosen", "all"):
        near = suggestion(refit, ["chosen", "all"])
        raise SpecProblem(("validation", "refit"), f"refit must be 'chosen' or 'all', got {shown(refit)}{near}")
    if refit == "all" and not has_nuisance:
        rule = "refit: all trains every level of nuisance settings again, which this experiment does not have"
        raise SpecProblem(("validation", "refit"), f"{rule}, got {shown(refit)}")
    return {"folds": number, "refit": refit}


def _check_anytime(experiment: Experiment) -> None:
    """Refuse what has no e-process."""
    rule = "until_decided: {anytime: true} needs"
    if experiment.nuisance and experiment.folds is None:
        tuned = "settings that each replicate tunes for itself, on validation: {folds: K}"
        raise SpecProblem(("until_decided",), f"{rule} {tuned}, got {shown(experiment.validation)}", key=True)
    for i, claim in enumerate(experiment.claims):
        form = claim.form
        if claim.test == "sign_flip":
            raise SpecProblem(("claims", i, "test"), f"{rule} claims judged by t or sign, got 'sign_flip'")
        if shape := getattr(form, "shape", None):
            raise SpecProblem(("claims", i, form.name, "shape"), f"{rule} claims of one number, got {shown(shape)}")
        if form.own_test and getattr(form, "of", None) != "every":
            raise SpecProblem(
                ("claims", i, form.name), f"{rule} claims judged by t or sign, and {form.own_test}", key=True
            )


def _check_top_up(experiment: Experiment) -> None:
    """Refuse a top-up that can't be one."""
    if experiment.until_decided is None:
        return
    path: Path = ("until_decided", "max_replicates")
    most, first = experiment.most_replicates, experiment.replicates
    if most <= first and not experiment.is_anytime:
        raise SpecProblem(path, f"max_replicates must be above replicates, {first}, got {most}")
    if not experiment.claims:
        raise SpecProblem(("until_decided",), "until_decided needs claims to decide, got none", key=True)
    if first < 2 + experiment.set_aside:
        rule = f"until_decided needs {2 + experiment.set_aside} replicates or more at the first interim analysis"
        rule += ", of which the first only tunes" * experiment.set_aside
        raise SpecProblem(path, f"{rule}, got {first}")
    if not experiment.vary:
        raise SpecProblem(path, "until_decided needs a stream in which replicates differ, got vary []")


class _Roles:
    """Settings of the file by role, canonical; each setting has one role."""

    def __init__(self, tree: dict[str, Any], datasets: DatasetLevels) -> None:
        self._datasets = datasets
        self._plugins = tree["plugins"]
        self._role: dict[str, str] = {}
        fixed = _mapping(tree.pop("fixed", None), ("fixed",))
        factors = _mapping(tree.pop("factors", None), ("factors",))
        self.fixed = {k: self._read(k, v, ("fixed", k), "fixed") for k, v in fixed.items()}
        zipped = _mapping(factors.pop("zip", None), ("factors", "zip"))
        conditions = factors.pop("conditions", None)
        self.factors = {k: self._levels(k, v, ("factors", k)) for k, v in factors.items()}
        self.zipped = {k: self._levels(k, v, ("factors", "zip", k), role="factors.zip") for k, v in zipped.items()}
        if len({len(v) for v in self.zipped.values()}) > 1:
            numbers = " and ".join(f"{len(v)} of {k}" for k, v in self.zipped.items())
            raise SpecProblem(("factors", "zip"), f"zipped factors must have equally many levels, got {numbers}")
        self.conditions = () if conditions is None else self._conditions(conditions, ("factors", "conditions"))
        self.ablate = self._ablation(tree.pop("ablate")) if tree.get("ablate") is not None else None
        nuisance = _mapping(tree.pop("nuisance", None), ("nuisance",))
        self.ranges: dict[str, TuningRange] = {}
        drawn = self._ranges({k: v for k, v in nuisance.items() if isinstance(v, Mapping)}, tree.get("seed", 0))
        self.nuisance = {
            k: drawn[k] if k in drawn else self._levels(k, v, ("nuisance", k), role="nuisance")
            for k, v in nuisance.items()
        }
        for short, others in INSTEAD_OF.items():
            for other in others:
                if short in self._role and other in self._role:
                    self._keep_apart(short, other)

    def _keep_apart(self, short: str, other: str) -> None:
        """Refuse two settings that stand in place of each other, but in whole conditions of which none has both."""
        role = self._role[short]
        path: Path = (*role.split("."), short)
        if role == self._role[other] == CONDITIONS:
            both = next((i for i, c in enumerate(self.conditions) if short in c and other in c), None)
            if both is None:
                return
            path = ("factors", "conditions", both, short)
        raise SpecProblem(path, f"{short} stands in place of {other}: give one of them, got both", key=True)

    def fields(self) -> dict[str, Any]:
        roles: dict[str, Any] = {"fixed": self.fixed, "factors": self.factors, "nuisance": self.nuisance}
        roles |= {"zipped": self.zipped, "conditions": self.conditions}
        return roles | {"ablate": self.ablate, "ranges": self.ranges}

    def _ranges(self, written: Mapping[str, Any], seed: object) -> dict[str, tuple[Value, ...]]:
        """Return the levels of the settings whose nuisance levels are those of ranges."""
        if not written:
            return {}
        paths: dict[str, Path] = {name: ("nuisance", name) for name in written}
        for name, of in written.items():
            if name == DATASET:
                self._read_dataset(of, paths[name], paths[name], "nuisance")
            self._take(name, paths[name], "nuisance")
        read = {name: read_range(name, of, paths[name], words_of(self._plugins, name)) for name, of in written.items()}
        budget = budget_of(read, paths)
        self.ranges = {name: of for name, (of, _) in read.items()}
        # What is wrong with the seed is said when the whole file is read.
        seed = whole(seed)
        number = seed if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 else 0
        return levels_of(self.ranges, budget, number)

    def _take(self, name: str, key: Path, role: str) -> Setting:
        """Return the setting of that name, in its one role."""
        setting = SETTINGS.get(name)
        if setting is None:
            message = unknown("setting", name, SETTINGS)
            raise SpecProblem(key, message, key=True)
        if self._role.setdefault(name, role) != role:
            message = f"a setting has one role, but {name} stands under {self._role[name]} and {role}"
            raise SpecProblem(key, message, key=True)
        return setting

    def _read(self, name: str, value: object, path: Path, role: str) -> Value:
        key = path if path[-1] == name else path[:-1]
        if name == DATASET:
            return self._read_dataset(value, path, key, role)
        setting = self._take(name, key, role)
        try:
            return setting.read(value, words_of(self._plugins, name))
        except ValueError as error:
            raise SpecProblem(path, str(error)) from None

    def _read_dataset(self, value: object, path: Path, key: Path, role: str) -> str:
        """Return the word of a data set that is a level."""
        if not role.startswith("factors"):
            rule = "dataset stands at the top of a file, or under factors where it varies"
            raise SpecProblem(key, f"{rule}, got it under {role}", key=True)
        if self._role.setdefault(DATASET, role) != role:
            raise SpecProblem(key, f"dataset has one role, but stands under {self._role[DATASET]} and {role}", key=True)
        return self._datasets.read(value, path)

    def _levels(self, name: str, values: object, path: Path, *, role: str = "factors") -> tuple[Value, ...]:
        if not isinstance(values, list) or not values:
            kind = "nuisance setting" if role == "nuisance" else "factor"
            raise SpecProblem(
                path, f"the levels of {kind} {name} must be a list that is not empty, got {shown(values)}"
            )
        levels = tuple(self._read(name, v, (*path, i), role) for i, v in enumerate(values))
        seen: set[Value] = set()
        for i, level in enumerate(levels):
            if role != "factors.zip" and level in seen:
                raise SpecProblem(
                    (*path, i), f"the levels of a factor must differ, got {shown(level)} twice for {name}"
                )
            seen.add(level)
        return levels

    def _ablation(self, written: object) -> Ablation:
        """Read an ablation, whose conditions stand for those that a file may list."""
        if self.conditions:
            rule = "conditions are listed under factors, or follow from ablate"
            raise SpecProblem(("ablate",), f"{rule}: give one of them, got both", key=True)
        ablation = read_ablation(written, lambda name, value, path: self._read(name, value, path, "ablate"))
        self.conditions = ablation.conditions
        return ablation

    def _conditions(self, rows: object, path: Path) -> tuple[Levels, ...]:
        if not isinstance(rows, list) or not rows:
            raise SpecProblem(path, f"conditions must be a list of mappings that is not empty, got {shown(rows)}")
        read: list[Levels] = []
        seen: set[str] = set()
        for i, row in enumerate(rows):
            items = _mapping(row, (*path, i))
            label = items.pop("label", None)
            if not isinstance(label, str) or not label.strip() or not label.isprintable() or label in seen:
                message = f"each condition needs a label of its own, words on one line, got {shown(label)}"
                raise SpecProblem((*path, i, "label"), message)
            seen.add(label)
            levels = {k: self._read(k, v, (*path, i, k), CONDITIONS) for k, v in items.items()}
            read.append({"label": label, **levels})
        return tuple(read)


def _mapping(value: object, path: Path) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SpecProblem(path, f"{entry(path)} must be a mapping, got {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise SpecProblem((*path, key), f"a key must be a word, got {shown(key)}", key=True)
    return dict(value)
