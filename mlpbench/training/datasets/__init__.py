"""Data for training: fetched once, checked, cached, and memory-mapped so that workers share the pages. No torch."""

from mlpbench.training.datasets.named import Dataset, cached, fetch, load

__all__ = ["Dataset", "cached", "fetch", "load"]
