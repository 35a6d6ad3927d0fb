"""Commands on this machine as they would find another: what the other lacks is taken away before Python has loaded anything.

A folder with a `sitecustomize.py` of `taken_away.py` stands first on the path of the command and, by its environment, of all
processes that it starts. Only what mlpbench asks for itself is taken away: torch and numpy stay those of this machine, so that
tables must have the same bits.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blank_figures import SITE
from repository import HELPERS, ROOT

# What `sysctl -n machdep.cpu.brand_string` prints, and what /proc/cpuinfo has of an ARM server.
APPLE = "Apple M2"
GRAVITON = """\
processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics sve
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


@dataclass(frozen=True)
class Machine:
    """A machine by the name that taken_away.py knows it by, and the processor that rows of its runs name."""

    name: str
    processor: str


MAC = Machine("mac", f"{APPLE}, macOS 14.5")
BARE_MAC = Machine("bare_mac", "arm")  # without `sysctl`, as in a sandbox
ARM = Machine("arm", "aarch64 implementer 0x41 part 0xd40 r1p1")
WINDOWS = Machine("windows", "")


@dataclass(frozen=True)
class Done:
    """What a command printed, its status, and what it asked of the system that only the other machine has."""

    status: int
    out: str
    err: str
    asked: tuple[str, ...]


class Elsewhere:
    """A machine, ready to run commands in a folder, which draw the figures of reports or leave them blank."""

    def __init__(self, machine: Machine, folder: Path, *, draws: bool = False) -> None:
        self.machine = machine
        self._log = folder / "asked"
        self._place = folder / "machine"
        self._place.mkdir(parents=True)
        source = (HELPERS / "taken_away.py").read_text()
        if not draws and machine is not WINDOWS:
            shutil.copy(SITE, self._place)
            source += f"\nimport {SITE.stem}\n"
        (self._place / "sitecustomize.py").write_text(source)
        (self._place / "cpuinfo").write_text(GRAVITON)
        if machine is MAC:
            sysctl = self._place / "sysctl"
            sysctl.write_text(f'#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo "{APPLE}"\n')
            sysctl.chmod(0o755)

    def python(self, *arguments: object, cwd: Path | None = None, **variables: str) -> Done:
        """Run this Python with arguments on the machine."""
        self._log.write_text("")
        path = os.pathsep.join([str(self._place), str(ROOT), str(HELPERS), os.environ.get("PYTHONPATH", "")])
        env: Mapping[str, str] = os.environ | {
            "PYTHONPATH": path,
            "PRETEND_MACHINE": self.machine.name,
            "PRETEND_LOG": str(self._log),
            "PATH": f"{self._place}{os.pathsep}{os.environ['PATH']}",
            **variables,
        }
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
        return Done(done.returncode, done.stdout, done.stderr, tuple(self._log.read_text().split()))

    def mlpbench(self, *arguments: object, cwd: Path | None = None) -> Done:
        """Run a command of mlpbench on the machine."""
        return self.python("-m", "mlpbench", *arguments, cwd=cwd)
