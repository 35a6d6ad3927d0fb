"""Named data sets of images: catalogue, download, decoding and cache."""
