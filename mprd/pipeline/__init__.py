"""What connects the stages: paths of a run, settings, code and lineage of artifacts."""
