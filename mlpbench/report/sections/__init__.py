"""Sections of a report: a module has one, or those that belong together, each with sentences, a table or a figure."""
