"""The answer of a report: a sentence of all verdicts, and a card for each claim with its picture."""
