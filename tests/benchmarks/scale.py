"""The table of docs/scale.md: what breaks first of 10^4, 10^6 and 10^8 runs on 2, 1,000 and 100,000 cores.

    python tests/benchmarks/driver_load.py --runs N --runs-a-stack M    a few of its objects are the list in driver_costs.json
    python tests/benchmarks/scale.py                                    write the table into docs/scale.md

Every number follows from that list, from what the plan expects training to take, and from the size of the test set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlpbench.data.data_sets import lookup

HERE = Path(__file__).resolve().parent
COSTS, PAGE = HERE / "driver_costs.json", HERE.parents[1] / "docs" / "scale.md"
BEGINS, ENDS = "<!-- made by tests/benchmarks/scale.py -->\n", "<!-- end -->\n"
RUNS, CORES = (10**4, 10**6, 10**8), (2, 1_000, 100_000)
# The run that is reckoned with: one of experiments/width.yaml, of a middle width.
WIDTH = 256
DAY, GIB = 86_400.0, 2**30
# A machine that is easily had, and how long one waits.
MEMORY, DISK, PATIENCE = 64 * GIB, 4 * 1024 * GIB, 30 * DAY


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a run costs: seconds of a core to train, and of the driver; bytes of its memory and of disk.

    The driver has a part for each outcome and one for each stack, of `runs_a_stack` as the plan has them, and waits for the disk
    so often and so long. `base` is its memory without any run.
    """

    train: float
    runs_a_stack: float
    outcome: float
    stack: float
    report: float
    memory: float
    base: float
    disk: float

    @property
    def drive(self) -> float:
        """Seconds of the driver before the report."""
        return self.outcome + self.stack / self.runs_a_stack


def costs(measured: Sequence[Mapping[str, Any]]) -> Costs:
    """Return the costs: of a run and of a stack those of the driver's seconds that fit best, of a run its last byte of memory."""
    plain = sorted(measured, key=lambda m: (m["runs"], m["stacks"]))
    few, many = plain[0], plain[-1]
    more = many["runs"] - few["runs"]
    driven = np.array([sum(m["seconds"].values()) - m["seconds"]["report"] for m in plain])
    counts = np.array([(1.0, m["runs"], m["stacks"]) for m in plain])
    # Each measurement weighs the same, whatever its size.
    (_, outcome, stack), *_ = np.linalg.lstsq(counts / driven[:, None], np.ones(len(plain)), rcond=None)
    train, runs_a_stack = training()
    return Costs(
        train=train,
        runs_a_stack=runs_a_stack,
        outcome=float(outcome),
        stack=float(stack),
        report=(many["seconds"]["report"] - few["seconds"]["report"]) / more,
        memory=(many["memory"] - few["memory"]) / more,
        base=float(few["memory"]),
        # Of each test image a class, and a count of how often it was right, as if nothing of that could be compressed.
        disk=(many["bytes"] - few["bytes"]) / more + 2 * lookup("fashion_mnist").facts.n_test,
    )


def training() -> tuple[float, float]:
    """Return the seconds of one core that the plan expects a run to take, and how many runs its stacks have."""
    from mlpbench.experiment import grid
    from mlpbench.experiment.file import yaml_reader
    from mlpbench.experiment.plan import plan

    spec = yaml_reader.read(HERE.parents[1] / "experiments" / "width.yaml")
    runs = [run for run in grid.runs(spec) if run.settings.width == WIDTH]
    stacks = plan(runs, workers=2, memory=8 * GIB)
    return sum(s.seconds for s in stacks) / len(runs), len(runs) / len(stacks)


def table(c: Costs) -> str:
    """Return the table: a row for each number of runs and of cores."""
    lines = [
        "| runs | cores | training alone | driver alone | cores kept busy | driver's memory | disk | report | what breaks first |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for n in RUNS:
        for cores in CORES:
            train, drive = n * c.train / min(cores, n), n * c.drive
            busy = train / max(train, drive)
            memory, disk, report = c.base + n * c.memory, n * c.disk, n * c.report
            first = breaks(cores=cores, runs=n, train=train, drive=drive, memory=memory, disk=disk)
            cells = [
                *(f"{n:,}", f"{cores:,}", time(train), time(drive), f"{min(n, cores) / cores * busy:.0%}"),
                *(size(memory), size(disk), time(report), first),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def breaks(*, cores: int, runs: int, train: float, drive: float, memory: float, disk: float) -> str:
    """Return what gives way first, in the order in which it shows: in the plan, while training, at the end."""
    reasons = {
        f"memory: over {size(MEMORY)}": memory > MEMORY,
        "the driver: it stores slower than cores train": drive > train,
        f"patience: over {time(PATIENCE)}": max(train, drive) > PATIENCE,
        f"disk: over {size(DISK)}": disk > DISK,
        "too few runs for the cores": runs < cores,
    }
    return next((why for why, true in reasons.items() if true), "nothing")


def time(seconds: float) -> str:
    """Return a time in words."""
    for unit, of in (("days", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * of:
            return f"{two_digits(seconds / of)} {unit}"
    return f"{two_digits(seconds)} s"


def size(of: float) -> str:
    """Return a number of bytes in words."""
    for unit, each in (("TiB", 2**40), ("GiB", GIB), ("MiB", 2**20)):
        if of >= each:
            return f"{two_digits(of / each)} {unit}"
    return f"{two_digits(of / 1024)} KiB"


def two_digits(number: float) -> str:
    """Return a number with two digits that count."""
    return f"{float(np.format_float_positional(number, precision=2, fractional=False)):,.10g}"


def page(text: str, c: Costs, measured: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the page with its made part made anew."""
    before, _, rest = text.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    most = max(measured, key=lambda m: m["runs"])
    said = (
        f"A run of {WIDTH} units takes {c.train:.2g} s of a core, in stacks of {c.runs_a_stack:.2g}. Beside that the driver takes "
        f"{1e3 * c.outcome:.2g} ms for each run and {1e3 * c.stack:.2g} ms for each stack, the report {1e3 * c.report:.2g} ms a run; a run takes "
        f"{size(c.memory)} of the driver's memory and {size(c.disk)} of disk at most (10,000 test images). Measured with up to "
        f"{most['runs']:,} outcomes, which took {time(sum(most['seconds'].values()))} of a processor and {size(most['memory'])} of memory.\n"
    )
    return before + BEGINS + "\n" + said + "\n" + table(c) + "\n" + ENDS + after


def main() -> None:
    """Write the table into the page."""
    measured = json.loads(COSTS.read_text())
    PAGE.write_text(page(PAGE.read_text(), costs(measured), measured))


if __name__ == "__main__":
    main()
