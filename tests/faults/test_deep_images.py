"""Images of 16 bits: what becomes of them, and what is said where they show little."""

import re
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from mprd.data.images import decode, deep_range
from mprd.inference.embedder import Embedder
from mprd.models.network import build_network
from mprd.stages.index import run_index
from mprd.stages.pixels import run_pixels
from tests.faults.test_images import configured


def test_sixteen_bits_become_eight(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert np.asarray(decode(tmp_path / name))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(("bits", "white"), [(12, 4095), (14, 16383), (8, 255), (16, 65535)])
def test_the_range_of_deep_images_is_a_setting(tmp_path, bits, white):
    values = np.array([[0, 1, white // 2, white]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    expected = [value * 255 // white for value in values[0].tolist()]
    assert np.asarray(decode(tmp_path / "deep.png", bits=bits))[0, :, 0].tolist() == expected
    assert deep_range(tmp_path / "deep.png").bits == bits


def colour_png(path, value):
    """Write a picture of 16 bits a colour, which Pillow itself cannot."""

    def chunk(kind, data):
        total = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + total

    rows = (b"\0" + struct.pack(">H", value) * 12) * 4
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)


@pytest.mark.parametrize(
    ("value", "bits", "message"),
    [
        (4000, 16, "2 images of 16 bits with 12 in use at most, so nearly black: set data.bits"),
        (4000, 12, None),
        (60000, 16, None),
        (16383, 16, None),  # a dark picture, or one of 14 bits: nobody can tell
        (60000, 12, "values need up to 16 bits, data.bits is 12: what is brighter becomes white"),
    ],
)
def test_a_range_that_is_nearly_unused_is_told(tmp_path, capsys, value, bits, message):
    folder = tmp_path / "deep"
    folder.mkdir()
    Image.fromarray(np.full((32, 16), value, np.uint16)).save(folder / "grey.png")
    colour_png(folder / "colour.png", value)
    run_index(out=tmp_path / "index.h5", config=configured(folder, bits=bits))
    warnings = [line for line in capsys.readouterr().out.splitlines() if "Warning" in line]
    assert len(warnings) == bool(message)
    assert not message or message in warnings[0]


def test_a_model_reads_deep_images_as_its_run_did(tmp_path):
    config = configured(tmp_path, bits=12)
    network = build_network(config, 32, 16, pretrained=False)
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((32, 16), 4095, np.uint16)).save(path)
    found = Embedder(network, torch.device("cpu"))._pixels(path)
    assert (found == 255).all()


def narrow(low, high, count=4):
    return [np.random.default_rng(n).integers(low, high, (64, 32)) for n in range(count)]


def hot(values, white=65535):
    for one in values:
        one[3, 3] = white
    return values


DEEP = {
    "12 bits": (narrow(0, 4096), "with 12 in use at most"),
    "12 bits and a hot pixel": (hot(narrow(0, 4096)), "of them .4 images. show 1[56] at most"),
    "a narrow band": (narrow(40_000, 40_300), "of them .4 images. show 1 at most"),
    "one that is well filled among narrow ones": (
        [*narrow(30_000, 31_000), *narrow(0, 65_536, 1)],
        "of them .5 images. show 3 at most",
    ),
    "well filled": (narrow(0, 65_536), None),
    "a dark picture": (narrow(0, 12_000), None),
    "narrow ones among well filled ones": ([*narrow(0, 60_000), *narrow(7, 90, 2)], None),
}


@pytest.mark.parametrize(("values", "message"), DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("kind", ["png", "tif", "big-endian tif"])
def test_deep_images_that_show_few_levels(tmp_path, capsys, values, message, kind):
    """Cameras store 12 bits in 16, thermal ones a narrow band; ImageJ writes big-endian files."""
    (tmp_path / "deep").mkdir()
    for number, one in enumerate(values):
        path = tmp_path / f"deep/{number}.{kind[-3:]}"
        if kind == "big-endian tif":
            Image.frombytes("I;16B", one.shape[::-1], one.astype(">u2").tobytes()).save(path)
        else:
            Image.fromarray(one.astype(np.uint16)).save(path)
        found = np.asarray(decode(path))[..., 0]
        assert (found == one * 255 // 65535).all()
    run_index(out=tmp_path / "index.h5", config=configured(tmp_path / "deep"))
    warnings = [line for line in capsys.readouterr().out.splitlines() if "Warning" in line]
    assert len(warnings) == bool(message)
    assert not message or re.search(message, warnings[0])


def test_a_camera_whose_images_show_few_levels(tmp_path, capsys):
    """Cameras of 12 bits beside those of 16: one setting does not fit both."""
    for camera, white in (("a", 65_536), ("b", 4096), ("c", 65_536)):
        (tmp_path / f"deep/cam_{camera}").mkdir(parents=True)
        for number, one in enumerate(narrow(0, white)):
            path = tmp_path / f"deep/cam_{camera}/{number}.png"
            Image.fromarray(one.astype(np.uint16)).save(path)
    config = configured(tmp_path / "deep", camera="cam_(.)")
    run_index(out=tmp_path / "index.h5", config=config)
    (warning,) = [one for one in capsys.readouterr().out.splitlines() if "Warning" in one]
    assert "16-bit images of 1 camera show few of 256 levels (camera b: 15 at most)" in warning


def test_images_of_one_colour_are_told(tmp_path, capsys):
    """An alpha channel of zeros makes any picture white."""
    (tmp_path / "clear").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (32, 16, 4)).astype(np.uint8)
    Image.fromarray(noise[..., :3]).save(tmp_path / "clear/a.png")
    noise[..., 3] = 0
    Image.fromarray(noise).save(tmp_path / "clear/b.png")
    config = configured(tmp_path / "clear")
    run_index(out=tmp_path / "index.h5", config=config)
    run_pixels(index=tmp_path / "index.h5", out=tmp_path / "pixels.h5", config=config)
    assert "Warning: 1 image shows one colour only, first 'b.png'." in capsys.readouterr().out


def test_values_below_zero_are_told(tmp_path, capsys):
    (tmp_path / "deep").mkdir()
    for number, one in enumerate(narrow(-20_000, 60_000)):
        Image.fromarray(one.astype(np.int32)).save(tmp_path / f"deep/{number}.tif")
    run_index(out=tmp_path / "index.h5", config=configured(tmp_path / "deep"))
    assert "Warning: some images hold values below 0, which become black." in (
        capsys.readouterr().out
    )
