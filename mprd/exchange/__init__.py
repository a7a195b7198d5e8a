"""Identities of a run for other programs, and identities that were given elsewhere."""
