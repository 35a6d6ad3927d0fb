"""How it is trained: the only package that imports torch. Importing the package itself does not."""
