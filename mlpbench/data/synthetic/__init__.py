"""Synthetic data of which the truth is known; each replicate draws its own examples."""
