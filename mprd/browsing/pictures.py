"""Pictures on demand, each made once while there is room to keep it."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from PIL import Image

from mprd.browsing.run import Run
from mprd.config import load_config
from mprd.data.images import decoded, resized
from mprd.errors import UserError
from mprd.report.page.thumbnails import Thumbnails, webp

_KEPT = 64 * 2**20  # bytes
_SMALL, _LARGE = 256, 1200  # pixels


class Pictures:
    """Pictures of training rows, as WebP."""

    def __init__(self, run: Run) -> None:
        """Look at where the pictures are.

        Raises:
            UserError: no sound `pixels.h5`, or an image lies outside of the folder of the images.
        """
        self._run = run
        self._thumbnails = Thumbnails(run.layout.pixels)
        self._kept: OrderedDict[tuple[bool, int], bytes] = OrderedDict()
        config = load_config(run.layout.config)
        self._files, self._sums, self._bits = run.files, run.sums, config.data.bits
        self._size, self._lock = 0, threading.Lock()

    @property
    def ratio(self) -> float:
        """Width / height of small pictures."""
        return self._thumbnails.ratio

    def small(self, row: int) -> bytes:
        """Return a picture as the network sees it."""
        return self._once((False, row), lambda: self._stored(row, _SMALL))

    def large(self, row: int) -> bytes:
        """Return a picture of the file itself; where it cannot be read, what was stored of it."""
        return self._once((True, row), lambda: self._of_file(row))

    def _of_file(self, row: int) -> bytes:
        try:
            with decoded(self._files[row], self._sums[row], self._bits) as image:
                return webp(image, _LARGE)
        except UserError:  # moved or changed since
            return self._stored(row, _LARGE)

    def _stored(self, row: int, height: int) -> bytes:
        if row >= len(self._run.rows):  # an added image: only its file has it
            shape = self._thumbnails.shape
            pixels = resized(self._files[row], *shape, self._sums[row], self._bits)
            return webp(Image.fromarray(pixels), height)
        with self._lock:  # one reader of the file
            ((_, image),) = self._thumbnails.images(self._run.rows[[row]])
        return webp(image, height)

    def _once(self, key: tuple[bool, int], make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += len(made)
            while self._size > _KEPT and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])
        return made
