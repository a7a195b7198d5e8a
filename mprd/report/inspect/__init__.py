"""`mprd inspect` and `mprd diff`: what is in a file, of a cluster, between two clusterings."""
