"""The relation GCN, which judges whether a pair of images shows one identity."""
