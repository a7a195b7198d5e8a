"""A user's own reader: a Python file whose `@register` runs when the file is imported."""

import hashlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from mprd.data.datasets.registry import READERS
from mprd.errors import UserError


def load_plugin(path: Path) -> None:
    """Import a user's reader file, so that the data sets it registers can be read.

    Loading a file again replaces what it registered before.

    Raises:
        UserError: the file is missing, is not Python, fails on import, or registers nothing.
    """
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"The reader file {path} is not there or is no .py file: fix its path.")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module_name = f"mprd_reader_{digest}"
    before = dict(READERS)
    for name in [name for name, reader in before.items() if reader.module == module_name]:
        del READERS[name]
    try:
        _execute(path, module_name)
        if all(reader.module != module_name for reader in READERS.values()):
            raise UserError(
                f"The reader file {path} registers no data set: put @register('a name'), "
                "from mprd.data.datasets, on its read function."
            )
    except BaseException:
        READERS.clear()
        READERS.update(before)
        raise


def _execute(path: Path, module_name: str) -> None:
    spec = spec_from_file_location(module_name, path)
    assert spec is not None  # given for a .py file, and so is the loader
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"The reader file {path} fails on import: {type(error).__name__}: {error}"
        ) from error
