"""Where things stand in the repository that is tested."""

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
EXPERIMENTS = ROOT / "experiments"
REFERENCE = ROOT / "results" / "reference"
