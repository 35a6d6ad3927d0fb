"""The section "Data": what became of a table of the user's own, from its columns to the inputs of a network."""

from __future__ import annotations

from mlpbench.base.escapes import Markdown, markdown
from mlpbench.data.dataset import DataFacts
from mlpbench.data.table.description import COLUMN_HEAD, class_head, class_rows, column_rows, remarks, summary
from mlpbench.evidence.estimates.observe import OK
from mlpbench.report.context import Context
from mlpbench.report.section import Section, blocks, paragraph, table


def section(context: Context) -> Section | None:
    """Return rows, inputs, columns, classes and notes; None of data that have a name or are synthetic: nothing was done to them.

    A folder of an earlier release has no profile of its table: rows and notes alone are known.
    """
    tables = [facts for facts in context.experiment.facts if facts.profile is not None or facts.notes]
    if not tables:
        return None
    return Section(title="Data", sentences=blocks(*map(_of_table, tables)), notes=_predictions(context))


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
