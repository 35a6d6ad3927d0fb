"""Files to begin with: `mlpbench new` writes an experiment with comments, which runs as it is, and the schema for editors.

A template is a file in `templates/` with places such as `@name`. What goes into them follows from the data: those of the
template, or a table of the user's own, of which comments say how it was read.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mlpbench.base.errors import InputError
from mlpbench.base.files import write_whole
from mlpbench.base.models import SpecProblem, shown, suggestion
from mlpbench.data.data_sets import DATA_SETS, table_of
from mlpbench.data.dataset import DataFacts
from mlpbench.data.table.description import column_rows, remarks, summary
from mlpbench.experiment.file import yaml_reader
from mlpbench.experiment.file.flow_text import flow
from mlpbench.experiment.file.json_schema import schema
from mlpbench.jobs.first_steps import TEMPLATES

SCHEMA_FILE = "mlpbench.schema.json"
OWN_DATA, REPLICATE = "own-data", "replicate"
# The table that comes along where a template is about one and none is named.
EXAMPLE_TABLE, EXAMPLE_TARGET = "penguins", "species"
# Columns of a table that a comment describes; `mlpbench data describe` has all.
# Columns that a message names, and how many of them are the last, where a target often stands.
MOST_COLUMNS, LAST_COLUMNS = 12, 3
WIDTH = 118
# Rows up to which a table is trained in small batches, for many epochs.
SMALL = 2000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_PLACE = re.compile(r"@([a-z_]+)")


@dataclass(frozen=True, kw_only=True)
class StarterFiles:
    """What `new` writes: the experiment, and all files by their paths."""

    path: Path
    content: Mapping[Path, bytes]


def starter_files(name: str, template: str | None, data: Path | None, target: str | None) -> StarterFiles:
    """Return the files of a new experiment in the current folder; raise InputError for wrong input, and where a file exists.

    Args:
        name: of the experiment, with or without `.yaml`.
        template: one of `TEMPLATES`; by default `own-data` where there are data, else `compare`.
        data: a table: a file, or the name of one that comes with mlpbench.
        target: the target column of that table.

    """
    name = re.sub(r"\.ya?ml$", "", name, flags=re.IGNORECASE)
    if not _NAME.fullmatch(name):
        rule = (
            "the name of an experiment must be a word of at most 100 letters, digits, '_' and '-'"
            + ", the first of which is no '-'" * name.startswith("-")
        )
        raise InputError(f"{rule}, got {shown(name)}; the file is written into the current folder")
    template = template or ("compare" if data is None else OWN_DATA)
    if template not in TEMPLATES:
        rule = f"--template must be one of {', '.join(TEMPLATES)}"
        raise InputError(f"{rule}, got {shown(template)}{suggestion(template, TEMPLATES)}")
    if target is not None and data is None:
        raise InputError(f"--target names a column of --data FILE, got {shown(target)} alone")
    if data is not None and template == REPLICATE:
        others = ", ".join(t for t in TEMPLATES if t != REPLICATE)
        raise InputError(
            f"--data goes with the templates {others}; replicate is about published numbers on data of theirs"
        )
    path, table = Path(f"{name}.yaml"), Path(f"{name}.csv")
    content: dict[Path, bytes] = {}
    if template == OWN_DATA and data is None:
        content[table] = resources.files("mlpbench.data.table_pack").joinpath(f"{EXAMPLE_TABLE}.csv").read_bytes()
    for file in (path, *content):
        if file.exists() or file.is_symlink():
            raise InputError(f"the file exists: {file}; `mlpbench new` overwrites none: choose another name")
    described = data if data is not None else Path(EXAMPLE_TABLE) if template == OWN_DATA else None
    wanted = target if data is not None else EXAMPLE_TARGET if template == OWN_DATA else None
    facts = _facts(described, wanted) if described is not None else _bundled(template)
    own = table if content else data
    text = _filled(name, template, facts, own, target if data is not None else EXAMPLE_TARGET)
    content = {path: text.encode(), **content}
    if (of_editors := _schema_file()) is not None:
        content[Path(SCHEMA_FILE)] = of_editors
    return StarterFiles(path=path, content=content)


def write(files: StarterFiles) -> None:
    """Write all of the files, and read the experiment again; raise MachineError where the disk refuses."""
    for path, content in files.content.items():
        write_whole(path, content)
    yaml_reader.read(files.path)


def _schema_file() -> bytes | None:
    """Return the schema for editors, None where it is there; raise InputError where another file has its name."""
    content, path = json.dumps(schema(), ensure_ascii=False).encode() + b"\n", Path(SCHEMA_FILE)
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        return content
    except OSError as error:
        raise InputError(f"{path} must be a file that can be read, got '{error.strerror}'") from None
    if before == content:
        return None
    try:  # of another release
        ours = json.loads(before).get("title") == schema()["title"]
    except (ValueError, AttributeError):
        ours = False
    if not ours:
        raise InputError(f"{path} is needed for the schema, and is another file: move it away")
    return content


def _facts(table: Path, target: str | None) -> DataFacts:
    """Return how a table is read; raise InputError, with the columns where the target is not named."""
    try:
        options = {} if target is None else {"target": yaml_reader.parsed(f"target={target}").value}
        return table_of(table, options).facts
    except SpecProblem as problem:
        message = problem.message
        if str(table) not in DATA_SETS and not table.exists():
            raise InputError(f"--data: file not found: {table}") from None
        if target is None and "no target" in message:
            columns = _columns(table)
            message = f"--data {table} needs --target, the column to predict{columns}"
        raise InputError(message) from None


def _columns(table: Path) -> str:
    """Return `: one of a, b, c` for the columns of a table, of many the first and the last, nothing where that can't be said."""
    try:
        profile = table_of(table, {"target": -1}).facts.profile
    except (SpecProblem, InputError):
        return ""
    if profile is None:
        return ""
    names = [*(c.name for c in profile.columns), *profile.left_out, profile.target]
    if len(names) > MOST_COLUMNS:
        names = [*names[: MOST_COLUMNS - LAST_COLUMNS], "...", *names[-LAST_COLUMNS:]]
    return f": one of {', '.join(names)}"


