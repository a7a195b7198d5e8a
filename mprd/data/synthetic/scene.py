"""What a camera adds: backgrounds, light, colour cast, blur, low resolution, occlusion."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mprd.data.synthetic.figure import Pose, draw_figure
from mprd.data.synthetic.people import Person, draw_person

_OVERSAMPLE = 2
_SCENE = (768, 256)


@dataclass(frozen=True)
class Camera:
    """The lasting traits of a camera.

    Attributes:
        yaw: mean view angle of people passing.
        spread: standard deviation of the view angle.
        gain: RGB factors (white balance).
        brightness: factor.
        contrast: factor.
        blur: radius, pixels.
        detail: share of the resolution that is left.
        scene: all that stands behind the people; an image shows a window of it.
    """

    yaw: float
    spread: float
    gain: np.ndarray
    brightness: float
    contrast: float
    blur: float
    detail: float
    scene: Image.Image


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera with a muted scene of its own."""
    return Camera(
        yaw=float(rng.uniform(0, 2 * np.pi)),
        spread=float(rng.uniform(0.5, 1.1)),
        gain=rng.uniform(0.94, 1.06, 3),
        brightness=float(rng.uniform(0.88, 1.1)),
        contrast=float(rng.uniform(0.85, 1.1)),
        blur=float(rng.uniform(0.0, 0.9)),
        detail=float(rng.uniform(0.45, 1.0)),
        scene=_draw_scene(rng),
    )


def render(
    person: Person,
    camera: Camera,
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
    occlusion: float,
) -> Image.Image:
    """Return one RGB image of a person in a camera; every call is another moment.

    Args:
        person: who.
        camera: where.
        rng: draws pose, crop, light and occlusion.
        height: of the image, pixels.
        width: of the image, pixels.
        occlusion: probability that something hides a part.
    """
    h, w = _OVERSAMPLE * height, _OVERSAMPLE * width
    pose = Pose(
        float(camera.yaw + rng.normal(0, camera.spread)),
        float(rng.uniform(-1, 1)),
        float(rng.normal(0, 0.5)),
    )
    canvas = _background(camera, rng, h, w)
    figure = _placed(draw_figure(person, pose, w, h), rng)
    canvas.paste(figure, (0, 0), figure)
    if rng.random() < occlusion:
        _occlude(canvas, rng)
    return _photograph(canvas.resize((width, height), Image.Resampling.BOX), camera, rng)


def _draw_scene(rng: np.random.Generator) -> Image.Image:
    """Draw ground, wall and what stands about: fixed, so it tells the camera, not the image."""
    w, h = _SCENE
    ground, wall = rng.uniform(70, 190, 2)[:, None] + rng.normal(0, 5, (2, 3))
    line = h * rng.uniform(0.4, 0.7) + np.cumsum(rng.normal(0, 1.5, w))
    shade = np.where(np.arange(h)[:, None, None] < line[None, :, None], wall, ground)
    coarse = Image.fromarray(rng.normal(0, 16, (10, 30)).astype(np.float32))
    texture = np.asarray(coarse.resize((w, h), Image.Resampling.BICUBIC))
    scene = Image.fromarray(np.clip(shade + texture[..., None], 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(scene)
    for _ in range(16):
        _clutter(draw, rng, w, h)
    return scene


def _clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator, w: int, h: int) -> None:
    """Something in the background: a post, a sign, a window, a bush."""
    x, y = rng.uniform(0, w), rng.uniform(0, h * 0.8)
    dx, dy = rng.uniform(0.06, 0.3) * h, rng.uniform(0.06, 0.4) * h
    shape = draw.rectangle if rng.random() < 0.7 else draw.ellipse
    shape((x, y, x + dx, y + dy), fill=_gray(rng, 12))


def _background(camera: Camera, rng: np.random.Generator, h: int, w: int) -> Image.Image:
    """Cut the window of the scene that a person stands in."""
    wide, high = camera.scene.size
    size = rng.uniform(0.7, 0.95)
    window_h, window_w = size * high, size * high * w / h
    x, y = rng.uniform(0, wide - window_w), rng.uniform(0, high - window_h)
    box = (x, y, x + window_w, y + window_h)
    return camera.scene.resize((w, h), Image.Resampling.BILINEAR, box)


def _placed(figure: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Move and scale a figure as an imprecise detector frames it."""
    w, h = figure.size
    scale = rng.uniform(0.84, 1.12)
    dx, dy = rng.normal(0, 0.05) * w, rng.normal(0, 0.035) * h
    a = 1 / scale
    matrix = (a, 0, w / 2 - a * (w / 2 + dx), 0, a, h / 2 - a * (h / 2 + dy))
    return figure.transform((w, h), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _occlude(canvas: Image.Image, rng: np.random.Generator) -> None:
    w, h = canvas.size
    draw = ImageDraw.Draw(canvas)
    kind = rng.choice(["post", "box", "person", "car"])
    if kind == "post":
        x = rng.uniform(0.05, 0.85) * w
        draw.rectangle((x, 0, x + rng.uniform(0.06, 0.16) * w, h), fill=_gray(rng, 12))
    elif kind == "box":
        y = rng.uniform(0.6, 0.85) * h
        x = rng.uniform(-0.3, 0.5) * w
        draw.rectangle((x, y, x + rng.uniform(0.4, 0.9) * w, h), fill=_gray(rng, 24))
    elif kind == "person":
        other = draw_figure(
            draw_person(rng), Pose(float(rng.uniform(0, 6.28)), float(rng.uniform(-1, 1)), 0), w, h
        )
        shift = int(rng.choice([-1, 1]) * rng.uniform(0.38, 0.6) * w)
        canvas.paste(other, (shift, int(rng.uniform(0, 0.1) * h)), other)
    else:
        y = rng.uniform(0.62, 0.8) * h
        color = _gray(rng, 40)
        draw.rounded_rectangle((-0.2 * w, y, 1.2 * w, 1.4 * h), radius=0.2 * h, fill=color)


def _photograph(image: Image.Image, camera: Camera, rng: np.random.Generator) -> Image.Image:
    """Apply light, colour cast, low resolution, blur and noise."""
    w, h = image.size
    detail = float(np.clip(camera.detail * rng.uniform(0.8, 1.1), 0.35, 1))
    small = (max(8, round(w * detail)), max(16, round(h * detail)))
    image = image.resize(small, Image.Resampling.BILINEAR).resize((w, h), Image.Resampling.BICUBIC)
    radius = camera.blur * rng.uniform(0.5, 1.3)
    if radius > 0.2:
        image = image.filter(ImageFilter.GaussianBlur(radius))
    pixels = np.asarray(image, np.float64)
    light = camera.brightness * rng.uniform(0.86, 1.14)
    gain = camera.gain * rng.uniform(0.98, 1.02, 3)
    contrast = camera.contrast * rng.uniform(0.9, 1.1)
    # Light falls in from one side.
    ramp = 1 + rng.normal(0, 0.12) * (np.arange(w) / w - 0.5)[None, :, None]
    pixels = (pixels - 118) * contrast + 118
    pixels = pixels * light * gain * ramp + rng.normal(0, 4, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _gray(rng: np.random.Generator, spread: float) -> tuple[int, int, int]:
    values = np.clip(rng.uniform(40, 200) + rng.normal(0, spread, 3), 0, 255).astype(int)
    red, green, blue = values.tolist()
    return red, green, blue
