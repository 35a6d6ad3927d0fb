"""The report of kernel benchmarks: from pytest-benchmark's JSON to tables, a sentence and a roofline. No torch.

The limit of a benchmark is what the machine could do with its arithmetic and its traffic, of which intensity is the ratio:

    limit = min( rate of the best square product, intensity * bandwidth of the copy )         GFLOP/s

Reference: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", 2009.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlpbench.base.errors import InputError
from mlpbench.evidence.frames import records
from mlpbench.report import report
from mlpbench.report.sections.tables import escape, table

FILE = "kernels.json"
PHASES = ("forward", "backward", "update", "step")
IMPLEMENTATIONS = ("from scratch", "torch.nn", "torch.compile", "stacked")
SHAPE = ["width", "depth", "activation", "dropout", "batch", "inputs", "classes"]
MEANING = (
    "Time is the median round, of the whole stack; of a limit the fastest. FLOPs are those of the products (in the update "
    "two a parameter), bytes the least traffic: each layer reads its operands once and writes its results once, as "
    "float32. The limit of a row is the lower of two: the best square product, and FLOP/byte times the bandwidth of the "
    "copy. Shares above 100% are work that stays in cache, which the copy doesn't."
)
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Measured(BaseModel):
    """What every benchmark notes of itself in `extra_info`."""

    model_config = ConfigDict(strict=True, frozen=True)

    bytes: Count
    seconds: Positive
    gbytes_per_s: Positive
    threads: Count
    device: Literal["cpu", "cuda"]
    gpu: str | None
    cpu: str
    torch: str


class _Limit(_Measured):
    phase: Literal["limit"]
    n: Count


class _Product(_Limit):
    implementation: Literal["sgemm"]
    flops: Count
    gflops: Positive


class _Copy(_Limit):
    implementation: Literal["copy"]
    flops: Annotated[int, Field(ge=0, le=0)]
    gflops: Annotated[float, Field(ge=0, le=0)]


class _Kernel(_Measured):
    phase: Literal["forward", "backward", "update", "step"]
    implementation: Literal["from scratch", "torch.nn", "torch.compile", "stacked"]
    width: Count
    depth: Count
    activation: str
    dropout: Annotated[float, Field(ge=0, lt=1)]
    stack: Count
    batch: Count
    inputs: Count
    classes: Count
    flops: Count
    gflops: Positive


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """One session's benchmarks: the kernels with their limits, the limits themselves, and the commit that was measured.

    `kernels` has the fields of `extra_info` and per_run (seconds), intensity (FLOP/byte), limit (GFLOP/s), share, label;
    `limits` those of `extra_info` and `binds`, whether a roof is drawn from the row.
    """

    kernels: pd.DataFrame
    limits: pd.DataFrame
    commit: str


def is_folder(folder: Path) -> bool:
    """Return whether a folder holds kernel benchmarks rather than an experiment's results."""
    return (folder / FILE).is_file() and not (folder / "spec.yaml").exists()


def read(path: Path) -> Measurements:
    """Read pytest-benchmark's JSON; raise InputError where it is broken or lacks what a report needs."""
    try:
        given = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} can't be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise InputError(f"{path} must be JSON, and is not: {error}; `make bench` makes it again") from error
    listed = given.get("benchmarks") if isinstance(given, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path} must have a list of benchmarks, as pytest-benchmark writes it; `make bench` makes it")
    measured = [_measured(path, i, b) for i, b in enumerate(listed)]
    limits = pd.DataFrame([m.model_dump() for m in measured if isinstance(m, _Limit)])
    kernels = pd.DataFrame([m.model_dump() for m in measured if isinstance(m, _Kernel)])
    for device in {m.device: None for m in measured}:
        for name in ("sgemm", "copy"):
            if limits.empty or not ((limits["device"] == device) & (limits["implementation"] == name)).any():
                raise InputError(
                    f"{path} must have a benchmark of the limit {name!r} on {device}; `make bench` makes it"
                )
    if kernels.empty:
        raise InputError(f"{path} must have a benchmark beside the limits; `make bench` makes it")
    commit = given.get("commit_info")
    return Measurements(
        kernels=_against_limits(kernels, limits),
        limits=limits.assign(binds=limits.index.isin(_binding(limits))),
        commit=_commit(commit if isinstance(commit, dict) else {}),
    )


