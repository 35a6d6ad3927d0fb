"""The experiment file: read, written, and described by a JSON Schema."""
