"""Training of the CNN: one epoch on pseudo-labels, and the self-supervised warm-up."""
