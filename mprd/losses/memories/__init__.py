"""Memories: what a batch is compared with, one file for each."""
