"""Tables of the user's own as files: formats, columns and the types of their values."""
