"""What an HDF5 artifact holds, in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mprd.artifacts.checksums import content_digest
from mprd.artifacts.declaration import Schema


@dataclass(frozen=True)
class Artifact:
    """A checked artifact in memory.

    Attributes:
        path: where it was read from.
        arrays: data set name -> numpy array (streamed data sets are left out).
        attributes: the schema's own attributes.
        digest: SHA-256 over the contents (not over `created`), the artifact's identity.
        inputs: name -> digest of what it was made from.
    """

    path: Path
    schema: Schema
    arrays: dict[str, np.ndarray]
    attributes: dict[str, Any]
    digest: str
    inputs: dict[str, str]

    def __getitem__(self, key: str) -> np.ndarray:
        """Return one array."""
        return self.arrays[key]

    @property
    def size(self) -> int:
        """Return the bytes of all arrays."""
        return sum(values.nbytes for values in self.arrays.values())

    def part(self, keys: Iterable[str] | None = None) -> "Artifact":
        """Return some of the arrays; they are copies, which the reader may change.

        Args:
            keys: data sets; None: all that are not streamed.
        """
        wanted = keys or [key for key in self.arrays if not self.schema.arrays[key].streamed]
        wanted = [key for key in wanted if key in self.arrays or not self._optional(key)]
        return replace(self, arrays={key: self.arrays[key].copy() for key in wanted})

    def _optional(self, key: str) -> bool:
        return self.schema.arrays[key].optional


def as_read(
    path: Path,
    schema: Schema,
    arrays: Mapping[str, np.ndarray],
    *,
    inputs: Mapping[str, str],
    attributes: Mapping[str, Any],
) -> Artifact:
    """Return what a reader of a file will find that these contents are written to.

    Args:
        path: of the file.
        schema: of the file.
        arrays: data set name -> array.
        inputs: name -> digest of each artifact it was made from.
        attributes: the schema's own attributes.
    """
    kinds = {key: schema.arrays[key].dtype for key in arrays}
    return Artifact(
        path,
        schema,
        {
            key: np.asarray(values, object if kinds[key] == "str" else kinds[key])
            for key, values in arrays.items()
        },
        {name: plain(attributes[name]) for name in schema.attributes},
        content_digest(arrays, schema),
        dict(inputs),
    )


def plain(value: Any) -> Any:
    """Return a value of an attribute as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
