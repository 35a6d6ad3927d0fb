"""What the frozen models of an experiment share: strictness, levels, and the names of the random streams."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Value = None | bool | int | float | str | tuple[int, ...] | tuple[float, ...]


Column = Literal["bool", "int64", "double", "string", "list<int64>", "list<double>"]
Stream = Literal["init", "order", "dropout", "split", "noise"]
STREAMS: tuple[Stream, ...] = ("init", "order", "dropout", "split", "noise")
# The factor that tells conditions apart which differ in the one stream that varies: `vary: {each: [...]}`.
STREAM = "stream"
Levels = dict[str, Value]


class Model(BaseModel):
    """A part of an experiment file: never changed, no unknown keys, nothing converted, only finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


LARGEST = 2**53 - 1  # every whole number up to here is a float too
