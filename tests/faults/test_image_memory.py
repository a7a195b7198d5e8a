"""Large images from many threads take no more memory than docs/explanation/reliability.md says."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from mprd.data import images
from mprd.data.images import resized
from tests.stage_server import python

PEAK = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from mprd.data.images import resized
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda _: resized(Path(sys.argv[1]), 32, 16), range(8)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_eight_threads_take_the_memory_of_one(tmp_path):
    Image.new("RGB", (8000, 8000)).save(tmp_path / "large.png", compress_level=1)
    command = [python(), "-c", PEAK, str(tmp_path / "large.png")]
    peak = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert peak < 1300  # MiB; each thread kept 268 MB and more of what it had freed


def test_a_picture_has_its_room_until_it_is_small(tmp_path, monkeypatch):
    Image.new("RGB", (20, 10)).save(tmp_path / "one.png")
    monkeypatch.setattr(images, "_room", images.Room(200))
    inside, most, resize, lock = [], [], images.resize, threading.Lock()

    def slow(*args):
        with lock:
            inside.append(1)
            most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return resize(*args)

    monkeypatch.setattr(images, "resize", slow)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: resized(tmp_path / "one.png", 5, 4), range(8)))
    assert max(most) == 1
    assert {one.shape for one in found} == {(5, 4, 3)}
