"""The embedding network and its files."""
