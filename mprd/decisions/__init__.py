"""What a person decides about the images of a run: the log, what follows from it, and edits."""
