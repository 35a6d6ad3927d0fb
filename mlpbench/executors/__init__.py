"""Who trains the stacks: one interface, several places."""
