"""Plugins as an experiment names them: their pieces are read from the source, what runs they make of it, and what is refused."""

from __future__ import annotations

import os
import textwrap
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mlpbench.base.errors import InputError
from mlpbench.base.models import SpecProblem
from mlpbench.experiment.components.activations import ACTIVATIONS
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.json_schema import schema
from mlpbench.experiment.file.yaml_source import Source
from mlpbench.experiment.grid import conditions, run_ids
from mlpbench.experiment.plugins.piece_source import SourceProblem, read_pieces
from mlpbench.experiment.plugins.plugin import outdated_names, read_file, recorded, with_code
from mlpbench.experiment.spec import Experiment, build

SOURCE = """\
import mlpbench
from mlpbench import optimiser

HALF = 0.5

def helper(z):
    return z * HALF

@mlpbench.activation
def mine(z):
    return helper(z)

@mlpbench.activation
def yours(z):
    return z

@optimiser
def plain(gradient, state, lr, step):
    return -lr * gradient, state

@mlpbench.schedule
def ramp(share):
    return share
"""
SPEC: dict[str, Any] = {
    "name": "x",
    "question": "?",
    "dataset": "digits",
    "plugins": ["pieces.py"],
    "fixed": {"epochs": 1, "width": 4, "optimizer": "plain", "schedule": {"warmup": 3, "then": "ramp"}},
    "factors": {"activation": ["relu", "mine"]},
    "replicates": 2,
    "claims": [
        {"id": "c", "says": "So.", "compare": {"metric": "test_loss", "a": {"activation": "mine"}, "b": {"activation": "relu"}, "expect": "less"}}
    ],
}  # fmt: skip


def digests(source: str) -> dict[str, str]:
    return {piece.called: piece.digest for piece in read_pieces(source)}


def made(folder: Path, source: str = SOURCE, **changes: Any) -> Experiment:
    (folder / "pieces.py").write_text(source)
    return build(SPEC | changes, folder)


def ids(experiment: Experiment) -> dict[str, list[str]]:
    return {c.label: run_ids(experiment, c, range(2)) for c in conditions(experiment)}


def test_pieces_are_found_with_their_kinds_and_lines() -> None:
    found = [(p.kind, p.called, p.line) for p in read_pieces(SOURCE)]
    assert found == [("activation", "mine", 10), ("activation", "yours", 14), ("optimiser", "plain", 18), ("schedule", "ramp", 22)]  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [
        "import mlpbench as m\n@m.activation",
        "from mlpbench import activation as act\n@act",
        "from mlpbench import *\n@activation",
        "import mlpbench\nact = mlpbench.activation\n@act",
        "from mlpbench import activation\nact = other = activation\n@other",
    ],
)
def test_a_decorator_is_known_by_any_name_that_the_file_gives_it(head: str) -> None:
    (piece,) = read_pieces(f'{head}\ndef mine(z):\n    "a \\d that Python warns of"\n    return z\n')
    assert (piece.kind, piece.called) == ("activation", "mine")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda s: "# a comment\n" + s.replace("HALF = 0.5", "HALF  =  (0.5)  # half"), set()),
        (lambda s: s.replace("def helper(z):\n", 'def helper(z):\n    """Return half."""\n\n'), set()),
        (lambda s: '"""A plugin."""\n' + s, set()),
        (lambda s: s.replace("    return share", "    return share * 1"), {"ramp"}),
        (lambda s: s.replace("def yours(z):\n    return z", "def yours(z):\n    return z + 0"), {"yours"}),
        (lambda s: s.replace("HALF = 0.5", "HALF = 0.25"), {"mine", "yours", "plain", "ramp"}),
        (lambda s: s.replace("HALF = 0.5", "HALF = 1"), {"mine", "yours", "plain", "ramp"}),
        (lambda s: s.replace("return z * HALF", "return z / HALF"), {"mine", "yours", "plain", "ramp"}),
        (lambda s: s.replace("from mlpbench", "import math\nfrom mlpbench", 1), {"mine", "yours", "plain", "ramp"}),
        (lambda s: s + "\n@mlpbench.loss\ndef more(outputs, targets):\n    return outputs.sum(1)\n", set()),
    ],
)  # fmt: skip
def test_a_digest_is_of_what_a_piece_depends_on(change: Any, changed: set[str]) -> None:
    before, after = digests(SOURCE), digests(change(SOURCE))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_piece_that_names_another_depends_on_it() -> None:
    source = SOURCE.replace("    return helper(z)", "    return yours(z)")
    before, after = (
        digests(source),
        digests(source.replace("def yours(z):\n    return z", "def yours(z):\n    return -z")),
    )
    assert {name for name in before if before[name] != after[name]} == {"mine", "yours"}


