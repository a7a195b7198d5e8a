"""Unsupervised re-identification by meta pairwise relationship distillation (MPRD)."""

import importlib
from typing import Any

__version__ = "0.1.0"

_SUBMODULES = ("artifacts", "clustering", "config", "evaluation", "graph", "losses", "models")


def __getattr__(name: str) -> Any:
    """Import submodules and `load_model` on first use, so that `import mprd` stays cheap."""
    if name == "load_model":
        return importlib.import_module("mprd.models").load_model
    if name in _SUBMODULES:
        return importlib.import_module(f"mprd.{name}")
    raise AttributeError(f"module 'mprd' has no attribute {name!r}")
