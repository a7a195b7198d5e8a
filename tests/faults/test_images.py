"""Odd image files: each has a defined outcome, the same in `index`, `pixels` and `embed`."""

import io
import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile

from mprd.artifacts import INDEX, PIXELS, open_artifact, read_artifact, read_images
from mprd.config import merge, validate
from mprd.data import images
from mprd.data.images import decode, image_size
from mprd.errors import UserError
from mprd.stages.index import run_index
from mprd.stages.pixels import run_pixels
from tests.conftest import TINY

LEFT_RED = np.zeros((20, 10, 3), np.uint8)
LEFT_RED[:, :5, 0] = 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_as_a_viewer_shows_it(tmp_path, orientation):
    upright = Image.fromarray(LEFT_RED)
    turn = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # as stored; a viewer turns it back by 270
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    stored.save(path, exif=exif)
    assert np.array_equal(np.asarray(decode(path)), LEFT_RED)
    assert image_size(path) == (10, 20)


def test_what_is_transparent_is_shown_on_white(tmp_path):
    layers = np.zeros((4, 4, 4), np.uint8)  # black, and invisible
    layers[0, 0] = 255, 0, 0, 255
    layers[0, 1] = 255, 0, 0, 128
    Image.fromarray(layers).save(tmp_path / "cut.png")
    found = np.asarray(decode(tmp_path / "cut.png"))
    assert found[0, 0].tolist() == [255, 0, 0]
    assert found[0, 1].tolist() == [255, 127, 127]
    assert (found[1:] == 255).all()
    paletted = Image.fromarray(LEFT_RED).convert("P", palette=Image.Palette.ADAPTIVE)
    invisible = paletted.getpixel((9, 0))
    paletted.save(tmp_path / "palette.png", transparency=invisible)
    assert np.asarray(decode(tmp_path / "palette.png"))[0, 9].tolist() == [255, 255, 255]


def test_pictures_of_formats_that_run_code_are_refused(tmp_path):
    """An EPS file starts an interpreter, if Pillow may open it."""
    path = tmp_path / "picture.jpg"
    Image.new("RGB", (8, 8)).save(path, format="EPS")
    with pytest.raises(UserError, match=r"it is none of PNG, JPEG, .*, whatever its name"):
        decode(path)


def test_threads_share_the_room_for_pictures():
    room, inside, most = images.Room(10), [], []

    def take(pixels):
        with room.of(pixels):
            inside.append(pixels)
            most.append(sum(inside))
            time.sleep(0.01)
            inside.remove(pixels)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, [4, 10, 3, 6, 1, 5, 5, 10, 2]))
    assert 3 < max(most) <= 10
    with pytest.raises(ValueError, match="x"), room.of(10):
        raise ValueError("x")
    with room.of(10):
        pass  # a picture that fails gives its room back


def test_floats_have_no_known_range(tmp_path):
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UserError, match=r"float.tif cannot be read \(its values are floats"):
        decode(tmp_path / "float.tif")


def test_cmyk_grey_bilevel_and_animation(tmp_path):
    image = Image.fromarray(LEFT_RED)
    image.convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert np.abs(np.asarray(decode(tmp_path / "cmyk.jpg")).astype(int) - LEFT_RED).mean() < 12
    image.convert("L").save(tmp_path / "grey.png")
    grey = np.asarray(decode(tmp_path / "grey.png"))
    assert (grey[..., 0] == grey[..., 2]).all()
    assert np.ptp(grey) > 50
    image.convert("1").save(tmp_path / "bilevel.png")
    assert set(np.unique(np.asarray(decode(tmp_path / "bilevel.png")))) <= {0, 255}
    frames = [image, Image.new("RGB", (10, 20), "blue")]
    for name in ("moving.webp", "moving.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert np.array_equal(np.asarray(decode(tmp_path / name)), LEFT_RED)


def huge_bmp():
    """A header of 30000 x 30000 pixels, and nothing behind it."""
    head = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0)


def bomb_png():
    """A small file of 20000 x 20000 zeros."""

    def chunk(kind, data):
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    head = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10**6, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def cut_jpeg(folder):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        folder / "whole.jpg"
    )
    return (folder / "whole.jpg").read_bytes()[:-400]


def scans_jpeg(count):
    """A progressive picture whose last scan is there so often: each takes time, and few bytes."""
    whole = io.BytesIO()
    Image.new("RGB", (64, 64)).save(whole, "JPEG", progressive=True)
    data = whole.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"


def test_a_progressive_picture_is_read(tmp_path):
    (tmp_path / "some.jpg").write_bytes(scans_jpeg(400) + b"\xff\xda\0" * 1000)  # a video behind it
    assert decode(tmp_path / "some.jpg").size == (64, 64)


@pytest.mark.parametrize("read", [image_size, images.time_taken, images.deep_range, decode])
def test_whatever_is_asked_of_a_picture_waits_for_room(tmp_path, monkeypatch, read):
    """EXIF may stand behind the pixels of a PNG, so that asking for it decodes them."""
    Image.fromarray(np.full((20, 10), 7, np.uint16)).save(tmp_path / "deep.png")
    room, taken = images.Room(200), []
    monkeypatch.setattr(images, "_room", room)
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda image: (taken.append(room._free), load(image))[1]
    )
    read(tmp_path / "deep.png")
    assert taken
    assert set(taken) == {0}
    assert room._free == 200


