"""Plugins of an experiment: files beside it, or entry points of installed packages, with the pieces that each has.

`plugins: [pieces.py]` names a file in the folder of the experiment file, `plugins: [my_pieces]` an entry point of the group
`mlpbench.plugins`. Their bytes are read once, here, and what is read is what workers run. The experiment of a results folder has
no code: a record says which pieces it used, `{name: pieces.py, activation: {mish: 3f2a9c0b71de}}`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.base.files import read_regular, system_reason
from mlpbench.base.models import Path as Place
from mlpbench.base.models import SpecProblem, shown, suggestion, unknown_key
from mlpbench.experiment.components.own_pieces import DIGITS, own_names, split_name
from mlpbench.experiment.plugins.piece_kinds import KINDS, kind_of_setting
from mlpbench.experiment.plugins.piece_source import Piece, SourceProblem, check_imports, read_pieces

KEY = "plugins"
NAME = "name"
ENDING = ".py"
GROUP = "mlpbench.plugins"
MAX_BYTES = 1_000_000
# Measured on a busy two-core machine, one thread, two hidden layers, ReLU and GELU, Adam and cross-entropy written as plugins: 256
# units, batches of 256, 16 runs; 32 units, batches of 64, 32 runs.
COST = (
    "pieces of plugins are called for one run after another: where networks had 256 units, training took 1.5 to 3 times as long with an "
    "activation of a plugin, 1.1 times with an optimiser or a loss; where they had 32 units, 3.5 to 5 times with any of them"
)
MOST_LETTERS = 200
# Kinds of which an experiment uses every piece of its plugins, and those of them that measure a run.
EVERY = tuple(name for name, kind in KINDS.items() if kind.every)
MEASURES = ("metric",)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGITS}}}")


@dataclass(frozen=True, kw_only=True)
class PluginCode:
    """The source of a plugin as it was read, where it was read from, and the package that it may import relatively from.

    The package is None of a file, which is in none, and empty of an installed module that is in none.
    """

    text: str
    path: Path
    package: str | None = None

    @property
    def digest(self) -> str:
        """The first digits of the SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:DIGITS]


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin: its name in the experiment file and its pieces; its code, or None of one that is on record alone."""

    name: str
    pieces: tuple[Piece, ...]
    code: PluginCode | None = None

    def used(self, names: Collection[tuple[str, str]]) -> Plugin:
        """Return the plugin with the pieces of these kinds and canonical names alone."""
        return replace(self, pieces=tuple(p for p in self.pieces if (p.kind, p.name) in names))

    def as_written(self) -> dict[str, Any]:
        """Return the record of its pieces, without code."""
        record: dict[str, Any] = {NAME: self.name}
        for piece in self.pieces:
            record.setdefault(piece.kind, {})[piece.called] = piece.digest
        return record


def words_of(plugins: Iterable[Plugin], setting: str) -> dict[str, str]:
    """Return the pieces that may be levels of a setting: what each is called, and its canonical name."""
    return pieces_of(plugins, str(kind_of_setting(setting)))


def used_names(settings: Iterable[tuple[str, object]]) -> set[tuple[str, str]]:
    """Return kind and canonical name of each piece that these settings have as levels."""
    found = ((kind_of_setting(setting), own_names(level)) for setting, level in settings)
    return {(kind, name) for kind, names in found if kind is not None for name in names}


def with_used(
    plugins: Iterable[Plugin], names: Collection[tuple[str, str]], *, every: Collection[str] = EVERY
) -> tuple[Plugin, ...]:
    """Return the plugins with the pieces that are used, without those that have none: these, and those of the kinds `every`."""
    used = []
    for plugin in plugins:
        always = {(p.kind, p.name) for p in plugin.pieces if p.kind in every}
        used.append(plugin.used({*names, *always}))
    return tuple(plugin for plugin in used if plugin.pieces)


def used_by(
    plugins: Iterable[Plugin], runs: Iterable[object], *, every: Collection[str] = MEASURES
) -> tuple[Plugin, ...]:
    """Return the plugins with the pieces that runs of these resolved settings use, as `with_used` does."""
    names = [setting for kind in KINDS.values() for setting in kind.settings]
    found = used_names((name, getattr(settings, name)) for settings in runs for name in names)
    return with_used(plugins, found, every=every)


def pieces_of(plugins: Iterable[Plugin], kind: str) -> dict[str, str]:
    """Return the pieces of a kind: what each is called, and its canonical name."""
    return {piece.called: piece.name for plugin in plugins for piece in plugin.pieces if piece.kind == kind}


def train_with_pieces(plugins: Iterable[Plugin]) -> bool:
    """Return whether training calls any piece of these plugins."""
    return any(KINDS[piece.kind].trains for plugin in plugins for piece in plugin.pieces)


def read_plugins(written: object, base: Path, taken: Callable[[str], Collection[str]]) -> tuple[Plugin, ...]:
    """Return the plugins that a file names; raise SpecProblem for what is none, and where two pieces have one name.

    Args:
        written: what the file says: a list, or one name, which is a list of one.
        base: the folder that files of plugins are in.
        taken: returns the names of a kind that the package has itself.

    """
    if written is None:
        return ()
    alone = isinstance(written, str)
    entries = [written] if alone else written
    if not isinstance(entries, list):
        rule = "plugins must be a list of files beside this one, such as [pieces.py], or names of installed ones"
        raise SpecProblem((KEY,), f"{rule}, got {shown(written)}")
    plugins: list[Plugin] = []
    for i, entry in enumerate(entries):
        place: Place = (KEY,) if alone else (KEY, i)
        plugin = _record(entry, place) if isinstance(entry, Mapping) else _named(entry, base, place)
        if plugin.name in (p.name for p in plugins):
            raise SpecProblem(place, f"a plugin must be named once, got {shown(plugin.name)} twice")
        for piece in plugin.pieces:
            # What is on record stays what it was, whatever names the package has by now.
            _check_name(piece, plugin, plugins, taken(piece.kind) if plugin.code is not None else (), place)
        plugins.append(plugin)
    return tuple(plugins)


def _check_name(piece: Piece, plugin: Plugin, others: Sequence[Plugin], taken: Collection[str], place: Place) -> None:
    if piece.called in taken:
        rule = f"{_where(plugin, piece)}: mlpbench has {_article(piece.kind)} {piece.called!r} itself, which can't be redefined"
        raise SpecProblem(place, f"{rule}; give yours another name")
    other = next((p for p in others for own in p.pieces if (own.kind, own.called) == (piece.kind, piece.called)), None)
    if other is not None:
        rule = f"pieces of one kind must differ in name, got {_article(piece.kind)} {piece.called!r} in {other.name}"
        raise SpecProblem(place, f"{rule} and in {plugin.name}")


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aio' else 'a'} {kind}"


def _where(plugin: Plugin, piece: Piece) -> str:
    return f"{plugin.name}:{piece.line}" if piece.line else plugin.name


def _named(entry: object, base: Path, place: Place) -> Plugin:
    """Return the plugin of a file beside the experiment, or of an entry point."""
    if not isinstance(entry, str) or not entry or len(entry) > MOST_LETTERS or not entry.isprintable():
        rule = "a plugin must be a file beside the experiment, such as pieces.py, or the name of an installed one"
        raise SpecProblem(place, f"{rule}, got {shown(entry)}")
    if not entry.endswith(ENDING) and "/" not in entry:
        return _installed(entry, place)
    if entry != Path(entry).name or not entry.endswith(ENDING):
        rule = (
            "a plugin must be a file that ends in .py, in the folder of the experiment: its name alone, without a path"
        )
        raise SpecProblem(place, f"{rule}, got {shown(entry)}")
    path = base / entry
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise SpecProblem(place, f"a plugin must be a file itself, got the link {shown(entry)}: copy the file here")
        code = read_code(path)
    except FileNotFoundError:
        near = suggestion(entry, sorted(p.name for p in base.glob(f"*{ENDING}"))) if base.is_dir() else ""
        raise SpecProblem(place, f"file of plugins not found: {path}{near}") from None
    except OSError as error:
        raise SpecProblem(place, _unreadable(error, entry)) from None
    except InputError as error:
        raise SpecProblem(place, str(error)) from None
    return _of_code(entry, code, lambda line, message: SpecProblem(place, f"{entry}:{line}: {message}"))


def read_code(path: Path) -> PluginCode:
    """Return the code of a file; raise OSError where it can't be read, and InputError where it is not text in UTF-8."""
    content = read_regular(path, MAX_BYTES)
    try:
        return PluginCode(text=content.decode("utf-8-sig"), path=path)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path.name}:{line}: a plugin must be UTF-8, got byte {content[error.start]:#04x}") from None


def read_file(path: Path) -> Plugin:
    """Return the plugin of a file, or of an entry point, that a command names; raise InputError where it is none."""
    if path.suffix != ENDING and len(path.parts) == 1 and not path.exists():
        try:
            return _installed(str(path), (KEY,))
        except SpecProblem as problem:
            raise InputError(f"--plugins {path}: {problem.message}") from None
    try:
        code = read_code(path)
    except FileNotFoundError:
        raise InputError(f"file of plugins not found: {path}") from None
    except OSError as error:
        raise InputError(f"{path}: {_unreadable(error, path.name)}") from None
    return _of_code(path.name, code, lambda line, message: InputError(f"{path}:{line}: {message}"))


def _unreadable(error: OSError, name: str) -> str:
    if error.errno == errno.EFBIG:
        return f"a plugin must have at most {MAX_BYTES} bytes, got more in {name}"
    return f"a plugin must be a readable file, got '{system_reason(error)}' for {name}"


def _of_code(name: str, code: PluginCode, problem: Callable[[int, str], Exception]) -> Plugin:
    try:
        pieces = read_pieces(code.text)
        if code.package is None:
            check_imports(code.text, code.path.parent)
        return Plugin(name=name, pieces=pieces, code=code)
    except SourceProblem as error:
        raise problem(error.line, error.message) from None


def _installed(entry: str, place: Place) -> Plugin:
    """Return the plugin of an entry point, whose module is found without importing anything."""
    from importlib.metadata import entry_points  # takes a while, and most experiments have no plugins

    points = entry_points(group=GROUP)
    found = next((point for point in points if point.name == entry), None)
    if found is None:
        hint = suggestion(entry, points.names) or f"; the name of a file ends in {ENDING}"
        raise SpecProblem(place, f"no installed package has an entry point {shown(entry)} of the group {GROUP}{hint}")
    path = _module_file(found.module)
    if found.attr or path is None:
        rule = f"the entry point {entry!r} must name a module whose source is a file"
        raise SpecProblem(place, f"{rule}, got {shown(found.value)}")
    try:
        code = read_code(path)
    except (OSError, InputError) as error:
        raise SpecProblem(place, f"the plugin {entry!r} can't be read from {path}: {error}") from None
    package = found.module if path.name == "__init__.py" else found.module.rpartition(".")[0]
    plugin = _of_code(entry, replace(code, package=package), lambda line, m: SpecProblem(place, f"{path}:{line}: {m}"))
    version = found.dist.version if found.dist is not None else ""
    return replace(plugin, pieces=tuple(_of_version(piece, entry, version) for piece in plugin.pieces))


def _of_version(piece: Piece, entry: str, version: str) -> Piece:
    """Return a piece of a package, whose other modules it may import: its digest is of the package's version too."""
    return replace(piece, digest=hashlib.sha256(f"{piece.digest} {entry} {version}".encode()).hexdigest()[:DIGITS])


def _module_file(module: str) -> Path | None:
    """Return the source of a module; its packages are looked into, not imported."""
    from importlib.machinery import PathFinder

    path: Sequence[str] | None = None
    origin: str | None = None
    parts = module.split(".")
    for i in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: i + 1]), path)
        if spec is None:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin is not None and origin.endswith(ENDING) else None


