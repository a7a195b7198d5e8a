"""Relation networks, one per file; `gcn.network` names the one to use."""