def test_a_derivative_is_part_of_its_piece() -> None:
    source = SOURCE + "\n@mine.derivative\ndef _(z):\n    return helper(z)\n"
    assert {n for n, d in digests(SOURCE).items() if digests(source)[n] != d} == {"mine"}


def test_digests_are_on_record() -> None:
    """They are the same in every version of Python, and must stay: results folders have them."""
    assert digests(SOURCE) == {
        "mine": "00a909742eb2", "yours": "d9a2a7500ea2", "plain": "5788514d1820", "ramp": "109d1fdc7a3d",
    }  # fmt: skip


def test_runs_follow_from_the_code_of_what_they_use(tmp_path: Path) -> None:
    first = ids(made(tmp_path))
    commented = ids(made(tmp_path, "# a comment\n" + SOURCE))
    another = ids(made(tmp_path, SOURCE.replace("def yours(z):\n    return z", "def yours(z):\n    return -z")))
    assert first == commented == another
    own = ids(made(tmp_path, SOURCE.replace("    return helper(z)", "    return helper(z) + 0")))
    assert own["activation=relu"] == first["activation=relu"]
    assert set(own["activation=mine"]).isdisjoint(first["activation=mine"])
    shared = ids(made(tmp_path, SOURCE.replace("HALF = 0.5", "HALF = 2")))
    assert set(shared["activation=relu"]).isdisjoint(
        first["activation=relu"]
    )  # its optimiser and schedule are of the file


def test_one_plugin_needs_no_list(tmp_path: Path) -> None:
    one, listed = (made(tmp_path, plugins=p) for p in ("pieces.py", ["pieces.py"]))
    assert [p.as_written() for p in one.used_plugins] == [p.as_written() for p in listed.used_plugins] != []
    assert ids(one) == ids(listed)
    jsonschema.validate(SPEC | {"plugins": "pieces.py"}, schema())
    with pytest.raises(SpecProblem, match="file of plugins not found") as caught:
        build(SPEC | {"plugins": "absent.py"}, tmp_path)
    assert caught.value.path == ("plugins",)


def test_a_file_of_plugins_that_no_run_uses_changes_nothing(tmp_path: Path) -> None:
    usual: dict[str, Any] = {"fixed": {"epochs": 1}, "factors": {"activation": ["relu", "tanh"]}, "claims": []}
    without = build({k: v for k, v in (SPEC | usual).items() if k != "plugins"}, tmp_path)
    with_one = made(tmp_path, **usual)
    assert ids(with_one) == ids(without)
    assert yaml_reader.dump(with_one) == yaml_reader.dump(without)


