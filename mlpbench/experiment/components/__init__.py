"""What a network and its training are put together from: one table for each choice, one entry for each name."""
