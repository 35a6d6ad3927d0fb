"""Sections of a report: each module has one, or two that belong together, with its sentences, its table and its figure."""
