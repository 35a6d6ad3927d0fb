"""The section "Provenance": what the runs were made of and with, how far they are reproducible, and how to reproduce them."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from mlpbench.base.environment import REACH, reach
from mlpbench.base.escapes import Markdown, code, printable
from mlpbench.experiment.plugins.plugin import COST, Plugin, train_with_pieces
from mlpbench.experiment.spec import Experiment
from mlpbench.report.context import PROVENANCE, Context
from mlpbench.report.section import Section, blocks, paragraph, table
from mlpbench.results.folders import GRADES, VerifiedRun

FOLD = "Versions, machine, digests, and the command that makes these runs again."
LOOPED = COST[:1].upper() + COST[1:] + "."


def section(context: Context) -> Section:
    """Return the versions and the machine the runs come from; where runs differ, every value with its count."""
    runs = context.runs
    facts = context.experiment.facts
    rows: list[list[str]] = [
        ["data", Markdown("{}, {}").format(data.title, code(data.fingerprint[:12]))] for data in facts
    ]
    rows += [["plugin", own_pieces(plugin)] for plugin in context.experiment.used_plugins]
    differing = []
    for name, column in PROVENANCE.items():
        if column == "env_gpu_libraries" and runs[column].isna().all():
            continue
        counts: dict[str, int] = {}
        for value, n in runs[column].value_counts(dropna=False).items():
            counts[_text(value)] = counts.get(_text(value), 0) + int(n)
        texts = sorted(counts)
        if len(texts) > 1:
            differing.append(name)
        shown = [f"{t} ({counts[t]} runs)" if len(texts) > 1 else t for t in texts]
        rows.append(
            [name, ", ".join(t[:12] if column == "env_commit" and len(texts) == 1 else t for t in shown) or "-"]
        )
    dirty = int(runs["env_dirty"].fillna(False).astype(bool).sum())
    if dirty:
        rows.append(["uncommitted changes", f"in {dirty} of {len(runs)} runs"])
    differ = ""
    if differing:
        differ = f"The runs differ in {', '.join(differing)}: numbers may not be comparable to the last digit."
    notes = blocks(
        differ,
        reproducibility(runs, context.verifications),
        LOOPED if train_with_pieces(context.experiment.used_plugins) else "",
        Markdown(f"Reproduce with:\n\n```sh\n{printable(command(runs) + plugin_options(context.experiment))}\n```"),
    )
    return Section(title="Provenance", table=table(["what", "value"], rows, "ll"), notes=notes, fold=FOLD)


def own_pieces(plugin: Plugin) -> Markdown:
    """Return the pieces of a plugin that are used, each with the digest of its code."""
    pieces = [Markdown("{} {}").format(f"{p.kind} {p.called}", code(p.digest)) for p in plugin.pieces]
    return Markdown("{}: {}").format(code(plugin.name), Markdown(", ").join(pieces))


def plugin_options(experiment: Experiment) -> str:
    """Return the options with the code that a folder's own spec does not have."""
    return "".join(f" --plugins {shlex.quote(plugin.name)}" for plugin in experiment.used_plugins)


def reproducibility(runs: pd.DataFrame, verified: Sequence[VerifiedRun]) -> str:
    """Say how far the bits of the runs are reproducible, and how far runs that were trained again agreed."""
    finished = runs[runs["status"] != "failed"]
    return paragraph(*_reach(finished), _verified(len(finished), verified))


def _reach(runs: pd.DataFrame) -> Iterator[Markdown]:
    """Yield for each mode on which processors its runs have the same bits, which depends on where they were trained."""
    for mode in sorted(set(runs["env_numerics"].dropna()) & set(REACH)):
        processors = runs.loc[runs["env_numerics"] == mode, "env_cpu"].dropna()
        where = ", and of other runs on ".join(sorted({reach(mode, str(cpu)) for cpu in processors})) or REACH[mode]
        said = Markdown("Numerics {}: with the same torch and thread count the same bits are expected on {}.")
        yield said.format(code(mode), where)


def _verified(total: int, entries: Sequence[VerifiedRun]) -> str:
    if not entries:
        return Markdown("No run has been verified yet; `mlpbench verify` trains runs again and compares them.")
    grades = Counter(e.grade for e in entries)
    places = Counter(f"{e.cpu or 'an unknown processor'}, torch {e.torch or 'unknown'}" for e in entries)
    where = "; ".join(place for place, _ in sorted(places.items()))
    counts = ", ".join(f"{grades[g]} {g}" for g in GRADES if grades[g])
    return f"Verified: {len(entries)} of {total} runs were trained again, alone ({where}): {counts}."


def command(runs: pd.DataFrame) -> str:
    """Return the command that trains the runs again from the folder's own spec, with the options that bits depend on."""
    parts = ["mlpbench run spec.yaml --results again"]
    for option, column, usual in (("numerics", "env_numerics", "fast"), ("threads", "env_threads", 1)):
        values = sorted(runs[column].dropna().unique())
        if len(values) == 1 and values[0] != usual:
            parts.append(f"--{option} {_text(values[0])}")
    return " ".join(parts)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value)
