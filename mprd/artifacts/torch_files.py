"""Files that `torch.save` wrote, also those of strangers."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mprd.errors import UserError

# What files of images begin with: PNG, JPEG, GIF, WebP, TIFF.
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_CODE = re.compile(r"GLOBAL (\S+) was not")


def load_torch(path: Path) -> Any:
    """Return what a file holds; nothing in it is executed, and it takes little more memory.

    Torch itself unpacks what is packed, a thousand times the size of the file.

    Raises:
        ValueError: it is packed, or a tensor has more values than the file.
        Exception: of a dozen kinds, by torch: it is no such file, or holds more than plain values.
    """
    require_unpacked(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if any(tensor.nbytes > path.stat().st_size for tensor in tensors_in(content)):
        raise ValueError("it declares more values than it holds")
    return content


def not_weights(path: Path, error: Exception) -> UserError:
    """Return what a user is told of a file that `load_torch` refused.

    Torch itself would advise to run what is in it.
    """
    code = _CODE.search(str(error))
    if is_image(path):
        reason = "it is an image"
    elif code is not None:
        reason = f"it names {code[1]}, which is code"
    elif isinstance(error, ValueError):
        reason = str(error).splitlines()[0]
    else:
        reason = "torch.save did not write it, or it is damaged"
    return UserError(f"{path} is not a weights file that can be read safely: {reason}.")


def is_image(path: Path) -> bool:
    """Tell whether a file begins as images do."""
    with path.open("rb") as stream:
        return stream.read(4).startswith(_IMAGES)


def require_unpacked(path: Path) -> None:
    """Check that the parts of a file are as long as they say.

    Raises:
        ValueError: one is packed, or they overlap.
    """
    if not zipfile.is_zipfile(path):  # as torch wrote them years ago
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise ValueError("it is packed, which torch.save never does")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested dictionaries and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item)
