"""Data sets: facts without loading, and examples as arrays that workers share where they are large. No torch."""
