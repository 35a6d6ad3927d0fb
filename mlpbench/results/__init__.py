"""A results folder: schemas, store, journal, weight files and records."""
