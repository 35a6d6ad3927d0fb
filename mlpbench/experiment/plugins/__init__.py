"""Plugins: pieces of the user's own, named in an experiment file; here they are read and never run."""
