"""The types of settings, levels and claims in Python, made of the JSON Schema: `mlpbench/experiment/file/keyword_types.py`.

python tests/helpers/keyword_types.py     write the module anew; a test compares it with what would be written
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlpbench.experiment.file.json_schema import schema

MODULE = Path(__file__).parents[2] / "mlpbench" / "experiment" / "file" / "keyword_types.py"
HEAD = '''"""What `mlpbench.Experiment` takes under fixed, factors, nuisance and claims, so that editors complete it.

Made of the settings and of the forms of claims by `tests/helpers/keyword_types.py`: change those, and write it anew. Beside these types the
keywords take any mapping: what is wrong with one is said when the experiment is made, as of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

'''
PLAIN = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "null": "None"}


def module() -> str:
    """Return the text of the module, as ruff lays it out."""
    whole = schema()
    shapes, forms = whole["$defs"], whole["$defs"]["Claim"]["oneOf"]
    names = [name.removeprefix("setting.") for name in shapes if name.startswith("setting.")]
    aliases = [f"{alias(n)}: TypeAlias = {of(shapes.get(f'own.{n}', shapes[f'setting.{n}']), shapes)}" for n in names]
    aliases.append(f"Metric: TypeAlias = {of(shapes['Metric'], shapes)}")
    parts = [
        "\n".join(aliases),
        typed_dict(
            "Settings",
            "One value for each setting that is named.",
            ((n, alias(n), shapes[f"setting.{n}"]["description"]) for n in names),
            total=False,
        ),
        typed_dict(
            "Levels",
            "Several values for each setting that is named.",
            [
                *((n, f"Sequence[{alias(n)}]", "") for n in names),
                ("dataset", "Sequence[str | Mapping[str, Any]]", "Data sets, as names or with options."),
                ("zip", "Mapping[str, Sequence[Any]]", "Settings that vary together."),
                ("conditions", "Sequence[Mapping[str, Any]]", "Whole conditions, each with a label."),
            ],
            total=False,
        ),
        typed_dict(
            "Selector",
            shapes["Selector"]["description"],
            ((name, "str", "") for name in shapes["Selector"]["propertyNames"]["enum"] if name not in names),
            base="Settings",
            total=False,
        ),
    ]
    claims = [form for one in forms for form in one["required"]]
    for name in ["Term", *(form.capitalize() for form in claims)]:
        shape = shapes[name]
        needed = set(shape["required"])
        parts.append(typed_dict(name, shape["description"], fields(shape, needed, shapes)))
    claim = shapes["Claim"]
    parts.append(typed_dict("Claim", claim["description"], fields(claim, {"id", "says"}, shapes)))
    return laid_out(HEAD + "\n\n\n".join(parts) + "\n")


def fields(shape: Mapping[str, Any], needed: set[str], shapes: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the keys of an object with their types and what they mean."""
    for name, part in shape["properties"].items():
        kind = of(part, shapes)
        yield name, kind if name in needed else f"NotRequired[{kind}]", part["description"]


def typed_dict(
    name: str, about: str, keys: Iterable[tuple[str, str, str]], *, base: str = "TypedDict", total: bool = True
) -> str:
    """Return a class of keys, each with its meaning below it; in the form of a call where a key is a word of Python."""
    about, keys = about.partition("\n")[0], list(keys)
    if any(key == "and" for key, _, _ in keys):
        lines = [f"# {about}", f"{name} = TypedDict(", f"    {name!r},", "    {"]
        return "\n".join([*lines, *(f"        {key!r}: {kind!r}," for key, kind, _ in keys), "    },", ")"])
    lines = [f"class {name}({base}{'' if total else ', total=False'}):", f'    """{about}"""', ""]
    for key, kind, meaning in keys:
        lines.append(f"    {key}: {kind}")
        if meaning:
            lines.append(f"    {doc(meaning)}")
    return "\n".join(lines)


def doc(meaning: str) -> str:
    """Return a meaning as a string below a key, where editors look for it."""
    return f'"""{meaning[:1].upper()}{meaning[1:]}{"" if meaning.endswith(".") else "."}"""'


def alias(setting: str) -> str:
    """Return the name of the type of a setting: `Activation`, `BatchSize`."""
    return "".join(word.capitalize() for word in setting.split("_"))


def of(shape: Mapping[str, Any], shapes: Mapping[str, Any]) -> str:
    """Return the type of what a part of the schema takes."""
    if ref := str(shape.get("$ref", "")).removeprefix("#/$defs/"):
        return ref if ref[:1].isupper() else of(shapes[ref], shapes)
    if "enum" in shape:
        return f"Literal[{', '.join(map(repr, shape['enum']))}]"
    if "const" in shape:
        return f"Literal[{shape['const']!r}]"
    if parts := shape.get("anyOf"):
        return united(dict.fromkeys(kind for part in parts for kind in of(part, shapes).split(" | ")))
    if shape.get("type") == "array":
        return f"Sequence[{of(shape['items'], shapes)}]"
    if shape.get("type") == "object":
        keys = f"Literal[{', '.join(map(repr, shape['properties']))}]" if "properties" in shape else "str"
        return f"Mapping[{keys}, Any]"
    return PLAIN[shape["type"]]


def united(kinds: Iterable[str]) -> str:
    """Return a union, in which mappings with one of several keys are one mapping."""
    keys = [
        kind.removeprefix("Mapping[Literal[").partition("]")[0] for kind in kinds if kind.startswith("Mapping[Literal[")
    ]
    others = [kind for kind in kinds if not kind.startswith("Mapping[Literal[")]
    words = dict.fromkeys(word for key in keys for word in key.split(", "))
    return " | ".join([*others, *([f"Mapping[Literal[{', '.join(words)}], Any]"] if words else [])])


def laid_out(text: str) -> str:
    """Return a module as the formatter leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "-", "--stdin-filename", str(MODULE)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    MODULE.write_text(module())
