"""The pieces in the source of a plugin, read from its syntax tree: the source is never run here.

A piece is a function at the top level with a bare decorator of `mlpbench`: `@mlpbench.activation`. Its digest is of the syntax tree
of the function itself, of what is decorated as its derivative, of other pieces that it names, and of all that stands at the top level
without a decorator of `mlpbench`: imports, constants, helpers. Comments, layout and docstrings don't count.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlpbench.experiment.components.own_pieces import DIGITS
from mlpbench.experiment.plugins.piece_kinds import KINDS

PACKAGE = "mlpbench"
DERIVATIVE = "derivative"
# A change of what digests are made of is a change of this.
FORM = "mlpbench piece 1"
MOST_LETTERS = 60


class SourceProblem(ValueError):
    """Something is wrong in the source of a plugin, at a line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a plugin: its kind, what it is called, the digest of its code, and the line it stands at (0 where that isn't known)."""

    kind: str
    called: str
    digest: str
    line: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """Its canonical name, which levels have: `mish@3f2a9c0b71de`."""
        return f"{self.called}@{self.digest}"


@dataclass
class _Found:
    """What a plugin is made of: its pieces by what they are called, what belongs to each beside it, and the rest."""

    kinds: dict[str, str] = field(default_factory=dict)
    code: dict[str, list[ast.stmt]] = field(default_factory=dict)
    shared: list[ast.stmt] = field(default_factory=list)


def read_pieces(text: str) -> tuple[Piece, ...]:
    """Return the pieces of a source in their order; raise SourceProblem where it is no Python or has none, or a wrong one."""
    try:
        tree = _parsed(text)
    except SyntaxError as error:
        raise SourceProblem(error.lineno or 1, f"a plugin must be Python, got {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        why = str(error) or "it is nested too deep"
        raise SourceProblem(1, f"a plugin must be Python, got text that can't be parsed ({why})") from None
    try:
        found = _sorted(tree)
        digests = {called: _digest(called, found) for called in found.kinds}
    except RecursionError:
        raise SourceProblem(1, "a plugin must be Python that is not nested so deep") from None
    if not found.kinds:
        kinds = ", ".join(f"@{PACKAGE}.{kind}" for kind in KINDS)
        raise SourceProblem(1, f"a plugin must have a function with a decorator of {kinds}, got none")
    return tuple(
        Piece(kind=kind, called=called, digest=digests[called], line=found.code[called][0].lineno)
        for called, kind in found.kinds.items()
    )


def _sorted(tree: ast.Module) -> _Found:
    """Return the pieces of a module and the rest of it."""
    packages, decorators = _imported(tree.body)
    found = _Found()
    for statement in tree.body:
        marks = _marks(statement, packages, decorators)
        of_piece = _derivative_of(statement, found)
        if of_piece is not None:
            found.code[of_piece].append(statement)
        elif not marks:
            found.shared.append(statement)
            _check_within(statement, packages, decorators)
        else:
            assert isinstance(statement, ast.FunctionDef), "others are refused"
            called, kind = statement.name, marks[0]
            _check_piece(statement, marks, found)
            found.kinds[called] = kind
            found.code[called] = [statement]
    for statement in found.shared:
        for name in _assigned(statement):
            if name in found.kinds:
                raise SourceProblem(statement.lineno, f"{name} must be the piece alone, got another value for it")
    return found


def _parsed(text: str) -> ast.Module:
    """Return the syntax tree of a source; what Python would warn of, as of `\\d` in a string, it says where the code is run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def check_imports(text: str, folder: Path) -> None:
    """Raise SourceProblem where a source imports a file of its own folder: other code there would be no other piece."""
    for node in ast.walk(_parsed(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names if node.level and not node.module)]
        for name in (name.partition(".")[0] for name in names):
            beside = next((p for p in (f"{name}.py", f"{name}/__init__.py") if name and (folder / p).is_file()), None)
            if beside is not None and name != PACKAGE:
                rule = "a plugin is one file, whose code runs are known by: it can't import the files beside it"
                way = "write it into this file, or install both as a package with an entry point"
                raise SourceProblem(getattr(node, "lineno", 1), f"{rule}, got {beside}; {way}")


def _imported(body: Sequence[ast.stmt]) -> tuple[set[str], dict[str, str]]:
    """Return the names that stand for the package, and those that stand for its decorators, each with its kind."""
    packages: set[str] = set()
    decorators: dict[str, str] = {}
    for statement in body:
        if isinstance(statement, ast.Import):
            packages |= {name.asname or name.name for name in statement.names if name.name == PACKAGE}
        elif isinstance(statement, ast.ImportFrom) and statement.module == PACKAGE and not statement.level:
            decorators |= {name.asname or name.name: name.name for name in statement.names if name.name in KINDS}
            if any(name.name == "*" for name in statement.names):
                decorators |= {kind: kind for kind in KINDS}
        elif isinstance(statement, ast.Assign) and (kind := _kind_of(statement.value, packages, decorators)):
            decorators |= {target.id: kind for target in statement.targets if isinstance(target, ast.Name)}
    return packages, decorators


def _kind_of(node: ast.expr, packages: set[str], decorators: Mapping[str, str]) -> str | None:
    """Return the kind that a decorator stands for; raise SourceProblem for one of the package that is none."""
    if isinstance(node, ast.Name):
        return decorators.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in packages:
        if node.attr not in KINDS:
            raise SourceProblem(node.lineno, f"a decorator must be one of {', '.join(KINDS)}, got {node.attr!r}")
        return node.attr
    return None


def _marks(statement: ast.stmt, packages: set[str], decorators: Mapping[str, str]) -> list[str]:
    """Return the kinds that a statement is decorated as; raise SourceProblem for a decorator that is called, or is not on a function."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    kinds = []
    for node in statement.decorator_list:
        called = isinstance(node, ast.Call)
        kind = _kind_of(node.func if isinstance(node, ast.Call) else node, packages, decorators)
        if kind is None:
            continue
        if called:
            raise SourceProblem(node.lineno, f"a decorator is bare, @{PACKAGE}.{kind}, got it with brackets")
        if not isinstance(statement, ast.FunctionDef):
            raise SourceProblem(node.lineno, f"@{PACKAGE}.{kind} stands on a function, got it on {statement.name}")
        kinds.append(kind)
    return kinds


def _derivative_of(statement: ast.stmt, found: _Found) -> str | None:
    """Return the piece whose derivative a statement is: `@mish.derivative`."""
    if not isinstance(statement, ast.FunctionDef):
        return None
    for node in statement.decorator_list:
        if isinstance(node, ast.Attribute) and node.attr == DERIVATIVE and isinstance(node.value, ast.Name):
            called = node.value.id
            if called in found.kinds and KINDS[found.kinds[called]].differentiates:
                kind = KINDS[found.kinds[called]]
                _check_arguments(statement, kind.arguments, f"the derivative of {called}")
                return called
    return None


def _check_piece(statement: ast.FunctionDef, marks: Sequence[str], found: _Found) -> None:
    called, line = statement.name, statement.lineno
    if len(marks) > 1:
        raise SourceProblem(line, f"{called} must be of one kind, got {' and '.join(marks)}")
    if called in found.kinds:
        raise SourceProblem(line, f"a plugin must have a piece of a name once, got {called!r} twice")
    if called.startswith("_") or not called.isascii() or len(called) > MOST_LETTERS:
        rule = f"the name of a piece must begin with a letter and have at most {MOST_LETTERS} letters, digits and '_'"
        raise SourceProblem(line, f"{rule}, got {called!r}")
    _check_arguments(statement, KINDS[marks[0]].arguments, f"{marks[0]} {called}")


def _check_arguments(statement: ast.FunctionDef, wanted: Sequence[str], what: str) -> None:
    """Raise SourceProblem for a function that can't be called with as many arguments as are wanted."""
    own = statement.args
    places = [*own.posonlyargs, *own.args]
    needed = len(places) - len(own.defaults)
    keywords = [a.arg for a, default in zip(own.kwonlyargs, own.kw_defaults) if default is None]
    if keywords or needed > len(wanted) or (len(places) < len(wanted) and own.vararg is None):
        names = ", ".join([*(a.arg for a in places), *([f"*{own.vararg.arg}"] if own.vararg else []), *keywords])
        raise SourceProblem(statement.lineno, f"{what} must take ({', '.join(wanted)}), got ({names})")


def _check_within(statement: ast.stmt, packages: set[str], decorators: Mapping[str, str]) -> None:
    """Raise SourceProblem for a piece that is not at the top level."""
    for node in ast.walk(statement):
        if node is not statement and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for kind in _marks(node, packages, decorators):
                rule = "a piece stands at the top level of its file, in no class, function or condition"
                raise SourceProblem(node.lineno, f"{rule}, got {kind} {node.name}")


def _assigned(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of the top level gives a value to."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


def _digest(called: str, found: _Found) -> str:
    """Return the digest of a piece, with all that it depends on in its file."""
    needed = {called}
    while True:
        code = [*found.shared, *(statement for name in needed for statement in found.code[name])]
        named = {node.id for statement in code for node in ast.walk(statement) if isinstance(node, ast.Name)}
        more = needed | (named & found.kinds.keys())
        if more == needed:
            break
        needed = more
    hashed = hashlib.sha256(FORM.encode())
    for name in [called, *(n for n in found.kinds if n in needed and n != called)]:
        for statement in found.code[name]:
            hashed.update(f"\n{found.kinds[name]} ".encode() + _form(statement).encode())
    for statement in found.shared:
        if not _is_text(statement):
            hashed.update(b"\n" + _form(statement).encode())
    return hashed.hexdigest()[:DIGITS]


def _is_text(statement: ast.AST) -> bool:
    """Return whether a statement is a bare string: a docstring, or a comment in quotes."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _form(node: object) -> str:
    """Return a syntax tree as text that every version of Python gives it: what is empty is left out, and where it stands."""
    if isinstance(node, list):
        return "[" + ",".join(_form(child) for child in node if not _is_text(child)) + "]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__} {node!r}"
    fields = ((name, getattr(node, name, None)) for name in node._fields if name not in ("kind", "type_comment"))
    inner = ",".join(f"{name}={_form(value)}" for name, value in fields if value is not None and value != [])
    if isinstance(node, ast.Constant):  # None is a value there
        inner = f"{type(node.value).__name__} {node.value!r}"
    return f"{type(node).__name__}({inner})"
