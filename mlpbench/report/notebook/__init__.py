"""What Python code and notebooks show of an outcome: cards, tables and figures."""
