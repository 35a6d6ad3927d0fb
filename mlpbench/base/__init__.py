"""What every other package stands on: errors, files that appear whole, numerics modes, random streams."""
