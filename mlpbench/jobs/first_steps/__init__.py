"""What the first minutes need: files to begin with, a demonstration, and a look at the machine."""

TEMPLATES = ("compare", "tune", "ablate", "own-data", "replicate")
