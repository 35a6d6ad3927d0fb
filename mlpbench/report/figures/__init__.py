"""Figures: a DataFrame with finished intervals becomes a matplotlib Figure. No statistics here, and no global state."""
