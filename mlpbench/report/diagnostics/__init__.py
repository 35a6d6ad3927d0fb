"""Sections on how networks train: signals and weights by layer, activations, and runs that fail."""