def _record(entry: Mapping[Any, Any], place: Place) -> Plugin:
    """Return the plugin that a record describes, without its code."""
    for key in entry:
        if key != NAME and key not in KINDS:
            raise unknown_key((*place, key), [NAME, *KINDS])
    name = entry.get(NAME)
    if not isinstance(name, str) or not name or "/" in name or not name.isprintable() or len(name) > MOST_LETTERS:
        raise SpecProblem((*place, NAME), f"the record of a plugin needs its name, without a path, got {shown(name)}")
    pieces = []
    for kind in (key for key in entry if key != NAME):
        digests = entry[kind]
        if not isinstance(digests, Mapping) or not digests:
            rule = f"{kind} must be a mapping from pieces to digests of {DIGITS} hex digits"
            raise SpecProblem((*place, kind), f"{rule}, got {shown(digests)}")
        for called, digest in digests.items():
            if not isinstance(called, str) or not _WORD.fullmatch(called):
                raise SpecProblem(
                    (*place, kind, called), f"the name of a piece must be a word, got {shown(called)}", key=True
                )
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                rule = f"the digest of a piece must be text of {DIGITS} hex digits"
                raise SpecProblem((*place, kind, called), f"{rule}, got {shown(digest)}")
            pieces.append(Piece(kind=kind, called=called, digest=digest))
    return Plugin(name=name, pieces=tuple(pieces))


