"""Numbers, verdicts and figures in sentences."""