def render(measured: Measurements) -> report.Report:
    """Return the report; the same JSON gives the same bytes."""
    from mlpbench.report.figures.roofline import roofline

    kernels, limits = measured.kernels, measured.limits
    told = sentence(kernels)
    devices = list(dict.fromkeys(kernels["device"]))
    blocks = [
        "# Kernel benchmarks",
        told,
        f"![{escape('GFLOP/s against FLOP/byte under the roofs of the machine. ' + told)}](figures/roofline.png)",
        MEANING,
        "## Machine",
        table(["what", "value"], _machine(kernels, measured.commit), "ll"),
        "## Limits",
        table(
            ["limit", *["device"] * (len(devices) > 1), "time", "GFLOP/s", "GB/s"],
            [_limit_row(r, several=len(devices) > 1) for r in records(limits)],
            "l" * (1 + (len(devices) > 1)) + "rrr",
        ),
    ]
    for phase in PHASES:
        for device in devices:
            rows = kernels[(kernels["phase"] == phase) & (kernels["device"] == device)]
            if not rows.empty:
                blocks += [f"## {phase.capitalize()}" + f" on {device}" * (len(devices) > 1), _phase_table(rows)]
    drawings = {"figures/roofline.png": partial(roofline, kernels, limits)}
    return report.Report(markdown="\n\n".join(blocks) + "\n", drawings=drawings)


def sentence(kernels: pd.DataFrame) -> str:
    """Return how the time of a stacked run compares with that of `torch.nn`, over all work that both were timed at."""
    alike = ["phase", "device", *SHAPE]
    columns = [*alike, "per_run", "label", "stack"]
    ours, theirs = (kernels.loc[kernels["implementation"] == name, columns] for name in ("stacked", "torch.nn"))
    pairs = ours.merge(theirs, on=alike, suffixes=("", "_nn"))
    if pairs.empty:
        return "No work was timed both stacked and by `torch.nn`."
    pairs = pairs.assign(ratio=pairs["per_run"] / pairs["per_run_nn"])
    steps = pairs[pairs["phase"] == "step"]
    shown = pairs if steps.empty else steps
    what = "the same work" if steps.empty else "a training step"
    rows = records(shown.loc[list(dict.fromkeys([shown["ratio"].idxmin(), shown["ratio"].idxmax()]))])
    phase = ["phase"] * steps.empty
    device = ["device"] * (kernels["device"].nunique() > 1)
    places = [
        ", ".join([*(r[k] for k in phase + device), f"hidden layers {r['label']}", f"stack of {r['stack']}"])
        for r in rows
    ]
    ends = " to ".join(f"{r['ratio']:.2f} times ({at})" for r, at in zip(rows, places, strict=True))
    count = f"{len(pairs)} pairs" if len(pairs) > 1 else "1 pair"
    return (
        f"In a stack, {what} of one run takes {ends} as long as by `torch.nn`; over all phases the median of {count} is "
        f"{pairs['ratio'].median():.2f} times."
    )


def _measured(path: Path, position: int, benchmark: Any) -> _Limit | _Kernel:
    """Check one benchmark of the file."""
    name = benchmark.get("name", position) if isinstance(benchmark, dict) else position
    info = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
    if not isinstance(info, dict):
        raise InputError(f"{path}: benchmark {name} must have extra_info, as those of tests/benchmarks have")
    limit = _Copy if info.get("implementation") == "copy" else _Product
    model: type[_Limit | _Kernel] = limit if info.get("phase") == "limit" else _Kernel
    try:
        return model.model_validate(info)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        got = "no such key" if first["type"] == "missing" else f"got {first['input']!r}"
        rule = "be there" if first["type"] == "missing" else first["msg"][0].lower() + first["msg"][1:]
        rule = rule.replace("input should ", "")
        raise InputError(f"{path}: extra_info.{key} must {rule}, {got} (benchmark {name})") from error


