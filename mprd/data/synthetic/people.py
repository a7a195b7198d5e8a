"""What makes an identity: build, clothes, hair and bag, drawn from common choices."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Color = tuple[int, int, int]

# Clothes colours as streets show them: mostly dark and muted, some bright.
_CLOTHES = np.array(
    [
        (28, 28, 32), (58, 60, 66), (110, 112, 116), (168, 168, 170), (226, 226, 222),
        (30, 38, 74), (54, 84, 140), (128, 164, 200), (132, 30, 36), (188, 60, 54),
        (52, 84, 56), (112, 122, 70), (196, 168, 120), (104, 72, 50), (206, 180, 60),
        (150, 86, 120), (222, 170, 176), (72, 52, 92),
    ],
    dtype=float,
)  # fmt: skip
_TOP_WEIGHTS = np.array([5, 3, 3, 2, 4, 3, 3, 2, 2, 2, 2, 1, 2, 2, 1, 1, 1, 1], float)
_BOTTOM_WEIGHTS = np.array([6, 4, 3, 1, 1, 5, 4, 1, 0.3, 0.2, 0.5, 1, 2, 1.5, 0.2, 0.2, 0.2, 0.3])
_SHOES = np.array([(24, 24, 26), (70, 50, 38), (224, 224, 222), (120, 120, 124), (150, 40, 40)])
_SKIN = np.array([(232, 190, 164), (216, 170, 136), (188, 138, 104), (140, 96, 68), (96, 64, 46)])
_HAIR = np.array([(22, 18, 18), (52, 36, 26), (96, 66, 38), (176, 140, 84), (140, 138, 136)])
PATTERNS = ("plain", "rows", "columns", "checks", "logo", "block", "sleeves")
_PATTERN_WEIGHTS = np.array([6, 2, 1, 1.5, 2, 1.5, 1.5])


@dataclass(frozen=True)
class Person:
    """The stable cues of an identity; colours are RGB."""

    height: float
    breadth: float
    skin: Color
    hair: Color
    hair_style: str
    top: Color
    top_second: Color
    pattern: str
    top_length: float
    bottom: Color
    bottom_style: str
    shoes: Color
    bag: str
    bag_color: Color
    bag_side: int


def draw_person(rng: np.random.Generator) -> Person:
    """Draw an identity of its own."""
    return Person(
        height=float(rng.uniform(0.88, 1.0)),
        breadth=float(rng.uniform(0.85, 1.2)),
        skin=_shade(_SKIN, rng, 5),
        hair=_shade(_HAIR, rng, 6),
        hair_style=str(rng.choice(["short", "long", "bun", "hat", "hood"], p=_of(5, 3, 1, 1.2, 1))),
        top=_clothes(_TOP_WEIGHTS, rng),
        top_second=_clothes(_TOP_WEIGHTS, rng),
        pattern=str(rng.choice(PATTERNS, p=_PATTERN_WEIGHTS / _PATTERN_WEIGHTS.sum())),
        top_length=float(rng.choice([0.0, 0.05, 0.22], p=_of(5, 3, 1.5))),
        bottom=_clothes(_BOTTOM_WEIGHTS, rng),
        bottom_style=str(rng.choice(["trousers", "shorts", "skirt"], p=_of(5, 2, 2))),
        shoes=_shade(_SHOES, rng, 6),
        bag=str(rng.choice(["none", "backpack", "shoulder", "hand"], p=_of(4, 3, 2, 1))),
        bag_color=_clothes(_TOP_WEIGHTS, rng),
        bag_side=int(rng.choice([-1, 1])),
    )


def draw_look_alike(model: Person, rng: np.random.Generator) -> Person:
    """Draw an identity that is dressed as another one but for one or two things."""
    fresh = draw_person(rng)
    changes: dict[str, dict[str, Any]] = {
        "hair": {"hair": fresh.hair, "hair_style": fresh.hair_style},
        "pattern": {"pattern": fresh.pattern, "top_second": fresh.top_second},
        "bottom": {"bottom": fresh.bottom, "bottom_style": fresh.bottom_style},
        "bag": {"bag": fresh.bag, "bag_color": fresh.bag_color, "bag_side": fresh.bag_side},
        "shoes": {"shoes": fresh.shoes, "top_length": fresh.top_length},
    }
    chosen = rng.choice(sorted(changes), size=int(rng.integers(1, 3)), replace=False)
    merged: dict[str, Any] = {"height": fresh.height, "breadth": fresh.breadth, "skin": fresh.skin}
    for name in chosen:
        merged.update(changes[str(name)])
    return replace(model, **merged)


def _of(*weights: float) -> np.ndarray:
    return np.array(weights) / sum(weights)


def _shade(palette: np.ndarray, rng: np.random.Generator, spread: float) -> Color:
    return _rgb(palette[rng.integers(len(palette))] + rng.normal(0, spread, 3))


def _clothes(weights: np.ndarray, rng: np.random.Generator) -> Color:
    base = _CLOTHES[rng.choice(len(_CLOTHES), p=weights / weights.sum())]
    return _rgb(base * rng.uniform(0.85, 1.15) + rng.normal(0, 5, 3))


def _rgb(values: np.ndarray) -> Color:
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue
