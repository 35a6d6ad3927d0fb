"""File operations of a block, recorded, and every state that a power failure may leave of them on a disk.

A model of a file system that promises what POSIX does: a file's content is on the disk after its fsync, a name after the
fsync of its folder. Until then each change of a name may have reached the disk or not, in any order, and a file that was
not synced may be there, empty, or half.

Reference: Pillai et al., All File Systems Are Not Created Equal (ALICE), 2014; Mohan et al., CrashMonkey, 2018.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Event:
    """A change of a name, of `folder`; or, of kind `data` and `sync`, a file or a folder that reaches the disk."""

    kind: str
    path: Path
    to: Path | None = None
    content: bytes | None = None

    @property
    def folder(self) -> Path:
        """The folder whose fsync keeps it."""
        return (self.to or self.path).parent


@dataclass
class Trace:
    """What was done in order, what was there before, and after how many events something was acknowledged."""

    root: Path
    before: dict[Path, bytes]
    events: list[Event] = field(default_factory=list)
    promises: list[tuple[int, Any]] = field(default_factory=list)

    def promise(self, what: Any) -> None:
        """Note that the user was told of something: it must be there in every state from here on."""
        self.promises.append((len(self.events), what))

    def check_complete(self, to: Path) -> None:
        """Raise AssertionError where the folder has what was not recorded: by another way to write, or never synced."""
        self.write((len(self.events), (), "lost"), to)
        found, known = (
            {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"}
            for root in (self.root, to)
        )
        assert known == found

    def states(self) -> Iterator[tuple[int, tuple[int, ...], str]]:
        """Yield (length of the prefix, changes that are lost, what became of content that was not synced)."""
        for length in range(len(self.events) + 1):
            pending = self._pending(length)
            lost = {
                (),
                tuple(pending),
                *((i,) for i in pending),
                *(tuple(p for p in pending if p != i) for i in pending),
            }
            for some in sorted(lost):
                yield from ((length, some, unsynced) for unsynced in ("kept", "lost", "torn"))

    def _pending(self, length: int) -> list[int]:
        names = [i for i, e in enumerate(self.events[:length]) if e.kind in ("create", "rename", "unlink", "mkdir")]
        synced = {e.path: i for i, e in enumerate(self.events[:length]) if e.kind == "sync"}
        return [i for i in names if synced.get(self.events[i].folder, -1) < i]

    def write(self, state: tuple[int, tuple[int, ...], str], to: Path) -> None:
        """Write a state into a new folder."""
        length, lost, unsynced = state
        files: dict[Path, bytes | None] = dict(self.before)
        held: dict[Path, bytes | None] = dict(self.before)  # as the process saw it: a name that is lost has content
        for i, event in enumerate(self.events[:length]):
            if event.kind == "data":
                held[event.path] = event.content
                if event.path in files:
                    files[event.path] = event.content
            elif event.kind == "create":
                held[event.path] = None
            elif event.kind == "rename":
                _move(held, event)
            if i in lost:
                continue
            if event.kind == "create":
                files[event.path] = None
            elif event.kind == "rename":
                _move(files, event, held)
            elif event.kind == "unlink":
                files.pop(event.path, None)
        to.mkdir(parents=True)
        for path, content in files.items():
            if content is None:
                if unsynced == "lost":
                    continue
                content = b"" if unsynced == "kept" else b"half of what was to be written"
            place = to / path.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def _move(files: dict[Path, bytes | None], event: Event, held: Mapping[Path, bytes | None] | None = None) -> None:
    """Give a file, or all files of a folder, their new names; `held` has the content of a file whose own name was lost."""
    assert event.to is not None
    within = [path for path in files if event.path in path.parents]
    for path in within:
        files[event.to / path.relative_to(event.path)] = files.pop(path)
    if not within:
        content = files.pop(event.path, None)
        files[event.to] = content if held is None else held[event.to]


def chosen(trace: Trace, most: int | None, seed: int = 0) -> Sequence[tuple[int, tuple[int, ...], str]]:
    """Return all states, or so many of them."""
    states = list(trace.states())
    if most is None or most >= len(states):
        return states
    return [states[i] for i in sorted(np.random.default_rng(seed).choice(len(states), most, replace=False))]


@contextmanager
def recorded(root: Path) -> Iterator[Trace]:
    """Record what is done to files below a folder by this package's ways to write: `os` and `open`."""
    files = [p for p in root.rglob("*") if p.is_file() and p.name != ".lock"]
    trace = Trace(root=root, before={p: p.read_bytes() for p in files})

    def ours(path: Any) -> bool:
        return root in Path(path).parents or Path(path) == root

    def noting(name: str, note: Callable[..., list[Event]]) -> None:
        operation = getattr(os, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            events = note(*arguments)
            result = operation(*arguments, **options)
            trace.events.extend(events)
            return result

        patch.setattr(os, name, noted)

    def synced(handle: int) -> list[Event]:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if not ours(path):
            return []
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            return [Event("sync", path)]
        known = {e.path for e in trace.events if e.kind == "create"}
        created = [] if path in known or path in trace.before else [Event("create", path)]
        return [*created, Event("data", path, content=path.read_bytes())]

    def moved(source: Any, to: Any) -> list[Event]:
        return [Event("rename", Path(source), Path(to))] if ours(to) else []

    with pytest.MonkeyPatch.context() as patch:
        noting("fsync", synced)
        noting("replace", moved)
        noting("rename", moved)
        noting("unlink", lambda path, *_: [Event("unlink", Path(path))] if ours(path) else [])
        noting("mkdir", lambda path, *_: [Event("mkdir", Path(path))] if ours(path) else [])
        yield trace
