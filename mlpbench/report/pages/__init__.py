"""Reports and the index as HTML: one file each, no network, from the same text and estimates as the Markdown."""