def recorded(plugins: Iterable[Plugin]) -> tuple[Plugin, ...]:
    """Return plugins without code, as a results folder has them."""
    return tuple(replace(plugin, code=None) for plugin in plugins)


def with_code(plugins: Sequence[Plugin], paths: Iterable[Path], command: str) -> tuple[Plugin, ...]:
    """Return plugins whose code is that of files; raise InputError where a piece has none, or another digest there.

    Args:
        plugins: those of an experiment, with the pieces that it uses.
        paths: files, or entry points, that `--plugins` names.
        command: what needs the code, for messages.

    """
    files = [read_file(Path(path)) for path in paths]
    wanting = [plugin for plugin in plugins if plugin.code is None]
    if files and not wanting:
        which = "has the code of all that it uses" if plugins else "uses no plugins here"
        raise InputError(f"--plugins {files[0].name}: this experiment {which}")
    found: list[Plugin] = [plugin for plugin in plugins if plugin.code is not None]
    for plugin in wanting:
        of_files: dict[str, tuple[Plugin, list[Piece]]] = {}
        for piece in plugin.pieces:
            file = _file_with(piece, plugin, files, command)
            of_files.setdefault(file.name, (file, []))[1].append(piece)
        found += [replace(file, pieces=tuple(pieces)) for file, pieces in of_files.values()]
    return tuple(found)


