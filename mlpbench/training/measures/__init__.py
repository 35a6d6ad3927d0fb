"""What is measured of a stack: losses, layers, weights, memory."""
