"""Embeddings of images, by a network or a plain descriptor."""
