"""The settings of the images."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mprd.config.section import Probability, Section


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
    allow_outside: bool = Field(
        False,
        description="allow images outside the folder of the manifest (absolute paths, or `..`)",
    )
    height: int = Field(256, ge=16, le=2048, description="height of the resized image, pixels")
    width: int = Field(128, ge=16, le=2048, description="width of the resized image, pixels")
    on_bad_image: Literal["error", "skip"] = Field(
        "error", description="unreadable image: stop, or leave it out and count it"
    )
    synthetic: SyntheticConfig = Field(
        default_factory=SyntheticConfig, description="settings of the synthetic data set"
    )

    @field_validator("camera")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
            if groups != 1:
                raise ValueError(
                    f"{pattern!r} has {groups} groups; put the camera's name, and nothing else, in "
                    "parentheses"
                )
        return pattern