def _file_with(piece: Piece, plugin: Plugin, files: Sequence[Plugin], command: str) -> Plugin:
    """Return the file that has a piece; raise InputError where none has, or its code is another."""
    same = [file for file in files if any((p.kind, p.name) == (piece.kind, piece.name) for p in file.pieces)]
    if same:
        return same[0]
    wanted = (
        f"{command} needs the code of {piece.called} ({piece.kind} of {plugin.name}) with the digest {piece.digest}"
    )
    if not files:
        raise InputError(f"{wanted}: name its file with --plugins FILE; a results folder has no code, and runs none")
    for file in files:
        for own in file.pieces:
            if (own.kind, own.called) == (piece.kind, piece.called):
                raise InputError(
                    f"{wanted}, got one with {own.digest} in {_where(file, own)}: its code has changed since"
                )
    raise InputError(f"{wanted}, got none of that name in {' or '.join(file.name for file in files)}")


def plugin_lines(plugins: Iterable[Plugin]) -> list[str]:
    """Return a line about each plugin that is about to be run: its file, the digest of its text, and its pieces with theirs."""
    lines = []
    for plugin in plugins:
        if plugin.code is not None:
            pieces = ", ".join(f"{piece.kind} {piece.name}" for piece in plugin.pieces)
            lines.append(f"plugin {plugin.code.path} ({plugin.code.digest}): {pieces}")
    return lines


def outdated_names(plugins: Iterable[Plugin], levels: Mapping[str, Iterable[object]]) -> dict[str, str]:
    """Return names of pieces in levels whose code is another by now, each with what it is: `mish (activation of pieces.py)`."""
    now = {(p.kind, p.called): (p.name, plugin.name) for plugin in plugins for p in plugin.pieces}
    outdated = {}
    for setting, of_setting in levels.items():
        kind = kind_of_setting(setting)
        for level in of_setting:
            for name in own_names(level):
                present, where = now.get((str(kind), split_name(name)[0]), (name, ""))
                if present != name:
                    outdated[name] = f"{split_name(name)[0]} ({kind} of {where})"
    return outdated
