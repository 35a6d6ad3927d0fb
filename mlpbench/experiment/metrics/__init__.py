"""Metrics of a run, and the names of those that are computed from other tables."""
