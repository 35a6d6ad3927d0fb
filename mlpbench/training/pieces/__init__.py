"""Pieces of plugins in training: their code is loaded and run here, and nowhere else."""
