"""Small data sets that come with the package: from a file in it, or generated."""
