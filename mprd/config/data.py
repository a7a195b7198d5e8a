"""The settings of the images."""

import re
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mprd.config.section import Probability, Section
from mprd.errors import many

EXIF = "exif"  # data.time: the time stands in the image file


class SyntheticConfig(Section):
    """The embedded generator of pedestrian-like images (`data.dataset: synthetic`)."""

    seed: int = Field(0, ge=0, description="seed of the images (not of the training)")
    train_identities: int = Field(80, ge=2, description="identities in the train split")
    test_identities: int = Field(60, ge=2, description="identities in query and gallery")
    distractors: int = Field(
        40, ge=0, description="gallery images of identities that no query shows"
    )
    cameras: int = Field(5, ge=2, le=99, description="cameras")
    min_images: int = Field(
        2, ge=1, description="smallest number of images of an identity in a camera"
    )
    max_images: int = Field(
        4, ge=1, description="largest number of images of an identity in a camera"
    )
    camera_presence: Probability = Field(
        0.85, description="probability that a camera sees an identity (two always do)"
    )
    look_alike: Probability = Field(
        0.3, description="share of identities whose clothes look nearly like those of another"
    )
    occlusion: Probability = Field(0.25, description="probability that something hides a part")

    @model_validator(mode="after")
    def _ordered(self) -> "SyntheticConfig":
        if self.min_images > self.max_images:
            raise ValueError("min_images is above max_images")
        return self


class DataConfig(Section):
    """Your images, and the size to which they are resized."""

    dataset: str = Field(
        "market1501",
        description="data set name, `folder` for your own images, or `synthetic`; "
        "see docs/howto/public-data.md and own-images.md",
    )
    root: Path = Field(
        Path("data"), description="folder of the data sets, or your own folder or manifest"
    )
    reader: Path | None = Field(
        None, description="Python file that registers your own data set reader"
    )
    camera: str | None = Field(
        None,
        description="own images: regular expression whose one group finds the name of the camera "
        "in the path of an image, such as `cam_([a-z]+)`; null: cameras are unknown",
    )
    time: str | None = Field(
        None,
        description="own images: regular expression whose groups, joined by `/`, find the time in "
        "the path of an image, such as `(\\d{8}_\\d{6})`; `exif`: DateTimeOriginal of the file, by "
        "the camera's clock; null: times are unknown, or as the manifest says",
    )
    time_format: str = Field(
        "frames",
        description="how `data.time` finds a time written: `frames` or `seconds` (numbers), or a "
        "format of Python's strptime, such as `%Y%m%d_%H%M%S`. Without `%z` all times count as UTC",
    )
    track: str | None = Field(
        None,
        description="own images: regular expression whose groups, joined by `/`, find the name of "
        "the track in the path of an image, such as `(cam_[a-z]+)/track_(\\d+)`. A track is what "
        "one camera saw of one object without a break; null: tracks are unknown, or as the "
        "manifest says",
    )
    side: str | None = Field(
        None,
        description="own images: regular expression whose one group finds the side of the animal "
        "in the path of an image, such as `_(left|right)`. Images of two known sides never share a "
        "cluster; `unknown` is no side; null: sides are unknown, or as the manifest says",
    )
    allow_outside: bool = Field(
        False,
        description="allow images outside the folder of the manifest (absolute paths, or `..`)",
    )
    features: Path | None = Field(
        None,
        description="features of another network, for a run without training: .npy, .safetensors "
        "or HDF5. Rows go by their paths (an HDF5 data set `path`, or a text file of the same name "
        "that ends in .txt), else by the order of the images; see docs/howto/features.md",
    )
    height: int = Field(256, ge=16, le=2048, description="height of the resized image, pixels")
    width: int = Field(128, ge=16, le=2048, description="width of the resized image, pixels")
    bits: int = Field(
        16,
        ge=8,
        le=16,
        description="bits that values of 16-bit images use: 12 if white is 4095, 14 if it is "
        "16383. Images with 8 bits a value are read as they are",
    )
    on_bad_image: Literal["error", "skip"] = Field(
        "error", description="unreadable image: stop, or leave it out and count it"
    )
    synthetic: SyntheticConfig = Field(
        default_factory=SyntheticConfig, description="settings of the synthetic data set"
    )

    @field_validator("camera", "side")
    @classmethod
    def _one_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        groups = 1 if pattern is None else _groups(pattern)
        if groups != 1:
            raise ValueError(
                f"{pattern!r} has {many(groups, 'group')}; put the {info.field_name}'s name, and "
                "nothing else, in parentheses"
            )
        return pattern

    @field_validator("time", "track")
    @classmethod
    def _some_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        word = pattern == EXIF and info.field_name == "time"
        if pattern is not None and not word and not _groups(pattern):
            raise ValueError(f"{pattern!r} has no group; put the {info.field_name} in parentheses")
        return pattern

    @field_validator("time_format")
    @classmethod
    def _readable(cls, form: str) -> str:
        if form in ("frames", "seconds"):
            return form
        try:
            example = datetime(2026, 3, 14, 8, 15, 2).strftime(form)
            datetime.strptime(example, form.replace("%z", "").replace("%Z", ""))
        except ValueError:
            example = form
        if example == form:
            raise ValueError(
                f"{form!r} is neither frames, seconds, nor a format of strptime such as "
                "'%Y%m%d_%H%M%S'"
            )
        return form


def names_beside(features: Path) -> Path:
    """Return the text file that names the image of each row of a file of features, one a line."""
    return features.with_suffix(".txt")


def _groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
