"""Small real tables that come with the package, each under a licence that allows it."""
