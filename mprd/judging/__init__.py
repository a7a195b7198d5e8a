"""A local page on which a person judges pairs of images."""
