"""Results folders that are altered and sealed again, as whoever alters one on purpose can: right checksums over other content."""

from __future__ import annotations

from pathlib import Path

from mlpbench.results import seal


def seal_again(folder: Path) -> None:
    """Seal a results folder as it is."""
    (folder / seal.NAME).unlink(missing_ok=True)
    with seal.under_way(folder):
        pass
