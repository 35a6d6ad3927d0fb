"""What torch says of this machine, for `mlpbench doctor`: the door to `training`, which alone imports torch."""

from __future__ import annotations

from mlpbench.training.measures.product_rate import TorchFacts, product_rate, torch_facts

__all__ = ["TorchFacts", "product_rate", "torch_facts"]
