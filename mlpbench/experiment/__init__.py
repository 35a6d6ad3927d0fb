"""What to run: settings, specs, grids and plans. Nothing here imports torch."""