UNREADABLE = {
    "scans.jpg": lambda folder: scans_jpeg(2000),
    "empty.jpg": lambda folder: b"",
    "text.jpg": lambda folder: b"this is no picture",
    "cut.jpg": cut_jpeg,
    "huge.bmp": lambda folder: huge_bmp(),
    "bomb.png": lambda folder: bomb_png(),
    "half.png": lambda folder: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "zeros.webp": lambda folder: b"RIFF" + b"\0" * 50,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_image_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(UNREADABLE[name](tmp_path))
    with pytest.raises(UserError, match=rf"{name} cannot be read .*on_bad_image: skip"):
        decode(tmp_path / name)


ODD_NAMES = [
    "plain.png",
    "with space.png",
    "ünïcödé-人.png",
    "new\nline.png",
    "quote'\"$(touch x)`.png",
    "-dash.png",
    "tall.png",
    "dot.png",
]


@pytest.fixture
def crops(tmp_path):
    """Images with odd names and shapes, and all that cannot be read."""
    folder = tmp_path / "crops"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ODD_NAMES:
        shape = {"tall.png": (20000, 10, 3), "dot.png": (1, 1, 3)}.get(name, (32, 16, 3))
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(folder / name)
    for name, make in UNREADABLE.items():
        (folder / name).write_bytes(make(tmp_path))
    return folder


def configured(folder, **data):
    return validate(merge(TINY, {"data": {"dataset": "folder", "root": str(folder), **data}}), "x")


def test_bad_images_are_left_out_when_asked(crops, tmp_path, capsys):
    config = configured(crops, on_bad_image="skip")
    run_index(out=tmp_path / "index.h5", config=config)
    index = read_artifact(tmp_path / "index.h5", INDEX)
    assert sorted(index["path"]) == sorted(ODD_NAMES)
    assert index.attributes["num_skipped"] == len(UNREADABLE)
    assert f"Left out {len(UNREADABLE)} unreadable images" in capsys.readouterr().out
    run_pixels(index=tmp_path / "index.h5", out=tmp_path / "pixels.h5", config=config)
    with open_artifact(tmp_path / "pixels.h5", PIXELS) as file:
        assert read_images(file, np.arange(len(ODD_NAMES))).shape == (len(ODD_NAMES), 32, 16, 3)


def test_a_bad_image_stops_the_run_else(crops, tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        run_index(out=tmp_path / "index.h5", config=configured(crops))
    assert not (tmp_path / "index.h5").exists()


def test_images_that_vanish_or_change_after_indexing(crops, tmp_path):
    config = configured(crops, on_bad_image="skip")
    run_index(out=tmp_path / "index.h5", config=config)
    original = (crops / "plain.png").read_bytes()
    arguments = {"index": tmp_path / "index.h5", "out": tmp_path / "p.h5", "config": config}
    (crops / "plain.png").unlink()
    with pytest.raises(UserError, match=r"plain\.png does not exist"):
        run_pixels(**arguments)
    Image.new("RGB", (16, 32), "blue").save(crops / "plain.png")
    with pytest.raises(UserError, match=r"plain\.png is not the file that was indexed"):
        run_pixels(**arguments)
    assert not (tmp_path / "p.h5").exists()
    (crops / "plain.png").write_bytes(original)
    run_pixels(**arguments)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_image_without_permission(crops, tmp_path):
    (crops / "plain.png").chmod(0)
    with pytest.raises(UserError, match=r"plain\.png cannot be read"):
        run_index(out=tmp_path / "index.h5", config=configured(crops))


def test_links_out_of_the_folder(crops, tmp_path):
    """A link is an image like any other: who made the link wants it read."""
    outside = tmp_path / "outside.png"
    Image.fromarray(LEFT_RED).save(outside)
    (crops / "link.png").symlink_to(outside)
    (crops / "gone.png").symlink_to(tmp_path / "nowhere.png")
    config = configured(crops, on_bad_image="skip")
    run_index(out=tmp_path / "index.h5", config=config)
    index = read_artifact(tmp_path / "index.h5", INDEX)
    assert "link.png" in index["path"]
    assert "gone.png" not in index["path"]


def test_folders_that_are_links_are_told(crops, tmp_path, capsys):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/there").symlink_to(crops)
    with pytest.raises(UserError, match=r"1 folder is a link, first 'there': not followed"):
        run_index(out=tmp_path / "index.h5", config=configured(tmp_path / "linked"))
    (crops / "inner").symlink_to(tmp_path)
    run_index(out=tmp_path / "index.h5", config=configured(crops, on_bad_image="skip"))
    assert "1 folder is a link, first 'inner'" in capsys.readouterr().out


def test_a_named_pipe_is_no_image(crops, tmp_path):
    """Reading one would wait for ever."""
    os.mkfifo(crops / "pipe.png")
    run_index(out=tmp_path / "index.h5", config=configured(crops, on_bad_image="skip"))
    assert "pipe.png" not in read_artifact(tmp_path / "index.h5", INDEX)["path"]


@pytest.mark.parametrize("skip", ["error", "skip"])
def test_a_disk_that_fails_is_not_the_fault_of_an_image(tmp_path, skip):
    """It is named, and not left out."""
    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a/a.png")
    (tmp_path / "a/b.png").symlink_to("/proc/self/mem")  # its first byte cannot be read
    with pytest.raises(OSError, match=r"a/b\.png"):
        run_index(out=tmp_path / "index.h5", config=configured(tmp_path / "a", on_bad_image=skip))
