"""What a run would train, and what its claims would detect, before anything is trained: for Python code, as `mlpbench plan` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from mlpbench.base.errors import InputError
from mlpbench.base.escapes import printable
from mlpbench.experiment.grid import unused_settings
from mlpbench.experiment.spec import Experiment
from mlpbench.jobs.inventory import Inventory, PlanSummary, take_inventory
from mlpbench.jobs.options import Options
from mlpbench.jobs.planning.anytime_budget import within_budget
from mlpbench.results.folder_check import FolderCheck, check_folder
from mlpbench.results.registration import planned_registration
from mlpbench.results.seal import SPEC
from mlpbench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from mlpbench.jobs.planning.detectable import Detectable

# The table of claims: what each comes down to, and what the planned replicates detect of it.
CLAIM_COLUMNS: dict[str, Any] = {
    "claim": object,
    "says": object,
    "formula": object,
    "detects": float,
    "fewest": "Int64",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Plan:
    """What a run would do; nothing was written.

    Attributes:
        experiment: what is asked.
        summary: conditions, runs by what the results folder has of them, stacks, floating-point operations, expected seconds, memory.
        said: what is to be known of folder, data and settings.
        inventory: what the results folder has of each run.
        detectable: what the planned replicates detect; None where there are no claims.

    """

    experiment: Experiment
    summary: PlanSummary
    said: tuple[str, ...]
    inventory: Inventory
    detectable: Detectable | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known before a run, of runs that are outdated too."""
        return tuple(dict.fromkeys([*self.said, *self.inventory.outdated_lines()]))

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """One row a condition: its label and its levels."""
        import pandas as pd

        rows = [{"condition": c.label, **c.levels} for c in self.inventory.conditions]
        return pd.DataFrame(rows).drop(columns="label", errors="ignore")

    @cached_property
    def claims(self) -> pd.DataFrame:
        """One row a claim: its formula, and the effect that the planned replicates detect with 80% power.

        `detects` is in standard deviations over replicates, missing where that is not foreseen. `fewest` is how many replicates could
        decide the claim, where the planned ones can't.
        """
        import pandas as pd

        found = self.detectable
        rows: list[dict[str, Any]] = []
        for claim in self.experiment.claims if found is not None else ():
            few = found.too_few.get(claim.id) if found else None
            rows.append(
                {
                    "claim": claim.id,
                    "says": claim.says,
                    "formula": found.tests[claim.id].hypothesis.wording.formula if found else "",
                    "detects": found.sds[claim.id] if found and few is None else None,
                    "fewest": None if few is None else few.least,
                }
            )
        return pd.DataFrame({n: pd.Series([r[n] for r in rows], dtype=kind) for n, kind in CLAIM_COLUMNS.items()})

    def __repr__(self) -> str:
        s = self.summary
        return f"Plan({s.experiment}: {s.missing} of {s.runs} runs to train, about {s.seconds:.0f} s with {s.workers} workers)"

    def _repr_html_(self) -> str:
        """Return the summary and the claims as tables."""
        import pandas as pd

        parts = [pd.Series(self.summary.to_json(), name="").astype(str).to_frame().to_html(header=False)]
        if self.experiment.claims:
            parts.append(self.claims.to_html(index=False, na_rep="-"))
        parts += [f"<p>{escape(printable(note))}</p>" for note in self.notes]
        return "\n".join(parts)


def plan(experiment: Experiment, options: Options, found: FolderCheck | None = None) -> Plan:
    """Return what a run would do; raise InputError where the results folder can't be read. `found` is what is wrong with its files."""
    store = Store(options.results / experiment.name)
    if found is None:
        found = check_folder(store, experiment)
    if records := [message for path, message in found.records.items() if path != store.folder / SPEC]:
        raise InputError("\n".join(records))
    experiment = within_budget(experiment, store, options)
    inventory = take_inventory(experiment, store, options)
    detects: Detectable | None = None
    if experiment.claims:
        from mlpbench.jobs.planning.detectable import detectable  # scipy takes a while to load

        readable = store.folder / SPEC not in found.records
        registration = planned_registration(store, experiment, inventory.conditions, spec=readable)
        detects = detectable(experiment, inventory.conditions, registration)
    of_files = [*found.records.values(), *found.tables.values(), *found.of_report.values(), *found.notes]
    said = [*of_files, *experiment.data_notes, *unused_settings(experiment, inventory.conditions)]
    return Plan(
        experiment=experiment,
        summary=inventory.summary(options),
        said=tuple(dict.fromkeys(said)),
        inventory=inventory,
        detectable=detects,
    )
