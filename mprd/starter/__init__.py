"""A first configuration for a folder of images."""
