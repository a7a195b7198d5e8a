"""Whether a folder is likely to gain from training: what `mprd new` writes as `epochs`."""

from dataclasses import dataclass
from typing import Literal

LEAST, SMALL = 80, 2000  # images
FEW_EPOCHS, EPOCHS = 6, 20
_GAINS = {
    "imagenet": "on folders of 25 people they raised pair F1 by 0.09 on average",
    "weights": "on folders of 25 people they raised pair F1 by 0.03 on average",
}
_UNKNOWN = "what training adds to such weights was not measured"
_KNOWN = {
    "imagenet": "on 12,936 images, training from ImageNet weights made clusters much better",
    "weights": _UNKNOWN,
    "published": _UNKNOWN,
}


Kind = Literal["imagenet", "weights", "published"]


@dataclass(frozen=True)
class Choice:
    """Epochs, and why.

    Attributes:
        epochs: 0: the clusters of the start features.
        why: a sentence for the user, without the number of images.
        unmeasured: no training, because nobody measured what it gives.
    """

    epochs: int
    why: str
    unmeasured: bool = False


def choose_training(images: int, kind: Kind, *, wanted: bool | None = None) -> Choice:
    """Choose whether to train, by what was measured (docs/howto/own-images.md#whether-to-train).

    - Folders of 25 people in six cameras, about 240 images, clusters by average linkage: six
      epochs raised pair F1 from ImageNet weights (EfficientNet-lite0) and from weights that know
      people (OSNet-x0.25). Nine gave no more.
    - 12,936 images of Market-1501, ImageNet weights: 17 epochs made clusters much better.

    Below `LEAST` images, and for published networks, nothing was measured. `SMALL` lies between
    what was measured with few epochs and with many.

    Args:
        images: of the folder.
        kind: of the start: ImageNet weights that come with mprd, a weights file, or a published
            network.
        wanted: the user wants training, or none; None: said nothing.
    """
    epochs = FEW_EPOCHS if images < SMALL else EPOCHS
    if wanted is not None:
        said = f"{epochs} epochs, as --train asks" if wanted else "no training, as --no-train asks"
        return Choice(epochs if wanted else 0, said)
    if images < LEAST or (images < SMALL and kind == "published"):
        what = f"below {LEAST} images" if images < LEAST else "with such networks on so few images"
        why = f"no training, the clusters of the start features (training was not measured {what})"
        return Choice(0, why, unmeasured=True)
    if images < SMALL:
        return Choice(epochs, f"{epochs} epochs after the clusters of the start ({_GAINS[kind]})")
    return Choice(epochs, f"{epochs} epochs ({_KNOWN[kind]})")
