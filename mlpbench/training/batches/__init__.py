"""Which examples a run sees, and when."""
