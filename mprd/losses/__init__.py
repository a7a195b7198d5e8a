"""The memory bank and the losses."""
