"""The stages of the pipeline: plain functions, paths in, artifact out."""
