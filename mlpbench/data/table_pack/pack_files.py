"""`facts.json` and `NOTICE.md` beside the tables, made from the entries and the tables: `python -m mlpbench.data.table_pack.pack_files`.

To add a table, add its csv file and its entry, and run the command; a test compares both files with what it would write.
"""

from __future__ import annotations

import json

from mlpbench.data.table.table_data import read_options
from mlpbench.data.table_pack.pack_entries import ENTRIES, LICENCES, PackEntry
from mlpbench.data.table_pack.pack_table import FACTS, FOLDER

NOTICE = FOLDER / "NOTICE.md"
_HEAD = """# Tables that come with mlpbench

The code of mlpbench has the licence MIT. Each table of this folder has the licence that stands with it, and its makers are to
be cited. None of them endorses mlpbench.
"""


def facts_json() -> str:
    """Return the facts of all tables as JSON, from reading them."""
    read = {entry.name: read_options({"file": entry.file, "target": entry.target}, FOLDER) for entry in ENTRIES}
    facts = {name: data.file_facts.model_dump(exclude_none=True, exclude_defaults=True) for name, data in read.items()}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def notice() -> str:
    """Return sources, licences and changes of all tables as text."""
    terms = "\n".join(f"- {licence}: {text}" for licence, text in LICENCES.items())
    return "\n".join([_HEAD, terms, "", *map(_section, ENTRIES)])


def _section(entry: PackEntry) -> str:
    lines = (
        f"## {entry.file}",
        "",
        f"{entry.title}: {entry.about}",
        "",
        f"- Source: {entry.citation}, {entry.url}",
        f"- Copied from: {entry.copied_from}",
        f"- Licence: {entry.licence}",
        f"- Changed: {entry.changes}",
        "",
    )
    return "\n".join(lines)


def main() -> None:
    """Write both files, and print what changed.

    A table with other values, or that is read in another way, has another fingerprint: runs on it are other runs from then on.
    """
    for path, text in ((FACTS, facts_json()), (NOTICE, notice())):
        changed = not path.exists() or path.read_text("utf-8") != text
        path.write_text(text, "utf-8")
        print(f"{path.name}: {len(ENTRIES)} tables, {'written anew' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