def _bundled(template: str) -> DataFacts:
    return DATA_SETS["mnist1d" if template == REPLICATE else "digits"].facts


def _filled(name: str, template: str, facts: DataFacts, own: Path | None, target: str | None) -> str:
    """Return a template with its places filled in."""
    text = resources.files("mlpbench.jobs.first_steps").joinpath("templates", f"{template}.yaml").read_text()
    classes, small = facts.n_classes is not None, facts.n_train <= SMALL
    predicted = facts.profile.target if facts.profile is not None else "the class"
    examples = "images" if own is None else "rows"
    of_accuracy = (
        f"The share of test {examples} that are predicted correctly; the usual margin, 0.002, has to be passed."
    )
    of_error = f"The root mean squared error on test {examples}, in units of the target."
    places = {
        "about": _about(name),
        # What begins with a digit YAML may read as a number.
        "name": f"'{name}'" if name[0].isdigit() else flow(name),
        "dataset": _dataset(facts, own, target),
        "lr": "0.1" if classes else "0.05",
        "batch": "32" if small else "256",
        "epochs": "20" if small else "5",
        "metric": "test_accuracy" if classes else "test_rmse",
        "metric_words": of_accuracy if classes else of_error,
        "better": "greater" if classes else "less",
        "examples": examples,
        "target": _in_text(predicted),
        "linear": "softmax regression" if classes else "linear regression",
    }
    filled = _PLACE.sub(lambda found: places[found[1]], text)
    return f"# yaml-language-server: $schema={SCHEMA_FILE}\n{filled}"


def _in_text(target: str) -> str:
    """Return the name of a column as a sentence of YAML may have it: what YAML would read otherwise is left out."""
    return (
        target
        if re.fullmatch(r"[\w .()-]{1,40}", target) and ": " not in target and " #" not in target
        else "the target"
    )


def _about(name: str) -> str:
    lines = [
        f"# Train and judge it:   mlpbench run {name}.yaml      What that takes:   mlpbench plan {name}.yaml",
        "# What a word means:   mlpbench explain replicates      Other templates:   mlpbench new --help",
    ]
    return "\n".join(lines)


def _dataset(facts: DataFacts, own: Path | None, target: str | None) -> str:
    """Return the key `dataset`, below comments that say what the data are and how they are read."""
    if own is None:
        target_words = f"{facts.n_classes} classes" if facts.n_classes else "a number"
        size = f"{facts.n_train} examples to train on and {facts.n_test} to test on, {target_words}"
        about = f"{facts.title}, which comes with mlpbench: {size}. A table of your own: --data FILE --target COLUMN."
        return "\n".join([*_commented(about), f"dataset: {facts.name}"])
    said = [
        "How the table is read (`mlpbench data describe` says all of it):",
        str(own) + summary(facts).removeprefix(facts.name),
    ]
    if facts.profile is not None:
        rows = column_rows(facts.profile)
        said += [f"  {name} ({kind}): {becomes}" for name, kind, _, _, becomes in rows[:MOST_COLUMNS]]
        said += [f"  and {len(rows) - MOST_COLUMNS} more columns"] * (len(rows) > MOST_COLUMNS)
        said += remarks(facts.profile)
    said += [note.partition(": ")[2] or note for note in facts.notes]
    comments = [line for text in said for line in _commented(text)]
    named = {} if target is None else {"target": yaml_reader.parsed(f"target={target}").value}
    if str(own) in DATA_SETS:
        dataset: Any = {"name": str(own), **named} if named else str(own)
    else:
        dataset = {"file": str(own), **named, "test": 0.2}
    return "\n".join([*comments, f"dataset: {flow(dataset)}"])


def _commented(text: str) -> list[str]:
    """Return a text as lines of comments; what a table has put into it may break no line."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    indent = "  " * plain.startswith("  ")
    wrapped = textwrap.wrap(plain.strip(), WIDTH - 2 - len(indent), break_on_hyphens=False)
    return [f"# {indent}{'  ' * (i > 0 and bool(indent))}{line}" for i, line in enumerate(wrapped)]
