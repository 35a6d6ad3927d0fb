"""Data for training: fetched once, checked, cached, and memory-mapped so that workers share the pages. No torch."""

from mlpbench.training.datasets.dataset import Dataset
from mlpbench.training.datasets.named import cached
from mlpbench.training.datasets.own import fetch, load

__all__ = ["Dataset", "cached", "fetch", "load"]
