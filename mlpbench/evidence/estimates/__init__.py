"""From tables to estimates: what was planned, what came of it, mean, spread and interval."""
