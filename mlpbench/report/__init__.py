"""From verdicts and estimates to text, figures and pages. Nothing here imports torch."""