def test_labels_selectors_and_the_file_itself_have_plain_names(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    assert [c.label for c in conditions(experiment)] == ["activation=relu", "activation=mine"]
    digest = digests(SOURCE)["mine"]
    assert [c.settings.activation for c in conditions(experiment)] == ["relu", f"mine@{digest}"]
    assert conditions(experiment)[0].settings.schedule == f"warmup(3)+ramp@{digests(SOURCE)['ramp']}"
    text = yaml_reader.dump(experiment)
    assert "activation: [relu, mine]" in text
    assert "schedule: warmup(3)+ramp" in text
    assert "a: {activation: mine}" in text
    assert "@" not in text
    assert f"activation: {{mine: {digest}}}" in text
    assert "yours" not in text


def test_an_experiment_of_a_results_folder_needs_no_code(tmp_path: Path) -> None:
    """It has the same runs and claims, wherever it is read, and no code."""
    experiment = made(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "spec.yaml").write_text(yaml_reader.dump(experiment))
    again = yaml_reader.read(tmp_path / "results" / "spec.yaml")
    assert ids(again) == ids(experiment)
    assert again.claims == experiment.claims
    assert all(plugin.code is None for plugin in again.plugins)
    assert again.plugins == recorded(experiment.used_plugins)
    assert yaml_reader.dump(again) == yaml_reader.dump(experiment)


@pytest.mark.parametrize(
    "digest", ["123456789012", "1e1234567890", "0x1234567890"[:12], "000000000000", "12345678901e"]
)
def test_a_digest_that_looks_like_a_number_stays_text(tmp_path: Path, digest: str) -> None:
    if "x" in digest:
        digest = digest.replace("x", "e")
    record = {"name": "pieces.py", "activation": {"mine": digest}}
    experiment = build(SPEC | {"plugins": [record], "fixed": {"epochs": 1}})
    (tmp_path / "spec.yaml").write_text(yaml_reader.dump(experiment))
    assert ids(yaml_reader.read(tmp_path / "spec.yaml")) == ids(experiment)


def test_a_piece_may_be_a_level_anywhere(tmp_path: Path) -> None:
    base = {k: v for k, v in SPEC.items() if k not in ("claims", "factors")} | {"fixed": {"epochs": 1}}
    (tmp_path / "pieces.py").write_text(SOURCE)
    mine = f"mine@{digests(SOURCE)['mine']}"
    for keys in (
        {"factors": {"zip": {"activation": ["mine", "yours"], "width": [3, 4]}}},
        {"factors": {"conditions": [{"label": "a", "activation": "mine"}, {"label": "b", "activation": "relu"}]}},
        {"ablate": {"base": {"activation": "mine", "dropout": 0.1}, "remove": {"activation": "relu", "dropout": 0}}},
        {"factors": {"width": [3, 4]}, "validation": 0.2, "nuisance": {"activation": ["mine", "relu"]}},
        {"factors": {"width": [3, 4]}, "validation": 0.2, "nuisance": {"activation": {"choice": ["mine", "yours"], "levels": 2}}},
        {"factors": {"activation": [mine, "relu"]}},
    ):  # fmt: skip
        experiment = build(base | keys, tmp_path)
        assert mine in {c.settings.activation for c in conditions(experiment)}
        again = build(Source("x", yaml_reader.dump(experiment)).tree(), tmp_path)
        assert ids(again) == ids(experiment)


def test_what_changed_is_known_by_name(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    levels = {"activation": ["relu", "mine@000000000000", f"mine@{digests(SOURCE)['mine']}", "gone@000000000000"]}
    assert outdated_names(experiment.plugins, levels) == {"mine@000000000000": "mine (activation of pieces.py)"}
    assert outdated_names(experiment.plugins, {"schedule": ["warmup(3)+ramp@000000000000"]}) == {
        "ramp@000000000000": "ramp (schedule of pieces.py)"
    }


PIECE = "import mlpbench\n@mlpbench.activation\ndef p(z):\n    return z\n"


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("def f(:", 1, "a plugin must be Python, got invalid syntax"),
        ("x = 1\n", 1, "a plugin must have a function with a decorator of @mlpbench.activation"),
        ("\0", 1, "a plugin must be Python, got"),
        ("(" * 10_000 + ")" * 10_000, 1, "a plugin must be Python, got"),
        (PIECE.replace(".activation", ".activaton"), 2, "a decorator must be one of activation, initialiser"),
        (PIECE.replace(".activation", ".activation()"), 2, "a decorator is bare, @mlpbench.activation, got it with brackets"),
        (PIECE.replace("def p(z):\n    return z", "class p:\n    pass"), 2, "stands on a function, got it on p"),
        (PIECE.replace("def p(z)", "async def p(z)"), 2, "stands on a function, got it on p"),
        (PIECE.replace("p(z)", "p()"), 3, "activation p must take (z), got ()"),
        (PIECE.replace("p(z)", "p(z, a)"), 3, "activation p must take (z), got (z, a)"),
        (PIECE.replace("p(z)", "p(z, *, a)"), 3, "activation p must take (z), got (z, a)"),
        (PIECE.replace("def p", "def _p"), 3, "must begin with a letter"),
        (PIECE.replace("def p", "def µ"), 3, "must begin with a letter"),
        (PIECE + PIECE, 7, "a plugin must have a piece of a name once, got 'p' twice"),
        (PIECE + "p = 3\n", 5, "p must be the piece alone, got another value for it"),
        (PIECE + "import math as p\n", 5, "p must be the piece alone"),
        (PIECE.replace("def p", "@mlpbench.loss\ndef p"), 4, "p must be of one kind, got activation and loss"),
        ("import mlpbench\nif True:\n" + textwrap.indent(PIECE, "    "), 5, "a piece stands at the top level of its file"),
        (PIECE + "@p.derivative\ndef _(z, w):\n    return z\n", 6, "the derivative of p must take (z), got (z, w)"),
    ],
)  # fmt: skip
def test_a_source_that_is_wrong_is_refused_with_its_line(source: str, line: int, says: str) -> None:
    with pytest.raises(SourceProblem) as caught:
        read_pieces(source)
    assert caught.value.line == line
    assert says in caught.value.message


