"""The stages whose work `processes` shares."""

SHARED = frozenset({"init", "features", "judge", "train", "evaluate", "export"})
