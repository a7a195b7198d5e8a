"""From files on disk to batches: data sets, the index, pixels, transforms, samplers."""