def refused(folder: Path, plugins: Any, **changes: Any) -> str:
    with pytest.raises(SpecProblem) as caught:
        build(SPEC | {"plugins": plugins} | changes, folder)
    assert caught.value.path[0] == "plugins"
    return caught.value.message


@pytest.mark.parametrize(
    ("beside", "line"),
    [
        ("helper.py", "import helper"),
        ("helper.py", "from helper import f"),
        ("helper.py", "import torch, helper.deep as h"),
        ("helper/__init__.py", "def late():\n    from helper.deep import f"),
        ("helper.py", "from . import helper"),
        ("helper.py", "from .helper import f"),
    ],
)
def test_a_plugin_imports_no_file_beside_it_whose_code_no_digest_would_have(
    beside: str, line: str, tmp_path: Path
) -> None:
    source = f"{line}\n{SOURCE}"
    made(tmp_path, source)  # where there is no such file, an installed module is meant
    (tmp_path / beside).parent.mkdir(exist_ok=True)
    (tmp_path / beside).write_text("f = abs\n")
    problem = refused(tmp_path, ["pieces.py"])
    assert problem.startswith(
        f"pieces.py:{1 + line.count(chr(10))}: a plugin is one file, whose code runs are known by"
    )
    assert f"got {beside}; write it into this file, or install both" in problem


