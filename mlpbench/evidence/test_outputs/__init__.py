"""What runs predict of test examples, beside their targets: numbers, classes of the plane, and curves of probabilities."""