def _binding(limits: pd.DataFrame) -> list[int]:
    """Return the rows that roofs are drawn from: on each device the best product and the copy."""
    best = limits.assign(rate=np.where(limits["implementation"] == "sgemm", limits["gflops"], limits["gbytes_per_s"]))
    return list(best.groupby(["device", "implementation"])["rate"].idxmax())


def _against_limits(kernels: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    roofs = limits.loc[_binding(limits)].set_index(["device", "implementation"])
    intensity = kernels["flops"] / kernels["bytes"]
    peak = kernels["device"].map(roofs["gflops"].xs("sgemm", level="implementation"))
    bandwidth = kernels["device"].map(roofs["gbytes_per_s"].xs("copy", level="implementation"))
    limit = np.minimum(peak, intensity * bandwidth)
    return kernels.assign(
        per_run=kernels["seconds"] / kernels["stack"],
        intensity=intensity,
        limit=limit,
        share=kernels["gflops"] / limit,
        label=[_label(r) for r in records(kernels)],
    )


def _label(row: Mapping[str, Any]) -> str:
    """Return a shape in words: `256 x 3, gelu, dropout 0.5`, layers left out where there is one."""
    layers = f"{row['width']} x {row['depth']}" if row["depth"] > 1 else f"{row['width']}"
    dropout = f", dropout {row['dropout']:g}" if row["dropout"] else ""
    return f"{layers}, {row['activation']}{dropout}"


def _machine(kernels: pd.DataFrame, commit: str) -> list[list[str]]:
    facts = {"processor": "cpu", "GPU": "gpu", "torch": "torch", "threads": "threads"}
    rows = [[name, ", ".join(dict.fromkeys(map(str, kernels[c].dropna())))] for name, c in facts.items()]
    shared = [f"{c} {v}" for c in ("batch", "inputs", "classes") for v in [", ".join(map(str, kernels[c].unique()))]]
    return [row for row in [*rows, ["commit", commit], ["work", ", ".join(shared)]] if row[1]]


def _commit(info: Mapping[str, Any]) -> str:
    changed = " with uncommitted changes" if info.get("dirty") else ""
    return f"{info['id'][:12]}{changed}" if isinstance(info.get("id"), str) else ""


def _limit_row(row: Mapping[str, Any], *, several: bool) -> list[str]:
    names: dict[str, Callable[[int], str]] = {
        "sgemm": lambda n: f"square product, n = {n}",
        "copy": lambda n: f"copy of {4 * n / 2**20:.3g} MiB",
    }
    name = names[row["implementation"]](row["n"]) + (" (a roof)" if row["binds"] else "")
    rate = _number(row["gflops"]) if row["implementation"] == "sgemm" else "-"
    return [name, *[row["device"]] * several, _time(row["seconds"]), rate, _number(row["gbytes_per_s"])]


def _phase_table(kernels: pd.DataFrame) -> str:
    """Return the rows of one phase, implementations of the same work below each other."""
    place = kernels["implementation"].map(IMPLEMENTATIONS.index)
    ordered = kernels.assign(place=place).sort_values([*SHAPE, "place", "stack"], kind="stable")
    rows = [
        [
            r["label"], r["implementation"], str(r["stack"]), _time(r["seconds"]), _time(r["per_run"]),
            _number(r["intensity"]), _number(r["gflops"]), _number(r["gbytes_per_s"]), f"{100 * r['share']:.0f}%",
        ]
        for r in records(ordered)
    ]  # fmt: skip
    head = ["hidden layers", "implementation", "stack", "time", "a run", "FLOP/byte", "GFLOP/s", "GB/s", "of the limit"]
    return table(head, rows, "llrrrrrrr")


def _time(seconds: float) -> str:
    """Return `42.0 µs` or `1.23 ms`, three significant digits."""
    if seconds < 1e-3:
        return f"{_number(1e6 * seconds)} µs"
    return f"{_number(1e3 * seconds)} ms" if seconds < 1 else f"{_number(seconds)} s"


def _number(value: float) -> str:
    """Return a positive number with three significant digits, never with an exponent."""
    decimals = 2 - int(np.floor(np.log10(float(f"{value:.2e}"))))
    return f"{round(value, decimals):.{max(0, decimals)}f}"