def test_files_elsewhere_links_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path / "pieces.py", folder / "sub" / "pieces.py", folder / "other.txt"):
        place.write_text(SOURCE)
    (folder / "link.py").symlink_to(tmp_path / "pieces.py")
    (folder / "dir.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    (folder / "latin.py").write_bytes("# é".encode("latin-1"))
    (folder / "long.py").write_bytes(b"#" * 1_000_001)
    rule = "in the folder of the experiment: its name alone, without a path"
    for path in (
        str(tmp_path / "pieces.py"),
        "../pieces.py",
        "sub/pieces.py",
        "./pieces.py",
        "sub/../link.py",
        "../other",
    ):
        assert rule in refused(folder, [path])
    assert "got the link 'link.py': copy the file here" in refused(folder, ["link.py"])
    assert "file of plugins not found" in refused(folder, ["absent.py"])
    assert "did you mean 'latin.py'" in refused(folder, ["latn.py"])
    assert "it is not a regular file" in refused(folder, ["dir.py"])
    assert "it is not a regular file" in refused(folder, ["pipe.py"])
    assert "latin.py:1: a plugin must be UTF-8, got byte 0xe9" in refused(folder, ["latin.py"])
    assert "at most 1000000 bytes" in refused(folder, ["long.py"])
    assert "no installed package has an entry point 'other.txt'" in refused(folder, ["other.txt"])
    unlisted: list[Any] = [{"a": 1}, 3, True]
    for wrong in unlisted:
        assert "plugins must be a list of files" in refused(folder, wrong)
    entries: list[Any] = [[3], [None], [""], ["a\nb.py"], [["pieces.py"]]]
    for wrong in entries:
        assert "must be a file beside the experiment" in refused(folder, wrong)


def test_names_are_unique_and_none_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "pieces.py").write_text(SOURCE)
    (tmp_path / "more.py").write_text(SOURCE)
    (tmp_path / "relu.py").write_text(PIECE.replace("def p", "def relu"))
    assert "a plugin must be named once, got 'pieces.py' twice" in refused(tmp_path, ["pieces.py", "pieces.py"])
    clash = "pieces of one kind must differ in name, got an activation 'mine' in pieces.py and in more.py"
    assert clash in refused(tmp_path, ["pieces.py", "more.py"])
    assert "relu.py:3: mlpbench has an activation 'relu' itself, which can't be redefined" in refused(
        tmp_path, ["relu.py"]
    )


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"activation": {"mine": "0" * 12}}, "the record of a plugin needs its name"),
        ({"name": "../a.py"}, "the record of a plugin needs its name"),
        ({"name": "a.py", "activations": {}}, "unknown key 'activations'"),
        ({"name": "a.py", "activation": ["mine"]}, "must be a mapping from pieces to digests"),
        ({"name": "a.py", "activation": {"m-i": "0" * 12}}, "the name of a piece must be a word"),
        ({"name": "a.py", "activation": {"mine": "0" * 11}}, "must be text of 12 hex digits, got '00000000000'"),
        ({"name": "a.py", "activation": {"mine": 123456789012}}, "must be text of 12 hex digits, got 123456789012"),
    ],
)
def test_a_record_that_is_wrong_is_refused(tmp_path: Path, record: Any, says: str) -> None:
    assert says in refused(tmp_path, [record])


@pytest.mark.parametrize(
    ("fixed", "says"),
    [
        ({"activation": "mnie"}, "got 'mnie'; did you mean 'mine'?"),
        ({"activation": "plain"}, "activation must be one of identity, relu"),
        ({"activation": "mine@000000000000"}, "got 'mine@000000000000'"),
        ({"activation": {"mine": 0.1}}, "mine without a parameter"),
        ({"optimizer": "plain", "parametrization": "mup", "init": "he_normal"}, "optimizer must be one of mlpbench's own where parametrization is mup(64), which goes by how it scales steps, got 'plain'"),
        ({"schedule": {"warmup": 3, "then": "mine"}}, "schedule must be one of constant"),
    ],
)  # fmt: skip
def test_pieces_are_levels_of_their_settings_alone(tmp_path: Path, fixed: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecProblem) as caught:
        conditions(made(tmp_path, fixed={"epochs": 1} | fixed, factors={"width": [3, 4]}, claims=[]))
    assert says in caught.value.message


def test_a_claim_about_an_unknown_level_lists_plain_names(tmp_path: Path) -> None:
    claim = {"id": "c", "says": "So.", "compare": {"metric": "test_loss", "a": {"activation": "yours"}, "b": {"activation": "relu"}, "expect": "less"}}  # fmt: skip
    with pytest.raises(SpecProblem) as caught:
        made(tmp_path, claims=[claim])
    assert "names one of its levels ['relu', 'mine'], got 'yours'" in caught.value.message


