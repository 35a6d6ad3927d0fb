"""The reference: settings, keys, claims, metrics, data sets and words, in the words of `mlpbench explain`, schema and help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mlpbench.base.escapes import Markdown, code
from mlpbench.experiment.file import glossary, key_meanings
from mlpbench.experiment.file.glossary import Entry
from mlpbench.report.section import table
from site_pages.prose import anchor, block, codes, facts, page, prose, sentence

FROM = "This page is made from the text that `mlpbench explain`, the JSON Schema of editors and error messages have."


def pages() -> Mapping[str, str]:
    """Return the pages of the reference by their paths."""
    groups = glossary.groups()
    return {
        "settings.md": _settings(groups),
        "experiment_file.md": _experiment_file(groups),
        "claim_forms.md": _claims(groups),
        "metrics.md": _metrics(groups),
        "data_sets.md": _data_sets(groups),
        "words.md": _words(groups),
    }


def _settings(groups: Mapping[str, Sequence[Entry]]) -> str:
    entries = groups["settings"]
    rows = [[_link(e.name), prose(e.meaning), prose(e.values), code(e.default) if e.default else ""] for e in entries]
    head = ["setting", "what it is", "values", "default"]
    lead = (
        "A setting stands under `fixed` with one value, under `factors` with several to compare, or under `nuisance` with "
        "several to choose from by validation. Those that are left out have their defaults."
    )
    return page("Settings", lead, FROM, "## All settings", table(head, rows, "llll"), *map(_section, entries))


def _experiment_file(groups: Mapping[str, Sequence[Entry]]) -> str:
    parts: list[str] = []
    below: dict[str, list[Entry]] = {}
    for entry in groups["keys under other keys"]:
        below.setdefault(entry.kind.removeprefix("key under "), []).append(entry)
    for entry in groups["keys of an experiment file"]:
        parts.append(_section(entry))
        if under := below.pop(entry.name, []):
            parts.append(f"Under `{entry.name}`:")
            parts.append(_key_table(under))
    for above, under in below.items():
        parts += [f"## Under {above}", f"Of the setting [{above}](settings.md#{anchor(above)}):", _key_table(under)]
    streams = [e for e in groups["random streams and shifts"] if e.kind == "random stream"]
    shifts = [e for e in groups["random streams and shifts"] if e.kind != "random stream"]
    parts += ["## Random streams", "Each may be named under `vary`.", _meaning_table(streams, "stream")]
    parts += ["## Shifts of the test set", "Each may be named under `shifts`, with severities."]
    parts.append(table(["shift", "what it does", "severity"], [_row(e) for e in shifts], "lll"))
    lead = "An experiment is a YAML file with these keys. [Write an experiment](../experiments.md) shows them in use."
    return page("Keys of an experiment file", lead, FROM, *parts)


def _claims(groups: Mapping[str, Sequence[Entry]]) -> str:
    parts = ["## Keys of every claim"]
    parts.append(_key_table([e for e in groups["keys of claims"] if e.kind == "key of a claim"]))
    for entry in groups["forms of claims"]:
        keys = key_meanings.keys_of(entry.name)
        of_form = [
            next(e for e in groups["keys of claims"] if e.name == name and entry.name in _forms_of(e)) for name in keys
        ]
        parts += [
            f"## {entry.name}",
            sentence(entry.meaning),
            block(_as_lines(entry.example), "yaml"),
            _key_table(of_form),
        ]
    verdicts = [e for e in groups["words of results"] if e.kind == "verdict"]
    parts += ["## Verdicts", _meaning_table(verdicts, "verdict")]
    lead = (
        "A claim has an `id`, a sentence, and one of the forms below. [Claims](../claims.md) says how each is judged, "
        "[statistics](../statistics.md) how far that is to be trusted."
    )
    return page("Forms of claims", lead, FROM, *parts)


def _metrics(groups: Mapping[str, Sequence[Entry]]) -> str:
    rows = [[code(e.name), prose(e.meaning), prose(e.values)] for e in groups["metrics"]]
    of_layers = [
        [code(e.name), prose(e.meaning), prose(e.values.partition(";")[0])] for e in groups["metrics of layers"]
    ]
    head = ["metric", "what it is", "unit, and which way is better"]
    lead = (
        "Any of these may stand in a claim as `metric: NAME`, and is a column of the table `runs` or follows from others. "
        "[Claims](../claims.md#metrics) names those that are derived, such as `late_test_accuracy`."
    )
    layers = "Written `NAME[LAYER]` or `NAME[LAYER,EPOCH]`: a layer by number, or `first`, `last`, `out`, `mean`, `all`; an epoch of `probes`."
    parts = [
        "## Of a run",
        table(head, rows, "lll"),
        "## Of a layer",
        layers,
        table([*head[:2], "unit"], of_layers, "lll"),
    ]
    return page("Metrics", lead, FROM, *parts)


def _data_sets(groups: Mapping[str, Sequence[Entry]]) -> str:
    rows = [[code(e.name), prose(e.meaning), prose(e.values), _origin(e.source)] for e in groups["data sets"]]
    table_options = [e for e in groups["options of data sets"] if e.kind == "option of a data set"]
    synthetic = [e for e in groups["options of data sets"] if e.kind != "option of a data set"]
    lead = "What `dataset` may name, and what may stand beside the name or the file."
    parts = ["## Named data sets", table(["name", "title", "size", "from"], rows, "llll")]
    parts += [
        "## Options of tables",
        "Of a file of your own, or of a table that comes with the package.",
        _key_table(table_options),
    ]
    parts += ["## Options of data that are drawn", _key_table(synthetic, with_kind=True)]
    return page("Data sets and their options", lead, FROM, *parts)


def _words(groups: Mapping[str, Sequence[Entry]]) -> str:
    of_settings = [
        [code(e.name), code(e.kind.removeprefix("word of ")), prose(e.meaning), prose(e.source)]
        for e in groups["words of settings"]
    ]
    results = [e for e in groups["words of results"] if e.kind != "verdict"]
    modes = [
        [code(e.name), prose(e.meaning), codes(e.values.removeprefix("sets ").split(", "))]
        for e in groups["numerics modes"]
    ]
    parts = ["## Words of reports", _meaning_table(results, "word")]
    parts += ["## Words of settings", table(["word", "of", "what it is", "source"], of_settings, "llll")]
    parts += ["## Numerics modes", table(["mode", "what it promises", "sets"], modes, "lll")]
    return page("Words", "What a report, a plan or a setting says in one word.", FROM, *parts)


def _section(entry: Entry) -> str:
    """Return what is known of a name, under a heading of its own."""
    also = codes(glossary.other_names(entry.name))
    default = code(entry.default) if entry.default else ""
    listed = facts(
        [("values", entry.values), ("default", default), ("source", entry.source), ("other names for it", also)]
    )
    described = {word: meaning for word, meaning in entry.words.items() if meaning}
    words = table(["word", "meaning"], [[code(w), prose(m)] for w, m in described.items()], "ll") if described else ""
    example = block(entry.example, "yaml") if entry.example else ""
    return "\n\n".join(filter(None, [f"## {entry.name}", sentence(entry.meaning), listed, words, example]))


def _key_table(entries: Iterable[Entry], *, with_kind: bool = False) -> Markdown:
    """Return a table of keys, without the columns that say nothing of any of them."""
    rows = []
    for e in entries:
        values = Markdown("; ").join(filter(None, (prose(e.values), _choices(e.words))))
        of = [prose(e.kind.removeprefix("option of "))] if with_kind else []
        rows.append([code(e.name), *of, sentence(e.meaning), values, code(e.default) if e.default else ""])
    head = ["key", *(["of"] if with_kind else []), "what it is", "values", "default"]
    filled = [i for i in range(len(head)) if any(row[i] for row in rows)]
    return table([head[i] for i in filled], [[row[i] for i in filled] for row in rows], "l" * len(filled))


def _choices(words: Mapping[str, str]) -> Markdown:
    return Markdown("; ").join(Markdown("{}: {}").format(code(w), prose(m)) for w, m in words.items())


def _meaning_table(entries: Iterable[Entry], name: str) -> Markdown:
    return table([name, "meaning"], [[code(e.name), prose(e.meaning)] for e in entries], "ll")


def _as_lines(claim: str) -> str:
    """Return an example of a claim, which stands on one line, as a file has it."""
    inside = claim.removeprefix("claims: [{").removesuffix("}]")
    begin, form = inside.split(", says: ..., ", 1)
    return f"claims:\n  - {begin}\n    says: ...\n    {form}"


def _row(entry: Entry) -> list[str]:
    return [code(entry.name), prose(entry.meaning), prose(entry.values)]


def _forms_of(entry: Entry) -> list[str]:
    return entry.kind.removeprefix("key of ").split(", ")


def _origin(source: str) -> Markdown:
    """Return where a data set comes from, whether or not this machine has a copy of it."""
    words = [part for part in source.split(", ") if part != "here" and not part.startswith("not fetched yet")]
    if source.startswith("not fetched yet"):  # "not fetched yet, 12 MB from ADDRESS"
        words = [source.partition(" from ")[2]]
    plain = [word.removeprefix("from ") for word in words]
    return Markdown(", ").join(Markdown(f"<{w}>") if w.startswith("http") else prose(w) for w in plain)


def _link(name: str) -> Markdown:
    return Markdown(f"[`{name}`](#{anchor(name)})")
