"""Kernel benchmarks as pytest-benchmark's JSON has them, checked, and set against the limits of the machine.

The limit of a benchmark is what the machine could do with its arithmetic and its traffic, of which intensity is the ratio:

    limit = min( rate of the best square product, intensity * bandwidth of the copy )         GFLOP/s

Reference: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlpbench.base.errors import InputError
from mlpbench.base.files import parse_json, read_regular, system_reason
from mlpbench.evidence.frames import records

FILE = "kernels.json"
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
        content = parse_json(read_regular(path))
    except OSError as error:
        raise InputError(f"{path} can't be read: {system_reason(error)}") from error
    except ValueError as error:
        raise InputError(f"{path} must be JSON, and is not: {error}; `make bench` writes it") from error
    listed = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise InputError(
            f"{path} must have a list of benchmarks, as pytest-benchmark writes it; `make bench` writes it"
        )
    measured = [_measured(path, i, b) for i, b in enumerate(listed)]
    limits = pd.DataFrame([m.model_dump() for m in measured if isinstance(m, _Limit)])
    kernels = pd.DataFrame([m.model_dump() for m in measured if isinstance(m, _Kernel)])
    for device in {m.device: None for m in measured}:
        for name in ("sgemm", "copy"):
            if limits.empty or not ((limits["device"] == device) & (limits["implementation"] == name)).any():
                raise InputError(
                    f"{path} must have a benchmark of the limit {name!r} on {device}; `make bench` writes it"
                )
    if kernels.empty:
        raise InputError(f"{path} must have a benchmark beside the limits; `make bench` writes it")
    commit = content.get("commit_info")
    return Measurements(
        kernels=_against_limits(kernels, limits),
        limits=limits.assign(binds=limits.index.isin(_binding(limits))),
        commit=_commit(commit if isinstance(commit, dict) else {}),
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


def _commit(info: Mapping[str, Any]) -> str:
    changed = " with uncommitted changes" if info.get("dirty") else ""
    return f"{info['id'][:12]}{changed}" if isinstance(info.get("id"), str) else ""
