"""Pairs of images: hard pairs of an epoch, and operations on lists of pairs."""