def test_code_is_given_by_files_of_equal_digest(tmp_path: Path) -> None:
    experiment = made(tmp_path)
    plugins = recorded(experiment.used_plugins)
    given = with_code(plugins, [tmp_path / "pieces.py"], "verify")
    assert [(p.name, [x.name for x in p.pieces]) for p in given] == [("pieces.py", [x.name for x in plugins[0].pieces])]
    with pytest.raises(InputError, match=r"verify needs the code of mine \(activation of pieces.py\) with the digest [0-9a-f]{12}: name its file with --plugins FILE"):  # fmt: skip
        with_code(plugins, [], "verify")
    (tmp_path / "new.py").write_text(SOURCE.replace("HALF = 0.5", "HALF = 2"))
    now = digests((tmp_path / "new.py").read_text())["mine"]
    with pytest.raises(InputError, match=f"got one with {now} in new.py:10: its code has changed since"):
        with_code(plugins, [tmp_path / "new.py"], "verify")
    (tmp_path / "other.py").write_text(PIECE)
    with pytest.raises(InputError, match="got none of that name in other.py"):
        with_code(plugins, [tmp_path / "other.py"], "verify")
    with pytest.raises(InputError, match="this experiment uses no plugins here"):
        with_code([], [tmp_path / "other.py"], "run")
    with pytest.raises(InputError, match="this experiment has the code of all that it uses"):
        with_code(experiment.used_plugins, [tmp_path / "other.py"], "run")
    assert with_code(plugins, [tmp_path / "other.py", tmp_path / "pieces.py"], "run") == given
    with pytest.raises(InputError, match="file of plugins not found"):
        read_file(tmp_path / "absent.py")


def test_an_installed_plugin_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digests are of the version of its package too, since it may import other modules of that."""
    for version in ("1.0", "2.0"):
        site = tmp_path / version
        (site / "fancy").mkdir(parents=True)
        (site / "fancy" / "__init__.py").write_text("raise RuntimeError('imported')\n")
        (site / "fancy" / "pieces.py").write_text(SOURCE)
        info = site / "fancy-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fancy\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[mlpbench.plugins]\nfancy = fancy.pieces\nlost = fancy.lost\n")
    found = {}
    for version in ("1.0", "2.0"):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / version)
            assert Distribution.from_name("fancy").version == version
            experiment = build(SPEC | {"plugins": ["fancy"]}, tmp_path)
            found[version] = ids(experiment)
            (plugin,) = experiment.plugins
            assert plugin.code is not None
            assert (plugin.name, plugin.code.package) == ("fancy", "fancy")
            given = with_code(recorded(experiment.used_plugins), [Path("fancy")], "verify")
            assert given == experiment.used_plugins
            assert "must name a module whose source is a file" in refused(tmp_path, ["lost"])
            assert "did you mean 'fancy'?" in refused(tmp_path, ["fncy"])
    assert set(found["1.0"]["activation=mine"]).isdisjoint(found["2.0"]["activation=mine"])


def test_the_schema_takes_pieces_where_there_are_plugins(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    record = made(tmp_path).used_plugins[0].as_written()
    assert validator.is_valid(SPEC)
    assert validator.is_valid(SPEC | {"plugins": [record, "fancy"]})
    assert not validator.is_valid({k: v for k, v in SPEC.items() if k != "plugins"})
    wrong: list[Any] = [
        3,
        "../pieces.py",
        [3],
        [{"activation": {}}],
        [record | {"loss": {"p": 1}}],
        [record | {"los": {}}],
        ["../pieces.py"],
    ]
    for plugins in wrong:
        assert not validator.is_valid(SPEC | {"plugins": plugins})
    assert not validator.is_valid(SPEC | {"fixed": {"lr": "mine"}})


def test_tables_list_the_package_alone(tmp_path: Path) -> None:
    before = list(ACTIVATIONS)
    name = conditions(made(tmp_path))[1].settings.activation
    assert ACTIVATIONS[name].needs_input
    assert list(ACTIVATIONS) == before
    assert name not in ACTIVATIONS
    with pytest.raises(KeyError):
        ACTIVATIONS["mine"]


def test_a_plan_counts_what_pieces_cost(tmp_path: Path) -> None:
    """They are called run by run: an activation by its units, each piece by its calls."""
    from mlpbench.experiment.grid import runs
    from mlpbench.experiment.plan import make_stack

    usual: dict[str, Any] = {"fixed": {"epochs": 1}, "claims": []}
    relu, mine = (
        make_stack(runs(made(tmp_path, **usual, factors={"activation": [word]}))).seconds for word in ("relu", "mine")
    )
    sgd, plain = (
        make_stack(runs(made(tmp_path, **usual, factors={"optimizer": [word]}))).seconds for word in ("sgd", "plain")
    )
    assert mine > 1.5 * relu
    assert plain > sgd
