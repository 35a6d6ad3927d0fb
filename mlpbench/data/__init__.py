"""Data for training: fetched once, checked, cached, and memory-mapped so that workers share the pages. No torch."""

from mlpbench.data.dataset import Dataset
from mlpbench.data.loading import fetch, load
from mlpbench.data.named.fetch import cached

__all__ = ["Dataset", "cached", "fetch", "load"]
