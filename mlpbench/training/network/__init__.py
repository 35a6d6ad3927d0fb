"""A stack of networks: layers, activations, initial weights, losses, forward and backward pass."""
