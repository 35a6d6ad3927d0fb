"""What is known of a run before it is trained."""
