"""Unsupervised re-identification by meta pairwise relationship distillation (MPRD).

The public functions are loaded at their first use, so that `import mprd` stays cheap.
"""

import lazy_loader

from mprd.system.caches import provide_caches

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

provide_caches()
