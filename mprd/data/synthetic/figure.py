"""Draw a person at a view angle in a pose, on a transparent layer."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mprd.data.synthetic.people import Color, Person


@dataclass(frozen=True)
class Pose:
    """Where a camera sees a person from, and the moment of its walk.

    Attributes:
        yaw: 0 = facing the camera, pi/2 = side, pi = from behind.
        stride: -1..1, legs and arms.
        lean: -1..1, sideways tilt.
    """

    yaw: float
    stride: float
    lean: float


class _Body:
    """Coordinates of a figure: x relative to the middle, y from head (0) to feet (1)."""

    def __init__(self, person: Person, pose: Pose, width: int, height: int) -> None:
        self.person, self.pose = person, pose
        self.scale = height * 0.94 * person.height
        self.top = height * 0.03 + height * 0.94 * (1 - person.height)
        self.middle = width / 2
        turned = abs(math.sin(pose.yaw))
        self.breadth = 0.185 * person.breadth * (1 - 0.35 * turned)
        self.front = math.cos(pose.yaw)
        self.side = math.sin(pose.yaw)

    def at(self, x: float, y: float) -> tuple[float, float]:
        lean = 0.03 * self.pose.lean * (1 - y)
        return self.middle + (x + lean) * self.scale, self.top + y * self.scale

    def box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        # A strong lean can move the top of a narrow box past its foot.
        (left, top), (right, bottom) = self.at(min(x0, x1), y0), self.at(max(x0, x1), y1)
        return min(left, right), top, max(left, right), bottom


def draw_figure(person: Person, pose: Pose, width: int, height: int) -> Image.Image:
    """Return an RGBA layer (height x width) with the person standing in the middle."""
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    body = _Body(person, pose, width, height)
    if person.bag == "backpack" and body.front > 0.2:
        _backpack(draw, body)
    _legs(draw, body)
    _arm(draw, body, -1)
    _torso(layer, body)
    draw = ImageDraw.Draw(layer)
    _arm(draw, body, 1)
    _head(draw, body)
    _bag(draw, body)
    return layer


def _legs(draw: ImageDraw.ImageDraw, body: _Body) -> None:
    person, hip = body.person, 0.52
    spread = 0.06 + 0.09 * abs(body.side) * abs(body.pose.stride)
    thickness = 0.1 * person.breadth * body.scale
    cut = {"trousers": 0.93, "shorts": 0.68, "skirt": 0.6}[person.bottom_style]
    for sign in (-1, 1):
        foot_x = sign * spread * (1 if abs(body.side) < 0.5 else body.pose.stride)
        start, end = body.at(sign * 0.045, hip), body.at(foot_x, 0.95)
        draw.line([start, end], fill=person.skin, width=int(thickness * 0.8))
        part = (cut - hip) / (0.95 - hip)
        knee = tuple(a + (b - a) * part for a, b in zip(start, end, strict=True))
        draw.line([start, knee], fill=_dim(person.bottom, 1 - 0.06 * sign), width=int(thickness))
        x, y = end
        size = 0.035 * body.scale
        toe = size * 1.2 * body.side
        draw.ellipse(
            (x - size + min(toe, 0), y - size * 0.6, x + size + max(toe, 0), y + size),
            fill=person.shoes,
        )
    if person.bottom_style == "skirt":
        b = body.breadth
        corners = [(-b * 0.75, 0.46), (b * 0.75, 0.46), (b * 1.05, 0.68), (-b * 1.05, 0.68)]
        draw.polygon([body.at(x, y) for x, y in corners], fill=person.bottom)


def _torso(layer: Image.Image, body: _Body) -> None:
    person, b = body.person, body.breadth
    bottom = 0.52 + person.top_length
    corners = [(-b, 0.2), (-b * 0.55, 0.165), (b * 0.55, 0.165), (b, 0.2), (b * 0.88, bottom),
               (-b * 0.88, bottom)]  # fmt: skip
    mask = Image.new("L", layer.size, 0)
    ImageDraw.Draw(mask).polygon([body.at(x, y) for x, y in corners], fill=255)
    cloth = Image.new("RGBA", layer.size, (*person.top, 255))
    _pattern(ImageDraw.Draw(cloth), body, bottom)
    layer.paste(cloth, (0, 0), mask)


def _pattern(draw: ImageDraw.ImageDraw, body: _Body, bottom: float) -> None:
    person, second = body.person, body.person.top_second
    step = 0.055
    if person.pattern in ("rows", "checks"):
        for k in range(12):
            y = 0.17 + k * step
            draw.rectangle(body.box(-0.3, y, 0.3, y + step * 0.45), fill=second)
    if person.pattern in ("columns", "checks"):
        shift = 0.02 * body.side
        for k in range(-6, 7):
            x = k * step + shift
            draw.rectangle(body.box(x, 0.1, x + step * 0.35, bottom), fill=second)
    if person.pattern == "block":
        draw.rectangle(body.box(-0.3, 0.36, 0.3, bottom), fill=second)
    if person.pattern == "logo" and body.front > 0.1:
        x = 0.1 * body.side
        draw.ellipse(body.box(x - 0.055, 0.25, x + 0.055, 0.34), fill=second)


def _arm(draw: ImageDraw.ImageDraw, body: _Body, sign: int) -> None:
    person, b = body.person, body.breadth
    swing = 0.06 * body.pose.stride * sign * (0.4 + abs(body.side))
    shoulder = body.at(sign * b * 0.92, 0.21)
    elbow = body.at(sign * (b + 0.02) + swing * 0.6, 0.36)
    hand = body.at(sign * (b + 0.015) + swing * 1.5, 0.49)
    color = person.top_second if person.pattern == "sleeves" else _dim(person.top, 0.9)
    thickness = int(0.065 * person.breadth * body.scale)
    draw.line([shoulder, elbow], fill=color, width=thickness)
    lower = person.skin if person.bottom_style == "shorts" else color
    draw.line([elbow, hand], fill=lower, width=int(thickness * 0.85))
    x, y = hand
    radius = thickness * 0.45
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=person.skin)


def _head(draw: ImageDraw.ImageDraw, body: _Body) -> None:
    person = body.person
    r = 0.07
    draw.rectangle(body.box(-0.025, 0.12, 0.025, 0.18), fill=_dim(person.skin, 0.9))
    if person.hair_style in ("long", "hood"):
        color = person.top if person.hair_style == "hood" else person.hair
        draw.ellipse(body.box(-r * 1.15, -0.005, r * 1.15, 0.21), fill=color)
    draw.ellipse(body.box(-r, 0.0, r, 0.145), fill=person.skin)
    # From behind the hair covers the face, from the side half of it.
    covered = 0.055 + 0.085 * (1 - body.front) / 2
    if person.hair_style == "hat":
        draw.rectangle(body.box(-r * 1.2, 0.03, r * 1.2, 0.05), fill=_dim(person.bag_color, 0.8))
        draw.ellipse(body.box(-r, -0.015, r, 0.07), fill=person.bag_color)
    else:
        draw.chord(body.box(-r, -0.005, r, 0.145), 180, 360, fill=person.hair)
        draw.rectangle(body.box(-r * 0.95, 0.05, r * 0.95, covered), fill=person.hair)
    if person.hair_style == "bun":
        draw.ellipse(body.box(-0.03, -0.03, 0.03, 0.025), fill=person.hair)


def _bag(draw: ImageDraw.ImageDraw, body: _Body) -> None:
    person, b = body.person, body.breadth
    thin = max(2, int(0.018 * body.scale))
    side = person.bag_side if body.front >= 0 else -person.bag_side
    if person.bag == "backpack":
        if body.front > 0.2:
            for sign in (-1, 1):
                ends = [body.at(sign * b * 0.55, 0.17), body.at(sign * b * 0.6, 0.4)]
                draw.line(ends, fill=person.bag_color, width=thin)
        else:
            _backpack(draw, body)
    elif person.bag == "shoulder":
        draw.line(
            [body.at(-side * b * 0.6, 0.17), body.at(side * b, 0.46)],
            fill=person.bag_color,
            width=thin,
        )
        draw.rectangle(
            body.box(side * b * 0.7, 0.44, side * (b * 0.7 + 0.1), 0.56), fill=person.bag_color
        )
    elif person.bag == "hand":
        draw.rectangle(
            body.box(side * (b + 0.0), 0.5, side * (b + 0.075), 0.62), fill=person.bag_color
        )


def _backpack(draw: ImageDraw.ImageDraw, body: _Body) -> None:
    """Behind the back: hidden from the front, a bulge from the side, in full from behind."""
    b = body.breadth
    if abs(body.front) < 0.5:
        back = -math.copysign(1, body.side)
        area = body.box(back * b * 0.5, 0.19, back * (b * 0.5 + 0.1), 0.44)
    else:
        area = body.box(-b * 0.72, 0.185, b * 0.72, 0.45)
    draw.rounded_rectangle(area, radius=0.03 * body.scale, fill=body.person.bag_color)


def _dim(color: Color, factor: float) -> Color:
    red, green, blue = np.clip(np.array(color) * factor, 0, 255).astype(int).tolist()
    return red, green, blue
