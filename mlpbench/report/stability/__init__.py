"""Sections about stability: activation functions, divergence, dead units, signals by layer, weights.

Which of them a report shows depends on what varies and on what was measured, never on a name. Each states its rule.
"""
