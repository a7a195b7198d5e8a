import colorsys

import pytest
import torch

from mprd.config import AugmentConfig, WarmupConfig
from mprd.data import transforms
from mprd.data.pixels import IMAGENET, normalize_pixels
from mprd.data.transforms import augment, augment_warmup, color_jitter


def images(batch=3, height=12, width=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, height, width, 3), generator=g, dtype=torch.uint8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


OFF = AugmentConfig(flip=0, pad=0, erase=0)


def test_nothing_switched_on_is_normalisation():
    x = images()
    assert torch.equal(augment(x, OFF, IMAGENET, generator()), normalize_pixels(x, IMAGENET))


def test_normalisation_is_that_of_imagenet():
    x = torch.tensor([124, 116, 104], dtype=torch.uint8).expand(1, 2, 2, 3)
    assert normalize_pixels(x, IMAGENET).abs().max() < 0.02
    white = normalize_pixels(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8), IMAGENET).flatten()
    assert torch.allclose(white, torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-3)


def test_flip_mirrors():
    x = images()
    flipped = augment(x, OFF.model_copy(update={"flip": 1.0}), IMAGENET, generator())
    assert torch.equal(flipped, normalize_pixels(x, IMAGENET).flip(3))


def test_crop_is_a_shift_with_mean_coloured_border():
    x = images(batch=40)
    plain = normalize_pixels(x, IMAGENET)
    found = augment(x, OFF.model_copy(update={"pad": 2}), IMAGENET, generator())
    padded = torch.nn.functional.pad(plain, (2, 2, 2, 2))
    shifts = set()
    for b in range(len(x)):
        matches = [
            (dy, dx)
            for dy in range(5)
            for dx in range(5)
            if torch.equal(found[b], padded[b, :, dy : dy + 12, dx : dx + 8])
        ]
        assert len(matches) == 1
        shifts.add(matches[0])
    assert len(shifts) > 10


def test_erased_rectangles_cover_2_to_40_percent():
    x = torch.full((400, 40, 20, 3), 255, dtype=torch.uint8)
    found = augment(x, OFF.model_copy(update={"erase": 1.0}), IMAGENET, generator())
    erased = (found[:, 0] == 0).float()
    share = erased.mean(dim=(1, 2))
    assert share.min() > 0.01
    assert 0.35 < share.max() <= 0.45
    rows, columns = erased.amax(2), erased.amax(1)
    assert torch.equal(erased, rows[:, :, None] * columns[:, None, :])
    half = augment(x, OFF.model_copy(update={"erase": 0.5}), IMAGENET, generator())
    assert 0.4 < (half[:, 0] == 0).flatten(1).any(1).float().mean() < 0.6


@pytest.mark.parametrize("strong", [False, True])
def test_same_generator_same_views(strong):
    def view(seed):
        settings = AugmentConfig(jitter=0.2, pad=3)
        if strong:
            return augment_warmup(images(), WarmupConfig(), settings, IMAGENET, generator(seed))
        return augment(images(), settings, IMAGENET, generator(seed))

    assert torch.equal(view(1), view(1))
    assert not torch.equal(view(1), view(2))
    assert view(1).shape == (3, 3, 12, 8)
    assert torch.isfinite(view(1)).all()


def test_jitter_keeps_gray_gray_and_stays_in_range():
    gray = images().float().mean(dim=3, keepdim=True).expand(-1, -1, -1, 3)
    found = color_jitter(gray, 0.5, generator())
    assert torch.allclose(found, found.mean(dim=3, keepdim=True).expand_as(found), atol=1e-3)
    assert not torch.allclose(found, gray)
    assert found.min() >= 0
    assert found.max() <= 255
    assert torch.allclose(color_jitter(gray, 0.0, generator()), gray, atol=1e-3)


def test_hue_turns_but_brightness_stays():
    x = torch.full((64, 1, 1, 3), 100.0)
    x[..., 0] = 160
    found = transforms._turn_hue(x, 0.1, generator())
    gray = transforms._gray(x)
    assert torch.allclose(transforms._gray(found), gray, atol=1.0)
    hues = [colorsys.rgb_to_hsv(*(p / 255).tolist())[0] for p in found[:, 0, 0]]
    turned = [min(h, 1 - h) for h in hues]
    assert 0.05 < max(turned) < 0.2
    assert torch.equal(transforms._turn_hue(x, 0.0, generator()), x)


def test_warmup_without_changes_is_the_image():
    still = WarmupConfig(jitter=0, hue=0, grayscale=0, min_scale=1)
    found = augment_warmup(images(), still, OFF, IMAGENET, generator())
    # A scale of 1 still draws an aspect ratio; one side stays whole.
    assert found.shape == (3, 3, 12, 8)
    gray = still.model_copy(update={"grayscale": 1.0})
    view = augment_warmup(images(), gray, OFF, IMAGENET, generator())
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    pixels = view * std + mean
    assert torch.allclose(pixels[:, 0], pixels[:, 1], atol=1e-4)
    assert torch.allclose(pixels[:, 0], pixels[:, 2], atol=1e-4)
