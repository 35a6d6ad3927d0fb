"""Sections on what a topic is about, chosen by the data: fitted curves, residuals, decision regions, ranks, pieces, dead units."""
