"""From tables to sentences: estimates, verdicts, figures and reports. Nothing here imports torch."""
