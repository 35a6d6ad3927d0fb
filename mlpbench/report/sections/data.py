"""The section "Data": what became of a table of the user's own, from its columns to the inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence

from mlpbench.base.escapes import Markdown, bullets, markdown
from mlpbench.data.dataset import DataFacts
from mlpbench.data.table.description import COLUMN_HEAD, class_head, class_rows, column_rows, remarks, summary
from mlpbench.evidence.estimates.observe import OK
from mlpbench.report.context import Context
from mlpbench.report.section import Section, blocks, paragraph, table

FOLD = "Rows, columns and classes, and how they became inputs."
# More tables than this have their columns and classes in sentences.
MOST_TABLES = 3


def section(context: Context) -> Section | None:
    """Return rows, inputs, columns, classes and notes; None of data that have a name or are synthetic: nothing was done to them.

    A folder of an earlier release has no profile of its table: rows and notes alone are known.
    """
    tables = [facts for facts in context.experiment.facts if facts.profile is not None or facts.notes]
    if not tables:
        return None
    said = _of_many(tables) if len(tables) > MOST_TABLES else blocks(*map(_of_table, tables))
    return Section(title="Data", sentences=said, notes=_predictions(context), fold=FOLD)


def _of_many(tables: Sequence[DataFacts]) -> Markdown:
    """Return what became of many data sets: a list entry for each, with its columns and classes in sentences."""
    return bullets(Markdown(" ").join(part for part in _in_sentences(facts) if part) for facts in tables)


def _in_sentences(facts: DataFacts) -> list[str]:
    notes = [f"{note[:1].upper()}{note[1:]}." for note in facts.notes]
    if facts.profile is None:
        return [f"{summary(facts)}.", *notes]
    profile = facts.profile.cut()
    columns = "; ".join(
        ", ".join(filter(None, [name, kind, gaps and f"{gaps} gaps", f"{inputs} input{'s' * (inputs != '1')}"]))
        + (f": {becomes}" if becomes else "")
        for name, kind, gaps, inputs, becomes in column_rows(profile)
    )
    head = class_head(facts)[1:]
    classes = "; ".join(
        f"{name}: {', '.join(f'{n} {part}' for n, part in zip(counts, head, strict=True))}"
        for name, *counts in (class_rows(facts, profile) if facts.class_names else [])
    )
    return [
        f"{summary(facts)}.",
        *(f"{_capital(remark)}." for remark in remarks(profile)),
        f"Columns: {columns}.",
        f"Classes: {classes}." if classes else "",
        *notes,
    ]


def _of_table(facts: DataFacts) -> Markdown:
    notes = "\n".join(f"- {markdown(note)}" for note in facts.notes)
    if facts.profile is None:
        return blocks(markdown(f"{summary(facts)}."), Markdown(notes))
    profile = facts.profile.cut()
    said = paragraph(*(f"{sentence}." for sentence in (summary(facts), *map(_capital, remarks(profile)))))
    columns = table(COLUMN_HEAD, column_rows(profile), "llrrl")
    head = class_head(facts)
    classes = table(head, class_rows(facts, profile), "l" + "r" * (len(head) - 1)) if facts.class_names else ""
    return blocks(markdown(said), columns, classes, Markdown(notes))


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _predictions(context: Context) -> str:
    """Say how new rows are predicted, by a run of the condition with the best outcome that finished; nothing of several tables."""
    if context.experiment.varies_data:
        return ""
    runs = context.observed
    runs = runs[(runs["position"] == context.best) & (runs["status"] == OK)]
    if context.best is None or runs.empty or context.conditions[context.best].data.profile is None:
        return ""
    run = runs.sort_values("replicate").iloc[0]
    which = f"replicate {run['replicate']} of {context.conditions[context.best].label}"
    return blocks(
        f"New rows are predicted by any run. With {which}, the condition with the best mean test {context.measure}:",
        Markdown(
            f"```sh\nmlpbench export {run['run_id'][:8]} model.safetensors\nmlpbench predict model.safetensors TABLE\n```"
        ),
    )
