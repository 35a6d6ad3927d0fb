"""How parameters follow their gradients: optimisers, schedules, decay, clipping."""
